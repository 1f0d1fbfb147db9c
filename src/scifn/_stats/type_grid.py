"""Means per donor and cell type, as a grid; and put together at the composition of the controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats.composition import MIN_CELLS, MIN_COVERED, MIN_SHARE

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Grid:
    """Rows are donors, columns cell types."""

    types: tuple[str, ...]
    #: Cells, (n_donors, n_types).
    n_cells: FloatArray
    #: Score -> mean and standard error, (n_donors, n_types); NaN below ten cells.
    scores: dict[str, tuple[FloatArray, FloatArray]]
    #: Share of each type in the pooled controls; 0 for types that are too rare to count.
    weights: FloatArray

    def has(self, name: str) -> bool:
        """Whether any donor has the score in any type."""
        return name in self.scores and bool(np.isfinite(self.scores[name][0]).any())

    def of(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Mean and standard error of a score, (n_donors, n_types) each."""
        return self.scores[name]

    def standardized(self, name: str) -> tuple[FloatArray, FloatArray]:
        """Mean over types at the controls' composition and its standard error, (n_donors,)."""
        mean, se = self.scores[name]
        w = self.weights * np.isfinite(mean)
        covered = w.sum(axis=1)
        enough = np.where(covered >= MIN_COVERED, covered, np.nan)
        value = np.nansum(w * mean, axis=1) / enough
        return value, np.sqrt(np.nansum((w * se) ** 2, axis=1)) / enough

    def by_lineage(self, name: str) -> dict[str, tuple[FloatArray, FloatArray]]:
        """Mean over the cells of each lineage and its standard error, (n_donors,) each.

        NaN where no type of the lineage has ten cells.
        """
        mean, se = self.scores[name]
        n = np.where(np.isfinite(mean), self.n_cells, 0.0)
        out = {}
        for lineage in k.LINEAGES[:-2]:  # without Other and Unassigned: mixtures of unlike cells
            at = np.array([k.LINEAGE_OF.get(t) == lineage for t in self.types], dtype=np.bool_)
            total = n[:, at].sum(axis=1)
            total = np.where(total > 0, total, np.nan)
            value = np.nansum(n[:, at] * mean[:, at], axis=1) / total
            error = np.sqrt(np.nansum((n[:, at] * se[:, at]) ** 2, axis=1)) / total
            out[lineage] = (value, error)
        return out


def grid(means: pd.DataFrame, keys: Sequence[tuple[str, str]], control: BoolArray) -> Grid:
    """Make the grid from the table of means; visits of a donor in a condition are put together.

    Parameters
    ----------
    means
        ``donor, condition, cell_type, n_cells`` and scores with their ``_se``.
    keys
        Donor and condition of each row of the grid.
    control
        Which rows are controls.
    """
    place = {key: i for i, key in enumerate(keys)}
    pairs = zip(means["donor"], means["condition"], strict=True)
    row = np.array([place.get(key, -1) for key in pairs], dtype=np.intp)
    types = tuple(t for t in k.CELL_TYPES if (means["cell_type"] == t).any())
    column = np.array([types.index(t) for t in means["cell_type"]], dtype=np.intp)
    used = row >= 0
    at = (row[used], column[used])
    shape = (len(keys), len(types))
    each = means["n_cells"].to_numpy(dtype=np.float64)[used]
    n = np.zeros(shape)
    np.add.at(n, at, each)
    scores = {}
    for name in means.columns:
        if f"{name}_se" in means.columns:
            value = means[name].to_numpy(dtype=np.float64)[used]
            error = means[f"{name}_se"].to_numpy(dtype=np.float64)[used]
            scores[str(name)] = _joined(value, error, each, n, at)
    pooled = n[control].sum(axis=0)
    share = pooled / max(pooled.sum(), 1.0)
    share = np.where(share >= MIN_SHARE, share, 0.0)
    return Grid(types, n, scores, share / share.sum() if share.any() else share)


def _joined(
    value: FloatArray,
    error: FloatArray,
    each: FloatArray,
    n: FloatArray,
    at: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> tuple[FloatArray, FloatArray]:
    """Means over the cells of all visits; NaN below ten cells or without a value."""
    total, square, known = np.zeros(n.shape), np.zeros(n.shape), np.zeros(n.shape)
    there = np.isfinite(value)
    np.add.at(total, at, np.where(there, value * each, 0.0))
    np.add.at(square, at, np.where(np.isfinite(error), (error * each) ** 2, 0.0))
    np.add.at(known, at, np.where(there, each, 0.0))
    safe = np.where((n >= MIN_CELLS) & (known > 0), known, np.nan)
    return total / safe, np.sqrt(square) / safe
