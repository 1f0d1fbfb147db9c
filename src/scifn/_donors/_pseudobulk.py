"""Panel UMI summed per donor, condition, visit and cell type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._grouped import groups_of, named
from scifn._donors._labels import IntArray

FloatArray = NDArray[np.float64]


def pseudobulk(
    by_group: Callable[[IntArray, int], FloatArray],
    genes: Sequence[str],
    total: FloatArray,
    rows: IntArray,
    types: IntArray,
    table: pd.DataFrame,
) -> pd.DataFrame:
    """Sum counts over the cells of one type in one row of the donor table.

    Parameters
    ----------
    by_group
        Gives the UMI of each gene summed over the cells of each group, (n_groups, n_genes), from
        the group of each cell (-1 for none) and the number of groups.
    genes
        Names of the columns.
    total
        UMIs of the whole matrix a cell, (n_cells,).
    rows, types
        Row of ``table`` (-1 for none) and position in ``_keys.CELL_TYPES`` of each cell.
    table
        Donor table; its first columns name the rows.

    Returns
    -------
    A row a group that has cells: ``donor, condition, visit, cell_type, n_cells, total_umi`` and a
    column a gene. Sorted as the donor table, then as the cell types.
    """
    keep = np.flatnonzero(rows >= 0)
    flat = rows[keep] * len(k.CELL_TYPES) + types[keep]
    groups, member = groups_of(flat, len(table) * len(k.CELL_TYPES))
    of_cell = np.full(len(rows), -1, dtype=np.int64)
    of_cell[keep] = member
    summed = by_group(of_cell, len(groups))
    row, kind = np.divmod(groups, len(k.CELL_TYPES))
    head = named(table, row)
    frame = pd.DataFrame(
        {
            **head,
            "cell_type": [k.CELL_TYPES[i] for i in kind],
            "n_cells": np.bincount(member, minlength=len(groups)).astype(np.int64),
            "total_umi": np.bincount(member, weights=total[keep], minlength=len(groups)),
        }
    )
    return pd.concat([frame, pd.DataFrame(summed, columns=[k.column(g) for g in genes])], axis=1)
