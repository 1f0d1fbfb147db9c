"""Partial rank correlation across donors: what two readouts share beside condition and covariates.

Each readout is reduced to what conditions and covariates leave over (least squares), the residuals
are ranked within each condition and brought to mean 0 and variance 1 there, and these scores are
correlated. So one donor of an extreme value cannot make an association, nor can a difference
between conditions, nor a condition in which everything varies more. With one condition and no
covariate it is Spearman's rho. Ranking first and adjusting the ranks then, as is often done, called
10 to 13 % of nulls an association where a covariate moved both readouts.

A donor counts once. Where it has several rows (two conditions), its scores are averaged, for
rows of one donor are not independent, and n is the number of donors.

The p-value is that of permutation: donors of the same conditions are exchanged, which is exact.
Beside covariates it is the exchanged scores less what covariates explain of them (Freedman and
Lane). Ranks of few donors give few correlations: orders that give the same one are told apart by
the residuals themselves, or the test would reject 3 of 100 nulls where 5 are meant. The t of a
rank correlation of ten donors has p < 0.01 in 1.8 of 100.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scifn._stats._arrangements import all_orders, orders
from scifn._stats.ols import basis, leftover
from scifn._stats.permutation import MAX_EXACT

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

METHOD: Final = (
    "partial Spearman: least-squares residuals on condition and covariates, ranked within "
    "condition; p of donors exchanged with donors of the same conditions"
)
#: Donors below which no association across donors is given.
MIN_DONORS: Final = 10
#: Residual degrees of freedom below which neither an interval nor a p-value is given.
MIN_DF: Final = 3
#: Share of a readout's variance that covariates must leave for a correlation to exist.
_LEAST: Final = 1e-9
#: Random orders of donors, where there are too many for all.
N_PERMUTATIONS: Final = 10_000
#: Correlations that differ by less are the same order of donors.
_TIE: Final = 1e-9
#: Weight of the residuals beside their ranks where orders of donors are compared.
_FINE: Final = 1e-3


@dataclass(frozen=True)
class Partial:
    """Partial correlation of two readouts; NaN where it does not exist.

    ``n`` is the number of donors, ``k`` that of the degrees of freedom that conditions and
    covariates cost.
    """

    n: int
    k: int
    rho: float
    ci_low: float
    ci_high: float
    p_value: float


def partial_spearman(
    x: FloatArray,
    y: FloatArray,
    *,
    conditions: Sequence[str] | None = None,
    covariates: FloatArray | None = None,
    donors: Sequence[str] | None = None,
    level: float = 0.95,
    n_permutations: int = N_PERMUTATIONS,
) -> Partial:
    """Rank correlation of ``x`` and ``y`` with conditions and covariates partialled out.

    Parameters
    ----------
    x, y
        Readouts, (n_rows,), finite.
    conditions
        Condition of each row; None: one.
    covariates
        (n_rows, n_covariates), finite, without intercept. Redundant columns cost nothing.
    donors
        Who each row is of; scores of rows of one donor are averaged. None: all differ.
    level
        Of the interval.
    n_permutations
        Random orders of donors, where there are more than 20,000.

    Returns
    -------
    Partial
        p of the orders of donors of the same conditions, all of them or random ones with + 1, which
        are the same at every call. The interval is from Fisher's z with the standard error of a
        rank correlation, sqrt((1 + rho^2 / 2) / (n - 3 - k)), NaN at a rho of 1 or -1.

    References
    ----------
    Kendall MG. Biometrika 1942, doi:10.1093/biomet/32.3-4.277 (partial rank correlation).
    Freedman D, Lane D. J Bus Econ Stat 1983, doi:10.1080/07350015.1983.10509354 (permutation).
    Bonett DG, Wright TA. Psychometrika 2000, doi:10.1007/BF02294183 (interval).

    Examples
    --------
    >>> found = partial_spearman(np.arange(12.0), np.arange(12.0) ** 3)
    >>> found.rho, found.n, found.k
    (1.0, 12, 0)
    """
    words = np.asarray(["" for _ in x] if conditions is None else conditions, dtype=str)
    stratum = np.unique(words, return_inverse=True)[1].astype(np.int64)
    dummies = (stratum[:, None] == np.arange(stratum.max() + 1)).astype(np.float64)
    q = basis(dummies if covariates is None else np.hstack([dummies, covariates]))
    k = q.shape[1] - 1
    names = np.arange(len(x)) if donors is None else np.asarray(donors, dtype=str)
    who = np.unique(names, return_inverse=True)[1]
    rows = _Rows(stratum, who.astype(np.int64), q)
    rest = [_residual(values, q) for values in (x, y)]
    each = np.stack([_scores(values, stratum, rank=True) for values in rest])
    fine = np.stack([_scores(values, stratum, rank=False) for values in rest])
    rho = float(_correlation(*_averaged(each, rows)))
    df = rows.n - 2 - k
    if df < 1 or not np.isfinite(rho):
        return Partial(rows.n, k, *[float("nan")] * 4)
    if df < MIN_DF:
        return Partial(rows.n, k, rho, *[float("nan")] * 3)
    p = _permuted(each + _FINE * fine, rows, n_permutations)
    return Partial(rows.n, k, rho, *_interval(rho, df, level), p)


@dataclass(frozen=True)
class _Rows:
    """Which condition and donor each row is of, and what is partialled out."""

    stratum: IntArray
    who: IntArray
    q: FloatArray

    @property
    def n(self) -> int:
        """Donors."""
        return int(self.who.max()) + 1


def _residual(values: FloatArray, q: FloatArray) -> FloatArray:
    """What conditions and covariates leave of a readout; zeros where that is nothing."""
    centred = values - values.mean()
    rest = leftover(centred, q)
    if rest @ rest <= _LEAST * (centred @ centred):
        return np.zeros(len(rest))
    # rounding must not tell donors of the same value apart
    return np.asarray(np.round(rest / np.abs(rest).max(), 12))


def _scores(rest: FloatArray, stratum: IntArray, *, rank: bool) -> FloatArray:
    """Residuals, or their ranks, of mean 0 and variance 1 within each condition."""
    scores = np.zeros(len(rest))
    for i in range(int(stratum.max()) + 1):
        here = stratum == i
        part = stats.rankdata(rest[here]) if rank else rest[here]
        spread = part.std()
        if spread > 1e-9:
            scores[here] = (part - part.mean()) / spread
    return scores


def _averaged(scores: FloatArray, rows: _Rows) -> FloatArray:
    """Mean over the rows of each donor, (..., n_donors)."""
    sizes = np.bincount(rows.who)
    if (sizes == 1).all():
        return np.asarray(scores[..., np.argsort(rows.who)])
    each = (rows.who[:, None] == np.arange(rows.n)) / sizes
    return np.asarray(scores @ each)


def _correlation(a: FloatArray, b: FloatArray) -> FloatArray:
    """Correlations of the rows of ``a`` with ``b``; NaN where nothing varies."""
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    size = (a**2).sum(axis=-1) * (b @ b)
    rho = np.where(size > 0, a @ b / np.sqrt(np.where(size > 0, size, 1.0)), np.nan)
    # no 0.9999999999999998 and no minus zero in a table
    return np.asarray(np.round(np.clip(rho, -1, 1), 12) + 0.0)


def _permuted(scores: FloatArray, rows: _Rows, n_permutations: int) -> float:
    """Share of the orders of donors in which scores (2, n_rows) correlate as much."""
    x, y = scores
    y = _averaged(leftover(y, rows.q), rows)
    observed = abs(float(_correlation(_averaged(leftover(x, rows.q), rows), y)))
    if not np.isfinite(observed):
        return float("nan")
    places = tuple(zip(rows.stratum.tolist(), rows.who.tolist(), strict=True))
    n_all, chunks = _orders(places, n_permutations)
    beyond = 0
    for order in chunks:
        moved = x[order]
        left = moved - (moved @ rows.q) @ rows.q.T
        found = np.abs(_correlation(_averaged(left, rows), y))
        beyond += int((found >= observed - _TIE).sum())
    return beyond / n_all if n_all <= MAX_EXACT else (beyond + 1) / (n_permutations + 1)


@lru_cache(maxsize=2)
def _orders(
    places: tuple[tuple[int, int], ...], n_permutations: int
) -> tuple[int, tuple[NDArray[np.int32], ...]]:
    """Orders of the rows (condition, donor) of each, all of them or random; and how many exist.

    The rows of a table are mostly of the same donors, whose orders are made once.
    """
    stratum, who = np.array(places, dtype=np.int64).T
    alike = _alike(stratum, who)
    n_all = math.prod(math.factorial(int(n)) for n in np.bincount(alike))
    width = 4 * len(who)  # orders, and the scores in them as they come and as they are left
    chunks: Iterator[IntArray]
    if n_all <= MAX_EXACT:
        chunks = all_orders(alike, width)
    else:
        chunks = orders(alike, n_permutations, np.random.default_rng(0), width)
    return n_all, tuple(_of_rows(order, stratum, who).astype(np.int32) for order in chunks)


def _alike(stratum: IntArray, who: IntArray) -> IntArray:
    """A code a donor; those of one code have the same conditions and can be exchanged."""
    own: dict[int, list[int]] = {}
    for place, donor in zip(stratum.tolist(), who.tolist(), strict=True):
        own.setdefault(donor, []).append(place)
    seen: dict[tuple[int, ...], int] = {}
    codes = [seen.setdefault(tuple(sorted(own[i])), len(seen)) for i in range(len(own))]
    return np.array(codes, dtype=np.int64)


def _of_rows(order: IntArray, stratum: IntArray, who: IntArray) -> IntArray:
    """Row that each row is exchanged with, (m, n_rows), in orders of donors (m, n_donors)."""
    first = np.lexsort((stratum, who))
    start = np.searchsorted(who[first], np.arange(order.shape[1]))
    slot = np.empty(len(first), dtype=np.int64)
    slot[first] = np.arange(len(first)) - start[who[first]]
    return np.asarray(first[start[order[:, who]] + slot])


def _interval(rho: float, df: int, level: float) -> tuple[float, float]:
    """Fisher's z, with the standard error of a rank correlation."""
    if abs(rho) == 1:
        return float("nan"), float("nan")
    z = np.arctanh(rho)
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (df - 1))
    return float(np.tanh(z - half)), float(np.tanh(z + half))
