"""Blocks of whole rows of any storage, and a function mapped over them.

What ranks the genes of a cell, or needs its total first, must see all of its values at once.
Rows come from :func:`~scifn._matrix._storage.blocks` where storage is by rows; column-compressed
storage is read in stripes, and chunks of a dask array are put side by side where they live.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import scipy.sparse as sp

from scifn._matrix import _storage
from scifn._matrix._dask import map_dask
from scifn._matrix._files import ahead, compressed, in_file, stored_values, stripe_nnz, tell
from scifn._matrix._memory import assembled
from scifn._matrix._progress import counted, note
from scifn._matrix._storage import (
    Block,
    as_csr,
    blocks,
    file_blocks,
    is_column_compressed,
    is_dask,
)

Result = TypeVar("Result")

#: Blocks in a stripe of rows that is cut out of column-compressed storage, which costs a reading
#: of all columns; and stripes in a block where columns are walked down, which costs nothing.
STRIPE_BLOCKS = 2
STRIPES_A_BLOCK = 4
#: Threads that work on what one thread reads from a file.
MOST_WORKERS = 3


def map_rows(
    matrix: Any, function: Callable[[Any], Result], *, threads: int = 0
) -> Iterator[tuple[slice, Result]]:
    """Rows and ``function`` of their CSR block, for all rows of ``matrix`` in their order.

    Parameters
    ----------
    matrix
        Cells x features, any storage of :mod:`scifn._matrix._storage`.
    function
        Takes a CSR block of whole rows; it must not write to it. Of a dask array it runs where
        the chunk lives, so it must be picklable, and only its result comes back.
    threads
        How many blocks of a CSR matrix in memory or in a file are worked on at once, which pays
        if the function lets go of the interpreter. 0 means one, like all others brought into
        canonical form first; with 1 or more the function gets rows of CSR as they are stored.
    """
    if is_dask(matrix):
        yield from map_dask(matrix, function)
        return
    if threads > 0 and _is_csr(matrix):
        # views cost nothing, so that one may wait for the hand that is free first
        results = _side_by_side(_views(matrix), function, threads, waiting=1)
    elif threads > 0 and not reads_by_column(matrix) and in_file(matrix):
        # one thread reads, the others work; more of them would wait for the file
        workers = min(max(1, threads - 1), MOST_WORKERS)
        found = ahead(file_blocks(matrix, as_stored=True, workers=workers))
        results = _side_by_side(found, function, workers)
    else:
        for block in row_blocks(matrix, compiled=threads > 0):
            yield block.rows, function(block.matrix)
        return
    yield from counted(((one[0].stop, one) for one in results), matrix.shape[0])


def _side_by_side(
    found: Iterator[Block], function: Callable[[Any], Result], workers: int, waiting: int = 0
) -> Iterator[tuple[slice, Result]]:
    """Results in order; no more than ``waiting`` blocks are taken before there is a hand free."""
    if workers == 1:
        for block in found:
            yield block.rows, function(block.matrix)
        return
    taken: deque[tuple[slice, Future[Result]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for block in found:
            taken.append((block.rows, pool.submit(function, block.matrix)))
            del block
            if len(taken) >= workers + waiting:
                rows, result = taken.popleft()
                yield rows, result.result()
        yield from ((rows, result.result()) for rows, result in taken)


def row_blocks(matrix: Any, *, compiled: bool = False) -> Iterator[Block]:
    """Blocks of whole rows, as CSR; those of a CSR matrix in memory share its memory.

    ``compiled`` walks down a CSC matrix in memory instead of cutting every block out of it.
    """
    if _is_csr(matrix):
        found = _views(matrix, canonical=True)
    elif is_column_compressed(matrix):
        sort = compiled and sp.issparse(matrix) and matrix.has_canonical_format
        found = (_walk if sort else _stripes)(matrix)
    else:
        return blocks(matrix)
    return counted(((block.rows.stop, block) for block in found), matrix.shape[0])


def _views(matrix: Any, *, canonical: bool = False) -> Iterator[Block]:
    """Rows of a CSR matrix in memory, which share its memory as far as they can."""
    everything = slice(0, matrix.shape[1])
    for rows in _storage._row_slices(matrix.shape, matrix.nnz):
        found = view_rows(matrix, rows)
        yield Block(rows, everything, as_csr(found) if canonical else found)


def reads_by_column(matrix: Any) -> bool:
    """Whether whole rows of ``matrix`` cost several readings of a file."""
    return is_column_compressed(matrix) and not sp.issparse(matrix)


def view_rows(matrix: Any, rows: slice) -> Any:
    """Some rows of a CSR matrix that share its memory, not to be written to."""
    start, stop = matrix.indptr[rows.start], matrix.indptr[rows.stop]
    indices, ends = matrix.indices[start:stop], matrix.indptr[rows.start : rows.stop + 1] - start
    shape = (rows.stop - rows.start, matrix.shape[1])
    return assembled(sp.csr_array, shape, matrix.data[start:stop], indices, ends)


def _is_csr(matrix: Any) -> bool:
    return bool(sp.issparse(matrix) and matrix.format == "csr")


def _walk(matrix: Any) -> Iterator[Block]:
    from scifn._matrix import _walk as walk

    slices = _storage._row_slices(matrix.shape, STRIPES_A_BLOCK * matrix.nnz)
    for rows, stripe in walk.stripes(matrix, slices):
        yield Block(rows, slice(0, matrix.shape[1]), as_csr(stripe))


def _stripes(matrix: Any) -> Iterator[Block]:
    """Whole rows of column-compressed storage: a reading of all columns a stripe."""
    everything = slice(0, matrix.shape[1])
    if sp.issparse(matrix):
        for rows in _storage._row_slices(matrix.shape, -(-matrix.nnz // STRIPE_BLOCKS)):
            yield Block(rows, everything, as_csr(matrix[rows]))
        return
    tell(matrix)
    n_stripes = -(-stored_values(matrix) // stripe_nnz(STRIPE_BLOCKS * _storage.BLOCK_NNZ))
    if n_stripes > 1:
        note(
            f"a cell's values are scattered over all of the file, so that it is read {n_stripes:,} "
            "times; with more memory fewer times."
        )
    step = max(1, -(-matrix.shape[0] // max(n_stripes, 1)))
    for start in range(0, matrix.shape[0], step):
        rows = slice(start, min(start + step, matrix.shape[0]))
        yield Block(rows, everything, as_csr(_stripe(matrix, rows)))


def _stripe(matrix: Any, rows: slice) -> Any:
    """Some rows of a CSC matrix in a file; each block of columns is cut down on its way."""
    values, places, ends = [], [], [np.zeros(1, dtype=np.int64)]
    for _, block in ahead(compressed(matrix, _storage.BLOCK_NNZ)):
        kept = np.flatnonzero((block.indices >= rows.start) & (block.indices < rows.stop))
        values.append(block.data[kept])
        places.append((block.indices[kept] - rows.start).astype(np.int32))
        ends.append(ends[-1][-1] + np.searchsorted(kept, block.indptr[1:]))
    parts = (np.concatenate(values), np.concatenate(places), np.concatenate(ends))
    return sp.csc_array(parts, shape=(rows.stop - rows.start, matrix.shape[1]), copy=False)


def split_rows(block: Any, nnz: int) -> Iterator[tuple[slice, Any]]:
    """Cut a CSR block into runs of rows of about ``nnz`` values that share its memory."""
    if block.nnz <= nnz:
        yield slice(0, block.shape[0]), block
        return
    start, n_rows = 0, block.shape[0]
    while start < n_rows:
        fits = np.searchsorted(block.indptr, block.indptr[start] + nnz, side="right") - 1
        rows = slice(start, max(int(fits), start + 1))
        yield rows, view_rows(block, rows)
        start = rows.stop
