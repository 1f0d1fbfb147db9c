"""Print the figures of the statistics of donors, each beside its target.

Simulated cohorts have known truth; real ones are healthy donors split at random (a test must stay
quiet) and donors before and after stimulation. Reads ``$SCIFN_DATA`` or ``../shared/data``; needs
the extra ``scifn[test]``.

Run: ``python benchmarks/donors.py [--only PART ...] [--json FILE]``
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import donors_axis
import donors_effects
import donors_power
import donors_profiles
import donors_simulated as simulated
import donors_strata
import numpy as np
import pandas as pd
import statsmodels.api as sm
from _shared import DATA, Sheet
from scipy import optimize, special, stats

from scifn._stats._build import build
from scifn._stats._layout import Layout
from scifn._stats.adjust import benjamini_hochberg
from scifn._stats.betabinomial import fit_beta_binomial
from scifn._stats.moderation import moderated, squeeze_variances
from scifn._stats.ols import fit
from scifn._stats.permutation import permute
from scifn._stats.shrinkage import RATIO, shrunken

SPLITS = 500


def run(y: np.ndarray, x: np.ndarray, z: np.ndarray, block: np.ndarray | None = None,
        *, n_permutations: int = 10_000, seed: int = 0) -> np.ndarray:  # fmt: skip
    """p of each column of ``y``."""
    rng = np.random.default_rng(seed)
    return permute(y, Layout.of(x, z, block), n_permutations=n_permutations, rng=rng).p_value


# --- worked examples -------------------------------------------------------------
def worked(sheet: Sheet) -> None:
    sheet.start("Worked examples: largest difference from another implementation")
    limma = json.loads((DATA / "limma_reference.json").read_text())
    for name, options in {
        "squeeze": {}, "squeeze_unequal_df": {"df": limma["df_unequal"]},
        "squeeze_trend": {"covariate": limma["covariate"]}, "squeeze_robust": {"robust": True},
    }.items():  # fmt: skip
        found = squeeze_variances(limma["var"], **{"df": 14, **options})
        _close(sheet, f"limma: {name}, posterior variance", found.variance, limma[name]["var_post"])
    share, samples = _healthy()
    theirs = limma["healthy_age"]
    p = share[theirs["types"]].clip(1e-5, 1 - 1e-5).to_numpy()
    x = (samples.loc[share.index, "age"] == "young").to_numpy(dtype=float)
    plain = fit(special.logit(p), x, np.ones((20, 1)))
    t, df, p_value = moderated(plain, squeeze_variances(plain.variance, plain.df, robust=True))
    for what, values in {"t": t, "p": p_value, "df_total": df}.items():
        _close(sheet, f"limma: moderated t of 24 cell types, {what}", values, theirs[what])
    rng = np.random.default_rng(0)
    _close(sheet, "statsmodels: Freedman-Lane, all 216 orders, p", *_freedman_lane(rng))
    y = rng.normal(size=12)
    exact = stats.permutation_test(
        (y[:5], y[5:]), lambda a, b, axis: stats.ttest_ind(a, b, axis=axis).statistic,
        n_resamples=np.inf,
    )  # fmt: skip
    ours = run(y[:, None], np.repeat([1.0, 0.0], [5, 7]), np.ones((12, 1)))
    _close(sheet, "scipy: permutation of t, all 792 labels, p", ours, exact.pvalue)


def _close(sheet: Sheet, what: str, ours: object, theirs: object) -> None:
    gap = float(np.max(np.abs(np.asarray(ours, dtype=float) - np.asarray(theirs, dtype=float))))
    sheet.row(what, f"{gap:.1e}", "<= 1e-06", gap <= 1e-6)


def _freedman_lane(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Ours, and the textbook: residuals without the group, permuted, added back, refitted."""
    block = np.repeat([0, 1, 2], 3)
    x = np.array([1.0, 0, 1, 0, 1, 0, 0, 0, 1])
    z = np.column_stack([np.ones(9), block == 1, block == 2, rng.normal(size=9)]).astype(float)
    y = rng.normal(size=9) + x
    without, full = sm.OLS(y, z).fit(), np.column_stack([x, z])
    observed = sm.OLS(y, full).fit().tvalues[0]
    orders = itertools.product(*(itertools.permutations(range(i, i + 3)) for i in (0, 3, 6)))
    found = np.array([
        sm.OLS(without.fittedvalues + without.resid[np.concatenate(o)], full).fit().tvalues[0]
        for o in orders
    ])  # fmt: skip
    tail = min((found >= observed - 1e-9).mean(), (found <= observed + 1e-9).mean())
    return run(y[:, None], x, z, block), min(1.0, 2 * tail)


# --- real donors -----------------------------------------------------------------
def _healthy() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Shares of 24 types in 20 healthy donors, and who they are."""
    share = pd.read_csv(DATA / "props_speckle_healthy_pbmc20.csv", index_col=0).T
    return share, pd.read_csv(DATA / "props_speckle_healthy_pbmc20_samples.csv", index_col=0)


def _cells_of(share: np.ndarray) -> float:
    """The smallest number of cells that all shares of a donor are whole counts of."""
    for n in range(1000, 40_000):
        counts = share * n
        if np.abs(counts - counts.round()).max() < 1e-5:
            return float(n)
    raise ValueError("no number of cells fits the shares")


def healthy(sheet: Sheet) -> None:
    sheet.start(f"20 healthy donors, split into random halves {SPLITS} times: uniformity of p (KS)")
    share, _ = _healthy()
    total = np.array([_cells_of(row) for row in share.to_numpy()])
    counts = (share.to_numpy() * total[:, None]).round()
    sheet.row("cells that the shares are whole counts of", int(total.sum()))
    parts = np.stack([counts.T, total - counts.T], axis=-1)
    logits = np.log((parts[..., 0] + 0.5) / (parts[..., 1] + 0.5)).T
    held = shrunken(parts, RATIO, np.ones((20, 1)))[..., 0].T
    rng = np.random.default_rng(0)
    t, p = np.empty((SPLITS, share.shape[1])), np.empty((SPLITS, share.shape[1]))
    for i in range(SPLITS):
        x = rng.permutation(np.repeat([1.0, 0.0], 10))
        t[i] = fit(logits, x, np.ones((20, 1))).p_value
        p[i] = run(held, x, np.ones((20, 1)), n_permutations=2000, seed=i)
    at = list(share.columns).index("PDC")
    for what, values in {"p_value": t, "p_permutation": p}.items():
        ks = np.array([stats.kstest(column, "uniform").pvalue for column in values.T])
        sheet.row(f"pDC: {what}, KS p", ks[at], "> 0.01", ks[at] > 0.01)
        sheet.row(f"pDC: {what} < 0.05", (values[:, at] < 0.05).mean())
        sheet.row(f"24 types: {what}, with KS p > 0.01", int((ks > 0.01).sum()))
        sheet.row(f"24 types: {what} < 0.05", (values < 0.05).mean())


def kang(sheet: Sheet) -> None:
    sheet.start("kang: 8 donors, control and 6 h of IFN-beta, 8 cell types, all cells counted")
    table = pd.read_csv(DATA / "counts_kang_16samples_8types.csv", index_col=0)
    counts = table.iloc[:, :8].to_numpy(dtype=float)
    donors = pd.DataFrame({"donor": table["ind"].astype(str), "condition": table["stim"]})
    pairs = build(donors, group="stim", reference="ctrl")
    sheet.row("pairs", len(pairs.rows), "8", len(pairs.rows) == 8)
    sheet.row("design", pairs.text, "paired by donor", pairs.text == "paired by donor")
    logits = np.log((counts + 0.5) / (counts.sum(axis=1, keepdims=True) - counts + 0.5))
    y = logits[pairs.rows[:, 0]] - logits[pairs.rows[:, 1]]
    t = fit(y, pairs.regressor, pairs.nuisance)
    p = permute(y, pairs.layout, n_permutations=10_000, rng=np.random.default_rng(0)).p_value
    q = benjamini_hochberg(p)
    for j, name in enumerate(table.columns[:8]):
        met = bool(q[j] >= 0.05) if name == "B cells" else None
        what = (
            f"{name}: q (effect {t.effect[j]:+.2f}, t p {t.p_value[j]:.3f}, permutation {p[j]:.3f})"
        )
        sheet.row(what, float(q[j]), ">= 0.05" if met is not None else "", met)


# --- speed -------------------------------------------------------------------------
def speed(sheet: Sheet) -> None:
    sheet.start("Speed, seconds (best of three)")
    rng = np.random.default_rng(0)
    y, x = rng.normal(size=(260, 30)), np.repeat([1.0, 0.0], [160, 100])
    for n_covariates, most in ((0, 1.0), (10, 10.0)):
        z = np.column_stack([np.ones(260), rng.normal(size=(260, n_covariates))])
        taken = _best(lambda z=z: run(y, x, z))
        what = f"260 donors x 30 types x 10,000 permutations, {n_covariates} covariates"
        sheet.row(what, taken, f"< {most:.0f}", taken < most)
    total = rng.integers(2000, 8000, (30, 260)).astype(float)
    share = special.expit(rng.uniform(-6, 0, (30, 1)) + rng.normal(0, 0.6, (30, 260)))
    counts = rng.binomial(total.astype(int), share).astype(float)
    design = np.column_stack([x, np.ones(260)])
    ours = _best(lambda: fit_beta_binomial(counts, total, design))
    theirs = _best(lambda: [_bfgs(a, n, design) for a, n in zip(counts, total, strict=True)], 1)
    sheet.row("30 beta-binomial fits of 260 donors", ours)
    sheet.row("the same by scipy's BFGS", theirs)
    sheet.row("times as fast as BFGS", theirs / ours, ">= 20", theirs >= 20 * ours)


def _bfgs(successes: np.ndarray, total: np.ndarray, design: np.ndarray) -> np.ndarray:
    """One beta-binomial fit from the least squares of the logits."""

    def minus(parameters: np.ndarray) -> float:
        mu, s = special.expit(design @ parameters[:-1]), np.exp(parameters[-1])
        a, b, g = mu * s, (1 - mu) * s, special.gammaln
        value = g(successes + a) - g(a) + g(total - successes + b) - g(b) + g(s) - g(total + s)
        return -float(value.sum())

    y = np.log((successes + 0.5) / (total - successes + 0.5))
    start = np.r_[np.linalg.lstsq(design, y, rcond=None)[0], np.log(50)]
    return optimize.minimize(minus, start, method="BFGS").x


def _best(call: Callable[[], object], times: int = 3) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


PARTS: dict[str, Callable[[Sheet], None]] = {
    "null": simulated.null,
    "power": donors_power.power,
    "unequal": donors_power.unequal,
    "effects": donors_effects.checks,
    "worked": worked,
    "healthy": healthy,
    "kang": kang,
    "speed": speed,
    "strata": donors_strata.checks,
    "axis": donors_axis.checks,
    "profiles": donors_profiles.checks,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=", ".join(PARTS))  # fmt: skip
    parser.add_argument("--json", type=Path,
                        help="write every figure, with versions; other parts are kept")  # fmt: skip
    options = parser.parse_args()
    sheet = Sheet()
    for name in options.only:
        start, before = time.perf_counter(), len(sheet.rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PARTS[name](sheet)
        for row in sheet.rows[before:]:
            row |= {"run": name, "met": None if row["met"] is None else bool(row["met"])}
        print(f"  ({time.perf_counter() - start:.0f} s)", flush=True)
    if options.json:
        if options.json.exists():
            stored = json.loads(options.json.read_text(encoding="utf-8"))["figures"]
            sheet.rows += [row for row in stored if row["run"] not in options.only]
        order = list(PARTS)
        sheet.rows.sort(key=lambda row: order.index(str(row["run"])))
        sheet.write_json(options.json)


if __name__ == "__main__":
    main()
