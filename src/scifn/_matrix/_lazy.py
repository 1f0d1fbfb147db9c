"""A matrix in a file as a dask array, whose chunks workers read for themselves.

Each task opens the file by its path, reads its own rows (or columns, where they are stored by
column) from the arrays of the file and closes it: no more is read than they take, however many
cells there are. Chunks hold about equally many values.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._matrix import _files
from scifn._matrix._hdf5 import fills
from scifn._matrix._memory import Lender, assembled

#: Values in a chunk: of fewer, what a cluster does for each task takes longer than its reading.
CHUNK_NNZ: Final = 8_000_000
_ARRAY, _CSR, _CSC = "array", "csr_matrix", "csc_matrix"


def lazily(path: Path, name: str, most: int = CHUNK_NNZ) -> Any:
    """Dask array of the matrix that stands as ``name`` in an h5ad file or a zarr store.

    Its chunks hold ``most`` values at most, and one row at least.
    """
    import dask.array as da

    # not resolved: what links lead to may have another name on the machines of a cluster
    where = os.path.abspath(path)
    with opened(where) as file:
        stored = file[name]
        if hasattr(stored, "dtype"):
            kind, shape, dtype = _ARRAY, tuple(stored.shape), stored.dtype
            sizes = _even(shape[0], shape[1], most, _files.chunk_rows(stored))
        else:
            kind, shape = str(stored.attrs["encoding-type"]), tuple(stored.attrs["shape"])
            dtype = _wide(stored["data"].dtype)
            indptr = np.asarray(stored["indptr"][:]).astype(np.int64)
            sizes = tuple(part.stop - part.start for part in _files.cuts(indptr, most)) or (0,)
    empty = {_CSR: sp.csr_array, _CSC: sp.csc_array}.get(kind, np.empty)
    n_rows, n_columns = (int(n) for n in shape)
    return da.map_blocks(
        _chunk, where, name, kind, dtype=dtype, meta=empty((0, 0), dtype=dtype),
        chunks=((n_rows,), sizes) if kind == _CSC else (sizes, (n_columns,)),
    )  # fmt: skip


def _even(n_rows: int, n_columns: int, most: int, together: int) -> tuple[int, ...]:
    """Rows of each chunk of an array, of which so many are decoded ``together``."""
    step = max(1, most // max(n_columns, 1))
    step = step // together * together or step
    return tuple(min(step, n_rows - start) for start in range(0, n_rows, step)) or (0,)


class _Room(threading.local):
    """Where a thread reads the values and the indices of a chunk to."""

    def __init__(self) -> None:
        self._lender = Lender(2)

    def read(self, array: Any, part: slice) -> NDArray[Any]:
        """Part of a one-dimensional array of a file."""
        if not hasattr(array, "read_direct") or not fills(array):
            return np.asarray(array[part])
        out = self._lender.of(part.stop - part.start, array.dtype)
        if out.size:
            array.read_direct(out, np.s_[part])
        return out


_ROOM = _Room()


def _wide(dtype: Any) -> Any:
    """scipy has no floats of 16 bits, and numbers only as this machine orders their bytes."""
    return np.dtype(np.float32) if dtype == np.float16 else dtype.newbyteorder("=")


@contextmanager
def opened(path: str) -> Iterator[Any]:
    """A file or store as :func:`scifn._matrix._files.open_store` opens it; files are closed."""
    file = _files.open_store(path)
    try:
        yield file
    finally:
        if hasattr(file, "close"):
            file.close()


def _chunk(path: str, name: str, kind: str, block_info: Any = None) -> Any:
    """One chunk, read where the task runs."""
    rows, columns = (slice(*ends) for ends in block_info[None]["array-location"])
    with opened(path) as file:
        stored = file[name]
        if kind == _ARRAY:
            return np.asarray(stored[rows])
        part = rows if kind == _CSR else columns
        indptr = np.asarray(stored["indptr"][part.start : part.stop + 1]).astype(np.int64)
        values = slice(int(indptr[0]), int(indptr[-1]))
        data, indices = (_ROOM.read(stored[name], values) for name in ("data", "indices"))
    form = sp.csr_array if kind == _CSR else sp.csc_array
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return assembled(
        form, shape, data.astype(_wide(data.dtype), copy=False), indices, indptr - indptr[0]
    )
