"""Consensus of clusters, for cells with little evidence of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scifn._cells import mixture

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Typical:
    """Mean posterior of each cluster (clusters x types), and of all cells."""

    of_cluster: Floats
    of_all: Floats


class Sums:
    """Posteriors summed over each cluster, run of cells after run: :class:`Typical` at the end."""

    def __init__(self, n_clusters: int) -> None:
        self._n = np.zeros(n_clusters)
        self._sums = np.zeros((n_clusters, 1))

    def add(self, evidence: mixture.Evidence, clusters: NDArray[np.int64]) -> None:
        """Add a run of cells, of clusters 0 to n - 1."""
        size = self._n.size
        self._n += np.bincount(clusters, minlength=size)
        columns = evidence.posterior.T
        found = [np.bincount(clusters, weights=column, minlength=size) for column in columns]
        self._sums = self._sums + np.stack(found, axis=1)

    def typical(self) -> Typical:
        """Means of what was added."""
        n = np.maximum(self._n, 1.0)[:, None]
        return Typical(self._sums / n, self._sums.sum(axis=0) / max(self._n.sum(), 1.0))


def consensus(
    evidence: mixture.Evidence,
    clusters: NDArray[np.int64],
    typical: Typical | None = None,
    *,
    clear: float = 0.95,
) -> Floats:
    """Posterior in which a cell with little evidence takes its cluster's.

    The mean posterior of a cluster, relative to that of all cells, weighs those of its cells. A
    cell whose own best type is at ``clear`` or above is left as it is; one whose lineage is so
    keeps the lineage's posterior, and the cluster weighs the types within it. ``typical`` are the
    means where these cells are some of many.
    """
    if typical is None:
        sums = Sums(int(clusters.max(initial=-1)) + 1)
        sums.add(evidence, clusters)
        typical = sums.typical()
    own = evidence.posterior
    _, lineages = evidence.lineages
    settled = lineages.max(axis=1) >= clear
    best = mixture.lineages_of(evidence.types)[1].T[lineages.argmax(axis=1)]
    out = own.copy()
    at = np.flatnonzero(own.max(axis=1) < clear)
    held = own[at] * np.where(settled[at, None], best[at], 1.0)
    weight = (typical.of_cluster + 1e-6) / (typical.of_all + 1e-6)
    moved = held * weight[clusters[at]]
    sums_ = moved.sum(axis=1, keepdims=True)
    share = np.divide(moved, sums_, out=moved, where=sums_ > 0)
    out[at] = own[at] - held + share * held.sum(axis=1, keepdims=True)
    return out
