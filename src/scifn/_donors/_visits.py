"""Several visits of a donor in one condition -> one row, for comparisons between donors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn._donors._labels import IntArray
from scifn._donors._readouts import readouts

_DERIVED = {*k.READOUTS, *(f"{r}_se" for r in k.READOUTS), "status", "note"}
_SUMMED = (*k.DONOR_COUNTS, "pdc_ifna_positive")


def collapse_visits(table: pd.DataFrame) -> pd.DataFrame:
    """One row a donor x condition: the donor is the unit, a second visit is no second donor.

    Cell counts are summed over the visits and the readouts with their gates taken anew; means of
    scores and measurements are averaged over the visits that have them; a text that differs
    between visits becomes "". A count that could not be measured at one visit is not measured.
    Rows of one visit stay as they are.
    """
    by = table.groupby(["donor", "condition"], sort=False)
    groups: IntArray = np.asarray(by.ngroup(), dtype=np.int64)
    sizes = np.bincount(groups)
    if (sizes == 1).all():
        return table.reset_index(drop=True)
    first = np.unique(groups, return_index=True)[1]
    out = table.iloc[first].reset_index(drop=True)
    for name in table.columns:
        if name in ("donor", "condition") or name in _DERIVED:
            continue
        out[name] = _joined(table[name], groups, str(name))
    values, status, note = readouts(out)
    for name, numbers in values.items():
        out[name] = numbers
    out["status"] = status
    out["note"] = [
        "; ".join(x for x in (f"{n} visits together" if n > 1 else "", said) if x)
        for n, said in zip(sizes, note, strict=True)
    ]
    return out


def _joined(column: pd.Series, groups: IntArray, name: str) -> Any:
    """Values of one column, a value a group, in the order of the groups' first rows."""
    by: Any = column.groupby(groups)
    if name in _SUMMED:
        total = by.sum(min_count=1) if name == "pdc_ifna_positive" else by.agg(_sum)
        return total.to_numpy(dtype=column.dtype)
    if name.startswith(k.RESPONSE_OF) and name.endswith("_se"):
        return by.agg(_of_mean).to_numpy(dtype=np.float64)
    if pd.api.types.is_bool_dtype(column.dtype):
        return by.all().to_numpy()
    if pd.api.types.is_numeric_dtype(column.dtype):
        return by.mean().to_numpy(dtype=np.float64)
    return [x.iloc[0] if x.nunique() == 1 else "" for _, x in by]


def _sum(values: pd.Series) -> float:
    """A sum that is NaN if any part is."""
    return float(values.sum(skipna=False))


def _of_mean(errors: pd.Series) -> float:
    """Standard error of the mean of the visits that have a value."""
    known = errors.dropna().to_numpy(dtype=np.float64)
    return float(np.sqrt((known**2).sum()) / known.size) if known.size else float("nan")
