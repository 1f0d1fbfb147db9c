"""Kernels of the cell models for large data, compiled when they are first called.

Imported only where there are enough cells for it to pay. They compute what
:mod:`scifn._cells.likelihood` and :mod:`scifn._cells.producers` compute with numpy, and let go of
the interpreter, so that runs of cells can be worked on side by side.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from scifn._matrix._numba import compiled

#: Factors above this are not multiplied up: forty of them might be too large for a double.
LARGE: Final = 1e6


def _add_rows(
    data: Any, genes: Any, indptr: Any, order: Any, slots: Any, weights: Any, constants: Any,
    out: Any,
) -> None:  # fmt: skip
    """Weighted sums of each row of a CSR matrix, with the table of weights of its depth.

    Cells come by depth, so that a table is used while it is near; columns beyond the tables'
    are left out.
    """
    n_genes, n_columns = weights.shape[1], weights.shape[2]
    for at in range(order.size):
        i = order[at]
        table = slots[i]
        for c in range(n_columns):
            out[i, c] = constants[table, c]
        for p in range(indptr[i], indptr[i + 1]):
            gene = genes[p]
            if gene < n_genes:
                value = float(data[p])
                for c in range(n_columns):
                    out[i, c] += value * weights[table, gene, c]


add_rows = compiled(_add_rows)


def _share_logs(ratio: Any, groups: Any, share: Any, log: Any) -> None:
    """Sums over the cells of each group of log(1 + (ratio - 1) share), for each share.

    Factors are multiplied up, and the logarithm is taken of forty of them at once.
    """
    n = share.size
    product = np.ones(log.shape)
    held = np.zeros(log.shape[0], dtype=np.int64)
    for i in range(ratio.size):
        group = groups[i]
        more = ratio[i] - 1.0
        if more > LARGE:
            for s in range(n):
                log[group, s] += np.log1p(more * share[s])
            continue
        for s in range(n):
            product[group, s] *= 1.0 + more * share[s]
        held[group] += 1
        if held[group] == 40:
            held[group] = 0
            for s in range(n):
                log[group, s] += np.log(product[group, s])
                product[group, s] = 1.0
    log += np.log(product)


def _produces(ratio: Any, groups: Any, share: Any, weights: Any, out: Any) -> None:
    """Mean over shares of the probability that a cell produces, by the weights of its group."""
    for i in range(ratio.size):
        group = groups[i]
        total = 0.0
        for s in range(share.size):
            made = share[s] * ratio[i]
            total += weights[group, s] * made / (1.0 - share[s] + made)
        out[i] = total


share_logs = compiled(_share_logs)
# a sum whose order may change, so that it is taken over several shares at once
produces = compiled(_produces, fastmath={"reassoc"})
