"""UCell's U statistic: where the genes of a set stand among all genes of the cell.

Genes above zero are ranked within each cell, equal values at their mean rank; a gene without a
rank, or ranked below the first 1,500, counts as ranked 1,500. Only the order of a cell's own
values matters. Andreatta & Carmona 2021, doi:10.1016/j.csbj.2021.06.043.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn import _matrix
from scifn._cells.scores import linear
from scifn._cells.scores.logs import Logs
from scifn._cells.scores.plan import Arm
from scifn._cells.scores.sets import MAX_RANK

Floats = NDArray[np.float64]


def cell_scores(
    matrix: Any, how: Logs, arms: Sequence[Arm]
) -> Iterator[tuple[slice, linear.Scored]]:
    """U statistic of each list in runs of cells; NaN in cells without any count."""
    function = partial(_score_block, how=how, arms=tuple(arms), compiled=linear.compiles(matrix))
    yield from _matrix.map_rows(matrix, function, threads=linear.threads(matrix))


def u_statistic(sums: Floats, seen: Floats, arms: Sequence[Arm]) -> Floats:
    """From the sum of the ranks of each list's genes and the number of them that have one."""
    n_genes = np.array([arm.columns.size + arm.n_missing for arm in arms], dtype=np.float64)
    lowest = n_genes * (n_genes + 1) / 2
    all_ranks = sums + (n_genes - seen) * MAX_RANK
    return np.asarray(1.0 - (all_ranks - lowest) / (n_genes * MAX_RANK - lowest))


def _score_block(block: Any, how: Logs, arms: Sequence[Arm], *, compiled: bool) -> linear.Scored:
    scores = np.empty((block.shape[0], len(arms)))
    expressed = np.zeros(len(arms), dtype=bool)
    fast = compiled and how.merged is None
    for rows, part in _matrix.split_rows(block, block.nnz if fast else linear.PORTION):
        sums, seen, empty = (_compiled_ranks if fast else _ranks)(part, how, arms)
        scores[rows] = u_statistic(sums, seen, arms)
        scores[rows][empty] = np.nan
        expressed |= (seen > 0).any(axis=0)
    return scores, expressed


def _compiled_ranks(block: Any, how: Logs, arms: Sequence[Arm]) -> tuple[Floats, Floats, Any]:
    from scifn._cells.scores import compiled_ranks as kernels

    members = _members(arms, block.shape[1])
    special = (np.diff(members.indptr) > 0).astype(np.uint8)
    tables = (special, members.indptr.astype(np.int64), members.indices.astype(np.int64))

    def run(one: Any) -> tuple[int, tuple[Floats, Floats, Any]]:
        sums, seen = (np.zeros((one.shape[0], len(arms))) for _ in range(2))
        empty = np.zeros(one.shape[0], dtype=bool)
        data, indices, indptr, counts, _, genes, every = linear.arrays(one, how)
        keys = data.view(np.int32 if data.dtype == np.float32 else np.int64)
        state = kernels.rank_sums(
            data, keys, indices, indptr, counts, genes, every, float(MAX_RANK), *tables,
            sums, seen, empty,
        )  # fmt: skip
        return state, (sums, seen, empty)

    found: tuple[Floats, Floats, Any] = linear.attempt(block, run)
    return found


def _ranks(block: Any, how: Logs, arms: Sequence[Arm]) -> tuple[Floats, Floats, Any]:
    """The same with numpy: one sort of the block by cell and value."""
    values = how.checked(block) if how.merged is None else how.linear(block)
    n_features = how.genes.size
    row = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))
    ranked = np.zeros(values.shape[1], dtype=bool)
    ranked[:n_features] = how.genes
    kept = (values.data > 0) & ranked[values.indices]
    keys = _keys(row, values.data, values.shape[0])
    ordered = np.sort(keys[kept])
    ends = np.searchsorted(ordered, (np.arange(values.shape[0]) + 1) << 32)
    members = _members(arms, values.shape[1])
    wanted = (np.diff(members.indptr) > 0)[values.indices] & (values.data > 0)
    mine = keys[wanted]
    above = ends[row[wanted]] - np.searchsorted(ordered, mine, side="right")
    equal = np.searchsorted(ordered, mine, side="right") - np.searchsorted(ordered, mine)
    alone = values.indices[wanted] >= n_features  # a summed gene, which is not among the ranked
    if alone.any():
        equal[alone] += 1 - _is_own_part(values, how, wanted, alone)
    rank = above + (equal + 1) / 2
    good = rank <= MAX_RANK
    place = (row[wanted][good], values.indices[wanted][good])
    ranks = sp.csr_array((rank[good], place), shape=values.shape)
    ones = sp.csr_array((np.ones(good.sum()), place), shape=values.shape)
    empty = np.bincount(row[kept], minlength=values.shape[0]) == 0
    return (ranks @ members).toarray(), (ones @ members).toarray(), empty


def _keys(row: NDArray[np.int64], values: Floats, n_rows: int) -> NDArray[np.int64]:
    """One integer for cell and value, ordered by both; equal values have equal keys."""
    single = values.astype(np.float32)
    if (single == values).all():  # counts are, and their bits are ordered as they are
        return (row << 32) | single.view(np.int32).astype(np.int64)
    levels = np.unique(values, return_inverse=True)[1]
    return (row << 32) | levels.astype(np.int64)


def _is_own_part(values: Any, how: Logs, wanted: Any, alone: Any) -> NDArray[np.int64]:
    """1 where a summed gene equals one of its features: then that feature is the gene."""
    row = np.repeat(np.arange(values.shape[0]), np.diff(values.indptr))[wanted][alone]
    column = values.indices[wanted][alone] - how.genes.size
    parts = values[:, : how.genes.size] > 0
    n_parts = (parts.astype(np.float64) @ (how.merged > 0).astype(np.float64)).toarray()
    return np.asarray(n_parts[row, column] == 1, dtype=np.int64)


def _members(arms: Sequence[Arm], n_columns: int) -> Any:
    rows = np.concatenate([*(arm.columns for arm in arms), np.empty(0, dtype=np.int64)])
    lists = np.repeat(np.arange(len(arms)), [arm.columns.size for arm in arms])
    return sp.csr_array((np.ones(rows.size), (rows, lists)), shape=(n_columns, len(arms)))
