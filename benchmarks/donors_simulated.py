"""Level of the tests of donors on simulated cohorts, beside the tests that others use.

Seven cell types with a lognormal share a donor, 5,000 cells counted: pDC, Breg-like, naive and
memory B cells, effector B cells, T/NK cells, monocytes. Every test sees the same cohorts.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from _shared import Sheet
from scipy import stats

from scifn import _donors
from scifn import _keys as k
from scifn._stats._counts import PARTS, two_parts
from scifn._stats._layout import Layout
from scifn._stats.betabinomial import likelihood_ratio
from scifn._stats.joint import permute_joint
from scifn._stats.moderation import squeeze_variances
from scifn._stats.ols import fit
from scifn._stats.permutation import permute
from scifn._stats.quasibinomial import f_test
from scifn._stats.shrinkage import BALANCES, RATIO, shrunken

SHARE = np.array([0.003, 0.006, 0.05, 0.03, 0.002, 0.7, 0.2])
LOG_SD = np.array([0.6, 0.6, 0.3, 0.3, 1.0, 0.1, 0.2])
CELLS, COHORTS = 5000, 1000
#: Two standard errors of a rate of 0.05 in as many cohorts.
ERROR = 2 * np.sqrt(0.05 * 0.95 / COHORTS)
TESTS = ("permutation of the raw logit", "Wilcoxon", "quasi-binomial", "beta-binomial")

Rates = dict[str, np.ndarray]


# --- cohorts --------------------------------------------------------------------
def draw(
    arms: tuple[int, int], *, fold: float = 1.0, seed: int, spread: float = 0.0,
    cohorts: int = COHORTS, cells: tuple[int, int] = (CELLS, CELLS),
) -> np.ndarray:  # fmt: skip
    """Counts, (cohorts, donors, 7); the group stands first.

    ``spread``: log SD of cells a donor; ``cells``: their mean in each arm.
    """
    rng = np.random.default_rng(seed)
    n = sum(arms)
    share = np.tile(SHARE, (cohorts, n, 1))
    share[:, : arms[0], 0] *= fold
    share *= np.exp(LOG_SD * rng.normal(size=share.shape))
    mean = np.repeat(np.array(cells, dtype=float), arms)
    found = mean * np.exp(spread * rng.normal(size=(cohorts, n)) - spread**2 / 2)
    found = np.maximum(np.round(found), 600).astype(np.int64)
    return rng.multinomial(found, share / share.sum(axis=-1, keepdims=True)).astype(float)


def tables(counts: np.ndarray) -> pd.DataFrame:
    """The donor table of all cohorts, one after another, with its readouts."""
    flat = counts.reshape(-1, 7)
    table = pd.DataFrame({
        "n_cells": flat.sum(axis=1), "n_total": flat.sum(axis=1), "n_pdc": flat[:, 0],
        "n_asdc": 0.0, "n_b": flat[:, 1:4].sum(axis=1), "n_breg_like": flat[:, 1],
        "n_plasmablast": flat[:, 4], "n_plasma": 0.0, "n_b_atypical": 0.0,
        "n_b_effector": flat[:, 4],
    })  # fmt: skip
    return table.assign(**_donors.readouts(table)[0])


def design(arms: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat([1.0, 0.0], arms), np.ones((sum(arms), 1))


def by_cohort(values: np.ndarray, arms: tuple[int, int]) -> np.ndarray:
    """Values of all donors, (donors,) or (donors, values), as (cohorts, donors, values)."""
    flat = np.asarray(values, dtype=float)
    return flat.reshape(-1, sum(arms), 1 if flat.ndim == 1 else flat.shape[1])


# --- tests: p of every cohort -----------------------------------------------------
def t_test(y: np.ndarray, arms: tuple[int, int]) -> np.ndarray:
    """``p_value``: the ordinary t of (cohorts, donors)."""
    return fit(y.T, *design(arms)).p_value


def permutation(values: np.ndarray, arms: tuple[int, int]) -> np.ndarray:
    """``p_permutation``, all cohorts under the same arrangements."""
    rng = np.random.default_rng(0)
    return permute(values.T, Layout.of(*design(arms)), n_permutations=10_000, rng=rng).p_value


def held(table: pd.DataFrame, readout: str, arms: tuple[int, int]) -> np.ndarray:
    """What is permuted, (cohorts, donors)."""
    z = np.ones((sum(arms), 1))
    if readout == "ilr_1":
        return shrunken(by_cohort(table[list(PARTS)].to_numpy(), arms), BALANCES, z)[..., 0]
    return shrunken(by_cohort(two_parts(table, readout), arms), RATIO, z)[..., 0]


def jointly(table: pd.DataFrame, arms: tuple[int, int]) -> np.ndarray:
    """Permutation p of both balances together."""
    x, z = design(arms)
    values = shrunken(by_cohort(table[list(PARTS)].to_numpy(), arms), BALANCES, z)
    return np.array([
        permute_joint(one, Layout.of(x, z), n_permutations=2000, rng=np.random.default_rng(0))
        for one in values
    ])  # fmt: skip


def of_cells(counts: np.ndarray, arms: tuple[int, int]) -> np.ndarray:
    """Chi-square of pDC against the rest over cells: what must not be done."""
    pdc, total = counts[..., 0], counts.sum(axis=-1)
    a, b = pdc[:, : arms[0]].sum(axis=1), pdc[:, arms[0] :].sum(axis=1)
    m, n = total[:, : arms[0]].sum(axis=1), total[:, arms[0] :].sum(axis=1)
    return np.array([
        stats.chi2_contingency([[p, q], [r - p, s - q]], correction=False).pvalue
        for p, q, r, s in zip(a, b, m, n, strict=True)
    ])  # fmt: skip


def others(counts: np.ndarray, arms: tuple[int, int]) -> Rates:
    """Tests of pDC beside ours."""
    pdc, total = counts[..., 0], counts.sum(axis=-1)
    x, z = design(arms)
    logits = np.log((pdc + 0.5) / (total - pdc + 0.5))
    ranks = stats.mannwhitneyu(logits[:, x == 1], logits[:, x == 0], axis=1)
    quasi = [f_test(a, n, x, z) for a, n in zip(pdc, total, strict=True)]
    found = permutation(logits, arms), ranks.pvalue, quasi, likelihood_ratio(pdc, total, x, z)
    return {name: np.asarray(p) for name, p in zip(TESTS, found, strict=True)}


def moderations(counts: np.ndarray, table: pd.DataFrame, arms: tuple[int, int]) -> Rates:
    """Moderated t of logit_pdc with every prior that was tried; none of them is used."""
    total = counts.sum(axis=-1, keepdims=True)
    types = np.log((counts + 0.5) / (total - counts + 0.5))
    noise = np.sqrt((1 / (counts + 0.5) + 1 / (total - counts + 0.5)).mean(axis=1))
    readouts = by_cohort(table[list(k.READOUTS)].to_numpy(), arms)
    return {
        "prior over the six readouts": _moderated(readouts, arms)[:, 0],
        "prior over seven cell types": _moderated(types, arms)[:, 0],
        "the same, trend on the count SE": _moderated(types, arms, noise)[:, 0],
        "the same, trend on its logarithm": _moderated(types, arms, np.log(noise))[:, 0],
    }


def _moderated(
    y: np.ndarray, arms: tuple[int, int], covariate: np.ndarray | None = None
) -> np.ndarray:
    """p of the moderated t, (cohorts, values), of values (cohorts, donors, values)."""
    m = y.shape[-1]
    plain = fit(np.moveaxis(y, 1, 0).reshape(sum(arms), -1), *design(arms))
    variance = plain.variance.reshape(-1, m)
    squeezed = [
        squeeze_variances(row, plain.df, covariate=None if covariate is None else covariate[i])
        for i, row in enumerate(variance)
    ]
    after = np.array([one.variance for one in squeezed])
    df = np.minimum(plain.df + np.array([one.df_prior for one in squeezed]), plain.df * m)
    t = plain.statistic.reshape(-1, m) * np.sqrt(variance / after)
    return np.asarray(2 * stats.t.sf(np.abs(t), df))


# --- figures ----------------------------------------------------------------------
def null(sheet: Sheet) -> None:
    """Cohorts that differ in nothing."""
    for seed, arms in enumerate(((8, 8), (8, 24))):
        sheet.start(
            f"{COHORTS:,} cohorts without a difference, {arms[0]} v {arms[1]}: share with p < 0.05",
            f"pDC 0.3 %, {CELLS:,} cells a donor; two standard errors are {ERROR:.3f}",
        )
        counts = draw(arms, seed=seed)
        table = tables(counts)
        for name in k.READOUTS:
            y = by_cohort(table[name].to_numpy(), arms)[..., 0]
            level = rate(t_test(y, arms))
            sheet.row(f"{name}: p_value", level, "0.05 ± 0.015", abs(level - 0.05) <= 0.015)
        for name in k.READOUTS:
            _at_most(sheet, f"{name}: p_permutation", permutation(held(table, name, arms), arms))
        _at_most(sheet, f"{k.JOINT}: p_permutation", jointly(table, arms))
        for what, p in others(counts, arms).items():
            sheet.row(f"logit_pdc: {what}", rate(p))
        for what, p in moderations(counts, table, arms).items():
            sheet.row(f"logit_pdc: moderated t, {what}", rate(p))
        y = by_cohort(table[list(k.READOUTS)].to_numpy(), arms)
        what = "lr_breg_effector: moderated t, prior over the six readouts"
        sheet.row(what, rate(_moderated(y, arms)[:, 2]))
        sheet.row("pDC: chi-square over cells", rate(of_cells(counts, arms)), "0.44 to 0.49")


def _at_most(sheet: Sheet, what: str, p: np.ndarray) -> None:
    sheet.row(what, rate(p), f"<= {0.05 + ERROR:.3f}", rate(p) <= 0.05 + ERROR)


def rate(p: np.ndarray | list[float]) -> float:
    return float((np.asarray(p) < 0.05).mean())
