"""Donors in both arms: which rows belong together, their differences, or one row of each.

Two rows of a donor are no two donors. Where most donors of the smaller arm stand in both, the pairs
are compared. Where few do, pairs would throw most donors away: then each donor counts once, which
leaves donors that are independent and as many as there are, in arms as even as they can be. So does
each where most are in both and still too few pairs for any p below 0.05, where both arms suffice.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn._errors import DesignError
from scifn._stats._design import MIN_DONORS, MIN_SIGNIFICANCE, Design, refuse_aliased
from scifn._stats._factors import column, is_missing, names_of
from scifn._stats._words import counted

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Pairs from which a p below 0.05 is possible: 2 / 2^6 is 0.031, 2 / 2^5 is 0.0625.
MIN_PAIRS = 6


def _names(donors: pd.DataFrame, rows: IntArray) -> NDArray[np.object_]:
    """Who each row is of."""
    names = [str(name) for name in donors["donor"]]
    return np.array(names, dtype=object)[rows]


def shared_rows(donors: pd.DataFrame, rows: IntArray, treated: BoolArray) -> BoolArray:
    """Rows of donors that stand in both arms."""
    names = _names(donors, rows)
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
    names = list(_names(donors, rows))
    if paired == "donor":
        return names
    shared = shared_rows(donors, rows, treated)
    if not shared.any():
        return None
    pairs = int((shared & treated).sum())
    keep = _once(donors, rows, treated, shared)
    least = min(int((keep & treated).sum()), int((keep & ~treated).sum()))
    most = 2 * pairs > min(int(treated.sum()), int((~treated).sum()))
    if not most and least >= MIN_DONORS:
        return None
    if pairs < MIN_PAIRS and least >= MIN_SIGNIFICANCE:
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
    """Which rows stay so that no donor stands in both arms (group and reference, by name)."""
    shared = shared_rows(donors, rows, treated)
    if not shared.any():
        return ~shared
    keep = _once(donors, rows, treated, shared)
    n = int((~keep).sum())
    left = [
        f"{counted(len(out), 'row')} of {arm} ({names_of(donors, out)})"
        for arm, out in zip(arms, (rows[~keep & treated], rows[~keep & ~treated]), strict=True)
        if len(out)
    ]
    notes.append(
        f"{counted(n, 'donor')} {'stands' if n == 1 else 'stand'} in both arms, too few for pairs: "
        f"each counts once; left out: {' and '.join(left)}"
    )
    return keep


def _once(donors: pd.DataFrame, rows: IntArray, treated: BoolArray, shared: BoolArray) -> BoolArray:
    """Rows that stay where each donor counts once.

    In the order of their names, donors in both arms leave the arm that is the larger by then, and
    the reference where arms are equal: out of equal arms, each in turn. No value plays a part.
    """
    names = _names(donors, rows)
    keep = np.ones(len(rows), dtype=np.bool_)
    for name in sorted(set(names[shared])):
        group = (keep & treated).sum() > (keep & ~treated).sum()
        keep &= ~((names == name) & (treated == group))
    return keep


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
