"""Kernels of the cell models for large data, compiled when they are first called.

Imported only where there are enough cells for it to pay. They compute what
:mod:`scifn._cells.likelihood` and :mod:`scifn._cells.producers` compute with numpy, and let go of
the interpreter, so that runs of cells can be worked on side by side.
"""

from __future__ import annotations

from typing import Any

from scifn._matrix._numba import compiled


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
