"""Dip of a sample: how far its distribution is from the nearest one with a single mode.

Hartigan & Hartigan 1985, doi:10.1214/aos/1176346577. Where the mode lies is narrowed down: left of
it the nearest distribution is the greatest convex one below the sample's, right of it the least
concave one above.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Upper tails of sqrt(n) times the dip of n uniform numbers, which of all unimodal distributions
#: give the largest; simulated by benchmarks/make_dip_quantiles.py.
TAILS: Final = (0.99, 0.9, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002)
QUANTILES: Final[dict[int, tuple[float, ...]]] = {
    30: (0.2168, 0.2593, 0.3365, 0.4044, 0.4454, 0.4836, 0.5237, 0.5556, 0.5829, 0.6174),
    50: (0.2243, 0.2672, 0.3457, 0.4161, 0.4591, 0.4972, 0.5399, 0.5704, 0.5953, 0.6305),
    100: (0.2279, 0.2736, 0.3550, 0.4273, 0.4724, 0.5112, 0.5562, 0.5911, 0.6223, 0.6590),
    200: (0.2341, 0.2804, 0.3609, 0.4359, 0.4796, 0.5200, 0.5702, 0.6035, 0.6328, 0.6732),
    500: (0.2373, 0.2854, 0.3680, 0.4433, 0.4896, 0.5289, 0.5801, 0.6135, 0.6496, 0.6949),
}


def dip(values: FloatArray) -> float:
    """Greatest distance between the sample's distribution and the nearest unimodal one.

    At least 1 / (2n), at most 1/4.

    >>> dip(np.array([0.0, 0, 0, 1, 1, 1])), dip(np.arange(10.0))
    (0.25, 0.05)
    """
    x, sizes = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    high = np.cumsum(sizes).astype(np.float64)  # the distribution at each value, and before it
    low = high - sizes
    first, last = 0, len(x) - 1
    found = 1.0
    while first < last:
        convex = _hull(x, low, first, last, 1.0)
        concave = _hull(x, high, first, last, -1.0)
        below = np.interp(x, x[convex], low[convex])
        above = np.interp(x, x[concave], high[concave])
        gap = above - below
        left, right = convex[gap[convex].argmax()], concave[gap[concave].argmax()]
        widest = max(gap[left], gap[right])
        if widest <= found:
            break
        if gap[left] >= gap[right]:
            right = concave[concave >= left].min()
        else:
            left = convex[convex <= right].max()
        # the jump at the mode itself costs nothing
        found = max(
            found,
            (high - below)[first:left].max(initial=0.0),
            (above - low)[right + 1 : last + 1].max(initial=0.0),
        )
        if (left, right) == (first, last):
            break
        first, last = int(left), int(right)
    return float(found / (2 * high[-1]))


def p_value(statistic: float, n: int) -> float:
    """Share of unimodal samples of n with a dip as large, at most; 0.002 is the lowest told.

    Between sizes the quantiles of sqrt(n) times the dip are interpolated along log(n).
    """
    sizes = np.array(sorted(QUANTILES), dtype=np.float64)
    table = np.array([QUANTILES[int(size)] for size in sizes])
    at = [np.interp(np.log(n), np.log(sizes), column) for column in table.T]
    logs = np.interp(np.sqrt(n) * statistic, at, np.log(TAILS), left=0.0)
    return float(np.exp(logs))


def _hull(x: FloatArray, y: FloatArray, first: int, last: int, sign: float) -> IntArray:
    """Places where the convex (sign 1) or concave (-1) hull touches y between two places."""
    kept: list[int] = []
    for i in range(first, last + 1):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if sign * ((y[b] - y[a]) * (x[i] - x[a]) - (y[i] - y[a]) * (x[b] - x[a])) < 0:
                break
            kept.pop()
        kept.append(i)
    return np.array(kept, dtype=np.int64)
