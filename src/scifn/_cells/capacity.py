"""Expression of the machinery that makes interferon: capacity, not production.

Each module is the mean, over its genes, of z-scores of a weighted rate against control
cells of the same type. Interferon itself raises some of these genes, so ``_resid``
is computed again from the module's genes that interferon is not known to move, over
the UMI that are of no such gene either: a shift of the genes that it is known to move
cannot move it. What is not on the lists can.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import reference
from scifn._cells.sums import above_zero, of_genes, rates_of, side_by_side
from scifn._view import PanelView
from scifn.genesets import _coverage, _ids, _sets

Floats = NDArray[np.float64]
Values = NDArray[np.float32]

SETS: Final = {name: f"cap_{name}" for name in k.CAPACITY_MODULES}
#: Genes of any of these move with interferon.
INTERFERON: Final = (
    "isg_sc_pan", "isg_type1_core", "isg_type2_leaning", "isg_shared", "hallmark_ifna",
    "hallmark_ifng", "mod_M1_2", "mod_M3_4", "mod_M5_12",
)  # fmt: skip
#: Found by others to rise with interferon (Odhams 2019; science of the sets' notes).
ALSO: Final = (
    "TASL", "IFIH1", "DHX58", "RIGI", "TRIM25", "IKBKE", "IFI16", "TREX1", "SAMHD1",
    "CGAS", "STING1", "TLR3", "TLR7", "MYD88",
)  # fmt: skip
WORDING: Final = "expression of pathway components"


@dataclass(frozen=True)
class Capacity:
    """Scores (cells x modules and residuals), reference, coverage and record."""

    scores: pd.DataFrame
    reference: pd.DataFrame
    weights: dict[str, float]
    coverage: list[dict[str, Any]]
    record: dict[str, Any]


@lru_cache(maxsize=2)
def moving(species: str) -> frozenset[str]:
    """Genes that interferon moves."""
    human = {gene for name in INTERFERON for gene in _sets.for_species(name, "human")} | set(ALSO)
    if species == "human":
        return frozenset(human)
    return frozenset(mouse for gene in human if (mouse := _ids.ortholog(gene)))


def panel_genes(species: str = "human") -> list[str]:
    """Every gene that the step reads."""
    module = {gene for name in SETS.values() for gene in _sets.for_species(name, species)}
    return sorted(module | moving(species))


def capacity(
    view: PanelView,
    types: Any,
    *,
    controls: NDArray[np.bool_] | None,
    stored: tuple[pd.DataFrame, dict[str, float]] | None = None,
) -> Capacity:
    """Score every cell against control cells of its type (against all cells without controls).

    Parameters
    ----------
    view
        Panel genes and totals.
    types
        Cell type of each cell.
    controls
        Which cells are of controls.
    stored
        Reference and gene weights of an earlier run, used instead of this object's.
    """
    against = np.ones(view.n_cells, dtype=bool) if controls is None else controls
    moved = moving(view.species)
    weights = stored[1] if stored else _weights(view, against)
    columns, used = _genes(view, moved, weights)
    # room that is kept comes before what is thrown away, which then goes back to the system
    scores = {name: np.empty(view.n_cells, dtype=np.float32) for name in columns}
    raw = _rates(view, columns, view.found(sorted(moved)))
    table = stored[0] if stored else reference.measure(raw, types, against)
    codes, names = reference.coded(types)
    held = {name: reference.of_types(table, name, names) for name in columns}

    def fill(rows: slice) -> None:
        at = codes[rows].astype(np.intp)
        for name, score in scores.items():
            _z(raw[name][rows], *held[name], at, out=score[rows])

    side_by_side(fill, view.n_cells)
    sets = {name: _sets.for_species(name, view.species) for name in SETS.values()}
    rows = _coverage.coverage({name: genes for name, genes in sets.items() if genes}, view)
    record = {
        "wording": WORDING,
        "against": "control cells of the same type" if controls is not None else "all cells",
        "residual_genes": used,
    }
    return Capacity(pd.DataFrame(scores, copy=False), table, weights, rows, record)


def _weights(view: PanelView, against: NDArray[np.bool_]) -> dict[str, float]:
    """1 / sqrt(rate) of each module gene over all controls: the inverse of its noise."""
    genes = sorted({g for name in SETS.values() for g in _sets.for_species(name, view.species)})
    found = view.found(genes)
    depth = max(float(view.total[against].sum()), 1.0)
    # weights are of single precision, as those are that earlier runs have stored
    sums = of_genes(view, found, against).astype(np.float32)
    rates = (sums + 0.5) / (depth + 1.0) * 1e4
    return {gene: float(1 / np.sqrt(rate)) for gene, rate in zip(found, rates, strict=True)}


def _genes(
    view: PanelView, moved: frozenset[str], weights: dict[str, float]
) -> tuple[dict[str, dict[str, float]], dict[str, int]]:
    """Weights of the genes of each score (none where it is not measurable), and how many steady."""
    columns: dict[str, dict[str, float]] = {}
    used: dict[str, int] = {}
    for module, name in SETS.items():
        full = _sets.for_species(name, view.species)
        found = view.found(full)
        steady = [gene for gene in found if gene not in moved]
        enough = _coverage.status_of(len(found), len(full)) in {"ok", "partial"}
        for score, genes in ((module, found), (f"{module}_resid", steady)):
            mine = {gene: weights[gene] for gene in genes if gene in weights}
            columns[score] = mine if enough and len(mine) >= 2 else {}
        used[f"{module}_resid"] = len(steady)
    return columns, used


def _rates(
    view: PanelView, columns: dict[str, dict[str, float]], moved: list[str]
) -> dict[str, Floats]:
    """Weighted UMI per 10,000 of each cell; of residuals over the UMI that are of no moving gene.

    Linear in the counts, so its mean does not move with depth: thinning a cell to half of its
    UMI halves the counts and the depth alike.
    """
    of_rest = [name.endswith("_resid") for name in columns]
    apart = dict.fromkeys(moved, 1.0)
    found = rates_of(view, [*columns.values()], apart=apart, of_rest=of_rest)
    return dict(zip(columns, found, strict=True))


def _z(rates: Floats, mean: Floats, sd: Floats, at: NDArray[np.intp], *, out: Values) -> None:
    """A score against the mean and SD of each type, in the precision in which it is stored.

    ``rates`` are written over.
    """
    rates -= mean[at]
    rates /= above_zero(sd)[at]
    out[:] = rates
