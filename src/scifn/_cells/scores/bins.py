"""Expression bins and control genes, as score_genes of scanpy defines them.

Genes are ranked by their mean over the cells and cut into bins of equal size; the controls of a
set come from the bins of its genes. Tirosh 2016, doi:10.1126/science.aad0501.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

#: As score_genes has them by default.
N_BINS: Final = 25
CONTROLS_PER_BIN: Final = 50

Ints = NDArray[np.int64]


def bin_size(n_genes: int) -> int:
    """Genes in a bin; 0 where there are too few for more than one bin.

    >>> bin_size(2000), bin_size(10)
    (83, 0)
    """
    return int(np.round(n_genes / (N_BINS - 1)))


def of_pool(sums: Ints) -> Ints:
    """Bin of each gene of the pool by its sum over the cells; equal sums share a bin.

    >>> of_pool(np.arange(48))[[0, 1, 2, 47]]
    array([ 0,  1,  1, 24])
    """
    size = bin_size(sums.size)
    if size == 0:
        return np.zeros(sums.size, dtype=np.int64)
    return np.asarray(rankdata(sums, method="min"), dtype=np.int64) // size


def of_others(others: Ints, pool: Ints) -> Ints:
    """Bin that genes outside the pool would have, by their sums."""
    size = bin_size(pool.size)
    if size == 0:
        return np.zeros(others.size, dtype=np.int64)
    return (np.searchsorted(np.sort(pool), others, side="left") + 1).astype(np.int64) // size


def draw(bins: Ints, own: Iterable[int], leave: Iterable[int], seed: int) -> Ints:
    """Positions in the pool of the control genes that score_genes draws.

    Parameters
    ----------
    bins
        Bin of each gene of the pool, in the order of the features: draws go by position.
    own
        Bins of the set's genes.
    leave
        Positions of the set's genes, which are taken out after the draw.
    seed
        As ``random_state`` of score_genes.
    """
    # the generator that scanpy uses: another would draw other genes from the same seed
    random = np.random.RandomState(seed)
    drawn = []
    for one in sorted(set(own)):
        members = np.flatnonzero(bins == one)
        if members.size > CONTROLS_PER_BIN:
            members = members[random.choice(members.size, CONTROLS_PER_BIN, replace=False)]
        drawn.append(members)
    found = np.unique(np.concatenate([*drawn, np.empty(0, dtype=np.int64)]))
    return np.setdiff1d(found, np.fromiter(leave, dtype=np.int64)).astype(np.int64)
