"""Is a transcript in a cell more than ambient RNA explains? The null model and its test.

A cell of depth ``N`` holds ``N * rate`` UMI of a gene that it does not express, where
``rate`` is what the soup of its sample contributes: contamination times the gene's share
of the soup. It is read from empty droplets where they are given, else from cells that
cannot make the gene. The test is the upper tail of a negative binomial whose size is
learnt from genes that mark absent types; the posterior is that of :mod:`.producers`.
A library of purified cells holds no soup but reads of the other libraries of its run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scifn import _keys as k
from scifn._stats import adjust

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Pseudo-count of the background rate: half a UMI more than was seen.
HALF: Final = 0.5
#: Share of the reads of a library that belong to others of its run: index swapping and
#: carry-over, reported from 0.5 % to a few percent (Costello 2018).
SWAPPED: Final = 0.01
#: How that share differs between libraries: the degrees of freedom, over 2, of an F distribution.
#: 95 % of them lie below 2.4 times the mean, and the tail is heavy: no one measured it.
SWAPPED_SIZE: Final = 4.0
SWAPPED_TAIL: Final = 6.0
#: Grid of a gamma variable, on the log scale.
_LOG_GRID: Final = np.linspace(-25.0, 4.5, 300)
Q: Final = 0.05
#: Code of each label.
LABEL: Final = {name: i for i, name in enumerate(k.EVIDENCES)}


@dataclass(frozen=True)
class Background:
    """Expected ambient UMI per UMI of a cell (or of each library), and how it was found."""

    rate: float | Floats
    size: float
    source: str
    #: Weight of the tail of what libraries hold of each other; infinite for cells.
    tail: float = float("inf")

    def expected(self, total: Floats) -> Floats:
        """Expected ambient UMI of cells with ``total`` UMI."""
        return np.asarray(self.rate * total, dtype=np.float64)

    def p_value(self, umi: Floats, total: Floats) -> Floats:
        """P(X >= umi); 1 where nothing was seen."""
        return self._over(upper_tail, umi, self.expected(total))

    def log_pmf(self, umi: Floats, total: Floats) -> Floats:
        """Logarithm of P(X = umi)."""
        expected = self.expected(total)
        if np.isinf(self.tail):
            return log_pmf(umi, expected, self.size)
        return np.log(np.maximum(self._over(_pmf, umi, expected), 1e-300))

    def _over(
        self, of: Callable[[Floats, Floats, float], Floats], umi: Floats, mean: Floats
    ) -> Floats:
        """A probability, averaged over the spread of the mean between libraries."""
        if np.isinf(self.tail):
            return of(umi, mean, self.size)
        weight = stats.gamma.pdf(np.exp(_LOG_GRID), self.tail) * np.exp(_LOG_GRID)
        parts = [
            w * of(umi, mean * (self.tail - 1) / g, self.size)
            for w, g in zip(weight / weight.sum(), np.exp(_LOG_GRID), strict=True)
        ]
        return np.asarray(np.sum(parts, axis=0))


def from_absent(umi: Floats, total: Floats) -> float:
    """Background rate from cells that cannot make the gene, half a UMI added."""
    return float((umi.sum() + HALF) / (total.sum() + 1.0))


def from_soup(soup_umi: float, soup_total: float, contamination: float) -> float:
    """Background rate from empty droplets and the share of a cell's UMI that is soup."""
    return contamination * (soup_umi + HALF) / (soup_total + 1.0)


def from_libraries(
    umi: Floats, total: Floats, swapped: Floats, pool: tuple[float, float] | None = None
) -> Floats | None:
    """Background rate of each library: reads of others, and half a read of the deepest one.

    Parameters
    ----------
    umi, total
        Reads of the ligand and all reads of each library.
    swapped
        Share of each library's reads that belong to other libraries.
    pool
        Reads of the ligand and all reads of the pool; None takes the other libraries together.

    Returns
    -------
    Reads expected per read of the library; None where it stands alone.

    >>> umi, total = np.array([0.0, 199.5]), np.array([1e6, 999_999.0])
    >>> (from_libraries(umi, total, np.array([0.01, 0.01])) * 1e6).round(3)  # in a million
    array([2.5  , 0.505])
    """
    if pool is None:
        rest, depth = umi.sum() - umi, total.sum() - total
        if (depth <= 0).any():
            return None
    else:
        rest, depth = np.full(umi.size, pool[0]), np.full(umi.size, pool[1])
    floor = HALF / (float(total.max()) + 1.0)
    return np.asarray(floor + swapped * (rest + HALF) / (depth + 1.0), dtype=np.float64)


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
    out = np.ones(x.size)
    seen = x > 0
    if np.isinf(size):
        out[seen] = stats.poisson.sf(x[seen] - 1, expected[seen])
    else:
        out[seen] = stats.nbinom.sf(x[seen] - 1, size, size / (size + expected[seen]))
    return out


def log_pmf(umi: Floats, mean: Floats, size: float) -> Floats:
    """Logarithm of the negative binomial's probability; Poisson where the size is infinite."""
    mean = np.maximum(mean, 1e-12)
    out: Floats = -mean if np.isinf(size) else -size * np.log1p(mean / size)
    seen = np.flatnonzero(umi)  # few cells hold any
    if seen.size and np.isinf(size):
        out[seen] = stats.poisson.logpmf(umi[seen], mean[seen])
    elif seen.size:
        out[seen] = stats.nbinom.logpmf(umi[seen], size, size / (size + mean[seen]))
    return out


def _pmf(umi: Floats, mean: Floats, size: float) -> Floats:
    return np.asarray(np.exp(log_pmf(umi, mean, size)))


def benjamini_hochberg(p: Floats, among: Bools) -> Floats:
    """Adjusted p over the cells in ``among``; NaN elsewhere."""
    return adjust.benjamini_hochberg(np.where(among, p, np.nan))


def by_groups(p: Floats, among: Bools, groups: NDArray[Any]) -> Floats:
    """Adjusted p over the cells in ``among``, of which every group has the same share of the error.

    Weighted Benjamini-Hochberg (Genovese, Roeder and Wasserman 2006, doi:10.1093/biomet/93.3.509):
    the p of a cell is multiplied by the size of its group over the mean size of the groups. The
    weights are of the numbers of cells alone, so that the false discovery rate over all of them is
    what it is without weights, while a rare type is not outnumbered by a common one. No adjusted p
    is below the p itself.

    >>> p = np.array([0.001, 0.2, 0.003, 0.5, 0.9, 1.0])
    >>> by_groups(p, np.ones(6, dtype=bool), np.array(["pDC", *["Monocyte"] * 5])).round(4)
    array([0.002 , 0.6667, 0.015 , 1.    , 1.    , 1.    ])
    """
    out = np.full(p.size, np.nan)
    if among.any():
        _, at, size = np.unique(groups[among], return_inverse=True, return_counts=True)
        weighted = np.minimum(p[among] * size[at] / size.mean(), 1.0)
        out[among] = np.maximum(adjust.benjamini_hochberg(weighted), p[among])
    return out


def adjusted(p: Floats, seen: NDArray[np.int64], among: Bools, groups: NDArray[np.int64]) -> Floats:
    """:func:`by_groups` where few cells hold any transcript, and the others' p is 1.

    Parameters
    ----------
    p
        Those of the cells that hold any.
    seen
        Places of these cells.
    among, groups
        As there, of all cells; groups are numbers from 0.

    >>> among = np.ones(6, dtype=bool)
    >>> adjusted(np.array([0.001]), np.array([0]), among, np.array([0, 1, 1, 1, 1, 1])).round(4)
    array([0.002, 1.   , 1.   , 1.   , 1.   , 1.   ])
    """
    out = np.where(among, 1.0, np.nan)
    size = np.bincount(groups[among])
    mine = among[seen]
    if not mine.any():
        return out
    at, of = seen[mine], groups[seen[mine]]
    weight = size / size[size > 0].mean()
    weighted = np.minimum(np.concatenate([p[mine] * size[of] / size[size > 0].mean(), weight]), 1.0)
    # the cells without any are one value a group, as often as there are such cells
    times = np.concatenate([np.ones(at.size), size - np.bincount(of, minlength=size.size)])
    order = np.argsort(weighted)[::-1]
    rank = times.sum() - np.concatenate([[0.0], np.cumsum(times[order])[:-1]])
    held = rank > 0
    step = np.full(order.size, np.inf)
    step[held] = weighted[order][held] * times.sum() / rank[held]
    step[times[order] == 0] = np.inf
    found = np.empty(order.size)
    found[order] = np.minimum(np.minimum.accumulate(step), 1.0)
    out[at] = np.maximum(found[: at.size], p[mine])
    return out


def label(umi: Floats, n_genes: NDArray[Any], p_adj: Floats) -> NDArray[np.int8]:
    """Codes of none, weak (significant, one UMI) or strong (two UMI or two paralogs)."""
    out = np.full(umi.size, LABEL["none"], dtype=np.int8)
    significant = p_adj < Q
    out[significant] = LABEL["weak"]
    out[significant & ((umi >= 2) | (n_genes >= 2))] = LABEL["strong"]
    return out
