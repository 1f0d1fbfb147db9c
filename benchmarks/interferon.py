"""Print the figures of interferon evidence, capacity and response, beside targets and peers.

The peers are scanpy.tl.score_genes (random_state 0), pyucell and, where it is installed,
decoupler's ULM on the same genes; a naive rule where no tool tests. Reads ``$SCIFN_DATA`` or
``../shared/data``; needs the extra ``scifn[test]``, and ``pip install decoupler`` for ULM.

Run: ``python benchmarks/interferon.py [--only PART ...] [--json FILE]``
"""

from __future__ import annotations

import argparse
import importlib.metadata
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import anndata as ad
import interferon_capacity as machinery
import interferon_donors as donors
import interferon_lanes as lanes
import numpy as np
import pandas as pd
from _kang import ISG, MIN_CELLS, kang
from _shared import Sheet, load, log_cp10k, peers
from scipy import sparse, stats
from sklearn.metrics import roc_auc_score

from scifn import _keys as k
from scifn import genesets, get, tl

FITTED = """\
What fitted a parameter
  weights of the response genes       bead-sorted resting cells (zheng_sorted_refs_mudan)
  gene sets                           literature, as each set says (scifn genes)
  cell types of scores on kang        the program's own calls, whose table has seen kang's types;
                                      AUC by type is by the labels of the data set
  swapped reads of bulk libraries     literature (0.5 to a few %), but set with P259 at hand: what
                                      is called there is no independent test, how it ranks is
  evidence, capacity                  nothing: their figures come from arithmetic and controls
What tested it
  response                            kang_ifnb_fullgenes_annot, kang_muscat_example
  evidence                            P259 (ranks), celltypist_sample, simulated lanes
  capacity                            simulated cohort (its program is planted), kang for a look"""


# --- peers ------------------------------------------------------------------------------
@cache
def ulm_reason() -> str:
    """Why decoupler's ULM is not among the peers; "" where it is."""
    try:
        import decoupler  # noqa: F401
    except ImportError as error:
        return f"decoupler ULM is left out: {error} (pip install decoupler)"
    return ""


def ulm(adata: ad.AnnData, genes: Sequence[str]) -> np.ndarray:
    """decoupler's univariate linear model of log1p CP10k on the set."""
    import decoupler as dc

    found = [gene for gene in genes if gene in adata.var_names]
    net = pd.DataFrame({"source": "set", "target": found, "weight": 1.0})
    scores = log_cp10k(adata)
    dc.mt.ulm(scores, net, tmin=3)
    return scores.obsm["score_ulm"]["set"].to_numpy()


def all_peers(adata: ad.AnnData, genes: Sequence[str]) -> dict[str, np.ndarray]:
    found = peers(adata, genes)
    if not ulm_reason():
        found["decoupler ULM"] = ulm(adata, genes)
    return found


def note_peers(sheet: Sheet) -> None:
    if ulm_reason():
        sheet.row(ulm_reason(), "")


# --- response -----------------------------------------------------------------------------
@cache
def kang_peers() -> dict[str, np.ndarray]:
    return all_peers(kang(), ISG)


def without_controls(adata: ad.AnnData) -> np.ndarray:
    plain = adata.copy()
    plain.uns[k.UNS].pop("response", None)
    tl.response(plain, overwrite=True)
    return plain.obs[k.RESPONSE_TYPE1].to_numpy()


def response(sheet: Sheet) -> None:
    sheet.start("response: stimulated against control cells, kang (2,708 cells), AUC")
    note_peers(sheet)
    adata = kang()
    truth = (adata.obs["condition"] == "stim").to_numpy()
    labels = adata.obs["cell_type"].astype(str).to_numpy()
    names, counts = np.unique(labels, return_counts=True)
    names = names[counts >= MIN_CELLS]
    scores = {"scifn": adata.obs[k.RESPONSE_TYPE1].to_numpy()}
    scores |= {"scifn, no controls": without_controls(adata), **kang_peers()}
    table = pd.DataFrame(
        {
            method: {n: roc_auc_score(truth[labels == n], score[labels == n]) for n in names}
            for method, score in scores.items()
        }
    )
    for method, score in scores.items():
        ours = method == "scifn"
        auc = roc_auc_score(truth, score)
        sheet.row(f"{method}: all cells", f"{auc:.4f}", ">= 0.9965" * ours,
                  bool(auc >= 0.9965) if ours else None)  # fmt: skip
        worst = table[method].idxmin()
        value = float(table.at[worst, method])
        sheet.row(f"{method}: worst of {len(names)} types ({worst})", f"{value:.4f}",
                  ">= 0.97" * ours, value >= 0.97 if ours else None)  # fmt: skip
    sheet.table(table.round(4))


# --- depth ----------------------------------------------------------------------------------
def thinned(adata: ad.AnnData, share: float, seed: int) -> ad.AnnData:
    """Each UMI kept with this probability; obs and uns as they are."""
    out = adata.copy()
    counts = sparse.csr_matrix(adata.X)
    kept = np.random.default_rng(seed).binomial(counts.data.astype(np.int64), share)
    out.X = sparse.csr_matrix(
        (kept.astype(np.float32), counts.indices.copy(), counts.indptr.copy()), counts.shape
    )
    out.X.eliminate_zeros()
    return out


#: Times that the cells are thinned; the peers, which move by more than noise, once.
N_THINNED = 8


def depth(sheet: Sheet) -> None:
    sheet.start(
        "depth: every cell of kang thinned to a quarter of its UMI; shift of the mean, in SD",
        "SD of the arm at full depth; types and (for scifn) reference as at full depth.",
        f"scifn: mean of {N_THINNED} draws, whose own spread is noise; peers: one draw.",
    )
    note_peers(sheet)
    adata = kang()
    full = {"scifn": adata.obs[k.RESPONSE_TYPE1].to_numpy()}
    full |= {"scifn, no controls": without_controls(adata), **kang_peers()}
    moves, aucs = [], []
    truth = (adata.obs["condition"] == "stim").to_numpy()
    for seed in range(N_THINNED):
        thin = thinned(adata, 0.25, seed)
        less = {"scifn, no controls": without_controls(thin)}
        if seed == 0:
            less |= all_peers(thin, ISG)
        tl.response(thin, model=adata.uns[k.UNS], overwrite=True)
        less["scifn"] = thin.obs[k.RESPONSE_TYPE1].to_numpy()
        aucs.append(roc_auc_score(truth, np.nan_to_num(less["scifn"])))
        moves += [
            (method, arm, _shift(full[method], score, (adata.obs["condition"] == arm).to_numpy()))
            for method, score in less.items()
            for arm in ("ctrl", "stim")
        ]
    table = pd.DataFrame(moves, columns=["method", "arm", "shift"]).groupby(["method", "arm"])
    for method in full:
        for arm in ("ctrl", "stim"):
            one = table.get_group((method, arm))["shift"]
            what = f" (draws {one.min():+.3f} to {one.max():+.3f})" if len(one) > 1 else ""
            ours = method == "scifn"
            sheet.row(f"{method}: {arm}{what}", f"{one.mean():+.3f}", "< 0.05" * ours,
                      bool(abs(one.mean()) < 0.05) if ours else None)  # fmt: skip
    sheet.row("scifn: AUC at a quarter of the depth", f"{np.mean(aucs):.4f}")


def _shift(full: np.ndarray, less: np.ndarray, mine: np.ndarray) -> float:
    """Mean of the cells after less before, in SD; cells that lose every UMI have no score."""
    both = mine & np.isfinite(full) & np.isfinite(less)
    return float((less[both].mean() - full[both].mean()) / full[both].std())


# --- purified libraries -------------------------------------------------------------------------
def libraries(sheet: Sheet) -> None:
    sheet.start(
        "P259: 35 libraries of purified blood pDC, 22 with rhinovirus",
        "Seven with median_cv_coverage > 0.6 are left out. bulk=True.",
    )
    adata = load("pdc_bulk_rhinovirus_P259")
    adata = adata[adata.obs["median_cv_coverage"] <= 0.6].copy()
    tl.production(adata, bulk=True)
    obs = adata.obs
    virus = (obs["virus"] == "HRV").to_numpy()
    umi = obs[k.IFNA_UMI].to_numpy(dtype=np.float64)
    rate = umi / np.asarray(adata.X.sum(axis=1)).ravel()
    values = {
        "p value": -np.asarray(obs[k.IFNA_P_VALUE], dtype=np.float64),
        "posterior": np.asarray(obs[k.IFNA_POSTERIOR], dtype=np.float64),
        "rate (not tested)": rate,
    }
    for name, value in values.items():
        auc = roc_auc_score(virus, value)
        target = "1.0" * ("rate" not in name)
        sheet.row(f"{name}: AUC of 22 over 13", f"{auc:.4f}", target,
                  auc == 1.0 if target else None)  # fmt: skip
    called = obs[k.IFNA_EVIDENCE].isin(["weak", "strong"]).to_numpy()
    sheet.row("libraries without reads that are called", int(called[umi == 0].sum()), "<= 0",
              not called[umi == 0].any())  # fmt: skip
    sheet.row("rhinovirus libraries called", f"{int(called[virus].sum())} of {virus.sum()}")
    sheet.row("unstimulated ones called", f"{int(called[~virus].sum())} of {(~virus).sum()}")
    for name in ("p value", "posterior"):
        value = stats.spearmanr(values[name], rate).statistic
        target = ">= 0.99" * (name == "p value")
        sheet.row(f"{name}: Spearman with the rate", f"{value:.4f}", target,
                  bool(value >= 0.99) if target else None)  # fmt: skip
    told = obs["IFNa_pg_ml"].notna().to_numpy()
    protein = obs["IFNa_pg_ml"].to_numpy(dtype=np.float64)[told]
    logs = log_cpm(adata)
    values = {"rate": rate, "p value": values["p value"], "summed log CPM (no test)": logs}
    for name, value in values.items():
        rho = stats.spearmanr(value[told], protein).statistic
        target = ">= 0.84" * (name != "summed log CPM (no test)")
        sheet.row(f"{name}: Spearman with secreted protein (n {told.sum()})", f"{rho:.3f}", target,
                  bool(rho >= 0.84) if target else None)  # fmt: skip
    sheet.row("summed log CPM (no test): AUC", f"{roc_auc_score(virus, logs):.4f}")


def log_cpm(adata: ad.AnnData) -> np.ndarray:
    """The peer: log2 CPM + 1 summed over the IFNA genes."""
    genes = [gene for gene in genesets.load("ifn_alpha") if gene in adata.var_names]
    total = np.asarray(adata.X.sum(axis=1)).reshape(-1, 1)
    counts = adata[:, genes].X
    counts = counts.toarray() if sparse.issparse(counts) else np.asarray(counts)
    return np.log2(counts / total * 1e6 + 1).sum(axis=1)


# --- none, with a bound ---------------------------------------------------------------------------
def none_found(sheet: Sheet) -> None:
    sheet.start("celltypist sample: every IFNA gene is a feature, and zero")
    adata = load("celltypist_sample")
    tl.annotate(adata)
    tl.production(adata)
    labels = adata.obs[k.IFNA_EVIDENCE].astype(str).value_counts()
    text = ", ".join(f"{n} {name}" for name, n in labels.items())
    sheet.row(f"evidence: {text}", int(labels.get("none", 0)), "none",
              not labels.get("weak", 0) and not labels.get("strong", 0))  # fmt: skip
    adata.obs["donor"], adata.obs["condition"] = "one", "all"
    tl.donors(adata, donor="donor", condition="condition")
    table = get.bounds(adata)
    mine = table[~table["pooled"] & (table["n_cells"] > 0)]
    mine = mine[mine["ligand"] == "IFNA"]
    bounded = bool(((mine["rate"] == 0) & mine["upper95"].between(0, 1, inclusive="neither")).all())
    sheet.row(f"cell types with a bound above 0: {len(mine)}", bounded, "True", bounded)
    sheet.listing("bounds", mine[["cell_type", "n_cells", "upper95", "statement"]])


def write(path: Path, sheet: Sheet) -> None:
    """Write the figures, with the versions of the peers."""
    names = [] if ulm_reason() else ["decoupler"]
    sheet.write_json(path, peers={name: importlib.metadata.version(name) for name in names})


PARTS: dict[str, Callable[[Sheet], None]] = {
    "response": response,
    "depth": depth,
    "pairs": donors.pairs,
    "composition": donors.composition,
    "libraries": libraries,
    "none_found": none_found,
    "lanes": lanes.lanes,
    "reliability": lanes.reliability,
    "capacity": machinery.capacity,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART",
                        help=", ".join(PARTS))  # fmt: skip
    parser.add_argument("--json", type=Path, help="write every figure, with versions")
    options = parser.parse_args()
    print(FITTED)
    sheet = Sheet()
    for name in options.only:
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            PARTS[name](sheet)
        print(f"  ({time.perf_counter() - start:.0f} s)", flush=True)
    if options.json:
        write(options.json, sheet)


if __name__ == "__main__":
    main()
