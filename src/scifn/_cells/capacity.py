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
from scifn._view import PanelView
from scifn.genesets import _coverage, _ids, _sets

Floats = NDArray[np.float64]

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
    types: NDArray[Any],
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
    depth = view.total - view.sum(moved)
    weights = stored[1] if stored else _weights(view, against)
    columns: dict[str, Floats] = {}
    used: dict[str, int] = {}
    for module, name in SETS.items():
        found = view.found(_sets.for_species(name, view.species))
        steady = [gene for gene in found if gene not in moved]
        columns[module] = _rate(view, found, view.total, weights, name)
        columns[f"{module}_resid"] = _rate(view, steady, depth, weights, name)
        used[f"{module}_resid"] = len(steady)
    raw = pd.DataFrame(columns)
    table = stored[0] if stored else reference.measure(raw, types, against)
    scores = pd.DataFrame({name: _z(columns[name], table, name, types) for name in columns})
    sets = {name: _sets.for_species(name, view.species) for name in SETS.values()}
    rows = _coverage.coverage({name: genes for name, genes in sets.items() if genes}, view)
    record = {
        "wording": WORDING,
        "against": "control cells of the same type" if controls is not None else "all cells",
        "residual_genes": used,
    }
    return Capacity(scores, table, weights, rows, record)


def _weights(view: PanelView, against: NDArray[np.bool_]) -> dict[str, float]:
    """1 / sqrt(rate) of each module gene over all controls: the inverse of its noise."""
    genes = sorted({g for name in SETS.values() for g in _sets.for_species(name, view.species)})
    found = view.found(genes)
    depth = max(float(view.total[against].sum()), 1.0)
    sums = np.asarray(view.csr(found)[np.flatnonzero(against)].sum(axis=0)).ravel()
    rates = (sums + 0.5) / (depth + 1.0) * 1e4
    return {gene: float(1 / np.sqrt(rate)) for gene, rate in zip(found, rates, strict=True)}


def _rate(
    view: PanelView, genes: list[str], depth: Floats, weights: dict[str, float], name: str
) -> Floats:
    full = _sets.for_species(name, view.species)
    genes = [gene for gene in genes if gene in weights]
    enough = _coverage.status_of(len(view.found(full)), len(full)) in {"ok", "partial"}
    if not enough or len(genes) < 2:
        return np.full(view.n_cells, np.nan)
    return reference.weighted_rate(view.csr(genes), depth, [weights[gene] for gene in genes])


def _z(scores: Floats, table: pd.DataFrame, name: str, types: NDArray[Any]) -> Floats:
    mean, sd = reference.of_cells(table, name, types)
    return reference.ratio(scores - mean, sd)
