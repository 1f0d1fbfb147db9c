"""Exact bounds of a proportion, and what seeing none of n means.

Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FloatArray = NDArray[np.float64]


def zero_bound(n: ArrayLike, *, level: float = 0.95) -> FloatArray:
    """Upper bound of a share of which nothing was seen among ``n``: 1 - (1 - level)^(1/n).

    NaN where n is 0: nothing was looked at.

    >>> zero_bound([10, 30, 100, 300]).round(3)
    array([0.259, 0.095, 0.03 , 0.01 ])
    """
    return upper_bound(np.zeros_like(np.asarray(n, dtype=np.float64)), n, level=level)


def upper_bound(positive: ArrayLike, n: ArrayLike, *, level: float = 0.95) -> FloatArray:
    """One-sided upper bound of a share, ``positive`` of ``n``; NaN where n is 0.

    >>> upper_bound([0, 2], [10, 10]).round(4)
    array([0.2589, 0.5069])
    """
    return _beta(level, positive, n, upper=True)


def clopper_pearson(
    positive: ArrayLike, n: ArrayLike, *, level: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    """Two-sided interval of a share; NaN where n is 0.

    >>> low, high = clopper_pearson([2], [10])
    >>> low.round(4), high.round(4)
    (array([0.0252]), array([0.5561]))
    """
    tail = (1 - level) / 2
    return _beta(tail, positive, n, upper=False), _beta(1 - tail, positive, n, upper=True)


def _beta(quantile: float, positive: ArrayLike, n: ArrayLike, *, upper: bool) -> FloatArray:
    k, n = np.broadcast_arrays(
        np.asarray(positive, dtype=np.float64), np.asarray(n, dtype=np.float64)
    )
    edge = (k >= n) if upper else (k <= 0)  # there the bound is 1 (or 0), not a beta quantile
    a, b = (k + 1, n - k) if upper else (k, n - k + 1)
    inside = np.where(edge, 1.0, a), np.where(edge, 1.0, b)
    found = np.where(edge, 1.0 if upper else 0.0, stats.beta.ppf(quantile, *inside))
    return np.where(n > 0, found, np.nan)
