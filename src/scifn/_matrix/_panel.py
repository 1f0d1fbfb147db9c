"""What is kept of the big matrix: the values of the panel genes of every cell.

Of few cells it is a CSR matrix (:class:`Plain`). Of many it is kept in pieces of three bytes a
value (:class:`Compact`), which is a quarter of that, and read by compiled kernels. Both answer the
same questions; nothing else of the package knows which of them it has.
"""

from __future__ import annotations

import mmap
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._matrix._threads import mapped, n_processors

#: Of so many whole numbers one is thought not to fit into a byte.
_LARGE_OF: Final = 64

Floats = NDArray[np.float64]
Rows = slice | NDArray[np.int64] | None


@dataclass(frozen=True)
class Plain:
    """Panel of few cells: a CSR matrix, cells x columns."""

    matrix: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and columns."""
        return int(self.matrix.shape[0]), int(self.matrix.shape[1])

    def select(self, columns: Sequence[int], rows: Rows = None) -> Any:
        """Some columns of all or of some cells, CSR of float32."""
        values = self.matrix if rows is None else self.matrix[rows]
        return values[:, list(columns)].tocsr()

    def dot(self, weights: Floats) -> Floats:
        """Product with ``weights`` (columns x groups)."""
        return np.asarray(self.matrix @ weights, dtype=np.float64)

    def by_group(self, columns: Sequence[int], groups: NDArray[np.int64], n_groups: int) -> Floats:
        """Sums of some columns over the cells of each group, groups x columns; -1 is no group."""
        cells = np.flatnonzero(groups >= 0)
        ones, shape = np.ones(cells.size), (n_groups, groups.size)
        member = sp.csr_array((ones, (groups[cells], cells)), shape=shape)
        return np.asarray((member @ self.matrix[:, list(columns)]).toarray(), dtype=np.float64)

    def part(self, rows: slice) -> Plain:
        """Some successive cells."""
        return Plain(self.matrix[rows])

    def toarray(self) -> NDArray[np.float32]:
        """All of it, dense."""
        return np.asarray(self.matrix.toarray())


@dataclass(frozen=True)
class Piece:
    """Successive cells of a :class:`Compact`.

    Attributes
    ----------
    data, columns, indptr
        As in CSR. Whole numbers are bytes, of which 255 stands for the next of ``large``;
        others are float32.
    large, marks
        Whole numbers from 255 on, and where those of each row begin among them.
    """

    data: NDArray[np.uint8] | NDArray[np.float32]
    columns: NDArray[np.uint16]
    indptr: NDArray[np.int64]
    large: NDArray[np.float32]
    marks: NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        """Cells."""
        return self.indptr.size - 1

    def rows(self, start: int, stop: int) -> Piece:
        """Some of the cells, which share its memory."""
        return replace(self, indptr=self.indptr[start : stop + 1], marks=self.marks[start:stop])


def packed(values: Floats, columns: NDArray[np.uint16], ends: NDArray[np.int64]) -> Piece:
    """Piece of whole numbers (its arguments may be written over afterwards)."""
    from scifn._matrix import _kernels

    small, marks = np.empty(values.size, dtype=np.uint8), np.empty(ends.size, dtype=np.int64)
    # few are large; where there are more than was thought they are told anew
    large = np.empty(values.size // _LARGE_OF + 1, dtype=np.float32)
    n = _kernels.pack(values, ends, small, large, marks)
    if n > large.size:
        large = np.empty(n, dtype=np.float32)
        _kernels.pack(values, ends, small, large, marks)
    return Piece(small, columns.copy(), _from_zero(ends), large[:n].copy(), marks)


def unpacked(values: Floats, columns: NDArray[np.uint16], ends: NDArray[np.int64]) -> Piece:
    """Piece of values that are no whole numbers."""
    nothing, marks = np.empty(0, dtype=np.float32), np.zeros(ends.size, dtype=np.int64)
    return Piece(values.astype(np.float32), columns.copy(), _from_zero(ends), nothing, marks)


def merged(pieces: Sequence[Piece]) -> Piece:
    """Successive pieces as one, in memory of its own.

    What is kept for long must not lie between what is thrown away: an allocator gives the holes
    back to nobody, and a pass over a large file then takes twice what it keeps.
    """
    sizes = [int(piece.indptr[-1]) for piece in pieces]
    n = sum(sizes)
    data = _room(n, np.result_type(*(piece.data.dtype for piece in pieces)))
    columns = _room(n, np.dtype(np.uint16))
    ends, marks, at, large = [np.zeros(1, dtype=np.int64)], [], 0, 0
    for piece, size in zip(pieces, sizes, strict=True):
        data[at : at + size], columns[at : at + size] = piece.data, piece.columns
        ends.append(piece.indptr[1:] + at)
        marks.append(piece.marks + large)
        at, large = at + size, large + piece.large.size
    return Piece(
        data, columns, np.concatenate(ends),
        np.concatenate([piece.large for piece in pieces]), np.concatenate(marks),
    )  # fmt: skip


def _cut(piece: Piece, wanted: NDArray[np.int32], rows: NDArray[np.int64] | None = None) -> Piece:
    """Columns of a piece, each at its ``wanted`` place (-1: nowhere), of all or of some cells."""
    from scifn._matrix import _kernels

    lengths = np.diff(piece.indptr)
    rows = np.arange(piece.n_rows) if rows is None else rows
    most = int(lengths[rows].sum()) + 1
    data, columns = np.empty(most, dtype=piece.data.dtype), np.empty(most, dtype=np.uint16)
    ends, marks = (np.empty(rows.size, dtype=np.int64) for _ in range(2))
    # a cell may be asked for twice
    large = np.empty(most if piece.large.size else 1, dtype=np.float32)
    n_large = _kernels.cut(
        piece.data, piece.columns, piece.indptr, piece.large, piece.marks, rows, wanted,
        data, columns, ends, large, marks,
    )  # fmt: skip
    n = int(ends[-1]) if ends.size else 0
    return Piece(data[:n], columns[:n], _from_zero(ends), large[:n_large], marks)


def _room(n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array in pages of its own, which go back to the system with it."""
    size = max(n * dtype.itemsize, 1)
    # Windows knows no private pages, and has none but its own
    private = {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS} if sys.platform != "win32" else {}
    pages = mmap.mmap(-1, size, **private)
    return np.frombuffer(pages, dtype=dtype, count=n)


def _from_zero(ends: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), ends])


@dataclass(frozen=True)
class Compact:
    """Panel of many cells, in pieces.

    Attributes
    ----------
    pieces
        Successive cells.
    spread
        Stored columns x columns: which stored ones make a column up. Mostly one is one; features
        that belong to several columns are stored apart.
    """

    pieces: tuple[Piece, ...]
    spread: Any

    @property
    def shape(self) -> tuple[int, int]:
        """Cells and columns."""
        return int(self.starts[-1]), int(self.spread.shape[1])

    @property
    def nnz(self) -> int:
        """Values that are stored."""
        return int(sum(piece.indptr[-1] - piece.indptr[0] for piece in self.pieces))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """First cell of each piece, and the number of all cells."""
        return np.cumsum([0, *(piece.n_rows for piece in self.pieces)])

    @cached_property
    def _single(self) -> NDArray[np.int64]:
        """Stored column that is the column; -1 where there are several or none."""
        csc = self.spread.tocsc()
        out = np.full(csc.shape[1], -1, dtype=np.int64)
        alone = np.flatnonzero(np.diff(csc.indptr) == 1)
        out[alone] = csc.indices[csc.indptr[alone]]
        return out

    def select(self, columns: Sequence[int], rows: Rows = None) -> Any:
        """Some columns of all or of some cells, CSR of float32."""
        wanted, n, mix = self._wanted(columns)
        found = self._take(wanted, n, rows)
        return found if mix is None else sp.csr_array(found @ mix, dtype=np.float32)

    def by_group(self, columns: Sequence[int], groups: NDArray[np.int64], n_groups: int) -> Floats:
        """Sums of some columns over the cells of each group, groups x columns; -1 is no group."""
        from scifn._matrix import _kernels

        wanted, n, mix = self._wanted(columns)
        sums = np.zeros(n_groups * n + 1)  # the last is of all that is not wanted
        for i, piece in enumerate(self.pieces):
            _kernels.add_groups(
                piece.data, piece.columns, piece.indptr, piece.large, piece.marks,
                groups[self.starts[i] : self.starts[i + 1]], wanted, n, sums,
            )  # fmt: skip
        found = sums[:-1].reshape(n_groups, n)
        return found if mix is None else found @ mix

    def _wanted(self, columns: Sequence[int]) -> tuple[NDArray[np.int32], int, Any]:
        """Where each stored column goes (-1: nowhere), how many do, and what is made up of them.

        The latter is None where each is a column by itself.
        """
        asked = np.asarray(columns, dtype=np.int64)
        stored = self._single[asked]
        if (stored >= 0).all() and np.unique(stored).size == stored.size:
            wanted = np.full(self.spread.shape[0], -1, dtype=np.int32)
            wanted[stored] = np.arange(stored.size)
            return wanted, stored.size, None
        wanted, mix = self._used(asked)
        return wanted, mix.shape[0], mix

    def _used(self, columns: NDArray[np.int64]) -> tuple[NDArray[np.int32], Any]:
        """Where stored columns go that make some columns up (-1: nowhere), and what is made up."""
        mix = self.spread[:, columns].tocsr()
        used = np.flatnonzero(np.diff(mix.indptr) > 0)
        wanted = np.full(self.spread.shape[0], -1, dtype=np.int32)
        wanted[used] = np.arange(used.size)
        return wanted, mix[used]

    def _take(self, wanted: NDArray[np.int32], n_columns: int, rows: Rows) -> Any:
        """CSR of the stored columns that are ``wanted``."""
        if rows is not None and not isinstance(rows, slice):
            order = np.argsort(rows, kind="stable")
            taken = self._taken(wanted, n_columns, list(self._of_rows(rows[order])))
            if (order == np.arange(order.size)).all():
                return taken
            back = np.empty(order.size, dtype=np.int64)
            back[order] = np.arange(order.size)
            return taken[back]
        parts = self.pieces if rows is None else self.part(rows).pieces
        whole = [(piece, np.arange(piece.n_rows)) for piece in parts]
        return self._taken(wanted, n_columns, whole)

    def _of_rows(self, rows: NDArray[np.int64]) -> Iterator[tuple[Piece, NDArray[np.int64]]]:
        """Pieces, and which of their cells are among ``rows``, which must be sorted."""
        ends = np.searchsorted(rows, self.starts)
        for i, piece in enumerate(self.pieces):
            if ends[i] < ends[i + 1]:
                yield piece, rows[ends[i] : ends[i + 1]] - self.starts[i]

    def _taken(
        self,
        wanted: NDArray[np.int32],
        n_columns: int,
        found: list[tuple[Piece, NDArray[np.int64]]],
    ) -> Any:
        from scifn._matrix import _kernels

        def cut(one: tuple[Piece, NDArray[np.int64]]) -> Piece:
            return _cut(one[0], wanted, one[1])

        cuts = list(mapped(cut, found, n_processors()))
        at = np.cumsum([0, *(piece.data.size for piece in cuts)])
        data = np.empty(at[-1], dtype=np.float32)
        narrow = max(int(at[-1]), n_columns) < 2**31
        places = np.empty(at[-1], dtype=np.int32 if narrow else np.int64)

        def fill(i: int) -> None:
            mine = slice(at[i], at[i + 1])
            data[mine], places[mine] = cuts[i].data, cuts[i].columns
            if cuts[i].large.size:
                data[mine][cuts[i].data == _kernels.LARGE] = cuts[i].large

        list(mapped(fill, range(len(cuts)), n_processors()))
        ends = [start + piece.indptr[1:] for start, piece in zip(at[:-1], cuts, strict=True)]
        indptr = np.concatenate([[0], *ends]).astype(places.dtype)
        shape = (indptr.size - 1, n_columns)
        return sp.csr_array((data, places, indptr), shape=shape, copy=False)

    def dot(self, weights: Floats) -> Floats:
        """Product with ``weights`` (columns x groups)."""
        from scifn._matrix import _kernels

        of_stored = sp.csr_array(self.spread @ np.asarray(weights, dtype=np.float64))
        of_stored.eliminate_zeros()
        out = np.zeros((self.shape[0], weights.shape[1]))
        starts, groups = of_stored.indptr.astype(np.int64), of_stored.indices.astype(np.int64)
        weighs = starts[1:] > starts[:-1]

        def add(i: int) -> None:
            piece = self.pieces[i]
            kept = np.empty(np.diff(piece.indptr).max(initial=0) + 1, dtype=np.uint64)
            _kernels.dot(
                piece.data, piece.columns, piece.indptr, piece.large, piece.marks,
                weighs, starts, groups, of_stored.data, kept,
                out[self.starts[i] : self.starts[i + 1]],
            )  # fmt: skip

        list(mapped(add, range(len(self.pieces)), n_processors()))
        return out

    def only(self, kept: NDArray[np.bool_]) -> Compact:
        """Some of the columns."""
        wanted, spread = self._used(np.flatnonzero(kept))
        return Compact(tuple(_cut(piece, wanted) for piece in self.pieces), spread)

    def part(self, rows: slice) -> Compact:
        """Some successive cells, which share its memory."""
        start, stop, _ = rows.indices(self.shape[0])
        cut = []
        for i, piece in enumerate(self.pieces):
            begin, end = int(self.starts[i]), int(self.starts[i + 1])
            if begin < stop and end > start:
                cut.append(piece.rows(max(start - begin, 0), min(stop, end) - begin))
        return replace(self, pieces=tuple(cut))

    def toarray(self) -> NDArray[np.float32]:
        """All of it, dense."""
        return np.asarray(self.select(range(self.shape[1])).toarray())

    def in_units(self, one: Floats, *, whole: bool) -> Compact:
        """Every value divided by that of its cell in ``one``; ``whole`` says they are multiples."""
        pieces = []
        for i, piece in enumerate(self.pieces):
            mine = one[self.starts[i] : self.starts[i + 1]]
            values = piece.data.astype(np.float64) / np.repeat(mine, np.diff(piece.indptr))
            ends = piece.indptr[1:]
            if whole:
                pieces.append(packed(np.rint(values), piece.columns, ends))
            else:
                pieces.append(unpacked(values, piece.columns, ends))
        return replace(self, pieces=tuple(pieces))


Held = Plain | Compact
