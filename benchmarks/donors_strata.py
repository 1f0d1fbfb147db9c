"""Strata and serum: whether donors are put where they belong, and whether levels hold.

Run by itself, or as a part of donors.py::

    python benchmarks/donors_strata.py [output.json]

1,000 cohorts of donors are drawn at the level of donors (between donors SD 0.8 log2, genes
0.3), and three with cells, which go through all of scifn. In every cohort one control in twenty
has a response (3 %, and at least one). Whole blood of GSE49454 is read from ``$SCIFN_DATA`` or
``../shared/data``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from _shared import DATA, Sheet, load
from scipy import stats

import scifn
from scifn import _keys as k
from scifn import _stats
from scifn._stats import bimodality
from scifn._stats.censored import floored, upper_limit
from scifn._stats.cutoff import cutoff_of
from scifn._stats.modules import MODULES
from scifn._stats.partial import partial_spearman
from scifn._stats.signatures import SIGNATURES
from scifn.datasets import DEFAULT_EFFECTS
from scifn.genesets import load as gene_set

BETWEEN, GENES_SD = 0.8, 0.3  # log2
SHIFT, IFN_LOW, IFN_HIGH = 4.0, 0.30, 0.03
COHORTS = 1000
#: Cohorts with cells: number, donors an arm, cells a donor.
WITH_CELLS, ARM, CELLS = 3, 20, 600
LEVELS_OF = (5, 10, 20)
LEVELS_FOR = (
    "ifngs4_like", "ism3_like", "rice6_like", "kirou3_like", "medimmune21_like", "mod_M1_2",
)  # fmt: skip
FOUR = ("IFI27", "IFI44", "IFI44L", "RSAD2")
_TWO = "two groups of patients: BIC"
Scored = tuple[np.ndarray, np.ndarray, np.ndarray]


def checks(sheet: Sheet) -> None:
    """All parts, in the order of the issue."""
    simulated(sheet)
    with_cells(sheet)
    whole_blood(sheet)
    levels(sheet)
    two_groups(sheet)
    serum_limit(sheet)
    serum(sheet)


# --- cohorts -------------------------------------------------------------------------
def draw(rng: np.random.Generator, n_controls: int, n_patients: int, shift: float) -> Scored:
    """Expression (donors x genes), who is a control, and who has a response."""
    high = np.zeros(n_controls + n_patients, dtype=bool)
    high[: max(1, round(IFN_HIGH * n_controls))] = True
    high[n_controls : n_controls + round((1 - IFN_LOW) * n_patients)] = True
    level = rng.normal(5, BETWEEN, len(high)) + shift * high
    control = np.arange(len(high)) < n_controls
    return level[:, None] + rng.normal(0, GENES_SD, (len(high), len(FOUR))), control, high


def ours(y: np.ndarray, control: np.ndarray) -> np.ndarray:
    """Strata by scifn."""
    table = pd.DataFrame(y, columns=list(FOUR))
    table.insert(0, "condition", np.where(control, "control", "patient"))
    table.insert(0, "donor", [f"D{i}" for i in range(len(y))])
    found, _ = _stats.stratify(table, genes=FOUR, signature="ifngs4_like", reference="control")
    return found["stratum"].to_numpy(dtype=str)


def plain(score: np.ndarray, control: np.ndarray) -> np.ndarray:
    """The peer: mean and two standard deviations of all controls, nobody in between."""
    cut = score[control].mean() + 2 * score[control].std(ddof=1)
    return np.where(score > cut, "high", "low")


def right(stratum: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Share that is right of those with a stratum, and share without one."""
    called = np.isin(stratum, ["high", "low"])
    return float(((stratum == "high") == high)[called].mean()), float((~called).mean())


def simulated(sheet: Sheet) -> None:
    sheet.start(
        "Strata of simulated donors",
        f"{COHORTS} cohorts of 20 controls, a quarter as many of 60; shift {SHIFT:g} log2,",
        "30 % IFN-low patients, one IFN-high control in 20 and two in 60",
    )
    for n_controls, n_patients in ((20, 20), (60, 60)):
        rng = np.random.default_rng(n_controls)
        mine, peer, truth = [], [], []
        for _ in range(COHORTS if n_controls == 20 else COHORTS // 4):
            y, control, high = draw(rng, n_controls, n_patients, SHIFT)
            mine.append(ours(y, control))
            peer.append(plain(y.mean(axis=1), control))
            truth.append(high)
        share, unclear = right(np.concatenate(mine), np.concatenate(truth))
        name = f"{n_controls} controls, {n_patients} patients"
        sheet.row(f"{name}: right, of donors with a stratum", share, ">= 0.95", share >= 0.95)
        sheet.row(f"{name}: indeterminate", unclear, "<= 0.15", unclear <= 0.15)
        each = [right(a, b) for a, b in zip(mine, truth, strict=True)]
        both = np.mean([x >= 0.95 and y <= 0.15 for x, y in each])
        sheet.row(f"{name}: cohorts that meet both by themselves", float(both))
        share = right(np.concatenate(peer), np.concatenate(truth))[0]
        sheet.row(f"{name}: right by mean + 2 SD of all controls", share)


def with_cells(sheet: Sheet) -> None:
    sheet.start(
        "Strata of simulated cells, through scifn's steps",
        f"{WITH_CELLS} cohorts of {ARM} + {ARM} donors, {CELLS} cells each",
    )
    for shift, target in ((SHIFT, True), (2.0, False)):
        stratum, peer, truth = [], [], []
        for seed in range(WITH_CELLS):
            adata = scifn.datasets.cohort(
                n_patients=ARM, n_controls=ARM, cells_per_donor=CELLS, rng=seed,
                effects={**DEFAULT_EFFECTS, "response": shift},
            )  # fmt: skip
            scifn.tl.annotate(adata)
            scifn.tl.donors(adata, donor="donor", condition="condition")
            scifn.tl.stratify(adata, reference="control")
            table = scifn.get.strata(adata)
            planted = adata.uns[k.TRUTH]["donors"].set_index("donor")["ifn_high"]
            truth.append(planted.loc[table["donor"]].to_numpy(dtype=bool))
            stratum.append(table["stratum"].to_numpy(dtype=str))
            control = (table["condition"] == "control").to_numpy()
            peer.append(plain(table["score"].to_numpy(), control))
        share, unclear = right(np.concatenate(stratum), np.concatenate(truth))
        name = f"response {shift:g} log2"
        goals = (">= 0.95", share >= 0.95), ("<= 0.15", unclear <= 0.15)
        for what, value, goal in zip(
            ("right", "indeterminate"), (share, unclear), goals, strict=True
        ):
            sheet.row(f"{name}: {what}", value, *(goal if target else ()))
        share = right(np.concatenate(peer), np.concatenate(truth))[0]
        sheet.row(f"{name}: right by mean + 2 SD of all controls", share)


# --- whole blood -----------------------------------------------------------------------
def whole_blood(sheet: Sheet) -> None:
    if not (DATA / "sle_wb_GSE49454.h5ad").exists():
        return
    adata = load("sle_wb_GSE49454")
    sle = (adata.obs["group"] == "SLE").to_numpy()
    sheet.start(
        "Whole blood of GSE49454", f"{sle.sum()} SLE samples, {(~sle).sum()} of healthy donors"
    )
    strata: dict[str, np.ndarray] = {}
    for name in SIGNATURES:
        scifn.tl.stratify(
            adata, condition="group", reference="Healthy", bulk=True, signature=name, overwrite=True
        )
        table = scifn.get.strata(adata)
        strata[name] = table["stratum"].to_numpy(dtype=str)
        area, high, false = figures(table["score"].to_numpy(), table["stratum"] == "high", sle)
        if name == "ifngs4_like":
            sheet.row(f"{name}: AUC", area, ">= 0.92", area >= 0.92)
            sheet.row(f"{name}: high, of SLE samples", high, "0.60-0.90", 0.6 <= high <= 0.9)
            sheet.row(f"{name}: high, of controls", false, "<= 0.05", false <= 0.05)
            two = plain(table["score"].to_numpy(), ~sle) == "high"
            sheet.row("the same genes, mean + 2 SD: high, of SLE samples", float(two[sle].mean()))
            sheet.row("the same genes, mean + 2 SD: high, of controls", float(two[~sle].mean()))
        else:
            sheet.row(
                f"{name}: AUC / high SLE / high controls", f"{area:.3f} {high:.2f} {false:.2f}"
            )
    six = adata[:, [g for g in gene_set("rice6_like") if g in adata.var_names]].X
    mean = np.asarray(six).mean(axis=1)
    area, high, false = figures(mean, plain(mean, ~sle) == "high", sle)
    sheet.row("peer, mean of six genes, mean + 2 SD", f"{area:.3f} {high:.2f} {false:.2f}")
    patients(sheet, strata, sle, adata.obs["subject"].astype(str).to_numpy())


def patients(
    sheet: Sheet, strata: dict[str, np.ndarray], sle: np.ndarray, subject: np.ndarray
) -> None:
    """What the papers say of patients: modules in the first sample, strata in later ones."""
    active = np.any([strata[name] == "high" for name in MODULES], axis=0)
    first = sle & ~pd.Series(subject).duplicated().to_numpy()
    what = f"any module active, first samples of {first.sum()} patients (Chiche 2014: 0.87)"
    sheet.row(what, float(active[first].mean()))
    sheet.row("any module active, controls", float(active[~sle].mean()))
    stratum = strata["ifngs4_like"]
    told = sle & np.isin(stratum, ["high", "low"])
    of = pd.Series(stratum[told]).groupby(subject[told])
    kept = (of.nunique() == 1)[of.size() > 1]
    what = f"same stratum in all samples of {len(kept)} patients (Northcott 2022: 0.87)"
    sheet.row(what, float(kept.mean()))


def figures(score: np.ndarray, high: np.ndarray, sle: np.ndarray) -> tuple[float, float, float]:
    """AUC, and share that is high of SLE samples and of controls."""
    area = stats.mannwhitneyu(score[sle], score[~sle]).statistic / (sle.sum() * (~sle).sum())
    return float(area), float(np.mean(high[sle])), float(np.mean(high[~sle]))


# --- levels ----------------------------------------------------------------------------
def levels(sheet: Sheet) -> None:
    sheet.start(
        "Further healthy donors above the cut-off, by number of controls",
        "genes correlated at 0.5; 0.025 is meant (ism3_like: 0.05)",
    )
    for name in (
        "ifngs4_like",
        "ism3_like",
        "rice6_like",
        "kirou3_like",
        "medimmune21_like",
        "mod_M1_2",
    ):
        signature, found = SIGNATURES[name], []
        n_genes = len(gene_set(name))
        for n in LEVELS_OF:
            rng = np.random.default_rng(n)
            above = []
            for _ in range(COHORTS):
                y = rng.normal(size=(n + 5, 1)) + rng.normal(size=(n + 5, n_genes))
                control = np.arange(n + 5) < n
                score = signature.formula(y, control)
                judged = signature.judged(y, control)[:n] if signature.judged else None
                cut = cutoff_of(score[:n], 5, signature.level, judged)
                above.append((score[n:] > cut.value).mean())
            found.append(f"{np.mean(above):.3f}")
        sheet.row(f"{name}, of 5 / 10 / 20 controls", " ".join(found))


def two_groups(sheet: Sheet) -> None:
    sheet.start(
        "Two groups of 40 patients called", "200 samples a row; at most 0.05 where there is one"
    )
    rng = np.random.default_rng(0)
    samples = {
        "one: normal": lambda: rng.normal(size=40),
        "one: exponential": lambda: rng.exponential(size=40),
        "two: 4 SD apart, 12 + 28": lambda: np.r_[rng.normal(size=12), rng.normal(4, 1, 28)],
        "two: 6 SD apart, 12 + 28": lambda: np.r_[rng.normal(size=12), rng.normal(6, 1, 28)],
    }
    for name, sample in samples.items():
        found = [bimodality.test(sample()) for _ in range(200)]
        called = float(
            np.mean([x["bic_difference"] > 6 and x["dip_p_value"] < 0.05 for x in found])
        )
        one = name.startswith("one")
        sheet.row(name, called, "<= 0.05" if one else "", called <= 0.05 if one else None)
        alone = [x["bic_difference"] > 6 for x in found]
        sheet.row(f"{name}, by BIC alone", float(np.mean(alone)))


def serum_limit(sheet: Sheet) -> None:
    sheet.start(
        "Serum: further controls above the limit, by number of controls",
        "log-normal values; 0.025 is meant, and holds where most controls are detected",
    )
    for detected, sizes, cohorts in (
        (1.0, LEVELS_OF, COHORTS), (0.6, LEVELS_OF[1:], 400), (0.3, LEVELS_OF[1:], 400),
    ):  # fmt: skip
        lod = float(10 ** stats.norm.isf(detected)) if detected < 1 else -np.inf
        found = []
        for n in sizes:
            rng = np.random.default_rng(n)
            above = []
            for _ in range(cohorts):
                values = 10 ** rng.normal(size=n)
                limit, _how = upper_limit(floored(values, lod), lod, 5)
                above.append(stats.norm.sf(np.log10(limit)))
            found.append(f"{np.mean(above):.3f}")
        what = f"{detected:.0%} of controls detected, of {' / '.join(map(str, sizes))} controls"
        sheet.row(what, " ".join(found))


def serum(sheet: Sheet) -> None:
    sheet.start(
        "Serum beside response: p and interval with values below a detection limit",
        "1,000 cohorts a row; the true rho is that of 200,000 donors, tied alike",
    )
    rejected = []
    for n in (12, 30):
        for below in (0.0, 0.3, 0.6):
            for r in (0.0, 0.7):
                rho, covered, p = _associations(n, below, r)
                name = f"{n} donors, {below:.0%} below the limit, rho {rho:.2f}"
                sheet.row(f"{name}: interval holds it", covered, "0.95")
                rejected += [p] if r == 0 else []
    share = float(np.mean(rejected))
    met = abs(share - 0.05) <= 0.015
    sheet.row("p below 0.05 without association, six settings", share, "0.05+-0.015", met)
    sheet.row("the same, lowest and highest", f"{min(rejected):.3f} {max(rejected):.3f}")


def _associations(n: int, below: float, r: float) -> tuple[float, float, float]:
    rng = np.random.default_rng(n)
    limit = float(stats.norm.ppf(below)) if below else -np.inf

    def pairs(size: int) -> tuple[np.ndarray, np.ndarray]:
        x = rng.normal(size=size)
        return floored(x, limit), r * x + np.sqrt(1 - r**2) * rng.normal(size=size)

    rho = float(stats.spearmanr(*pairs(200_000)).statistic) if r else 0.0
    fits = [partial_spearman(*pairs(n), n_permutations=999) for _ in range(1000)]
    covered = float(np.mean([fit.ci_low <= rho <= fit.ci_high for fit in fits]))
    return rho, covered, float(np.mean([fit.p_value <= 0.05 for fit in fits]))


if __name__ == "__main__":
    sheet = Sheet()
    checks(sheet)
    if len(sys.argv) > 1:
        sheet.write_json(Path(sys.argv[1]))
