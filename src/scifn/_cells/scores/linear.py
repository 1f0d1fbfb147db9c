"""Sums of log1p CP10k over genes and cells, from readings of the whole matrix.

Two readings: sums of each gene, for the bins; then sums of each cell over bins and lists. Both
are in fixed point, so that they are exact whatever the order of cells, genes and blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _matrix
from scifn._cells.scores.logs import UNIT, Logs, NotCounts
from scifn._cells.scores.plan import Weights

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
#: Scores of each list in some cells, and which lists have a gene above zero in any of them.
Scored = tuple[Floats, NDArray[np.bool_]]

#: States of a block that :mod:`scifn._cells.scores.compiled` returns.
UNREADABLE, NOT_COUNTS, NOT_SORTED = 1, 2, 3
#: Cells below which scipy is done before a compiler would be.
COMPILED_FROM: Final = _matrix.COMPILED
#: Non-zeros that numpy works on at once, so that its temporaries stay small.
PORTION: Final = 500_000
#: Rows of which the sum of a column in units of 1/UNIT is exact in double precision.
_EXACT_ROWS: Final = 2**16


def gene_sums(matrix: Any, how: Logs) -> Ints:
    """Sum of each column over all cells, in units of 1/UNIT."""
    sums = np.zeros(how.n_columns, dtype=np.int64)
    if _matrix.reads_by_column(matrix):
        total, merged = _totals(matrix, how)
        for columns, logs in _column_logs(matrix, how, total, merged):
            sums[columns] += _sums_of(logs)
        return sums
    function = partial(_gene_sums, how=how, compiled=compiles(matrix))
    for _, part in _matrix.map_rows(matrix, function, threads=threads(matrix)):
        sums += part
    return sums


def cell_scores(matrix: Any, how: Logs, weights: Weights) -> Iterator[tuple[slice, Scored]]:
    """Scores of each list in runs of cells; NaN in cells without any count."""
    if _matrix.reads_by_column(matrix):
        yield slice(0, matrix.shape[0]), _scores_by_column(matrix, how, weights)
        return
    product = weights.matrix
    function = partial(
        _cell_scores, how=how, weights=weights, product=product, compiled=compiles(matrix)
    )
    yield from _matrix.map_rows(matrix, function, threads=threads(matrix))


def compiles(matrix: Any) -> bool:
    """Whether there are enough cells for a compiler to pay."""
    return bool(matrix.shape[0] >= COMPILED_FROM)


def threads(matrix: Any) -> int:
    """Blocks that are worked on at once: compiled kernels let go of the interpreter."""
    return _matrix.n_processors() if compiles(matrix) else 0


def _gene_sums(block: Any, how: Logs, *, compiled: bool) -> Ints:
    if compiled and how.native:
        found: Ints = attempt(block, lambda one: _compiled_gene_sums(one, how))
        return found
    sums = np.zeros(how.n_columns, dtype=np.int64)
    for _, part in _matrix.split_rows(block, PORTION):
        sums += _sums_of(how.of(part)[0])
    return sums


def _compiled_gene_sums(block: Any, how: Logs) -> tuple[int, Ints]:
    from scifn._cells.scores import compiled as kernels

    sums = np.zeros(how.n_columns, dtype=np.int64)
    return kernels.column_sums(*arrays(block, how), sums), sums


def _cell_scores(
    block: Any, how: Logs, weights: Weights, product: Any, *, compiled: bool
) -> Scored:
    sums_of = _compiled_sums if compiled else _sums
    scores = np.empty((block.shape[0], weights.n_genes.size))
    expressed = np.zeros(weights.n_genes.size, dtype=bool)
    portion = block.nnz if compiled and how.native else PORTION
    for rows, part in _matrix.split_rows(block, portion):
        sums, empty = sums_of(part, how, weights, product)
        own, control = weights.split(sums)
        scores[rows] = weights.score(own / UNIT, control / UNIT)
        scores[rows][empty] = np.nan
        expressed |= (own > 0).any(axis=0)
    return scores, expressed


def _sums(block: Any, how: Logs, weights: Weights, product: Any) -> tuple[Floats, Any]:
    logs, empty = how.of(block)
    return (logs @ product).toarray(), empty


def _compiled_sums(block: Any, how: Logs, weights: Weights, product: Any) -> tuple[Floats, Any]:
    from scifn._cells.scores import compiled as kernels

    n_bins = weights.use.shape[0]
    special = product.indptr[1:] - product.indptr[:-1] > (weights.bin_of >= 0)
    # bins are added by themselves: their entries here come to nothing
    sign = np.where(product.indices < n_bins, 0, product.data).astype(np.int64)
    code = np.where(weights.bin_of < 0, n_bins, weights.bin_of) + 128 * special  # a byte: in cache
    tables = (
        code.astype(np.uint8), n_bins, product.indptr.astype(np.int64),
        product.indices.astype(np.int64), sign,
    )  # fmt: skip

    def run(arrays: tuple[Any, ...]) -> tuple[int, tuple[Floats, Any]]:
        sums = np.zeros((block.shape[0], product.shape[1]))
        empty = np.zeros(block.shape[0], dtype=bool)
        return kernels.row_sums(*arrays, *tables, sums, empty), (sums, empty)

    if how.native:
        found: tuple[Floats, Any] = attempt(block, lambda one: run(arrays(one, how)))
        return found
    logs, empty = how.of(as_canonical(block))
    everything = np.ones(logs.shape[1], dtype=bool)
    _, (sums, _) = run((*csr(as_canonical(logs)), False, 1.0, everything, True))
    return sums, empty


def csr(block: Any) -> tuple[Any, Any, Any]:
    """Arrays of a CSR block in the few types that the kernels are compiled for."""
    data = block.data
    if data.dtype not in (np.float32, np.float64):
        data = data.astype(np.float64)
    return data, block.indices, block.indptr.astype(np.int64)


def arrays(block: Any, how: Logs) -> tuple[Any, ...]:
    """What every kernel takes of a block."""
    return (*csr(block), how.kind == "counts", UNIT, how.genes, bool(how.genes.all()))


def attempt(block: Any, run: Callable[[Any], tuple[int, Any]]) -> Any:
    """Result of a kernel on a block, or on its canonical form where its places are not in order.

    Raises
    ------
    Unreadable, NotCounts
        The kernel has met such a value.
    """
    state, result = run(block)
    if state == NOT_SORTED:
        state, result = run(as_canonical(block))
    if state == UNREADABLE:
        raise _matrix.Unreadable("some cells hold NaN, infinite or negative values")
    if state == NOT_COUNTS:
        raise NotCounts
    return result


def as_canonical(block: Any) -> Any:
    """A CSR block with sorted places, each stored once."""
    if block.has_canonical_format:
        return block
    block = block.copy()
    block.sum_duplicates()
    return block


def _sums_of(logs: Any) -> Ints:
    """Sum of each column of a CSR block of whole numbers, exact."""
    sums = np.zeros(logs.shape[1], dtype=np.int64)
    for start in range(0, logs.shape[0], _EXACT_ROWS):
        stop = min(start + _EXACT_ROWS, logs.shape[0])
        part = slice(logs.indptr[start], logs.indptr[stop])
        found = np.bincount(logs.indices[part], logs.data[part], minlength=logs.shape[1])
        sums += found.astype(np.int64)
    return sums


def _totals(matrix: Any, how: Logs) -> tuple[Floats, Any]:
    """Sum of each cell over its genes, and its summed genes, of column-compressed storage."""
    total, merged = np.zeros(matrix.shape[0]), None
    for block in _matrix.blocks(matrix):
        linear = how.part(block.matrix)
        total += linear @ how.genes[block.features].astype(np.float64)
        if how.merged is not None:
            more = linear @ how.merged[block.features]
            merged = more if merged is None else merged + more
    return total, merged


def _column_logs(matrix: Any, how: Logs, total: Floats, merged: Any) -> Iterator[tuple[slice, Any]]:
    """Columns and their log1p CP10k, all cells of a few columns at a time."""
    for block in _matrix.blocks(matrix):
        yield block.features, how.log(how.part(block.matrix), total, block.matrix)
    if merged is not None:
        yield slice(how.genes.size, how.n_columns), how.log(merged.tocsr(), total)


def _scores_by_column(matrix: Any, how: Logs, weights: Weights) -> Scored:
    total, merged = _totals(matrix, how)
    product = weights.matrix
    own, control = (np.zeros((matrix.shape[0], weights.n_genes.size)) for _ in range(2))
    for columns, logs in _column_logs(matrix, how, total, merged):
        for rows, part in _matrix.split_rows(logs, PORTION):
            more = weights.split((part @ product[columns]).toarray())
            own[rows] += more[0]
            control[rows] += more[1]
    scores = weights.score(own / UNIT, control / UNIT)
    scores[total <= 0] = np.nan
    return scores, np.asarray((own > 0).any(axis=0))
