"""Differences between groups of donors, a row a readout and contrast."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._errors import ArgumentError, DesignError
from scifn._stats import wilcoxon
from scifn._stats._build import build
from scifn._stats._design import Design, status_of
from scifn._stats.adjust import by_family, family_of
from scifn._stats.effects import cliffs_delta, hedges_g
from scifn._stats.ols import Fit, basis, fit, is_aliased, leftover
from scifn._stats.permutation import attainable, count_arrangements, permute

FloatArray = NDArray[np.float64]
Row = dict[str, object]

#: sqrt(1/2) times the log ratio of the same two counts.
_TWIN, _TWIN_OF = "ilr_2", "lr_breg_effector"
_TEXTS = ("readout", "family", "group", "reference", "design", "concordance", "status", "note")
_COUNTS = ("n_group", "n_reference")
_NUMBERS = tuple(c for c in k.IMBALANCE_COLUMNS if c not in (*_TEXTS, *_COUNTS))
_FROM_FIT = ("effect", "ci_low", "ci_high", "statistic", "loo_low", "loo_high")


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

    Returns
    -------
    Columns ``_keys.IMBALANCE_COLUMNS``. ``status`` is ``ok``; ``no_significance`` (three donors in
    the smaller arm, or three pairs: effect and interval, no p-value); ``too_few_donors`` (fewer);
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
        if len(names) > 1:
            for row in rows:
                row["note"] = _join(row["note"], f"{reference} is shared by {len(names)} contrasts")
        table += rows
    out = pd.DataFrame(table, columns=list(k.IMBALANCE_COLUMNS))
    p = out["p_permutation"].to_numpy(dtype=np.float64)
    # one comparison, one adjusted p: ilr_2 is a multiple of a readout of the primary family
    p = np.where(out["readout"] == _TWIN, np.nan, p)
    out["p_adj"] = by_family(p, list(out["family"]))
    types = dict.fromkeys(_NUMBERS, np.float64) | dict.fromkeys(_COUNTS, np.int64)
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


@dataclass(frozen=True)
class _Test:
    """What came out for some readouts of the same donors; arrays are (n_readouts,)."""

    status: str
    note: str
    attainable: float = float("nan")
    fit: Fit | None = None
    p_permutation: FloatArray | None = None
    concordance: tuple[str, ...] = ()


def _contrast(
    donors: pd.DataFrame, design: Design, readouts: list[str], n_permutations: int, key: list[int]
) -> list[Row]:
    """Rows of one contrast; readouts that the same donors have are permuted together."""
    values = donors[readouts].to_numpy(dtype=np.float64)
    if design.paired:
        y = values[design.rows[:, 0]] - values[design.rows[:, 1]]
    else:
        y = values[design.rows]
    patterns: dict[bytes, list[int]] = {}
    for j, column in enumerate(np.isfinite(y).T):
        patterns.setdefault(column.tobytes(), []).append(j)
    rows: dict[int, Row] = {}
    for same in patterns.values():
        keep = np.isfinite(y[:, same[0]])
        part = design.take(keep)
        test = _test(part, y[np.ix_(keep, same)], n_permutations, key)
        for i, j in enumerate(same):
            row = _row(readouts[j], part, *_arms(values[:, j], part), test, i)
            lost = int((~keep).sum())
            if lost:
                unit = "pair" if design.paired else "donor"
                many = "" if lost == 1 else "s"
                why = f"{lost} {unit}{many} without this readout (the donor table says why)"
                row["note"] = _join(row["note"], why)
            if readouts[j] == _TWIN:
                row["note"] = _join(row["note"], f"the comparison of {_TWIN_OF}, adjusted there")
            rows[j] = row
    return [rows[j] for j in range(len(readouts))]


def _arms(values: FloatArray, part: Design) -> tuple[FloatArray, FloatArray]:
    """A readout in the group and in the reference."""
    if part.paired:
        return values[part.rows[:, 0]], values[part.rows[:, 1]]
    group = part.regressor == 1
    return values[part.rows[group]], values[part.rows[~group]]


def _test(part: Design, y: FloatArray, n_permutations: int, key: list[int]) -> _Test:
    """Fit and permute; no p-value where the design is too small for one."""
    status, note = status_of(*part.arms(), paired=part.paired)
    if status == "not_measurable":
        return _Test(status, note)
    n_arrangements = count_arrangements(
        part.regressor, part.nuisance, part.block, paired=part.paired
    )
    least = attainable(n_arrangements, n_permutations)
    if is_aliased(part.regressor, part.nuisance):
        why = "a covariate or block determines the condition among donors with this readout"
        return _Test("aliased", why, least)
    fitted = fit(y, part.regressor, part.nuisance)
    if status == "ok" and fitted.df < 1:
        status, note = "no_residual_df", "as many coefficients as donors: no p-value"
    if status != "ok":
        return _Test(status, note, least, fitted)
    p = permute(
        y,
        part.regressor,
        part.nuisance,
        part.block,
        paired=part.paired,
        n_permutations=n_permutations,
        rng=np.random.default_rng(key),
    ).p_value
    return _Test("ok", "", least, fitted, p, _concordance(part, y, fitted, p))


def _concordance(part: Design, y: FloatArray, fitted: Fit, p: FloatArray) -> tuple[str, ...]:
    """The t, the permutation and the rank test side by side (ranks of what covariates leave)."""
    adjusted = part.nuisance.shape[1] > (0 if part.paired else 1)
    left = leftover(y, basis(part.nuisance)) if adjusted else y
    said = []
    for j in range(y.shape[1]):
        if part.paired:
            rank_p, direction = wilcoxon.pairs(left[:, j]), float(np.sign(left[:, j]).mean())
        else:
            group, reference = left[part.regressor == 1, j], left[part.regressor == 0, j]
            rank_p = wilcoxon.two_groups(group, reference)
            direction = cliffs_delta(group, reference)
        tests = {"t": float(fitted.p_value[j]), "permutation": float(p[j]), "Wilcoxon": rank_p}
        said.append(wilcoxon.concordance(float(fitted.effect[j]), tests, direction))
    return tuple(said)


def _row(
    readout: str, part: Design, group: FloatArray, reference: FloatArray, test: _Test, j: int
) -> Row:
    """One row of the table; what has no value is NaN."""
    row: Row = dict.fromkeys(_NUMBERS, np.nan) | {
        "readout": readout,
        "family": family_of(readout),
        "group": part.group,
        "reference": part.reference,
        "design": part.text,
        "n_group": len(group),
        "n_reference": len(reference),
        "mean_group": float(group.mean()) if len(group) else np.nan,
        "mean_reference": float(reference.mean()) if len(reference) else np.nan,
        "p_attainable": test.attainable,
        "concordance": "",
        "status": test.status,
        "note": _join(*part.notes, test.note),
    }
    if test.fit is None:
        return row
    row |= {name: float(getattr(test.fit, name)[j]) for name in _FROM_FIT}
    row["df"] = float(test.fit.df)
    row["hedges_g"] = hedges_g(group, reference, paired=part.paired)
    row["cliffs_delta"] = cliffs_delta(group, reference, paired=part.paired)
    if readout in k.PRIMARY_FAMILY:
        row["odds_ratio"] = float(np.exp(test.fit.effect[j]))
    if test.fit.df > 0 and np.isnan(test.fit.se[j]):
        row["status"] = "constant"
        row["note"] = _join(row["note"], "the readout does not vary: no p-value")
    elif test.p_permutation is not None:
        row["p_value"] = float(test.fit.p_value[j])
        row["p_permutation"] = float(test.p_permutation[j])
        row["concordance"] = test.concordance[j]
    return row


def _join(*parts: object) -> str:
    return "; ".join(str(p) for p in parts if p)
