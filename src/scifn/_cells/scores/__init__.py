"""Scores of the user's gene sets in every cell: four methods, many sets, one plan.

``matched``
    score_genes' definition with all genes of the bins for controls: no draw.
``seurat``
    score_genes as scanpy computes it.
``mean``
    Mean of log1p CP10k.
``rank``
    UCell's U statistic.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn import _matrix
from scifn._cells.scores import bins, linear, plan, rank, stored
from scifn._cells.scores.logs import Logs, NotCounts, merged_selector, needs_normalizing
from scifn._cells.scores.sets import FoundSet, GeneSet, find, parse, wanted
from scifn.genesets._resolve import Resolution

__all__ = [
    "METHODS",
    "FoundSet",
    "GeneSet",
    "NotCounts",
    "Request",
    "Result",
    "find",
    "parse",
    "score",
    "wanted",
]

Floats = NDArray[np.float64]

METHODS: Final = ("matched", "mean", "rank", "seurat")


@dataclass(frozen=True)
class Request:
    """What is scored, and how.

    Attributes
    ----------
    matrix, scale, genes, names
        Cells x features, the scale of its values, which features are genes, and their names.
    sets, resolution
        The sets as they were found, and the features of their genes.
    method, seed
        One of :data:`METHODS`; ``seed`` of the draw of "seurat".
    model
        Record of an earlier run, whose reference values are used.
    """

    matrix: Any
    scale: _matrix.Scale
    genes: NDArray[np.bool_]
    names: Sequence[str]
    sets: Sequence[FoundSet]
    resolution: Resolution
    method: str
    seed: int
    model: Mapping[str, Any] | None


@dataclass(frozen=True)
class Result:
    """Scores (cells x sets), a record a set, and the bins that were used.

    ``table`` has the columns :data:`scifn._keys.SCORE_COLUMNS`, ``bins`` is None where the method
    has none or they came from a model.
    """

    scores: Floats
    table: pd.DataFrame
    bins: pd.DataFrame | None
    n_empty: int


def score(asked: Request) -> Result:
    """Score every cell.

    Raises
    ------
    Unreadable, NotCounts
        A value of the matrix is not what its sample said.
    MissingKeyError, CoverageError
        The model does not fit.
    """
    layout = plan.lay_out([_usable(one) for one in asked.sets], asked.resolution, asked.genes.size)
    how = Logs(
        kind=asked.scale.kind,
        normalize=_normalize(asked),
        genes=asked.genes,
        merged=merged_selector(layout.groups, asked.genes.size),
    )
    names = stored.keyed(asked.names)
    controls: list[NDArray[np.int64]] = []
    table = None
    if asked.method == "rank":
        runs = rank.cell_scores(asked.matrix, how, layout.arms)
    else:
        weights, table, controls = _weights(asked, how, layout, names)
        runs = linear.cell_scores(asked.matrix, how, weights)
    n_controls = None if asked.method in ("rank", "mean") else weights.n_controls
    scores, expressed = _gather(runs, layout, asked)
    drawn = [";".join(names[i] for i in one) for one in controls]
    rows = [
        _row(one, pair, asked, how.normalize, expressed, n_controls, drawn)
        for one, pair in zip(asked.sets, layout.pairs, strict=True)
    ]
    return Result(
        scores=scores,
        table=pd.DataFrame(rows, columns=list(k.SCORE_COLUMNS)),
        bins=table,
        n_empty=int(np.isnan(scores).all(axis=1).sum()) if layout.arms else 0,
    )


def _usable(one: FoundSet) -> FoundSet:
    """A set without genes where it is refused, so that it keeps its place."""
    if one.usable:
        return one
    return FoundSet(one.name, (), (), one.n_genes, (0, 0), one.status, one.reason)


def _normalize(asked: Request) -> bool:
    """As the model did it where it read the same kind of values: one cell alone cannot tell."""
    if asked.model is not None:
        rows = asked.model["sets"]
        same = rows[rows["scale"].astype(str) == asked.scale.kind]
        if len(same):
            return bool(same["normalized"].iloc[-1])
    return needs_normalizing(asked.scale, int(asked.genes.sum()))


def _weights(
    asked: Request, how: Logs, layout: plan.Layout, names: Sequence[str]
) -> tuple[plan.Weights, pd.DataFrame | None, list[NDArray[np.int64]]]:
    """Weights of the linear methods, the bins to store, and the control genes drawn."""
    arms, n_features = layout.arms, asked.genes.size
    if asked.method == "mean":
        return plan.without_controls(arms, how.n_columns), None, []
    pool = np.flatnonzero(asked.genes)
    if asked.method == "seurat" and asked.model is not None:
        controls = stored.model_controls(asked.model, arms, names)
        return plan.listed(arms, how.n_columns, controls), None, controls
    if asked.model is not None:
        earlier = stored.model_bins(asked.model, [one.name for one in asked.sets])
        of_column = stored.bins_from(earlier, names, layout)
        of_column[:n_features][~asked.genes] = -1
    else:
        sums = linear.gene_sums(asked.matrix, how)
        of_column = plan.bins_of_columns(sums, pool, n_features)
    own = plan.own_bins(arms, of_column)
    if asked.method == "matched":
        weights = plan.whole_bins(arms, how.n_columns, pool, of_column[pool], own)
        table = None if asked.model is not None else stored.bins_table(of_column, names, layout)
        return weights, table, []
    at = np.full(how.n_columns, -1, dtype=np.int64)
    at[pool] = np.arange(pool.size)
    controls = [
        pool[bins.draw(of_column[pool], mine.tolist(), at[arm.parts].tolist(), asked.seed)]
        for arm, mine in zip(arms, own, strict=True)
    ]
    return plan.listed(arms, how.n_columns, controls), None, controls


def _gather(
    runs: Iterator[tuple[slice, linear.Scored]], layout: plan.Layout, asked: Request
) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores of sets from those of their lists: up less down, and UCell's not below 0."""
    scores = np.full((asked.matrix.shape[0], len(layout.pairs)), np.nan)
    expressed = np.zeros(len(layout.arms), dtype=bool)
    for rows, (arms, seen) in runs:
        expressed |= seen
        for i, (up, down) in enumerate(layout.pairs):
            if up < 0 and down < 0:
                continue
            one = arms[:, up] if up >= 0 else np.zeros(arms.shape[0])
            one = one - arms[:, down] if down >= 0 else one
            scores[rows, i] = np.maximum(one, 0.0) if asked.method == "rank" else one
    return scores, expressed


def _row(
    one: FoundSet,
    pair: tuple[int, int],
    asked: Request,
    normalized: bool,
    expressed: NDArray[np.bool_],
    n_controls: Floats | None,
    drawn: Sequence[str],
) -> dict[str, Any]:
    """The record of a set; its column and bins are filled in where it is written."""
    status, reason = one.status, one.reason
    lists = [at for at in pair if at >= 0]
    if n_controls is not None and any(n_controls[at] == 0 for at in lists):
        status, reason = "no_controls", f"{reason} No other gene is in the bins of its genes."
    elif lists and not expressed[lists].any():
        status, reason = "not_expressed", f"{reason} None of them is above zero in any cell."
    return {
        "column": "",
        "set": one.name,
        "method": asked.method,
        "status": status,
        "reason": reason,
        "n_genes": one.n_genes,
        "n_found": one.n_found,
        "up": ";".join(one.up),
        "down": ";".join(one.down),
        "controls_up": drawn[pair[0]] if drawn and pair[0] >= 0 else "",
        "controls_down": drawn[pair[1]] if drawn and pair[1] >= 0 else "",
        "bins": "",
        "scale": asked.scale.kind,
        "normalized": bool(normalized),
        "seed": asked.seed if asked.method == "seurat" else -1,
    }
