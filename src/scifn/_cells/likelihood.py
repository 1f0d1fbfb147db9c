"""Likelihood of a cell's counts under expected expression: negative binomial, by depth.

For UMI ``x`` of gene ``g`` in a cell of depth ``N`` the mean under component ``c``
is ``N * rate[g, c]``. Only the values above zero are touched: the term that
depends on the gene alone is summed once per depth, and depths within two percent
share it. Of many cells the tables of all depths are kept (:class:`Tables`), and read by a
compiled kernel.
"""

from __future__ import annotations

from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Cells whose depths differ by less than this share a table of weights.
LOG_STEP = 0.02
#: Tables that are kept: depths from 1 to 3,000 apart.
_MOST: Final = 400


def _weights(at: int, rates: Floats, logs: Floats, sizes: Floats) -> tuple[Floats, Floats]:
    """What a UMI of each gene weighs in cells of a depth, and what is there without any.

    ``logs`` are those of ``rates``; one more logarithm does for both.
    """
    both = np.exp(at * LOG_STEP) * rates
    both += sizes
    np.log(both, out=both)
    weights = logs + at * LOG_STEP
    weights -= both
    both -= np.log(sizes)
    both *= -sizes
    return weights, both


def log_likelihood(values: Any, depth: Floats, rates: Floats, size: float | Floats) -> Floats:
    """Log likelihood of each cell under each component, up to a constant of the cell.

    Parameters
    ----------
    values
        Cells x genes, CSR, UMI.
    depth
        UMI of each cell; cells at zero get zeros.
    rates
        Genes x components, expected share of all UMI, all above zero.
    size
        Size (inverse dispersion) of the negative binomial: small for genes that differ
        between donors, states and chemistries. One, or one a component.

    Returns
    -------
    Cells x components.
    """
    sizes = np.broadcast_to(np.asarray(size, dtype=np.float64), rates.shape[1:])
    out, logs = np.zeros((values.shape[0], rates.shape[1])), np.log(rates)
    some = np.flatnonzero(depth > 0)
    bins = np.rint(np.log(depth[some]) / LOG_STEP).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    edges = np.flatnonzero(np.diff(bins[order])) + 1
    for group in np.split(order, edges):
        if group.size == 0:
            continue
        cells = some[group]
        weights, constants = _weights(int(bins[group[0]]), rates, logs, sizes)
        out[cells] = values[cells] @ weights + constants.sum(axis=0)
    return out


def arrays(values: Any) -> tuple[Any, Any, Any]:
    """Values, columns and row starts of a CSR matrix, always of the same types.

    Kernels are compiled anew for every combination of types that they meet.
    """
    indices = values.indices.astype(np.int32, copy=False)
    return (
        values.data.astype(np.float32, copy=False),
        indices,
        values.indptr.astype(np.int64, copy=False),
    )


class Tables:
    """:func:`log_likelihood` of runs of many cells: tables are made once a depth, and kept.

    Parameters
    ----------
    rates, size
        As there.
    used
        Genes x components: the genes that count for a component; None takes all of them.
    """

    def __init__(
        self, rates: Floats, size: float | Floats, used: NDArray[np.bool_] | None = None
    ) -> None:
        self._rates, self._logs, self._used = rates, np.log(rates), used
        self._sizes = np.broadcast_to(np.asarray(size, dtype=np.float64), rates.shape[1:])
        self._lock = Lock()
        self._forget()

    def _forget(self, room: int = 0) -> None:
        """Start anew, with room for so many tables or more: what is not filled takes no memory."""
        self._slot: dict[int, int] = {}
        n_genes, n = self._rates.shape
        room = max(room, _MOST)
        self._made = np.empty((room, n_genes, n)), np.empty((room, n))

    def __call__(
        self, values: Any, depth: Floats, n_columns: NDArray[np.int64] | None = None
    ) -> Floats:
        """Log likelihood of cells (CSR; columns beyond the genes of ``rates`` are left out).

        ``n_columns`` are the first components that are asked for in each cell, all by default;
        the others stay zero.
        """
        from scifn._cells._compiled import add_rows

        out = np.zeros((values.shape[0], self._rates.shape[1]))
        some = np.flatnonzero(depth > 0)
        if not some.size:
            return out
        bins = np.rint(np.log(depth[some]) / LOG_STEP).astype(np.int64)
        first = int(bins.min())
        there = np.flatnonzero(np.bincount(bins - first))
        slots, (weights, constants) = self._of(there + first)
        slot_of = np.zeros(int(there[-1]) + 1, dtype=np.int64)
        slot_of[there] = slots
        slot = np.full(depth.size, -1, dtype=np.int64)
        slot[some] = slot_of[bins - first]
        # numbers of 16 bits are sorted without comparing them
        order = some[np.argsort((bins - first).astype(np.int16), kind="stable")]
        if n_columns is None:
            n_columns = np.full(depth.size, out.shape[1], dtype=np.int64)
        add_rows(*arrays(values), order, slot, weights, constants, n_columns, out)
        return out

    def _of(self, bins: Ints) -> tuple[Ints, tuple[Floats, Floats]]:
        """Place of each depth among the tables, and the tables.

        They stay as they are for who holds them; where there are too many, others are made.
        """
        with self._lock:
            every = bins.tolist()
            new = [at for at in every if at not in self._slot]
            if len(self._slot) + len(new) > len(self._made[0]):
                self._forget(len(every))
                new = every
            for at in new:
                slot = len(self._slot)
                weights, terms = _weights(at, self._rates, self._logs, self._sizes)
                if self._used is not None:
                    weights *= self._used
                    terms *= self._used
                self._made[0][slot], self._made[1][slot] = weights, terms.sum(axis=0)
                self._slot[at] = slot
            return np.array([self._slot[at] for at in every], dtype=np.int64), self._made


def posterior(log_likelihoods: Floats, priors: Floats) -> Floats:
    """Posterior of each component, from log likelihoods and priors; rows sum to one.

    ``priors`` are one a component, or one a cell and component. What has prior zero gets zero;
    a cell whose priors are all zero gets a row of zeros.
    """
    with np.errstate(divide="ignore"):
        return normalized(log_likelihoods + np.log(priors))


def normalized(joint: Floats) -> Floats:
    """Posterior from the logarithms of likelihood times prior, which are written over."""
    best = joint.max(axis=1, keepdims=True)
    joint -= np.where(np.isfinite(best), best, 0.0)
    np.exp(joint, out=joint)
    sums = joint.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(joint, sums, out=joint, where=sums > 0), dtype=np.float64)
