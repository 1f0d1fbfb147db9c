"""Gene sets as users bring them: cleaned, and found among the features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from scifn._errors import ArgumentError
from scifn.genesets import _coverage
from scifn.genesets._lists import clean_list
from scifn.genesets._resolve import Resolution
from scifn.genesets._sets import all_sets

UP, DOWN = "up", "down"
#: Fewest genes of a set that must be found, and the fraction of each of its lists.
MIN_GENES: Final = 3
MIN_FRACTION: Final = 0.5
#: Ranks of a cell that method "rank" looks at.
MAX_RANK: Final = 1500


@dataclass(frozen=True)
class GeneSet:
    """A set of the user's: names as given, without doubles."""

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class FoundSet:
    """A set whose genes were looked for; genes are approved symbols.

    ``status`` is "ok", "partial", "insufficient" or "absent": of the last two no score is made.
    """

    name: str
    up: tuple[str, ...]
    down: tuple[str, ...]
    n_genes: int
    n_missing: tuple[int, int]
    status: str
    reason: str
    coverage: list[dict[str, Any]] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether enough of it was found."""
        return self.status in {"ok", "partial"}

    @property
    def n_found(self) -> int:
        """Genes that were found, of both lists."""
        return len(self.up) + len(self.down)


def parse(sets: Any) -> list[GeneSet]:
    """Check and clean what a user gives as ``sets``.

    Raises
    ------
    ArgumentError
        It is not a mapping of names to lists of genes, or a list is empty or holds no names.

    Examples
    --------
    >>> parse({"isg": ["MX1", "ISG15", "MX1"], "signed": {"up": ["MX1"], "down": ["CD19"]}})[0].up
    ('MX1', 'ISG15')
    """
    if not isinstance(sets, Mapping):
        msg = (
            f"sets= is a {type(sets).__name__}; needed is a dict of names and lists of genes, "
            "such as {'isg': ['ISG15', 'MX1', 'IFI44L']}."
        )
        raise ArgumentError(msg)
    if not sets:
        raise ArgumentError("sets= is empty: give at least one, {name: [genes]}.")
    return [_parse_one(name, genes) for name, genes in sets.items()]


def _parse_one(name: Any, genes: Any) -> GeneSet:
    if not isinstance(name, str) or not name.strip():
        raise ArgumentError(f"the name of a gene set is a non-empty string; found {name!r}.")
    if not isinstance(genes, Mapping):
        up, notes = clean_list(genes, name)
        return GeneSet(name, tuple(up), (), tuple(notes))
    unknown = [key for key in genes if key not in (UP, DOWN)]
    if unknown or not genes:
        msg = (
            f"The signed gene set {name!r} has the keys {list(genes)!r}; needed are 'up' and "
            "'down', each with a list of genes."
        )
        raise ArgumentError(msg)
    arms: dict[str, tuple[str, ...]] = {UP: (), DOWN: ()}
    told: list[str] = []
    for key, listed in genes.items():
        if listed is None or (not isinstance(listed, str) and len(listed) == 0):
            continue  # a signature without genes that go down is an unsigned one
        found, notes = clean_list(listed, f"{name} ({key})")
        arms[key] = tuple(found)
        told += notes
    if not arms[UP] and not arms[DOWN]:
        raise ArgumentError(f"The signed gene set {name!r} is empty. Give at least one gene.")
    return GeneSet(name, arms[UP], arms[DOWN], tuple(told))


def wanted(sets: list[GeneSet]) -> list[str]:
    """Every gene of every set."""
    return sorted({gene for one in sets for gene in (*one.up, *one.down)})


def find(sets: list[GeneSet], resolution: Resolution, *, ranked: bool = False) -> list[FoundSet]:
    """Judge each set by what was found of it; ``ranked`` sets must be shorter than the ranks.

    Raises
    ------
    ArgumentError
        A gene is in both lists of a signed set.
    """
    present = set(resolution.genes)
    return [_find_one(one, resolution.read_as, present, ranked=ranked) for one in sets]


def _find_one(
    one: GeneSet, read_as: Mapping[str, str], present: set[str], *, ranked: bool
) -> FoundSet:
    arms = {
        arm: tuple(dict.fromkeys(read_as.get(gene, gene) for gene in genes))
        for arm, genes in ((UP, one.up), (DOWN, one.down))
    }
    both = sorted(set(arms[UP]) & set(arms[DOWN]))
    if both:
        msg = f"The signed gene set {one.name!r} has genes in both lists: {', '.join(both)}."
        raise ArgumentError(msg)
    found = {arm: tuple(gene for gene in genes if gene in present) for arm, genes in arms.items()}
    n_genes, n_found = (sum(map(len, part.values())) for part in (arms, found))
    status, reason = _judge(arms, found)
    longest = max(map(len, arms.values()))
    if ranked and longest >= MAX_RANK:
        status = "too_many_genes"
        reason = f"{longest:,} genes; method='rank' takes fewer than {MAX_RANK:,}."
    rows = []
    label = _label(one.name, {*arms[UP], *arms[DOWN]})
    for arm, genes in arms.items():
        if not genes:
            continue
        row = _coverage.coverage({one.name: genes}, present)[0]
        row["set"] = label if not arms[DOWN] else f"{label}:{arm}"
        if row["set"] != one.name or one.name not in all_sets():
            row["reference"] = ""
        if status in {"insufficient", "absent"} and row["status"] in {"ok", "partial"}:
            row["status"] = "insufficient"
        rows.append(row)
    missing = tuple(len(arms[arm]) - len(found[arm]) for arm in (UP, DOWN))
    return FoundSet(
        one.name, found[UP], found[DOWN], n_genes, (missing[0], missing[1]),
        status if n_found else "absent", reason, rows,
    )  # fmt: skip


def _label(name: str, genes: set[str]) -> str:
    """Name in the coverage table; a shipped set of that name with other genes keeps its row."""
    shipped = all_sets().get(name)
    return name if shipped is None or set(shipped.genes) == genes else f"{name} (score)"


def _judge(
    arms: Mapping[str, tuple[str, ...]], found: Mapping[str, tuple[str, ...]]
) -> tuple[str, str]:
    """Status of a set and the sentence that goes with it."""
    n_found = sum(map(len, found.values()))
    n_genes = sum(map(len, arms.values()))
    told = f"{n_found} of {n_genes} genes are among the features"
    for arm, genes in arms.items():
        if genes and len(found[arm]) < MIN_FRACTION * len(genes):
            part = f"; of its {arm} list {len(found[arm])} of {len(genes)}" if arms[DOWN] else ""
            return "insufficient", f"{told}{part}; at least half are needed."
    if n_found < MIN_GENES:
        return "insufficient", f"{told}; at least {MIN_GENES} are needed."
    return _coverage.status_of(n_found, n_genes), f"{told}."
