"""Weighted sums of genes in every cell, run after run, side by side where there are many."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scifn._cells.likelihood import arrays
from scifn._cells.runs import threads_for
from scifn._matrix import mapped
from scifn._view import PanelView

Floats = NDArray[np.float64]

#: Cells that are summed at once.
RUN: Final = 32_768
#: Cells whose sums are turned from rows to columns at once.
_NEAR: Final = 2_048


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

    sums, seen = (np.zeros((weights.shape[1], values.shape[0])) for _ in range(2))
    if not weights.shape[1]:
        return sums, seen
    # most values are of genes in one column at most, the one of most genes: it goes by itself
    csc = weights.tocsc(copy=True)
    longest = int(np.argmax(np.diff(csc.indptr)))
    long = csc[:, [longest]].toarray().ravel().astype(np.float64)
    kept = np.repeat(np.arange(csc.shape[1]) != longest, np.diff(csc.indptr))
    csc.data = np.where(kept, csc.data, 0.0)
    csc.eliminate_zeros()
    csr = csc.tocsr()
    starts, columns = csr.indptr.astype(np.int64), csr.indices.astype(np.int64)
    weigh = csr.data.astype(np.float64)
    short = np.empty(long.size + 1, dtype=np.int64)
    add_up(*arrays(values), starts, columns, weigh, long, longest, short, sums, seen)
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


def runs_of(n_cells: int) -> list[slice]:
    """Cells that are summed at once, run after run."""
    return [slice(start, min(start + RUN, n_cells)) for start in range(0, max(n_cells, 1), RUN)]


def side_by_side(fill: Callable[[slice], None], n_cells: int) -> None:
    """Call ``fill`` with every run of cells."""
    for _ in mapped(fill, runs_of(n_cells), threads_for(n_cells)):
        pass


def rates_of(
    view: PanelView,
    columns: Sequence[Mapping[str, float]],
    *,
    apart: Mapping[str, float] | None = None,
    of_rest: Sequence[bool] = (),
) -> list[Floats]:
    """Weighted UMI per 10,000 of each cell; NaN of a cell without UMI and a column without genes.

    Parameters
    ----------
    view
        Panel genes and totals.
    columns
        Weight of each gene that counts.
    apart
        Genes whose UMI are not among those that columns are held against ``of_rest``.
    of_rest
        Which columns these are; none of them by default.
    """
    there = [i for i, weights in enumerate(columns) if weights]
    out = [np.empty(view.n_cells) if weights else np.full(view.n_cells, np.nan)
           for weights in columns]  # fmt: skip
    rest = [i < len(of_rest) and of_rest[i] for i in there]
    # columns of weights are made once for all runs of cells
    each = matrix_of(view.genes, [*(columns[i] for i in there), apart or {}]).toarray()
    each = np.pad(each, ((0, view.values.shape[1] - len(each)), (0, 0)))

    def fill(rows: slice) -> None:
        sums, total = view.values.part(rows).dot(each), view.total[rows]
        against = [above_zero(total), above_zero(total - sums[:, -1])]
        sums *= 1e4
        # few rows at once, which stay near the processor while columns are made of them
        for start in range(0, len(sums), _NEAR):
            near = slice(start, start + _NEAR)
            for j, i in enumerate(there):
                np.divide(sums[near, j], against[rest[j]][near], out=out[i][rows][near])

    side_by_side(fill, view.n_cells)
    return out


def above_zero(denominator: Floats) -> Floats:
    """The same, NaN where it is not above zero."""
    return np.where(denominator > 0, denominator, np.nan)


def of_genes(view: PanelView, genes: Sequence[str], cells: NDArray[np.bool_]) -> Floats:
    """Sum of each gene over some cells."""

    def of_run(rows: slice) -> Floats:
        values = view.csr(genes, rows.start + np.flatnonzero(cells[rows]))
        sums = np.bincount(values.indices, values.data, minlength=len(genes))
        return sums.astype(np.float64)  # of no cell they are whole numbers

    runs = runs_of(view.n_cells)
    return np.asarray(np.sum([*mapped(of_run, runs, threads_for(view.n_cells))], axis=0))
