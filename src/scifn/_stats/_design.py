"""What a comparison of two groups of donors rests on: who, beside what, exchanged how.

A design is refused where the donors cannot answer: a condition that a batch or covariate
determines is not adjusted for but named.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._errors import ArgumentError, DesignError, MissingKeyError
from scifn._stats.ols import is_aliased

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Donors an arm (or pairs) below which no p-value is given, and below which no significance is.
MIN_DONORS, MIN_SIGNIFICANCE = 3, 4


@dataclass(frozen=True)
class Design:
    """One comparison; rows are donors, or pairs of rows of one donor."""

    group: str
    reference: str
    #: Rows of the donor table: (n,), or (n, 2) group and reference of each pair.
    rows: IntArray
    #: 1 for the group, 0 for the reference; ones for pairs. (n,)
    regressor: FloatArray
    #: Intercept, blocks and covariates, (n, k); for pairs the differences of the covariates.
    nuisance: FloatArray
    #: Rows are exchanged within these, codes from 0, (n,).
    block: IntArray
    text: str
    notes: tuple[str, ...]

    @property
    def paired(self) -> bool:
        """Whether a row is a pair."""
        return self.rows.ndim == 2

    def arms(self) -> tuple[int, int]:
        """Donors in the group and in the reference."""
        if self.paired:
            return len(self.rows), len(self.rows)
        n1 = int(self.regressor.sum())
        return n1, len(self.rows) - n1

    def take(self, keep: BoolArray) -> Design:
        """The same comparison with some of its rows."""
        return replace(
            self,
            rows=self.rows[keep],
            regressor=self.regressor[keep],
            nuisance=self.nuisance[keep],
            block=np.unique(self.block[keep], return_inverse=True)[1].astype(np.int64),
        )


def build(
    donors: pd.DataFrame,
    *,
    group: str,
    reference: str,
    covariates: Sequence[str] = (),
    block: str | None = None,
    paired: str | None = None,
) -> Design:
    """Lay out the comparison of ``group`` with ``reference``.

    Parameters
    ----------
    donors
        A row a donor x condition.
    covariates
        Columns to adjust for; texts as categories, numbers as they are.
    block
        Column within which labels are exchanged; it enters the model as categories too.
    paired
        Column that pairs rows. None: rows are paired by donor where donors stand in both
        arms, unless that leaves fewer than three pairs while both arms have three donors
        of their own; then donors in both arms are left out. The notes say which.

    Raises
    ------
    DesignError
        The condition is determined by covariates or blocks, or a pair has several rows in an arm.
    MissingKeyError
        A column is not in the table.
    """
    condition = np.array([str(c) for c in donors["condition"]], dtype=object)
    rows = np.flatnonzero((condition == group) | (condition == reference)).astype(np.int64)
    notes: list[str] = []
    factors = {name: _column(donors, name, "covariates") for name in dict.fromkeys(covariates)}
    if block is not None:
        factors[block] = [str(x) for x in _column(donors, block, "block")]
    rows = _complete(donors, rows, factors, notes)
    treated = condition[rows] == group
    ids = _pair_ids(donors, rows, treated, paired, notes)
    inside = {n: [values[i] for i in rows] for n, values in factors.items()}
    if ids is None and paired is None:
        shared = _shared(donors, rows, treated)
        if shared.any():
            rows, treated = rows[~shared], treated[~shared]
            inside = {
                n: [x for x, s in zip(v, shared, strict=True) if not s] for n, v in inside.items()
            }
    columns = {n: _coded(v) for n, v in inside.items()}
    if ids is not None:
        by = "donor" if paired is None else paired
        return _paired(group, reference, rows, treated, ids, columns, block, by, notes)
    blocks = np.zeros(len(rows), dtype=np.int64)
    text = "unpaired"
    if covariates:
        text += f"; adjusted for {', '.join(dict.fromkeys(covariates))}"
    if block is not None:
        blocks = np.unique(np.array(inside[block], dtype=str), return_inverse=True)[1].astype(
            np.int64
        )
        text += f"; permuted within {block}, which is in the model"
    _drop_constant(columns, notes)
    nuisance = np.column_stack([np.ones(len(rows)), *columns.values()])
    design = Design(
        group, reference, rows, treated.astype(np.float64), nuisance, blocks, text, tuple(notes)
    )
    if min(design.arms()) > 0:
        _refuse_aliased(design, columns)
    return design


def _column(donors: pd.DataFrame, name: str, argument: str) -> list[object]:
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


def _complete(
    donors: pd.DataFrame, rows: IntArray, factors: dict[str, list[object]], notes: list[str]
) -> IntArray:
    """Leave out rows that lack a covariate or block."""
    for name, values in factors.items():
        lacks = np.array([_is_missing(values[i]) for i in rows], dtype=np.bool_)
        if lacks.any():
            notes.append(f"left out, no single value of {name}: {_names(donors, rows[lacks])}")
            rows = rows[~lacks]
    return rows


def _is_missing(value: object) -> bool:
    return value is None or value in ("", "nan") or (isinstance(value, float) and np.isnan(value))


def _names(donors: pd.DataFrame, rows: IntArray) -> str:
    """Some donors by name, and how many in all."""
    names = list(dict.fromkeys(str(donors["donor"].iloc[i]) for i in rows))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _shared(donors: pd.DataFrame, rows: IntArray, treated: BoolArray) -> BoolArray:
    """Rows of donors that stand in both arms."""
    names = np.array([str(donors["donor"].iloc[i]) for i in rows], dtype=object)
    both = set(names[treated]) & set(names[~treated])
    return np.array([n in both for n in names], dtype=np.bool_)


def _pair_ids(
    donors: pd.DataFrame,
    rows: IntArray,
    treated: BoolArray,
    paired: str | None,
    notes: list[str],
) -> list[str] | None:
    """What pairs each row, or None for an unpaired design."""
    if paired is not None and paired != "donor":
        return [str(_text(x)) for x in np.array(_column(donors, paired, "paired"), object)[rows]]
    names = [str(donors["donor"].iloc[i]) for i in rows]
    if paired == "donor":
        return names
    shared = _shared(donors, rows, treated)
    if not shared.any():
        return None
    pairs = int((shared & treated).sum())
    own = min(int((~shared & treated).sum()), int((~shared & ~treated).sum()))
    if pairs < MIN_DONORS <= own:
        notes.append(
            f"donors in both arms, too few to pair by, left out: {_names(donors, rows[shared])}"
        )
        return None
    notes.append(f"{pairs} donors stand in both arms: paired by donor")
    return names


def _text(value: object) -> str:
    return "" if _is_missing(value) else str(value)


def _coded(values: Sequence[object]) -> FloatArray:
    """Columns of one factor: a centred number, or 0/1 for each category but the first."""
    if all(isinstance(x, int | float | np.number) and not isinstance(x, bool) for x in values):
        numbers = np.array(values, dtype=np.float64).reshape(-1, 1)
        return numbers - numbers.mean(axis=0) if len(numbers) else numbers
    texts = np.array([str(x) for x in values], dtype=object)
    levels = sorted(set(texts.tolist()))
    return np.column_stack(
        [np.zeros((len(texts), 0)), *((texts == x).astype(np.float64) for x in levels[1:])]
    )


def _drop_constant(columns: dict[str, FloatArray], notes: list[str]) -> None:
    for name in [n for n, c in columns.items() if c.size == 0 or not np.ptp(c, axis=0).any()]:
        del columns[name]
        notes.append(f"{name} does not vary and is not adjusted for")


def _paired(
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
        notes.append(f"{alone} rows without a partner are left out")
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
        _refuse_aliased(design, differences)
    return design


def _refuse_aliased(design: Design, columns: dict[str, FloatArray]) -> None:
    """Say which column determines the condition, if one does."""
    if not is_aliased(design.regressor, design.nuisance):
        return
    constant = design.nuisance[:, :0] if design.paired else np.ones((len(design.regressor), 1))
    if is_aliased(design.regressor, constant):
        return
    alone = [
        n for n, c in columns.items() if is_aliased(design.regressor, np.hstack([constant, c]))
    ]
    if alone:
        what = " and ".join(map(repr, alone))
        how = "determines" if len(alone) == 1 else "each determine"
    else:
        what, how = " and ".join(map(repr, columns)), "together determine"
    raise DesignError(
        f"{what} {how} the condition: no donors differ in condition ({design.group!r} against "
        f"{design.reference!r}) at the same value, so that their effects cannot be told apart. "
        "Leave the column out of covariates= and block= (the effect is then confounded with it), "
        "leave the group out by contrasts=, or add donors that break the tie."
    )


def status_of(n_group: int, n_reference: int, *, paired: bool) -> tuple[str, str]:
    """Whether a comparison of this size gets p-values, and why not."""
    least = min(n_group, n_reference)
    unit = "pairs" if paired else "donors an arm"
    if least == 0:
        return "not_measurable", ""
    if least < MIN_DONORS:
        return "too_few_donors", f"fewer than {MIN_DONORS} {unit}: no p-value"
    if least < MIN_SIGNIFICANCE:
        return "no_significance", f"fewer than {MIN_SIGNIFICANCE} {unit}: effect and interval only"
    return "ok", ""
