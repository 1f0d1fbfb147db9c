"""The kernel of UCell's ranks for large data; see :mod:`scifn._cells.scores.compiled`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from scifn._cells.scores.compiled import FINE, _row_total
from scifn._matrix._numba import compiled

#: Counts below this are ranked by counting them.
_TABLE: Final = 1024
_U = np.uint64
#: Spreads the bits of a value over the slots of a table (Fibonacci hashing).
_MIX: Final = np.uint64(0x9E3779B97F4A7C15)


def _sort(order: Any, key: Any, n: int) -> None:
    """Positions of ``key`` from high to low: Shell's sort, which is quick to compile."""
    for i in range(n):
        order[i] = i
    gap = 1
    while gap < n // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, n):
            mine = order[i]
            j = i
            while j >= gap and key[order[j - gap]] < key[mine]:
                order[j] = order[j - gap]
                j -= gap
            order[j] = mine
        gap //= 3


_descending = compiled(_sort)


def _rank_sums(
    data: Any, keys: Any, indices: Any, indptr: Any, counts: bool, genes: Any, all_genes: bool,
    n_max: float, special: Any, ptr: Any, to: Any, out: Any, seen: Any, empty: Any,
) -> int:  # fmt: skip
    """Sums of the ranks of each list's genes in each cell, and how many of them have a rank.

    ``keys`` are the bits of ``data``, whose order is that of the values. The few distinct values
    of a cell go into a small table; sorting that gives the rank of all.
    """
    longest = int(np.max(indptr[1:] - indptr[:-1])) if indptr.size > 1 else 1
    longest = max(longest, 1)
    size = 16
    while size < 2 * longest:
        size *= 2
    mask = _U(size - 1)
    slots = np.full(size, -1, dtype=np.int64)
    level_key = np.empty(longest, dtype=keys.dtype)
    level_slot = np.empty(longest, dtype=np.int64)
    number = np.zeros(longest, dtype=np.int64)
    rank = np.empty(longest)
    order = np.empty(longest, dtype=np.int64)
    hit = np.empty(longest + 1, dtype=np.int64)
    hit_level = np.empty(longest + 1, dtype=np.int64)
    few = np.zeros(2 * _TABLE, dtype=np.int64)  # of each small count, two numbers in turn
    few_rank = np.empty(_TABLE)
    for i in range(indptr.size - 1):
        start, stop = _U(indptr[i]), _U(indptr[i + 1])
        total, state = _row_total(data, indices, start, stop, genes, all_genes, counts)
        if state != FINE:
            return int(state)
        empty[i] = total <= 0.0
        n_levels = 0
        n_hits = _U(0)
        top = 0
        for p in range(start, stop):
            j = _U(indices[p])
            value = np.float64(data[p])
            if value == 0.0 or not (all_genes or genes[j]):
                continue
            if counts and value < _TABLE:
                small = int(value)
                few[(_U(small) << _U(1)) | (p & _U(1))] += 1
                top = max(top, small)
                hit_level[n_hits] = -small
            else:
                # written out: a call would count references to four arrays for every value
                key = keys[p]
                slot = (_U(key) * _MIX >> _U(32)) & mask
                level = slots[slot]
                while level >= 0 and level_key[level] != key:
                    slot = (slot + _U(1)) & mask
                    level = slots[slot]
                if level < 0:
                    level = n_levels
                    slots[slot] = level
                    level_key[level] = key
                    level_slot[level] = slot
                    number[level] = 0
                    n_levels += 1
                number[level] += 1
                hit_level[n_hits] = level
            hit[n_hits] = indices[p]  # kept only where the column is special
            n_hits += _U(special[j])
        above = 0
        _descending(order, level_key, n_levels)
        for k in range(n_levels):
            level = order[k]
            rank[level] = above + 0.5 * (number[level] + 1)
            above += number[level]
            slots[level_slot[level]] = -1
        for small in range(top, 0, -1):
            equal = few[2 * small] + few[2 * small + 1]
            few_rank[small] = above + 0.5 * (equal + 1)
            above += equal
        few[: 2 * (top + 1)] = 0
        for h in range(n_hits):
            j = _U(hit[h])
            mine = rank[hit_level[h]] if hit_level[h] >= 0 else few_rank[-hit_level[h]]
            if mine <= n_max:
                for q in range(ptr[j], ptr[j + _U(1)]):
                    out[i, to[q]] += mine
                    seen[i, to[q]] += 1.0
    return FINE


rank_sums = compiled(_rank_sums)
