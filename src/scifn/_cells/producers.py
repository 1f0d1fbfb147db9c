"""Posterior of being a producer: a mixture of background and background plus production.

The share of producers of a group (a cell type of a sample) and the mean of what a producer
shows are not plugged in but integrated out: a lane holds too few positive cells to know
either, and plugging in the best guess makes single ambient UMI look like producers.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, stats

from scifn._cells.evidence import log_pmf

Floats = NDArray[np.float64]

#: Prior that a group holds any producer at all, and of their share where it does: Beta.
ANY: Final = 0.5
PRIOR: Final = (0.5, 50.0)
#: Size of the negative binomial of producers: bursts make it wide.
SIZE: Final = 1.0
#: Mean UMI of producers, at mean depth, starts here and doubles; log-uniform prior.
LEAST_MEAN: Final = 1.0
MOST_MEAN: Final = 64.0
#: Grid of the share, on the logit scale.
_LOGIT: Final = np.linspace(-16.0, 3.0, 48)
_LARGEST: Final = 500.0
_BLOCK: Final = 16_384


def shares() -> tuple[Floats, Floats]:
    """Nodes of the share of producers and their prior weights, which add up to 1."""
    share = 1 / (1 + np.exp(-_LOGIT))
    weight = stats.beta.pdf(share, *PRIOR) * share * (1 - share)
    return share, weight / weight.sum()


def means(largest: float) -> Floats:
    """Means of producers that are weighed: 1, 2, 4, ... up to 64 or the largest count."""
    top = max(MOST_MEAN, largest)
    return LEAST_MEAN * 2.0 ** np.arange(np.ceil(np.log2(top / LEAST_MEAN)) + 1)


def posterior(
    umi: Floats,
    expected: Floats,
    total: Floats,
    null: Floats,
    groups: NDArray[np.int64],
    *,
    compiled: bool = False,
) -> Floats:
    """Probability that each cell produces, given all cells of its sample.

    Parameters
    ----------
    umi, expected, total
        UMI of the ligand, those that the background leaves, and all UMI of each cell.
    null
        Logarithm of the probability of ``umi`` under the background alone.
    groups
        Group of each cell, 0 to n - 1.
    compiled
        Whether a compiled kernel does it: these cells are part of many.

    Notes
    -----
    A group holds no producer with probability 1/2, else a share with prior Beta(0.5, 50); the
    mean of producers is one of :func:`means`, the same in all groups of a sample. Both are
    summed over, weighted by how well they explain every cell.
    """
    if not umi.size:
        return np.zeros(0)
    depth = total / max(float(total.mean()), 1.0)
    share, prior = shares()
    n_groups = int(groups.max()) + 1
    grid = means(float(umi.max()))
    found = np.zeros((grid.size, umi.size))
    evidence = np.zeros(grid.size)
    for i, mean in enumerate(grid):
        excess = log_pmf(umi, expected + mean * depth, SIZE) - null
        ratio = np.exp(np.clip(excess, -_LARGEST, _LARGEST))
        logs = _compiled_logs if compiled else _logs
        slab, weights = _of_groups(logs(ratio, groups, n_groups, share), prior)
        evidence[i] = float(np.logaddexp(np.log(1 - ANY), np.log(ANY) + slab).sum())
        some = 1 / (1 + (1 - ANY) / ANY * np.exp(-np.clip(slab, -_LARGEST, _LARGEST)))
        weights *= some[:, None]
        _produces(ratio, groups, share, weights, found[i], compiled=compiled)
    weight = np.exp(evidence - evidence.max())
    return np.asarray(weight @ found / weight.sum())


def _blocks(n: int) -> list[slice]:
    """Cells that are worked on at once, so that memory does not grow with the sample."""
    return [slice(start, start + _BLOCK) for start in range(0, n, _BLOCK)]


def _produces(
    ratio: Floats,
    groups: NDArray[np.int64],
    share: Floats,
    weights: Floats,
    out: Floats,
    *,
    compiled: bool,
) -> None:
    """Probability of each cell, averaged over the share of its group."""
    if compiled:
        from scifn._cells._compiled import produces

        produces(ratio, groups, share, weights, out)
        return
    for block in _blocks(ratio.size):
        made = share * ratio[block, None]
        out[block] = (weights[groups[block]] * made / (1 - share + made)).sum(axis=1)


def _logs(ratio: Floats, groups: NDArray[np.int64], n_groups: int, share: Floats) -> Floats:
    """Log likelihood of each group at each share, over that without producers."""
    log = np.zeros((n_groups, share.size))
    for block in _blocks(ratio.size):
        mine = groups[block]
        member = sparse.csr_array((np.ones(mine.size), (mine, np.arange(mine.size))),
                                  shape=(n_groups, mine.size))  # fmt: skip
        log += member @ np.log1p((ratio[block, None] - 1) * share)
    return log


def _compiled_logs(
    ratio: Floats, groups: NDArray[np.int64], n_groups: int, share: Floats
) -> Floats:
    from scifn._cells._compiled import share_logs

    log, product = np.zeros((n_groups, share.size)), np.ones((n_groups, share.size))
    share_logs(ratio, groups, share, product, np.zeros(n_groups, dtype=np.int64), log)
    return np.asarray(log + np.log(product))


def _of_groups(log: Floats, prior: Floats) -> tuple[Floats, Floats]:
    """Log marginal likelihood of each group with producers, over that without; share's weights."""
    log = log + np.log(np.maximum(prior, 1e-300))
    top = log.max(axis=1)
    weights = np.exp(log - top[:, None])
    total = weights.sum(axis=1)
    return top + np.log(total), weights / total[:, None]
