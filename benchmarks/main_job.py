"""Print the figures of the main job on real cells, each beside its target and simple peers.

Reads ``$SCIFN_DATA`` or ``../shared/data``; needs the extra ``scifn[test]`` (pyucell).
What fitted a parameter and what tested it is printed first. No figure here chose one.

Run: ``python benchmarks/main_job.py``
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyucell
import scanpy as sc
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from scifn import _keys as k
from scifn import genesets, tl

DATA = Path(os.environ.get("SCIFN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
#: Cells that a type needs for an AUC of its own.
MIN_CELLS = 15
FITTED = """\
What fitted a parameter
  expected expression of cell types   CITE-seq typed cord blood (ref_cbmc_citeseq_13types), and
                                      marker knowledge (benchmarks/identity_knowledge.toml)
  weights of the response genes       bead-sorted resting cells (zheng_sorted_refs_mudan)
  gene sets                           literature, as each set says (scifn genes)
What tested it
  response, pDC, lineages             kang_ifnb_fullgenes_annot (labels of the data set)
  naive / memory / DN2                csle_bcells_neharbelaid (labels of the data set)
  no pDC, B cells found               zheng_sorted_refs_mudan (sorted by beads): identity read
                                      nothing of it; its rates weigh the response only
  IFNA measured and none there        celltypist_sample
Peers: scanpy.tl.score_genes (random_state 0, on log1p CP10k) and pyucell, the same genes."""


def load(name: str) -> ad.AnnData:
    return ad.read_h5ad(DATA / f"{name}.h5ad")


def peers(adata: ad.AnnData, genes: list[str]) -> dict[str, np.ndarray]:
    """Scores of the same genes by score_genes and UCell."""
    genes = [gene for gene in genes if gene in adata.var_names]
    copy = ad.AnnData(adata.X.copy(), adata.obs[[]].copy(), adata.var[[]].copy())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyucell.compute_ucell_scores(copy, signatures={"set": genes}, n_jobs=1)
        sc.pp.normalize_total(copy, target_sum=1e4)
        sc.pp.log1p(copy)
        sc.tl.score_genes(copy, genes, score_name="seurat", random_state=0)
    ucell = next(name for name in copy.obs if "set" in name)
    return {"score_genes": copy.obs["seurat"].to_numpy(), "pyucell": copy.obs[ucell].to_numpy()}


def row(what: str, value: object, target: str, ok: bool | None) -> None:
    mark = {True: "met", False: "MISSED", None: ""}[ok]
    print(f"  {what:<52} {value!s:>16}  {target:<22} {mark}")


def by_type(truth: np.ndarray, score: np.ndarray, types: np.ndarray) -> pd.Series:
    """AUC within each labelled type with enough cells."""
    names = [name for name in np.unique(types) if (types == name).sum() >= MIN_CELLS]
    auc = {name: roc_auc_score(truth[types == name], score[types == name]) for name in names}
    return pd.Series(auc).sort_values()


def response(kang: ad.AnnData) -> None:
    print("\nResponse: stimulated against control cells, kang full genes (2,708 cells), AUC")
    tl.response(kang, condition="condition", reference="ctrl")
    truth = (kang.obs["condition"] == "stim").to_numpy()
    types = kang.obs["cell_type"].astype(str).to_numpy()
    genes = genesets.load("isg_sc_pan")
    scores = {"scifn": kang.obs[k.RESPONSE_TYPE1].to_numpy()}
    plain = kang.copy()
    del plain.uns[k.UNS]["response"]
    tl.response(plain, overwrite=True)
    scores["scifn, no controls"] = plain.obs[k.RESPONSE_TYPE1].to_numpy()
    for name, score in {**scores, **peers(kang, genes)}.items():
        ours = name == "scifn"
        auc = roc_auc_score(truth, score)
        row(f"{name}: all cells", f"{auc:.4f}", ">= 0.996" * ours, auc >= 0.996 if ours else None)
        each = by_type(truth, score, types)
        worst = f"{each.iloc[0]:.4f} {each.index[0]}"
        ok = bool(each.iloc[0] >= 0.97) if ours else None
        row(f"{name}: worst of {len(each)} types", worst, ">= 0.97 (next issue)" * ours, ok)


def plasmacytoid(kang: ad.AnnData) -> None:
    print("\npDC: 15 labelled among 2,708 cells, kang full genes")
    truth = (kang.obs["cell_type"] == "pDC").to_numpy()
    called = (kang.obs[k.PDC_CALL] == "pDC").to_numpy()
    found, false = int((called & truth).sum()), int((called & ~truth).sum())
    row("scifn: called of 15, false of 2,693", f"{found}, {false}", ">= 12, <= 1 (later)",
        found >= 12 and false <= 1)  # fmt: skip
    core, support = genesets.load("pdc_identity_core"), genesets.load("pdc_identity_support")
    others = {f"{name}, core": score for name, score in peers(kang, core).items()}
    both = peers(kang, [*core, *support])
    others |= {f"{name}, core and support": score for name, score in both.items()}
    ours = kang.obs[k.PDC_SCORE].astype(float).fillna(-1e3).to_numpy()
    for name, score in {"scifn": ours, **others}.items():
        ap = average_precision_score(truth, score)
        top = int(truth[np.argsort(-score, kind="stable")[:15]].sum())
        mine = name == "scifn"
        row(f"{name}: average precision", f"{ap:.3f}", "> 0.90 (later)" * mine,
            ap > 0.90 if mine else None)  # fmt: skip
        row(f"{name}: labelled ones among the top 15", top, "", None)


def lineage_of(label: str) -> str:
    """Lineage of a label of the Kang data; "" for platelets and erythrocytes."""
    if label in {"DC", "pDC"}:
        return "DC"
    if label.startswith("B"):
        return "B"
    if "Mono" in label:
        return "Mono"
    return "" if label in {"Mk", "Eryth"} else "T/NK"


def lineages(kang: ad.AnnData) -> None:
    print("\nLineages, kang full genes, F1")
    truth = kang.obs["cell_type"].astype(str).map(lineage_of)
    kept = (truth != "").to_numpy()
    names = ["B", "DC", "Mono", "T/NK"]
    called = kang.obs[k.LINEAGE].astype(str)
    each = f1_score(truth[kept], called[kept], labels=names, average=None)
    for name, value in zip(names, each, strict=True):
        row(f"scifn: {name}", f"{value:.3f}", "", None)
    macro = float(each.mean())
    row("scifn: macro over the four", f"{macro:.3f}", ">= 0.95 (later)", macro >= 0.95)
    three = f1_score(truth[kept], called[kept], labels=["B", "Mono", "T/NK"], average="macro")
    row("scifn: macro of B, Mono, T/NK", f"{three:.3f}", "", None)


def b_cells() -> None:
    print("\nB cells: naive, memory, DN2, csle (500 cells, 1,503 genes), F1")
    csle = load("csle_bcells_neharbelaid")
    tl.annotate(csle)
    truth = csle.obs["cell_type"].astype(str)
    as_label = {
        k.B_NAIVE: "Naive", k.B_TRANSITIONAL: "Naive", k.B_MEMORY: "Memory", k.B_ATYPICAL: "DN2",
    }  # fmt: skip
    called = csle.obs[k.CELL_TYPE].astype(str).map(as_label).fillna("none")
    names = ["Naive", "Memory", "DN2"]
    each = f1_score(truth, called, labels=names, average=None)
    for name, value in zip(names, each, strict=True):
        row(f"scifn: {name}", f"{value:.3f}", "", None)
    macro = float(each.mean())
    row("scifn: macro", f"{macro:.3f}", ">= 0.75 (later)", macro >= 0.75)
    best = best_set(csle)
    value = f1_score(truth, best, labels=names, average="macro")
    row("score_genes, the highest of three sets: macro", f"{value:.3f}", "", None)


def best_set(adata: ad.AnnData) -> np.ndarray:
    """The simple peer: z of score_genes of three sets, the highest wins."""
    sets = {"Naive": "b_naive", "Memory": "b_memory", "DN2": "b_abc_dn2"}
    scores = pd.DataFrame(
        {label: peers(adata, genesets.load(name))["score_genes"]
         for label, name in sets.items()}
    )  # fmt: skip
    scores = (scores - scores.mean()) / scores.std()
    return scores.idxmax(axis=1).to_numpy()


def refused() -> None:
    print("\nWhat is not there, or cannot be told")
    zheng = load("zheng_sorted_refs_mudan")
    tl.annotate(zheng)
    row("zheng (3 of 11 pDC genes): pDC calls", _share(zheng.obs[k.PDC_CALL]), "all NA",
        bool((zheng.obs[k.PDC_CALL] == "NA").all()))  # fmt: skip
    is_b = zheng.obs["cell_type"].astype(str).str.startswith("bcell").to_numpy()
    recall = float((zheng.obs[k.LINEAGE] == "B").to_numpy()[is_b].mean())
    row("zheng: recall of sorted B cells", f"{recall:.3f}", ">= 0.97", recall >= 0.97)
    typist = load("celltypist_sample")
    tl.annotate(typist)
    tl.production(typist)
    row("celltypist: IFNA evidence", _share(typist.obs[k.IFNA_EVIDENCE]), "none, not NaN",
        not typist.obs[k.IFNA_EVIDENCE].isin(["weak", "strong"]).any())  # fmt: skip
    kang = load("kang_muscat_example")
    tl.annotate(kang)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tl.production(kang)
    row("kang (no IFNA feature): IFNA evidence", _share(kang.obs[k.IFNA_EVIDENCE]),
        "not_measurable", bool((kang.obs[k.IFNA_EVIDENCE] == "not_measurable").all()))  # fmt: skip


def _share(values: pd.Series) -> str:
    counts = values.astype(str).value_counts()
    return ", ".join(f"{n} {name}" for name, n in counts.items())


def main() -> None:
    start = time.perf_counter()
    print(FITTED)
    kang = load("kang_ifnb_fullgenes_annot")
    tl.annotate(kang)
    response(kang)
    plasmacytoid(kang)
    lineages(kang)
    b_cells()
    refused()
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
