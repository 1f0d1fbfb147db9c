"""Donors in both arms: which rows belong together, their differences, or one row of each.

Two rows of a donor are no two donors. Where most donors of the smaller arm stand in both, the pairs
are compared. Where few do, pairs would throw most donors away: then each donor counts once, in the
smaller arm, which leaves donors that are independent and as many as there are.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn._errors import DesignError
from scifn._stats._design import MIN_DONORS, Design, refuse_aliased
from scifn._stats._factors import column, is_missing, names_of
from scifn._stats._words import counted

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


def shared_rows(donors: pd.DataFrame, rows: IntArray, treated: BoolArray) -> BoolArray:
    """Rows of donors that stand in both arms."""
    names = np.array([str(donors["donor"].iloc[i]) for i in rows], dtype=object)
    both = set(names[treated]) & set(names[~treated])
    return np.array([n in both for n in names], dtype=np.bool_)


def pair_ids(
    donors: pd.DataFrame,
    rows: IntArray,
    treated: BoolArray,
    paired: str | None,
    notes: list[str],
) -> list[str] | None:
    """What pairs each row, or None for an unpaired design."""
    if paired is not None and paired != "donor":
        return [str(text_of(x)) for x in np.array(column(donors, paired, "paired"), object)[rows]]
    names = [str(donors["donor"].iloc[i]) for i in rows]
    if paired == "donor":
        return names
    shared = shared_rows(donors, rows, treated)
    if not shared.any():
        return None
    pairs, n1, n0 = int((shared & treated).sum()), int(treated.sum()), int((~treated).sum())
    if 2 * pairs <= min(n1, n0) and max(n1, n0) - pairs >= MIN_DONORS:
        return None
    stand = "stands" if pairs == 1 else "stand"
    notes.append(f"{counted(pairs, 'donor')} {stand} in both arms: paired by donor")
    return names


def counted_once(
    donors: pd.DataFrame,
    rows: IntArray,
    treated: BoolArray,
    arms: tuple[str, str],
    notes: list[str],
) -> BoolArray:
    """Which rows stay so that no donor stands in both arms (group and reference, by name).

    Those in both leave the larger arm, the reference where arms are equal.
    """
    shared = shared_rows(donors, rows, treated)
    if not shared.any():
        return ~shared
    from_group = bool(treated.sum() > (~treated).sum())
    dropped = shared & (treated if from_group else ~treated)
    n = int(dropped.sum())
    larger, smaller = arms if from_group else arms[::-1]
    notes.append(
        f"{counted(n, 'donor')} {'stands' if n == 1 else 'stand'} in both arms, not most of the "
        f"smaller one: each counts once, in {smaller}; {counted(n, 'row')} of {larger} left out "
        f"({names_of(donors, rows[dropped])})"
    )
    return ~dropped


def text_of(value: object) -> str:
    return "" if is_missing(value) else str(value)


def pair_up(
    group: str,
    reference: str,
    rows: IntArray,
    treated: BoolArray,
    ids: list[str],
    columns: dict[str, FloatArray],
    block: str | None,
    by: str,
    notes: list[str],
) -> Design:
    """Differences of pairs; what has no partner is left out."""
    first: dict[str, int] = {}
    second: dict[str, int] = {}
    for i, (name, t) in enumerate(zip(ids, treated, strict=True)):
        arm = first if t else second
        if name in arm and name:
            raise DesignError(
                f"paired={by!r}: {name!r} has several rows in {group if t else reference!r}; "
                "a pair is one row of each arm."
            )
        arm[name] = i
    keys = [x for x in first if x in second and x]
    alone = len(ids) - 2 * len(keys)
    if alone:
        notes.append(f"{counted(alone, 'row')} without a partner, of one condition only, left out")
    a = np.array([first[x] for x in keys], dtype=np.int64)
    b = np.array([second[x] for x in keys], dtype=np.int64)
    differences = {n: c[a] - c[b] for n, c in columns.items() if n != block}
    for name in [n for n, d in differences.items() if d.size == 0 or not np.any(d)]:
        del differences[name]
        notes.append(f"{name} is the same within pairs and drops out")
    if block is not None:
        notes.append(f"signs are flipped within pairs, so that {block} plays no part")
    text = f"paired by {by}"
    if differences:
        text += f"; adjusted for {', '.join(differences)}"
    design = Design(
        group,
        reference,
        np.column_stack([rows[a], rows[b]]),
        np.ones(len(keys)),
        np.column_stack([np.zeros((len(keys), 0)), *differences.values()]),
        np.zeros(len(keys), dtype=np.int64),
        text,
        tuple(notes),
    )
    if len(keys):
        refuse_aliased(design, differences)
    return design
