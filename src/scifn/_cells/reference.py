"""Reference values of control cells of the same type, stored so that they can be used again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells.sums import runs_of

Floats = NDArray[np.float64]
Codes = NDArray[np.signedinteger[Any]]

#: Control cells of a type below which its lineage stands in, and below that all controls.
MIN_CELLS: Final = 20
ALL: Final = "all"
COLUMNS: Final = ("score", "group", "n_cells", "mean", "sd")


class Moments(NamedTuple):
    """What is known of each score in each group of cells, (groups, scores) each.

    They can be put together (:func:`together`), so that cells may come in runs.
    """

    #: Cells, and those of them that have a finite score.
    cells: Floats
    n: Floats
    #: Mean of the latter and the sum of their squares about it; 0 where there is none.
    mean: Floats
    squares: Floats


def coded(types: Any) -> tuple[Codes, list[str]]:
    """Number of the type of each cell, and the types."""
    if isinstance(types, pd.Categorical):
        return types.codes, [str(name) for name in types.categories]
    codes, found = pd.factorize(types)
    return codes.astype(np.int32), [str(name) for name in found]


def moments(
    scores: Sequence[Floats], codes: Codes, n_types: int, controls: NDArray[np.bool_]
) -> Moments:
    """Of each score in those cells of each type that are ``controls``."""
    taken = np.flatnonzero(controls)
    of_taken, shape = codes[taken], (n_types, len(scores))
    cells = np.bincount(of_taken, minlength=n_types)[:, None]
    out = Moments(np.broadcast_to(cells, shape).astype(np.float64), *np.zeros((3, *shape)))
    for j, score in enumerate(scores):
        values, at = score[taken], of_taken
        known = np.isfinite(values)
        if not known.all():
            values, at = values[known], at[known]
        n = np.bincount(at, minlength=n_types)
        mean = np.bincount(at, weights=values, minlength=n_types) / np.maximum(n, 1)
        values = values - mean[at]
        out.n[:, j], out.mean[:, j] = n, mean
        out.squares[:, j] = np.bincount(at, weights=values * values, minlength=n_types)
    return out


def together(parts: Sequence[Moments]) -> Moments:
    """Moments of the cells of all parts."""
    each = Moments(*(np.stack(found) for found in zip(*parts, strict=True)))
    n = each.n.sum(axis=0)
    mean = (each.n * each.mean).sum(axis=0) / np.maximum(n, 1)
    squares = (each.squares + each.n * (each.mean - mean) ** 2).sum(axis=0)
    return Moments(each.cells.sum(axis=0), n, mean, squares)


def table_of(found: Moments, scores: Sequence[str], types: Sequence[str]) -> pd.DataFrame:
    """Mean and SD of each score in control cells: of each type, each lineage, and all.

    Returns
    -------
    Rows (score, group, n_cells, mean, sd). Groups with fewer than :data:`MIN_CELLS` cells have
    no row; "all" always has one.
    """
    of_type = [Moments(*(x[i] for x in found)) for i in range(len(types))]
    lineages = [_lineage(name) for name in types]
    rows = []
    for labels in (types, lineages, [ALL] * len(types)):
        for group in sorted(set(labels)):
            mine = [one for one, label in zip(of_type, labels, strict=True) if label == group]
            cells, n, mean, squares = together(mine)
            if group != ALL and cells[0] < MIN_CELLS:
                continue
            mean = np.where(n > 0, mean, np.nan)
            sd = np.sqrt(np.where(n > 1, squares, np.nan) / np.maximum(n - 1, 1))
            rows += [
                (score, group, int(n[j]), float(mean[j]), float(sd[j]))
                for j, score in enumerate(scores)
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def measure(scores: Mapping[str, Floats], types: Any, controls: NDArray[np.bool_]) -> pd.DataFrame:
    """As :func:`table_of`, of scores of all cells, of which some are ``controls``."""
    codes, names = coded(types)
    each = {str(name): np.asarray(values) for name, values in scores.items()}
    found = []
    for rows in runs_of(len(codes)):
        mine = [values[rows] for values in each.values()]
        found.append(moments(mine, codes[rows], len(names), controls[rows]))
    return table_of(together(found), list(each), names)


def of_types(table: pd.DataFrame, score: str, types: Sequence[str]) -> tuple[Floats, Floats]:
    """Mean and SD that cells of each type are held against: of the type, else lineage, else all."""
    mine = table["score"].astype(str) == score
    rows = table.loc[mine, ["group", "mean", "sd"]].itertuples(index=False)
    held = {str(group): (mean, sd) for group, mean, sd in rows}
    out = np.full((len(types), 2), np.nan)
    for i, name in enumerate(types):
        for group in (name, _lineage(name), ALL):
            if group in held:
                out[i] = held[group]
                break
    return out[:, 0], out[:, 1]


def _lineage(cell_type: str) -> str:
    return f"lineage {k.LINEAGE_OF.get(cell_type, '')}"


def ratio(numerator: Floats, denominator: Floats, out: Floats | None = None) -> Floats:
    """Quotient; NaN where the denominator is not above zero. ``out`` may be the numerator."""
    return np.divide(numerator, np.where(denominator > 0, denominator, np.nan), out=out)
