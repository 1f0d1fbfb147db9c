"""Effect sizes that do not depend on the number of donors. Unadjusted: covariates play no part.

Hedges 1981, doi:10.3102/10769986006002107; Cliff 1993, doi:10.1037/0033-2909.114.3.494.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

FloatArray = NDArray[np.float64]


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
