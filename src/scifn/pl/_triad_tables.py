"""The tables of the three panels of :func:`scifn.pl.triad`, from whatever steps were run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn._errors import MissingKeyError
from scifn.pl._source import cell_table

if TYPE_CHECKING:
    from anndata import AnnData

#: Fewest cells whose mean is shown, of a donor or of all.
MIN_CELLS: Final = 10
RESPONSE: Final = k.RESPONSE_TYPE1.removeprefix(k.PREFIX)
#: Interferons; IL10 is tested by the same machinery, and is none.
INTERFERONS: Final = tuple(name for key, name in k.LIGANDS.items() if key != "il10")
_CALLS: Final = {
    "evidence": "scifn.tl.production(adata)",
    "capacity": "scifn.tl.capacity(adata)",
    "response": "scifn.tl.response(adata)",
}


class Triad(NamedTuple):
    """What the three panels show; None where a step was not run."""

    #: ``cell_type, condition, ligand, n_cells, n_found, rate, upper95, n_donors, n_donors_found``.
    evidence: pd.DataFrame | None
    #: ``donor, condition, cell_type, n_cells`` and modules; donor is "" where cells are pooled.
    capacity: pd.DataFrame | None
    #: The same with the response.
    response: pd.DataFrame | None
    #: Whether the response is an excess over controls, and the capacity held against them.
    against_controls: tuple[bool, bool] = (True, True)


def triad_of(adata: AnnData) -> Triad:
    """All that is there.

    Raises
    ------
    MissingKeyError
        If none of the three steps was run.
    """
    from scifn import get

    evidence = None
    try:
        evidence = evidence_of(get.bounds(adata))
    except MissingKeyError:
        if k.CAPACITY not in adata.obsm and k.RESPONSE_TYPE1 not in adata.obs:
            msg = (
                "no evidence, capacity or response is there: call scifn.run (or "
                f"{', '.join(_CALLS.values())}) first."
            )
            raise MissingKeyError(msg) from None
    scores = scores_of(adata)
    modules = [name for name in scores if name in modules_and_residuals()]
    names = ["donor", "condition", "cell_type", "n_cells"]
    return Triad(
        evidence,
        scores[[*names, *modules]] if modules else None,
        scores[[*names, RESPONSE]] if RESPONSE in scores else None,
        (against_controls(adata, "response"), against_controls(adata, "capacity")),
    )


def empty_panels(found: Triad) -> dict[str, str]:
    """Panels that have nothing to draw, and why.

    >>> empty_panels(Triad(None, None, pd.DataFrame()))["capacity"]
    'not run: call scifn.tl.capacity(adata)'
    """
    reasons = {
        panel: f"not run: call {call}"
        for panel, call in _CALLS.items()
        if getattr(found, panel) is None
    }
    table = found.capacity
    if table is not None and not found.against_controls[1] and table["condition"].nunique() < 2:
        reasons["capacity"] = (
            "without controls each cell type is its own reference: 0 by construction, which says "
            "nothing"
        )
    return reasons


def modules_and_residuals() -> list[str]:
    """Names of the columns of capacity."""
    return [f"{name}{end}" for name in k.CAPACITY_MODULES for end in ("", "_resid")]


def evidence_of(bounds: pd.DataFrame) -> pd.DataFrame:
    """Pooled rows of the interferons of a bounds table, with the number of donors behind them.

    >>> import pandas as pd
    >>> row = {"donor": "", "condition": "SLE", "cell_type": "pDC", "ligand": "IFNA"}
    >>> row |= {"n_cells": 9.0, "n_weak": 1.0, "n_strong": 1.0, "rate": 2 / 9, "upper95": 0.55}
    >>> each = row | {"donor": "d1", "pooled": False}
    >>> found = evidence_of(pd.DataFrame([row | {"pooled": True}, each]))
    >>> found[["n_found", "n_donors", "n_donors_found"]].values.tolist()
    [[2.0, 1.0, 1.0]]
    """
    table = bounds[bounds["ligand"].astype(str).isin(INTERFERONS)]
    table = table[~table["cell_type"].astype(str).isin(k.NOT_COUNTED)]
    table = table.assign(n_found=table["n_weak"] + table["n_strong"])
    pooled = table["pooled"].to_numpy(dtype=bool)
    keys = ["cell_type", "condition", "ligand"]
    each = table[~pooled & (table["n_cells"].to_numpy(dtype=float) > 0)]
    by = each.assign(some=(each["n_found"] > 0).astype(float)).groupby(keys)["some"]
    donors = pd.DataFrame({"n_donors": by.size().astype(float), "n_donors_found": by.sum()})
    out = table[pooled].merge(donors.reset_index(), on=keys, how="left")
    columns = [*keys, "n_cells", "n_found", "rate", "upper95", "n_donors", "n_donors_found"]
    return out[columns].reset_index(drop=True)


def scores_of(adata: AnnData) -> pd.DataFrame:
    """Means of response and capacity by type and donor; by condition without a donor table."""
    means = adata.uns.get(k.UNS, {}).get(k.TYPE_MEANS)
    if means is not None:
        return pd.DataFrame(means).reset_index(drop=True)
    if k.CELL_TYPE not in adata.obs:
        return pd.DataFrame(columns=["donor", "condition", "cell_type", "n_cells"])
    cells = cell_table(adata)
    values = {}
    if k.RESPONSE_TYPE1 in adata.obs:
        values[RESPONSE] = adata.obs[k.RESPONSE_TYPE1].to_numpy(dtype=float)
    if k.CAPACITY in adata.obsm:
        capacity = pd.DataFrame(adata.obsm[k.CAPACITY])
        values |= {str(name): capacity[name].to_numpy(dtype=float) for name in capacity}
    by = pd.DataFrame(values, index=cells.index).groupby(
        [cells["condition"], cells["cell_type"]], observed=True
    )
    out = by.mean()
    out.insert(0, "n_cells", by.size())
    out.insert(0, "donor", "")
    out = out.reset_index()
    return out[~out["cell_type"].isin(k.NOT_COUNTED)].reset_index(drop=True)


def pool(rows: pd.DataFrame, name: str) -> tuple[float, float]:
    """Cells of some donors, and the mean of a score over them (NaN where none has one).

    >>> import pandas as pd
    >>> pool(pd.DataFrame({"n_cells": [1, 3, 5], "x": [0.0, 4.0, float("nan")]}), "x")
    (9.0, 3.0)
    """
    n = rows["n_cells"].to_numpy(dtype=float)
    values = rows[name].to_numpy(dtype=float)
    known = np.isfinite(values) & (n > 0)
    mean = float(np.average(values[known], weights=n[known])) if known.any() else np.nan
    return float(n.sum()), mean


def against_controls(adata: AnnData, step: str) -> bool:
    """Whether a step held cells against controls; a stored model counts as such."""
    record = adata.uns.get(k.UNS, {}).get(step, {})
    if not isinstance(record, Mapping):
        return True
    said = str(record.get("meaning", record.get("against", "")))
    return not said.startswith(("absolute", "all cells"))
