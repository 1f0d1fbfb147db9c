"""Dask arrays: every chunk is worked on where it lives, and only what is small comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._matrix._storage import Block, as_csr

Result = TypeVar("Result")


def dask_blocks(matrix: Any) -> Iterator[Block]:
    for rows, features, delayed in dask_parts(matrix):
        yield Block(rows, features, as_csr(delayed.compute()))


def dask_parts(matrix: Any) -> Iterator[tuple[slice, slice, Any]]:
    """Rows, features and delayed value of each chunk of a dask array."""
    if any(np.isnan(size) for sizes in matrix.chunks for size in sizes):
        matrix.compute_chunk_sizes()
    grid = matrix.to_delayed()
    row_ends, column_ends = (np.cumsum(sizes) for sizes in matrix.chunks)
    for i, row_end in enumerate(row_ends):
        rows = slice(int(row_end - matrix.chunks[0][i]), int(row_end))
        for j, column_end in enumerate(column_ends):
            columns = slice(int(column_end - matrix.chunks[1][j]), int(column_end))
            yield rows, columns, grid[i, j]


def first_rows(matrix: Any, n: int) -> Any:
    """Rows of the first row of chunks that is not all zero: only those chunks are computed."""
    for i in range(matrix.numblocks[0]):
        chunks = [matrix.blocks[i, j].compute() for j in range(matrix.numblocks[1])]
        rows = sp.hstack([as_csr(chunk)[:n] for chunk in chunks], format="csr")
        if (rows.data != 0).any():
            break
    return rows


def dask_pass(
    matrix: Any, select: Any, weight: NDArray[np.float64], how: Any
) -> list[dict[str, Any]]:
    """The one pass, each chunk reduced where it lives; only the small parts come back."""
    import dask

    from scifn._matrix import _pass

    layout = list(dask_parts(matrix))
    whole = matrix.numblocks[1] == 1
    lazy = [
        dask.delayed(_pass._reduce_chunk)(
            chunk, select[features], weight[features], how, whole=whole
        )
        for _, features, chunk in layout
    ]
    by_rows: dict[int, dict[str, Any]] = {}
    for (rows, _, _), part in zip(layout, dask.compute(*lazy), strict=True):
        start = rows.start
        by_rows[start] = _pass._join(by_rows[start], part) if start in by_rows else part
    return [by_rows[start] for start in sorted(by_rows)]


def map_dask(matrix: Any, function: Callable[[Any], Result]) -> Iterator[tuple[slice, Result]]:
    import dask

    by_rows: dict[tuple[int, int], list[Any]] = {}
    for rows, _, chunk in dask_parts(matrix):
        by_rows.setdefault((rows.start, rows.stop), []).append(chunk)
    lazy = [dask.delayed(_of_chunks)(chunks, function) for chunks in by_rows.values()]
    for (start, stop), result in zip(by_rows, dask.compute(*lazy), strict=True):
        yield slice(start, stop), result


def _of_chunks(chunks: list[Any], function: Callable[[Any], Result]) -> Result:
    rows = [as_csr(chunk) for chunk in chunks]
    return function(rows[0] if len(rows) == 1 else as_csr(sp.hstack(rows, format="csr")))
