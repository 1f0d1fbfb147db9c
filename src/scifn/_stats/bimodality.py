"""Whether the patients' scores fall into two groups: asked of many donors only, and of two tests.

Two Gaussians fit better than one to any skewed sample, and the dip alone calls chance gaps. Both
have to agree, and thirty patients be there; the cut-off is that of the controls in any case.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scifn._stats.dip import TAILS, dip, p_value

FloatArray = NDArray[np.float64]

#: Patients needed; difference of BIC and p-value of the dip that are called two groups.
MIN_PATIENTS, BIC_DIFFERENCE, LEVEL = 30, 6.0, 0.05
#: Spread of a component, relative to all, below which it is a few equal values and no group.
_MIN_SPREAD = 0.05
_STEPS, _CLOSE = 300, 1e-6


class Mixture(NamedTuple):
    """Two Gaussians, the lower first."""

    weight: FloatArray
    mean: FloatArray
    sd: FloatArray
    log_likelihood: float


def test(scores: FloatArray) -> dict[str, str | int | float]:
    """Difference of BIC between one and two Gaussians, dip with its p-value, and what follows."""
    scores = scores[np.isfinite(scores)]
    n = len(scores)
    out: dict[str, str | int | float] = {"n_patients": n}
    nan = float("nan")
    if n < MIN_PATIENTS or np.ptp(scores) == 0:
        why = "equal scores" if n >= MIN_PATIENTS else f"{n} patients, {MIN_PATIENTS} needed"
        names = ("bic_difference", "dip", "dip_p_value")
        return (
            out
            | dict.fromkeys(names, nan)
            | {"bimodality": f"two groups of patients: not tested, {why}"}
        )
    difference = bic_difference(scores)
    statistic = dip(scores)
    p = p_value(statistic, n)
    two = difference > BIC_DIFFERENCE and p < LEVEL
    said = "two groups of patients" if two else "two groups of patients are not shown"
    return out | {
        "bic_difference": difference,
        "dip": statistic,
        "dip_p_value": p,
        "bimodality": (
            f"{said}: BIC difference {difference:.1f} (above {BIC_DIFFERENCE:.0f} needed), "
            f"dip test p {_shown(p)} (below {LEVEL} needed)"
        ),
    }


def _shown(p: float) -> str:
    return f"at most {p:.2g}" if p <= TAILS[-1] * 1.0001 else f"= {p:.2g}"


def bic_difference(scores: FloatArray) -> float:
    """BIC of one Gaussian (2 parameters) minus that of two (5); positive speaks for two."""
    n = len(scores)
    one = -n / 2 * (np.log(2 * np.pi * scores.var()) + 1)
    return float(2 * (mixture(scores).log_likelihood - one) - 3 * np.log(n))


def mixture(scores: FloatArray) -> Mixture:
    """Two Gaussians by expectation and maximization, the best of five starts."""
    cuts = np.quantile(scores, (0.1, 0.3, 0.5, 0.7, 0.9))
    fits = [_from(scores, scores > cut) for cut in cuts if (scores > cut).sum() > 1]
    best = max(fits, key=lambda fitted: fitted.log_likelihood)
    order = np.argsort(best.mean)
    return Mixture(best.weight[order], best.mean[order], best.sd[order], best.log_likelihood)


def _from(x: FloatArray, upper: NDArray[np.bool_]) -> Mixture:
    """Ascend from a split of the sample."""
    floor = _MIN_SPREAD * x.std()
    share = np.stack([~upper, upper]).astype(np.float64)
    last = -np.inf
    for _ in range(_STEPS):
        size = share.sum(axis=1)
        mean = share @ x / size
        sd = np.sqrt((share * (x - mean[:, None]) ** 2).sum(axis=1) / size)
        sd = np.maximum(sd, floor)
        z = (x - mean[:, None]) / sd[:, None]
        density = (size / len(x) / sd)[:, None] * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
        total = density.sum(axis=0)
        log_likelihood = float(np.log(total).sum())
        if log_likelihood - last < _CLOSE:
            break
        last, share = log_likelihood, density / total
    return Mixture(size / len(x), mean, sd, log_likelihood)
