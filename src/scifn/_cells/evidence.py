"""Is a transcript in a cell more than ambient RNA explains? The null model and its test.

A cell of depth ``N`` holds ``N * rate`` UMI of a gene that it does not express, where
``rate`` is what the soup of its sample contributes: contamination times the gene's share
of the soup. It is read from empty droplets where they are given, else from cells that
cannot make the gene. The test is the upper tail of a negative binomial whose size is
learnt from genes that mark absent types; the posterior is that of :mod:`.producers`.
A library of purified cells holds no soup but reads of the other libraries of its run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
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
class Null:
    """Of each cell, expected ambient UMI per UMI and the size around them."""

    rate: Floats
    size: Floats
    #: Weight of the tail of what libraries hold of each other; infinite for cells.
    tail: float = float("inf")

    def of(self, cells: Any) -> Null:
        """Null of some of the cells."""
        return Null(self.rate[cells], self.size[cells], self.tail)

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
        self,
        of: Callable[[Floats, Floats, float | Floats], Floats],
        umi: Floats,
        mean: Floats,
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


def from_absent(umi: Floats, total: Floats) -> Floats:
    """Background rate from UMI of cells that cannot make the gene, half a UMI added.

    >>> from_absent(np.array([3.0]), np.array([6999.0])).tolist()
    [0.0005]
    """
    return (umi + HALF) / (total + 1.0)


def from_soup(soup_umi: float, soup_total: float, contamination: Floats) -> Floats:
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


def upper_tail(umi: Floats, expected: Floats, size: float | Floats) -> Floats:
    """P(X >= umi) under the null; 1 where nothing was seen."""
    x = np.asarray(umi, dtype=np.float64)
    out = np.ones(x.size)
    seen = np.flatnonzero(x > 0)
    for at, of in _by_kind(seen, size, x.size):
        if of is None:
            out[at] = stats.poisson.sf(x[at] - 1, expected[at])
        else:
            out[at] = stats.nbinom.sf(x[at] - 1, of, of / (of + expected[at]))
    return out


def log_pmf(umi: Floats, mean: Floats, size: float | Floats) -> Floats:
    """Logarithm of the negative binomial's probability; Poisson where the size is infinite."""
    mean = np.maximum(mean, 1e-12)
    out = _log_of_none(mean, size)
    seen = np.flatnonzero(umi)  # few cells hold any
    for at, of in _by_kind(seen, size, mean.size):
        if of is None:
            out[at] = stats.poisson.logpmf(umi[at], mean[at])
        else:
            out[at] = stats.nbinom.logpmf(umi[at], of, of / (of + mean[at]))
    return out


def _log_of_none(mean: Floats, size: float | Floats) -> Floats:
    """Logarithm of the probability of no UMI."""
    narrow = np.isinf(size)
    if np.all(narrow):
        return -mean
    if not np.any(narrow):
        return np.asarray(-size * np.log1p(mean / size))
    some = np.where(narrow, 1.0, size)
    return np.where(narrow, -mean, -some * np.log1p(mean / some))


def _by_kind(
    cells: NDArray[np.int64], size: float | Floats, n: int
) -> Iterator[tuple[NDArray[np.int64], Floats | None]]:
    """Cells of a Poisson null (no size), and of a negative binomial (with their sizes)."""
    sizes = np.broadcast_to(np.asarray(size, dtype=np.float64), n)[cells]
    narrow = np.isinf(sizes)
    if narrow.any():
        yield cells[narrow], None
    if not narrow.all():
        yield cells[~narrow], sizes[~narrow]


def _pmf(umi: Floats, mean: Floats, size: float | Floats) -> Floats:
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


def adjusted(
    p: Floats,
    groups: NDArray[np.int64],
    sizes: NDArray[Any],
    samples: NDArray[np.int64] | None = None,
) -> Floats:
    """:func:`by_groups` where few cells hold any transcript, and the others' p is 1.

    Parameters
    ----------
    p, groups
        Those of the cells that hold any; groups are numbers from 0.
    sizes
        Cells of each group, whether they hold any or not; with samples, a row each.
    samples
        Sample of each of the cells, if there are several, each of which is adjusted by itself.

    >>> adjusted(np.array([0.001]), np.array([0]), np.array([1, 5])).round(4)
    array([0.002])
    """
    if not p.size:
        return np.zeros(0)
    samples = np.zeros(p.size, dtype=np.int64) if samples is None else samples
    used, own = np.unique(samples, return_inverse=True)
    sizes = np.atleast_2d(sizes)[used]
    n_groups = sizes.shape[1]
    mean = sizes.sum(axis=1) / (sizes > 0).sum(axis=1)
    # the cells without any are one value a group, as often as there are such cells
    held = np.bincount(own * n_groups + groups, minlength=sizes.size).reshape(sizes.shape)
    of = np.concatenate([own, np.repeat(np.arange(used.size), n_groups)])
    weighted = np.concatenate([p * sizes[own, groups] / mean[own], (sizes / mean[:, None]).ravel()])
    times = np.concatenate([np.ones(p.size), (sizes - held).ravel()])
    order = np.lexsort((-weighted, of))
    of, weighted, times = of[order], np.minimum(weighted[order], 1.0), times[order]
    everyone = sizes.sum(axis=1)
    before = (np.cumsum(everyone) - everyone)[of]
    rank = everyone[of] - (np.cumsum(times) - times - before)
    step = np.full(order.size, np.inf)
    there = times > 0
    step[there] = weighted[there] * everyone[of[there]] / rank[there]
    ends = np.searchsorted(of, np.arange(used.size + 1))
    for start, stop in pairwise(ends):
        np.minimum.accumulate(step[start:stop], out=step[start:stop])
    found = np.empty(order.size)
    found[order] = np.minimum(step, 1.0)
    return np.maximum(found[: p.size], p)


def label(umi: Floats, n_genes: NDArray[Any], p_adj: Floats) -> NDArray[np.int8]:
    """Codes of none, weak (significant, one UMI) or strong (two UMI or two paralogs)."""
    out = np.full(umi.size, LABEL["none"], dtype=np.int8)
    significant = p_adj < Q
    out[significant] = LABEL["weak"]
    out[significant & ((umi >= 2) | (n_genes >= 2))] = LABEL["strong"]
    return out
