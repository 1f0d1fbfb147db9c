"""Effect sizes that do not depend on the number of donors. Unadjusted: covariates play no part.

Hedges 1981, doi:10.3102/10769986006002107; Cliff 1993, doi:10.1037/0033-2909.114.3.494; the
interval of the latter: Newcombe 2006, doi:10.1002/sim.2324, his method 5. The percentiles of a
bootstrap over donors hold a delta near 1 in few cohorts (benchmarks/donors_effects.py).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

FloatArray = NDArray[np.float64]

#: A share as near to 0 or 1 as a root is looked for.
_EDGE = 1e-9


def small_sample(df: int) -> float:
    """Exact factor that takes the bias out of a standardised mean difference.

    >>> round(small_sample(10), 4)
    0.9227
    """
    return float(np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2))


def hedges_g(group: FloatArray, reference: FloatArray, *, paired: bool = False) -> float:
    """Difference of the means in units of the standard deviation, less its small-sample bias.

    The deviation is pooled over both arms. For pairs it is the root of the mean of both arms'
    variances, so that the size is on the scale of donors and not of differences (it can be held
    against an unpaired study), with the correction for n - 1 degrees of freedom.
    NaN where nothing varies or an arm has one donor.
    """
    n1, n0 = len(group), len(reference)
    if min(n1, n0) < 2 or (paired and n1 < 3):
        return float("nan")
    v1, v0 = float(np.var(group, ddof=1)), float(np.var(reference, ddof=1))
    df = n1 - 1 if paired else n1 + n0 - 2
    pooled = (v1 + v0) / 2 if paired else ((n1 - 1) * v1 + (n0 - 1) * v0) / df
    scale = max(float(np.mean(group**2)), float(np.mean(reference**2)))
    if pooled <= 1e-14 * scale or pooled == 0:
        return float("nan")
    return float((group.mean() - reference.mean()) / np.sqrt(pooled)) * small_sample(df)


def cliffs_delta(group: FloatArray, reference: FloatArray, *, paired: bool = False) -> float:
    """How much oftener a donor of the group lies above one of the reference than below, -1 to 1.

    For pairs only the two of a pair are compared.
    """
    if min(len(group), len(reference)) == 0:
        return float("nan")
    if paired:
        return float(np.sign(group - reference).mean())
    return float(np.sign(group[:, None] - reference[None, :]).mean())


def cliffs_interval(
    group: FloatArray, reference: FloatArray, *, paired: bool = False, level: float = 0.95
) -> tuple[float, float]:
    """Interval of Cliff's delta; of pairs Wilson's, of the share of pairs that rise.

    >>> a, b = np.array([1.0, 2, 3, 4]), np.array([5.0, 6, 7, 8])
    >>> [round(x, 3) for x in cliffs_interval(a, b)]
    [-1.0, -0.165]
    """
    m, n = len(group), len(reference)
    share = (cliffs_delta(group, reference, paired=paired) + 1) / 2
    if not np.isfinite(share) or min(m, n) < 2:
        return float("nan"), float("nan")
    z = float(stats.norm.ppf((1 + level) / 2))
    typical = (m + n) / 2 - 1

    def gap(x: float) -> float:
        """How far the share lies from x, less what chance allows where x is the truth."""
        if paired:
            variance = x * (1 - x) / m
        else:
            variance = x * (1 - x) * (1 + typical * ((1 - x) / (2 - x) + x / (1 + x))) / (m * n)
        return abs(x - share) - z * float(np.sqrt(variance))

    # 0 and 1 have no variance: where the share is one of them, the other root is the limit
    low = 0.0 if share <= 0 else optimize.brentq(gap, 0.0, min(share, 1 - _EDGE))
    high = 1.0 if share >= 1 else optimize.brentq(gap, max(share, _EDGE), 1.0)
    return 2 * float(low) - 1, 2 * float(high) - 1
