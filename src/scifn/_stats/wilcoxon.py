"""Rank tests, for concordance only: they never stand for the permutation test."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]


def two_groups(group: FloatArray, reference: FloatArray) -> float:
    """Two-sided p of Mann and Whitney's test; exact for small arms without ties."""
    if np.ptp(np.concatenate([group, reference])) == 0:
        return 1.0
    return float(stats.mannwhitneyu(group, reference, alternative="two-sided").pvalue)


def pairs(difference: FloatArray) -> float:
    """Two-sided p of Wilcoxon's signed-rank test; differences of 0 are left out."""
    moved = difference[difference != 0]
    if len(moved) == 0:
        return 1.0
    tied = len(np.unique(np.abs(moved))) < len(moved)
    method = "exact" if len(moved) <= 50 and not tied else "asymptotic"
    return float(stats.wilcoxon(moved, method=method).pvalue)


def concordance(effect: float, p: dict[str, float], rank_effect: float) -> str:
    """Whether the tests say the same at p < 0.05, in words.

    >>> concordance(1.0, {"t": 0.01, "permutation": 0.02, "Wilcoxon": 0.08}, 0.6)
    'p < 0.05: t, permutation; not: Wilcoxon'
    """
    yes = [name for name, x in p.items() if x < 0.05]
    no = [name for name in p if name not in yes]
    if not no:
        said = f"p < 0.05: all {len(p)} tests"
    elif not yes:
        said = f"p < 0.05: none of {len(p)} tests"
    else:
        said = f"p < 0.05: {', '.join(yes)}; not: {', '.join(no)}"
    return said + ("; means and ranks differ in sign" if effect * rank_effect < 0 else "")
