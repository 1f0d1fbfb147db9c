"""Differences between groups of donors, a row a readout and contrast."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._errors import ArgumentError, DesignError
from scifn._stats._build import build
from scifn._stats._counts import COORDINATES
from scifn._stats._design import Design
from scifn._stats._rows import COUNTS, NUMBERS, Row, join, joint_row, row_of
from scifn._stats._tested import run_joint, run_tests
from scifn._stats._words import counted
from scifn._stats.adjust import by_family, closed
from scifn._stats.uneven import uneven

FloatArray = NDArray[np.float64]

#: sqrt(1/2) times the log ratio of the same two counts.
_TWIN, _TWIN_OF = "ilr_2", "lr_breg_effector"
#: What the joint test contains and nothing else of the table is equal to.
_MARGIN = COORDINATES[0]


def imbalance(
    donors: pd.DataFrame,
    *,
    reference: str,
    contrasts: str | Sequence[str] | None = None,
    covariates: str | Sequence[str] = (),
    block: str | None = None,
    paired: str | None = None,
    n_permutations: int = 10_000,
    rng: int | np.random.Generator = 0,
    depth: FloatArray | None = None,
) -> pd.DataFrame:
    """Compare groups of donors with a reference.

    Parameters
    ----------
    donors
        Donor table with one row a donor x condition.
    reference
        The condition that the others are held against.
    contrasts
        Conditions to compare with the reference; None for all others.
    covariates, block, paired
        Columns of the table: adjusted for; within which labels are exchanged; which pairs rows.
    n_permutations
        Random permutations where there are more than 20,000 arrangements.
    rng
        Seed or generator. A row's p-value does not depend on the other rows.
    depth
        UMI a cell of each row of the table, where known, (n_rows,).

    Returns
    -------
    Columns ``_keys.IMBALANCE_COLUMNS``, a row a readout, and one of both balances together.
    ``status`` is ``ok``; ``no_significance`` (three donors in
    the smaller arm, or three pairs: effect and interval, no p-value); ``too_few_donors`` (fewer);
    ``too_few_cells`` (fewer than four donors have a cell of one kind of a log ratio: no effect, for
    it would follow the number of cells counted);
    ``constant`` (the readout does not vary); ``no_residual_df`` (as many coefficients as donors);
    ``aliased`` (a covariate determines the condition among the donors that have the readout);
    ``not_measurable`` (an arm has no donor with the readout).

    Raises
    ------
    DesignError
        Unknown conditions, nothing to compare, several rows a donor and condition, or a covariate
        that determines the condition.
    """
    reference = str(reference)
    names = _contrasts(donors, reference, contrasts)
    if n_permutations < 1 or int(n_permutations) != n_permutations:
        raise ArgumentError(
            f"n_permutations={n_permutations}: a whole number, at least 1, is needed."
        )
    if isinstance(rng, int) and rng < 0:
        raise ArgumentError(f"rng={rng}: a seed is 0 or more.")
    wanted = [covariates] if isinstance(covariates, str) else list(covariates)
    readouts = [
        c
        for c in donors.columns
        if c in k.READOUTS or (c.startswith("response_type1:") and not c.endswith("_se"))
    ]
    seed = int(np.random.default_rng(rng).integers(2**32)) if not isinstance(rng, int) else rng
    table: list[Row] = []
    for name in names:
        design = build(
            donors, group=name, reference=reference, covariates=wanted, block=block, paired=paired
        )
        key = [seed, zlib.crc32(f"{name}\x00{reference}".encode())]
        rows = _contrast(donors, design, readouts, n_permutations, key)
        said = [uneven(donors, design, depth)]
        if len(names) > 1:
            said.append(f"{reference} is shared by {len(names)} contrasts")
        for row in rows:
            row["note"] = join(row["note"], *said)
        table += rows
    out = pd.DataFrame(table, columns=list(k.IMBALANCE_COLUMNS))
    p = out["p_permutation"].to_numpy(dtype=np.float64)
    # one comparison, one adjusted p: ilr_2 is a multiple of a readout of the primary family
    p = np.where(out["readout"] == _TWIN, np.nan, p)
    adjusted = by_family(p, list(out["family"]))
    out["p_adj"] = closed(adjusted, list(out["readout"]), list(out["group"]), _MARGIN, k.JOINT)
    types = dict.fromkeys(NUMBERS, np.float64) | dict.fromkeys(COUNTS, np.int64)
    return out.astype(types)


def _contrasts(
    donors: pd.DataFrame, reference: str, contrasts: str | Sequence[str] | None
) -> list[str]:
    """Names of the groups to compare, checked."""
    lost = [c for c in ("donor", "condition") if c not in donors.columns]
    if lost or donors.duplicated(["donor", "condition"]).any():
        raise DesignError(
            "The donor is the unit of these tests: a table with one row a donor and condition is "
            f"needed, {'without column ' + ', '.join(lost) if lost else 'some have several rows'}."
        )
    found = list(dict.fromkeys(str(c) for c in donors["condition"]))
    if reference not in found:
        raise DesignError(
            f"reference={reference!r} is no condition of the donor table. "
            f"It has: {', '.join(map(repr, found))}."
        )
    given = [contrasts] if isinstance(contrasts, str) else contrasts
    names = [c for c in found if c != reference] if given is None else [str(c) for c in given]
    names = list(dict.fromkeys(names))
    wrong = [c for c in names if c not in found or c == reference]
    if wrong:
        raise DesignError(
            f"contrasts: {', '.join(map(repr, wrong))} cannot be held against {reference!r}. "
            f"Conditions found: {', '.join(map(repr, found))}."
        )
    if not names:
        raise DesignError(
            f"All donors have the condition {reference!r}: there is nothing to compare it with."
        )
    return names


def _contrast(
    donors: pd.DataFrame, design: Design, readouts: list[str], n_permutations: int, key: list[int]
) -> list[Row]:
    """Rows of one contrast; readouts that the same donors have are permuted together."""
    values = donors[readouts].to_numpy(dtype=np.float64)
    y = _sides(values, design)
    patterns: dict[bytes, list[int]] = {}
    for j, column in enumerate(np.isfinite(y).T):
        patterns.setdefault(column.tobytes(), []).append(j)
    rows: dict[str, Row] = {}
    for same in patterns.values():
        keep: NDArray[np.bool_] = np.isfinite(y[:, same[0]])
        part = design.take(keep)
        names = [readouts[j] for j in same]
        test = run_tests(donors, part, names, y[keep][:, same], n_permutations, key)
        for i, name in enumerate(names):
            row = row_of(name, part, *_arms(values[:, same[i]], part), test, i)
            row["note"] = join(row["note"], _lost(keep, design))
            if name == _TWIN:
                row["note"] = join(row["note"], f"the comparison of {_TWIN_OF}, adjusted there")
            rows[name] = row
    ordered = [rows[name] for name in readouts]
    if set(COORDINATES) <= set(readouts):
        both = y[:, [readouts.index(name) for name in COORDINATES]]
        keep = np.asarray(np.isfinite(both).all(axis=1))
        part = design.take(keep)
        row = joint_row(part, run_joint(donors, part, both[keep], n_permutations, key))
        row["note"] = join(row["note"], _lost(keep, design))
        ordered.insert(readouts.index(COORDINATES[1]) + 1, row)
    return ordered


def _sides(values: FloatArray, design: Design) -> FloatArray:
    """Readouts of the rows of a design, or the differences of its pairs."""
    if design.paired:
        return values[design.rows[:, 0]] - values[design.rows[:, 1]]
    return values[design.rows]


def _arms(values: FloatArray, part: Design) -> tuple[FloatArray, FloatArray]:
    """A readout in the group and in the reference."""
    if part.paired:
        return values[part.rows[:, 0]], values[part.rows[:, 1]]
    group = part.regressor == 1
    return values[part.rows[group]], values[part.rows[~group]]


def _lost(keep: NDArray[np.bool_], design: Design) -> str:
    """How many donors lack a readout."""
    lost = int((~keep).sum())
    if not lost:
        return ""
    many = counted(lost, "pair" if design.paired else "donor")
    return f"{many} without this readout (the donor table says why)"
