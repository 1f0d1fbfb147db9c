"""Weighted sums of genes in every cell, run after run, side by side where there are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scifn._cells.likelihood import arrays
from scifn._cells.runs import COMPILED_FROM, threads_for
from scifn._matrix import mapped
from scifn._view import PanelView

Floats = NDArray[np.float64]

#: Cells that are summed at once.
RUN: Final = 32_768


def tally(values: Any, weights: Any, *, compiled: bool) -> tuple[Floats, Floats]:
    """Weighted sums, and how many genes of those that weigh are above zero.

    Parameters
    ----------
    values
        Cells x genes, CSR.
    weights
        Genes x columns, sparse.
    compiled
        Whether a compiled kernel does it: these cells are part of many.

    Returns
    -------
    Columns x cells each.
    """
    if compiled:
        return _compiled(values, weights)
    above = values.copy()
    above.data = (above.data > 0).astype(np.float32)
    some = (weights != 0).astype(np.float64)
    return _product(values, weights), _product(above, some)


def weighted(values: Any, weights: Any, *, compiled: bool) -> Floats:
    """As :func:`tally`, the sums alone."""
    return _compiled(values, weights)[0] if compiled else _product(values, weights)


def _product(values: Any, weights: Any) -> Floats:
    return np.ascontiguousarray((values @ weights.toarray()).T, dtype=np.float64)


def _compiled(values: Any, weights: Any) -> tuple[Floats, Floats]:
    from scifn._cells._compiled import add_up

    csr = weights.tocsr()
    sums, seen = (np.zeros((csr.shape[1], values.shape[0])) for _ in range(2))
    starts, columns = csr.indptr.astype(np.int64), csr.indices.astype(np.int64)
    add_up(*arrays(values), starts, columns, csr.data.astype(np.float64), sums, seen)
    return sums, seen


def matrix_of(genes: Sequence[str], columns: Sequence[Mapping[str, float]]) -> Any:
    """Genes x columns, from the weights of each column.

    >>> matrix_of(["A", "B"], [{"B": 2.0}, {"A": 1.0, "B": 1.0}]).toarray()
    array([[0., 1.],
           [2., 1.]])
    """
    at = {gene: i for i, gene in enumerate(genes)}
    out = sparse.lil_array((len(genes), len(columns)), dtype=np.float64)
    for j, weights in enumerate(columns):
        for gene, weight in weights.items():
            out[at[gene], j] = weight
    return out.tocsr()


def of_cells(view: PanelView, genes: Sequence[str], weights: Any) -> list[Floats]:
    """Weighted sums of ``genes`` in all cells of a view, an array of its own for each column."""
    out = [np.zeros(view.n_cells) for _ in range(weights.shape[1])]
    compiled = view.n_cells >= COMPILED_FROM

    def fill(start: int) -> None:
        rows = slice(start, min(start + RUN, view.n_cells))
        found = weighted(view.csr(genes, rows), weights, compiled=compiled)
        for column, mine in zip(out, found, strict=True):
            column[rows] = mine

    for _ in mapped(fill, range(0, view.n_cells, RUN), threads_for(view.n_cells)):
        pass
    return out


def of_genes(view: PanelView, genes: Sequence[str], cells: NDArray[np.bool_]) -> Floats:
    """Sum of each gene over some cells."""
    out = np.zeros(len(genes))
    for rows, values in view.runs(genes, RUN):
        out += cells[rows].astype(np.float64) @ values
    return out
