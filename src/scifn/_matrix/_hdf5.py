"""HDF5 files: chunks are read from where they lie, and unpacked by several threads.

The HDF5 library reads one thing at a time in all of a process, unpacks it there and then, and
copies it on its way. Where values are stored plainly, or packed with gzip as most files are, their
chunks can be taken from the file without it. Everything else is left to the library, and so is
what turns out to be damaged: it knows what to say.
"""

from __future__ import annotations

import os
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scifn._matrix._threads import n_processors

Ints = NDArray[np.int64]


def in_hdf5(array: Any) -> bool:
    """Whether an array is in an HDF5 file (h5py is never imported to ask)."""
    return type(array).__module__.partition(".")[0] == "h5py"


def is_filtered(array: Any) -> bool:
    """Whether a dataset is compressed, or altered in another way before it is stored."""
    return bool(array.id.get_create_plist().get_nfilters())


def fills(array: Any) -> bool:
    """Whether reading a dataset writes to every place, even where nothing is stored."""
    import h5py

    never: int = h5py.h5d.FILL_TIME_NEVER
    return bool(array.id.get_create_plist().get_fill_time() != never)


class Chunks:
    """Chunks of a one-dimensional dataset.

    Attributes
    ----------
    step
        Values in a chunk; all of them where the dataset is in one piece.
    packed
        Whether chunks are compressed, so that each can only be read as a whole.
    """

    def __init__(
        self, array: Any, handle: int, step: int, at: Ints, sizes: Ints, filters: list[int]
    ) -> None:
        self.step, self.packed = step, bool(filters)
        self._array, self._dtype, self._shuffled = array, array.dtype, len(filters) > 1
        self._handle, self._at, self._sizes = handle, at, sizes
        self.close = weakref.finalize(self, os.close, self._handle)

    def into(
        self, out: NDArray[Any], start: int, stop: int, pool: ThreadPoolExecutor | None = None
    ) -> None:
        """Read the values from ``start`` to ``stop`` into ``out``; threads of ``pool`` unpack."""
        if start >= stop:
            return
        first, end = start // self.step, -(-stop // self.step)
        try:
            if pool is None or not self.packed or end - first < 2:
                self._fill(out, start, stop, range(first, end))
                return
            step = -(-(end - first) // n_processors())
            parts = [range(i, min(i + step, end)) for i in range(first, end, step)]
            tasks = [pool.submit(self._fill, out, start, stop, part) for part in parts]
            wait(tasks)  # all of them, even if one fails: nobody writes to it afterwards
            for task in tasks:
                task.result()
        except (OSError, EOFError, zlib.error):
            out[:] = self._array[start:stop]

    def _fill(self, out: NDArray[Any], start: int, stop: int, chunks: range) -> None:
        for chunk in chunks:
            before = chunk * self.step
            low, high = max(start, before), min(stop, before + self.step)
            into = out[low - start : high - start]
            if self.packed:
                into[:] = self._unpacked(chunk)[low - before : high - before]
                continue
            offset = int(self._at[chunk]) + (low - before) * self._dtype.itemsize
            _read(self._handle, into.view(np.uint8).data, offset)

    def _unpacked(self, chunk: int) -> NDArray[Any]:
        packed = bytearray(int(self._sizes[chunk]))
        _read(self._handle, memoryview(packed), int(self._at[chunk]))
        size = self.step * self._dtype.itemsize
        values = np.frombuffer(zlib.decompress(packed, bufsize=size), dtype=np.uint8)
        if values.size != size:
            raise EOFError
        if self._shuffled:  # first bytes of all values, then second ones, and so on
            values = np.ascontiguousarray(values.reshape(self._dtype.itemsize, -1).T).ravel()
        return values.view(self._dtype)


def _read(handle: int, into: memoryview, offset: int) -> None:
    """Fill ``into`` with what the file holds from ``offset`` on."""
    while into.nbytes:
        n = os.preadv(handle, [into], offset)
        if n == 0:
            raise EOFError
        into, offset = into[n:], offset + n


def chunks_of(array: Any) -> Chunks | None:
    """Where the values of an array lie in its file; None where they must be asked for as usual.

    That is so of all that is no one-dimensional HDF5 dataset of plain numbers in a file that
    nobody writes to, of other filters than gzip with or without shuffling, of values that were
    never written, and on systems that cannot read at a place.
    """
    if not in_hdf5(array) or not hasattr(os, "preadv"):
        return None
    import h5py

    file, plan = array.file, array.id.get_create_plist()
    filters = [plan.get_filter(i)[0] for i in range(plan.get_nfilters())]
    plain = (
        array.ndim == 1 and array.shape[0] > 0 and array.dtype.kind in "iuf"
        and array.id.get_type() == h5py.h5t.py_create(array.dtype)
    )  # fmt: skip
    # a file that another program writes to meanwhile (SWMR) is no such file
    read_only = file.id.get_intent() == h5py.h5f.ACC_RDONLY
    usual = read_only and file.driver == "sec2" and file.userblock_size == 0
    gzip = [[], [h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE]]
    if not (plain and usual and filters in gzip):
        return None
    if plan.get_layout() == h5py.h5d.CONTIGUOUS and plan.get_external_count() == 0:
        step, found = array.shape[0], _piece(array)
    elif plan.get_layout() == h5py.h5d.CHUNKED and hasattr(array.id, "chunk_iter"):
        step, found = array.chunks[0], _table(array)
    else:
        return None
    handle = None if found is None else _opened(file)
    if found is None or handle is None:
        return None
    return Chunks(array, handle, step, *found, filters)


def _opened(file: Any) -> int | None:
    """The file once more; None if its name leads to another one by now.

    A handle of our own: that of the library may be closed, and be another file's afterwards; and
    a copy of it would keep the lock of the library on the file.
    """
    try:
        handle = os.open(file.filename, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except OSError:
        return None
    if os.path.samestat(os.fstat(handle), os.fstat(file.id.get_vfd_handle())):
        return handle
    os.close(handle)
    return None


def _piece(array: Any) -> tuple[Ints, Ints] | None:
    """Where a dataset in one piece begins, and its bytes; None if it was never written."""
    offset = array.id.get_offset()
    return None if offset is None else (np.array([offset]), np.array([array.nbytes]))


def _table(array: Any) -> tuple[Ints, Ints] | None:
    """Where each chunk begins, and its bytes; None if one is missing or not stored as others."""
    step = array.chunks[0]
    at = np.full(-(-array.shape[0] // step), -1, dtype=np.int64)
    sizes, odd = np.zeros(at.size, dtype=np.int64), []

    def note(chunk: Any) -> None:
        place = chunk.chunk_offset[0] // step
        at[place], sizes[place] = chunk.byte_offset, chunk.size
        if chunk.filter_mask:
            odd.append(place)

    array.id.chunk_iter(note)
    return (at, sizes) if (at >= 0).all() and not odd else None
