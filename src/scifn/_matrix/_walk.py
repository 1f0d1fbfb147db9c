"""Rows of a CSC matrix in memory, compiled: every column is walked down once, in step.

Imported only where there are enough rows for a compiler to pay.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from scifn._matrix._numba import compiled


def _count(indices: Any, ends: Any, at: Any, start: int, stop: int, numbers: Any) -> None:
    """How many values each row of the stripe has."""
    for j in range(at.size):
        p = at[j]
        while p < ends[j] and indices[p] < stop:
            numbers[indices[p] - start] += 1
            p += 1


def _fill(
    data: Any, indices: Any, ends: Any, at: Any, start: int, stop: int,
    place: Any, values: Any, columns: Any,
) -> None:  # fmt: skip
    """Put the values of the stripe into its rows, and move on in every column."""
    for j in range(at.size):
        p = at[j]
        while p < ends[j] and indices[p] < stop:
            row = indices[p] - start
            values[place[row]] = data[p]
            columns[place[row]] = j
            place[row] += 1
            p += 1
        at[j] = p


_counted = compiled(_count)
_filled = compiled(_fill)


def stripes(matrix: Any, slices: Iterator[slice]) -> Iterator[tuple[slice, Any]]:
    """Rows and their CSR matrix, for ``slices`` that cover a CSC matrix from top to bottom.

    The indices of each column must be sorted.
    """
    at, ends = matrix.indptr[:-1].astype(np.int64), matrix.indptr[1:].astype(np.int64)
    for rows in slices:
        place = np.zeros(rows.stop - rows.start + 1, dtype=np.int64)
        _counted(matrix.indices, ends, at, rows.start, rows.stop, place[1:])
        indptr = np.cumsum(place)
        values = np.empty(indptr[-1], dtype=matrix.data.dtype)
        columns = np.empty(indptr[-1], dtype=np.int32)
        place = indptr[:-1].copy()
        _filled(
            matrix.data, matrix.indices, ends, at, rows.start, rows.stop, place, values, columns
        )
        shape = (rows.stop - rows.start, matrix.shape[1])
        yield rows, sp.csr_array((values, columns, indptr), shape=shape, copy=False)
