"""Reference values of a score, kept by the names of the features so that they can be used again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn._cells.scores.plan import Arm, Layout
from scifn._errors import CoverageError, MissingKeyError

Ints = NDArray[np.int64]

#: Part of a model's features that must be among those here.
_MIN_KNOWN: Final = 0.5
_SUMMED: Final = " (summed)"
BINS_COLUMNS: Final = ("feature", "bin")


def keyed(names: Sequence[str]) -> list[str]:
    """Names of features, told apart where a name stands twice.

    >>> keyed(["A", "B", "A"])
    ['A', 'B', 'A#2']
    """
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return out


def bins_table(of_column: Ints, names: Sequence[str], layout: Layout) -> pd.DataFrame:
    """Bin of every gene, and of the genes that are sums of features."""
    every = [*names, *(gene + _SUMMED for gene in layout.summed)]
    kept = np.flatnonzero(of_column >= 0)
    values = ([every[i] for i in kept], of_column[kept])
    return pd.DataFrame(dict(zip(BINS_COLUMNS, values, strict=True)))


def bins_from(table: pd.DataFrame, names: Sequence[str], layout: Layout) -> Ints:
    """Bin of every column from the table of an earlier run; -1 where it has none.

    Raises
    ------
    CoverageError
        Less than half of the earlier run's features are among these.
    """
    known = dict(zip(table["feature"].astype(str), table["bin"].astype(np.int64), strict=True))
    of_feature = [known.get(name, -1) for name in names]
    behind = [
        known.get(gene + _SUMMED, max(of_feature[i] for i in group))
        for gene, group in zip(layout.summed, layout.groups, strict=True)
    ]
    n_known = sum(one >= 0 for one in of_feature)
    n_needed = sum(not name.endswith(_SUMMED) for name in known)
    if n_known < _MIN_KNOWN * n_needed:
        msg = (
            f"model= was made with {n_needed:,} features, of which {n_known:,} are here; at least "
            "half are needed. Use the same annotation, or score without model=."
        )
        raise CoverageError(msg)
    return np.array([*of_feature, *behind], dtype=np.int64)


def model_bins(model: Mapping[str, Any], names: Sequence[str]) -> pd.DataFrame:
    """Table of bins of an earlier run with method "matched": of these sets, or the last one.

    Raises
    ------
    MissingKeyError
        It holds none.
    """
    rows = model["sets"]
    rows = rows[rows["bins"].astype(str) != ""]
    mine = rows[rows["set"].astype(str).isin(list(names))]
    if rows.empty:
        used = ", ".join(sorted(set(model["sets"]["method"].astype(str))))
        msg = (
            "model= holds no bins of genes: they are stored by method='matched', and the earlier "
            f"run used {used}."
        )
        raise MissingKeyError(msg)
    key = str((mine if len(mine) else rows)["bins"].iloc[-1])
    table: pd.DataFrame = model["bins"][key]
    return table


def model_controls(
    model: Mapping[str, Any], arms: Sequence[Arm], names: Sequence[str]
) -> list[Ints]:
    """Control genes of each list that an earlier run with method "seurat" drew.

    Raises
    ------
    MissingKeyError
        A set was not scored there.
    """
    rows = model["sets"]
    rows = rows[rows["method"].astype(str) == "seurat"].set_index("set")
    at = {name: i for i, name in enumerate(names)}
    out = []
    for arm in arms:
        name, _, kind = arm.name.rpartition(":")
        if name not in rows.index:
            there = ", ".join(map(repr, rows.index)) or "none"
            msg = (
                f"model= holds no control genes of {name!r}: with method='seurat' it has scored "
                f"{there}."
            )
            raise MissingKeyError(msg)
        listed = str(rows.loc[name, f"controls_{kind}"]).split(";")
        found = sorted(at[one] for one in listed if one in at)
        out.append(np.array(found, dtype=np.int64))
    return out
