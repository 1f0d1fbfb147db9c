"""Reference values of control cells of the same type, stored so that they can be used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells.runs import threads_for
from scifn._matrix import mapped
from scifn._stats.moments import Moments, moments

Floats = NDArray[np.float64]
Codes = NDArray[np.signedinteger[Any]]

#: Control cells of a type below which its lineage stands in, and below that all controls.
MIN_CELLS: Final = 20
ALL: Final = "all"
COLUMNS: Final = ("score", "group", "n_cells", "mean", "sd")


def coded(types: Any) -> tuple[Codes, list[str]]:
    """Number of the type of each cell, and the types."""
    if isinstance(types, pd.Categorical):
        return types.codes, [str(name) for name in types.categories]
    codes, found = pd.factorize(types)
    return codes.astype(np.int32), [str(name) for name in found]


def measure(scores: Mapping[str, Floats], types: Any, controls: NDArray[np.bool_]) -> pd.DataFrame:
    """Mean and SD of each score in control cells: of each type, each lineage, and all.

    Parameters
    ----------
    scores
        Of all cells.
    types
        Type of each cell.
    controls
        Which of them are control cells.

    Returns
    -------
    Rows (score, group, n_cells, mean, sd). Groups with fewer than :data:`MIN_CELLS` cells have
    no row; "all" always has one.
    """
    codes, names = coded(types)
    mine = slice(None) if controls.all() else np.flatnonzero(controls)
    at = codes[mine].astype(np.int64)
    cells = np.bincount(at, minlength=len(names) + 1)

    def of_score(values: Any) -> Moments:
        return moments(np.asarray(values)[mine], at, len(names))

    each = mapped(of_score, [values for _, values in scores.items()], threads_for(controls.size))
    # (types, scores) each
    of_type = Moments(*(np.stack(found, axis=1) for found in zip(*each, strict=True)))
    rows: list[tuple[str, str, int, float, float]] = []
    for labels in (names, [_lineage(name) for name in names], [ALL] * len(names)):
        for group in sorted(set(labels)):
            these = np.flatnonzero([label == group for label in labels])
            if group != ALL and cells[these].sum() < MIN_CELLS:
                continue
            found = Moments(*(x[these] for x in of_type)).together(axis=0)
            columns = (found.n.astype(int), *found.with_sd())
            rows += zip(map(str, scores), repeat(group), *(x.tolist() for x in columns))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def of_types(table: pd.DataFrame, score: str, types: Sequence[str]) -> tuple[Floats, Floats]:
    """Mean and SD that cells of each type are held against: of the type, else lineage, else all."""
    columns = (table[name].tolist() for name in ("score", "group", "mean", "sd"))
    held = {str(group): pair for of, group, *pair in zip(*columns, strict=True) if str(of) == score}
    out = np.full((len(types), 2), np.nan)
    for i, name in enumerate(types):
        for group in (name, _lineage(name), ALL):
            if group in held:
                out[i] = held[group]
                break
    return out[:, 0], out[:, 1]


def _lineage(cell_type: str) -> str:
    return f"lineage {k.LINEAGE_OF.get(cell_type, '')}"
