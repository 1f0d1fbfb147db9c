"""What controls show of a measurement that a detection limit cuts off from below.

Values at or below the limit are known to be low and no more. Mean and spread of the controls come
from the likelihood of a normal distribution of the logarithm, in which a detected value counts with
its density and another one with the probability below the limit (Tobin 1958, doi:10.2307/1907382).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from scifn._stats.cutoff import factor, outliers

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Detected values that a mean and a spread need.
MIN_DETECTED = 3


def floored(values: FloatArray, lod: float) -> FloatArray:
    """Values with those at or below the detection limit tied at it; NaN stays.

    >>> floored(np.array([0.0, 3, 8]), 5.0).tolist()
    [5.0, 5.0, 8.0]
    """
    return np.where(np.isfinite(values), np.maximum(values, lod), np.nan)


def normal_fit(x: FloatArray, limit: float) -> tuple[float, float]:
    """Mean and standard deviation of values of which those at ``limit`` or below are censored.

    Of nothing but detected values they are the usual ones (n - 1 in the denominator).
    """
    n = len(x)
    seen = x[x > limit]
    n_below = n - len(seen)
    start = np.array([x.mean(), np.log(max(float(x.std()), 1e-3))])

    def loss(at: FloatArray) -> float:
        mean, sd = at[0], np.exp(at[1])
        told = stats.norm.logpdf(seen, mean, sd).sum()
        return -float(told + n_below * stats.norm.logcdf(limit, mean, sd)) if n_below else -told

    mean, log_sd = optimize.minimize(loss, start, method="Nelder-Mead", options=_EXACT).x
    return float(mean), float(np.exp(log_sd) * np.sqrt(n / (n - 1)))


_EXACT = {"xatol": 1e-9, "fatol": 1e-9, "maxiter": 2000}


def _outlying(x: FloatArray, limit: float) -> BoolArray:
    """Controls too high to belong to the others, by the test that strata use.

    Among ties at the detection limit every detected value would look outlying. So values below it
    are spread over the quantiles that they must have, of a fit to all but the highest tenth (the
    ones that the test looks at, which would widen it).
    """
    none = np.zeros(len(x), dtype=np.bool_)
    rest = np.sort(x)[: -max(1, len(x) // 10)]
    if (x > limit).sum() < MIN_DETECTED or (rest > limit).sum() < 2:
        return none
    mean, sd = normal_fit(rest, limit)
    below = x <= limit
    share = (np.arange(below.sum()) + 0.5) / max(int(below.sum()), 1)
    spread = x.copy()
    spread[below] = mean + sd * stats.norm.ppf(share * stats.norm.cdf(limit, mean, sd))
    return outliers(spread)


def upper_limit(values: FloatArray, lod: float, min_controls: int) -> tuple[float, str]:
    """Concentration that 2.5 % of further controls would exceed, and how it was found.

    That share is meant, and holds where most controls were detected. Where most were not, it is
    about twice as many: mean and spread then rest on a few values.

    Parameters
    ----------
    values
        Measurements of the controls, finite.
    lod
        Detection limit; -inf where there is none.
    min_controls
        With fewer, the detection limit itself.

    Returns
    -------
    Never below the detection limit; NaN where there is neither that nor enough controls. A control
    that lies too high to belong to the others is left out, as for strata.
    """
    detection = lod if np.isfinite(lod) else float("nan")
    positive = values[values > max(lod, 0.0)]
    if len(values) < min_controls or (not lod > 0 and not len(positive)):
        return detection, "detection limit" if np.isfinite(lod) else ""
    bottom = lod if lod > 0 else float(positive.min()) / 2
    x = np.log10(np.maximum(values, bottom))
    x = x[~_outlying(x, float(np.log10(bottom)))]
    seen = x > np.log10(bottom)
    if not seen.any():
        return (detection, "detection limit") if np.isfinite(lod) else (bottom, "lowest value")
    if seen.sum() < MIN_DETECTED or len(x) < min_controls or np.ptp(x) == 0:
        return float(max(10 ** x.max(), lod)), "highest control"
    mean, sd = normal_fit(x, np.log10(bottom))
    limit = 10 ** (mean + factor(len(x)) * sd)
    return float(max(limit, lod)), "prediction limit of the controls"
