"""Ordinary least squares of one regressor of interest beside nuisance columns.

Both are reduced to what the nuisance columns leave over (Frisch, Waugh and Lovell), which gives the
same effect, standard error and t as the full regression, for many readouts at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

#: Share of the regressor that nuisance columns must leave for an effect to exist.
ALIASED = 1e-9


def basis(columns: FloatArray) -> FloatArray:
    """Orthonormal basis of some columns, (n, rank); redundant columns fall away."""
    if columns.shape[1] == 0:
        return columns
    scale = np.sqrt((columns**2).sum(axis=0))
    u, s, _ = np.linalg.svd(columns / np.where(scale > 0, scale, 1.0), full_matrices=False)
    return np.asarray(u[:, s > 1e-10 * max(s[0], 1.0)])


def leftover(values: FloatArray, q: FloatArray) -> FloatArray:
    """What the columns of an orthonormal basis ``q`` do not explain of ``values``."""
    return values - q @ (q.T @ values)


def is_aliased(regressor: FloatArray, nuisance: FloatArray) -> bool:
    """Whether the nuisance columns determine the regressor."""
    rest = leftover(regressor, basis(nuisance))
    return float(rest @ rest) <= ALIASED * max(float(regressor @ regressor), 1e-300)


@dataclass(frozen=True)
class Fit:
    """Effects of one regressor on several readouts, each array (n_readouts,)."""

    effect: FloatArray
    se: FloatArray
    #: Residual variance.
    variance: FloatArray
    df: int
    statistic: FloatArray
    p_value: FloatArray
    ci_low: FloatArray
    ci_high: FloatArray
    #: Lowest and highest effect with one row left out.
    loo_low: FloatArray
    loo_high: FloatArray


def fit(y: FloatArray, regressor: FloatArray, nuisance: FloatArray, *, level: float = 0.95) -> Fit:
    """Regress each column of ``y`` on ``regressor`` beside ``nuisance``.

    Parameters
    ----------
    y
        Readouts, (n, n_readouts), finite.
    regressor
        (n,), 1 for the group and 0 for the reference; ones for differences of pairs.
    nuisance
        (n, k), with the intercept if there is to be one.

    Returns
    -------
    Fit
        Interval, t and p are NaN where no residual degree of freedom is left or nothing varies.
    """
    n = len(regressor)
    q = basis(nuisance)
    x = leftover(regressor, q)
    rest = leftover(y, q)
    size = float(x @ x)
    effect = (x @ rest) / size
    residual = rest - np.outer(x, effect)
    df = n - q.shape[1] - 1
    sigma2 = np.full(y.shape[1], np.nan)
    if df > 0:
        sigma2 = (residual**2).sum(axis=0) / df
        noise = 1e-14 * (y**2).sum(axis=0)  # what rounding alone leaves of a constant
        sigma2 = np.where(sigma2 > noise, sigma2, np.nan)
    spread = np.sqrt(sigma2 / size)
    statistic = effect / spread
    half = stats.t.ppf((1 + level) / 2, max(df, 1)) * spread
    leverage = (q**2).sum(axis=1) + x**2 / size
    free = 1 - leverage > 1e-10  # without such a row there would be no effect to speak of
    shift = (x[free] / (1 - leverage[free]))[:, None] * residual[free] / size
    without = effect - shift
    nothing = np.full_like(effect, np.nan)
    return Fit(
        effect=effect + 0.0,  # no minus zero in a table
        se=spread,
        variance=sigma2,
        df=df,
        statistic=statistic,
        p_value=2 * stats.t.sf(np.abs(statistic), max(df, 1)),
        ci_low=effect - half,
        ci_high=effect + half,
        loo_low=without.min(axis=0) if len(without) else nothing,
        loo_high=without.max(axis=0) if len(without) else nothing,
    )
