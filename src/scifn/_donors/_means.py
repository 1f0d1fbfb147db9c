"""Means of the cells' scores per donor and cell type: what later steps know of single cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._grouped import cells_by_type, named
from scifn._donors._labels import IntArray
from scifn._stats.moments import moments_of_each

_RESPONSE = (k.RESPONSE_TYPE1, k.RESPONSE_TYPE2, k.RESPONSE_BALANCE)


def type_means(
    obs: pd.DataFrame,
    capacity: pd.DataFrame | None,
    rows: IntArray,
    types: IntArray,
    table: pd.DataFrame,
) -> pd.DataFrame | None:
    """Average response and capacity over the cells of one type in one row of the donor table.

    Parameters
    ----------
    obs
        With the response columns, where that step was done.
    capacity
        A column a module, a row a cell; None where that step was not done.
    rows, types
        Row of ``table`` (-1 for none) and position in ``_keys.CELL_TYPES`` of each cell.
    table
        Donor table.

    Returns
    -------
    A row a group that has cells: ``donor, condition, visit, cell_type, n_cells`` and of each score
    its mean and standard error over cells (``_se``; NaN for a single cell). None without scores.
    """
    scores = {name.removeprefix(k.PREFIX): obs[name] for name in _RESPONSE if name in obs}
    if capacity is not None:
        scores |= {str(name): capacity[name] for name in capacity}
    if not scores:
        return None
    groups, member = cells_by_type(rows, types, len(table), without=k.NOT_COUNTED)
    row, kind = np.divmod(groups, len(k.CELL_TYPES))
    out: dict[str, object] = dict(named(table, row))
    out["cell_type"] = [k.CELL_TYPES[i] for i in kind]
    out["n_cells"] = np.bincount(member, minlength=len(groups))[: len(groups)].astype(np.int64)
    each = moments_of_each(map(_numbers, scores.values()), member, len(groups))
    for name, found in zip(scores, each, strict=True):
        out[name], out[f"{name}_se"] = found.with_error()
    return pd.DataFrame(out)


def _numbers(column: pd.Series) -> NDArray[Any]:
    """Values as they are if they are of single precision, else as doubles."""
    if column.dtype == np.float32:
        return column.to_numpy()
    return column.to_numpy(dtype=np.float64, na_value=np.nan)
