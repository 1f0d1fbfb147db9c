"""Columns that a donor brings along: covariates and measurements, one value a row of the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._labels import IntArray, read_labels
from scifn._errors import ArgumentError, DesignError, MissingKeyError

Column = NDArray[np.float64] | NDArray[np.bool_] | list[str]


def need_column(obs: pd.DataFrame, name: str, argument: str) -> pd.Series:
    """The column ``name`` of obs, or an error that lists the columns that are there."""
    if name not in obs.columns:
        found = [str(c) for c in obs.columns if not str(c).startswith(k.PREFIX)]
        raise MissingKeyError(
            f"{argument}={name!r}: obs has no such column. It has: "
            f"{', '.join(found[:40]) or 'none'}{' ...' if len(found) > 40 else ''}."
        )
    column = obs[name]
    if isinstance(column, pd.DataFrame):
        raise ArgumentError(f"{argument}={name!r}: obs has several columns of this name; rename.")
    return column


def is_numeric(column: pd.Series) -> bool:
    """Numbers, but not True/False and not categories made of numbers."""
    return pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(
        column.dtype
    )


def per_row(
    column: pd.Series,
    rows: IntArray,
    names: Sequence[str],
    *,
    argument: str,
    missing: Sequence[str],
) -> NDArray[np.float64] | list[str]:
    """One value of ``column`` a row of the donor table.

    Parameters
    ----------
    column
        A value a cell. Numbers stay numbers; everything else becomes text.
    rows
        Row of the table that each cell belongs to, -1 for none.
    names
        What to call each row in an error.

    Returns
    -------
    Numbers with NaN, or texts with "", where a row has no value. Cells without a value are
    ignored beside cells that have one.

    Raises
    ------
    DesignError
        Cells of one row have different values.
    """
    numeric = is_numeric(column)
    if numeric:
        cells = column.to_numpy(dtype=np.float64, na_value=np.nan)
        use = (rows >= 0) & ~np.isnan(cells)
    else:
        labels = read_labels(column, missing)
        cells = labels.codes.astype(np.float64)
        use = (rows >= 0) & labels.present
    low = np.full(len(names), np.inf)
    high = np.full(len(names), -np.inf)
    np.minimum.at(low, rows[use], cells[use])
    np.maximum.at(high, rows[use], cells[use])
    torn = np.flatnonzero(low < high)
    if torn.size:
        i = torn[0]
        values = (
            [low[i], high[i]] if numeric else [labels.levels[int(x)] for x in (low[i], high[i])]
        )
        raise DesignError(
            f"{argument}: {column.name!r} must have one value a donor, condition and visit, but "
            f"{names[i]} has {values[0]!s} and {values[1]!s}"
            f"{f' ({torn.size} such rows)' if torn.size > 1 else ''}. Leave the column out, "
            "correct it, or tell the samples apart by visit=."
        )
    if numeric:
        return np.where(np.isfinite(low), low, np.nan)
    return [labels.levels[int(x)] if np.isfinite(x) else "" for x in low]


def measured(
    obs: pd.DataFrame,
    measurements: Mapping[str, Mapping[str, float] | None],
    rows: IntArray,
    names: Sequence[str],
    missing: Sequence[str],
) -> dict[str, Column]:
    """Measurements of the donor, each with a column that marks values at or below its limit.

    A value at or below the detection limit is kept as it was given and marked: what to put in its
    place is a decision of the analysis, not of the table.
    """
    out: dict[str, Column] = {}
    if not isinstance(measurements, Mapping):
        raise ArgumentError(
            f"measurements= is {type(measurements).__name__}; needed: a dict of columns of obs, "
            '{"ifna_serum": {"lod": 5.0}}; None in place of {"lod": 5.0} where there is no limit.'
        )
    for name, options in measurements.items():
        if options is not None and not isinstance(options, Mapping):
            raise ArgumentError(
                f"measurements[{name!r}] is {options!r}; needed: {{'lod': detection limit}} in the "
                "units of the column, or None."
            )
        unknown = sorted(set(options or {}) - {"lod"})
        if unknown:
            raise ArgumentError(
                f"measurements[{name!r}] has {', '.join(map(repr, unknown))}; only 'lod' "
                "(the detection limit) is known."
            )
        values = _numbers(need_column(obs, name, "measurements"), "measurements")
        row = per_row(values, rows, names, argument="measurements", missing=missing)
        numbers = np.asarray(row, dtype=np.float64)
        lod = float((options or {}).get("lod", -np.inf))
        if np.isnan(lod):
            raise ArgumentError(f"measurements[{name!r}]: the detection limit 'lod' is NaN.")
        out[k.column(name)] = numbers
        out[f"{k.column(name)}_censored"] = numbers <= lod
    return out


def detection_limits(measurements: Mapping[str, Mapping[str, float] | None]) -> dict[str, float]:
    """Column of the donor table -> detection limit, -inf where none was given.

    >>> detection_limits({"ifna": {"lod": 5}, "age": None})
    {'ifna': 5.0, 'age': -inf}
    """
    return {
        k.column(name): float((options or {}).get("lod", -np.inf))
        for name, options in measurements.items()
    }


def absolute(
    obs: pd.DataFrame,
    name: str,
    rows: IntArray,
    names: Sequence[str],
    counts: pd.DataFrame,
    min_cells: int,
) -> dict[str, Column]:
    """Cells per microlitre of each counted type: the user's total times the type's share.

    ``name`` is the concentration of the cells that ``n_total`` counts (for PBMC, the mononuclear
    cells). Too few cells make no share.
    """
    values = _numbers(need_column(obs, name, "cells_per_ul"), "cells_per_ul")
    row = per_row(values, rows, names, argument="cells_per_ul", missing=())
    given = np.asarray(row, dtype=np.float64)
    if np.any(given < 0):
        raise ArgumentError(f"cells_per_ul={name!r} has negative values.")
    total = counts["n_total"].to_numpy(dtype=np.float64)
    enough = np.where(total >= min_cells, total, np.nan)
    out: dict[str, Column] = {k.column(name): given}
    for column in k.DONOR_COUNTS:
        if column not in ("n_cells", "n_total"):
            out[f"{column}_per_ul"] = given * counts[column].to_numpy(dtype=np.float64) / enough
    return out


def _numbers(column: pd.Series, argument: str) -> pd.Series:
    """The column as numbers; text that holds numbers is read as such."""
    if is_numeric(column):
        return column
    numbers: pd.Series = pd.to_numeric(column.astype(object), errors="coerce").astype(np.float64)
    numbers.name = column.name
    lost = column[numbers.isna() & column.notna()]
    strange = [str(x) for x in lost.unique() if str(x).strip().casefold() not in ("", "na", "nan")]
    if strange:
        raise ArgumentError(
            f"{argument}={column.name!r} must hold numbers, found "
            f"{', '.join(map(repr, strange[:5]))}. For a value below the "
            "detection limit give the limit itself and {'lod': limit}."
        )
    return numbers
