"""The kernels of the scores for large data, compiled when they are first called.

Imported only where there are enough cells for it to pay. They compute what
:mod:`scifn._cells.scores.linear` and :mod:`scifn._cells.scores.rank` compute with numpy, and
let go of the interpreter, so that blocks of rows can be worked on side by side.
"""

from __future__ import annotations

from typing import Any, Final

import numba
import numpy as np

#: What a kernel returns.
FINE, UNREADABLE, NOT_COUNTS = 0, 1, 2
#: Counts below this have their logarithm taken once a cell.
_TABLE: Final = 512
_TARGET: Final = 1e4


def _compile(function: Any) -> Any:
    return numba.njit(cache=True, nogil=True)(function)


def _total_of(
    data: Any, indices: Any, start: int, stop: int, genes: Any, all_genes: bool, counts: bool
) -> tuple[float, int]:
    """Sum over the genes of a cell, and the state of its values."""
    total = 0.0
    state = 0
    for p in range(start, stop):
        value = np.float64(data[p])
        if not (value >= 0.0 and value < np.inf):
            return 0.0, 1
        if counts and value != np.floor(value):
            state = 2
        if all_genes or genes[indices[p]]:
            total += value
    return total, state


_row_total = _compile(_total_of)


def _column_sums(
    data: Any, indices: Any, indptr: Any, counts: bool, unit: float,
    genes: Any, all_genes: bool, sums: Any,
) -> int:  # fmt: skip
    """Add the values of a block, in whole units, to the sums of their columns."""
    table = np.empty(_TABLE, dtype=np.int64)
    stamp = np.full(_TABLE, -1, dtype=np.int64)
    for i in range(indptr.size - 1):
        start, stop = indptr[i], indptr[i + 1]
        total, state = _row_total(data, indices, start, stop, genes, all_genes, counts)
        if state != 0:
            return state
        if total <= 0.0:
            continue
        factor = _TARGET / total
        for p in range(start, stop):
            value = np.float64(data[p])
            if not counts:
                sums[indices[p]] += np.int64(np.rint(value * unit))
            elif value < _TABLE:
                level = np.int64(value)
                if stamp[level] != i:
                    stamp[level] = i
                    table[level] = np.int64(np.rint(np.log1p(value * factor) * unit))
                sums[indices[p]] += table[level]
            else:
                sums[indices[p]] += np.int64(np.rint(np.log1p(value * factor) * unit))
    return 0


def _row_sums(
    data: Any, indices: Any, indptr: Any, counts: bool, unit: float, genes: Any, all_genes: bool,
    bin_of: Any, special: Any, ptr: Any, to: Any, sign: Any, out: Any, empty: Any,
) -> int:  # fmt: skip
    """Sums of each cell of a block over bins and lists: its product with the weights.

    ``special`` marks columns with entries other than a bin; those of column j are
    ``to[ptr[j]:ptr[j + 1]]`` with ``sign``.
    """
    table = np.empty(_TABLE)
    stamp = np.full(_TABLE, -1, dtype=np.int64)
    for i in range(indptr.size - 1):
        start, stop = indptr[i], indptr[i + 1]
        total, state = _row_total(data, indices, start, stop, genes, all_genes, counts)
        if state != 0:
            return state
        if total <= 0.0:
            empty[i] = True
            continue
        factor = _TARGET / total
        for p in range(start, stop):
            j = indices[p]
            bin_ = bin_of[j]
            if bin_ < 0 and not special[j]:
                continue
            value = np.float64(data[p])
            if not counts:
                log = np.rint(value * unit)
            elif value < _TABLE:
                level = np.int64(value)
                if stamp[level] != i:
                    stamp[level] = i
                    table[level] = np.rint(np.log1p(value * factor) * unit)
                log = table[level]
            else:
                log = np.rint(np.log1p(value * factor) * unit)
            if bin_ >= 0:
                out[i, bin_] += log
            if special[j]:
                for q in range(ptr[j], ptr[j + 1]):
                    out[i, to[q]] += sign[q] * log
    return 0


def _rank_sums(
    data: Any, keys: Any, indices: Any, indptr: Any, counts: bool, genes: Any, n_max: float,
    ptr: Any, to: Any, out: Any, seen: Any, empty: Any,
) -> int:  # fmt: skip
    """Sums of the ranks of each list's genes in each cell, and how many of them have a rank.

    ``keys`` are the bits of ``data``, whose order is that of the values. The few distinct values
    of a cell go into a small table; sorting that gives the rank of all.
    """
    size = 16
    longest = 0
    for i in range(indptr.size - 1):
        longest = max(longest, indptr[i + 1] - indptr[i])
    while size < 2 * longest:
        size *= 2
    slots = np.full(size, -1, dtype=np.int64)
    level_of = np.empty(max(longest, 1), dtype=np.int64)
    level_key = np.empty(max(longest, 1), dtype=keys.dtype)
    level_slot = np.empty(max(longest, 1), dtype=np.int64)
    number = np.empty(max(longest, 1), dtype=np.int64)
    rank = np.empty(max(longest, 1))
    for i in range(indptr.size - 1):
        start, stop = indptr[i], indptr[i + 1]
        n_levels = 0
        for p in range(start, stop):
            value = np.float64(data[p])
            if not (value >= 0.0 and value < np.inf):
                return 1
            if counts and value != np.floor(value):
                return 2
            level_of[p - start] = -1
            if value == 0.0 or not genes[indices[p]]:
                continue
            key = keys[p]
            mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
            slot = np.int64((mixed >> np.uint64(32)) & np.uint64(size - 1))
            while slots[slot] >= 0 and level_key[slots[slot]] != key:
                slot = (slot + 1) & (size - 1)
            if slots[slot] < 0:
                slots[slot] = n_levels
                level_key[n_levels] = key
                level_slot[n_levels] = slot
                number[n_levels] = 0
                n_levels += 1
            number[slots[slot]] += 1
            level_of[p - start] = slots[slot]
        empty[i] = n_levels == 0
        order = np.argsort(level_key[:n_levels])
        above = 0
        for k in range(n_levels - 1, -1, -1):
            level = order[k]
            rank[level] = above + 0.5 * (number[level] + 1)
            above += number[level]
            slots[level_slot[level]] = -1
        for p in range(start, stop):
            j = indices[p]
            if ptr[j] == ptr[j + 1] or level_of[p - start] < 0:
                continue
            mine = rank[level_of[p - start]]
            if mine <= n_max:
                for q in range(ptr[j], ptr[j + 1]):
                    out[i, to[q]] += mine
                    seen[i, to[q]] += 1
    return 0


column_sums = _compile(_column_sums)
row_sums = _compile(_row_sums)
rank_sums = _compile(_rank_sums)
