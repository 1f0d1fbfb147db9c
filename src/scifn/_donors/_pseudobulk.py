"""Panel UMI summed per donor, condition, visit and cell type."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._grouped import cells_by_type, named
from scifn._donors._labels import IntArray

FloatArray = NDArray[np.float64]


def pseudobulk(
    by_group: Callable[[IntArray, int], FloatArray],
    total: FloatArray,
    rows: IntArray,
    types: IntArray,
    table: pd.DataFrame,
) -> tuple[pd.DataFrame, FloatArray]:
    """Sum counts over the cells of one type in one row of the donor table.

    Parameters
    ----------
    by_group
        Gives the UMI of each gene summed over the cells of each group, (n_groups, n_genes), from
        the group of each cell (-1 for none) and the number of groups.
    total
        UMIs of the whole matrix a cell, (n_cells,).
    rows, types
        Row of ``table`` (-1 for none) and position in ``_keys.CELL_TYPES`` of each cell.
    table
        Donor table; its first columns name the rows.

    Returns
    -------
    rows, umi
        A row a group that has cells: ``donor, condition, visit, cell_type, n_cells, total_umi``,
        sorted as the donor table, then as the cell types; and the sums, (n_groups, n_genes).
    """
    groups, member = cells_by_type(rows, types, len(table))
    n = len(groups)
    row, kind = np.divmod(groups, len(k.CELL_TYPES))
    frame = pd.DataFrame(
        {
            **named(table, row),
            "cell_type": [k.CELL_TYPES[i] for i in kind],
            "n_cells": np.bincount(member, minlength=n)[:n].astype(np.int64),
            "total_umi": np.bincount(member, weights=total, minlength=n)[:n],
        }
    )
    member[member == n] = -1
    return frame, by_group(member, n)
