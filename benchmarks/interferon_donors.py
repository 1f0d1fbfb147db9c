"""Responses of donors: pairs of them, and donors of another composition.

Parts of ``benchmarks/interferon.py``, which runs them.
"""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
from _kang import kang
from _shared import Sheet, load
from scipy import sparse

from scifn import _keys as k
from scifn import get, tl


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
