"""Power of p_permutation beside the t-test of the raw log ratio, on the same cohorts.

The difference of two powers is given with its standard error over pairs (as McNemar's), for both
tests see the same cohorts. None of these draws was used to choose a rule or a constant.

Beside them stands the best that can be done: by the lemma of Neyman and Pearson no test that is
exact whenever donors can be exchanged, and that looks at pDC and all other cells only, finds more
than the permutation of the log-likelihood ratio of the two true distributions, which no one knows.
"""

from __future__ import annotations

import donors_simulated as simulated
import numpy as np
from _shared import Sheet
from donors_simulated import COHORTS, by_cohort, draw, rate, tables

from scifn._stats.shrinkage import RATIO, shrunken

#: Cohorts by donors an arm: the gain at six is small, and needs most of them to be seen.
MANY, SEED = {6: 20_000, 8: 4000, 10: 4000, 20: 4000}, 9000
#: Readout -> place of its second part; None: all other cells.
READOUTS: dict[str, int | None] = {"logit_pdc": None, "lr_pdc_breg": 1}
FIRST = next(iter(READOUTS))
#: Power of the logit t-test and of propeller in R on the task's own 1,000 draws; propeller's level.
TOLD = {6: (0.354, 0.413, 0.058), 10: (0.552, 0.585, 0.079), 20: (0.883, 0.887, 0.059)}
#: Cells a donor in the group and in the reference, and arms, without any difference.
UNLIKE = {
    (8, 8): ((5000, 5000), (2500, 7500)),
    (8, 24): ((5000, 5000), (2500, 7500), (7500, 2500)),
}


def power(sheet: Sheet) -> None:
    """A halved pDC fraction: ours on many cohorts, then all other tests on fewer."""
    for n, (t_told, r_told, r_level) in TOLD.items():
        told = f"told beforehand: logit t-test {t_told}, propeller in R {r_told} (level {r_level})"
        against_t(sheet, (n, n), f"Halved pDC fraction, {n} an arm", told, seed=SEED + n)
        _others(sheet, (n, n))


def unequal(sheet: Sheet) -> None:
    """Donors with few and with many cells in one cohort, and arms that were measured unalike."""
    for n in (10, 20):
        what = f"Halved pDC fraction, {n} an arm, cells a donor of log SD 0.8 (600 at least)"
        told = "a donor with few cells counts for less"
        against_t(sheet, (n, n), what, told, seed=SEED + 7 + n, spread=0.8)
    sheet.start(
        f"No difference, {MANY[8]:,} cohorts: share with p < 0.05 by p_value, by p_permutation",
        f"cells a donor of log SD 0.5; two standard errors are {_error(MANY[8]):.3f}",
    )
    for arms, depths in UNLIKE.items():
        for i, cells in enumerate(depths):
            counts = draw(arms, seed=SEED + 50 + i, cohorts=MANY[8], cells=cells, spread=0.5)
            for name in READOUTS:
                t, p = _both(counts, name, arms)
                words = f"{arms[0]} v {arms[1]} donors, {cells[0]:,} v {cells[1]:,} cells: {name}"
                met = max(rate(t), rate(p)) <= 0.065
                sheet.row(words, f"{rate(t):.4f} {rate(p):.4f}", "<= 0.065", met)


def against_t(
    sheet: Sheet, arms: tuple[int, int], what: str, note: str, *, seed: int, spread: float = 0.0
) -> None:
    """Power and level of p_permutation and of the t, and the difference with its error."""
    cohorts = MANY[arms[0]]
    sheet.start(f"{what}, {cohorts:,} cohorts: share with p < 0.05", note)
    halved, same = (
        draw(arms, fold=f, seed=seed + i, spread=spread, cohorts=cohorts)
        for i, f in enumerate((0.5, 1.0))
    )
    for name in READOUTS:
        t, p = _both(halved, name, arms)
        t0, p0 = _both(same, name, arms)
        sheet.row(f"{name}: t-test, p_value (level {rate(t0):.4f})", rate(t))
        sheet.row(f"{name}: p_permutation (level {rate(p0):.4f})", rate(p))
        more, error = difference(p, t)
        met = (
            bool(more > 2 * error and rate(p0) <= 0.05 + _error(cohorts)) if name == FIRST else None
        )
        target = "above 0 by two errors, level held" if met is not None else ""
        sheet.row(f"{name}: p_permutation less t", f"{more:+.4f} ± {error:.4f}", target, met)
    t, _ = _both(halved, FIRST, arms)
    best = simulated.permutation(_likelihood_ratio(halved, arms), arms)
    more, error = difference(best, t)
    sheet.row("the most that an exact test of these counts can find", rate(best))
    sheet.row("the same, less t", f"{more:+.4f} ± {error:.4f}")
    found, held = (
        simulated.t_test(_held(_parts(counts, FIRST), arms), arms) for counts in (halved, same)
    )
    more, error = difference(found, t)
    sheet.row(f"t-test of the held values, not exact (level {rate(held):.4f})", rate(found))
    sheet.row("the same, less t", f"{more:+.4f} ± {error:.4f}")


def difference(p: np.ndarray, q: np.ndarray) -> tuple[float, float]:
    """How much oftener p is below 0.05 than q in the same cohorts, and its standard error."""
    gained = (p < 0.05).astype(float) - (q < 0.05)
    return float(gained.mean()), float(gained.std(ddof=1) / np.sqrt(len(gained)))


def _error(cohorts: int) -> float:
    """Two standard errors of a rate of 0.05."""
    return float(2 * np.sqrt(0.05 * 0.95 / cohorts))


def _parts(counts: np.ndarray, name: str) -> np.ndarray:
    """Both counts of a log ratio, as in the donor table: (cohorts, donors, 2)."""
    at = READOUTS[name]
    pdc = counts[..., 0]
    other = counts.sum(axis=-1) - pdc if at is None else counts[..., at]
    return np.stack([pdc, other], axis=-1)


def _held(parts: np.ndarray, arms: tuple[int, int]) -> np.ndarray:
    """What is permuted, (cohorts, donors)."""
    return shrunken(parts, RATIO, np.ones((sum(arms), 1)))[..., 0]


def _both(counts: np.ndarray, name: str, arms: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """p_value and p_permutation of every cohort."""
    parts = _parts(counts, name)
    y = np.log((parts[..., 0] + 0.5) / (parts[..., 1] + 0.5))
    return simulated.t_test(y, arms), simulated.permutation(_held(parts, arms), arms)


def _likelihood_ratio(counts: np.ndarray, arms: tuple[int, int]) -> np.ndarray:
    """Log-likelihood ratio of each donor's pDC between the true distributions of both arms."""
    x, total = counts[..., 0], counts.sum(axis=-1)
    rng = np.random.default_rng(0)
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    found = []
    for fold in (0.5, 1.0):
        share = simulated.SHARE * np.r_[fold, np.ones(6)]
        share = share * np.exp(simulated.LOG_SD * rng.normal(size=(200_000, 7)))
        logit = np.log(share[:, 0] / share[:, 1:].sum(axis=1))
        theta = logit.mean() + logit.std() * nodes
        each = x[..., None] * theta - total[..., None] * np.logaddexp(0, theta)
        most = each.max(axis=-1, keepdims=True)
        found.append(most[..., 0] + np.log((weights * np.exp(each - most)).sum(axis=-1)))
    return np.asarray(found[0] - found[1])


def _others(sheet: Sheet, arms: tuple[int, int]) -> None:
    """All other tests, on fewer cohorts; the t of the same beside."""
    n = arms[0]
    sheet.start(f"Halved pDC fraction, {n} an arm, other tests in {COHORTS:,} cohorts")
    halved, same = (draw(arms, fold=f, seed=100 + n) for f in (0.5, 1.0))
    found, level = ({"t-test": _t(c, arms)} | simulated.others(c, arms) for c in (halved, same))
    for what, p in found.items():
        sheet.row(f"{what} (level {rate(level[what]):.3f})", rate(p))
    found, level = (simulated.moderations(c, tables(c), arms) for c in (halved, same))
    for what, p in found.items():
        sheet.row(f"moderated t, {what} (level {rate(level[what]):.3f})", rate(p))


def _t(counts: np.ndarray, arms: tuple[int, int]) -> np.ndarray:
    return simulated.t_test(by_cohort(tables(counts)["logit_pdc"].to_numpy(), arms)[..., 0], arms)
