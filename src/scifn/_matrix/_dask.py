"""Dask arrays: every chunk is worked on where it lives, and only what is small comes back.

Reading a chunk and reducing it are one task. With a ``distributed.Client`` in use they run on its
workers, which read their own chunks; a worker that is lost takes nothing with it that cannot be
made again. Without one they run as dask was told to, by default in threads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from functools import partial, reduce
from typing import Any, Final, TypeVar
from uuid import uuid4

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._matrix._results import Told, results
from scifn._matrix._storage import Block, as_csr

Result = TypeVar("Result")

#: Places (cells x features) up to which chunks side by side are put together, so that a cell is
#: seen whole. Chunks of more are worked on one by one.
WHOLE_PLACES: Final = 2**27
#: Chunks of which the first rows are looked at: one in so many, and eight at most.
SAMPLED_EVERY: Final = 16


def dask_blocks(matrix: Any) -> Iterator[Block]:
    """Chunks as CSR blocks, one after another, computed and brought here."""
    for rows, features, delayed in dask_parts(matrix):
        yield Block(rows, features, as_csr(delayed.compute()))


def dask_parts(matrix: Any) -> Iterator[tuple[slice, slice, Any]]:
    """Rows, features and delayed value of each chunk of a dask array."""
    matrix = measured(matrix)
    grid = matrix.to_delayed()
    for i, rows in enumerate(_slices(matrix.chunks[0])):
        for j, columns in enumerate(_slices(matrix.chunks[1])):
            yield rows, columns, grid[i, j]


def measured(matrix: Any) -> Any:
    """``matrix`` with known sizes of chunks; the caller's own is left as it is."""
    if any(np.isnan(size) for sizes in matrix.chunks for size in sizes):
        matrix = matrix.copy()
        matrix.compute_chunk_sizes()
    return matrix


def _slices(sizes: tuple[int, ...]) -> list[slice]:
    ends = np.cumsum(sizes).tolist()
    return [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def first_rows(matrix: Any, n: int) -> Any:
    """About ``n`` rows from the tops of a few chunks that are not all zero, as CSR.

    Only those chunks are computed. Of chunks that hold all cells and some features, the first
    ones are enough where they are whole numbers, as they are for other storage by columns.
    """
    matrix = measured(matrix)
    n_chunks, n_across = matrix.numblocks
    if n_chunks == 1 and n_across > 1:
        first = _top(matrix.blocks[0, 0], n)
        if (first.data != 0).any() and (first.data == np.floor(first.data)).all():
            return first
    some = max(1, min(8, n_chunks // SAMPLED_EVERY))
    tops = [_top(matrix.blocks[i], -(-n // some)) for i in range(0, n_chunks, -(-n_chunks // some))]
    rows = sp.vstack(tops, format="csr")
    for i in range(n_chunks):
        if (rows.data != 0).any():
            break
        rows = _top(matrix.blocks[i], n)
    return rows


def _top(chunks: Any, n: int) -> Any:
    """First rows of chunks that stand side by side."""
    ((_, rows),) = map_dask(chunks, partial(_head, n=n), quiet=True)
    return rows


def _head(rows: Any, n: int) -> Any:
    return rows[:n]


def dask_pass(
    matrix: Any, select: Any, weight: NDArray[np.float64], how: Any
) -> Generator[dict[str, Any], None, None]:
    """What the one pass keeps of chunks of known sizes, in parts that hold successive cells."""
    from scifn._matrix import _pass

    if seen_whole(matrix):
        function = partial(_pass._reduce, select=select, weight=weight, how=how, whole=True)
        yield from (part for _, part in map_dask(matrix, function, as_stored=True))
        return
    for parts in _by_rows(_map_parts(matrix, select, weight, how), matrix.numblocks[1]):
        yield reduce(_pass._join, parts)


def seen_whole(matrix: Any) -> bool:
    """Whether all values of a cell come together; they do unless chunks are very wide."""
    places = max(matrix.chunks[0], default=0) * matrix.shape[1]
    return bool(matrix.numblocks[1] == 1 or places <= WHOLE_PLACES)


def _map_parts(
    matrix: Any, select: Any, weight: NDArray[np.float64], how: Any
) -> Iterator[tuple[tuple[int, ...], dict[str, Any]]]:
    """Place of each chunk in the grid, and what is kept of it."""
    features = _slices(matrix.chunks[1])
    shared = _shared([(select[some], weight[some], how) for some in features])
    out = matrix.map_blocks(
        _reduced_part, shared, dtype=object, meta=np.empty((0, 0), dtype=object)
    )
    yield from results(out, Told(matrix))


def _reduced_part(chunk: Any, shared: Any, block_id: tuple[int, int] = (0, 0)) -> dict[str, Any]:
    from scifn._matrix import _pass

    select, weight, how = shared[block_id[1]]
    return _pass._reduce(chunk, select, weight, how, whole=False)


def _by_rows(
    found: Iterator[tuple[tuple[int, ...], Result]], n_across: int
) -> Iterator[list[Result]]:
    """What was found of chunks side by side, from left to right, in the order of their rows."""
    held: dict[int, dict[int, Result]] = {}
    due = 0
    for (i, *j), result in found:
        held.setdefault(i, {})[j[0] if j else 0] = result
        while len(held.get(due, ())) == n_across:
            row = held.pop(due)
            yield [row[at] for at in range(n_across)]
            due += 1


def map_dask(
    matrix: Any,
    function: Callable[[Any], Result],
    *,
    as_stored: bool = False,
    quiet: bool = False,
) -> Iterator[tuple[slice, Result]]:
    """Rows and ``function`` of their CSR block, for all chunks of rows in their order.

    With ``as_stored`` the function takes CSR that is not in canonical form, too. Who watches is
    told how many cells are done, unless ``quiet``.
    """
    import dask.array as da

    matrix = measured(matrix)
    # a chunk that is alone in its rows becomes one task with its reading
    alone = matrix.numblocks[1] == 1
    out = da.blockwise(
        _of_chunk if alone else _of_chunks, "ij" if alone else "i", matrix, "ij",
        _shared(function), None, as_stored=as_stored,
        dtype=object, meta=np.empty((0, 0) if alone else 0, dtype=object), align_arrays=False,
    )  # fmt: skip
    in_order = _by_rows(results(out, None if quiet else Told(matrix)), 1)
    for rows, (result,) in zip(_slices(matrix.chunks[0]), in_order, strict=True):
        yield rows, result


def _of_chunk(chunk: Any, function: Callable[[Any], Result], *, as_stored: bool) -> Result:
    stored = as_stored and getattr(chunk, "format", None) == "csr"
    return function(chunk if stored else as_csr(chunk))


def _of_chunks(chunks: list[Any], function: Callable[[Any], Result], *, as_stored: bool) -> Result:
    rows = sp.hstack([as_csr(chunk) for chunk in chunks], format="csr")
    return function(rows if as_stored else as_csr(rows))


def _shared(value: Any) -> Any:
    """``value`` as a task of its own: it is sent once to each worker, not with every chunk."""
    import dask

    return dask.delayed(value, name=f"given-{uuid4().hex}", traverse=False)
