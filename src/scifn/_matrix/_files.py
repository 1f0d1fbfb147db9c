"""Matrices in h5ad and zarr files: read forward, once, in blocks of a bounded size.

A file is read by its own arrays (``data``, ``indices``, ``indptr``), which costs no more than
what is asked for. Positions are 64 bits wide, so that a matrix may hold more than 2^31 values.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._errors import MatrixError
from scifn._matrix._hdf5 import chunks_of, in_hdf5, is_filtered
from scifn._matrix._memory import Lender, assembled
from scifn._matrix._progress import note
from scifn._matrix._threads import n_processors

Item = TypeVar("Item")
Ints = NDArray[np.int64]

#: Non-zeros in a block: small enough for a laptop, large enough to amortize the call; and of rows
#: in a file, where larger ones are no faster.
BLOCK_NNZ: Final = 4_000_000
FILE_NNZ: Final = 1_000_000
#: Values that a store is asked for at once, if its chunks are smaller.
TOGETHER_NNZ: Final = 4_000_000
#: Blocks that are in memory beside those that are worked on: one is ready, one is put together.
AHEAD: Final = 2
#: Bytes a value that work on a block takes beside it, where numpy does it.
WORK_BYTES: Final = 64
#: Bytes a value of a stripe of rows, while it is put together.
STRIPE_BYTES: Final = 40
#: Least that reading can be done with: a block of this size still amortizes the call.
LEAST_BYTES: Final = 32 * 1024**2
_END: Final = object()

_BUDGET: ContextVar[int | None] = ContextVar("budget", default=None)


@contextmanager
def within(budget: int | None) -> Iterator[None]:
    """Let blocks of files take at most ``budget`` bytes of memory at a time (None: the usual)."""
    token = _BUDGET.set(budget)
    try:
        yield
    finally:
        _BUDGET.reset(token)


def block_nnz(most: int, bytes_a_value: int, workers: int) -> int:
    """Values in a block of a file: ``most``, or what the memory that is given allows."""
    budget = _BUDGET.get()
    if budget is None:
        return most
    taken = AHEAD * bytes_a_value + workers * (bytes_a_value + WORK_BYTES)
    return max(1, min(most, budget // taken))


def stripe_nnz(most: int) -> int:
    """Values in a stripe of rows that is cut out of columns in a file, as :func:`block_nnz`."""
    budget = _BUDGET.get()
    return most if budget is None else max(1, budget // STRIPE_BYTES)


def stored_values(matrix: Any) -> int:
    """Values that a sparse matrix in a file stores."""
    return int(matrix.group["data"].shape[0])


def is_sparse_file(matrix: Any) -> bool:
    """Whether ``matrix`` is a sparse matrix in a file, as anndata opens it."""
    return type(matrix).__module__.partition(".")[0] == "anndata" and hasattr(matrix, "format")


def in_file(matrix: Any) -> bool:
    """Whether ``matrix`` is in a file (h5py and zarr are never imported to ask)."""
    array = type(matrix).__module__.partition(".")[0] in {"h5py", "zarr"}
    return array or is_sparse_file(matrix)


def compressed(matrix: Any, most: int, workers: int = 1) -> Iterator[tuple[slice, Any]]:
    """Successive rows of a CSR, or columns of a CSC, in a file, of ``most`` values, as stored."""
    group = matrix.group
    most = min(most, FILE_NNZ) if matrix.format == "csr" else most
    data, indices = group["data"], group["indices"]
    a_value = data.dtype.itemsize + indices.dtype.itemsize
    size = block_nnz(most, a_value, workers)
    # an eighth of what there is: what was read before, and the two put together, are there too
    together = block_nnz(TOGETHER_NNZ, 4 * a_value, 0)
    return _compressed(matrix, _indptr(matrix), size, together, AHEAD + workers)


def _compressed(
    matrix: Any, indptr: Ints, size: int, together: int, held: int
) -> Iterator[tuple[slice, Any]]:
    """Parts of ``size`` values, of which ``held`` may be held at a time."""
    across = matrix.shape[1] if matrix.format == "csr" else matrix.shape[0]
    kind = sp.csr_array if matrix.format == "csr" else sp.csc_array
    lender = Lender(2 * (held + 1))
    with ThreadPoolExecutor(n_processors(), thread_name_prefix="scifn-unpack") as pool:
        stored = (matrix.group[name] for name in ("data", "indices"))
        data, indices = (Forward(array, lender, pool, together) for array in stored)
        for part in cuts(indptr, size):
            start, stop = int(indptr[part.start]), int(indptr[part.stop])
            ends = indptr[part.start : part.stop + 1] - start
            shape = (part.stop - part.start, across)
            shape = shape if matrix.format == "csr" else shape[::-1]
            if data.is_store:  # at the same time
                other = pool.submit(indices.read, start, stop)
                values, places = data.read(start, stop), other.result()
            else:
                values, places = data.read(start, stop), indices.read(start, stop)
            yield part, assembled(kind, shape, values, places, ends)


def _indptr(matrix: Any) -> Ints:
    """Where each row (or column) begins and ends, checked against what is there."""
    indptr = np.asarray(matrix.group["indptr"][:]).astype(np.int64)
    there = min(matrix.group["data"].shape[0], matrix.group["indices"].shape[0])
    n = matrix.shape[0 if matrix.format == "csr" else 1]
    if indptr.size != n + 1 or (np.diff(indptr) < 0).any() or indptr[0] < 0 or indptr[-1] > there:
        msg = (
            f"the sparse matrix {matrix.group.name!r} is damaged: its indptr ({indptr.size:,} "
            f"numbers) does not fit {n:,} rows of {there:,} values. Write the file anew."
        )
        raise MatrixError(msg)
    return indptr


def tell(matrix: Any) -> None:
    """Say what makes the reading of a file slow, to whoever watches."""
    array = matrix.group["data"] if is_sparse_file(matrix) else matrix
    name = str((matrix.group if is_sparse_file(matrix) else matrix).name).strip("/")
    if getattr(matrix, "format", None) == "csc":
        note(
            f"{name} is stored by columns (CSC), which is slow to read cell by cell. Write it anew "
            "by rows (adata.X = adata.X.tocsr()), if it will be read again."
        )
    if in_hdf5(array) and is_filtered(array):
        how = array.compression or "a filter"
        note(f"{name} is compressed ({how}): unpacking it is what takes the time of reading.")
    chunk = chunk_rows(array) * math.prod(array.shape[1:]) * array.dtype.itemsize
    budget = _BUDGET.get()
    if budget is not None and chunk > budget // 4:
        note(f"{name} is stored in chunks of {chunk / 1e6:,.0f} MB, which are unpacked as a whole.")


def cuts(indptr: Ints, nnz: int) -> Iterator[slice]:
    """Cut successive rows into runs of at most ``nnz`` values, of one row at least.

    >>> list(cuts(np.array([0, 3, 4, 9, 9]), 4))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    start, n = 0, indptr.size - 1
    while start < n:
        stop = int(np.searchsorted(indptr, indptr[start] + nnz, side="right")) - 1
        stop = min(max(stop, start + 1), n)
        yield slice(start, stop)
        start = stop


class Forward:
    """An array in a file that is read from its start to its end, each chunk once.

    What was decoded of a chunk beyond the values asked for is kept for the next reading.

    Parameters
    ----------
    array
        One-dimensional array of a file.
    lender, pool
        Where values are read to, and threads that unpack them, where that is up to us.
    together
        Values that a store is asked for at once, which unpacks its chunks side by side.
    """

    def __init__(
        self, array: Any, lender: Lender, pool: ThreadPoolExecutor, together: int = 0
    ) -> None:
        self._array, self._lender, self._pool = array, lender, pool
        self._chunks = chunks_of(array)
        self._step = chunk_rows(array)
        if self._step > 1 and self.is_store:
            self._step *= max(1, together // self._step)
        self._kept: NDArray[Any] = np.empty(0, dtype=array.dtype)
        self._at = 0  # first place of what is kept

    @property
    def is_store(self) -> bool:
        """Whether several readings may go on at once, as HDF5 does not let them."""
        return not in_hdf5(self._array)

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Values from ``start`` to ``stop``."""
        if self._step <= 1:
            return self._read(self._kept, start, stop)
        if self._at <= start <= self._at + self._kept.size:
            kept = self._kept[start - self._at :]
        else:  # not where the last reading ended
            kept = self._kept[:0]
        if kept.size < stop - start:
            end = min(-(-stop // self._step) * self._step, self._array.shape[0])
            kept = self._read(kept, start + kept.size, end)
        self._kept, self._at = kept[stop - start :], stop
        return kept[: stop - start]

    def _read(self, kept: NDArray[Any], start: int, stop: int) -> NDArray[Any]:
        """What is ``kept``, and the values from ``start`` to ``stop`` behind it."""
        if self._chunks is None:
            more = np.asarray(self._array[start:stop])
            return np.concatenate([kept, more]) if kept.size else more
        out = self._lender.of(kept.size + stop - start, self._array.dtype)
        out[: kept.size] = kept
        self._chunks.into(out[kept.size :], start, stop, self._pool)
        return out


def open_store(path: str | Path) -> Any:
    """The root of an h5ad file, or of a zarr store (a folder), to be read only.

    Chunks of an HDF5 file go where they are wanted, and through no cache: what is read forward is
    never asked for again.
    """
    if os.path.isdir(path):
        import zarr

        return zarr.open_group(str(path), mode="r")
    import h5py

    return h5py.File(path, "r", rdcc_nbytes=0)


def chunk_rows(array: Any) -> int:
    """Rows that are decoded together; 1 where nothing needs to be decoded."""
    chunks = getattr(array, "chunks", None)
    if not chunks:
        return 1
    if in_hdf5(array) and not is_filtered(array):
        return 1
    return max(1, int(chunks[0]))


def dense(matrix: Any, most: int, workers: int = 1) -> Iterator[tuple[slice, Any]]:
    """Successive rows of an array in a file, of ``most`` values."""
    n_rows, n_columns = matrix.shape
    fitting = max(
        1, block_nnz(min(most, FILE_NNZ), matrix.dtype.itemsize, workers) // max(n_columns, 1)
    )
    chunk = chunk_rows(matrix)
    step = fitting // chunk * chunk or fitting
    return _dense(matrix, n_rows, step)


def _dense(matrix: Any, n_rows: int, step: int) -> Iterator[tuple[slice, Any]]:
    for start in range(0, n_rows, step):
        stop = min(start + step, n_rows)
        yield slice(start, stop), np.asarray(matrix[start:stop])


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Hand ``items`` on while a thread makes the next one ready.

    >>> list(ahead(iter("abc")))
    ['a', 'b', 'c']
    """
    with ThreadPoolExecutor(1, thread_name_prefix="scifn-read") as pool:
        coming = pool.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = pool.submit(next, items, _END)
            yield item  # type: ignore[misc]
