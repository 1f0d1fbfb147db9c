"""Quasi-binomial regression with an F test: binomial, the scatter between donors left free.

Wedderburn 1974, doi:10.1093/biomet/61.3.439; McCullagh and Nelder 1989. Equal to a binomial GLM of
statsmodels with ``scale="X2"``. For concordance only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

FloatArray = NDArray[np.float64]

#: Bound of a linear predictor, reached where all cells of an arm are of one kind.
_WIDEST = 30.0
_STEPS, _CLOSE = 100, 1e-12
#: Scatter that rounding alone leaves of donors with one share.
_FLAT = 1e-20


@dataclass(frozen=True)
class Binomial:
    """One fit: deviance, Pearson's X2 over its degrees of freedom, coefficients."""

    coefficients: FloatArray
    deviance: float
    scale: float
    df: int


def fit_binomial(successes: FloatArray, total: FloatArray, design: FloatArray) -> Binomial:
    """Logistic regression of counts (n_donors,) by iterated weighted least squares."""
    use = total > 0
    x, n, columns = successes[use], total[use], design[use]
    eta = np.log((x + 0.5) / (n - x + 0.5))
    beta = np.zeros(columns.shape[1])
    for step in range(_STEPS):
        mu = special.expit(eta)
        weight = n * mu * (1 - mu)
        root = np.sqrt(weight)
        target = root * (eta + (x - n * mu) / np.maximum(weight, 1e-300))
        new = np.linalg.lstsq(root[:, None] * columns, target, rcond=None)[0]
        eta = np.clip(columns @ new, -_WIDEST, _WIDEST)
        done = step > 0 and np.max(np.abs(new - beta), initial=0.0) < _CLOSE * (1 + abs(new).max())
        beta = new
        if done:
            break
    mean = n * special.expit(eta)
    deviance = 2 * (special.xlogy(x, x / mean) + special.xlogy(n - x, (n - x) / (n - mean))).sum()
    df = len(x) - int(np.linalg.matrix_rank(columns)) if len(x) else 0
    pearson = ((x - mean) ** 2 / (mean * (1 - mean / n))).sum()
    return Binomial(beta, float(deviance), float(pearson / df) if df > 0 else float("nan"), df)


def f_test(
    successes: FloatArray, total: FloatArray, regressor: FloatArray, nuisance: FloatArray
) -> float:
    """p of the regressor beside nuisance columns: drop in deviance over the scatter.

    NaN where no residual degree of freedom is left or nothing scatters.
    """
    beside = fit_binomial(successes, total, np.column_stack([regressor, nuisance]))
    if not beside.scale > _FLAT:
        return float("nan")
    without = fit_binomial(successes, total, nuisance)
    if without.df - beside.df != 1:
        return float("nan")
    f = max(without.deviance - beside.deviance, 0.0) / beside.scale
    return float(stats.f.sf(f, 1, beside.df))
