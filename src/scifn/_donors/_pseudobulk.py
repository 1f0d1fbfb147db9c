"""Panel UMI summed per donor, condition, visit and cell type."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scifn import _keys as k
from scifn._donors._labels import IntArray


def pseudobulk(
    values: sparse.csr_array,
    genes: Sequence[str],
    total: NDArray[np.float64],
    rows: IntArray,
    types: IntArray,
    table: pd.DataFrame,
) -> pd.DataFrame:
    """Sum counts over the cells of one type in one row of the donor table.

    Parameters
    ----------
    values
        UMI counts, (n_cells, n_genes).
    genes
        Names of the columns of ``values``.
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
    groups, member = np.unique(flat, return_inverse=True)
    ones = np.ones(len(keep))
    pick = sparse.csr_array((ones, (member, keep)), shape=(len(groups), values.shape[0]))
    summed = np.asarray((pick @ values.astype(np.float64)).toarray())
    row, kind = np.divmod(groups, len(k.CELL_TYPES))
    head = {
        name: [str(table[name].iloc[i]) for i in row] for name in ("donor", "condition", "visit")
    }
    frame = pd.DataFrame(
        {
            **head,
            "cell_type": [k.CELL_TYPES[i] for i in kind],
            "n_cells": np.bincount(member, minlength=len(groups)).astype(np.int64),
            "total_umi": np.bincount(member, weights=total[keep], minlength=len(groups)),
        }
    )
    return pd.concat([frame, pd.DataFrame(summed, columns=[k.column(g) for g in genes])], axis=1)
