"""Print the figures of cell identity, each beside its target and simple peers, and every miss.

The peers are scanpy.tl.score_genes (random_state 0, on log1p CP10k) and pyucell on the same
genes; "trained on the labels" is a regression on the identity genes, five folds. Reads
``$SCIFN_DATA`` or ``../shared/data``; needs the extra ``scifn[test]``.

Run: ``python benchmarks/identity.py [--only PART ...] [--json FILE] [--misses FILE]``
"""

from __future__ import annotations

import argparse
import hashlib
import time
import warnings
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import identity_checks as checks
import numpy as np
from _calls import (
    CSLE,
    KANG,
    ONEK1K,
    SHOWN_TOO,
    ZHENG,
    Called,
    Pair,
    call,
    called,
    cells,
    figure,
    identity_genes,
    made_without,
    warn_if_stale,
)  # fmt: skip
from _shared import Sheet, highest_set, load, peer_scores, peers, trained
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    roc_auc_score,
)  # fmt: skip

from scifn import _keys as k
from scifn import genesets
from scifn._cells import shown

LINEAGES = ("B", "DC", "Mono", "T/NK")
MONOCYTE = ("CD14", "FCN1", "S100A8", "S100A9", "S100A12", "VCAN", "LYZ", "FCGR3A")
DENDRITIC = ("CD1C", "FCER1A", "CLEC10A", "CLEC9A")
CORE = genesets.load("pdc_identity_core")
SUPPORT = genesets.load("pdc_identity_support")
ANTIBODY = [gene for gene in SHOWN_TOO if gene.startswith("IG")]
SECRETING = ("JCHAIN", "MZB1", "DERL3", "XBP1", "TNFRSF17", "SDC1", "PRDM1", "FKBP11")
#: Which label of a data set a cell type agrees with.
SIDES = {
    k.B_NAIVE: "naive", k.B_TRANSITIONAL: "naive",
    k.B_MEMORY: "memory", k.B_ATYPICAL: "memory", k.PLASMA: "memory", k.PLASMABLAST: "memory",
}  # fmt: skip
CSLE_LABEL = {
    k.B_NAIVE: "Naive", k.B_TRANSITIONAL: "Naive", k.B_MEMORY: "Memory", k.B_ATYPICAL: "DN2",
}  # fmt: skip


def labels_of(one: Called) -> np.ndarray:
    return one.adata.obs["cell_type"].astype(str).to_numpy()


# --- kang: pDC -------------------------------------------------------------------
def kang_pdc(sheet: Sheet) -> None:
    sheet.start("kang pDC: 15 labelled among 2,708 cells, all genes", made_without(KANG))
    pair = called(KANG)
    truth = labels_of(pair.held_out) == k.PDC
    figure(sheet, "average precision of the score", pair,
           lambda c: average_precision_score(truth, _score(c)), above=0.90)  # fmt: skip
    figure(sheet, "called of 15 labelled", pair, lambda c: int((c.pdc & truth).sum()), least=12)
    figure(sheet, "called among the other 2,693", pair,
           lambda c: int((c.pdc & ~truth).sum()), most=1)  # fmt: skip
    figure(sheet, "labelled ones among the top 15", pair, lambda c: _top(truth, _score(c)))
    for name, genes in {"core": CORE, "core and support": [*CORE, *SUPPORT]}.items():
        for method, score in peers(pair.held_out.adata, genes).items():
            sheet.row(f"{method}, {name}: average precision", average_precision_score(truth, score))
            sheet.row(f"{method}, {name}: labelled among the top 15", _top(truth, score))
    groups = {
        "core": CORE, "support": SUPPORT, "AS-DC": [*shown.ASDC_FIRST, *shown.ASDC_OTHER],
        "B": genesets.load("neg_b"), "Mono": MONOCYTE, "cDC": DENDRITIC,
        "T/NK": genesets.load("neg_t_nk"), "secreting": [*SECRETING, *ANTIBODY],
    }  # fmt: skip
    one, labels = pair.held_out, labels_of(pair.held_out)
    sheet.listing("labelled pDC that are not called", cells(one, truth & ~one.pdc, labels, groups))
    sheet.listing("called without the label", cells(one, one.pdc & ~truth, labels, groups))


def _score(one: Called) -> np.ndarray:
    return np.nan_to_num(one.result.pdc_score, nan=-1e3)


def _top(truth: np.ndarray, score: np.ndarray) -> int:
    return int(truth[np.argsort(-score, kind="stable")[:15]].sum())


# --- kang: lineages ---------------------------------------------------------------
LINEAGE_GENES = {
    "B": genesets.load("b_pan"),
    "DC": [*DENDRITIC, *CORE],
    "Mono": MONOCYTE,
    "T/NK": genesets.load("neg_t_nk"),
}


def kang_lineages(sheet: Sheet) -> None:
    sheet.start("kang lineages: B, DC, Mono, T/NK, F1", made_without(KANG))
    alone = called(KANG)
    labels = labels_of(alone.held_out)
    truth = np.array([checks.lineage_of(label) for label in labels])
    _lineage_figures(sheet, "each cell by itself", alone, truth)
    _lineage_figures(sheet, "clusters='leiden'", called(KANG, clusters=True), truth)
    one = alone.held_out
    _against_labels(sheet, one, truth)
    _lineage_peers(sheet, one, truth)
    sheet.confusion(labels, np.where(one.types == k.DOUBLET, k.DOUBLET, one.result.lineage))
    wrong = (truth != "") & (one.result.lineage != truth)
    groups = {**LINEAGE_GENES, "platelet": ["PPBP", "PF4"], "HSPC": genesets.load("neg_hspc")}
    for name in LINEAGES:
        mine = wrong & (truth == name)
        sheet.listing(f"misses among labelled {name}", cells(one, mine, labels, groups))


def _lineage_figures(sheet: Sheet, way: str, pair: Pair[Called], truth: np.ndarray) -> None:
    """F1 of each lineage; a doublet call is a miss, except in the line that leaves them out."""
    told = truth != ""
    for i, name in enumerate(LINEAGES):
        figure(sheet, f"{way}: {name}", pair, lambda c, i=i: _f1(truth, c, told)[i])
    figure(sheet, f"{way}: macro", pair, lambda c: _f1(truth, c, told).mean(), least=0.95)
    figure(sheet, f"{way}: macro, cells called Doublet left out", pair,
           lambda c: _f1(truth, c, told & (c.types != k.DOUBLET)).mean())  # fmt: skip
    figure(sheet, f"{way}: cells called Doublet", pair,
           lambda c: int((told & (c.types == k.DOUBLET)).sum()))  # fmt: skip


def _f1(truth: np.ndarray, one: Called, rows: np.ndarray) -> np.ndarray:
    lineage = one.result.lineage.astype(str)
    return f1_score(truth[rows], lineage[rows], labels=list(LINEAGES), average=None)


def _against_labels(sheet: Sheet, one: Called, truth: np.ndarray) -> None:
    """Misses in which the transcripts contradict the label, and macro F1 without those cells."""

    def umi(*genes: str) -> np.ndarray:
        return one.view.sum(genes)

    # without S100A8, S100A9 and LYZ, which ambient RNA and DC hold, too
    myeloid = umi("CD14", "FCN1", "S100A12", "VCAN", "FCGR3A")
    dendritic = umi(*DENDRITIC, "CCR7", "LAMP3")
    other = np.maximum(umi(*genesets.load("neg_t_nk")), umi(*genesets.load("neg_b")))
    lineage = one.result.lineage.astype(str)
    no_dc = (truth == "DC") & (lineage == "Mono") & (myeloid >= 3) & (dendritic <= 1)
    two = (truth == "Mono") & (one.types == k.DOUBLET) & (other >= 3)
    sheet.row("labelled DC called Mono", int(((truth == "DC") & (lineage == "Mono")).sum()))
    sheet.row("of them with 3 UMI of monocytes, at most 1 of DC", int(no_dc.sum()))
    sheet.row("labelled Mono called Doublet",
              int(((truth == "Mono") & (one.types == k.DOUBLET)).sum()))  # fmt: skip
    sheet.row("of them with 3 UMI of T and NK, or of B cells", int(two.sum()))
    kept = (truth != "") & ~no_dc & ~two
    sheet.row("macro without those cells", _f1(truth, one, kept).mean())


def _lineage_peers(sheet: Sheet, one: Called, truth: np.ndarray) -> None:
    told = truth != ""
    for method, scores in peer_scores(one.adata, LINEAGE_GENES).items():
        best = highest_set(scores)
        value = f1_score(truth[told], best[told], labels=list(LINEAGES), average="macro")
        sheet.row(f"{method}, highest of four sets: macro", value)
    fitted = trained(one.adata[told], identity_genes(one.view), truth[told]).idxmax(axis=1)
    value = f1_score(truth[told], fitted, labels=list(LINEAGES), average="macro")
    sheet.row("trained on the labels: macro", value)


# --- zheng -------------------------------------------------------------------------
def zheng(sheet: Sheet) -> None:
    sheet.start("zheng: bead-sorted cells, no pDC, no plasma cell", made_without(ZHENG))
    pair = called(ZHENG)
    labels = labels_of(pair.held_out)
    is_b = labels == "bcells"
    figure(sheet, "pDC calls", pair, lambda c: int(c.pdc.sum()), most=0)
    figure(sheet, "pDC calls that are NA", pair, lambda c: int((c.result.pdc_call == "NA").sum()))
    figure(sheet, "plasma calls", pair, lambda c: int((c.types == k.PLASMA).sum()), most=0)
    figure(sheet, "plasmablast calls", pair, lambda c: int((c.types == k.PLASMABLAST).sum()))
    view = pair.held_out.view
    proven = (view.sum(["TNFRSF17"]) >= 1) & (view.sum(["JCHAIN", "MZB1"]) >= 10)
    figure(sheet, "of both, with TNFRSF17 and 10 UMI of JCHAIN and MZB1", pair,
           lambda c: int(proven[_secreting(c)].sum()))  # fmt: skip
    figure(sheet, "cells with as much that are called neither", pair,
           lambda c: int(proven[~_secreting(c)].sum()))  # fmt: skip
    figure(sheet, "recall of sorted B cells (lineage)", pair,
           lambda c: float((c.result.lineage == "B")[is_b].mean()), least=0.97)  # fmt: skip
    figure(sheet, "other sorted cells called B", pair,
           lambda c: int((c.result.lineage == "B")[~is_b].sum()))  # fmt: skip
    one = pair.held_out
    groups = {
        "core": CORE, "support": SUPPORT, "secreting": SECRETING, "IG": ANTIBODY,
        "B": genesets.load("b_pan"), "T/NK": genesets.load("neg_t_nk"), "Mono": MONOCYTE,
    }  # fmt: skip
    wrong = one.pdc | _secreting(one)
    sheet.listing("called pDC, plasma cell or plasmablast", cells(one, wrong, labels, groups))
    sheet.listing("sorted B cells that are not called B",
                  cells(one, is_b & (one.result.lineage != "B"), labels, groups))  # fmt: skip
    sheet.confusion(labels, one.types, k.CELL_TYPES)
    _cut_to_zheng(sheet, one)


def _secreting(one: Called) -> np.ndarray:
    return np.isin(one.types, [k.PLASMA, k.PLASMABLAST])


def _cut_to_zheng(sheet: Sheet, sorted_cells: Called) -> None:
    sheet.start("kang cut to the features of zheng", made_without(KANG))
    kang = load(KANG)
    pair = call(kang[:, kang.var_names.isin(sorted_cells.adata.var_names)].copy(), (KANG,))
    one, labels = pair.held_out, labels_of(pair.held_out)
    truth = labels == k.PDC
    figure(sheet, "pDC called of 15 labelled", pair, lambda c: int((c.pdc & truth).sum()), least=8)
    figure(sheet, "called among the other 2,693", pair, lambda c: int((c.pdc & ~truth).sum()))
    sheet.row("core genes among the features", len(one.view.found(CORE)))
    there = peers(sorted_cells.adata, CORE)
    for method, score in peers(one.adata, CORE).items():
        sheet.row(f"{method}, core: labelled among the top 15", _top(truth, score))
        cut = np.sort(score[truth])[-8]
        sheet.row(
            f"{method}, core, at the cut that finds 8: others", int((score >= cut)[~truth].sum())
        )
        sheet.row(f"{method}, core, at that cut: zheng cells", int((there[method] >= cut).sum()))
    groups = {"core": CORE, "support": SUPPORT, "B": genesets.load("neg_b"), "Mono": MONOCYTE}
    wrong = (truth != one.pdc) & (one.result.pdc_call != "NA")
    sheet.listing("misses", cells(one, wrong, labels, groups))


# --- onek1k, csle -------------------------------------------------------------------
def onek1k(sheet: Sheet) -> None:
    sheet.start("onek1k: naive/immature against memory B, 3,726 cells", made_without(ONEK1K))
    pair = called(ONEK1K)
    truth = labels_of(pair.held_out) == "bmem"
    figure(sheet, "AUC of the posterior", pair,
           lambda c: roc_auc_score(truth, memory_side(c)), least=0.91)  # fmt: skip
    figure(sheet, "balanced accuracy of the called", pair,
           lambda c: _balanced(truth, _side(c)), least=0.84)  # fmt: skip
    figure(sheet, "share called", pair, lambda c: float((_side(c) != "none").mean()), least=0.95)
    one = pair.held_out
    sets = {"memory": genesets.load("b_memory"), "naive": genesets.load("b_naive")}
    for method, scores in peer_scores(one.adata, sets).items():
        scaled = (scores - scores.mean()) / scores.std()
        score = (scaled["memory"] - scaled["naive"]).to_numpy()
        sheet.row(f"{method}, b_memory less b_naive: AUC", roc_auc_score(truth, score))
        value = balanced_accuracy_score(truth, score > 0)
        sheet.row(f"{method}, b_memory less b_naive: balanced accuracy", value)
    probability = trained(one.adata, identity_genes(one.view), truth)[True]
    sheet.row("trained on the labels: AUC", roc_auc_score(truth, probability))
    value = balanced_accuracy_score(truth, probability > truth.mean())
    sheet.row("trained on the labels: balanced accuracy", value)
    sheet.confusion(labels_of(one), one.types, k.CELL_TYPES)


def memory_side(one: Called) -> np.ndarray:
    """Posterior of the memory side among both sides."""
    memory = one.share([name for name, side in SIDES.items() if side == "memory"])
    naive = one.share([name for name, side in SIDES.items() if side == "naive"])
    return np.nan_to_num(memory / np.maximum(memory + naive, 1e-300), nan=0.5)


def _side(one: Called) -> np.ndarray:
    return np.array([SIDES.get(name, "none") for name in one.types])


def _balanced(truth: np.ndarray, side: np.ndarray) -> float:
    on = side != "none"
    return float(balanced_accuracy_score(truth[on], side[on] == "memory")) if on.any() else 0.0


def csle(sheet: Sheet) -> None:
    sheet.start("csle: naive, memory, DN2, 500 B cells, F1", made_without(CSLE))
    pair = called(CSLE)
    truth = labels_of(pair.held_out)
    names = ["Naive", "Memory", "DN2"]

    def each(labels: np.ndarray) -> np.ndarray:
        return f1_score(truth, labels, labels=names, average=None)

    for i, name in enumerate(names):
        figure(sheet, name, pair, lambda c, i=i: each(_csle_label(c))[i])
    figure(sheet, "macro", pair, lambda c: each(_csle_label(c)).mean(), least=0.75)
    one = pair.held_out
    sets = {"Naive": "b_naive", "Memory": "b_memory", "DN2": "b_abc_dn2"}
    genes = {name: genesets.load(which) for name, which in sets.items()}
    for method, scores in peer_scores(one.adata, genes).items():
        sheet.row(f"{method}, highest of three sets: macro", each(highest_set(scores)).mean())
    fitted = trained(one.adata, identity_genes(one.view), truth).idxmax(axis=1)
    sheet.row("trained on the labels: macro", each(fitted).mean())
    sheet.confusion(truth, one.types, k.CELL_TYPES)
    groups = {name: genesets.load(which) for name, which in sets.items()}
    groups |= {"not DN2": genesets.load("b_abc_dn2_neg"), "IG": ANTIBODY}
    for name in names:
        wrong = (truth == name) & (_csle_label(one) != name)
        sheet.listing(f"misses among labelled {name}", cells(one, wrong, truth, groups))


def _csle_label(one: Called) -> np.ndarray:
    return np.array([CSLE_LABEL.get(name, "none") for name in one.types])


PARTS: dict[str, Callable[[Sheet], None]] = {
    "kang_pdc": kang_pdc,
    "kang_lineages": kang_lineages,
    "zheng": zheng,
    "onek1k": onek1k,
    "csle": csle,
    "dsb": checks.dsb,
    "cohort": checks.cohort,
    "depths": checks.depths,
    "reliability": checks.reliability,
    "interferon": checks.interferon,
    "speed": checks.speed,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=", ".join(PARTS))  # fmt: skip
    parser.add_argument("--json", type=Path, help="write every figure, with versions")
    parser.add_argument("--misses", type=Path, help="write every listed cell (CSV)")
    options = parser.parse_args()
    sheet = Sheet()
    warn_if_stale(sheet)
    for name in options.only:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PARTS[name](sheet)
        print(f"  ({time.perf_counter() - start:.0f} s)", flush=True)
    if options.json:
        shipped = files("scifn._cells").joinpath("data/identity.csv").read_bytes()
        sheet.write_json(options.json, shipped_table=hashlib.sha256(shipped).hexdigest())
    if options.misses:
        sheet.write_listings(options.misses)


if __name__ == "__main__":
    main()
