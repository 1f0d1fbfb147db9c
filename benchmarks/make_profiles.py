"""Measure the expression profiles that the simulated cohorts are drawn from.

The simulator of ``scifn.datasets`` should not be a toy, so its figures come from real cells
wherever there are any. This script reads the development data (``../shared/data`` relative to
the project, or ``$SCIFN_DATA``), computes the figures, prints what was measured from how many
cells and libraries, and writes them to ``src/scifn/datasets/data``. The figures are committed,
the data are not.

    python benchmarks/make_profiles.py

What comes from where
---------------------
* T, NK, B cells, monocytes, cDC, platelets, unstimulated and after 6 h of interferon-beta:
  UMI sums of GSE96583 (Kang 2018, doi:10.1038/nbt.4042). Its patients have lupus and its cells
  were cultured, so the unstimulated state is not that of a healthy person. Traces of other
  lineages (soup, doublets) are subtracted, and counts are shrunk as Gamma-Poisson.
* pDC: the few pDC of GSE96583 as likelihood; purified pDC libraries (P259, unstimulated,
  median_cv_coverage <= 0.6) and the pDC column of a CITE-seq reference (CBMC) as prior.
* What a producing pDC changes and its IFNA paralogs: P259, rhinovirus against none.
* CD34+ progenitors, and genes that GSE96583 lacks (IGHM, IGHD, IGLC, MT-, TRAC): CBMC, anchored
  on the types that both have.
* Memory and atypical (DN2) against naive B cells: GSE135779 (Nehar-Belaid 2020) and, memory
  only, OneK1K (GSE196830).
* Fractions and their spread between donors: 20 healthy donors of the speckle package.
* All else is ``marker_knowledge.toml``: invented, and listed so.
"""

from __future__ import annotations

import gzip
import os
import tomllib
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from scifn.genesets._ids import approved
from scifn.genesets._sets import all_sets

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("SCIFN_DATA", HERE.parents[1] / "shared" / "data"))
OUT = HERE.parent / "src" / "scifn" / "datasets" / "data"
KNOWLEDGE = tomllib.loads((HERE / "marker_knowledge.toml").read_text())

N_TOP = 5200
PER = 1e4
FLOOR = 1e-4  # UMI per 10,000: below that a gene counts as silent

#: state -> (label in GSE96583, columns of the CBMC reference)
KANG = {
    "CD4 naive T": ("CD4 Naive T", ["CD4 T", "Naive CD4 T"]),
    "CD4 memory T": ("CD4 Memory T", ["Memory CD4 T", "CD4 T"]),
    "CD8 T": ("CD8 T", ["CD8 T"]),
    "NK": ("NK", ["NK"]),
    "CD14 Mono": ("CD14 Mono", ["CD14+ Mono"]),
    "CD16 Mono": ("CD16 Mono", ["CD16+ Mono"]),
    "cDC": ("DC", ["DC"]),
    "B": ("B", ["B"]),
    "Platelet": ("Mk", ["Mk"]),
    "Erythrocyte": ("Eryth", ["Eryth"]),
    "pDC": ("pDC", ["pDCs"]),
}
CELL_TYPE = {
    "pDC": "pDC", "AS-DC": "AS-DC", "cDC": "cDC", "CD14 Mono": "Monocyte",
    "CD16 Mono": "Monocyte", "CD4 naive T": "T/NK", "CD4 memory T": "T/NK", "CD8 T": "T/NK",
    "NK": "T/NK", "B transitional": "B transitional", "B naive": "B naive",
    "B memory": "B memory", "B atypical": "B atypical", "Plasmablast": "Plasmablast",
    "Plasma": "Plasma", "HSPC": "HSPC", "Basophil/Mast": "Basophil/Mast",
    "Platelet": "Platelet", "Erythrocyte": "Erythrocyte",
}  # fmt: skip
STATES = list(CELL_TYPE)
#: state -> the measured state whose interferon response it borrows
BORROWS = {
    "AS-DC": "cDC", "B transitional": "B", "B naive": "B", "B memory": "B", "B atypical": "B",
    "Plasmablast": "B", "Plasma": "B", "HSPC": None, "Basophil/Mast": None,
}  # fmt: skip
SPECKLE = {
    "cDC": ["CDC1", "CDC2"], "pDC": ["PDC"], "AS-DC": ["pre-DC"], "CD14 Mono": ["CD14", "INTER"],
    "CD16 Mono": ["CD16"], "NK": ["NK1", "NK2", "NK3"], "CD4 naive T": ["CD4.Naive", "TREG"],
    "CD4 memory T": ["CD4.Tcm", "CD4.Tem", "CD4+CD8+"],
    "CD8 T": ["CD8.Naive", "CD8.Tem", "CD8.CTL", "CD4-CD8-", "T-mito"],
    "B naive": ["NBC"], "B memory": ["MBC"], "B atypical": ["ABC"], "plasma cells": ["PC"],
}  # fmt: skip
#: names of the 2016 annotation, beyond those that the package knows
OLD_NAMES = {"IL8": "CXCL8", "GNB2L1": "RACK1", "ATP5E": "ATP5F1E", "FYB": "FYB1"}
EXTRA_GENES = """
HBA1 HBA2 HBB HBD HBM ALAS2 PPBP PF4 GP9 TUBB1 ITGA2B B2M ACTB ACTG1 GAPDH MALAT1 NEAT1 XIST
RPS4Y1 DDX3Y KDM5D UTY EIF1AY HLA-A HLA-B HLA-C HLA-E HLA-DRA HLA-DRB1 HLA-DPA1 HLA-DPB1
HLA-DQA1 HLA-DQB1 HLA-DMA CD74 IGHM IGHD IGKC IGLC2 IGLC3 IGHG1 IGHG2 IGHG3 IGHG4 IGHA1 IGHA2
IGLL5 JCHAIN TOP2A TUBA1B HMGB2 PCNA PPIB CD63 HPGD NEIL1 CD4 CD8A CD8B TRDC CD24 IL7R CCR7 LEF1
IFNAR1 IFNAR2 IL10RA IL10 EBI3 IL12A IFNG TNF IL6 IL1B CXCL8
""".split()  # noqa: SIM905
#: lineages that leak into other states: markers, and states that share the markers truly
FOREIGN = {
    "T/NK": {
        "states": ["CD4 naive T", "CD4 memory T", "CD8 T", "NK"],
        "markers": ["CD3D", "CD3E", "CD3G", "CD2", "LCK", "IL32", "GNLY"],
        "shares": [],
    },
    "monocytes": {
        "states": ["CD14 Mono", "CD16 Mono"],
        "markers": ["S100A8", "S100A9", "CD14", "FCN1", "LYZ", "C15orf48", "CCL2"],
        "shares": ["cDC"],
    },
    "B": {
        "states": ["B"],
        "markers": ["MS4A1", "CD79A", "BANK1", "HLA-DOB", "VPREB3"],
        "shares": [],
    },
}


#: markers that other lineages cannot express: what the subtraction leaves of them is held down
HELD = {
    "T/NK": ["CD3D", "CD3E", "CD3G", "TRAC"],
    "monocytes": ["S100A8", "S100A9", "S100A12", "CD14", "FCN1", "VCAN"],
    "B": ["MS4A1", "CD79A", "CD19", "PAX5", "BANK1"],
}
HELD_AT = 0.02  # of the level in the lineage itself


# --- reading -------------------------------------------------------------------------------
def genes_of_sets() -> set[str]:
    """Genes of all human sets of the package, the disabled ones too."""
    sets = [found for found in all_sets().values() if found.organism == "human"]
    genes = {gene for found in sets if found.kind == "genes" for gene in found.genes}
    # 10x references leave pseudogenes out
    return {g for g in genes if not (g.startswith("IFNA") and g.endswith("P"))}


def approve(table: pd.DataFrame) -> pd.DataFrame:
    """Approved symbols in the columns; two names of one gene are summed."""
    now = approved(table.columns)
    names = [c if now[c] in table.columns else OLD_NAMES.get(c, now[c]) for c in table]
    return table.T.groupby(np.asarray(names)).sum().T


def read_counts(name: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    adata = ad.read_h5ad(DATA / name)
    x = adata.X.toarray() if hasattr(adata.X, "toarray") else np.asarray(adata.X)
    frame = pd.DataFrame(x.astype(np.float64), index=adata.obs_names, columns=adata.var_names)
    return approve(frame), adata.obs


# --- GSE96583 ------------------------------------------------------------------------------
def remove_foreign(sums: dict[str, np.ndarray], genes: pd.Index) -> dict[str, np.ndarray]:
    """Subtract soup and doublets: what a state holds of the profiles of other lineages.

    The simulator adds its own. The share is read off markers that the state cannot express
    (their lower quartile, since one or two of them may be a little true).
    """
    lineage = {
        name: sum(sums[s] / sums[s].sum() for s in entry["states"]) / len(entry["states"])
        for name, entry in FOREIGN.items()
    }
    out = {}
    for state, x in sums.items():
        profile, found = x / x.sum(), []
        for name, entry in FOREIGN.items():
            if state in entry["states"] or state in entry["shares"]:
                continue
            rows = genes.isin(entry["markers"])
            share = min(0.4, float(np.quantile(profile[rows] / lineage[name][rows], 0.25)))
            found.append(f"{name} {share:.1%}")
            x = np.maximum(x - share * lineage[name] * sums[state].sum(), 0.0)
        print(f"    foreign share in {state}: {', '.join(found)}")
        out[state] = x
    return out


def balanced(sums: dict[str, np.ndarray]) -> np.ndarray:
    """Mean profile in which each state weighs the same (the prior of every state)."""
    parts = [x / x.sum() for x in sums.values() if x.sum() > 5e4]
    return np.mean(parts, axis=0)


def shrink(x: np.ndarray, prior: np.ndarray, strength: float, total: float | None = None):
    """Gamma-Poisson posterior mean of a fraction; the prior weighs ``strength`` UMI a gene."""
    n = x.sum() if total is None else total
    with np.errstate(divide="ignore"):
        return np.where(prior > 0, (x + strength) / (n + strength / prior), 0.0)


def log_fold(ctrl: np.ndarray, stim: np.ndarray) -> np.ndarray:
    """log2 fold change of summed counts; 0 where it is small or not clear of noise."""
    a, b = (ctrl + 0.5) / ctrl.sum(), (stim + 0.5) / stim.sum()
    lfc = np.log2(b / a)
    # Poisson error plus 15 % of scatter between samples, in log2
    se = np.sqrt(1 / (ctrl + 0.5) + 1 / (stim + 0.5) + 0.15**2) / np.log(2)
    return np.where((np.abs(lfc) > 0.4) & (np.abs(lfc) > 2.5 * se), np.clip(lfc, -6, 8), 0.0)


def pooled_log_fold(ctrl: dict[str, np.ndarray], stim: dict[str, np.ndarray]) -> np.ndarray:
    """Fold change shared by all states: what a state with few cells is shrunk to."""
    use = [s for s in ctrl if ctrl[s].sum() > 5e4 and stim[s].sum() > 5e4]
    c, s = (balanced({k: d[k] for k in use}) * 5e5 for d in (ctrl, stim))
    each = [np.log2((stim[k] + 1) / stim[k].sum()) - np.log2((ctrl[k] + 1) / ctrl[k].sum())
            for k in use]  # fmt: skip
    pooled, median = log_fold(c, s), np.median(each, axis=0)
    # a response that states share is seen in most of them, not in one that weighs much
    return np.where((np.abs(median) > 0.3) & (np.sign(median) == np.sign(pooled)), pooled, 0.0)


def state_log_fold(ctrl, stim, base, pooled) -> np.ndarray:
    """Fold change of one state, shrunk to the pooled one with the weight of 2 UMI."""
    if stim.sum() == 0:
        return pooled
    prior = base * 2.0**pooled
    after = shrink(stim, prior / prior.sum(), 2.0)
    own = np.log2(np.where(base > 0, after, 1.0) / np.where(base > 0, base, 1.0))
    # what is neither clear in this state nor in all of them together is no response
    clear = (log_fold(ctrl, stim) != 0) | (pooled != 0)
    return np.where(clear & (np.abs(own) > 0.2), np.clip(own, -6, 8), 0.0)


def overdispersion(x: pd.DataFrame, labels: pd.Series) -> pd.Series:
    """Extra-Poisson coefficient of variation of a gene, median over well-filled states."""
    parts = []
    for _, rows in x.groupby(labels, observed=True):
        if len(rows) < 60:
            continue
        size = rows.sum(axis=1)
        size = size / size.mean()
        mean = rows.mean()
        extra = rows.var() - mean - mean**2 * size.var()
        parts.append(np.sqrt((extra / mean**2).clip(lower=0)).where(mean > 0.5))
    cv = pd.concat(parts, axis=1).median(axis=1)
    return cv.clip(upper=0.8).fillna(0.0)


# --- the other sources ---------------------------------------------------------------------
def cbmc() -> pd.DataFrame:
    """CBMC reference as UMI per 10,000 (it holds means of log1p CP10k); types in columns."""
    table = pd.read_csv(DATA / "ref_cbmc_citeseq_13types.csv.gz", index_col=0)
    return approve(np.expm1(table).T).T


def anchored(cb: pd.DataFrame, column: str, base: pd.DataFrame) -> pd.Series:
    """A CBMC type on the scale of GSE96583, gene by gene, by the types that both have."""
    shared = ["CD4 naive T", "CD8 T", "NK", "CD14 Mono", "CD16 Mono", "cDC", "B"]
    genes = cb.index.intersection(base.columns)
    theirs = cb.loc[genes, [KANG[s][1][0] for s in shared]].mean(axis=1)
    ours = base.loc[shared, genes].mean()
    ratio = ((ours + 0.02) / (theirs + 0.02)).clip(1 / 8, 8)
    return cb.loc[genes, column] * ratio


def missing_from_cbmc(cb: pd.DataFrame, base: pd.DataFrame, genes: list[str]) -> pd.DataFrame:
    """Genes that GSE96583 lacks, from CBMC on its own scale (same UMI per 10,000)."""
    out = pd.DataFrame(0.0, index=base.index, columns=genes)
    for state, (_, columns) in KANG.items():
        values = cb.loc[genes, columns].mean(axis=1)
        # an exclusive gene is seen everywhere at a little: the soup of that experiment
        out.loc[state] = (values - 0.03 * cb.loc[genes].mean(axis=1)).clip(lower=0)
    return out


def bulk_pdc():
    """Unstimulated CPM/100, log2 fold by virus, IFNA CPM of each library with virus."""
    counts, obs = read_counts("pdc_bulk_rhinovirus_P259.h5ad")
    good = obs["median_cv_coverage"] <= 0.6
    cpm = counts.loc[good].div(counts.loc[good].sum(axis=1), axis=0) * 1e6
    virus = (obs.loc[good, "virus"] == "HRV").to_numpy()
    logs = np.log2(cpm + 1)
    diff = logs[virus].mean() - logs[~virus].mean()
    se = np.sqrt(logs[virus].var() / virus.sum() + logs[~virus].var() / (~virus).sum())
    clear = (diff.abs() > 0.6) & (diff.abs() > 4 * se)
    print(f"  pDC bulk (P259): {(~virus).sum()} libraries without virus, {virus.sum()} with")
    return cpm[~virus].mean() / 100, diff.where(clear, 0.0), cpm[virus], int((~virus).sum())


def b_folds() -> tuple[pd.Series, pd.Series]:
    """log2 memory/naive and DN2/naive; measured genes only."""
    x, obs = read_counts("csle_bcells_neharbelaid.h5ad")
    label = obs["cell_type"].astype(str)
    n = label.value_counts()
    print(f"  B subsets (GSE135779): {n['Naive']} naive, {n['Memory']} memory, {n['DN2']} DN2")
    csle = {k: x[label == k].sum() for k in ("Naive", "Memory", "DN2")}
    x, obs = read_counts("onek1k_bcells_817g.h5ad")
    label = obs["cell_type"].astype(str)
    n = label.value_counts()
    print(f"  B subsets (OneK1K): {n['bin']} naive, {n['bmem']} memory")
    onek = {k: x[label == k].sum() for k in ("bin", "bmem")}
    memory = [
        damped_log_fold(csle["Naive"], csle["Memory"]),
        damped_log_fold(onek["bin"], onek["bmem"]),
    ]
    return pd.concat(memory, axis=1).mean(axis=1), damped_log_fold(csle["Naive"], csle["DN2"])


def damped_log_fold(a: pd.Series, b: pd.Series) -> pd.Series:
    """log2 fold b/a; each gene shrunk by 4 UMI to no difference."""
    expected = (a + b) / (a.sum() + b.sum())
    lo = (a + 4) / (a.sum() + 4 / expected.clip(lower=1e-9))
    hi = (b + 4) / (b.sum() + 4 / expected.clip(lower=1e-9))
    # these matrices hold selected genes, so that their totals are no library: centre on the median
    lfc = np.log2(hi / lo)
    return lfc - lfc[(a + b) > (a + b).median()].median()


def hold_foreign_markers(base: pd.DataFrame) -> None:
    """Markers of a lineage at no more than 2 % of their level in it elsewhere (in place)."""
    for name, genes in HELD.items():
        own = FOREIGN[name]["states"] + FOREIGN[name]["shares"]
        others = [s for s in base.index if s not in own]
        for gene in (g for g in genes if g in base.columns):
            level = base.loc[FOREIGN[name]["states"], gene].mean()
            base.loc[others, gene] = base.loc[others, gene].clip(upper=HELD_AT * level)


# --- assembling ----------------------------------------------------------------------------
def kang_profiles():
    """Base (UMI per 10,000) and log2 fold by interferon of the states of GSE96583."""
    x, obs = read_counts("kang_ifnb_fullgenes_annot.h5ad")
    label = {kang: state for state, (kang, _) in KANG.items()}
    state = obs["cell_type"].astype(str).map(label)
    sums, cells = {}, {}
    for condition in ("ctrl", "stim"):
        rows = {s: (state == s) & (obs["condition"] == condition) for s in KANG}
        cells[condition] = {s: int(r.sum()) for s, r in rows.items()}
        print(
            f"  GSE96583 {condition}: " + ", ".join(f"{s} {n}" for s, n in cells[condition].items())
        )
        raw = {s: x[r].sum().to_numpy() for s, r in rows.items()}
        sums[condition] = remove_foreign({s: v for s, v in raw.items() if v.sum() > 0}, x.columns)
    ctrl, stim = sums["ctrl"], sums["stim"]
    ctrl.setdefault("Erythrocyte", np.zeros(x.shape[1]))
    pooled = pooled_log_fold(ctrl, stim)
    prior = balanced(ctrl)
    umi = x.sum(axis=1)
    base = {}
    for s in KANG:
        base[s] = shrink(ctrl[s], prior, 0.2) if s not in ("pDC", "Erythrocyte") else prior
    frame = pd.DataFrame(base, index=x.columns).T * PER
    size = umi[obs["condition"] == "ctrl"].groupby(state, observed=True).mean()
    size["pDC"] = umi[state == "pDC"].mean()
    ctrl_cells = obs["condition"] == "ctrl"
    return {
        "base": frame, "ctrl": ctrl, "stim": stim, "pooled": pooled, "cells": cells,
        "rna": size / size["CD4 naive T"],
        "cv": overdispersion(x[ctrl_cells], state[ctrl_cells]),
    }  # fmt: skip


def add_small_states(kang, cb, bulk_rest) -> None:
    """pDC (few cells) and erythrocytes (stimulated only): prior from elsewhere, then counts."""
    base, pooled = kang["base"], kang["pooled"]
    for state, strength in (("pDC", 4.0), ("Erythrocyte", 1.5)):
        prior = base.loc[state].copy()
        sources = [anchored(cb, KANG[state][1][0], base)]
        if state == "pDC":
            sources.append(bulk_rest.reindex(base.columns).dropna())
        logs = pd.concat([np.log(s + 0.005) for s in sources], axis=1).mean(axis=1)
        prior.loc[logs.index] = np.exp(logs)
        prior = (prior / prior.sum()).to_numpy()
        x = kang["ctrl"][state] + kang["stim"][state]
        # stimulated cells count as if their interferon response were divided out
        exposure = kang["ctrl"][state].sum() + kang["stim"][state].sum() * 2.0**pooled
        with np.errstate(divide="ignore"):
            post = np.where(prior > 0, (x + strength) / (exposure + strength / prior), 0.0)
        base.loc[state] = post / post.sum() * PER


def split_b(base: pd.DataFrame, memory: pd.Series, dn2: pd.Series, share: float) -> None:
    """Naive, memory and DN2 such that naive and memory mix to the B cells that were measured."""
    fold = 2.0 ** memory.reindex(base.columns).fillna(0.0)
    naive = base.loc["B"] / (1 - share + share * fold)
    base.loc["B naive"] = naive
    base.loc["B memory"] = naive * fold
    base.loc["B atypical"] = naive * 2.0 ** dn2.reindex(base.columns).fillna(0.0)


def lay_knowledge(base: pd.DataFrame) -> list[str]:
    """Put marker knowledge on the measured profiles; returns sentences that list it."""
    invented = []
    for gene, rates in KNOWLEDGE["genes"].items():
        if gene not in base.columns:
            base[gene] = 0.0
        for state in base.index:
            if state in rates or "default" in rates:
                base.loc[state, gene] = rates.get(state, rates.get("default"))
        named = ", ".join(s for s in rates if s != "default") or "every state (men)"
        low = len(rates) > 1 and "default" in rates
        invented.append(f"{gene} in {named}" + (" (0 or nearly so elsewhere)" if low else ""))
    for state, entry in KNOWLEDGE["states"].items():
        logs = sum(w * np.log(base.loc[s] + FLOOR) for s, w in entry["base"].items())
        profile = (np.exp(logs) - FLOOR).clip(lower=0)
        for gene, rate in entry["rate"].items():
            profile[gene] = rate
        for gene, factor in entry["fold"].items():
            if gene in profile.index:
                profile[gene] *= factor
        base.loc[state] = profile
        invented.append(f"{state}: {entry['why']}")
    shares = ", ".join(s for s in KNOWLEDGE["composition"] if s in CELL_TYPE)
    k = KNOWLEDGE["ifna"]
    return [
        *invented,
        f"share of {shares}, of transitional among B cells, of plasmablasts among plasma cells",
        f"RNA content of {', '.join(KNOWLEDGE['rna'])}",
        f"spread between donors of {', '.join(KNOWLEDGE['log_sd'])}",
        "IFNA UMI of a producing cell: measured rate of a culture, with the assumptions that "
        f"{k['producing_share_in_culture']:.0%} of its pDC produced, that reads count IFNA "
        f"{k['length_correction']:g} times less than UMI do, and that "
        f"{k['mapping_recovery']:.0%} of its reads map uniquely",
    ]


def composition() -> pd.DataFrame:
    """Share of all cells and log SD between donors, by state."""
    table = pd.read_csv(DATA / "props_speckle_healthy_pbmc20.csv", index_col=0)
    by_state = pd.DataFrame({s: table.loc[rows].sum() for s, rows in SPECKLE.items()})
    share, sd = by_state.mean(), np.log(by_state.clip(lower=1e-5)).std()
    known = KNOWLEDGE["composition"]
    plasma = share.pop("plasma cells")
    split = known["plasmablast_of_plasma_cells"]
    share["Plasmablast"], share["Plasma"] = plasma * split, plasma * (1 - split)
    b = share[["B naive", "B memory", "B atypical"]].sum()
    share["B transitional"] = b * known["transitional_of_b"]
    share["B naive"] -= share["B transitional"]
    for state in ("HSPC", "Basophil/Mast", "Platelet", "Erythrocyte"):
        share[state] = known[state]
    sd = sd.reindex(STATES).clip(upper=0.8)  # more is sampling of few cells, not donors
    sd.update(pd.Series(KNOWLEDGE["log_sd"]))
    print(f"  fractions: {table.shape[1]} healthy donors, pDC {share['pDC']:.2%}")
    return pd.DataFrame({"share": share / share.sum(), "log_sd": sd}).loc[STATES]


def choose_genes(base: pd.DataFrame, wanted: set[str]) -> list[str]:
    top = base.max().sort_values(ascending=False).index[:N_TOP]
    real = [g for g in top if not g.startswith("RP11-") and "." not in g]
    return sorted({*real, *(g for g in wanted if g in base.columns)})


def ifna_of_producer(virus_cpm: pd.DataFrame) -> tuple[pd.Series, float]:
    """Shares of the paralogs, and UMI per 10,000 of a producing cell.

    Mean over libraries of the summed IFNA CPM is the rate of an average pDC in that culture.
    One producing cell has it divided by the share of cells that produce (0.4: the upper end of
    what is published after priming, so the lowest rate); reads of a full-length library count a
    short mRNA less than UMI do (x2: IFNA about 1 kb against 2 kb); half of the reads of the
    paralogs are lost as multimapping. The last three are assumptions, not measurements.
    """
    paralogs = [c for c in virus_cpm if c.startswith("IFNA") and c[4:].isdigit()]
    total = virus_cpm[paralogs].sum(axis=1)
    k = KNOWLEDGE["ifna"]
    rate = total.mean() / 100 / k["producing_share_in_culture"]
    rate *= k["length_correction"] * k["mapping_recovery"]
    print(
        f"  IFNA: {total.mean():.0f} CPM in {len(total)} libraries with virus "
        f"(range {total.min():.0f}-{total.max():.0f}): {rate:.1f} UMI per 10,000 of a producer"
    )
    means = virus_cpm[paralogs].mean()
    return means / means.sum(), float(rate)


def write(name: str, table: pd.DataFrame) -> None:
    """Gzip without a time stamp, so that the same figures give the same file."""
    text = table.to_csv(lineterminator="\n", float_format="%.4g")
    with open(OUT / name, "wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as file:
        file.write(text.encode())
    print(
        f"  wrote {name}: {table.shape[0]} x {table.shape[1]}, "
        f"{(OUT / name).stat().st_size / 1e3:.0f} kB"
    )


def source_of(state: str) -> str:
    if state in KNOWLEDGE["states"]:
        return f"invented: {KNOWLEDGE['states'][state]['why']}"
    known = {
        "pDC": "GSE96583 pDC with P259 libraries and CBMC pDC as prior",
        "HSPC": "CBMC CD34+, anchored on GSE96583",
        "Erythrocyte": "GSE96583 stimulated erythrocytes with CBMC as prior",
        "B naive": "GSE96583 B cells, split by GSE135779 and OneK1K",
        "B memory": "GSE96583 B cells, split by GSE135779 and OneK1K",
        "B atypical": "GSE96583 B cells, shifted by GSE135779",
    }
    return known.get(state, "GSE96583")


def make_base(kang, bulk_rest, shares, wanted: set[str]) -> tuple[pd.DataFrame, list[str]]:
    """UMI per 10,000 of every state and gene, and the list of what is invented."""
    cb = cbmc()
    add_small_states(kang, cb, bulk_rest)
    base = kang["base"].copy()
    extra = [g for g in cb.index if g not in base.columns]
    extra = [g for g in extra if g in wanted or g.startswith("MT-")]
    base = base.join(missing_from_cbmc(cb, base, extra))
    print(f"  CBMC only: {', '.join(extra)}")
    # genes that only the pDC libraries measured (interferons: silent until a cell produces)
    for gene in sorted(g for g in wanted if g in bulk_rest and g not in base.columns):
        base[gene] = 0.0
        base.loc["pDC", gene] = 0.0 if gene.startswith("IFN") else bulk_rest[gene]
    hold_foreign_markers(base)
    hspc = base.loc[list(KANG)].drop(index=["Platelet", "Erythrocyte"]).mean()
    anchor = anchored(cb, "CD34+", base)
    hspc.loc[anchor.index] = anchor
    base.loc["HSPC"] = hspc
    memory, dn2 = b_folds()
    b = shares["share"]
    split_b(base, memory, dn2, b["B memory"] / (b["B memory"] + b["B naive"]))
    for gene in sorted(wanted - set(base.columns)):
        base[gene] = 0.0
    return base, lay_knowledge(base)


def keep_genes(base: pd.DataFrame, wanted: set[str]) -> pd.DataFrame:
    """The genes that are shipped, each state summing to 10,000."""
    genes = choose_genes(base, wanted | {g for g in base.columns if g.startswith("MT-")})
    kept = base.loc[STATES, genes].where(lambda t: t >= FLOOR, 0.0)
    held = kept.sum(axis=1) / 1e2
    silent = [g for g in genes if kept[g].max() == 0.0]
    print(
        f"  {len(genes)} genes hold {held['CD4 naive T']:.1f} % of the UMI of a T cell and "
        f"{held['CD14 Mono']:.1f} % of a monocyte; silent in all: {', '.join(silent)}"
    )
    return kept.div(kept.sum(axis=1), axis=0) * PER


def make_response(kang, genes: list[str]) -> pd.DataFrame:
    """log2 fold change by interferon of every state and gene."""
    fold = pd.DataFrame(0.0, index=STATES, columns=genes)
    base = kang["base"]
    for state in STATES:
        source = BORROWS.get(state, state)
        own = kang["pooled"]
        if source is not None and source != "Erythrocyte":
            rest = base.loc[source].to_numpy() / PER
            own = state_log_fold(kang["ctrl"][source], kang["stim"][source], rest, own)
        fold.loc[state] = pd.Series(own, base.columns).reindex(genes).fillna(0.0).round(2)
    return fold


def make_gene_table(kang, virus_fold, virus_cpm, genes: list[str]) -> pd.DataFrame:
    """Per gene: variation between cells, and what a producing pDC changes."""
    paralogs, rate = ifna_of_producer(virus_cpm)
    table = pd.DataFrame(index=pd.Index(genes, name="gene"))
    table["cv"] = kang["cv"].reindex(genes).fillna(0.0).round(3)
    table["producing_log2"] = virus_fold.reindex(genes).fillna(0.0).round(2)
    table["producing_rate"] = 0.0
    # interferons are off at rest, so that they need a rate and not a fold; the others go by IFNA
    per_cpm = rate / virus_cpm[list(paralogs.index)].sum(axis=1).mean()
    others = ["IFNB1", "IFNW1", "IFNL1", "IFNL2", "IFNL3", "IFNE", "IFNK"]
    for gene in [*paralogs.index, *(g for g in others if g in virus_cpm)]:
        table.loc[gene, "producing_rate"] = virus_cpm[gene].mean() * per_cpm
        table.loc[gene, "producing_log2"] = 0.0
    return table


def make_states(kang, shares: pd.DataFrame, n_libraries: int) -> pd.DataFrame:
    """What a reader wants to know of each state, and what the simulator needs."""
    rna = kang["rna"].rename({"B": "B naive"}).reindex(STATES)
    rna["B memory"] = rna["B naive"]
    rna["B transitional"] = rna["B naive"]
    rna.update(pd.Series(KNOWLEDGE["rna"]))
    states = shares.copy()
    states.insert(0, "cell_type", pd.Series(CELL_TYPE))
    states["rna"] = rna
    invented = [s in KNOWLEDGE["states"] for s in STATES]
    for condition in ("ctrl", "stim"):
        n = kang["cells"][condition]
        label = ["B" if s in ("B naive", "B memory", "B atypical") else s for s in STATES]
        states[f"n_cells_{condition}"] = [
            0 if new else n.get(s, 0) for s, new in zip(label, invented, strict=True)
        ]
    states["n_libraries"] = [int(s == "pDC") * n_libraries for s in STATES]
    states["response_of"] = [BORROWS.get(s, s) or "all states pooled" for s in STATES]
    states.loc["Erythrocyte", "response_of"] = "all states pooled"
    states["source"] = [source_of(s) for s in STATES]
    states["invented"] = invented
    states.index.name = "state"
    print(states.drop(columns="source").round(4).to_string())
    return states


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = genes_of_sets() | set(EXTRA_GENES)
    kang = kang_profiles()
    bulk_rest, virus_fold, virus_cpm, n_rest = bulk_pdc()
    shares = composition()
    base, invented = make_base(kang, bulk_rest, shares, wanted)
    kept = keep_genes(base, wanted)
    genes = list(kept.columns)
    write("profiles.csv.gz", kept.T.rename_axis("gene"))
    write("response.csv.gz", make_response(kang, genes).T.rename_axis("gene"))
    write("genes.csv.gz", make_gene_table(kang, virus_fold, virus_cpm, genes))
    states = make_states(kang, shares, n_rest)
    states.round(5).to_csv(OUT / "states.csv", lineterminator="\n")
    (OUT / "invented.txt").write_text("\n".join(invented) + "\n")


if __name__ == "__main__":
    main()
