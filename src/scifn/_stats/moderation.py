"""Variances that borrow from each other: the empirical-Bayes moderation of limma.

Smyth 2004, doi:10.2202/1544-6115.1027; with a trend and robust: Phipson et al. 2016,
doi:10.1214/16-AOAS920. Written from the papers and checked against limma 3.54.1 in R.

Kept apart from ``p_value``: a prior over few, correlated or unlike readouts does not hold its level
(benchmarks/donors.py shows what was tried).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

from scifn._errors import ArgumentError
from scifn._stats.ols import Fit

FloatArray = NDArray[np.float64]

#: Variances below this share of the median are taken for it: a zero has no logarithm.
_ZERO, _ROBUST_ZERO = 1e-5, 1e-12
#: Shares of the variances that the robust form takes for outliers, low and high.
_TAILS = (0.05, 0.1)
_NODES = 128


@dataclass(frozen=True)
class Squeezed:
    """Moderated variances, each array (n,)."""

    variance: FloatArray
    prior: FloatArray
    #: Degrees of freedom that the prior adds; infinite where all variances are one.
    df_prior: FloatArray


def squeeze_variances(
    variance: ArrayLike,
    df: ArrayLike,
    *,
    covariate: ArrayLike | None = None,
    robust: bool = False,
) -> Squeezed:
    """Move variances towards their common value, or towards a trend.

    Parameters
    ----------
    variance
        Residual variances, (n,).
    df
        Their degrees of freedom, one for all or (n,).
    covariate
        What the prior variance may depend on (a natural spline), (n,).
    robust
        Let single outlying variances keep more of their own; not together with a trend.

    Returns
    -------
    Squeezed

    Examples
    --------
    >>> found = squeeze_variances([0.2, 0.1, 0.4, 0.3], 6)
    >>> found.prior.round(3).tolist(), found.df_prior.tolist()
    ([0.25, 0.25, 0.25, 0.25], [inf, inf, inf, inf])
    """
    s2 = np.asarray(variance, dtype=np.float64)
    d1 = np.broadcast_to(np.asarray(df, dtype=np.float64), s2.shape).copy()
    if robust:
        if covariate is not None:
            raise ArgumentError("A robust prior with a trend is not available: give one of them.")
        prior, d0 = _robust_prior(s2, d1)
    else:
        x = None if covariate is None else np.asarray(covariate, dtype=np.float64)
        prior, single = _prior(s2, d1, x)
        d0 = np.full(len(s2), single)
    with np.errstate(invalid="ignore"):
        mixed = (d1 * s2 + d0 * prior) / (d1 + d0)
    return Squeezed(np.where(np.isinf(d0), prior, mixed), prior, d0)


def moderated(fit: Fit, squeezed: Squeezed) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Moderated t, its degrees of freedom and p of several readouts of the same donors."""
    own = np.full(len(fit.effect), float(fit.df))
    ratio = np.sqrt(squeezed.variance / fit.variance)
    t = fit.effect / (fit.se * ratio)
    df = np.minimum(own + squeezed.df_prior, own.sum())
    return t, df, 2 * stats.t.sf(np.abs(t), df)


def _prior(s2: FloatArray, d1: FloatArray, x: FloatArray | None) -> tuple[FloatArray, float]:
    """Prior variances and degrees of freedom by the moments of log variances."""
    n = len(s2)
    if n < 3:
        return s2, 0.0
    s2 = np.maximum(s2, _ZERO * np.median(s2))
    half = d1 / 2
    e = np.log(s2) - special.digamma(half) + np.log(half)
    design = np.ones((n, 1)) if x is None else _spline(x)
    center = design @ np.linalg.lstsq(design, e, rcond=None)[0]
    free = n - int(np.linalg.matrix_rank(design))
    between = ((e - center) ** 2).sum() / max(free, 1) - special.polygamma(1, half).mean()
    if between > 0:
        d0 = 2 * _trigamma_inverse(float(between))
        return np.exp(center + special.digamma(d0 / 2) - np.log(d0 / 2)), d0
    return (np.full(n, s2.mean()) if x is None else np.exp(center)), np.inf


def _spline(x: FloatArray) -> FloatArray:
    """Natural cubic spline with up to two inner knots, by the number of values."""
    n = len(x)
    columns = min(1 + (n >= 3) + (n >= 6) + (n >= 30), len(np.unique(x)))
    parts = [np.ones(n), x][:columns]
    if columns > 2:
        z = (x - x.min()) / np.ptp(x)
        knots = np.quantile(z, np.linspace(0, 1, columns))

        def bent(i: int) -> FloatArray:
            over = np.maximum(z - knots[i], 0) ** 3 - np.maximum(z - knots[-1], 0) ** 3
            return np.asarray(over / (knots[-1] - knots[i]))

        parts += [bent(i) - bent(columns - 2) for i in range(columns - 2)]
    return np.column_stack(parts)


def _trigamma_inverse(x: float) -> float:
    """The number whose trigamma is x, by Newton's method on 1/trigamma, which is nearly a line."""
    y = 0.5 + 1 / x
    for _ in range(50):
        value = float(special.polygamma(1, y))
        step = value * (1 - value / x) / float(special.polygamma(2, y))
        y += step
        if abs(step) < 1e-10 * y:
            break
    return y


def _robust_prior(s2: FloatArray, d1: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Prior by Winsorized moments; outlying variances get fewer prior degrees of freedom."""
    n = len(s2)
    plain, d_plain = _prior(s2, d1, None)
    if n < 3 or max(_TAILS) < 1 / n:
        return plain, np.full(n, d_plain)
    s2 = np.maximum(s2, _ROBUST_ZERO * np.median(s2))
    s2, df = _one_df(s2, d1, float(plain[0]), d_plain)
    z = np.log(s2)
    cut = int(n * _TAILS[1])
    middle = float(np.sort(z)[cut : n - cut].mean())
    rest = z - middle
    low, high = np.quantile(rest, [_TAILS[0], 1 - _TAILS[1]])
    rest = np.clip(rest, low, high)
    spread = float(rest.var(ddof=1))

    def excess(link: float) -> float:
        return float(np.log(spread / _winsorized(df, link / (1 - link))[1]))

    d0 = d_plain
    if np.log(spread / _winsorized(df, np.inf)[1]) <= 0:
        d0 = np.inf
    elif np.isinf(d_plain):
        return plain, np.full(n, d_plain)
    elif excess(d_plain / (1 + d_plain)) < 0:
        root = float(optimize.brentq(excess, d_plain / (1 + d_plain), 1 - 1e-9, xtol=1e-13))
        d0 = root / (1 - root)
    center = middle + float(rest.mean()) - _winsorized(df, d0)[0]
    return np.full(n, np.exp(center)), _outliers(z - center, df, d0, d_plain)


def _one_df(s2: FloatArray, d1: FloatArray, prior: float, d0: float) -> tuple[FloatArray, float]:
    """Variances as if all had the largest degrees of freedom, each at its own tail."""
    df = float(d1.max())
    out = s2.copy()
    for i in np.flatnonzero(d1 < df - 1e-14):
        f = s2[i] / prior
        have, want = (_ratio(float(d), d0) for d in (d1[i], df))
        upper, lower = have.sf(f), have.cdf(f)
        out[i] = prior * (want.isf(upper) if upper < lower else want.ppf(lower))
    return out, df


def _ratio(df: float, d0: float) -> stats.rv_continuous:
    """Distribution of variance over prior."""
    return stats.chi2(df, scale=1 / df) if np.isinf(d0) else stats.f(df, d0)


def _winsorized(df: float, d0: float) -> tuple[float, float]:
    """Mean and variance of the logarithm of such a ratio with its tails cut to their ends."""
    ratio = _ratio(df, d0)
    ends = ratio.ppf([_TAILS[0], 1 - _TAILS[1]])
    a, b = ends / (1 + ends)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    u = a + (b - a) * (nodes + 1) / 2
    x = u / (1 - u)
    mass = (b - a) / 2 * weights * ratio.pdf(x) / (1 - u) ** 2
    tails, at = np.array(_TAILS), np.log(ends)
    mean = float(mass @ np.log(x) + tails @ at)
    return mean, float(mass @ (np.log(x) - mean) ** 2 + tails @ (at - mean) ** 2)


def _outliers(rest: FloatArray, df: float, d0: float, d_plain: float) -> FloatArray:
    """Prior degrees of freedom of each variance, fewer where it is too large for the prior."""
    n = len(rest)
    ratio = _ratio(df, d0)
    tail = ratio.logsf(np.exp(rest))
    expected = np.log((n - stats.rankdata(rest) + 0.5) / n)
    fits = np.exp(np.minimum(tail - expected, 0))
    order = np.argsort(tail, kind="stable")
    out = np.full(n, d0)
    if (fits >= 1).all():
        return out
    if np.isinf(d0):
        out[fits < 1] = fits[fits < 1] * n * df
        out[order] = np.maximum.accumulate(out[order])
        return out
    worst = np.log(0.5) / float(tail.min()) * d0 if np.isfinite(tail.min()) else 0.0
    if worst > 0:
        worst *= np.log(0.5) / float(_ratio(df, worst).logsf(np.exp(rest.max())))
    out = fits * d0 + (1 - fits) * worst
    sorted_ = out[order]
    sorted_[0] = min(sorted_[0], d_plain)
    means = np.cumsum(sorted_) / np.arange(1, n + 1)
    least = int(np.argmin(means))
    sorted_[: least + 1] = means[least]
    out[order] = np.maximum.accumulate(sorted_)
    return np.asarray(out)
