"""Checks of identity on surface proteins, on simulated cells, of its confidence and of its cost.

Parts of ``benchmarks/identity.py``, which runs them.
"""

from __future__ import annotations

import time
import tracemalloc
from functools import cache
from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
from _calls import (
    CSLE,
    KANG,
    ONEK1K,
    Called,
    Pair,
    call,
    called,
    cells,
    figure,
    made_without,
)  # fmt: skip
from _shared import Sheet, load
from scipy import sparse

from scifn import _keys as k
from scifn import _view, datasets, genesets, tl
from scifn._cells import annotate as model
from scifn._cells import shown
from scifn._cells.protein import gate_cells
from scifn._matrix import _storage
from scifn.datasets._effects import DEFAULT_EFFECTS
from scifn.tl import _annotate

#: The simulator draws from these: its cells are no independent test of a table made with them.
SIMULATED_FROM = (KANG, CSLE, ONEK1K)


# --- surface proteins ----------------------------------------------------------------
def dsb(sheet: Sheet) -> None:
    sheet.start(
        "dsb: 2,872 PBMC, 87 surface proteins (no identity table is read)",
        "The file holds up to 100 cells of each cluster, the pDC as well: ten times their share.",
        "Blood: the same cells with 9 of the called pDC, which is their share of all.",
    )
    adata = load("dsb_tsang_protein87_pbmc")
    umi = np.asarray(adata.X, dtype=np.float32)
    names = [str(name).strip() for name in adata.var_names]
    surface = _gated(umi, names)
    pdc = surface.pdc == k.PDC
    sheet.row("pDC, percent of the file", 100 * pdc.mean())
    for seed in range(3):
        share, strangers = _at_blood(umi, names, pdc, seed)
        sheet.row(f"pDC at their share of blood, draw {seed}: percent", share, "0.2 to 0.8",
                  0.2 <= share <= 0.8)  # fmt: skip
        sheet.row(f"called there and not before, draw {seed}", strangers, "<= 0", strangers == 0)
    gates = pd.DataFrame(surface.gates)
    above = _above(surface, gates, ["CD123", "CD303"])
    sheet.row("called pDC without CD303+ CD123+", int((pdc & ~above).sum()), "<= 0",
              not (pdc & ~above).any())  # fmt: skip
    b_cells = surface.breg != "NA"
    sheet.row("CD19+ cells", int(b_cells.sum()))
    for kind in ("transitional_like", "b10_like"):
        sheet.row(f"{kind}, percent of CD19+", 100 * (surface.breg == kind)[b_cells].mean())
    sheet.row("by the pDC gate", _counts(surface.pdc))
    columns = ["population", "protein", "side", "umi", "method", "n_positive", "of"]
    sheet.table(gates[columns].round(1))


def _gated(umi: np.ndarray, names: list[str]):
    return gate_cells(umi, names, np.ones(len(umi), dtype=bool))


def _at_blood(umi: np.ndarray, names: list[str], pdc: np.ndarray, seed: int) -> tuple[float, int]:
    """Percent called where pDC are as rare as in blood, and calls that are none of them.

    All cells as bright for CD303 as the called pDC are taken away, then nine called ones put back.
    """
    bright = umi[:, names.index("CD303")] >= umi[pdc, names.index("CD303")].min()
    kept = np.random.default_rng(seed).choice(np.flatnonzero(pdc), 9, replace=False)
    chosen = np.r_[np.flatnonzero(~bright & ~pdc), kept]
    again = _gated(umi[chosen], names).pdc == k.PDC
    return 100 * float(again.mean()), int(again[:-9].sum())


def _counts(values: np.ndarray) -> str:
    return ", ".join(f"{n} {name}" for name, n in pd.Series(values).value_counts().items())


def _above(surface, gates: pd.DataFrame, markers: list[str]) -> np.ndarray:
    """Cells above the pDC gate of each marker."""
    mine = gates[gates["population"] == k.PDC].set_index("protein")["threshold"]
    columns = [list(surface.markers).index(marker) for marker in markers]
    return (surface.values[:, columns] > mine[markers].to_numpy()).all(axis=1)


# --- simulated cohort ------------------------------------------------------------------
@cache
def simulated() -> Pair[Called]:
    """60 donors at about 2,000 UMI, called with a table that has not seen their profiles."""
    effects = {**DEFAULT_EFFECTS, "depth": 1800}
    adata = datasets.cohort(
        n_patients=30, n_controls=30, cells_per_donor=1000, effects=effects, rng=3
    )
    return call(adata, SIMULATED_FROM)


def truth_of(one: Called) -> np.ndarray:
    return one.adata.obs["truth_cell_type"].astype(str).to_numpy()


def cohort(sheet: Sheet) -> None:
    pair = simulated()
    truth = truth_of(pair.held_out)
    umi = np.median(pair.held_out.view.total)
    title = f"simulated cohort: 60 donors, {truth.size:,} cells, median {umi:,.0f} UMI"
    sheet.start(title, "A check of the code, not of the biology.", made_without(*SIMULATED_FROM))
    mine = truth == k.PDC
    figure(sheet, "pDC: recall", pair, lambda c: _mean(c.pdc[mine]), least=0.95)
    figure(sheet, "pDC: precision", pair, lambda c: _mean(mine[c.pdc]), least=0.98)
    for name in (k.ASDC, k.PLASMA, k.BASO_MAST, k.DOUBLET):
        figure(sheet, f"share of pDC calls that are {name}", pair,
               lambda c, name=name: _mean((truth == name)[c.pdc]), most=0.01)  # fmt: skip
    high = _interferon_high(pair.held_out.adata)
    for which, donors in {"interferon-high donors": high, "the others": ~high}.items():
        figure(sheet, f"pDC: recall in {which}", pair, lambda c, d=donors: _mean(c.pdc[mine & d]))
    for name in [name for name in k.CELL_TYPES if name in set(truth)]:
        n = int((truth == name).sum())
        figure(sheet, f"{name} ({n:,}): recall", pair, lambda c, n=name: _recall(c, truth, n))
        figure(sheet, f"{name}: precision", pair, lambda c, n=name: _recall(c, c.types, n, truth))
    one = pair.held_out
    sheet.confusion(truth, one.types, k.CELL_TYPES)
    groups = {name: genesets.load(which) for name, which in COHORT_GROUPS.items()}
    groups["AS-DC"] = [*shown.ASDC_FIRST, *shown.ASDC_OTHER]
    sheet.listing("pDC that are not called", cells(one, mine & ~one.pdc, truth, groups))
    sheet.listing("called and no pDC", cells(one, one.pdc & ~mine, truth, groups))


def depths(sheet: Sheet) -> None:
    sheet.start(
        "simulated cohorts of other depths: 12 donors, 6,000 cells, pDC eight times as many"
    )
    for depth in (1000, 5000, 10_000):
        effects = {**DEFAULT_EFFECTS, "depth": depth, "pDC": 8}
        adata = datasets.cohort(
            n_patients=6, n_controls=6, cells_per_donor=500, effects=effects, rng=7
        )
        one = call(adata, SIMULATED_FROM).held_out
        mine = truth_of(one) == k.PDC
        text = f"median {np.median(one.view.total):,.0f} UMI, {mine.sum()} pDC"
        recall, precision = _mean(one.pdc[mine]), _mean(mine[one.pdc])
        sheet.row(f"{text}: recall", recall, ">= 0.95", recall >= 0.95)
        sheet.row(f"{text}: precision", precision, ">= 0.98", precision >= 0.98)


def _interferon_high(adata: ad.AnnData) -> np.ndarray:
    """Cells of donors in which an interferon response was planted."""
    donors = adata.uns["truth"]["donors"].set_index("donor")["ifn_high"]
    return adata.obs["donor"].astype(str).map(donors).to_numpy(dtype=bool)


COHORT_GROUPS = {
    "core": "pdc_identity_core", "support": "pdc_identity_support", "B": "neg_b",
    "plasma": "neg_plasma", "T/NK": "neg_t_nk", "Mono, cDC": "neg_mono_cdc",
}  # fmt: skip


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")


def _recall(one: Called, of: np.ndarray, name: str, other: np.ndarray | None = None) -> float:
    """Share of the cells that are ``name`` in ``of`` and in the calls (or in ``other``) too."""
    against = one.types if other is None else other
    return _mean((against == name)[of == name])


# --- confidence --------------------------------------------------------------------------
#: Edges of the bins of confidence.
BINS = (0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
#: Calls of a type that say something of its confidence.
MIN_JUDGED = 30
B_SUBTYPES = (k.B_NAIVE, k.B_TRANSITIONAL, k.B_MEMORY, k.B_ATYPICAL)
#: Calls that a label agrees with, at the resolution of the labels.
RIGHT = {
    CSLE: {
        "Naive": (k.B_NAIVE, k.B_TRANSITIONAL), "Memory": (k.B_MEMORY,), "DN2": (k.B_ATYPICAL,),
    },
    ONEK1K: {
        "bin": (k.B_NAIVE, k.B_TRANSITIONAL),
        "bmem": (k.B_MEMORY, k.B_ATYPICAL, k.PLASMA, k.PLASMABLAST),
    },
}  # fmt: skip


def lineage_of(label: str) -> str:
    """Lineage of a label of the Kang data; "" for platelets and erythrocytes."""
    if label in {"DC", "pDC"}:
        return "DC"
    if label.startswith("B"):
        return "B"
    if "Mono" in label:
        return "Mono"
    return "" if label in {"Mk", "Eryth"} else "T/NK"


def reliability(sheet: Sheet) -> None:
    sheet.start(
        "reliability: confidence against the share that is right",
        "cohort: the confidence of the cell type, against the truth",
        "kang: the confidence of cells called neither Doublet nor a B subtype (no label tells),",
        "against the lineage of the label",
        "csle, onek1k: the confidence of cells called a B subtype, against the label",
        "Tempering was fitted on zheng and csle; kang and onek1k test it, and so does the cohort,",
        "but for its memory and atypical B cells, whose profiles are drawn from csle and onek1k.",
    )
    for name, source in {"cohort": "", "kang": KANG, "csle": CSLE, "onek1k": ONEK1K}.items():
        pair = called(source) if source else simulated()
        judged = pair.map(lambda c, source=source: _judged(c, source))
        bins = judged.map(lambda j: _bins(*j))
        for i, row in bins.held_out.iterrows():
            what = f"{name}, {i}: n {row.n:,.0f}, mean {row.confidence:.3f}, right"
            shipped = "" if bins.shipped is None else bins.shipped["right"].get(i, np.nan)
            sheet.row(what, row.right, shipped=shipped)
        figure(sheet, f"{name}: expected calibration error", bins, _error)
        figure(sheet, f"{name}: mean confidence less share right", judged, _excess)
    for name in [name for name in k.CELL_TYPES if name in set(simulated().held_out.types)]:
        of_type = simulated().map(lambda c, name=name: _of_type(c, name))
        if of_type.held_out[0].size >= MIN_JUDGED:
            figure(sheet, f"cohort, {name}: mean confidence", of_type, lambda j: _mean(j[0]))
            figure(sheet, f"cohort, {name}: share right", of_type, lambda j: _mean(j[1]))


def _of_type(one: Called, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Confidence of the calls of one type, and whether each is right."""
    mine = (one.types == name) & np.isfinite(one.result.confidence)
    return one.result.confidence[mine].astype(float), _agrees_with_truth(one)[mine]


def _judged(one: Called, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Confidence of the judged calls, and whether each is right."""
    confidence = np.asarray(one.result.confidence, dtype=float)
    keep = np.isfinite(confidence) & (one.types != k.UNASSIGNED)
    if not source:
        right = _agrees_with_truth(one)
    elif source == KANG:
        keep &= ~np.isin(one.types, [k.DOUBLET, *B_SUBTYPES])
        lineage = one.result.lineage.astype(str)
        right = lineage == [lineage_of(label) or "Other" for label in one.adata.obs["cell_type"]]
    else:
        # the labels do not tell transitional cells
        keep &= np.isin(one.types, B_SUBTYPES) & (one.types != k.B_TRANSITIONAL)
        pairs = zip(one.types, one.adata.obs["cell_type"], strict=True)
        right = np.array([call in RIGHT[source][label] for call, label in pairs])
    return confidence[keep], right[keep]


def _agrees_with_truth(one: Called) -> np.ndarray:
    truth = truth_of(one)
    lineage = np.array([k.LINEAGE_OF[name] for name in truth])
    unresolved = np.isin(one.types, [k.B_UNRESOLVED, k.DC_UNRESOLVED])
    right = (one.types == truth) | (unresolved & (one.result.lineage == lineage))
    # what a confidence stands for: either side of a rule, naive cells with transitional ones
    for name, counted in model.COUNTED_AS.items():
        right |= (one.types == name) & np.isin(truth, counted)
    return right


def _bins(confidence: np.ndarray, right: np.ndarray) -> pd.DataFrame:
    names = np.array([f"{a:g} to {b:g}" for a, b in pairwise(BINS)])
    at = names[np.clip(np.searchsorted(BINS, confidence, side="right") - 1, 0, names.size - 1)]
    table = pd.DataFrame({"n": 1, "confidence": confidence, "right": right.astype(float)})
    grouped = table.groupby(at)
    return grouped.agg({"n": "sum", "confidence": "mean", "right": "mean"})


def _error(bins: pd.DataFrame) -> float:
    """Expected calibration error; NaN where nothing was judged."""
    if bins.empty:
        return float("nan")
    return float(np.average((bins["confidence"] - bins["right"]).abs(), weights=bins["n"]))


def _excess(judged: tuple[np.ndarray, np.ndarray]) -> float:
    return _mean(judged[0]) - _mean(judged[1])


# --- interferon ----------------------------------------------------------------------------
def interferon(sheet: Sheet) -> None:
    title = "interferon: a doubled program of interferon-stimulated genes in every cell"
    sheet.start(
        title,
        "Each UMI of the program is drawn a second time (Poisson).",
        "As stimulated, beyond the target: what six hours of interferon-beta add.",
    )
    kang = load(KANG)
    resting = kang[kang.obs["condition"] == "ctrl"].copy()
    before = call(resting, (KANG,))
    _moved(sheet, "kang ctrl, doubled", before, _doubled(resting), (KANG,))
    stimulated = _stimulated(kang, resting)
    _moved(sheet, "kang ctrl, as stimulated", before, stimulated, (KANG,), judged=False)
    simulation = simulated()
    doubled = _doubled(simulation.held_out.adata)
    _moved(sheet, "cohort, doubled", simulation, doubled, SIMULATED_FROM)


def program(adata: ad.AnnData) -> np.ndarray:
    """Features that are interferon-stimulated genes."""
    genes = {*genesets.load("isg_sc_pan"), *genesets.load("hallmark_ifna")}
    return np.flatnonzero(adata.var_names.isin(genes))


def _with_counts(adata: ad.AnnData, counts: sparse.csr_matrix) -> ad.AnnData:
    return ad.AnnData(counts, adata.obs, adata.var)


def _doubled(adata: ad.AnnData) -> ad.AnnData:
    """Every UMI of the program drawn a second time."""
    counts = sparse.csr_matrix(adata.X, copy=True)
    moving = np.isin(counts.indices, program(adata))
    counts.data[moving] += np.random.default_rng(0).poisson(counts.data[moving])
    return _with_counts(adata, counts)


def _stimulated(kang: ad.AnnData, resting: ad.AnnData) -> ad.AnnData:
    """What six hours of interferon-beta add to the program of a cell of the same label, by UMI."""
    at = program(kang)
    total = np.asarray(kang.X.sum(axis=1)).ravel()
    share = pd.DataFrame(kang.X[:, at].toarray() / total[:, None])
    mean = share.groupby([kang.obs["cell_type"].to_numpy(), kang.obs["condition"].to_numpy()],
                         observed=True).mean()  # fmt: skip
    added = {
        label: (table.droplevel(0).loc["stim"] - table.droplevel(0).loc["ctrl"]).clip(lower=0)
        for label, table in mean.groupby(level=0) if len(table) == 2
    }  # fmt: skip
    nothing = np.zeros(at.size)
    gain = np.stack([added.get(label, nothing) for label in resting.obs["cell_type"]])
    depth = np.asarray(resting.X.sum(axis=1))
    extra = np.random.default_rng(0).poisson(gain * depth.reshape(-1, 1))
    place = sparse.csr_matrix((np.ones(at.size), (np.arange(at.size), at)),
                              shape=(at.size, kang.n_vars))  # fmt: skip
    counts = sparse.csr_matrix(resting.X + sparse.csr_matrix(extra) @ place, dtype=np.float32)
    return _with_counts(resting, counts)


def _moved(
    sheet: Sheet, name: str, before: Pair[Called], changed: ad.AnnData, without: tuple[str, ...],
    *, judged: bool = True,
) -> None:  # fmt: skip
    """How far calls move, overall and in the donor that moves most; ``judged`` by the targets."""
    least, most = (0.98, 0) if judged else (None, None)
    after = call(changed, without)
    pairs = Pair((before.held_out, after.held_out), None)
    if before.shipped is not None and after.shipped is not None:
        pairs = Pair(pairs.held_out, (before.shipped, after.shipped))
    umi = [float(np.mean(c.adata.X[:, program(c.adata)].sum(axis=1))) for c in pairs.held_out]
    sheet.row(f"{name}: mean UMI of the program in a cell", f"{umi[0]:.0f} -> {umi[1]:.0f}")
    same = pairs.map(lambda p: p[0].types == p[1].types)
    figure(sheet, f"{name}: share of calls the same", same, _mean, least=least)
    donor = changed.obs["donor"].astype(str).to_numpy()
    figure(sheet, f"{name}: the donor where fewest are", same,
           lambda s: float(pd.Series(s).groupby(donor).mean().min()), least=least)  # fmt: skip
    kinds = {
        "pDC": lambda c: c.pdc,
        "B": lambda c: c.result.lineage == "B",
        "B transitional": lambda c: c.types == k.B_TRANSITIONAL,
    }
    for kind, found in kinds.items():
        counts = pairs.map(lambda p, found=found: [int(found(c).sum()) for c in p])
        sheet.row(f"{name}: {kind} before, after", _arrow(counts.held_out),
                  shipped=_arrow(counts.shipped))  # fmt: skip
        figure(sheet, f"{name}: {kind}, all donors, cells beyond 1 + 2 %", counts,
               lambda n: _beyond(n[0], n[1]), most=most)  # fmt: skip
        figure(sheet, f"{name}: {kind}, donors beyond 1 + 2 %", pairs,
               lambda p, found=found: _donors_beyond(p, found, donor), most=most)  # fmt: skip
    one, other = pairs.held_out
    table = pd.Series([f"{a} -> {b}" for a, b in zip(one.types, other.types, strict=True)])
    sheet.table(table[one.types != other.types].value_counts().head(12).to_frame("cells"))


def _arrow(counts: list[int] | None) -> str:
    return "" if counts is None else f"{counts[0]} -> {counts[1]}"


def _beyond(before: int, after: int) -> float:
    """Cells by which a count moved beyond one cell and 2 %."""
    return max(0.0, abs(after - before) - 1 - 0.02 * before)


def _donors_beyond(pair: tuple[Called, Called], found, donor: np.ndarray) -> int:
    counts = [pd.Series(found(one)).groupby(donor).sum() for one in pair]
    return sum(_beyond(a, b) > 0 for a, b in zip(*counts, strict=True))


# --- cost -------------------------------------------------------------------------------------
def speed(sheet: Sheet) -> None:
    sheet.start("speed: 100,000 simulated cells in memory (CSR), the shipped table")
    base = datasets.cohort(n_patients=10, n_controls=10, cells_per_donor=1000, rng=2026)
    counts = sparse.vstack([base.X] * 5, format="csr")
    adata = ad.AnnData(counts, pd.DataFrame(index=[f"c{i}" for i in range(counts.shape[0])]),
                       base.var)  # fmt: skip
    start = time.perf_counter()
    view = _view.read(adata, model.panel_genes)
    sheet.row("the pass over the matrix, seconds", time.perf_counter() - start)
    start = time.perf_counter()
    _annotate.Asked(adata).apply(adata, view)
    seconds = time.perf_counter() - start
    sheet.row("beyond the pass, seconds", seconds, "< 10", seconds < 10)
    tracemalloc.start()
    _annotate.Asked(adata).apply(adata, view)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    sheet.row("memory beyond the panel at its peak, MB", peak, "< 200", peak < 200)
    small = base[np.random.default_rng(0).permutation(base.n_obs)[:5000]].copy()
    plain = _outputs(small)
    order = np.random.default_rng(1).permutation(small.n_vars)
    sheet.row("cells that another gene order moves", _differ(plain, _outputs(small[:, order])),
              "<= 0", _differ(plain, _outputs(small[:, order])) == 0)  # fmt: skip
    whole, _storage.BLOCK_NNZ = _storage.BLOCK_NNZ, 10_007
    moved = _differ(plain, _outputs(small))
    _storage.BLOCK_NNZ = whole
    sheet.row("cells that another size of chunks moves", moved, "<= 0", moved == 0)


def _outputs(adata: ad.AnnData) -> pd.DataFrame:
    """Every column that the step writes."""
    copy = adata.copy()
    tl.annotate(copy)
    columns = [name for name in copy.obs if name.startswith(k.PREFIX)]
    return pd.concat([copy.obs[columns].astype(object), copy.obsm[k.TYPE_POSTERIOR]], axis=1)


def _differ(one: pd.DataFrame, other: pd.DataFrame) -> int:
    same = (one == other) | (one.isna() & other.isna())
    return int((~same.all(axis=1)).sum())
