"""Associations across donors: level, coverage and power of the partial correlation; LINE-1 leakage.

Simulated donor tables only; a simulation checks the statistics, not the biology. The usual order
(ranks first, then the adjustment) stands beside, on the same tables.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from _shared import DATA, Sheet
from scipy import stats

from scifn import _keys as k
from scifn import _stats
from scifn._stats.partial import partial_spearman
from scifn.genesets._repeats import parse

COHORTS, NULLS_EACH = 1000, 4000
#: Of each cohort; the level does not hang on it.
PERMUTATIONS = 999
SIZES = (10, 16, 40)
Draw = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, list[str] | None]


# --- null cohorts -------------------------------------------------------------
def _groups(n: int) -> np.ndarray:
    return (np.arange(n) >= n // 2).astype(float)


def shifted(rng: np.random.Generator, n: int) -> Draw:
    g = _groups(n)
    return rng.normal(size=n) + 2 * g, rng.normal(size=n) + 3 * g, g, None, None


def tailed(rng: np.random.Generator, n: int) -> Draw:
    g = _groups(n)
    return rng.standard_t(2, n) + 2 * g, np.exp(1.5 * rng.normal(size=n)) + 3 * g, g, None, None


def spread(rng: np.random.Generator, n: int) -> Draw:
    g = _groups(n)
    return rng.normal(size=n) * (1 + 4 * g), rng.normal(size=n) * (1 + 4 * g), g, None, None


def confounded(rng: np.random.Generator, n: int) -> Draw:
    g, c = _groups(n), rng.normal(size=n)
    x, y = (c + 0.5 * rng.normal(size=n) + g for _ in range(2))
    return x, y, g, c[:, None], None


def paired(rng: np.random.Generator, n: int) -> Draw:
    g = np.repeat([0.0, 1.0], n)
    x, y = (np.tile(rng.normal(size=n), 2) + 0.5 * rng.normal(size=2 * n) for _ in range(2))
    return x, y, g, None, [str(i) for i in range(n)] * 2


NULLS: dict[str, Callable[[np.random.Generator, int], Draw]] = {
    "conditions differ in both": shifted,
    "long tails": tailed,
    "one condition varies five times as much": spread,
    "a covariate moves both": confounded,
    "every donor in both conditions": paired,
}


def usual(x: np.ndarray, y: np.ndarray, g: np.ndarray, c: np.ndarray | None) -> float:
    """p of the partial Spearman correlation that ranks first and adjusts then."""
    columns = [np.ones(len(x)), stats.rankdata(g)]
    columns += [] if c is None else [stats.rankdata(one) for one in c.T]
    q = np.linalg.qr(np.column_stack(columns))[0]
    rx, ry = (r - q @ (q.T @ r) for r in (stats.rankdata(x), stats.rankdata(y)))
    rho, df = rx @ ry / np.sqrt(rx @ rx * (ry @ ry)), len(x) - q.shape[1] - 1
    rho = min(max(rho, -1 + 1e-12), 1 - 1e-12)
    return float(2 * stats.t.sf(abs(rho) * np.sqrt(df / (1 - rho**2)), df))


def level(sheet: Sheet, cohorts: int, seed: int = 77) -> None:
    """Rejections at 0.05 where nothing is there, and coverage of zero."""
    sheet.start(f"Partial correlation: {cohorts:,} null cohorts a line")
    for i, (what, draw) in enumerate(NULLS.items()):
        for n in SIZES:
            rng = np.random.default_rng([seed, i, n])
            p, cover, other = [], [], []
            for _ in range(cohorts):
                x, y, g, c, donors = draw(rng, n)
                found = partial_spearman(
                    x, y, conditions=g.astype(str).tolist(), covariates=c, donors=donors,
                    n_permutations=PERMUTATIONS,
                )  # fmt: skip
                p.append(found.p_value)
                cover.append(found.ci_low <= 0 <= found.ci_high)
                if donors is None:
                    other.append(usual(x, y, g, c) < 0.05)
            rate, covers = float(np.mean(np.array(p) < 0.05)), float(np.mean(cover))
            sheet.row(f"{what}, {n} donors: rejected", rate, "0.035 to 0.065",
                      0.035 <= rate <= 0.065)  # fmt: skip
            sheet.row(f"{what}, {n} donors: rejected at 0.01", float(np.mean(np.array(p) < 0.01)))
            sheet.row(f"{what}, {n} donors: 95 % interval covers 0", covers)
            if other:
                sheet.row(f"{what}, {n} donors: ranks first, rejected", float(np.mean(other)))


def power(sheet: Sheet, cohorts: int) -> None:
    """Rejections where a correlation was planted within conditions."""
    sheet.start(f"Power, {cohorts:,} cohorts a line (two conditions that differ by 2 SD)")
    for rho in (0.4, 0.6, 0.8):
        for n in SIZES:
            rng = np.random.default_rng(n)
            found, p = [], []
            for _ in range(cohorts):
                g = _groups(n)
                x = rng.normal(size=n)
                y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)
                one = partial_spearman(
                    x + 2 * g, y + 2 * g, conditions=g.astype(str).tolist(),
                    n_permutations=PERMUTATIONS,
                )  # fmt: skip
                found.append(one.rho)
                p.append(one.p_value < 0.05)
            sheet.row(f"correlation {rho}, {n} donors: found at 0.05", float(np.mean(p)))
            sheet.row(f"correlation {rho}, {n} donors: mean rho", float(np.mean(found)))


# --- LINE-1 ----------------------------------------------------------------------
def line1(
    rng: np.random.Generator, n: int, *, planted: float, leakage: float, depth: int = 4000
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Table of LINE-1 of one type and donor table.

    ``leakage``: nuclear RNA, whose LINE-1 are eight times as often old as young, follows the
    response; ``planted``: log2 of young LINE-1 per unit of response.
    """
    condition = np.where(_groups(n) > 0, "SLE", "control")
    response = rng.normal(size=n) + 2 * _groups(n)
    intronic = np.clip(0.3 + 0.05 * leakage * response + 0.02 * rng.normal(size=n), 0.02, 0.9)
    young = depth * np.exp2(planted * response + 0.2 * rng.normal(size=n))
    old = depth * np.exp2(0.2 * rng.normal(size=n))
    u = rng.poisson(young + leakage * 0.5 * depth * intronic)
    v = rng.poisson(old + leakage * 4.0 * depth * intronic)
    donors = [f"D{i}" for i in range(n)]
    table = pd.DataFrame(
        {
            "donor": donors, "condition": condition, "cell_type": k.MONOCYTE, "note": "",
            "l1_young_ratio": np.log2((u + 0.5) / (v + 0.5)), "l1_old_cpm": v.astype(float),
            "intronic": intronic,
        }
    )  # fmt: skip
    head = {"donor": donors, "condition": condition}
    return table, pd.DataFrame(head | {f"{k.RESPONSE_OF}Mono": response})


def leakage(sheet: Sheet, cohorts: int) -> None:
    """Association of LINE-1 with the response by leakage alone, and one that was planted."""
    sheet.start(f"LINE-1 and response, {cohorts:,} cohorts of 40 donors a line")
    for what, options in {
        "leakage that follows the response": {"planted": 0.0, "leakage": 1.0},
        "a planted association": {"planted": 0.4, "leakage": 0.0},
        "both": {"planted": 0.4, "leakage": 1.0},
    }.items():
        rng = np.random.default_rng(0)
        found: dict[str, list[tuple[float, bool]]] = {}
        for _ in range(cohorts):
            l1, donors = line1(rng, 40, **options)
            for how, table in (("adjusted", l1), ("no intronic=", l1.assign(intronic=np.nan))):
                for row in _stats.l1_association(table, donors, None, None).itertuples():
                    of = "ratio" if row.measure == "l1_young_ratio" else "old, control"
                    hit = (float(row.rho), bool(row.p_value < 0.05))
                    found.setdefault(f"{of}, {how}", []).append(hit)
        for how, hits in found.items():
            rho, rejected = (float(np.mean(column)) for column in zip(*hits, strict=True))
            zero = options["planted"] == 0 and how.endswith(", adjusted")
            sheet.row(f"{what}: {how}: mean rho", rho, "about 0" if zero else "",
                      abs(rho) <= 0.05 if zero else None)  # fmt: skip
            sheet.row(f"{what}: {how}: p < 0.05", rejected)


def names(sheet: Sheet) -> None:
    """Real names of three tools."""
    folder = DATA / "te_naming"
    if not folder.is_dir():
        return
    sheet.start("Names of elements, as three tools wrote them")
    solote = [x.split("\t")[0] for x in (folder / "solote_v1_features_mouse_subset.tsv")
              .read_text().splitlines()]  # fmt: skip
    elements = [x for x in solote if x.startswith("SoloTE")]
    genes = [x for x in solote if not x.startswith("SoloTE")]
    rewritten = [x.replace("|", "-").replace("_", "-") for x in elements]
    for what, some in (("SoloTE", elements), ("SoloTE as Seurat rewrites it", rewritten)):
        read = sum(parse(x) is not None for x in some)
        sheet.row(f"{what}: elements read", f"{read}/{len(some)}", "all", read == len(some))
    wrong = sum(parse(x) is not None for x in genes)
    sheet.row("SoloTE: genes taken for elements", f"{wrong}/{len(genes)}", "none", wrong == 0)
    rescue = [x.split("\t")[3] for x in (folder / "irescue_rmsk_bed_chr21_subset.tsv")
              .read_text().splitlines()]  # fmt: skip
    read = sum((r := parse(x)) is not None and r.subfamily == x.split("#")[0] for x in rescue)
    sheet.row("IRescue: elements read", f"{read}/{len(rescue)}", "all", read == len(rescue))
    scte = [x.strip('"') for x in (folder / "scte_te_names_mm10.txt").read_text().split()]
    old = [x for x in scte if x.startswith(("L1M", "L1PB")) and not x.startswith("L1Md")]
    read = sum((r := parse(x)) is not None and r.group == "old" for x in old)
    sheet.row("scTE: L1M* and L1PB* read as old", f"{read}/{len(old)}", "all", read == len(old))
    mouse = [x for x in scte if x.startswith("L1Md")]
    wrong = sum(parse(x) is not None for x in mouse)
    sheet.row("scTE: young L1Md of mice taken for old", f"{wrong}/{len(mouse)}", "none", wrong == 0)


def checks(sheet: Sheet, *, cohorts: int = COHORTS) -> None:
    """All of the above."""
    level(sheet, NULLS_EACH if cohorts == COHORTS else cohorts)
    power(sheet, cohorts)
    leakage(sheet, min(cohorts, 200))
    names(sheet)


if __name__ == "__main__":
    checks(Sheet())
