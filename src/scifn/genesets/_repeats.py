"""Names of transposable elements as the tools write them, and what LINE-1 features say.

What each tool writes (and Seurat, which turns ``|`` and ``_`` into ``-``):

=====================  =============================================================
scTE, IRescue          ``L1HS``
IRescue                ``L1HS#LINE/L1``, ``L1HS~LINE/L1``; copies ``L1HS~12``, ``L1HS_l12``
TEtranscripts          ``L1HS:L1:LINE``
TElocal                ``L1HS_dup12:L1HS:L1:LINE``
SoloTE to 1.08         ``SoloTE|chr1|100|900|L1HS:L1:LINE|-`` of unique reads and, of the other
                       reads, ``SoloTE|L1HS:L1:LINE``: two parts of one matrix
SoloTE 1.09            ``SoloTE|L1HS`` (all reads), ``SoloTE|L1``, ``SoloTE|LINE``, and both above
=====================  =============================================================

Genes such as L1CAM and L1TD1 are none: a subfamily is matched as a whole word or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

#: Levels of a feature: all reads of a subfamily; one copy; what SoloTE could place on a subfamily
#: but on no copy; sums of subfamilies.
SUBFAMILY, LOCUS, UNPLACED, ABOVE = "subfamily", "locus", "unplaced", "above"
#: Groups of LINE-1 that are told apart.
YOUNG, YOUNG_BROAD, OLD, OTHER = "young", "young_broad", "old", "other"

_CLASSES: Final = (
    "LINE", "SINE", "LTR", "DNA", "RC", "Retroposon", "Retrotransposon", "Satellite", "RNA",
    "Unknown", "Other", "Unspecified",
)  # fmt: skip
_FAMILIES: Final = frozenset((
    "L1", "L2", "CR1", "RTE-X", "RTE-BovB", "RTE", "Dong-R4", "Penelope", "Alu", "MIR", "B2", "B4",
    "ID", "5S", "5S-Deu-L2", "Deu", "tRNA", "tRNA-Deu", "tRNA-RTE", "ERV", "ERV1", "ERVK", "ERVL",
    "ERVL-MaLR", "Gypsy", "Copia", "hAT", "hAT-Charlie", "hAT-Tip100", "hAT-Blackjack", "hAT-Tag1",
    "hAT-Ac", "TcMar", "TcMar-Tigger", "TcMar-Mariner", "TcMar-Tc2", "TcMar-Tc1", "TcMar-Pogo",
    "PiggyBac", "MuDR", "MULE-MuDR", "Merlin", "Kolobok", "PIF-Harbinger", "Helitron", "Crypton",
    "SVA", "centr", "telo", "acro", "Y-chromosome",
))  # fmt: skip
_CLASS: Final = "|".join(_CLASSES)
_PREFIX: Final = re.compile(r"SoloTE[|_-]", re.I)
#: chromosome, start and end before the name of a copy.
_PLACE: Final = re.compile(r"^[\w.*-]+?([|_-])\d+\1\d+\1(?=\D)")
_COLONS: Final = re.compile(rf":[^:]*:(?:{_CLASS})(?![A-Za-z])", re.I)
_FAMILY_CLASS: Final = re.compile(rf"[#~](?:{_CLASS})\??(?:/|$)", re.I)
_COPY: Final = re.compile(r"(?:[_-]dup|[_-]l|~)\d+$", re.I)
_END: Final = re.compile(r"[_-](?:[35]end|orf2)$", re.I)
#: Mouse subfamilies are young and no "L1M*"; they are written L1Md, the human ones L1MD.
_MOUSE: Final = re.compile(r"L1Md(?![a-z0-9])|L1MD[_-]")
_GROUPS: Final = (
    (YOUNG, re.compile(r"L1HS|L1PA[234]A?", re.I)),
    (YOUNG_BROAD, re.compile(r"L1PA[567]A?", re.I)),
    (OLD, re.compile(r"L1M[A-E]?[a-z]?[0-9]*[a-z]{0,2}[0-9]?|L1PB[0-9a-z]*", re.I)),
    (OLD, re.compile(r"HAL1(?:b|M8|ME)?", re.I)),
    (OTHER, re.compile(r"L1PA[0-9]+[A-Z]?|L1P[0-9]*[a-z]?[0-9]?|L1PREC[0-9]*", re.I)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Repeat:
    """What the name of a feature says, if it is that of a transposable element.

    ``group`` is "" of everything but LINE-1 of humans; ``tool`` tells ways of writing apart.
    """

    subfamily: str
    level: str
    group: str
    tool: str


def parse(name: str) -> Repeat | None:
    """The transposable element that a feature is named after, or None.

    Names without a class (``AluY``, as scTE writes them) are known for LINE-1 only.

    >>> parse("SoloTE-chr1-100-900-L1PA3:L1:LINE-8.1---INTRONIC")
    Repeat(subfamily='L1PA3', level='locus', group='young', tool='SoloTE')
    >>> parse("L1HS~12").level, parse("L1MEf").group, parse("AluY:Alu:SINE").group
    ('locus', 'old', '')
    >>> parse("L1CAM"), parse("L1TD1")
    (None, None)
    """
    text = name.strip().strip('"')
    prefix = _PREFIX.match(text)
    body = text[prefix.end() :] if prefix else text
    named = _COLONS.search(body)
    if prefix is None and named is None and body[:1].upper() not in ("L", "H"):
        found = _FAMILY_CLASS.search(body)
        return Repeat(body[: found.start()], SUBFAMILY, "", "IRescue") if found else None
    place = _PLACE.match(body) if prefix or named else None
    body = body[place.end() :] if place else body
    if named:
        return _of_colons(body, placed=place is not None, solo=prefix is not None)
    if prefix:
        above = body in _FAMILIES or body.rstrip("?") in _CLASSES
        level = ABOVE if above else LOCUS if place else SUBFAMILY
        return Repeat(body, level, group_of(body), "SoloTE")
    found = _FAMILY_CLASS.search(body)
    if found:
        return Repeat(body[: found.start()], SUBFAMILY, group_of(body[: found.start()]), "IRescue")
    copy = _COPY.search(body)
    subfamily = body[: copy.start()] if copy else body
    group = group_of(subfamily)
    return Repeat(subfamily, LOCUS if copy else SUBFAMILY, group, "name alone") if group else None


def _of_colons(body: str, *, placed: bool, solo: bool) -> Repeat:
    """``[copy:]subfamily:family:class`` with or without what follows."""
    fields = body.split(":")
    copy = _COPY.search(fields[0])
    subfamily = fields[1] if copy and len(fields) > 3 else fields[0]
    if copy and len(fields) == 3:
        subfamily = fields[0][: copy.start()]
    whole = UNPLACED if solo else SUBFAMILY
    level = LOCUS if placed or copy else whole
    tool = "SoloTE" if solo or placed else "TEtranscripts"
    return Repeat(subfamily, level, group_of(subfamily), tool)


@lru_cache(maxsize=4096)
def group_of(subfamily: str) -> str:
    """Group of a LINE-1 subfamily as RepeatMasker names it, "" of what is none.

    >>> [group_of(x) for x in ("L1HS", "L1PA7", "L1PA16", "L1MEf", "HAL1", "L1Md_T", "L1CAM")]
    ['young', 'young_broad', 'other', 'old', 'old', '', '']
    """
    word = _END.sub("", subfamily)
    if _MOUSE.match(word):
        return ""
    return next((group for group, pattern in _GROUPS if pattern.fullmatch(word)), "")


@dataclass(frozen=True)
class Choice:
    """Features of a matrix that are counted as LINE-1, each read once.

    ``columns`` are positions by group; ``every`` those of all elements of the chosen level whose
    names tell that they are elements; ``elements`` those of all levels. ``reason`` says why nothing
    was chosen, "" if something was.
    """

    columns: dict[str, tuple[int, ...]]
    every: tuple[int, ...]
    elements: tuple[int, ...]
    level: str
    reason: str
    notes: tuple[str, ...]


NONE_FOUND: Final = (
    "no LINE-1 feature is among the features: a gene matrix cannot tell LINE-1, and this is not 0. "
    "Join the matrix of scTE, SoloTE, IRescue or TEtranscripts by barcode"
)
_UNIQUE: Final = (
    "only copies with uniquely mapped reads are among the features (SoloTE, locus): young LINE-1 "
    "are too alike for such reads, and their number would say how unlike they are. Join the "
    "subfamily (or legacy) matrix"
)


def choose(names: Sequence[str]) -> Choice:
    """Pick the features that count LINE-1 once, of all that a matrix holds.

    Subfamilies with all their reads are preferred; then the two parts of an older SoloTE matrix
    (copies, and what could be placed on no copy); then copies of a tool that shares reads out.
    Where two tools stand side by side, that with more LINE-1 features is taken.
    """
    return _choose(tuple(names))


@lru_cache(maxsize=1)  # every step asks it of the same features, which may be a million copies
def _choose(names: tuple[str, ...]) -> Choice:
    found = {i: r for i, name in enumerate(names) if _may_be(name) and (r := parse(name))}
    told = tuple(i for i, r in found.items() if r.tool != "name alone")
    l1 = {i: r for i, r in found.items() if r.group}
    counts: dict[tuple[str, str], int] = {}
    for r in l1.values():
        counts[r.tool, r.level] = counts.get((r.tool, r.level), 0) + 1
    levels, tool = _preferred(counts)
    if not l1 or not levels:
        return Choice({}, (), told, "", _UNIQUE if l1 else NONE_FOUND, ())
    mine = {i: r for i, r in l1.items() if r.tool == tool and r.level in levels}
    first = {names[i]: i for i in reversed(mine)}
    kept = {i: r for i, r in mine.items() if first[names[i]] == i}
    columns = {
        group: tuple(i for i, r in kept.items() if r.group == group)
        for group in (YOUNG, YOUNG_BROAD, OLD, OTHER)
    }
    every = tuple(i for i in told if found[i].tool == tool and found[i].level in levels)
    notes = _notes(len(l1), len(mine), len(kept), tool, levels)
    lacking = [group for group in (YOUNG, OLD) if not columns[group]]
    reason = ""
    if lacking:
        reason = f"no {' and no '.join(lacking)} LINE-1 subfamily is among the features"
        notes = ()
    return Choice(columns, every, told, " and ".join(levels), reason, notes)


def _may_be(name: str) -> bool:
    """Whether a name is worth parsing: nearly all features are genes."""
    if name[:2] in _STARTS or ":" in name or "#" in name or "~" in name:
        return True
    return _PREFIX.match(name) is not None


_STARTS: Final = ("L1", "l1", "HA", "Ha", "ha", '"L', '"H')


def _preferred(counts: dict[tuple[str, str], int]) -> tuple[tuple[str, ...], str]:
    """Levels that are counted together, and of which tool."""
    for levels, of in (
        ((SUBFAMILY,), {tool for tool, level in counts if level == SUBFAMILY}),
        ((LOCUS, UNPLACED), {tool for tool, level in counts if level == UNPLACED}),
        ((LOCUS,), {tool for tool, level in counts if level == LOCUS} - {"SoloTE"}),
    ):
        if of:
            size = {tool: sum(counts.get((tool, level), 0) for level in levels) for tool in of}
            return levels, max(sorted(of), key=lambda tool: size[tool])
    return (), ""


def _notes(n: int, mine: int, kept: int, tool: str, levels: tuple[str, ...]) -> tuple[str, ...]:
    notes = [f"LINE-1 counted at the level {' and '.join(levels)}, names as of {tool}"]
    if n > mine:
        notes.append(
            f"{n - mine:,} other LINE-1 features hold the same reads at another level or by "
            "another tool and are left out"
        )
    if mine > kept:
        notes.append(f"{mine - kept:,} LINE-1 features of a name that was there already left out")
    return tuple(notes)
