"""Permutation p-values: every arrangement where there are few, else a random sample with +1.

Two-sided p are twice the smaller tail (as in ``scipy.stats.permutation_test``): with arms of
unequal size the null distribution is skewed, and each direction gets its half of the error.
With covariates that vary among the rows that are exchanged, residuals of the model without the
group are permuted (Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354; Winkler 2014,
doi:10.1016/j.neuroimage.2014.01.060). The statistic is a monotone function of the t of the group.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scifn._stats.ols import basis, leftover

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Up to here all arrangements are gone through.
MAX_EXACT = 20_000
#: Numbers held at once, which bounds the memory.
_CHUNK = 4_000_000
#: Statistics that differ by less are the same arrangement, written in another order.
_TIE = 1e-10


@dataclass(frozen=True)
class Permuted:
    """p-values of several readouts and the smallest that the design could give."""

    p_value: FloatArray
    p_attainable: float
    n_arrangements: int
    exact: bool


def attainable(n_arrangements: int, n_permutations: int) -> float:
    """Smallest two-sided p that a design can give.

    >>> [round(attainable(math.comb(2 * n, n), 9999), 4) for n in (3, 4, 5)]
    [0.1, 0.0286, 0.0079]
    """
    exact = n_arrangements <= MAX_EXACT
    return min(1.0, 2 / (n_arrangements if exact else n_permutations + 1))


def count_arrangements(
    regressor: FloatArray, nuisance: FloatArray, block: IntArray, *, paired: bool
) -> int:
    """How many arrangements the design has: signs, labels within blocks, or orders of residuals."""
    if paired:
        return int(2 ** len(regressor))
    sizes = np.bincount(block)
    if _exchange_labels(nuisance, block):
        hits = np.bincount(block, weights=regressor).astype(int)
        return math.prod(math.comb(int(n), int(h)) for n, h in zip(sizes, hits, strict=True))
    return math.prod(math.factorial(int(n)) for n in sizes)


def permute(
    y: FloatArray,
    regressor: FloatArray,
    nuisance: FloatArray,
    block: IntArray,
    *,
    paired: bool,
    n_permutations: int,
    rng: np.random.Generator,
) -> Permuted:
    """Permutation test of ``regressor`` for each column of ``y``.

    Parameters
    ----------
    y
        Readouts, or differences of pairs, (n, n_readouts).
    regressor
        1 and 0 by group, (n,); ones for pairs.
    nuisance
        (n, k); holds the intercept unless ``paired``.
    block
        Rows are exchanged within blocks only, (n,); codes from 0.
    paired
        Flip signs instead.
    n_permutations
        How many random ones, where there are more than 20,000 in all.

    Returns
    -------
    Permuted
    """
    n_all = count_arrangements(regressor, nuisance, block, paired=paired)
    exact = n_all <= MAX_EXACT
    q = basis(nuisance)
    e = leftover(y, q)
    size = np.sqrt((e**2).sum(axis=0))
    e = np.where(size > 0, e / np.where(size > 0, size, 1.0), 0.0)
    whole = leftover(regressor, q)
    unit = whole / np.sqrt(whole @ whole)
    n, width = len(e), sum(e.shape)
    if paired:
        signs = _all_signs(n, width) if exact else _random_signs(n, n_permutations, rng, width)
        found, observed = _signs(signs, unit, q, e), unit @ e
    elif _exchange_labels(nuisance, block):
        # The length of the regressor's leftover never changes: its product with e orders as t does.
        if exact:
            labels = _all_labels(regressor, block, width)
        else:
            labels = (regressor[o] for o in _orders(block, n_permutations, rng, width))
        found, observed = (chunk @ e for chunk in labels), regressor @ e
    else:
        orders = _all_orders(block, width) if exact else _orders(block, n_permutations, rng, width)
        found, observed = _residuals(orders, unit, q, e), unit @ e
    return _p_value(found, observed, n_all, n_permutations, exact=exact)


def _exchange_labels(nuisance: FloatArray, block: IntArray) -> bool:
    """Whether exchanging labels is all there is: no nuisance column varies within a block."""
    for code in np.unique(block):
        part = nuisance[block == code]
        if np.any(np.abs(part - part[0]) > 1e-12):
            return False
    return True


def _p_value(
    found: Iterator[FloatArray],
    observed: FloatArray,
    n_all: int,
    n_permutations: int,
    *,
    exact: bool,
) -> Permuted:
    """Twice the smaller tail."""
    above = np.zeros(len(observed))
    below = np.zeros(len(observed))
    for chunk in found:
        above += (chunk >= observed - _TIE).sum(axis=0)
        below += (chunk <= observed + _TIE).sum(axis=0)
    tail = np.minimum(above, below)
    one_sided = tail / n_all if exact else (tail + 1) / (n_permutations + 1)
    p = np.minimum(1.0, 2 * one_sided)
    return Permuted(p, attainable(n_all, n_permutations), n_all, exact)


def _signs(
    rows: Iterator[FloatArray], unit: FloatArray, q: FloatArray, e: FloatArray
) -> Iterator[FloatArray]:
    """Partial correlation of the mean difference under flipped signs."""
    for signs in rows:
        explained = sum(((signs * q[:, j]) @ e) ** 2 for j in range(q.shape[1]))
        yield (signs * unit) @ e / _rest(explained)


def _residuals(
    orders: Iterator[IntArray], unit: FloatArray, q: FloatArray, e: FloatArray
) -> Iterator[FloatArray]:
    """Partial correlation of the group with permuted residuals."""
    for order in orders:
        explained = sum((q[:, j][order] @ e) ** 2 for j in range(q.shape[1]))
        yield unit[order] @ e / _rest(explained)


def _rest(explained: FloatArray | int) -> FloatArray:
    """Length that the nuisance columns leave of a permuted residual of length 1."""
    return np.sqrt(np.maximum(1.0 - np.asarray(explained, dtype=np.float64), 1e-300))


def _all_signs(n: int, width: int) -> Iterator[FloatArray]:
    for start, m in _chunks(2**n, width):
        code = np.arange(start, start + m)[:, None] >> np.arange(n)[None, :]
        yield 1.0 - 2.0 * (code & 1).astype(np.float64)


def _random_signs(
    n: int, n_permutations: int, rng: np.random.Generator, width: int
) -> Iterator[FloatArray]:
    for _, m in _chunks(n_permutations, width):
        yield rng.integers(0, 2, size=(m, n)).astype(np.float64) * 2 - 1


def _all_labels(regressor: FloatArray, block: IntArray, width: int) -> Iterator[FloatArray]:
    """Every way to give the group's labels out within blocks."""
    choices = []
    for code in np.unique(block):
        members = np.flatnonzero(block == code)
        hits = int(regressor[members].sum())
        flat = itertools.chain.from_iterable(itertools.combinations(members.tolist(), hits))
        count = math.comb(len(members), hits)
        choices.append(np.fromiter(flat, dtype=np.int64, count=count * hits).reshape(count, hits))
    picked = _product(choices)
    for start, m in _chunks(len(picked), width):
        rows = np.zeros((m, len(block)))
        np.put_along_axis(rows, picked[start : start + m], 1.0, axis=1)
        yield rows


def _all_orders(block: IntArray, width: int) -> Iterator[IntArray]:
    """Every order of the rows that keeps them in their blocks."""
    members = [np.flatnonzero(block == code) for code in np.unique(block)]
    each = [np.array([*itertools.permutations(m.tolist())], dtype=np.int64) for m in members]
    found = _product(each)
    orders = np.empty_like(found)
    orders[:, np.concatenate(members)] = found
    for start, m in _chunks(len(orders), width):
        yield orders[start : start + m]


def _product(choices: list[IntArray]) -> IntArray:
    """Every combination of one row of each array, side by side."""
    places = np.indices([len(c) for c in choices]).reshape(len(choices), -1)
    return np.hstack([c[i] for c, i in zip(choices, places, strict=True)])


def _orders(
    block: IntArray, n_permutations: int, rng: np.random.Generator, width: int
) -> Iterator[IntArray]:
    """Random orders of the rows that keep them in their blocks."""
    places = np.argsort(block, kind="stable")
    for _, m in _chunks(n_permutations, width):
        # Sorting block + a number below 1 shuffles inside the blocks and keeps the blocks in order.
        keys = block + rng.random((m, len(block)))
        orders = np.empty(keys.shape, dtype=np.int64)
        orders[:, places] = np.argsort(keys, axis=1)
        yield orders


def _chunks(total: int, width: int) -> Iterator[tuple[int, int]]:
    """Starts and lengths of pieces that hold a bounded number of values of this width."""
    step = max(1, _CHUNK // width)
    for start in range(0, total, step):
        yield start, min(step, total - start)
