"""Correlations in other orders of donors: who is exchanged with whom, and what comes of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from scifn._stats._arrangements import all_orders, by_place, places_of
from scifn._stats.ols import leftover
from scifn._stats.permutation import MAX_EXACT

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Share of the variance of a readout, or of an order of one, that covariates must leave for a
#: correlation to exist.
LEAST: Final = 1e-9
#: Correlations that differ by less are the same order of donors.
_TIE: Final = 1e-9


@dataclass(frozen=True)
class Rows:
    """Which condition and donor each row is of, and what is partialled out."""

    stratum: IntArray
    who: IntArray
    q: FloatArray

    @property
    def n(self) -> int:
        """Donors."""
        return int(self.who.max()) + 1


def averaged(scores: FloatArray, rows: Rows) -> FloatArray:
    """Mean over the rows of each donor, (..., n_donors)."""
    sizes = np.bincount(rows.who)
    if (sizes == 1).all():
        return np.asarray(scores[..., np.argsort(rows.who)])
    each = (rows.who[:, None] == np.arange(rows.n)) / sizes
    return np.asarray(scores @ each)


def correlation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Correlations of the rows of ``a`` with ``b``; NaN where nothing varies."""
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    size = (a**2).sum(axis=-1) * (b @ b)
    rho = np.where(size > 0, a @ b / np.sqrt(np.where(size > 0, size, 1.0)), np.nan)
    # no 0.9999999999999998 and no minus zero in a table
    return np.asarray(np.round(np.clip(rho, -1, 1), 12) + 0.0)


def permuted(scores: FloatArray, rows: Rows, n_permutations: int) -> float:
    """Share of the orders of donors in which scores (2, n_rows) correlate as much."""
    x, y = scores
    y = averaged(leftover(y, rows.q), rows)
    observed = abs(float(correlation(averaged(leftover(x, rows.q), rows), y)))
    if not np.isfinite(observed):
        return float("nan")
    places = tuple(zip(rows.stratum.tolist(), rows.who.tolist(), strict=True))
    found = _orders(places, n_permutations)
    parts = _Parts.of(x, y, rows).by(found.into)
    values = x[found.of]
    beyond = sum(int((parts.sizes(values.take(o)) >= observed - _TIE).sum()) for o in found.chunks)
    return beyond / found.n if found.n <= MAX_EXACT else (beyond + 1) / (n_permutations + 1)


@dataclass(frozen=True)
class _Parts:
    """What the correlations of one readout in other orders with another are made of.

    Of each order, what the covariates leave is averaged by donor, centered and held against the
    other readout. All that is linear, so that a few sums over the rows give it, and no order is
    worked out value by value. With D the order and G the covariates, averaged and centered, the
    squared length of what is left is |D|^2 - 2 (x q) (D G) + |(x q) G|^2, and |D| is that of all
    orders, for a donor is exchanged with all its rows.
    """

    #: What the rows of an order are summed by: the other readout, the covariates, D G. (n_rows, m)
    weights: FloatArray
    #: Squared lengths: of an order averaged and centered, of the other readout.
    whole: float
    other: float
    #: G G', (k, k).
    both: FloatArray

    @classmethod
    def of(cls, x: FloatArray, y: FloatArray, rows: Rows) -> _Parts:
        """``x`` a value a row, (n_rows,), ``y`` a value a donor, (n_donors,)."""
        share = 1 / np.bincount(rows.who)
        b = y - y.mean()
        g = averaged(rows.q.T, rows)
        g = g - g.mean(axis=1, keepdims=True)
        d = averaged(x, rows)
        by_other = leftover((b * share)[rows.who], rows.q)
        weights = np.column_stack([by_other, rows.q, (g * share).T[rows.who]])
        return cls(weights, float(((d - d.mean()) ** 2).sum()), float(b @ b), g @ g.T)

    def by(self, into: IntArray) -> _Parts:
        """For orders whose columns are what these rows become."""
        return replace(self, weights=self.weights[into])

    def sizes(self, moved: FloatArray) -> FloatArray:
        """Sizes of the correlations of orders (m, n_rows); 0 where nothing is left of one."""
        k = len(self.both)
        sums = moved @ self.weights
        along, explained, shared = sums[:, 0], sums[:, 1 : 1 + k], sums[:, 1 + k :]
        left = self.whole + (explained * (explained @ self.both - 2 * shared)).sum(axis=1)
        some = left > LEAST * self.whole
        return np.where(some, np.abs(along) / np.sqrt(np.where(some, left, 1.0) * self.other), 0.0)


class _Orders(NamedTuple):
    """Orders of the rows, all of them or random."""

    #: How many exist.
    n: int
    #: Row that each number of the chunks stands for.
    of: IntArray
    #: Row that each column of the chunks is for.
    into: IntArray
    #: (m, n_rows) each.
    chunks: tuple[NDArray[np.int32], ...]


@lru_cache(maxsize=2)
def _orders(places: tuple[tuple[int, int], ...], n_permutations: int) -> _Orders:
    """Orders of the rows (condition, donor) of each.

    The rows of a table are mostly of the same donors, whose orders are made once.
    """
    stratum, who = np.array(places, dtype=np.int64).T
    alike = _alike(stratum, who)
    n_all = math.prod(math.factorial(int(n)) for n in np.bincount(alike))
    width = len(who)
    column, chunks = np.arange(len(alike)), all_orders(alike, width)
    if n_all > MAX_EXACT:
        column = places_of(alike)
        chunks = by_place(alike, n_permutations, np.random.default_rng(0), width)
    first = np.lexsort((stratum, who))
    if len(first) == len(alike):  # a row a donor: orders of donors are orders of rows
        return _Orders(n_all, first, first[column], tuple(o.astype(np.int32) for o in chunks))
    back = np.argsort(column)
    found = (_of_rows(order[:, back], first, who).astype(np.int32) for order in chunks)
    rows = np.arange(len(who))
    return _Orders(n_all, rows, rows, tuple(found))


def _alike(stratum: IntArray, who: IntArray) -> IntArray:
    """A code a donor; those of one code have the same conditions and can be exchanged."""
    own: dict[int, list[int]] = {}
    for place, donor in zip(stratum.tolist(), who.tolist(), strict=True):
        own.setdefault(donor, []).append(place)
    seen: dict[tuple[int, ...], int] = {}
    codes = [seen.setdefault(tuple(sorted(own[i])), len(seen)) for i in range(len(own))]
    return np.array(codes, dtype=np.int64)


def _of_rows(order: IntArray, first: IntArray, who: IntArray) -> IntArray:
    """Row that each row is exchanged with, (m, n_rows), in orders of donors (m, n_donors).

    ``first`` are the rows by donor and condition.
    """
    start = np.searchsorted(who[first], np.arange(order.shape[1]))
    slot = np.empty(len(first), dtype=np.int64)
    slot[first] = np.arange(len(first)) - start[who[first]]
    return np.asarray(first[start[order[:, who]] + slot])
