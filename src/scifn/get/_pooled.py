"""Bounds of an object without a donor table: all cells of a type together, descriptive."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scifn import _donors, _slots
from scifn import _keys as k

if TYPE_CHECKING:
    from anndata import AnnData


def can_pool(adata: AnnData) -> bool:
    """Whether cells have types and evidence, so that they can be counted."""
    return k.IFNA_EVIDENCE in adata.obs and k.CELL_TYPE in adata.obs


def pooled_bounds(adata: AnnData) -> pd.DataFrame:
    """Pooled rows of a bounds table, by the condition that the scores were held against.

    Where no step was told of a condition, all cells of a type are one row.
    """
    conditions = pd.Series("", index=adata.obs.index)
    name = _condition(adata)
    if name in adata.obs:
        conditions = _slots.words(adata.obs[name])
    codes, levels = pd.factorize(conditions.to_numpy(dtype=object), sort=True)
    types, _ = _donors.resolve_types(adata.obs[k.CELL_TYPE])
    table = pd.DataFrame({"donor": [""] * len(levels), "condition": [str(c) for c in levels]})
    rows = np.asarray(codes, dtype=np.int64)
    others = adata.obsm.get(k.LIGAND_EVIDENCE)
    found = _donors.bounds(adata.obs, rows, types, table, others)
    return found[found["pooled"].to_numpy(dtype=bool)].reset_index(drop=True)


def _condition(adata: AnnData) -> str:
    steps = adata.uns.get(k.UNS, {})
    for step in ("response", "capacity"):
        record = steps.get(step, {})
        if isinstance(record, Mapping) and record.get("condition"):
            return str(record["condition"])
    return ""
