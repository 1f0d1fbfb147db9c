"""pDC and B cells across donors: which readouts go together beside the condition.

A correlation between donors never says which cell acts on which, and what makes both move (a drug,
an infection) makes a correlation as well; every row says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats._words import counted
from scifn._stats.adjust import benjamini_hochberg
from scifn._stats.partial import MIN_DONORS, Partial, partial_spearman

FloatArray = NDArray[np.float64]

#: Response of the B lineage in the donor table.
B_RESPONSE: Final = f"{k.RESPONSE_OF}B"
#: Summed cells that a donor's expression needs: as for the readouts of the same cells.
MIN_PDC: Final = 10
MIN_B: Final = 50
_B_CELLS: Final = tuple(
    t for t, line in k.LINEAGE_OF.items() if line == "B" and t not in (k.PLASMABLAST, k.PLASMA)
)
#: Where a receptor is looked at: population -> (cell types, fewest cells, words).
_POPULATIONS: Final[dict[str, tuple[tuple[str, ...], int, str]]] = {
    "B": (_B_CELLS, MIN_B, "B cells"),
    "pDC": ((k.PDC,), MIN_PDC, "pDC"),
}
#: Pairs that are looked at; "GENE@population" is expression.
PAIRS: Final[tuple[tuple[str, str], ...]] = (
    (B_RESPONSE, "logit_pdc"),
    ("logit_breg_of_b", "logit_pdc"),
    ("lr_breg_effector", B_RESPONSE),
    (B_RESPONSE, "IFNAR1@B"),
    (B_RESPONSE, "IFNAR2@B"),
    ("logit_breg_of_b", "CD40@B"),
    ("logit_breg_of_b", "IL10RA@pDC"),
)
#: Genes whose expression is looked at.
GENES: Final = tuple(name.partition("@")[0] for pair in PAIRS for name in pair if "@" in name)
NOT_CAUSAL: Final = (
    "association across donors, not causal: which cell acts on which, or whether something else "
    "moves both, is not told"
)
_EXPLORATORY: Final = "exploratory; p_adj is over the pairs of this table"


class Expression(NamedTuple):
    """Log2 CPM and UMI, a value a donor, and why a donor has none."""

    level: FloatArray
    umi: FloatArray
    gate: str


def crosstalk(donors: pd.DataFrame, sums: pd.DataFrame | None) -> pd.DataFrame:
    """Partial rank correlations of the pairs above, adjusted for condition.

    Parameters
    ----------
    donors
        Donor table, a row a donor x condition (visits together).
    sums
        Pseudobulk per donor, condition, visit and cell type; None where there is none.

    Returns
    -------
    Columns of :data:`scifn._keys.CROSSTALK_COLUMNS`, a row a pair. Below ten donors the numbers are
    NaN and the statement says why. ``p_adj`` is Benjamini and Hochberg's over the pairs.
    """
    names = list(dict.fromkeys(name for pair in PAIRS for name in pair if "@" in name))
    levels: dict[str, Expression] = {}
    for population in _POPULATIONS:
        mine = [name for name in names if name.endswith(f"@{population}")]
        levels |= expressions(sums, population, [x.partition("@")[0] for x in mine], donors)
    table = pd.DataFrame([_row(pair, donors, levels) for pair in PAIRS])
    table["p_adj"] = benjamini_hochberg(table["p_value"])
    return table[list(k.CROSSTALK_COLUMNS)]


def expression(sums: pd.DataFrame | None, name: str, donors: pd.DataFrame) -> Expression:
    """Of one gene in a population, "GENE@population"; see :func:`expressions`."""
    gene, _, population = name.partition("@")
    return expressions(sums, population, [gene], donors)[name]


def expressions(
    sums: pd.DataFrame | None, population: str, genes: Sequence[str], donors: pd.DataFrame
) -> dict[str, Expression]:
    """Log2 CPM of genes in a population by "GENE@population", a value a row of ``donors``.

    log2(1e6 (x + 0.5) / (N + 1)) of the UMI summed over the population and the visits; NaN where
    fewer cells than the gate were summed.
    """
    types, least, words = _POPULATIONS[population]
    nothing = np.full(len(donors), np.nan)
    if sums is None:
        return {
            f"{gene}@{population}": Expression(
                nothing, nothing, f"no counts, so no expression of {gene}"
            )
            for gene in genes
        }
    out = {}
    columns = {str(c).upper(): c for c in reversed(sums.columns)}
    there = [columns[gene] for gene in genes if gene in columns]
    mine = sums[sums["cell_type"].isin(types)]
    total = mine.groupby(["donor", "condition"])[["n_cells", "total_umi", *there]].sum()
    at = total.reindex(pd.MultiIndex.from_frame(donors[["donor", "condition"]].astype(str)))
    n, umi = (at[c].to_numpy(dtype=np.float64) for c in ("n_cells", "total_umi"))
    enough = np.nan_to_num(n) >= least
    for gene in genes:
        if gene not in columns:
            told = Expression(nothing, nothing, f"{gene} is not among the features")
        else:
            x = at[columns[gene]].to_numpy(dtype=np.float64)
            level = np.full(len(donors), np.nan)
            level[enough] = np.log2(1e6 * (x[enough] + 0.5) / (umi[enough] + 1.0))
            told = Expression(level, np.where(enough, x, np.nan), f"under {least} {words} summed")
        out[f"{gene}@{population}"] = told
    return out


def _row(
    pair: tuple[str, str], donors: pd.DataFrame, levels: Mapping[str, Expression]
) -> dict[str, object]:
    values, why = [], []
    for name in pair:
        column, reason = _values(name, donors, levels)
        values.append(column)
        if np.isnan(column).all():
            why.append(reason)
    use = np.isfinite(values[0]) & np.isfinite(values[1])
    # a readout that all donors have is no reason why one is left out
    lacking = [name for name, x in zip(pair, values, strict=True) if np.isnan(x).any()]
    who, condition = ([str(x) for x in donors[c][use]] for c in ("donor", "condition"))
    n = len(set(who))
    found = Partial(n, 0, *[float("nan")] * 4)
    if n >= MIN_DONORS:
        found = partial_spearman(values[0][use], values[1][use], conditions=condition, donors=who)
    shown = tuple(name.replace("@", " in ") for name in pair)
    return {
        "pair": " ~ ".join(shown),
        "n_donors": n,
        "rho": found.rho,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p_value": found.p_value,
        "adjusted_for": "condition" if len(set(condition)) > 1 else "",
        "statement": "; ".join(_said(found, pair, levels, use, lacking, why)),
    }


def _values(
    name: str, donors: pd.DataFrame, levels: Mapping[str, Expression]
) -> tuple[FloatArray, str]:
    """Values of a readout, and what is said where no donor has one."""
    if name in levels:
        return levels[name].level, levels[name].gate
    if name in donors:
        return donors[name].to_numpy(dtype=np.float64), f"{name} is not measurable in any donor"
    step = "scifn.tl.response before scifn.tl.donors" if name == B_RESPONSE else "scifn.tl.donors"
    return np.full(len(donors), np.nan), f"no {name}: call {step}"


def _said(
    found: Partial,
    pair: tuple[str, str],
    levels: Mapping[str, Expression],
    use: NDArray[np.bool_],
    lacking: list[str],
    why: list[str],
) -> list[str]:
    said = []
    if found.n < MIN_DONORS:
        have = f"{counted(found.n, 'donor')} {'has' if found.n == 1 else 'have'} both"
        said.append(f"{have}, {MIN_DONORS} needed: no correlation")
        said += why
    elif np.isnan(found.rho):
        said.append("one of the two does not vary within conditions: no correlation")
    elif np.isnan(found.p_value):
        said.append("too few donors for the conditions: no interval")
    for name in pair:
        if name in levels and use.any():
            some = int((levels[name].umi[use] > 0).sum())
            gene, _, population = name.partition("@")
            said.append(
                f"{gene} detected in {_POPULATIONS[population][2]} of {some} of "
                f"{counted(int(use.sum()), 'sample')}; expression is a condition for an effect, "
                "not evidence of one"
            )
    lost = int((~use).sum())
    if lost and use.any():
        said.append(
            f"{lost} of {counted(len(use), 'sample')} left out "
            f"({'; '.join(_gates(lacking, levels))})"
        )
    return [*said, NOT_CAUSAL, _EXPLORATORY]


def _gates(names: list[str], levels: Mapping[str, Expression]) -> list[str]:
    return [levels[n].gate if n in levels else f"no value of {n}" for n in names]
