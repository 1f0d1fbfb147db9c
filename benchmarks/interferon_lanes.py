"""Evidence in simulated lanes: false producers, sensitivity, the null, and the posterior.

Parts of ``benchmarks/interferon.py``, which runs them.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from _lanes import CELLS, POISSON, Producers, lane
from _shared import Sheet

from scifn import _keys as k
from scifn import tl

N_NULL = 100
N_SPIKED = 120
N_RELIABLE = 30
#: Edges of the bins of the posterior.
BINS = (0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 1.0)


def lanes(sheet: Sheet) -> None:
    n = sum(CELLS.values())
    sheet.start(
        f"simulated lanes: {n:,} cells, {CELLS[k.PDC]} pDC, IFNA 3e-6 of the soup",
        "A check of the code, not of the biology.",
    )
    for name, size in {"Poisson soup": POISSON, "wide soup (size 2)": 2.0}.items():
        _null(sheet, name, size)
    for mean, least in ((10.0, 0.75), (2.0, 0.45)):
        for name, size in {"Poisson": POISSON, "bursts, size 1": 1.0}.items():
            _spiked(sheet, f"mean {mean:g} UMI ({name})", Producers({k.PDC: 0.12}, mean, size),
                    least)  # fmt: skip


def _null(sheet: Sheet, name: str, size: float) -> None:
    """Lanes without a producer."""
    rng = np.random.default_rng(101)
    called, naive, small, tested = 0, 0, 0, 0
    for _ in range(N_NULL):
        adata = lane(rng, soup_size=size)
        tl.production(adata)
        called += int(adata.obs[k.IFNA_EVIDENCE].isin(["weak", "strong"]).sum())
        naive += int((adata.obs[k.IFNA_UMI] >= 1).sum())
        p = adata.obs.loc[adata.obs[k.CELL_TYPE] == k.T_NK, k.IFNA_P_VALUE]
        small, tested = small + int((p < 0.05).sum()), tested + p.size
    judged = size == POISSON
    sheet.row(f"{name}: false producers a lane ({N_NULL} lanes)", called / N_NULL,
              "<= 0.1" * judged, called / N_NULL <= 0.1 if judged else None)  # fmt: skip
    sheet.row(f"{name}: rule of UMI >= 1, false producers a lane", naive / N_NULL)
    share, error = small / tested, 2 * np.sqrt(0.05 * 0.95 / tested)
    sheet.row(f"{name}: share of T cells with p < 0.05", f"{share:.4f}",
              f"<= {0.05 + error:.4f}", bool(share <= 0.05 + error))  # fmt: skip


def _spiked(sheet: Sheet, name: str, producers: Producers, least: float | None) -> None:
    """Lanes in which 12 % of the pDC produce."""
    rng = np.random.default_rng(102)
    found, shown, false, n = 0, 0, 0, 0
    for _ in range(N_SPIKED):
        adata = lane(rng, producers)
        tl.production(adata)
        makes = adata.obs["producer"].to_numpy()
        called = adata.obs[k.IFNA_EVIDENCE].isin(["weak", "strong"]).to_numpy()
        found, n = found + int(called[makes].sum()), n + int(makes.sum())
        shown += int((adata.obs[k.IFNA_UMI].to_numpy()[makes] >= 1).sum())
        false += int(called[~makes].sum())
    value = found / n
    sheet.row(f"{name}: sensitivity ({n} producers)", value, f">= {least}" if least else "",
              value >= least if least else None)  # fmt: skip
    sheet.row(f"{name}: producers that show a UMI at all", shown / n)
    sheet.row(
        f"{name}: false producers a lane", false / N_SPIKED, "<= 0.1", false / N_SPIKED <= 0.1
    )


# --- reliability -------------------------------------------------------------------------------
#: Scenes: who produces, how much, in what form.
SCENES = {
    "3 % of pDC, bursts of mean 10": Producers({k.PDC: 0.03}, 10.0, 1.0),
    "12 % of pDC, bursts of mean 10": Producers({k.PDC: 0.12}, 10.0, 1.0),
    "12 % of pDC, Poisson of mean 10": Producers({k.PDC: 0.12}, 10.0),
    "12 % of pDC, bursts of mean 2": Producers({k.PDC: 0.12}, 2.0, 1.0),
    "40 % of pDC, bursts of mean 10": Producers({k.PDC: 0.40}, 10.0, 1.0),
    "1 % of monocytes, 3 % of pDC, bursts of mean 5": Producers(
        {k.MONOCYTE: 0.01, k.PDC: 0.03}, 5.0, 1.0
    ),
    "none": Producers({}, 10.0),
}


def reliability(sheet: Sheet) -> None:
    sheet.start(
        "reliability of the posterior: cells in bins of it, and the share that produces",
        f"{N_RELIABLE} lanes a scene; error: mean |posterior - share| over the bins, by cells",
        "with a UMI and by all cells; excess: producers expected less producers there, a lane.",
    )
    everything = []
    for name, producers in SCENES.items():
        rng = np.random.default_rng(103)
        parts = []
        for _ in range(N_RELIABLE):
            adata = lane(rng, producers)
            tl.production(adata)
            obs = adata.obs[[k.CELL_TYPE, k.IFNA_UMI, k.IFNA_POSTERIOR, "producer"]]
            parts.append(obs[~obs[k.CELL_TYPE].isin([k.DOUBLET, k.UNASSIGNED])])
        cells = pd.concat(parts, ignore_index=True)
        everything.append(cells)
        _scene(sheet, name, cells)
    cells = pd.concat(everything, ignore_index=True)
    table = bins(cells[cells[k.IFNA_UMI] > 0])
    for i, row in table.iterrows():
        sheet.row(f"all scenes, cells with a UMI, {i}: n {row.n:,.0f}, mean {row.posterior:.3f}",
                  float(row.right))  # fmt: skip
    value = error(table)
    sheet.row("all scenes, cells with a UMI: expected calibration error", value, "<= 0.05",
              value <= 0.05)  # fmt: skip
    sheet.row("all scenes, all cells: expected calibration error", f"{error(bins(cells)):.5f}")


def _scene(sheet: Sheet, name: str, cells: pd.DataFrame) -> None:
    seen = cells[cells[k.IFNA_UMI] > 0]
    n = N_RELIABLE
    excess = float(cells[k.IFNA_POSTERIOR].sum() - cells["producer"].sum()) / n
    sheet.row(f"{name}: error, cells with a UMI ({len(seen):,})", error(bins(seen)))
    sheet.row(
        f"{name}: producers a lane {cells['producer'].sum() / n:.1f}, excess", f"{excess:+.2f}"
    )


def bins(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells, mean posterior and share of producers in each bin."""
    names = np.array([f"{a:g} to {b:g}" for a, b in pairwise(BINS)])
    value = cells[k.IFNA_POSTERIOR].to_numpy(dtype=np.float64)
    at = np.clip(np.searchsorted(BINS, value, side="right") - 1, 0, names.size - 1)
    table = pd.DataFrame(
        {"n": 1, "posterior": value, "right": cells["producer"].to_numpy(dtype=np.float64)}
    )
    grouped = table.groupby(at).agg({"n": "sum", "posterior": "mean", "right": "mean"})
    return grouped.set_axis(names[grouped.index.to_numpy()], axis=0)


def error(table: pd.DataFrame) -> float:
    """Expected calibration error of such a table."""
    if table.empty:
        return float("nan")
    return float(np.average((table["posterior"] - table["right"]).abs(), weights=table["n"]))
