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
#: The largest whose exponential is a number.
_MOST: Final = 709.0
#: Terms of a power series that are cheaper than the shares themselves.
_TERMS: Final = 24
_BLOCK: Final = 16_384
#: Weight of a share, of all of which the sum is 1, that changes nothing.
NOTHING: Final = 1e-25


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
    samples: NDArray[np.int64] | None = None,
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
        Group of each cell, 0 to n - 1; a group lies in one sample.
    samples
        Sample of each cell, 0 to n - 1; None takes one for all.
    compiled
        Whether a compiled kernel does it: these cells are part of many.

    Notes
    -----
    A group holds no producer with probability 1/2, else a share with prior Beta(0.5, 50); the
    mean of producers is one of :func:`means`, the same in all groups of a sample. Both are
    summed over, weighted by how well they explain every cell of the sample.
    """
    if not umi.size:
        return np.zeros(0)
    samples = np.zeros(umi.size, dtype=np.int64) if samples is None else samples
    of = np.zeros(int(groups.max()) + 1, dtype=np.int64)  # sample of each group
    of[groups] = samples
    n_cells = np.bincount(samples)
    depth = total / np.maximum(np.bincount(samples, total) / n_cells, 1.0)[samples]
    largest = np.zeros(n_cells.size)
    np.maximum.at(largest, samples, umi)
    share, prior = shares()
    grid = means(float(largest.max()))
    # a sample weighs the means that its own largest count asks for
    asked = np.arange(grid.size)[:, None] < [means(top).size for top in largest]
    evidence = np.full((grid.size, n_cells.size), -np.inf)
    ratios = _ratios(umi, expected, depth, null, grid)
    weights = np.empty((grid.size, of.size, share.size))
    for i in range(grid.size):
        logs = _compiled_logs if compiled else _logs
        slab, weights[i] = _of_groups(logs(ratios[i], groups, of.size, share), prior)
        either = np.logaddexp(np.log(1 - ANY), np.log(ANY) + slab)
        evidence[i] = np.where(asked[i], np.bincount(of, either), -np.inf)
        some = 1 / (1 + (1 - ANY) / ANY * np.exp(-np.clip(slab, -_LARGEST, _LARGEST)))
        weights[i] *= some[:, None]
    weight = np.exp(evidence - evidence.max(axis=0))
    weights *= (weight / weight.sum(axis=0))[:, of, None]
    out = np.zeros(umi.size)
    for ratio, of_groups in zip(ratios, weights, strict=True):
        _add_produces(ratio, groups, share, of_groups, out, compiled=compiled)
    return np.minimum(out, 1.0)  # sums to 1 but for rounding


def _ratios(umi: Floats, expected: Floats, depth: Floats, null: Floats, grid: Floats) -> Floats:
    """Probability of the UMI of each cell as a producer, over that under the background alone.

    A row for each mean of producers. Most cells hold none, of which there is one formula without
    logarithms.
    """
    out = np.empty((grid.size, umi.size))
    of_none = np.exp(np.minimum(-null, _MOST))
    for mean, ratio in zip(grid, out, strict=True):
        ratio[:] = of_none * (1 + (expected + mean * depth) / SIZE) ** -SIZE
    np.minimum(out, np.exp(_LARGEST), out=out)
    seen = np.flatnonzero(umi)
    produced = expected[seen] + grid[:, None] * depth[seen]
    held = log_pmf(np.tile(umi[seen], grid.size), produced.ravel(), SIZE)
    excess = held.reshape(produced.shape) - null[seen]
    out[:, seen] = np.exp(np.clip(excess, -_LARGEST, _LARGEST))
    return out


def _blocks(n: int) -> list[slice]:
    """Cells that are worked on at once, so that memory does not grow with the sample."""
    return [slice(start, start + _BLOCK) for start in range(0, n, _BLOCK)]


def _add_produces(
    ratio: Floats,
    groups: NDArray[np.int64],
    share: Floats,
    weights: Floats,
    out: Floats,
    *,
    compiled: bool,
) -> None:
    """Add the probability of each cell, over the weighted shares of its group."""
    if compiled:
        from scifn._cells._compiled import produces

        weights = np.where(weights > NOTHING, weights, 0.0)
        # shares that weigh nothing are not gone through: most, where no cell holds a transcript
        weigh = weights > 0
        stops = np.where(weigh.any(axis=1), share.size - weigh[:, ::-1].argmax(axis=1), 0)
        produces(ratio, groups, share, weights, stops, *_series(share, weights), out)
        return
    for block in _blocks(ratio.size):
        made = share * ratio[block, None]
        out[block] += (weights[groups[block]] * made / (1 - share + made)).sum(axis=1)


def _series(share: Floats, weights: Floats) -> tuple[Floats, NDArray[np.int64]]:
    """The weighted shares of each group as a power series, and how many terms it needs.

    The probability of a ratio r is the sum of w s r / (1 - s (1 - r)), which is r times the sum of
    (1 - r)**k times the sums of w s**(k + 1). Up to a ratio of 1 what is left out is below the
    precision of the first term; no terms where that takes more than :data:`_TERMS`.
    """
    powers = share[:, None] ** np.arange(1, _TERMS + 1)
    terms = weights @ powers
    left_out = weights @ (powers * (share / (1 - share))[:, None])
    enough = left_out <= np.finfo(float).eps / 4 * terms[:, :1]
    return terms, np.where(enough.any(axis=1), enough.argmax(axis=1) + 1, 0)


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
