"""Cells by group, of donors or of their cells of a type, and means with their standard errors."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._labels import IntArray

FloatArray = NDArray[np.float64]
Singles = NDArray[np.float32]

#: Cells that are looked at together: few enough to stay near the processor.
RUN: Final = 32_768


class Moments(NamedTuple):
    """Of the cells of each group, (n_groups,) each; of those that have a finite value."""

    n: FloatArray
    #: Mean, and the sum of squares about it; 0 without a cell.
    mean: FloatArray
    squares: FloatArray

    def together(self, axis: int) -> Moments:
        """Of the cells of all groups along an axis."""
        n = self.n.sum(axis=axis)
        mean = (self.n * self.mean).sum(axis=axis) / np.maximum(n, 1)
        away = self.mean - np.expand_dims(mean, axis)
        return Moments(n, mean, (self.squares + self.n * away**2).sum(axis=axis))

    def with_error(self) -> tuple[FloatArray, FloatArray]:
        """Mean and its standard error: NaN of no cell, and of fewer than two."""
        mean = np.where(self.n > 0, self.mean, np.nan)
        several = np.where(self.n > 1, self.n * (self.n - 1), np.nan)
        return mean, np.sqrt(self.squares / several)


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


def cells_by_type(
    rows: IntArray, types: IntArray, n_rows: int, without: tuple[str, ...] = ()
) -> tuple[IntArray, IntArray]:
    """Groups of cells of one type in one row of the donor table, and the group of each cell.

    Parameters
    ----------
    rows, types
        Row of the table (-1 for none) and position in ``_keys.CELL_TYPES`` of each cell.
    n_rows
        Rows of the table.
    without
        Types whose cells belong to no group.

    Returns
    -------
    groups, member
        ``row * n_types + type`` of each group that has cells, sorted, and the place of each cell
        among them; cells of no group have the one after the last.
    """
    n = n_rows * len(k.CELL_TYPES)
    flat = rows * len(k.CELL_TYPES) + types
    out = np.isin(k.CELL_TYPES, without)
    flat[(rows < 0) | out[types]] = n
    groups, member = groups_of(flat, n + 1)
    return groups[groups < n], member


def named(table: pd.DataFrame, rows: IntArray) -> dict[str, list[str]]:
    """Donor, condition and visit of some rows of the donor table."""
    out = {}
    for name in ("donor", "condition", "visit"):
        texts = [str(x) for x in table[name]]
        out[name] = [texts[i] for i in rows]
    return out


def moments(values: FloatArray | Singles, at: IntArray, n_groups: int) -> Moments:
    """Moments of the finite values of each group; cells in group ``n_groups`` belong to none.

    >>> values, at = np.array([1.0, 3, 5, 7, np.nan]), np.array([0, 0, 1, 2, 1])
    >>> mean, error = moments(values, at, 2).with_error()
    >>> mean.tolist(), error.tolist()
    ([2.0, 5.0], [1.0, nan])
    """
    # twice through the cells, for squares about the mean of a group are exact where all are alike
    size = max(RUN, 4 * n_groups)
    runs = [slice(start, start + size) for start in range(0, len(at), size)]
    n, total, squares = np.zeros((3, n_groups + 1))
    for run in runs:
        found, place = _finite(values[run], at[run])
        n += np.bincount(place, minlength=n.size)
        total += np.bincount(place, weights=found, minlength=n.size)
    mean = total / np.maximum(n, 1)
    for run in runs:
        found, place = _finite(values[run], at[run])
        away = found - mean[place]
        squares += np.bincount(place, weights=away * away, minlength=n.size)
    return Moments(n[:-1], mean[:-1], squares[:-1])


def _finite(values: FloatArray | Singles, at: IntArray) -> tuple[FloatArray | Singles, IntArray]:
    known = np.isfinite(values)
    return (values, at) if known.all() else (values[known], at[known])
