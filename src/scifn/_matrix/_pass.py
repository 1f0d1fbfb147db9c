"""The one pass: panel genes and totals of every cell from one reading of the matrix."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._errors import MatrixError
from scifn._matrix._dask import dask_pass, measured, seen_whole
from scifn._matrix._files import in_file
from scifn._matrix._panel import Compact, Held, Piece, Plain, merged, packed, unpacked
from scifn._matrix._rows import MOST_WORKERS, map_rows
from scifn._matrix._scale import LINEARIZE, row_minimum, unit
from scifn._matrix._storage import (
    as_csr,
    blocks,
    is_column_compressed,
    is_dask,
)
from scifn._matrix._threads import n_processors, one_thread_each

#: What is kept of successive cells; closed where something fails, so that no file is read on.
Parts = Generator[dict[str, Any], None, None]

#: Cells from which a compiler pays: fewer are done before it is.
COMPILED = 20_000
#: Cells in a piece of what is kept of many.
GATHERED = 32_768
#: Columns that a compact panel can number.
MOST_COLUMNS = 32_000
_UNREADABLE = "some cells hold NaN, infinite or negative values"


class Unreadable(MatrixError):  # noqa: N818  (never seen by a user: the view names the cells)
    """A value of the matrix is NaN, infinite or negative."""


@dataclass(frozen=True)
class Panel:
    """What one pass over a matrix yields.

    Attributes
    ----------
    values
        Linear values (UMI, or expm1 of the logarithms), cells x genes: a CSR matrix of float64,
        of many cells a :class:`~scifn._matrix._panel.Compact`.
    total
        Sum over all features of each cell, on the same scale.
    n_genes
        Features above zero in each cell.
    one
        Value of one UMI in each cell (1 for counts), or its smallest value above zero where
        counts are not recovered; inf in an empty cell.
    exact
        Whether every value of each cell is a whole multiple of ``one``.
    beside
        Whether the work of a :class:`Beside` is done, so that only what it keeps is here.
    """

    values: Any
    total: NDArray[np.float64]
    n_genes: NDArray[np.int64]
    one: NDArray[np.float64]
    exact: NDArray[np.bool_]
    beside: bool = False

    def held(self, one: NDArray[np.float64] | None = None, *, whole: bool = False) -> Held:
        """The values as they are kept, in units of ``one``, of which they are ``whole`` ones."""
        if isinstance(self.values, Compact):
            return self.values if one is None else self.values.in_units(one, whole=whole)
        values = sp.csr_array(self.values, dtype=np.float64)
        if one is not None:
            data = values.data / np.repeat(one, np.diff(values.indptr))
            parts = (np.rint(data) if whole else data, values.indices, values.indptr)
            values = sp.csr_array(parts, shape=values.shape)
        return Plain(values.astype(np.float32))


@dataclass(frozen=True)
class Beside:
    """Work on the cells while others are still being read, and what stays of them.

    Attributes
    ----------
    work
        Takes the values of successive cells, their totals, their numbers of genes, and which of
        all cells they are; called in threads, with some :data:`GATHERED` cells at a time.
    keep
        Columns of the panel that are needed afterwards.
    """

    work: Callable[[Compact, NDArray[np.float64], NDArray[np.int64], slice], None]
    keep: NDArray[np.bool_]


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
    beside: Beside | None = None,
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
    beside
        What is done with the cells that have been read. It is left undone, as the panel then says,
        where there are few of them, or where they are not read whole.
    """
    if is_dask(matrix):
        matrix = measured(matrix)
    select = Layout(selector(columns, matrix.shape[1]))
    weight = included.astype(np.float64)
    large = matrix.shape[0] >= COMPILED and select.n_stored <= MOST_COLUMNS
    how = _How(kind, recover, compiled=large)
    whole = large and (not is_dask(matrix) or seen_whole(matrix))
    parts: Parts
    if is_dask(matrix):
        parts = dask_pass(matrix, select, weight, how)
    elif is_column_compressed(matrix) and not large:
        read = (
            _reduce(block.matrix, select[block.features], weight[block.features], how, whole=False)
            for block in blocks(matrix)
        )
        parts = (one for one in [reduce(_join, read)])
    else:

        def reduced(block: Any) -> dict[str, Any]:
            return _reduce(block, select, weight, how, whole=True)

        parts = (one for _, one in map_rows(matrix, reduced, threads=n_processors() * large))
    spread = select.spread
    if beside is None or not whole:
        return _finish(list(_gathered(parts)), spread, how)
    # what is read from a file comes more slowly, and takes no more memory than it must
    threads = min(n_processors(), MOST_WORKERS) if in_file(matrix) else n_processors()
    # of few cells there are smaller batches, so that no processor has none
    most = min(GATHERED, max(GATHERED // 4, -(-matrix.shape[0] // threads)))
    kept = list(_worked_on(_cut_up(parts, most), beside, spread, threads, most))
    panel = _finish(kept, Compact((), spread).only(beside.keep).spread, how)
    return replace(panel, beside=True)


def unreadable_rows(matrix: Any) -> NDArray[np.int64]:
    """Rows that hold NaN, infinite or negative values (for a message: reads all of ``matrix``)."""
    found = [
        np.unique(_rows(block.matrix)[_bad(block.matrix.data)]) + block.rows.start
        for block in blocks(matrix)
    ]
    return np.unique(np.concatenate(found)).astype(np.int64)


@dataclass(frozen=True)
class Layout:
    """Where each feature goes.

    Attributes
    ----------
    matrix
        Features x columns of ones.
    """

    matrix: Any

    def __getitem__(self, features: slice) -> Layout:
        return Layout(self.matrix[features])

    @cached_property
    def _stored(self) -> tuple[NDArray[np.int64], list[tuple[int, ...]]]:
        """Stored column of each feature, counted from 1, and the columns that each is part of.

        They stand in the order of the features, so that those of a cell come in order too.
        """
        one = np.zeros(self.matrix.shape[0], dtype=np.int64)
        known: dict[tuple[int, ...], int] = {}
        for feature in np.flatnonzero(np.diff(self.matrix.indptr)):
            start, stop = self.matrix.indptr[feature : feature + 2]
            into = tuple(sorted(self.matrix.indices[start:stop].tolist()))
            one[feature] = known.setdefault(into, len(known) + 1)
        return one, list(known)

    @property
    def n_features(self) -> int:
        """Number of features that go anywhere."""
        return int((self._stored[0] > 0).sum())

    @property
    def n_stored(self) -> int:
        """Number of stored columns."""
        return len(self._stored[1])

    @cached_property
    def spread(self) -> Any:
        """Stored columns x columns of ones."""
        into = self._stored[1]
        rows = np.repeat(np.arange(len(into)), [len(columns) for columns in into])
        columns = np.array([column for group in into for column in group], dtype=np.int64)
        shape = (len(into), self.matrix.shape[1])
        return sp.csr_array((np.ones(rows.size), (rows, columns)), shape=shape)

    def code(self, weight: NDArray[np.float64]) -> NDArray[np.uint16]:
        """What the kernel reads of each feature: its stored column, and whether it is counted."""
        return (2 * self._stored[0] + (weight > 0)).astype(np.uint16)


@dataclass(frozen=True)
class _How:
    """How values are read: their scale, whether counts are looked for, and by which kernels."""

    kind: str
    recover: bool
    compiled: bool = False

    def linear(self, block: Any) -> Any:
        if _bad(block.data).any():
            raise Unreadable(_UNREADABLE)
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
    block: Any, select: Layout, weight: NDArray[np.float64], how: _How, *, whole: bool
) -> dict[str, Any]:
    """Everything that is kept of one CSR block; ``whole`` says that its rows are."""
    if whole and how.compiled:
        return _reduce_compiled(block, select, weight, how)
    block = as_csr(block)
    linear = how.linear(block)
    seen = (linear.data > 0) & (weight[linear.indices] > 0)
    kept = {
        "values": sp.csr_array(linear @ select.matrix),
        "total": linear @ weight,
        "n_genes": np.bincount(_rows(block)[seen], minlength=block.shape[0]),
    }
    if whole:
        kept["one"], kept["exact"] = how.one(linear)
    else:
        # what one UMI is can only be told from all values of a cell
        kept["levels"] = _levels(linear)
    return kept


def _reduce_compiled(
    block: Any, select: Layout, weight: NDArray[np.float64], how: _How
) -> dict[str, Any]:
    """As :func:`_reduce` of whole rows."""
    from scifn._matrix import _kernels

    if block.dtype.kind not in "iuf" or block.dtype == np.float16:
        block = as_csr(block)
    n_rows, lengths = block.shape[0], np.diff(block.indptr)
    # a place more: the kernel writes each value before it knows whether it is wanted
    most = (int(np.minimum(lengths, select.n_features).sum()) if n_rows else 0) + 1
    values, columns = _ROOM.of(most)
    ends, n_genes = np.empty(n_rows, dtype=np.int64), np.empty(n_rows, dtype=np.int64)
    total, exact = np.empty(n_rows), np.empty(n_rows, dtype=bool)
    longest = lengths.max(initial=0)
    held = (
        block.data, block.indices, block.indptr.astype(np.int64), select.code(weight),
        np.empty(longest + 1, dtype=np.uint64),
    )  # fmt: skip
    one = np.empty(n_rows)
    kept = (values, columns, ends, total, n_genes, exact, one)
    if how.kind == "counts":
        status = _kernels.reduce_counts(*held, *kept)
    else:
        row = np.empty(longest)
        transform = _kernels.TRANSFORM[how.kind]
        status = _kernels.reduce_linear(*held, transform, how.recover, row, *kept)
    if status == _kernels.UNREADABLE:
        raise Unreadable(_UNREADABLE)
    if status == _kernels.NOT_SORTED:
        # sorted, or summed where a place is stored in parts; the second time it is read as it is
        block = as_csr(block)
        block = block if block.has_sorted_indices else block.sorted_indices()
        return _reduce_compiled(block, select, weight, how)
    if status == _kernels.TO_MERGE:
        _kernels.merge(values, columns, ends)
    filled = int(ends[-1]) if n_rows else 0
    into = packed if how.kind == "counts" and exact.all() else unpacked
    piece = into(values[:filled], columns[:filled], ends)
    return {"values": piece, "total": total, "n_genes": n_genes, "one": one, "exact": exact}


class _Room(threading.local):
    """Where a thread's kernel writes before what is kept is packed: block after block the same."""

    def __init__(self) -> None:
        self._values, self._columns = np.empty(0), np.empty(0, dtype=np.uint16)

    def of(self, n: int) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
        """Arrays of at least ``n`` places; what they hold is gone with the next block."""
        if self._values.size < n:
            self._values, self._columns = np.empty(n), np.empty(n, dtype=np.uint16)
        return self._values, self._columns


_ROOM = _Room()


def _gathered(parts: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Successive parts put together until they hold :data:`GATHERED` cells."""
    for batch in _batches(parts, GATHERED):
        if isinstance(batch[0]["values"], Piece):
            yield _together(batch) | {"values": merged([part["values"] for part in batch])}
        else:
            yield from batch


def _cut_up(parts: Parts, most: int) -> Parts:
    """The same, those of far more cells than ``most`` in several, which share their memory."""
    with closing(parts):
        for part in parts:
            n = part["total"].size
            step = n if n < 2 * most else most
            for start in range(0, n, max(step, 1)):
                rows = slice(start, min(start + step, n))
                each = {key: part[key][rows] for key in ("total", "n_genes", "one", "exact")}
                yield each | {"values": part["values"].rows(rows.start, rows.stop)}


def _batches(parts: Iterable[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    """Successive parts whose values are stored alike, until they hold ``most`` cells."""
    batch: list[dict[str, Any]] = []
    n = 0
    for part in parts:
        if batch and _stored(part) != _stored(batch[0]):
            yield batch
            batch, n = [], 0
        batch.append(part)
        n += part["total"].size
        if n >= most:
            yield batch
            batch, n = [], 0
    if batch:
        yield batch


def _stored(part: dict[str, Any]) -> Any:
    """How the values of a part are stored."""
    values = part["values"]
    return values.data.dtype if isinstance(values, Piece) else type(values)


def _together(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """What there is a number a cell of."""
    return {
        key: np.concatenate([part[key] for part in parts])
        for key in ("total", "n_genes", "one", "exact")
    }


def _worked_on(
    parts: Parts, beside: Beside, spread: Any, threads: int, most: int
) -> Iterator[dict[str, Any]]:
    """Batches of ``most`` cells, of which is left what is kept after the work on them.

    Each is worked on in a thread while the next ones are read; one at most waits for a thread.
    Where something fails nothing more is read.
    """

    def work(batch: list[dict[str, Any]], start: int) -> dict[str, Any]:
        values, each = Compact(tuple(part["values"] for part in batch), spread), _together(batch)
        rows = slice(start, start + each["total"].size)
        beside.work(values, each["total"], each["n_genes"], rows)
        return each | {"values": merged(values.only(beside.keep).pieces)}

    waiting: deque[Future[dict[str, Any]]] = deque()
    start = 0
    with one_thread_each, closing(parts), ThreadPoolExecutor(threads) as pool:
        for batch in _batches(parts, most):
            waiting.append(pool.submit(work, batch, start))
            start += sum(part["total"].size for part in batch)
            del batch
            while waiting and (len(waiting) > threads or waiting[0].done()):
                yield waiting.popleft().result()
        yield from (one.result() for one in waiting)


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


def _finish(parts: list[dict[str, Any]], spread: Any, how: _How) -> Panel:
    """Stack parts that hold successive cells."""
    for part in parts:
        if "levels" in part:
            part["one"], part["exact"] = how.one(part.pop("levels"))
    values: Any
    if parts and all(isinstance(part["values"], Piece) for part in parts):
        values = Compact(tuple(part["values"] for part in parts), spread)
    else:
        none = sp.csr_array((0, spread.shape[1]))
        values = sp.vstack([none, *(part["values"] for part in parts)], "csr")
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
