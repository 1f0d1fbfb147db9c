"""Serum beside strata: a part of :func:`scifn.tl.stratify`, where donors have measurements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scifn import _donors, _slots
from scifn import _keys as k
from scifn._stats import serum as model_

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def write(
    adata: AnnData, strata: pd.DataFrame, *, reference: str, min_controls: int
) -> dict[str, str | float]:
    """Write the table of associations and the donors' classes; what goes into the record."""
    slot = _slots.store(adata)
    slot.pop(k.SERUM, None)
    limits = {
        str(name): float(lod)
        for name, lod in slot.get("donors_parameters", {}).get("detection_limits", {}).items()
    }
    if not limits:
        return {}
    table = slot[k.DONORS].reset_index(drop=True)
    donors = _donors.collapse_visits(table)
    found = model_.serum(
        donors, strata, limits=limits, reference=reference, min_controls=min_controls
    )
    slot[k.SERUM] = found.table
    if found.record["serum"]:
        keys = zip(donors["donor"], donors["condition"], strict=True)
        class_of = dict(zip(keys, found.classes, strict=True))
        rows = zip(table["donor"], table["condition"], strict=True)
        table[k.SERUM_CLASS] = [class_of[row] for row in rows]
        slot[k.DONORS] = table
    return found.record
