"""Labels that users bring: numeric ids, categories, blanks, several words for "missing"."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Words that stand for "no value" in the columns that users bring.
MISSING = ("", "NA", "nan", "unknown")


@dataclass(frozen=True)
class Labels:
    """A column of labels as codes into its levels; -1 where there is none."""

    codes: IntArray
    levels: tuple[str, ...]

    @property
    def present(self) -> BoolArray:
        """Where there is a label, (n,)."""
        return np.asarray(self.codes >= 0)


def text(value: object) -> str:
    """One label as text; a whole number stored as a float loses its ".0".

    A missing value anywhere in a column of integers turns all of them to floats,
    and a donor must not change its name for that.

    >>> text(101.0), text(" SLE 1 "), text(2.5)
    ('101', 'SLE 1', '2.5')
    """
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()


def natural(label: str) -> list[tuple[int, int, str]]:
    """Sort key that puts "P2" before "P10".

    >>> sorted(["P10", "P2", "C1"], key=natural)
    ['C1', 'P2', 'P10']
    """
    parts = re.split(r"([0-9]+)", label)
    return [(0, int(p), "") if re.fullmatch("[0-9]+", p) else (1, 0, p) for p in parts]


def read_labels(values: pd.Series, missing: Sequence[str] = MISSING) -> Labels:
    """Labels of one column.

    Categories keep their order; anything else is sorted naturally. Levels that no
    row has are left out. What equals a word of ``missing`` (whatever its case) or
    is None or NaN has no label.
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        raw = values.array.codes.astype(np.int64)
        found = [text(x) for x in values.cat.categories]
        ordered = True
    else:
        codes, uniques = pd.factorize(values, use_na_sentinel=True)
        raw = np.asarray(codes, dtype=np.int64)
        found = [text(x) for x in uniques]
        ordered = False
    none = {word.strip().casefold() for word in missing}
    used = np.bincount(raw + 1, minlength=len(found) + 1)[1:] > 0
    names = [x for i, x in enumerate(found) if used[i] and x.casefold() not in none]
    # Two raw values may be one label ("A" and "A "): dict keeps the first.
    levels = tuple(dict.fromkeys(names if ordered else sorted(names, key=natural)))
    position = {name: i for i, name in enumerate(levels)}
    to_code = np.array([position.get(x, -1) for x in found] + [-1], dtype=np.int64)
    return Labels(to_code[raw], levels)


def looked_up(values: pd.Series, table: Mapping[str, int], other: int) -> NDArray[np.int8]:
    """A small number for each label, as text; ``other`` for what is not in the table.

    >>> looked_up(pd.Series(["weak", "none", "weak"]), {"weak": 1}, 0)
    array([1, 0, 1], dtype=int8)
    """
    if isinstance(values.dtype, pd.CategoricalDtype):
        codes, found = values.array.codes, values.cat.categories
    else:
        codes, found = pd.factorize(values, use_na_sentinel=True)
    out = np.full(len(codes), other, dtype=np.int8)
    # few labels are in the table, and to compare is faster than to look each cell up
    for code, word in [*enumerate(map(str, found)), (-1, "nan")]:
        number = table.get(word, other)
        if number != other:
            np.copyto(out, number, where=codes == code)
    return out
