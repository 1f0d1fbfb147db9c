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
import interferon_lanes as lanes
import numpy as np
import pandas as pd
from _shared import Sheet, load, log_cp10k, peers
from scipy import sparse, stats
from sklearn.metrics import roc_auc_score

from scifn import _keys as k
from scifn import datasets, genesets, get, tl
from scifn._cells import capacity as machinery
from scifn._cells.response import SETS

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

#: Cells that a type needs for an AUC of its own.
MIN_CELLS = 15
ISG = genesets.load(SETS["type1"])


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
def kang() -> ad.AnnData:
    """Kang, typed and scored against its control cells."""
    adata = load("kang_ifnb_fullgenes_annot")
    tl.annotate(adata)
    tl.response(adata, condition="condition", reference="ctrl")
    return adata


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


# --- pairs ------------------------------------------------------------------------------------
def pairs(sheet: Sheet) -> None:
    sheet.start("pairs: kang_muscat, two donors, stimulated against control, by type")
    adata = load("kang_muscat_example")
    columns = _columns(adata)
    tl.annotate(adata)
    tl.response(adata, condition=columns["condition"], reference="ctrl")
    by = [columns[name] for name in ("donor", "cell_type", "condition")]
    cells = adata.obs.groupby(by, observed=True)[k.RESPONSE_TYPE1].mean().unstack()
    groups = adata.obs[by].astype(str).agg("|".join, axis=1)
    sums = _sums(adata, groups.to_numpy())
    sums.obs[k.CELL_TYPE] = pd.Categorical([k.T_NK] * sums.n_obs)  # not used without controls
    tl.response(sums)
    parts = pd.MultiIndex.from_tuples([tuple(name.split("|")) for name in sums.obs_names])
    bulk = pd.Series(sums.obs[k.RESPONSE_TYPE1].to_numpy(), parts).unstack()
    for name, table in {"mean of cells": cells, "pseudobulk, absolute": bulk}.items():
        both = table.dropna()
        up = int((both["stim"] > both["ctrl"]).sum())
        sheet.row(f"{name}: pairs of donor and type that rise", f"{up} of {len(both)}", "all",
                  up == len(both))  # fmt: skip
        least = (both["stim"] / both["ctrl"]) if "pseudobulk" in name else both["stim"]
        what = "least fold" if "pseudobulk" in name else "least excess when stimulated"
        sheet.row(f"{name}: {what} ({' '.join(map(str, least.idxmin()))})", float(least.min()))
    _donor_pairs(sheet, adata, columns)


def _donor_pairs(sheet: Sheet, adata: ad.AnnData, columns: dict[str, str]) -> None:
    """The tool's own tables, by the types that it called."""
    tl.donors(adata, donor=columns["donor"], condition=columns["condition"])
    sums = get.pseudobulk(adata).set_index(["donor", "cell_type", "condition"])["response_type1"]
    sums = sums.unstack().dropna()
    up = int((sums["stim"] > sums["ctrl"]).sum())
    sheet.row("get.pseudobulk: pairs of donor and called type that rise", f"{up} of {len(sums)}",
              "all", up == len(sums))  # fmt: skip
    least = sums["stim"] - sums["ctrl"]
    sheet.row(f"get.pseudobulk: least rise ({' '.join(least.idxmin())})", float(least.min()))
    donors = get.donors(adata)
    for name in [c for c in donors if c.startswith(k.RESPONSE_OF) and not c.endswith("_se")]:
        both = donors.pivot(index="donor", columns="condition", values=name).dropna()
        if len(both):
            rise = both["stim"] - both["ctrl"]
            up = int((rise > 0).sum())
            sheet.row(f"get.donors, {name}: donors that rise (least {rise.min():.2f} log2)",
                      f"{up} of {len(rise)}", "all", up == len(rise))  # fmt: skip


def composition(sheet: Sheet) -> None:
    sheet.start(
        "composition: stimulated cells of kang mixed into donors, as log2 of one plus the response",
        "16 donors of 400 cells of alike response, half with 10 % and half with 60 % of monocytes.",
    )
    adata = kang()
    names = _mixed(adata)
    mixed = adata[names["cell"]].copy()
    mixed.obs_names_make_unique()
    mixed.obs["donor"], mixed.obs["group"] = names["donor"].to_numpy(), names["group"].to_numpy()
    tl.donors(mixed, donor="donor", condition="group")
    table = get.donors(mixed).set_index("condition")
    score = mixed.obs.groupby(["group", "donor"], observed=True)[k.RESPONSE_TYPE1].mean()
    plain = np.log2(1 + score).groupby("group").mean()
    sheet.row("mean over all cells: 60 % less 10 % of monocytes",
              f"{plain['many'] - plain['few']:+.3f}")  # fmt: skip
    value = table[f"{k.RESPONSE_OF}{k.STANDARDIZED}"]
    shift = float(value["many"].mean() - value["few"].mean())
    noise = float(np.hypot(*(value[name].std() / np.sqrt(8) for name in ("few", "many"))))
    sheet.row(f"standardized: 60 % less 10 % of monocytes (its error {noise:.3f})",
              f"{shift:+.3f}", "< 0.1", abs(shift) < 0.1)  # fmt: skip


def _mixed(adata: ad.AnnData) -> pd.DataFrame:
    """Stimulated cells drawn into donors of two compositions."""
    rng = np.random.default_rng(8)
    stim = (adata.obs["condition"] == "stim").to_numpy()
    types = adata.obs[k.CELL_TYPE].astype(str).to_numpy()
    lineage = adata.obs[k.LINEAGE].astype(str).to_numpy()
    pools = {
        k.MONOCYTE: np.flatnonzero(stim & (types == k.MONOCYTE)),
        k.T_NK: np.flatnonzero(stim & (types == k.T_NK)),
        "B": np.flatnonzero(stim & (lineage == "B") & (types != k.PLASMA)),
    }
    parts = []
    for i in range(16):
        group, share = ("few", 0.1) if i < 8 else ("many", 0.6)
        counts = {k.MONOCYTE: int(400 * share), "B": 40}
        counts[k.T_NK] = 400 - sum(counts.values())
        cells = np.concatenate([rng.choice(pools[name], n) for name, n in counts.items()])
        parts.append(pd.DataFrame({"cell": cells, "donor": f"d{i}", "group": group}))
    return pd.concat(parts, ignore_index=True)


def _columns(adata: ad.AnnData) -> dict[str, str]:
    """Columns of obs that hold donor, condition and type."""
    wanted = {
        "donor": ("donor", "ind", "sample_id", "patient"),
        "condition": ("condition", "stim", "group_id"),
        "cell_type": ("cell_type", "cluster_id", "cell"),
    }
    return {key: next(n for n in names if n in adata.obs) for key, names in wanted.items()}


def _sums(adata: ad.AnnData, groups: np.ndarray) -> ad.AnnData:
    codes, names = pd.factorize(groups, sort=True)
    to = sparse.csr_matrix((np.ones(codes.size), (codes, np.arange(codes.size))))
    out = ad.AnnData(sparse.csr_matrix(to @ adata.X, dtype=np.float32), var=adata.var[[]].copy())
    out.obs_names = names
    return out


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


# --- capacity ------------------------------------------------------------------------------
#: How many times as many UMI of the program a shifted cell holds.
TIMES = (2, 10)


def capacity(sheet: Sheet) -> None:
    sheet.start(
        "capacity: a shift of interferon-stimulated genes alone; mean residual, in SD",
        "Simulated cohort, every type: each UMI of the program (isg_sc_pan, Hallmark interferon",
        "alpha) is drawn again (Poisson) in half of the cells; the others are controls.",
    )
    adata = datasets.cohort(n_patients=6, n_controls=6, cells_per_donor=1500, rng=5)
    adata.obs[k.CELL_TYPE] = pd.Categorical(adata.obs["truth_cell_type"].astype(str))
    rng = np.random.default_rng(6)
    shifted = rng.uniform(size=adata.n_obs) < 0.5
    adata.obs["arm"] = pd.Categorical(np.where(shifted, "shifted", "resting"))
    resting = sparse.csr_matrix(adata.X).astype(np.float32)
    for times in TIMES:
        adata.X = _shift_program(resting, adata.var_names, shifted, times, rng)
        tl.capacity(adata, condition="arm", reference="resting", overwrite=True)
        table = adata.obsm[k.CAPACITY]
        for module in k.CAPACITY_MODULES:
            plain = float(table.loc[shifted, module].mean())
            residual = float(table.loc[shifted, f"{module}_resid"].mean())
            sheet.row(f"{times} times, {module}: residual (plain {plain:+.3f})", f"{residual:+.3f}",
                      "< 0.1", abs(residual) < 0.1)  # fmt: skip
    _capacity_of_kang(sheet)


def _shift_program(
    resting: sparse.csr_matrix, genes: pd.Index, shifted: np.ndarray, times: int,
    rng: np.random.Generator,
) -> sparse.csr_matrix:  # fmt: skip
    """Counts in which each UMI of the program is drawn again in the shifted cells."""
    counts = resting.copy()
    program = genes.isin({*ISG, *genesets.load("hallmark_ifna")})
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    moved = program[counts.indices] & shifted[rows]
    counts.data[moved] += rng.poisson((times - 1) * counts.data[moved])
    return counts


def _capacity_of_kang(sheet: Sheet) -> None:
    """Six hours of interferon-beta move more than the lists know: a look, no target.

    Beside it the peer that "response-adjusted" may suggest: the module regressed on the response
    among control cells of the type. Their response is mostly noise, and stimulated cells lie far
    outside of it.
    """
    adata = kang().copy()
    tl.capacity(adata, condition="condition", reference="ctrl")
    table = adata.obsm[k.CAPACITY]
    stim = (adata.obs["condition"] == "stim").to_numpy()
    for module in k.CAPACITY_MODULES:
        plain, residual = (
            float(table.loc[stim, name].mean()) for name in (module, f"{module}_resid")
        )
        genes = genesets.load(machinery.SETS[module])
        steady = [g for g in genes if g not in machinery.moving("human") and g in adata.var_names]
        most, fold = _moves_most(adata, steady, stim)
        sheet.row(f"kang stim, {module}: residual of {len(steady)} genes (plain {plain:+.3f}; most "
                  f"{most}, {fold:.1f} times)", f"{residual:+.3f}")  # fmt: skip
        sheet.row(f"kang stim, {module}: plain, regressed on the response of controls",
                  f"{_regressed(adata, table[module].to_numpy(), stim):+.3f}")  # fmt: skip


def _moves_most(adata: ad.AnnData, genes: Sequence[str], stim: np.ndarray) -> tuple[str, float]:
    """Gene that stimulated cells hold most more or less of than controls of their type, and fold.

    Rates are over the UMI of genes that interferon is not known to move.
    """
    moving = adata.var_names.isin(machinery.moving("human"))
    depth = np.asarray(adata[:, ~moving].X.sum(axis=1)).ravel()
    counts = np.asarray(adata[:, list(genes)].X.todense())
    types = adata.obs[k.CELL_TYPE].astype(str).to_numpy()
    seen, expected = np.zeros(len(genes)), np.zeros(len(genes))
    for name in np.unique(types[stim]):
        mine, controls = stim & (types == name), ~stim & (types == name)
        if controls.sum() >= MIN_CELLS:
            seen += counts[mine].sum(axis=0)
            rate = counts[controls].sum(axis=0) / depth[controls].sum()
            expected += rate * depth[mine].sum()
    at = int(np.argmax(np.abs(seen - expected) / np.sqrt(expected + 1)))
    return genes[at], float(seen[at] / expected[at])


def _regressed(adata: ad.AnnData, scores: np.ndarray, stim: np.ndarray) -> float:
    """Mean of stimulated cells after a regression on the response of control cells of the type."""
    response = adata.obs[k.RESPONSE_TYPE1].to_numpy(dtype=np.float64)
    types = adata.obs[k.CELL_TYPE].astype(str).to_numpy()
    left = np.full(scores.size, np.nan)
    for name in np.unique(types):
        mine = (types == name) & np.isfinite(scores) & np.isfinite(response)
        fitted = mine & ~stim
        if fitted.sum() >= MIN_CELLS:
            line = np.polyfit(response[fitted], scores[fitted], 1)
            left[mine] = scores[mine] - np.polyval(line, response[mine])
    return float(np.nanmean(left[stim]))


def write(path: Path, sheet: Sheet) -> None:
    """Write the figures, with the versions of the peers."""
    names = [] if ulm_reason() else ["decoupler"]
    sheet.write_json(path, peers={name: importlib.metadata.version(name) for name in names})


PARTS: dict[str, Callable[[Sheet], None]] = {
    "response": response,
    "depth": depth,
    "pairs": pairs,
    "composition": composition,
    "libraries": libraries,
    "none_found": none_found,
    "lanes": lanes.lanes,
    "reliability": lanes.reliability,
    "capacity": capacity,
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
