"""Is a transcript in a cell more than ambient RNA explains? The null model and its test.

A cell of depth ``N`` holds ``N * rate`` UMI of a gene that it does not express, where
``rate`` is what the soup of its sample contributes: contamination times the gene's share
of the soup. It is read from empty droplets where they are given, else from cells that
cannot make the gene. The test is the upper tail of a negative binomial whose size is
learnt from genes that mark absent types; the posterior comes from a two-component
mixture of that null and producers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scifn._stats import adjust

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Pseudo-count of the background rate: half a UMI more than was seen.
HALF: Final = 0.5
#: Prior of the share of producers, Beta(0.5, 50).
PRIOR: Final = (0.5, 50.0)
#: Size of the negative binomial of producers: bursts make it wide.
PRODUCER_SIZE: Final = 1.0
#: Start and floor of the mean UMI that a producer adds at mean depth.
PRODUCER_MEAN: Final = 5.0
MIN_PRODUCER_MEAN: Final = 1.0
Q: Final = 0.05


@dataclass(frozen=True)
class Background:
    """Expected ambient UMI per UMI of a cell, and how it was found."""

    rate: float
    size: float
    source: str

    def expected(self, total: Floats) -> Floats:
        """Expected ambient UMI of cells with ``total`` UMI."""
        return np.asarray(self.rate * total, dtype=np.float64)


def from_absent(umi: Floats, total: Floats) -> float:
    """Background rate from cells that cannot make the gene, half a UMI added."""
    return float((umi.sum() + HALF) / (total.sum() + 1.0))


def from_soup(soup_umi: float, soup_total: float, contamination: float) -> float:
    """Background rate from empty droplets and the share of a cell's UMI that is soup."""
    return contamination * (soup_umi + HALF) / (soup_total + 1.0)


def learn_size(umi: Floats, total: Floats) -> float:
    """Size of the negative binomial of soup, by moments over several marker genes.

    Parameters
    ----------
    umi
        Cells x genes: UMI of genes that these cells do not express.
    total
        UMI of each cell.

    Returns
    -------
    Size; infinite (Poisson) where the counts are no wider than Poisson or say too little.
    """
    if umi.size == 0 or total.sum() <= 0:
        return float("inf")
    rate = umi.sum(axis=0) / total.sum()
    told = umi.sum(axis=0) >= 20
    if not told.any():
        return float("inf")
    mean = total[:, None] * rate[None, told]
    extra = float(((umi[:, told] - mean) ** 2).sum() - mean.sum())
    return float((mean**2).sum() / extra) if extra > 0 else float("inf")


def upper_tail(umi: Floats, expected: Floats, size: float) -> Floats:
    """P(X >= umi) under the null; 1 where nothing was seen."""
    x = np.asarray(umi, dtype=np.float64)
    if np.isinf(size):
        tail = stats.poisson.sf(x - 1, expected)
    else:
        tail = stats.nbinom.sf(x - 1, size, size / (size + expected))
    return np.where(x <= 0, 1.0, tail)


def benjamini_hochberg(p: Floats, among: Bools) -> Floats:
    """Adjusted p over the cells in ``among``; NaN elsewhere."""
    return adjust.benjamini_hochberg(np.where(among, p, np.nan))


def posterior(
    umi: Floats, expected: Floats, total: Floats, size: float, groups: NDArray[np.int64]
) -> Floats:
    """Posterior probability of being a producer: null against null plus production.

    The share of producers is fitted within each group (a cell type of a sample) under a
    Beta(0.5, 50) prior, the mean of producers over all of them; both by expectation
    maximization, which raises the likelihood at every step.
    """
    depth = total / max(float(total.mean()), 1.0)
    null = _log_pmf(umi, expected, size)
    n_groups = int(groups.max()) + 1 if groups.size else 0
    share = np.full(n_groups, PRIOR[0] / sum(PRIOR))
    mean = max(PRODUCER_MEAN, float(umi.max(initial=0.0)) / 2)
    found = np.zeros(umi.size)
    cells = np.bincount(groups, minlength=n_groups)
    for _ in range(200):
        producing = _log_pmf(umi, expected + mean * depth, PRODUCER_SIZE)
        odds = np.log(share[groups]) - np.log1p(-share[groups]) + producing - null
        new = 1.0 / (1.0 + np.exp(-np.clip(odds, -700, 700)))
        share = (np.bincount(groups, new, n_groups) + PRIOR[0]) / (cells + sum(PRIOR))
        weight = float((new * depth).sum())
        seen = float((new * np.maximum(umi - expected, 0.0)).sum())
        mean = max(seen / weight, MIN_PRODUCER_MEAN) if weight > 0.1 else mean
        if np.abs(new - found).max(initial=0.0) < 1e-8:
            found = new
            break
        found = new
    return found


def _log_pmf(umi: Floats, mean: Floats, size: float) -> Floats:
    mean = np.maximum(mean, 1e-12)
    if np.isinf(size):
        return np.asarray(stats.poisson.logpmf(umi, mean))
    return np.asarray(stats.nbinom.logpmf(umi, size, size / (size + mean)))


def label(umi: Floats, n_genes: NDArray[np.int64], p_adj: Floats) -> NDArray[np.object_]:
    """none, weak (significant, one UMI) or strong (two UMI or two paralogs)."""
    out = np.full(umi.size, "none", dtype=object)
    significant = p_adj < Q
    out[significant] = "weak"
    out[significant & ((umi >= 2) | (n_genes >= 2))] = "strong"
    return out
