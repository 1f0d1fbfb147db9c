"""Reference values of control cells of the same type, stored so that they can be used again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k

Floats = NDArray[np.float64]

#: Control cells of a type below which its lineage stands in, and below that all controls.
MIN_CELLS: Final = 20
ALL: Final = "all"
COLUMNS: Final = ("score", "group", "n_cells", "mean", "sd")


def measure(scores: pd.DataFrame, types: NDArray[Any], controls: NDArray[np.bool_]) -> pd.DataFrame:
    """Mean and SD of each score in control cells: of each type, each lineage, and all.

    Returns
    -------
    Rows (score, group, n_cells, mean, sd). Groups with fewer than :data:`MIN_CELLS` cells have
    no row; "all" always has one.
    """
    lineages = np.array([k.LINEAGE_OF.get(name, "") for name in types], dtype=object)
    rows = []
    for group, mine in _groups(types, lineages):
        cells = controls & mine
        if group != ALL and cells.sum() < MIN_CELLS:
            continue
        for name in scores:
            values = scores[name].to_numpy(dtype=np.float64)[cells]
            values = values[np.isfinite(values)]
            mean = float(values.mean()) if values.size else float("nan")
            sd = float(values.std(ddof=1)) if values.size > 1 else float("nan")
            rows.append((str(name), group, int(values.size), mean, sd))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _groups(types: NDArray[Any], lineages: NDArray[Any]) -> list[tuple[str, NDArray[np.bool_]]]:
    groups = [(name, types == name) for name in sorted(set(types))]
    groups += [(f"lineage {name}", lineages == name) for name in sorted(set(lineages))]
    return [*groups, (ALL, np.ones(types.size, dtype=bool))]


def of_cells(table: pd.DataFrame, score: str, types: NDArray[Any]) -> tuple[Floats, Floats]:
    """Mean and SD that each cell is held against: of its type, else lineage, else all."""
    rows = table[table["score"] == score].set_index("group")
    mean, sd = np.full(types.size, np.nan), np.full(types.size, np.nan)
    for name in set(types):
        group = next(
            (g for g in (name, f"lineage {k.LINEAGE_OF.get(name, '')}", ALL) if g in rows.index),
            None,
        )
        if group is not None:
            mine = types == name
            mean[mine], sd[mine] = rows.at[group, "mean"], rows.at[group, "sd"]
    return mean, sd


def weighted_rate(values: Any, depth: Floats, weights: Sequence[float]) -> Floats:
    """Weighted UMI per 10,000 of each cell; NaN where the depth is zero.

    Linear in the counts, so its mean does not move with depth: thinning a cell to half of its
    UMI halves the counts and the depth alike.
    """
    total = np.asarray(values @ np.asarray(weights, dtype=np.float64), dtype=np.float64)
    return ratio(1e4 * total, depth)


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Quotient; NaN where the denominator is not above zero."""
    out = np.full(denominator.size, np.nan)
    np.divide(numerator, denominator, out=out, where=denominator > 0)
    return out
