"""Partial rank correlation across donors: what two readouts share beside condition and covariates.

Each readout is reduced to what conditions and covariates leave over (least squares), the residuals
are ranked within each condition and brought to mean 0 and variance 1 there, and these scores are
correlated. So one donor of an extreme value cannot make an association, nor can a difference
between conditions, nor a condition in which everything varies more. With one condition and no
covariate it is Spearman's rho. Ranking first and adjusting the ranks then, as is often done, called
10 to 13 % of nulls an association where a covariate moved both readouts.

A donor counts once. Where it has several rows (two conditions), its scores are averaged, for
rows of one donor are not independent, and n is the number of donors.

The p-value is that of permutation: donors of the same conditions are exchanged, which is exact.
Beside covariates it is the exchanged scores less what covariates explain of them (Freedman and
Lane). Ranks of few donors give few correlations: orders that give the same one are told apart by
the residuals themselves, or the test would reject 3 of 100 nulls where 5 are meant. The t of a
rank correlation of ten donors has p < 0.01 in 1.8 of 100.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scifn._stats._exchange import LEAST, Rows, averaged, correlation, permuted
from scifn._stats.ols import basis, leftover

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

METHOD: Final = (
    "partial Spearman: least-squares residuals on condition and covariates, ranked within "
    "condition; p of donors exchanged with donors of the same conditions"
)
#: Donors below which no association across donors is given.
MIN_DONORS: Final = 10
#: Residual degrees of freedom below which neither an interval nor a p-value is given.
MIN_DF: Final = 3
#: Random orders of donors, where there are too many for all.
N_PERMUTATIONS: Final = 10_000
#: Weight of the residuals beside their ranks where orders of donors are compared.
_FINE: Final = 1e-3


@dataclass(frozen=True)
class Partial:
    """Partial correlation of two readouts; NaN where it does not exist.

    ``n`` is the number of donors, ``k`` that of the degrees of freedom that conditions and
    covariates cost.
    """

    n: int
    k: int
    rho: float
    ci_low: float
    ci_high: float
    p_value: float


def partial_spearman(
    x: FloatArray,
    y: FloatArray,
    *,
    conditions: Sequence[str] | None = None,
    covariates: FloatArray | None = None,
    donors: Sequence[str] | None = None,
    level: float = 0.95,
    n_permutations: int = N_PERMUTATIONS,
) -> Partial:
    """Rank correlation of ``x`` and ``y`` with conditions and covariates partialled out.

    Parameters
    ----------
    x, y
        Readouts, (n_rows,), finite.
    conditions
        Condition of each row; None: one.
    covariates
        (n_rows, n_covariates), finite, without intercept. Redundant columns cost nothing.
    donors
        Who each row is of; scores of rows of one donor are averaged. None: all differ.
    level
        Of the interval.
    n_permutations
        Random orders of donors, where there are more than 20,000.

    Returns
    -------
    Partial
        p of the orders of donors of the same conditions, all of them or random ones with + 1, which
        are the same at every call. The interval is from Fisher's z with the standard error of a
        rank correlation, sqrt((1 + rho^2 / 2) / (n - 3 - k)), NaN at a rho of 1 or -1.

    References
    ----------
    Kendall MG. Biometrika 1942, doi:10.1093/biomet/32.3-4.277 (partial rank correlation).
    Freedman D, Lane D. J Bus Econ Stat 1983, doi:10.1080/07350015.1983.10509354 (permutation).
    Bonett DG, Wright TA. Psychometrika 2000, doi:10.1007/BF02294183 (interval).

    Examples
    --------
    >>> found = partial_spearman(np.arange(12.0), np.arange(12.0) ** 3)
    >>> found.rho, found.n, found.k
    (1.0, 12, 0)
    """
    words = np.asarray(["" for _ in x] if conditions is None else conditions, dtype=str)
    stratum = np.unique(words, return_inverse=True)[1].astype(np.int64)
    dummies = (stratum[:, None] == np.arange(stratum.max() + 1)).astype(np.float64)
    q = basis(dummies if covariates is None else np.hstack([dummies, covariates]))
    k = q.shape[1] - 1
    names = np.arange(len(x)) if donors is None else np.asarray(donors, dtype=str)
    who = np.unique(names, return_inverse=True)[1]
    rows = Rows(stratum, who.astype(np.int64), q)
    rest = [_residual(values, q) for values in (x, y)]
    each = np.stack([_scores(values, stratum, rank=True) for values in rest])
    fine = np.stack([_scores(values, stratum, rank=False) for values in rest])
    rho = float(correlation(*averaged(each, rows)))
    df = rows.n - 2 - k
    if df < 1 or not np.isfinite(rho):
        return Partial(rows.n, k, *[float("nan")] * 4)
    if df < MIN_DF:
        return Partial(rows.n, k, rho, *[float("nan")] * 3)
    p = permuted(each + _FINE * fine, rows, n_permutations)
    return Partial(rows.n, k, rho, *_interval(rho, df, level), p)


def _residual(values: FloatArray, q: FloatArray) -> FloatArray:
    """What conditions and covariates leave of a readout; zeros where that is nothing."""
    centred = values - values.mean()
    rest = leftover(centred, q)
    if rest @ rest <= LEAST * (centred @ centred):
        return np.zeros(len(rest))
    # rounding must not tell donors of the same value apart
    return np.asarray(np.round(rest / np.abs(rest).max(), 12))


def _scores(rest: FloatArray, stratum: IntArray, *, rank: bool) -> FloatArray:
    """Residuals, or their ranks, of mean 0 and variance 1 within each condition."""
    scores = np.zeros(len(rest))
    for i in range(int(stratum.max()) + 1):
        here = stratum == i
        part = stats.rankdata(rest[here]) if rank else rest[here]
        spread = part.std()
        if spread > 1e-9:
            scores[here] = (part - part.mean()) / spread
    return scores


def _interval(rho: float, df: int, level: float) -> tuple[float, float]:
    """Fisher's z, with the standard error of a rank correlation."""
    if abs(rho) == 1:
        return float("nan"), float("nan")
    z = np.arctanh(rho)
    half = stats.norm.ppf((1 + level) / 2) * np.sqrt((1 + rho**2 / 2) / (df - 1))
    return float(np.tanh(z - half)), float(np.tanh(z + half))
