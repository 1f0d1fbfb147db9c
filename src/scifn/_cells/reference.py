"""Reference values of control cells of the same type, stored so that they can be used again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k

Floats = NDArray[np.float64]

#: Control cells of a type below which its lineage stands in, and below that all controls.
MIN_CELLS: Final = 20
ALL: Final = "all"
COLUMNS: Final = ("score", "group", "n_cells", "mean", "sd")


def measure(scores: Mapping[str, Floats], types: Any, controls: NDArray[np.bool_]) -> pd.DataFrame:
    """Mean and SD of each score in control cells: of each type, each lineage, and all.

    Returns
    -------
    Rows (score, group, n_cells, mean, sd). Groups with fewer than :data:`MIN_CELLS` cells have
    no row; "all" always has one.
    """
    cells = np.flatnonzero(controls)
    codes, found = pd.factorize(types)
    names = [str(name) for name in found]
    rows = []
    lineages = [f"lineage {k.LINEAGE_OF.get(name, '')}" for name in names]
    for labels in (names, lineages, [ALL] * len(names)):
        groups = sorted(set(labels))
        at = np.array([groups.index(label) for label in labels], dtype=np.int64)[codes[cells]]
        n = np.bincount(at, minlength=len(groups))
        each = {name: _moments(values[cells], at, len(groups)) for name, values in scores.items()}
        rows += [
            (str(name), group, int(each[name][0][i]), *(float(x[i]) for x in each[name][1:]))
            for i, group in enumerate(groups)
            if group == ALL or n[i] >= MIN_CELLS
            for name in scores
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _moments(values: Floats, at: NDArray[np.int64], n_groups: int) -> tuple[Floats, Floats, Floats]:
    """Number, mean and SD of the finite values of each group."""
    known = np.isfinite(values)
    if not known.all():
        values, at = values[known], at[known]
    n = np.bincount(at, minlength=n_groups).astype(np.float64)
    nothing = np.full(n_groups, np.nan)
    total = np.bincount(at, weights=values, minlength=n_groups)
    mean = np.divide(total, n, out=nothing.copy(), where=n > 0)
    squares = np.bincount(at, weights=(values - mean[at]) ** 2, minlength=n_groups)
    return n, mean, np.sqrt(np.divide(squares, n - 1, out=nothing, where=n > 1))


def of_cells(table: pd.DataFrame, score: str, types: Any) -> tuple[Floats, Floats]:
    """Mean and SD that each cell is held against: of its type, else lineage, else all."""
    rows = table[table["score"] == score].set_index("group")
    codes, found = pd.factorize(types)
    mean, sd = np.full(len(found), np.nan), np.full(len(found), np.nan)
    for i, name in enumerate(map(str, found)):
        group = next(
            (g for g in (name, f"lineage {k.LINEAGE_OF.get(name, '')}", ALL) if g in rows.index),
            None,
        )
        if group is not None:
            mean[i], sd[i] = rows.at[group, "mean"], rows.at[group, "sd"]
    return mean[codes], sd[codes]


def ratio(numerator: Floats, denominator: Floats, out: Floats | None = None) -> Floats:
    """Quotient; NaN where the denominator is not above zero. ``out`` may be the numerator."""
    out = np.empty(denominator.size) if out is None else out
    there = denominator > 0
    np.divide(numerator, denominator, out=out, where=there)
    out[~there] = np.nan
    return out
