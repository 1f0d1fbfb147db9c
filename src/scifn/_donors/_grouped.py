"""Cells by group, of donors or of their cells of a type."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
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
