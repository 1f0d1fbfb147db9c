"""The kernels of the pass and of the panel that it leaves, compiled when they are first called.

Imported only where there are enough cells for it to pay (:data:`~scifn._matrix._pass.COMPILED`).
They compute what :mod:`scifn._matrix._pass` and :class:`~scifn._matrix._panel.Plain` compute with
scipy, in one walk over a block, and let go of the interpreter, so that blocks can be worked on side
by side. Positions are unsigned, which spares a check for negative ones in every step.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from scifn._matrix._numba import compiled
from scifn._matrix._scale import MAX_UNIT, TOLERANCE

#: What the first two kernels return: all is well, why a block cannot be read as it is, or that
#: columns of the panel must be put in order by :data:`merge`.
FINE, UNREADABLE, NOT_SORTED, TO_MERGE = 0, 1, 2, 3
#: How a value becomes linear, by the kind of scale.
TRANSFORM: Final = {
    "counts": 0, "fractional counts": 0, "normalized": 0,
    "log1p": 1, "log2": 2, "log1p of log1p": 3,
}  # fmt: skip
#: A stored count of this value stands for one in the list of large ones.
LARGE: Final = 255
#: Whole numbers up to this are added up and taken away exactly.
EXACT: Final = 2.0**53
_U = np.uint64


def _linear_of(value: Any, transform: int) -> Any:
    if transform == 0:
        return value
    if transform == 1:
        return math.expm1(value)
    if transform == 2:
        return 2.0**value - 1.0
    return math.expm1(math.expm1(value))


_linear = compiled(_linear_of)


def _unit_of(row: Any, n: int, smallest: float) -> tuple[float, bool]:
    """As :func:`scifn._matrix._scale.unit`, of one cell."""
    for divisor in range(1, MAX_UNIT + 1):
        trial = smallest / divisor
        off = False
        for p in range(n):
            multiple = row[p] / trial
            away = abs(multiple - np.rint(multiple))
            if away > min(TOLERANCE, 0.01 + 2e-6 * multiple):
                off = True
                break
        if not off:
            return trial, True
    return smallest, False


_unit = compiled(_unit_of)


def _scan_of(data: Any, indices: Any, start: Any, stop: Any) -> tuple[float, int, int, bool]:
    """Sum of a row, values above zero, state, and whether all are whole; the loops vectorize."""
    total = 0.0
    seen: Any = 0
    bad = 0
    off = 0
    back = 0
    for p in range(start, stop):
        value = np.float64(data[p])
        total += value
        seen += value > 0.0
        bad += not value >= 0.0
        off += value != np.floor(value)
    for p in range(start + _U(1), stop):
        back += indices[p] <= indices[p - _U(1)]
    if bad > 0 or not total < np.inf:
        return 0.0, 0, UNREADABLE, False
    return total, seen, NOT_SORTED if back > 0 else FINE, off == 0


# sums of whole numbers are exact (up to EXACT), and of others only zero and the state matter: their
# order may change
scan = compiled(_scan_of, fastmath={"reassoc"})


def _emit_of(
    data: Any, first: Any, indices: Any, code: Any, kept: Any, n: Any,
    values: Any, columns: Any, filled: Any,
) -> tuple[float, int, Any, int]:  # fmt: skip
    """Write what a row holds of the panel; the ``n`` places in ``kept`` are looked at.

    Returns sum and number of the features above zero that are not counted, where the row ends in
    the panel, and in how many places its columns are out of order. What is not wanted is written
    over by the next, so that there is no branch to guess.
    """
    less = 0.0
    fewer: Any = 0
    begin = filled
    for q in range(n):
        p = _U(kept[q])
        x = np.float64(data[p - first])
        here = code[_U(indices[p])]
        positive = x > 0.0
        less += x * (1 - (here & 1))
        fewer += positive & (here & 1 == 0)
        values[filled] = x
        columns[filled] = (here >> 1) - 1
        filled += _U(positive & (here > 1))
    back = 0
    for q in range(begin + _U(1), filled):
        back += columns[q] <= columns[q - _U(1)]
    return less, fewer, filled, back


_emit = compiled(_emit_of)


def _reduce_counts(
    data: Any, indices: Any, indptr: Any, code: Any, kept: Any,
    values: Any, columns: Any, ends: Any, total: Any, n_genes: Any, exact: Any, one: Any,
) -> Any:  # fmt: skip
    """Panel, total and unit of every row of a CSR block of counts; the last seven are written to.

    ``code[j]`` is twice the panel column of feature j, counted from 1 (0: none), plus one if j
    counts towards the total. A column may be fed by several features: then it may stand in a row
    more than once. ``values`` and ``columns`` need one place more than there can be values;
    ``kept`` is room to work in, a place more than values of the longest row.
    """
    filled = _U(0)
    disorder = 0
    for i in range(ends.size):
        start, stop = _U(indptr[i]), _U(indptr[i + 1])
        everything, seen, state, whole = scan(data, indices, start, stop)
        if state != FINE:
            return state
        # most features are counted and in no panel
        n = _U(0)
        for p in range(start, stop):
            kept[n] = p
            n += _U(code[_U(indices[p])] != 1)
        less, fewer, filled, back = _emit(
            data, _U(0), indices, code, kept, n, values, columns, filled
        )
        disorder += back
        total[i], n_genes[i] = everything - less, seen - fewer
        if less > 0.0 and everything >= EXACT:
            total[i] = 0.0
            for p in range(start, stop):
                total[i] += np.float64(data[p]) * (code[_U(indices[p])] & 1)
        ends[i], exact[i], one[i] = filled, whole, 1.0 if everything > 0 else np.inf
    return TO_MERGE if disorder > 0 else FINE


reduce_counts = compiled(_reduce_counts)


def _reduce_linear(
    data: Any, indices: Any, indptr: Any, code: Any, kept: Any,
    transform: int, recover: bool, row: Any,
    values: Any, columns: Any, ends: Any, total: Any, n_genes: Any, exact: Any, one: Any,
) -> Any:  # fmt: skip
    """As :data:`reduce_counts` of values on another scale, with the unit of each row.

    ``row`` is room to work in, a place a value of the longest row.
    """
    filled = _U(0)
    disorder = 0
    for i in range(ends.size):
        start, stop = _U(indptr[i]), _U(indptr[i + 1])
        _, _, state, _ = scan(data, indices, start, stop)
        if state != FINE:
            return state
        smallest, last, last_linear = np.inf, -1.0, -1.0
        sum_, n = 0.0, _U(0)
        seen: Any = 0
        for p in range(start, stop):
            x = np.float64(data[p])
            if x != last:
                last, last_linear = x, _linear(x, transform)
            row[p - start] = last_linear
            if last_linear > 0.0 and last_linear < smallest:
                smallest = last_linear
            here = code[_U(indices[p])]
            sum_ += last_linear * (here & 1)
            seen += (last_linear > 0.0) & (here & 1 == 1)
            kept[n] = p
            n += _U(here > 1)
        total[i], n_genes[i] = sum_, seen
        _, _, filled, back = _emit(row, start, indices, code, kept, n, values, columns, filled)
        disorder += back
        ends[i], one[i], exact[i] = filled, smallest, smallest == np.inf
        if recover and smallest < np.inf:
            one[i], exact[i] = _unit(row, stop - start, smallest)
    return TO_MERGE if disorder > 0 else FINE


reduce_linear = compiled(_reduce_linear)


def _merge(values: Any, columns: Any, ends: Any) -> None:
    """Put the columns of every row in order, of which few are out of it, and add up equal ones."""
    begin, filled = _U(0), _U(0)
    for i in range(ends.size):
        end = _U(ends[i])
        first = filled
        for p in range(begin, end):
            value, column = values[p], columns[p]
            place: Any = filled
            while place > first and columns[place - _U(1)] > column:
                place -= _U(1)
            if place > first and columns[place - _U(1)] == column:
                values[place - _U(1)] += value
                continue
            free: Any = filled
            while free > place:
                values[free], columns[free] = values[free - _U(1)], columns[free - _U(1)]
                free -= _U(1)
            values[place], columns[place] = value, column
            filled += _U(1)
        begin, ends[i] = end, filled


merge = compiled(_merge)


def _pack(values: Any, ends: Any, small: Any, large: Any, marks: Any) -> int:
    """Whole numbers as single bytes; those that do not fit go to ``large``, in their order.

    ``marks[i]`` is where those of row i begin. Returns how many there are; where there is no room
    for them nothing is said of the others.
    """
    n = 0
    p = _U(0)
    for i in range(ends.size):
        marks[i] = n
        while p < ends[i]:
            if values[p] < LARGE:
                small[p] = np.uint8(values[p])
            else:
                small[p] = LARGE
                if n < large.size:
                    large[n] = values[p]
                n += 1
            p += _U(1)
    return n


pack = compiled(_pack)


def _cut(
    data: Any, columns: Any, indptr: Any, large: Any, marks: Any, rows: Any, wanted: Any,
    kept: Any, places: Any, ends: Any, kept_large: Any, kept_marks: Any,
) -> Any:  # fmt: skip
    """Some columns of some rows, as they are stored; ``wanted[column]`` is where one goes, or -1.

    The last five are written to, ``kept`` and ``places`` with a place more than there can be
    values. Returns how many large ones are left.
    """
    n, m = _U(0), _U(0)
    for k in range(rows.size):
        i = _U(rows[k])
        mark, kept_marks[k] = marks[i], m
        for p in range(_U(indptr[i]), _U(indptr[i + _U(1)])):
            place = wanted[columns[p]]
            if large.size > 0 and data[p] == LARGE:
                kept_large[m] = large[mark]
                m += _U(place >= 0)
                mark += 1
            kept[n], places[n] = data[p], place
            n += _U(place >= 0)
        ends[k] = n
    return m


cut = compiled(_cut)


def _dot(
    data: Any, columns: Any, indptr: Any, large: Any, marks: Any,
    weighs: Any, starts: Any, groups: Any, weights: Any, kept: Any, out: Any,
) -> None:  # fmt: skip
    """Add up weighted columns; column c has ``weights`` in ``groups`` from ``starts[c]`` on.

    ``weighs[c]`` says whether it has any. Where the values of a row are that weigh is written to
    ``kept`` first, which has room for the longest row and one more: what is not wanted is written
    over by the next, so that there is no branch to guess.
    """
    for i in range(indptr.size - 1):
        n, q, mark = _U(0), _U(indptr[i]), marks[i]
        for p in range(q, _U(indptr[i + 1])):
            kept[n] = p
            n += _U(weighs[columns[p]])
        for at in range(n):
            p = kept[at]
            value: Any = np.float64(data[p])
            if large.size > 0 and data[p] == LARGE:
                while q < p:  # how many there are since the last large one of the row
                    mark += data[q] == LARGE
                    q += _U(1)
                value = np.float64(large[mark])
            c = _U(columns[p])
            for w in range(_U(starts[c]), _U(starts[c + _U(1)])):
                out[_U(i), _U(groups[w])] += value * weights[w]


dot = compiled(_dot)


def _add_groups(
    data: Any, columns: Any, indptr: Any, large: Any, marks: Any, groups: Any, wanted: Any,
    n_columns: int, out: Any,
) -> None:  # fmt: skip
    """Add rows to the rows of ``out`` that they belong to; those of group -1 are left out.

    ``wanted[column]`` is where a column goes, or -1: that is added to the last place of ``out``,
    which is flat and has one more for it, so that there is no branch to guess.
    """
    last = _U(out.size - 1)
    for i in range(groups.size):
        if groups[i] < 0:
            continue
        begin, mark = _U(groups[i] * n_columns), marks[i]
        for p in range(_U(indptr[i]), _U(indptr[i + 1])):
            value: Any = np.float64(data[p])
            if large.size > 0 and data[p] == LARGE:
                value = np.float64(large[mark])
                mark += 1
            place = wanted[columns[p]]
            at = begin + _U(place) if place >= 0 else last
            out[at] += value


add_groups = compiled(_add_groups)
