"""Arms that were not measured alike: said, because no test of donors can undo it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn._stats._design import Design

FloatArray = NDArray[np.float64]

#: Ratio of medians from which on arms count as measured differently.
RATIO = 3.0


def uneven(donors: pd.DataFrame, design: Design, depth: FloatArray | None) -> str:
    """Cells a donor and UMI a cell that differ by much between the arms, in words; "" if none.

    Few cells make the log ratio of a rare type noisier and pull it towards the half cell that is
    added; few transcripts a cell make identity harder to tell.
    """
    said = []
    measures: dict[str, FloatArray] = {}
    if "n_total" in donors:
        measures["cells a donor"] = donors["n_total"].to_numpy(dtype=np.float64)
    if depth is not None:
        measures["UMI a cell"] = depth
    for what, values in measures.items():
        group, reference = (_median(values[rows]) for rows in _arms(design))
        low, high = sorted((group, reference))
        if low > 0 and high / low > RATIO:
            said.append(
                f"{what} differ {high / low:.1f} times between the arms (medians {group:,.0f} in "
                f"{design.group} and {reference:,.0f} in {design.reference}): compare with care"
            )
    return "; ".join(said)


def _arms(design: Design) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    if design.paired:
        return design.rows[:, 0], design.rows[:, 1]
    group = design.regressor == 1
    return design.rows[group], design.rows[~group]


def _median(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else float("nan")


def depth_of(donors: pd.DataFrame, sums: pd.DataFrame) -> FloatArray:
    """UMI a cell of each donor and condition from the pseudobulk table; NaN where it has none.

    >>> sums = pd.DataFrame({"donor": ["a", "a"], "condition": "x", "n_cells": [10, 30],
    ...                      "total_umi": [9000.0, 51000.0]})
    >>> depth_of(pd.DataFrame({"donor": ["a", "b"], "condition": "x"}), sums).tolist()
    [1500.0, nan]
    """
    total = sums.groupby(["donor", "condition"], observed=True)[["total_umi", "n_cells"]].sum()
    cells = total["n_cells"].to_numpy(dtype=np.float64)
    umi = total["total_umi"].to_numpy(dtype=np.float64) / np.where(cells > 0, cells, np.nan)
    known = dict(zip(((str(d), str(c)) for d, c in total.index), umi, strict=True))
    places = zip(donors["donor"].astype(str), donors["condition"].astype(str), strict=True)
    return np.array([known.get(place, np.nan) for place in places])
