"""The one pass: panel genes and totals of every cell from one reading of the matrix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._errors import MatrixError
from scifn._matrix._scale import LINEARIZE, row_minimum, unit
from scifn._matrix._storage import blocks, dask_parts, is_column_compressed, is_dask

#: Cells that a message names.
_SHOWN = 3


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
        Value of one UMI in each cell (1 for counts); inf in an empty cell.
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
    matrix: Any, columns: Sequence[tuple[int, ...]], included: NDArray[np.bool_], kind: str
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
    """
    n_cells, n_features = matrix.shape
    select = selector(columns, n_features)
    weight = included.astype(np.float64)
    if is_dask(matrix):
        return _dask_pass(matrix, select, weight, kind)
    parts = [
        _reduce(block.matrix, select[block.features], weight[block.features], kind)
        for block in blocks(matrix)
    ]
    if is_column_compressed(matrix):
        return _finish(_add(parts))
    return _finish(_stack(parts, n_cells, len(columns)))


def _reduce(block: Any, select: Any, weight: NDArray[np.float64], kind: str) -> dict[str, Any]:
    """Everything that is kept of one CSR block."""
    _refuse_unreadable(block)
    linear = block.astype(np.float64)
    linear.data = LINEARIZE[kind](linear.data)
    smallest = row_minimum(linear)
    if kind == "counts":
        whole = linear.data == np.floor(linear.data)
        rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))
        exact = np.bincount(rows[~whole], minlength=block.shape[0]) == 0
        one = np.where(np.isfinite(smallest), 1.0, np.inf)
    else:
        one, exact = unit(linear, smallest)
        exact |= ~np.isfinite(smallest)
    kept = linear.data > 0
    detected = np.bincount(
        np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))[
            kept & (weight[linear.indices] > 0)
        ],
        minlength=block.shape[0],
    )
    return {
        "values": sp.csr_array(linear @ select),
        "total": linear @ weight,
        "n_genes": detected,
        "one": one,
        "exact": exact,
    }


def _refuse_unreadable(block: Any) -> None:
    bad = ~np.isfinite(block.data) | (block.data < 0)
    if not bad.any():
        return
    rows = np.repeat(np.arange(block.shape[0]), np.diff(block.indptr))[bad]
    shown = ", ".join(str(row) for row in np.unique(rows)[:_SHOWN])
    msg = (
        f"{np.unique(rows).size} cells hold NaN, infinite or negative values (rows {shown} of a "
        "block of the matrix); expression must be finite and not negative. Give the layer with "
        "raw counts (layer=), or drop these cells."
    )
    raise MatrixError(msg)


def _dask_pass(matrix: Any, select: Any, weight: NDArray[np.float64], kind: str) -> Panel:
    """As :func:`one_pass`, each chunk reduced where it lives; only the small parts come back."""
    from dask.base import compute
    from dask.delayed import delayed

    layout = list(dask_parts(matrix))
    lazy = [
        delayed(_reduce_chunk)(chunk, select[features], weight[features], kind)
        for _, features, chunk in layout
    ]
    parts = compute(*lazy)
    by_rows: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for (rows, _, _), part in zip(layout, parts, strict=True):
        by_rows.setdefault((rows.start, rows.stop), []).append(part)
    stacked = _stack(
        [_add(by_rows[key]) for key in sorted(by_rows)], matrix.shape[0], select.shape[1]
    )
    return _finish(stacked)


def _reduce_chunk(
    chunk: Any, select: Any, weight: NDArray[np.float64], kind: str
) -> dict[str, Any]:
    from scifn._matrix._storage import _as_csr

    return _reduce(_as_csr(chunk), select, weight, kind)


def _add(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Join parts that hold the same cells and different features."""
    if len(parts) == 1:
        return parts[0]
    one = np.min([part["one"] for part in parts], axis=0)
    values = parts[0]["values"]
    for part in parts[1:]:
        values = values + part["values"]
    return {
        "values": values,
        "total": np.sum([part["total"] for part in parts], axis=0),
        "n_genes": np.sum([part["n_genes"] for part in parts], axis=0),
        "one": one,
        "exact": np.all([part["exact"] & _multiple(part["one"], one) for part in parts], axis=0),
    }


def _multiple(values: NDArray[np.float64], one: NDArray[np.float64]) -> NDArray[np.bool_]:
    finite = np.isfinite(values)
    ratio = np.where(finite, values, 1.0) / np.where(finite, one, 1.0)
    return np.asarray(~finite | (np.abs(ratio - np.rint(ratio)) < 0.05))


def _stack(parts: list[dict[str, Any]], n_cells: int, n_genes: int) -> dict[str, Any]:
    """Join parts that hold successive cells."""
    if not parts:
        empty = np.zeros(n_cells)
        values = sp.csr_array((n_cells, n_genes))
        return {
            "values": values,
            "total": empty,
            "n_genes": empty,
            "one": empty,
            "exact": empty == 0,
        }
    joined = {
        key: np.concatenate([part[key] for part in parts]) for key in parts[0] if key != "values"
    }
    joined["values"] = sp.vstack([part["values"] for part in parts], format="csr")
    return joined


def _finish(parts: dict[str, Any]) -> Panel:
    values = sp.csr_array(parts["values"])
    values.sum_duplicates()
    values.eliminate_zeros()
    return Panel(
        values=values,
        total=np.asarray(parts["total"], dtype=np.float64),
        n_genes=np.asarray(parts["n_genes"], dtype=np.int64),
        one=np.asarray(parts["one"], dtype=np.float64),
        exact=np.asarray(parts["exact"], dtype=bool),
    )
