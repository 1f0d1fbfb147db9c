"""Arrays as they are needed: memory that is read into, block after block the same, and no copies.

What is allocated anew for each block comes as pages that the system clears first and takes back
afterwards. That takes as long as the reading, and more where several threads do it at once.
"""

from __future__ import annotations

import weakref
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

#: Bytes that memory is made larger by: blocks are not all of one size.
_STEP: Final = 1 << 20


class _Lent:
    """Memory that arrays stand in; it is free again when none of them is left."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self._memory, self.__array_interface__ = memory, memory.__array_interface__


class Lender:
    """Lends memory, of which it keeps ``most`` pieces; one is lent again when nobody holds it.

    >>> lender, kind = Lender(2), np.dtype("int32")
    >>> array = lender.of(3, kind)
    >>> place = array.ctypes.data
    >>> lender.of(3, kind).ctypes.data == place
    False
    >>> del array
    >>> place in (lender.of(3, kind).ctypes.data for _ in range(2))
    True
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: list[tuple[NDArray[np.uint8], weakref.ref[_Lent]]] = []

    def of(self, n: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """An array of ``n`` values, which hold anything."""
        size = n * dtype.itemsize
        free = [i for i, (_, holder) in enumerate(self._pieces) if holder() is None]
        fits = [i for i in free if self._pieces[i][0].size >= size]
        if fits:
            memory, _ = self._pieces.pop(min(fits, key=lambda i: self._pieces[i][0].size))
        else:
            memory = np.empty(-(-max(size, 1) // _STEP) * _STEP, dtype=np.uint8)
            if free or len(self._pieces) >= self._most:
                # one that is too small, or else the one lent first, which its holder keeps
                del self._pieces[free[0] if free else 0]
        lent = _Lent(memory)
        self._pieces.append((memory, weakref.ref(lent)))
        return np.asarray(lent)[:size].view(dtype)


def native(array: Any) -> Any:
    """Array of numbers in the order of bytes of this machine: no kernel takes another."""
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def assembled(
    form: Any, shape: tuple[int, int], data: NDArray[Any], indices: NDArray[Any],
    indptr: NDArray[Any],
) -> Any:  # fmt: skip
    """A compressed matrix of these arrays as they are, if scipy can have them.

    Given to its constructor, scipy would copy each that is less than half of another one.
    """
    data, indices = native(data), native(indices)
    if data.dtype == np.float16 or indices.dtype not in (np.int32, np.int64):
        return form((data, indices, indptr), shape=shape, copy=False)
    if indptr[-1] <= np.iinfo(indices.dtype).max:
        indptr = indptr.astype(indices.dtype)
    out = form(shape, dtype=data.dtype)
    out.data, out.indices, out.indptr = data, indices, indptr
    return out
