"""Limit that a study's own controls set, and how well it is known.

With n controls the limit is their mean plus t sqrt(1 + 1/n) standard deviations: the one that a
given share of further healthy donors exceed whatever n is. ("Mean + 2 SD" of five controls flags
7.1 % where 2.5 % are meant.) The limit is itself an estimate, and has a 90 % interval.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Level of the test for outlying controls.
OUTLIER_LEVEL = 0.01
#: Share of healthy donors below the limit, unless a signature has its own.
LEVEL = 0.975


@dataclass(frozen=True)
class Cutoff:
    """Prediction limit of the controls and its 90 % interval; NaN with too few of them."""

    value: float
    low: float
    high: float
    factor: float
    n_controls: int
    left_out: BoolArray


def factor(n: int, level: float = LEVEL) -> float:
    """Standard deviations above the mean of n controls that 1 - level of further ones exceed.

    >>> [round(factor(n), 2) for n in (5, 8, 10, 15, 20, 29)]
    [3.04, 2.51, 2.37, 2.22, 2.14, 2.08]
    """
    return float(stats.t.ppf(level, n - 1) * np.sqrt(1 + 1 / n))


def outliers(scores: FloatArray) -> BoolArray:
    """Controls that lie too high to belong to the others, by the generalised ESD test, one-sided.

    Rosner 1983, doi:10.1080/00401706.1983.10487848. A healthy donor with a raised interferon
    response (an infection, say) would widen the spread and hide patients. At most a tenth of the
    controls, and one of few, are looked at.
    """
    n = len(scores)
    left = np.ones(n, dtype=np.bool_)
    marked = np.zeros(n, dtype=np.bool_)
    last = 0
    order = []
    for i in range(1, max(1, n // 10) + 1):
        rest = scores[left]
        spread = rest.std(ddof=1) if len(rest) > 2 else 0.0
        if spread <= 0:
            break
        top = int(np.flatnonzero(left)[rest.argmax()])
        order.append(top)
        t = stats.t.ppf(1 - OUTLIER_LEVEL / (n - i + 1), n - i - 1)
        critical = (n - i) * t / np.sqrt((n - i - 1 + t**2) * (n - i + 1))
        if (scores[top] - rest.mean()) / spread > critical:
            last = i
        left[top] = False
    marked[order[:last]] = True
    return marked


def cutoff_of(
    controls: FloatArray,
    min_controls: int,
    level: float = LEVEL,
    judged: FloatArray | None = None,
) -> Cutoff:
    """Cut-off from the scores of the controls.

    ``judged`` are values by which outlying controls are told, where the scores themselves are too
    skewed for that; None takes the scores.
    """
    by = controls if judged is None else judged
    marked = outliers(by) if len(controls) >= min_controls else np.zeros(len(controls), bool)
    used = controls[~marked]
    n = len(used)
    nan = float("nan")
    # equal scores differ in their last digit
    if n < min_controls or not used.std(ddof=1) > 1e-12 * max(1.0, float(np.abs(used).max())):
        return Cutoff(nan, nan, nan, nan, n, marked)
    f, s = factor(n, level), float(used.std(ddof=1))
    value = float(used.mean()) + f * s
    # variance of mean + f * sd, with that of the sd to first order
    half = float(stats.t.ppf(0.95, n - 1)) * s * np.sqrt(1 / n + f**2 / (2 * (n - 1)))
    return Cutoff(value, value - half, value + half, f, n, marked)
