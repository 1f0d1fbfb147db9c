"""The kernels of the scores for large data, compiled when they are first called.

Imported only where there are enough cells for it to pay. They compute what
:mod:`scifn._cells.scores.linear` and :mod:`scifn._cells.scores.rank` compute with numpy, and
let go of the interpreter, so that blocks of rows can be worked on side by side. Positions are
unsigned, which spares a check for negative ones in every step.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from scifn._matrix import _kernels
from scifn._matrix._kernels import scan
from scifn._matrix._numba import compiled

#: What a kernel returns: all is well, or why a block cannot be read as it is.
FINE, UNREADABLE, NOT_COUNTS, NOT_SORTED = 0, 1, 2, 3
#: Counts below this have their logarithm taken once a cell.
_TABLE: Final = 512
_TARGET: Final = 1e4
#: Added and taken away, it rounds a double below 2**51 to a whole number.
_ROUND: Final = 6755399441055744.0
_U = np.uint64


def _total_of(
    data: Any, indices: Any, start: Any, stop: Any, genes: Any, all_genes: bool, counts: bool
) -> tuple[float, int]:
    """Sum over the genes of a cell, and the state of its values."""
    total, _, state, whole = scan(data, indices, start, stop)
    if state == _kernels.UNREADABLE:
        return 0.0, UNREADABLE
    if counts and not whole:
        return 0.0, NOT_COUNTS
    if state == _kernels.NOT_SORTED:
        return 0.0, NOT_SORTED
    if not all_genes:
        total = 0.0
        for p in range(start, stop):
            if genes[_U(indices[p])]:
                total += np.float64(data[p])
    return total, FINE


# sums of whole numbers are exact, and of logarithms only zero matters: their order may change
_row_total = compiled(_total_of, fastmath={"reassoc"})


def _whole_of(value: float, unit: float) -> int:
    return np.int64((value * unit + _ROUND) - _ROUND)  # type: ignore[return-value]


_whole = compiled(_whole_of)


def _column_sums(
    data: Any, indices: Any, indptr: Any, counts: bool, unit: float,
    genes: Any, all_genes: bool, sums: Any,
) -> int:  # fmt: skip
    """Add the values of a block, in whole units, to the sums of their columns."""
    table = np.zeros(_TABLE, dtype=np.int64)
    stamp = np.full(_TABLE, -1, dtype=np.int64)
    for i in range(indptr.size - 1):
        start, stop = _U(indptr[i]), _U(indptr[i + 1])
        total, state = _row_total(data, indices, start, stop, genes, all_genes, counts)
        if state != FINE:
            return int(state)
        if total <= 0.0:
            continue
        factor = _TARGET / total
        # the same steps stand in _row_sums: as a function of its own they take five times as long
        for p in range(start, stop):
            value = np.float64(data[p])
            if not counts:
                log = _whole(value, unit)
            elif value < _TABLE:
                level = _U(np.int64(value))
                if stamp[level] != i:
                    stamp[level] = i
                    table[level] = _whole(np.log1p(value * factor), unit)
                log = table[level]
            else:
                log = _whole(np.log1p(value * factor), unit)
            sums[_U(indices[p])] += log
    return FINE


def _row_sums(
    data: Any, indices: Any, indptr: Any, counts: bool, unit: float, genes: Any, all_genes: bool,
    code: Any, n_bins: int, ptr: Any, to: Any, sign: Any, out: Any, empty: Any,
) -> int:  # fmt: skip
    """Sums of each cell of a block over bins and lists: its product with the weights.

    ``code`` of a column is its bin, or ``n_bins`` without one; plus 128 for columns that are in a
    list, or are a list's control on their own: to ``to[ptr[j]:ptr[j + 1]]`` with ``sign``.
    """
    table = np.zeros(_TABLE, dtype=np.int64)
    stamp = np.full(_TABLE, -1, dtype=np.int64)
    # neighbours are often in one bin: two sums in turn need not wait for each other
    bins = np.zeros(2 * (n_bins + 1), dtype=np.int64)
    lists = np.zeros(out.shape[1], dtype=np.int64)
    hit = np.empty(code.size + 1, dtype=np.int32)
    hit_log = np.empty(code.size + 1, dtype=np.int64)
    for i in range(indptr.size - 1):
        start, stop = _U(indptr[i]), _U(indptr[i + 1])
        total, state = _row_total(data, indices, start, stop, genes, all_genes, counts)
        if state != FINE:
            return int(state)
        if total <= 0.0:
            empty[i] = True
            continue
        factor = _TARGET / total
        bins[:] = 0
        lists[:] = 0
        n_hits = _U(0)
        for p in range(start, stop):
            value = np.float64(data[p])
            if not counts:
                log = _whole(value, unit)
            elif value < _TABLE:
                level = _U(np.int64(value))
                if stamp[level] != i:
                    stamp[level] = i
                    table[level] = _whole(np.log1p(value * factor), unit)
                log = table[level]
            else:
                log = _whole(np.log1p(value * factor), unit)
            mine = _U(code[_U(indices[p])])
            bins[((mine & _U(127)) << _U(1)) | (p & _U(1))] += log
            hit[n_hits] = indices[p]  # kept only where the column is special
            hit_log[n_hits] = log
            n_hits += mine >> _U(7)
        for h in range(n_hits):
            j = _U(hit[h])
            for q in range(ptr[j], ptr[j + _U(1)]):
                lists[to[q]] += sign[q] * hit_log[h]
        for b in range(n_bins):
            out[i, b] = bins[2 * b] + bins[2 * b + 1]
        for b in range(n_bins, out.shape[1]):
            out[i, b] = lists[b]
    return FINE


column_sums = compiled(_column_sums)
row_sums = compiled(_row_sums)
