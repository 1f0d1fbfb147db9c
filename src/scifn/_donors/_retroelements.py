"""LINE-1 of a donor's cells of one type, summed: never of single cells.

The ratio of young to old LINE-1 is what donors are compared by: nuclear RNA with introns full of
both raises both, and falls out of it. Half a UMI is added to each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._labels import IntArray
from scifn.genesets import _coverage, _repeats, _sets

FloatArray = NDArray[np.float64]

#: UMI of young and old LINE-1 that a ratio needs.
MIN_L1_UMI: Final = 20
#: Cells that expression of the restriction genes needs.
MIN_CELLS: Final = 10
_KEYS: Final = ["donor", "condition", "cell_type"]
_GROUPS: Final = (_repeats.YOUNG, _repeats.YOUNG_BROAD, _repeats.OLD)
#: Gene sets, and the columns of their scores.
_RESTRICTION: Final = ("l1_restriction_chromatin", "l1_restriction_isg", "l1_restriction")


@dataclass(frozen=True)
class Elements:
    """UMI of LINE-1 in each cell, and what they are of.

    ``umi`` by group; ``total`` all UMI of genes and elements, NaN where it is unknown; ``known``
    the cells that have a count. ``reason`` says why nothing was measured, "" if it was.
    """

    umi: Mapping[str, FloatArray]
    total: FloatArray
    known: NDArray[np.bool_]
    reason: str
    notes: tuple[str, ...]


def l1_table(
    elements: Elements,
    intronic: FloatArray | None,
    rows: IntArray,
    types: IntArray,
    table: pd.DataFrame,
    sums: pd.DataFrame | None,
    species: str,
) -> pd.DataFrame:
    """LINE-1 and the genes that restrict it, per donor, condition and cell type.

    Parameters
    ----------
    elements
        LINE-1 of each cell.
    intronic
        Intronic fraction of each cell, None where it is not known.
    rows, types
        Row of ``table`` (-1 for none) and position in ``_keys.CELL_TYPES`` of each cell.
    table
        Donor table; visits of a donor are summed.
    sums
        Pseudobulk, for the restriction genes; None where there is none.
    species
        Of the genes.

    Returns
    -------
    Columns of :data:`scifn._keys.L1_COLUMNS` without ``l1_restriction_resid``, and
    ``l1_restriction`` for it. A group of under 20 UMI of young and old LINE-1 has no ratio.
    """
    left_out = [k.CELL_TYPES.index(name) for name in k.NOT_COUNTED]
    use = (rows >= 0) & ~np.isin(types, left_out)
    pair = np.asarray(table.groupby(["donor", "condition"], sort=False).ngroup(), dtype=np.int64)
    first = np.unique(pair, return_index=True)[1]
    flat = pair[rows[use]] * len(k.CELL_TYPES) + types[use]
    groups, member = np.unique(flat, return_inverse=True)
    of_pair, kind = np.divmod(groups, len(k.CELL_TYPES))
    known = elements.known[use]

    def added(values: FloatArray) -> FloatArray:
        cells = np.where(known, values[use], 0.0)
        return np.asarray(np.bincount(member, weights=cells, minlength=len(groups)), np.float64)

    nothing = np.zeros(len(rows))
    out = pd.DataFrame(
        {
            "donor": [str(table["donor"].iloc[first[i]]) for i in of_pair],
            "condition": [str(table["condition"].iloc[first[i]]) for i in of_pair],
            "cell_type": [k.CELL_TYPES[i] for i in kind],
            "n_cells": np.bincount(member, minlength=len(groups)).astype(np.int64),
            "known": added(np.ones(len(rows))),
            "total": added(elements.total),
            **{group: added(elements.umi.get(group, nothing)) for group in _GROUPS},
            "intronic": _mean(intronic, use, member, len(groups)),
        }
    )
    return _with_restriction(_scored(out, elements.reason), sums, species)


def _mean(values: FloatArray | None, use: Any, member: IntArray, n: int) -> FloatArray:
    """Mean over the cells of each group that have a value."""
    if values is None:
        return np.full(n, np.nan)
    there = np.isfinite(values[use])
    count = np.bincount(member[there], minlength=n)
    total = np.bincount(member[there], weights=values[use][there], minlength=n)
    out = np.full(n, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def _scored(sums: pd.DataFrame, reason: str) -> pd.DataFrame:
    """Ratio and CPM of summed UMI, and the status of each row."""
    measured = (sums["known"].to_numpy() > 0) & (reason == "")
    young, broad, old, total = (
        np.where(measured, sums[name].to_numpy(dtype=np.float64), np.nan)
        for name in (*_GROUPS, "total")
    )
    enough = np.nan_to_num(young + old) >= MIN_L1_UMI
    ratio = np.where(enough, np.log2((young + 0.5) / (old + 0.5)), np.nan)
    cpm = [np.where(enough, 1e6 * (x + 0.5) / (total + 1.0), np.nan) for x in (young, old)]
    status = np.where(~measured, "not_measurable", np.where(enough, "ok", "low_umi"))
    few = f"under {MIN_L1_UMI} UMI of young and old LINE-1: no ratio"
    why = {"ok": "", "low_umi": few, "not_measurable": reason or "no cell has a LINE-1 count"}
    return sums[_KEYS].assign(
        l1_young_umi=young,
        l1_old_umi=old,
        l1_young_cpm=cpm[0],
        l1_young_ratio=ratio,
        status=[str(x) for x in status],
        n_cells=sums["n_cells"],
        l1_young_broad_umi=young + broad,
        l1_old_cpm=cpm[1],
        intronic=sums["intronic"],
        note=[why[str(x)] for x in status],
    )


def _with_restriction(out: pd.DataFrame, sums: pd.DataFrame | None, species: str) -> pd.DataFrame:
    """Mean log2 CPM of the restriction genes, by set; NaN of a set of too few genes."""
    blank = np.full(len(out), np.nan)
    if sums is None:
        return out.assign(**dict.fromkeys(_RESTRICTION, blank))
    genes = {name: _sets.for_species(name, species) for name in _RESTRICTION}
    every = sorted({g for some in genes.values() for g in some if g in sums})
    added = sums.groupby(_KEYS)[["n_cells", "total_umi", *every]].sum()
    at = added.reindex(pd.MultiIndex.from_frame(out[_KEYS]))
    few = ~(at["n_cells"].to_numpy(dtype=np.float64) >= MIN_CELLS)
    rate = (at[every].to_numpy(dtype=np.float64) + 0.5) / (
        at[["total_umi"]].to_numpy(dtype=np.float64) + 1.0
    )
    level = pd.DataFrame(np.where(few[:, None], np.nan, np.log2(1e6 * rate)), columns=every)
    scores = {}
    for name, wanted in genes.items():
        found = [g for g in wanted if g in level]
        used = bool(wanted) and _coverage.status_of(len(found), len(wanted)) in ("ok", "partial")
        scores[name] = level[found].mean(axis=1).to_numpy() if used else blank
    return out.assign(**scores)
