"""Permutation p-values: every arrangement where there are few, else a random sample with +1.

Two-sided p are twice the smaller tail (as in ``scipy.stats.permutation_test``): with arms of
unequal size the null distribution is skewed, and each direction gets its half of the error.
With covariates that vary among the rows that are exchanged, residuals of the model without the
group are permuted (Freedman and Lane 1983, doi:10.1080/07350015.1983.10509354; Winkler 2014,
doi:10.1016/j.neuroimage.2014.01.060). The statistic is a monotone function of the t of the group.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from scifn._stats._arrangements import (
    all_labels,
    all_orders,
    all_signs,
    orders,
    random_signs,
)
from scifn._stats._layout import Layout
from scifn._stats.ols import basis, leftover

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Up to here all arrangements are gone through.
MAX_EXACT = 20_000
#: Statistics that differ by less are the same arrangement, written in another order.
_TIE = 1e-10
#: Share of a readout's length that rounding alone may leave of a constant.
_NOISE = 1e-10


@dataclass(frozen=True)
class Permuted:
    """p-values of several readouts and the smallest that the design could give."""

    p_value: FloatArray
    p_attainable: float
    n_arrangements: int
    exact: bool


def attainable(n_arrangements: int, n_permutations: int) -> float:
    """Smallest two-sided p that a design can give.

    >>> from math import comb
    >>> [round(attainable(comb(2 * n, n), 9999), 4) for n in (3, 4, 5)]
    [0.1, 0.0286, 0.0079]
    """
    exact = n_arrangements <= MAX_EXACT
    return min(1.0, 2 / (n_arrangements if exact else n_permutations + 1))


@dataclass(frozen=True)
class Arranged:
    """Some arrangements: the unit regressor in each, and any nuisance column likewise."""

    regressor: FloatArray
    #: How a column looks in each, (m, n); None where no arrangement moves the nuisance columns.
    moved: Callable[[FloatArray], FloatArray] | None


@dataclass(frozen=True)
class Arrangements:
    """All that a design can be arranged to, or a sample."""

    #: Basis of the nuisance columns.
    q: FloatArray
    #: The regressor as it is, written as the chunks write it, (n,).
    found: FloatArray
    chunks: Iterator[Arranged]
    n_all: int
    n_random: int
    exact: bool

    def p_value(self, tail: FloatArray) -> FloatArray:
        """Share of arrangements, when so many were at least as extreme."""
        if self.exact:
            return tail / self.n_all
        return (tail + 1) / (self.n_random + 1)


def arrange(
    layout: Layout, *, n_permutations: int, rng: np.random.Generator, width: int
) -> Arrangements:
    """Lay out the arrangements of a design; arguments as of :func:`permute`.

    ``width`` is how many numbers a row and arrangement takes, which bounds the memory.
    """
    n_all = layout.count()
    exact = n_all <= MAX_EXACT
    regressor, block = layout.regressor, layout.block
    n = len(regressor)
    q = basis(layout.nuisance)
    whole = leftover(regressor, q)
    unit = whole / np.sqrt(whole @ whole)
    as_found = unit
    if layout.paired:
        signs = all_signs(n, width) if exact else random_signs(n, n_permutations, rng, width)
        chunks = (Arranged(x * unit, partial(np.multiply, x)) for x in signs)
    elif layout.labels_only():
        # The leftover of the labels is the labels, less what every arrangement shares: its product
        # with what the nuisance columns leave of a readout is the same, up to one factor.
        size = np.sqrt(whole @ whole)
        as_found = regressor / size
        if exact:
            labels = (x / size for x in all_labels(regressor, block, width))
        else:
            labels = (as_found.take(o) for o in orders(block, n_permutations, rng, width))
        chunks = (Arranged(x, None) for x in labels)
    else:
        found = all_orders(block, width) if exact else orders(block, n_permutations, rng, width)
        chunks = (Arranged(unit.take(o), partial(_taken, o)) for o in found)
    return Arrangements(q, as_found, chunks, n_all, n_permutations, exact)


def permute(
    y: FloatArray, layout: Layout, *, n_permutations: int, rng: np.random.Generator
) -> Permuted:
    """Permutation test of the regressor of a layout for each column of ``y``.

    Parameters
    ----------
    y
        Readouts, or differences of pairs, (n, n_readouts).
    layout
        Regressor, nuisance columns and blocks of the rows.
    n_permutations
        How many random ones, where there are more than 20,000 in all.

    Returns
    -------
    Permuted
    """
    all_ = arrange(layout, n_permutations=n_permutations, rng=rng, width=sum(y.shape))
    e = leftover(y, all_.q)
    size = np.sqrt((e**2).sum(axis=0))
    varies = size > _NOISE * np.sqrt((y**2).sum(axis=0))
    e = np.where(varies, e / np.where(varies, size, 1.0), 0.0)
    observed = all_.found @ e
    above, below = np.zeros(len(observed)), np.zeros(len(observed))
    for chunk in all_.chunks:
        found = chunk.regressor @ e
        if chunk.moved is not None:
            explained = sum((chunk.moved(column) @ e) ** 2 for column in all_.q.T)
            found /= _rest(explained)
        above += (found >= observed - _TIE).sum(axis=0)
        below += (found <= observed + _TIE).sum(axis=0)
    p = np.minimum(1.0, 2 * all_.p_value(np.minimum(above, below)))
    return Permuted(p, attainable(all_.n_all, n_permutations), all_.n_all, all_.exact)


def _taken(order: IntArray, column: FloatArray) -> FloatArray:
    return column.take(order)


def _rest(explained: FloatArray | int) -> FloatArray:
    """Length that the nuisance columns leave of an arranged residual of length 1."""
    return np.sqrt(np.maximum(1.0 - np.asarray(explained, dtype=np.float64), 1e-300))
