"""The tests of one comparison: t, permutation, and what stands beside them for concordance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats import wilcoxon
from scifn._stats._counts import COORDINATES, held, held_balances, two_parts, unseen
from scifn._stats._design import Design, status_of
from scifn._stats.betabinomial import likelihood_ratio
from scifn._stats.effects import cliffs_delta
from scifn._stats.joint import Joint, attainable_jointly, hotelling, permute_joint
from scifn._stats.ols import Fit, basis, fit, is_aliased, leftover
from scifn._stats.permutation import attainable, permute
from scifn._stats.quasibinomial import f_test

FloatArray = NDArray[np.float64]

#: p below which a difference is commonly claimed.
LEVEL = 0.05
#: Status of a log ratio of cells that hardly any donor has.
TOO_FEW_CELLS = "too_few_cells"


@dataclass(frozen=True)
class Tested:
    """What came out for some readouts of the same donors; arrays are (n_readouts,)."""

    status: str
    note: str
    attainable: float = float("nan")
    fit: Fit | None = None
    p_permutation: FloatArray | None = None
    concordance: tuple[str, ...] = ()
    #: Why the counts of a readout say nothing, "" where they do.
    unseen: tuple[str, ...] = ()


@dataclass(frozen=True)
class TestedJointly:
    """The same for the two coordinates of the balance as one."""

    status: str
    note: str
    attainable: float = float("nan")
    joint: Joint | None = None
    p_permutation: float = float("nan")
    concordance: str = ""


def run_tests(
    donors: pd.DataFrame,
    part: Design,
    names: list[str],
    y: FloatArray,
    n_permutations: int,
    key: list[int],
) -> Tested:
    """Fit and permute readouts ``y`` (n, n_readouts) of the same donors.

    No p-value where the design is too small for one.
    """
    status, note, least = _measurable(part, n_permutations)
    if status in ("not_measurable", "aliased"):
        return Tested(status, note, least)
    fitted = fit(y, part.regressor, part.nuisance)
    few = tuple(unseen(donors, part, name) for name in names)
    if status == "ok" and fitted.df < 1:
        status, note = "no_residual_df", "as many coefficients as donors: no p-value"
    if status != "ok":
        return Tested(status, note, least, fitted, unseen=few)
    values = [held(donors, part, name, y[:, j]) for j, name in enumerate(names)]
    p = permute(
        np.column_stack(values),
        part.layout,
        n_permutations=n_permutations,
        rng=np.random.default_rng(key),
    ).p_value
    said = _concordance(donors, part, names, y, fitted, p)
    return Tested("ok", _out_of_reach(least), least, fitted, p, said, few)


def run_joint(
    donors: pd.DataFrame, part: Design, y: FloatArray, n_permutations: int, key: list[int]
) -> TestedJointly:
    """Test the two coordinates of the balance, ``y`` (n, 2), as one."""
    status, note, least = _measurable(part, n_permutations)
    if status != "not_measurable":
        least = attainable_jointly(part.layout, n_permutations)
    if status != "ok":
        return TestedJointly(status, note, least)
    few = unseen(donors, part, k.JOINT)
    if few:
        return TestedJointly(TOO_FEW_CELLS, few, least)
    joint = hotelling(y, part.regressor, part.nuisance)
    if joint.df < 1:
        why = "as many coefficients as donors: no p-value"
        return TestedJointly("no_residual_df", why, least)
    values = held_balances(donors, part)
    p = permute_joint(
        y if values is None else values,
        part.layout,
        n_permutations=n_permutations,
        rng=np.random.default_rng(key),
    )
    if np.isnan(joint.p_value) or np.isnan(p):
        why = f"{' and '.join(COORDINATES)} do not vary apart: no p-value"
        return TestedJointly("constant", why, least)
    said = wilcoxon.concordance(0.0, {"F": joint.p_value, "permutation": p}, 0.0)
    why = f"Hotelling's F with {y.shape[1]} and {joint.df} degrees of freedom; directions are those"
    note = "; ".join(
        x for x in (f"{why} of {' and '.join(COORDINATES)}", _out_of_reach(least)) if x
    )
    return TestedJointly("ok", note, least, joint, p, said)


def _out_of_reach(least: float) -> str:
    """What a design of few arrangements cannot give, in words; "" if it can."""
    return (
        f"no p below {least:.3g} can come of this design by permutation" if least >= LEVEL else ""
    )


def _measurable(part: Design, n_permutations: int) -> tuple[str, str, float]:
    """Status by the number of donors, and the smallest p that they could give."""
    status, note = status_of(*part.arms(), paired=part.paired)
    if status == "not_measurable":
        return status, note, float("nan")
    n = part.layout.count()
    if is_aliased(part.regressor, part.nuisance):
        status = "aliased"
        note = "a covariate or block determines the condition among donors with this readout"
    return status, note, attainable(n, n_permutations)


def _concordance(
    donors: pd.DataFrame,
    part: Design,
    names: list[str],
    y: FloatArray,
    fitted: Fit,
    p: FloatArray,
) -> tuple[str, ...]:
    """All tests of each readout side by side (ranks of what covariates leave)."""
    adjusted = part.nuisance.shape[1] > (0 if part.paired else 1)
    left = leftover(y, basis(part.nuisance)) if adjusted else y
    counts = _of_counts(donors, part, names)
    said = []
    for j in range(y.shape[1]):
        if part.paired:
            rank_p, direction = wilcoxon.pairs(left[:, j]), float(np.sign(left[:, j]).mean())
        else:
            group, reference = left[part.regressor == 1, j], left[part.regressor == 0, j]
            rank_p = wilcoxon.two_groups(group, reference)
            direction = cliffs_delta(group, reference)
        tests = {"t": float(fitted.p_value[j]), "permutation": float(p[j]), "Wilcoxon": rank_p}
        said.append(wilcoxon.concordance(float(fitted.effect[j]), tests | counts[j], direction))
    return tuple(said)


def _of_counts(donors: pd.DataFrame, part: Design, names: list[str]) -> list[dict[str, float]]:
    """p of the models of counts, for each readout that is a log ratio of two.

    Pairs enter the quasi-binomial model as a factor; the beta-binomial has no use for one.
    """
    parts = [two_parts(donors, name) for name in names]
    # by what was counted: two readouts can be ratios of the same counts
    have = {counts.tobytes(): counts for counts in parts if counts is not None}
    found: dict[bytes, dict[str, float]] = {which: {} for which in have}
    if part.paired:
        rows, regressor, nuisance = _stacked(part)
    else:
        rows, regressor, nuisance = part.rows, part.regressor, part.nuisance
    nuisance = basis(nuisance)
    for which, counts in have.items():
        a, total = counts[rows, 0], counts[rows].sum(axis=1)
        found[which]["quasi-binomial"] = f_test(a, total, regressor, nuisance)
    if have and not part.paired:
        stacked = np.array([counts[rows] for counts in have.values()])
        p = likelihood_ratio(stacked[..., 0], stacked.sum(axis=-1), regressor, nuisance)
        for which, value in zip(have, p, strict=True):
            found[which]["beta-binomial"] = float(value)
    known = {w: {name: x for name, x in one.items() if np.isfinite(x)} for w, one in found.items()}
    return [{} if counts is None else known[counts.tobytes()] for counts in parts]


def _stacked(part: Design) -> tuple[NDArray[np.int64], FloatArray, FloatArray]:
    """Pairs as rows of both arms: rows, regressor, and a column a pair beside the covariates."""
    n = len(part.rows)
    covariates = np.vstack([part.nuisance / 2, -part.nuisance / 2])
    pairs = np.vstack([np.eye(n), np.eye(n)])
    regressor = np.repeat([1.0, 0.0], n)
    return part.rows.T.ravel(), regressor, np.hstack([pairs, covariates])
