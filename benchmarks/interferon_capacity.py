"""Capacity: what an interferon response alone does to the residuals of the modules.

A part of ``benchmarks/interferon.py``, which runs it.
"""

from __future__ import annotations

from collections.abc import Sequence

import anndata as ad
import numpy as np
import pandas as pd
from _kang import ISG, MIN_CELLS, kang
from _shared import Sheet
from scipy import sparse

from scifn import _keys as k
from scifn import datasets, genesets, tl
from scifn._cells import capacity as machinery

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
