"""The one pass: panel genes and totals of every cell from one reading of the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._errors import MatrixError
from scifn._matrix._dask import dask_pass
from scifn._matrix._scale import LINEARIZE, row_minimum, unit
from scifn._matrix._storage import (
    as_csr,
    blocks,
    is_column_compressed,
    is_dask,
)


class Unreadable(MatrixError):  # noqa: N818  (never seen by a user: the view names the cells)
    """A value of the matrix is NaN, infinite or negative."""


@dataclass(frozen=True)
class Panel:
    """What one pass over a matrix yields.

    Attributes
    ----------
    values
        Linear values (UMI, or expm1 of the logarithms), cells x genes, float64.
    total
        Sum over all features of each cell, on the same scale.
    n_genes
        Features above zero in each cell.
    one
        Value of one UMI in each cell (1 for counts), or its smallest value above zero where
        counts are not recovered; inf in an empty cell.
    exact
        Whether every value of each cell is a whole multiple of ``one``.
    """

    values: Any
    total: NDArray[np.float64]
    n_genes: NDArray[np.int64]
    one: NDArray[np.float64]
    exact: NDArray[np.bool_]


def selector(columns: Sequence[tuple[int, ...]], n_features: int) -> Any:
    """Features x genes matrix of ones: a product with it picks genes and sums duplicates."""
    rows = np.array([feature for group in columns for feature in group], dtype=np.int64)
    genes = np.repeat(np.arange(len(columns)), [len(group) for group in columns])
    shape = (n_features, len(columns))
    return sp.csr_array((np.ones(rows.size), (rows, genes)), shape=shape)


def one_pass(
    matrix: Any,
    columns: Sequence[tuple[int, ...]],
    included: NDArray[np.bool_],
    kind: str,
    *,
    recover: bool = True,
) -> Panel:
    """Read ``matrix`` once.

    Parameters
    ----------
    matrix
        Cells x features, any storage of :mod:`scifn._matrix._storage`.
    columns
        For each panel gene the features that are summed.
    included
        Features that count towards a cell's total (not antibodies or TE features).
    kind
        Scale, a key of :data:`~scifn._matrix._scale.LINEARIZE`.
    recover
        Whether counts are looked for in a normalized matrix.
    """
    select = selector(columns, matrix.shape[1])
    weight = included.astype(np.float64)
    how = _How(kind, recover)
    if is_dask(matrix):
        parts = dask_pass(matrix, select, weight, how)
    else:
        whole = not is_column_compressed(matrix)
        read = (
            _reduce(block.matrix, select[block.features], weight[block.features], how, whole=whole)
            for block in blocks(matrix)
        )
        parts = list(read) if whole else [reduce(_join, read)]
    return _finish(parts, (matrix.shape[0], len(columns)), how)


def unreadable_rows(matrix: Any) -> NDArray[np.int64]:
    """Rows that hold NaN, infinite or negative values (for a message: reads all of ``matrix``)."""
    found = [
        np.unique(_rows(block.matrix)[_bad(block.matrix.data)]) + block.rows.start
        for block in blocks(matrix)
    ]
    return np.unique(np.concatenate(found)).astype(np.int64)


@dataclass(frozen=True)
class _How:
    """How values are read: their scale, and whether counts are looked for."""

    kind: str
    recover: bool

    def linear(self, block: Any) -> Any:
        if _bad(block.data).any():
            raise Unreadable("some cells hold NaN, infinite or negative values")
        linear = block.astype(np.float64)
        linear.data = LINEARIZE[self.kind](linear.data)
        return linear

    def one(self, linear: Any) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Value of one UMI of each row, and whether the row is made of whole ones."""
        smallest = row_minimum(linear)
        empty = ~np.isfinite(smallest)
        if self.kind == "counts":
            off = linear.data != np.floor(linear.data)
            exact = np.bincount(_rows(linear)[off], minlength=linear.shape[0]) == 0
            return np.where(empty, np.inf, 1.0), exact
        if not self.recover:
            return smallest, empty
        one, exact = unit(linear, smallest)
        return one, exact | empty


def _bad(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(~np.isfinite(values) | (values < 0))


def _rows(matrix: Any) -> NDArray[np.int64]:
    """Row of each stored value of a CSR matrix."""
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))


def _reduce(
    block: Any, select: Any, weight: NDArray[np.float64], how: _How, *, whole: bool
) -> dict[str, Any]:
    """Everything that is kept of one CSR block; ``whole`` says that its rows are."""
    linear = how.linear(block)
    seen = (linear.data > 0) & (weight[linear.indices] > 0)
    kept = {
        "values": sp.csr_array(linear @ select),
        "total": linear @ weight,
        "n_genes": np.bincount(_rows(block)[seen], minlength=block.shape[0]),
    }
    if whole:
        kept["one"], kept["exact"] = how.one(linear)
    else:
        # what one UMI is can only be told from all values of a cell
        kept["levels"] = _levels(linear)
    return kept


def _levels(linear: Any) -> Any:
    """Distinct values above zero of each row, as CSR: a cell of counts has few of them."""
    kept = linear.data > 0
    rows, values = _rows(linear)[kept], linear.data[kept]
    order = np.lexsort((values, rows))
    rows, values = rows[order], values[order]
    new = np.ones(rows.size, dtype=bool)
    new[1:] = (rows[1:] != rows[:-1]) | (values[1:] != values[:-1])
    rows, values = rows[new], values[new]
    ends = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=linear.shape[0]))])
    place = np.arange(rows.size) - ends[rows]
    shape = (linear.shape[0], int(place.max()) + 1 if rows.size else 1)
    return sp.csr_array((values, place, ends), shape=shape)


def _join(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Join what is kept of the same cells and different features."""
    joined = {key: one[key] + other[key] for key in ("values", "total", "n_genes")}
    joined["levels"] = _levels(sp.hstack([one["levels"], other["levels"]], format="csr"))
    return joined


def _reduce_chunk(
    chunk: Any, select: Any, weight: NDArray[np.float64], how: _How, *, whole: bool
) -> dict[str, Any]:
    return _reduce(as_csr(chunk), select, weight, how, whole=whole)


def _finish(parts: list[dict[str, Any]], shape: tuple[int, int], how: _How) -> Panel:
    """Stack parts that hold successive cells."""
    for part in parts:
        if "levels" in part:
            part["one"], part["exact"] = how.one(part.pop("levels"))
    values = sp.vstack([sp.csr_array((0, shape[1])), *(part["values"] for part in parts)], "csr")
    values.sum_duplicates()
    values.eliminate_zeros()

    def stacked(key: str, dtype: Any) -> NDArray[Any]:
        return np.concatenate([np.empty(0, dtype), *(part[key] for part in parts)]).astype(dtype)

    return Panel(
        values=values,
        total=stacked("total", np.float64),
        n_genes=stacked("n_genes", np.int64),
        one=stacked("one", np.float64),
        exact=stacked("exact", np.bool_),
    )
