"""Log ratios of counts, each held to the other donors as far as its own counts are few.

The logarithm of a small count is a noisy number, and the noise differs between donors: 3 pDC among
900 cells say less than 30 among 9,000. Each donor's log ratio is therefore replaced by the mode of
its posterior, the counts being multinomial and the donors' true log ratios normal around what the
nuisance columns predict. The mean and variance of that normal are estimated from all donors
together (Aitchison and Shen 1980, doi:10.1093/biomet/67.2.261, by the steps of Breslow and Clayton
1993, doi:10.1080/01621459.1993.10594284). The group plays no part in it, so that a permutation test
of these values is as exact as one of the raw ones; a donor with few cells counts for less in it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scifn._stats.ols import basis

FloatArray = NDArray[np.float64]

#: One part against another: coordinate of two parts.
RATIO: FloatArray = np.array([[1.0], [0.0]])
#: Isometric coordinates of three parts, the first against both others, the second against the last.
BALANCES: FloatArray = np.array(
    [[np.sqrt(2 / 3), 0.0], [-np.sqrt(1 / 6), np.sqrt(1 / 2)], [-np.sqrt(1 / 6), -np.sqrt(1 / 2)]]
)
#: Variance between donors that is assumed at least: identical donors are a chance of few.
_LEAST = 1e-3
_STEPS, _CLOSE = 200, 1e-6
#: Longest step of a coordinate, so that a start far away cannot run off.
_LONGEST = 2.0


def shrunken(parts: FloatArray, coordinates: FloatArray, nuisance: FloatArray) -> FloatArray:
    """Posterior modes of the donors' log ratios.

    Parameters
    ----------
    parts
        Counts, (..., n_donors, n_parts); leading axes are separate cohorts.
    coordinates
        (n_parts, n_coordinates): log shares are ``coordinates @ values``, up to a constant.
    nuisance
        (n_donors, k), with the intercept.

    Returns
    -------
    (..., n_donors, n_coordinates). A donor without any count gets what the others predict.
    """
    q = basis(nuisance)
    n, rank = q.shape
    total = parts.sum(axis=-1, keepdims=True)
    # orthogonal to constants, so that logarithms of shares and of counts give the same
    back = np.linalg.pinv(coordinates - coordinates.mean(axis=0))
    theta = np.log(parts + 0.5) @ back.T
    center = _fitted(theta, q)
    spread = _spread(theta - center, np.zeros(1), max(n - rank, 1))
    for _ in range(_STEPS):
        step, inverse = _newton(theta, center, spread, parts, total, coordinates)
        theta = theta + step
        center = _fitted(theta, q)
        spread = _spread(theta - center, inverse.sum(axis=-3), max(n - rank, 1))
        if np.max(np.abs(step), initial=0.0) < _CLOSE:
            break
    return theta


def _fitted(theta: FloatArray, q: FloatArray) -> FloatArray:
    return np.asarray(q @ (q.T @ theta))


def _spread(rest: FloatArray, uncertain: FloatArray, df: int) -> FloatArray:
    """Variance between donors, (..., d, d): of the modes, and what each mode leaves open."""
    found = (np.swapaxes(rest, -1, -2) @ rest + uncertain) / df
    return np.asarray(found + _LEAST * np.eye(rest.shape[-1]))


def _newton(
    theta: FloatArray,
    center: FloatArray,
    spread: FloatArray,
    parts: FloatArray,
    total: FloatArray,
    coordinates: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Step towards the mode of each donor and the inverse of the curvature there."""
    eta = theta @ coordinates.T
    share = np.exp(eta - eta.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    precision = _inverse(spread)[..., None, :, :]
    pull = (precision @ (theta - center)[..., None])[..., 0]
    slope = (parts - total * share) @ coordinates - pull
    mean = share @ coordinates
    second = np.einsum("...k,ka,kb->...ab", share, coordinates, coordinates)
    curve = second - mean[..., :, None] * mean[..., None, :]
    inverse = _inverse(total[..., None] * curve + precision)
    step = (inverse @ slope[..., None])[..., 0]
    return np.clip(step, -_LONGEST, _LONGEST), inverse


def _inverse(matrices: FloatArray) -> FloatArray:
    """Inverses; of single numbers without the detour of a solver."""
    return np.asarray(1 / matrices if matrices.shape[-1] == 1 else np.linalg.inv(matrices))
