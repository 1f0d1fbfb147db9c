"""Interval of Cliff's delta, and donors who stand in both arms, on simulated cohorts.

The interval is held against the percentiles of a bootstrap over donors; few donors in both arms
are compared as scifn does it (each once) and as pairs, on the same cohorts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _shared import Sheet
from donors_simulated import rate
from scipy import stats

from scifn._stats._build import build
from scifn._stats.effects import cliffs_delta, cliffs_interval
from scifn._stats.permutation import permute

COHORTS, RESAMPLES = 1000, 500
#: Donors an arm; shift of the group in SD of the reference, and SD of the group.
SIZES = ((4, 4), (8, 8), (8, 24), (20, 20))
SHIFTS = ((0.0, 1.0), (1.0, 1.0), (3.0, 1.0), (1.0, 2.0))
#: Donors an arm and in both; correlation of the two rows of one of the latter.
ARM, BOTH, ALIKE = 24, 4, 0.7


def checks(sheet: Sheet) -> None:
    """Both parts."""
    delta(sheet)
    shared(sheet)


def delta(sheet: Sheet) -> None:
    """Coverage of the 95 % interval."""
    sheet.start(
        f"Cliff's delta: share of {COHORTS:,} cohorts whose 95 % interval holds it",
        "Newcombe's, as in the table; percentiles of a bootstrap over donors beside it",
    )
    for arms in SIZES:
        rng = np.random.default_rng(arms)
        for shift, sd in SHIFTS:
            truth = 2 * stats.norm.cdf(shift / np.hypot(1, sd)) - 1
            ours, theirs = [], []
            for _ in range(COHORTS):
                a, b = rng.normal(shift, sd, arms[0]), rng.normal(size=arms[1])
                for found, (low, high) in (
                    (ours, cliffs_interval(a, b)), (theirs, _bootstrap(a, b, rng)),
                ):  # fmt: skip
                    found.append(low <= truth <= high)
            held = float(np.mean(ours))
            words = f"{arms[0]} v {arms[1]}, delta {truth:.2f}, SD {sd:g} v 1"
            met = held >= 0.93 if sd == 1 else None
            sheet.row(f"{words}: Newcombe", held, "" if met is None else ">= 0.93", met)
            sheet.row(f"{words}: bootstrap", float(np.mean(theirs)))


def _bootstrap(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    i, j = (rng.integers(0, len(x), (RESAMPLES, len(x))) for x in (a, b))
    first, second = a[i][:, :, None], b[j][:, None, :]
    low, high = np.percentile(np.sign(first - second).mean(axis=(1, 2)), [2.5, 97.5])
    assert np.isclose(np.sign(a[:, None] - b).mean(), cliffs_delta(a, b))
    return float(low), float(high)


def shared(sheet: Sheet) -> None:
    """Few donors in both arms: each once, or pairs and nobody else."""
    cohorts = 20 * COHORTS
    sheet.start(
        f"{BOTH} donors in both arms of {ARM}, {cohorts:,} cohorts: share with p < 0.05",
        f"permutation of a normal readout; rows of one donor correlate at {ALIKE}",
    )
    names = [f"A{i}" for i in range(ARM)]
    names += names[:BOTH] + [f"B{i}" for i in range(ARM - BOTH)]
    donors = pd.DataFrame({"donor": names, "condition": np.repeat(["case", "control"], ARM)})
    for shift in (0.0, 0.8):
        rng = np.random.default_rng(3)
        y = rng.normal(size=(2 * ARM, cohorts))
        second = slice(ARM, ARM + BOTH)
        y[second] = ALIKE * y[:BOTH] + np.sqrt(1 - ALIKE**2) * y[second]
        y[:ARM] += shift
        once = _p(donors, y, None)
        pairs = _p(donors, y, "donor")
        level = rate(once)
        held = level <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / cohorts) if shift == 0 else None
        what = f"{shift:g} SD apart" if shift else "no difference"
        sheet.row(f"{what}: each donor once", level, "<= 0.053" if shift == 0 else "", held)
        sheet.row(f"{what}: {BOTH} pairs", rate(pairs))


def _p(donors: pd.DataFrame, y: np.ndarray, paired: str | None) -> np.ndarray:
    """p_permutation of every column of ``y`` (rows, cohorts)."""
    design = build(donors, group="case", reference="control", paired=paired)
    rows = design.rows
    values = y[rows[:, 0]] - y[rows[:, 1]] if design.paired else y[rows]
    rng = np.random.default_rng(0)
    return permute(values, design.layout, n_permutations=2000, rng=rng).p_value
