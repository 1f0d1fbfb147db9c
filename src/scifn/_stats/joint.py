"""Several coordinates of one composition tested together: Hotelling's T2 and its permutation.

Hotelling 1931, doi:10.1214/aoms/1177732979; the permutation is that of :mod:`permutation`, of a
statistic that orders arrangements as T2 does (the share of the readouts' volume that the group
explains, Pillai's trace of one regressor).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scifn._stats._layout import Layout
from scifn._stats.ols import basis, leftover
from scifn._stats.permutation import MAX_EXACT, arrange

FloatArray = NDArray[np.float64]

_TIE = 1e-10
#: Share of the readouts' length that rounding may leave of a direction that does not vary.
_FLAT = 1e-10


@dataclass(frozen=True)
class Joint:
    """F of Hotelling's T2 with ``n_readouts`` and ``df`` degrees of freedom, and its p-value."""

    statistic: float
    df: int
    p_value: float


def hotelling(y: FloatArray, regressor: FloatArray, nuisance: FloatArray) -> Joint:
    """Regress all columns of ``y`` (n, d) on the regressor beside nuisance columns, as one.

    NaN where fewer residual degrees of freedom than readouts are left, or a direction is flat.
    """
    n, d = y.shape
    q = basis(nuisance)
    x = leftover(regressor, q)
    df = n - q.shape[1] - d
    white = _whitened(y, q)
    if df < 1 or white is None:
        return Joint(float("nan"), df, float("nan"))
    share = float((((x / np.sqrt(x @ x)) @ white) ** 2).sum())
    f = share / max(1 - share, 1e-300) * df / d
    return Joint(f, df, float(stats.f.sf(f, d, df)))


def permute_joint(
    y: FloatArray, layout: Layout, *, n_permutations: int, rng: np.random.Generator
) -> float:
    """Permutation p of all columns of ``y`` together; NaN where a direction is flat.

    Arguments as of :func:`scifn._stats.permutation.permute`. The test has one tail: whichever way
    the group differs, T2 grows.
    """
    width = len(y) + 4 * y.shape[1] ** 2
    all_ = arrange(layout, n_permutations=n_permutations, rng=rng, width=width)
    white = _whitened(y, all_.q)
    if white is None:
        return float("nan")
    observed = float(((all_.found @ white) ** 2).sum())
    as_large = 0.0
    for chunk in all_.chunks:
        found = chunk.regressor @ white
        if chunk.moved is None:
            size = (found**2).sum(axis=1)
        else:
            rest = np.eye(white.shape[1]) - sum(
                u[:, :, None] * u[:, None, :] for u in (chunk.moved(c) @ white for c in all_.q.T)
            )
            size = (found * np.linalg.solve(rest, found[..., None])[..., 0]).sum(axis=1)
        as_large += float((size >= observed - _TIE).sum())
    return float(all_.p_value(np.array(as_large)))


def attainable_jointly(layout: Layout, n_permutations: int) -> float:
    """Smallest p that a design can give.

    With the arms exchanged, T2 is the same: where that is an arrangement too, two are as extreme.
    """
    n = layout.count()
    if n > MAX_EXACT:
        return 1 / (n_permutations + 1)
    return min(1.0, (1 + layout.is_mirrored()) / n)


def _whitened(y: FloatArray, q: FloatArray) -> FloatArray | None:
    """Orthonormal columns that span what ``q`` leaves of ``y``; None where a direction is flat."""
    u, s, _ = np.linalg.svd(leftover(y, q), full_matrices=False)
    if len(s) < y.shape[1] or s[-1] <= _FLAT * np.linalg.norm(y):
        return None
    return np.asarray(u)
