"""Panel UMI summed per donor, condition, visit and cell type."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scifn import _keys as k
from scifn import _matrix
from scifn._donors._grouped import groups_of, named
from scifn._donors._labels import IntArray

#: Cells from which on compiling pays.
COMPILED_FROM: Final = _matrix.COMPILED
#: Cells whose counts are there at once.
RUN: Final = 32_768


def pseudobulk(
    runs: Iterable[tuple[slice, Any]],
    genes: Sequence[str],
    total: NDArray[np.float64],
    rows: IntArray,
    types: IntArray,
    table: pd.DataFrame,
) -> pd.DataFrame:
    """Sum counts over the cells of one type in one row of the donor table.

    Parameters
    ----------
    runs
        Cells, run after run, and their UMI counts (cells x genes, CSR), so that those of all cells
        need not be there at once.
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
    add = _compiled if len(rows) >= COMPILED_FROM else _add
    summed = np.zeros((len(groups), len(genes)))
    for cells, values in runs:
        add(values, of_cell[cells], summed)
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


def _add(values: Any, groups: IntArray, out: NDArray[np.float64]) -> None:
    """Add cells to their groups."""
    keep = np.flatnonzero(groups >= 0)
    pick = sparse.csr_array(
        (np.ones(len(keep)), (groups[keep], keep)), shape=(len(out), values.shape[0])
    )
    out += (pick @ values.astype(np.float64)).toarray()


def _compiled(values: Any, groups: IntArray, out: NDArray[np.float64]) -> None:
    from scifn._donors._compiled import add_groups

    indices = values.indices.astype(np.int32, copy=False)
    add_groups(values.data, indices, values.indptr.astype(np.int64, copy=False), groups, out)
