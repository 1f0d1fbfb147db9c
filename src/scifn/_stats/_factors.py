"""Covariates and blocks of a comparison: looked up, checked, coded."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._errors import ArgumentError, MissingKeyError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def column(donors: pd.DataFrame, name: str, argument: str) -> list[object]:
    """Values of a covariate or block, asked for by its name in obs or in the table."""
    if name in ("donor", "condition", *k.DONOR_COUNTS, *k.READOUTS, "status", "note"):
        raise ArgumentError(f"{argument}: {name!r} is not something to adjust for.")
    for found in (name, k.column(name)):
        if found in donors.columns:
            return list(donors[found])
    raise MissingKeyError(
        f"{argument}: the donor table has no column {name!r}. Call "
        f"scifn.tl.donors(adata, ..., covariates=[{name!r}]) first."
    )


def complete(
    donors: pd.DataFrame, rows: IntArray, factors: dict[str, list[object]], notes: list[str]
) -> IntArray:
    """Leave out rows that lack a covariate or block."""
    for name, values in factors.items():
        lacks = np.array([is_missing(values[i]) for i in rows], dtype=np.bool_)
        if lacks.any():
            notes.append(f"left out, no single value of {name}: {names_of(donors, rows[lacks])}")
            rows = rows[~lacks]
    return rows


def is_missing(value: object) -> bool:
    return value is None or value in ("", "nan") or (isinstance(value, float) and np.isnan(value))


def names_of(donors: pd.DataFrame, rows: IntArray) -> str:
    """Some donors by name, and how many in all."""
    names = list(dict.fromkeys(str(donors["donor"].iloc[i]) for i in rows))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def coded(values: Sequence[object]) -> FloatArray:
    """Columns of one factor: a centred number, or 0/1 for each category but the first."""
    if all(isinstance(x, int | float | np.number) and not isinstance(x, bool) for x in values):
        numbers = np.array(values, dtype=np.float64).reshape(-1, 1)
        return numbers - numbers.mean(axis=0) if len(numbers) else numbers
    texts = np.array([str(x) for x in values], dtype=object)
    levels = sorted(set(texts.tolist()))
    return np.column_stack(
        [np.zeros((len(texts), 0)), *((texts == x).astype(np.float64) for x in levels[1:])]
    )


def drop_constant(columns: dict[str, FloatArray], notes: list[str]) -> None:
    for name in [n for n, c in columns.items() if c.size == 0 or not np.ptp(c, axis=0).any()]:
        del columns[name]
        notes.append(f"{name} does not vary and is not adjusted for")
