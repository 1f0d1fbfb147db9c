"""Cells by group, of donors or of their cells of a type, and means with their standard errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn._donors._labels import IntArray

FloatArray = NDArray[np.float64]


def groups_of(flat: IntArray, n: int) -> tuple[IntArray, IntArray]:
    """Numbers below ``n`` that occur, sorted, and the place of each among them, without a sort.

    >>> groups_of(np.array([3, 1, 3]), 5)
    (array([1, 3]), array([1, 0, 1]))
    """
    if n > 4 * flat.size + 2**20:  # so many that counting costs more
        found, places = np.unique(flat, return_inverse=True)
        return found, places.ravel()
    there = np.bincount(flat, minlength=n) > 0
    return np.flatnonzero(there), (np.cumsum(there) - 1)[flat]


def named(table: pd.DataFrame, rows: IntArray) -> dict[str, list[str]]:
    """Donor, condition and visit of some rows of the donor table."""
    out = {}
    for name in ("donor", "condition", "visit"):
        texts = [str(x) for x in table[name]]
        out[name] = [texts[i] for i in rows]
    return out


def mean_of_cells(
    values: FloatArray, at: IntArray, n_groups: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cells, mean and standard error of the mean of each group, (n_groups,) each.

    The mean of no cell and the standard error of a single one are NaN.

    >>> [x.tolist() for x in mean_of_cells(np.array([1.0, 3, 5]), np.array([0, 0, 1]), 2)]
    [[2.0, 1.0], [2.0, 5.0], [1.0, nan]]
    """
    n = np.bincount(at, minlength=n_groups).astype(np.float64)
    unknown = np.full(n_groups, np.nan)
    total = np.bincount(at, weights=values, minlength=n_groups)
    mean = np.divide(total, n, out=unknown.copy(), where=n > 0)
    squares = np.bincount(at, weights=(values - mean[at]) ** 2, minlength=n_groups)
    return n, mean, np.sqrt(np.divide(squares, n * (n - 1), out=unknown, where=n > 1))
