"""Response of a donor: by lineage, and as if every donor had the controls' composition.

Lineages respond to different degrees, so that the mean over all cells of a donor moves with the
share of, say, monocytes although no cell responds more (Catalina 2019,
doi:10.1038/s42003-019-0382-x). The standardized response takes the mean of each compartment and
weighs it by its share of the control cells, which is one number for all donors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._labels import IntArray
from scifn._stats.composition import ANTIBODY, MIN_CELLS, MIN_COVERED, MIN_SHARE, compartment
from scifn._stats.folds import log2_fold
from scifn._stats.moments import Moments, moments

FloatArray = NDArray[np.float64]

_COMPARTMENTS: Final = (*(x for x in k.LINEAGES if x != "Unassigned"), k.PLASMA)


def composition(reference: pd.DataFrame) -> dict[str, float]:
    """Share of each compartment among the control cells; none where there were no controls.

    Parameters
    ----------
    reference
        Stored reference of the response: ``score, group, n_cells``, where a group is a cell type
        or "lineage <name>".

    >>> rows = [("type1", "lineage B", 30), ("type1", "Plasma", 10), ("type1", "lineage Mono", 20)]
    >>> composition(pd.DataFrame(rows, columns=["score", "group", "n_cells"]))
    {'B': 0.4, 'Mono': 0.4, 'Plasma': 0.2}
    """
    if not len(reference):
        return {}
    mine = reference[reference["score"].astype(str) == "type1"]
    n = dict(zip(mine["group"].astype(str), mine["n_cells"].astype(float), strict=True))
    count = {name: n.get(f"lineage {name}", 0.0) for name in _COMPARTMENTS}
    count[k.PLASMA] = sum(n.get(name, 0.0) for name in ANTIBODY)
    count["B"] -= count[k.PLASMA]
    count["Other"] -= sum(n.get(name, 0.0) for name in (k.PLATELET, k.ERYTHROCYTE))
    total = sum(count.values())
    kept = {name: x for name, x in count.items() if total > 0 and x >= MIN_SHARE * total}
    return {name: x / sum(kept.values()) for name, x in kept.items()}


def response_of(
    obs: pd.DataFrame,
    rows: IntArray,
    types: IntArray,
    n_rows: int,
    weights: Mapping[str, float] | None = None,
) -> dict[str, FloatArray]:
    """Type I interferon response by lineage and standardized, each with its standard error.

    log2(1 + mean of the cells). Against controls that is the log2 fold of the donor's mean rate
    over theirs, which is what donors are compared by: means of a linear score are skewed. NaN below
    ten cells that have one; the standard error is that of the sampling of cells.

    Parameters
    ----------
    obs
        A row a cell.
    rows, types
        Row of the donor table (-1 for none) and position in ``_keys.CELL_TYPES`` of each cell.
    n_rows
        Rows of the donor table.
    weights
        Share of each compartment among the control cells (:func:`composition`); without any there
        is no standardized response.
    """
    if k.RESPONSE_TYPE1 not in obs:
        return {}
    score = obs[k.RESPONSE_TYPE1].to_numpy(dtype=np.float64, na_value=np.nan)
    n_types = len(k.CELL_TYPES)
    at = np.where(rows >= 0, rows * n_types + types, n_rows * n_types)
    of_type = moments(score, at, n_rows * n_types)
    each = Moments(*(x.reshape(n_rows, n_types) for x in of_type))
    out: dict[str, FloatArray] = {}
    lineages = [_lineage(name) for name in k.CELL_TYPES]
    there = np.bincount(types[rows >= 0], minlength=n_types) > 0
    for name in k.LINEAGES:
        mine = np.array([x == name for x in lineages], dtype=np.bool_)
        if (mine & there).any():
            out |= _logged(k.column(name), *_mean(each, mine))
    if weights:
        parts = [compartment(name) for name in k.CELL_TYPES]
        of = {name: np.array([x == name for x in parts], dtype=np.bool_) for name in weights}
        means = {name: _mean(each, of[name]) for name in weights}
        out |= _logged(k.STANDARDIZED, *_together(means, weights, n_rows))
    return out


def _lineage(cell_type: str) -> str:
    return "" if cell_type in k.NOT_COUNTED else k.LINEAGE_OF[cell_type]


def _mean(each: Moments, mine: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """Mean of a row's cells of some types and its standard error; NaN of fewer than ten cells."""
    found = Moments(*(x[:, mine] for x in each)).together(axis=1)
    mean, se = found.with_error()
    few = found.n < MIN_CELLS
    return np.where(few, np.nan, mean), np.where(few, np.nan, se)


def _together(
    means: Mapping[str, tuple[FloatArray, FloatArray]], weights: Mapping[str, float], n_rows: int
) -> tuple[FloatArray, FloatArray]:
    """Weighted mean of the compartments that a row has, if they are most of the composition."""
    total, variance, covered = np.zeros(n_rows), np.zeros(n_rows), np.zeros(n_rows)
    for name, (mean, se) in means.items():
        there = ~np.isnan(mean)
        covered[there] += weights[name]
        total[there] += weights[name] * mean[there]
        variance[there] += (weights[name] * se[there]) ** 2
    share = np.where(covered >= MIN_COVERED, covered, np.nan)
    return total / share, np.sqrt(variance) / share


def _logged(name: str, mean: FloatArray, se: FloatArray) -> dict[str, FloatArray]:
    """Both on the scale of donors, log2(1 + response)."""
    column = f"{k.RESPONSE_OF}{name}"
    fold, error = log2_fold(mean, se)
    return {column: fold, f"{column}_se": error}
