"""Names of antibodies -> the surface markers that the protein gates read.

Makers and pipelines write the same antibody in many ways ("CD303_TotalSeqB", "CD303 (BDCA-2)",
"Hu.CD38-HIT2", "anti-human_CD19", "CD123:7G3|IL3RA|AHS0020|pAbO"). A name is cut into words; what
stands before the marker (species, tag, catalog number) is dropped, what stands after it (clone,
replicate, barcode) is ignored. A marker is found by whole words only: "CD30" is not CD303.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

#: Marker -> its other names, in lower case without anything but letters and digits.
ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "CD3": ("cd3", "cd3d", "cd3e", "cd3g"),
    "CD19": ("cd19",),
    "CD20": ("cd20", "ms4a1"),
    "CD14": ("cd14",),
    "CD16": ("cd16", "cd16a", "fcgr3a"),
    "CD56": ("cd56", "ncam", "ncam1"),
    "HLA-DR": ("hladr", "hladra", "hladrb1"),
    "CD11c": ("cd11c", "itgax"),
    "CD123": ("cd123", "il3ra", "il3ralpha"),
    "CD303": ("cd303", "cd303a", "clec4c", "bdca2"),
    "CD304": ("cd304", "nrp1", "neuropilin1", "bdca4"),
    "CD33": ("cd33", "siglec3"),
    "CD5": ("cd5",),
    "CD327": ("cd327", "siglec6"),
    "CD24": ("cd24",),
    "CD38": ("cd38",),
    "CD27": ("cd27", "tnfrsf7"),
    "IgD": ("igd", "ighd"),
    "CD10": ("cd10", "mme", "calla"),
}
_MARKER: Final = {alias: marker for marker, aliases in ALIASES.items() for alias in aliases}
#: Words before a marker that say nothing of it.
_BEFORE: Final = frozenset(
    {"anti", "human", "hu", "hums", "humsrt", "humsr", "mouse", "rat", "ms",
     "adt", "ab", "abs", "prot", "protein", "antibody"}
)  # fmt: skip
_CATALOG: Final = re.compile(r"[abcd]\d{4}|ahs\d{4}")
_TAG: Final = re.compile(r"totalseq[-_ ]?[a-d]?(?![a-z])", re.IGNORECASE)
_ISOTYPE: Final = re.compile(
    r"isotype|iso[-_. ]?(ctrl|control)|(mouse|rat|hamster|goat|rabbit)[-_. ]*igg"
    r"|igg\d?[abc]?.*(ctrl|control|kappa)|(ctrl|control)[-_. ]*igg"
)
_HASHTAG: Final = re.compile(r"hash ?tag|^hto|\bhto\d*\b|sample ?tag|^cmo\d|barcode ?tag")


@dataclass(frozen=True)
class Antibodies:
    """What the columns of a protein matrix are.

    ``columns`` holds the columns of each marker (several clones are summed); ``isotypes`` those
    of isotype controls; ``proteins`` every column that is no hashtag.
    """

    columns: dict[str, tuple[int, ...]]
    isotypes: tuple[int, ...]
    proteins: tuple[int, ...]


def resolve(names: Sequence[str]) -> Antibodies:
    """Find the markers among the names of a protein matrix.

    >>> found = resolve(["CD303 (BDCA-2)", "anti-human_CD19", "IgG1_control_TotalSeqB", "CD30"])
    >>> found.columns, found.isotypes
    ({'CD19': (1,), 'CD303': (0,)}, (2,))
    """
    isotypes, proteins, hits = [], [], []
    for i, name in enumerate(names):
        lower = name.strip().lower()
        if _HASHTAG.search(lower):
            continue
        proteins.append(i)
        if _ISOTYPE.search(lower):
            isotypes.append(i)
        else:
            hits.append((i, marker_of(name)))
    columns = {marker: tuple(i for i, found in hits if found == marker) for marker in ALIASES}
    kept = {marker: where for marker, where in columns.items() if where}
    return Antibodies(kept, tuple(isotypes), tuple(proteins))


def marker_of(name: str) -> str | None:
    """The marker that an antibody's name means; None if it is none of ours.

    >>> [marker_of(name) for name in ("Hu.CD38-HIT2", "Siglec-6", "CLEC4C", "CD3-3", "CD303-like")]
    ['CD38', 'CD327', 'CD303', 'CD3', 'CD303']
    >>> marker_of("CD11b") is None
    True
    """
    words = re.findall(r"[a-z0-9]+", _TAG.sub(" ", name).lower().replace("α", "alpha"))
    start = 0
    while start < len(words) and (words[start] in _BEFORE or _CATALOG.fullmatch(words[start])):
        start += 1
    leading = _at(words, start)
    if leading is not None:
        return leading
    elsewhere = {found for i in range(start + 1, len(words)) if (found := _at(words, i))}
    return elsewhere.pop() if len(elsewhere) == 1 else None


def _at(words: Sequence[str], i: int) -> str | None:
    """Marker that begins at word ``i``: one word, or up to three joined ("HLA", "DR")."""
    if i >= len(words):
        return None
    # "CD3-3" is the third clone of CD3 and not CD33: a complete CD number is never joined
    longest = 1 if re.fullmatch(r"cd\d+[a-z]*", words[i]) else 3
    for n in range(longest, 0, -1):
        found = _MARKER.get("".join(words[i : i + n]))
        if found is not None:
            return found
    return None
