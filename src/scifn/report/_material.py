"""Everything that the report draws on, gathered once; what is missing is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn import get
from scifn._errors import MissingKeyError
from scifn.pl._source import cell_table, limits_of, parameter, reference_of, untold
from scifn.pl._triad_tables import Triad, triad_of
from scifn.report import _held

if TYPE_CHECKING:
    from anndata import AnnData

#: Fewest cells of a type and condition whose mean is shown.
MIN_CELLS = 10


@dataclass(frozen=True)
class Material:
    """Tables, or None with the reason in ``absent``."""

    simulated: bool
    truth: Mapping[str, Any]
    store: Mapping[str, Any]
    n_cells: int
    n_features: int
    donor: str | None
    condition: str | None
    reference: str | None
    cells: pd.DataFrame | None
    capacity: pd.DataFrame | None
    evidence: pd.DataFrame | None
    coverage: pd.DataFrame | None
    breg: pd.DataFrame | None
    gates: pd.DataFrame | None
    protein: pd.DataFrame | None
    donors: pd.DataFrame | None
    imbalance: pd.DataFrame | None
    bounds: pd.DataFrame | None
    triad: Triad | None
    strata: pd.DataFrame | None
    profiles: pd.DataFrame | None
    absent: Mapping[str, str]
    untold: tuple[str, ...]
    limits: Mapping[str, float]

    @property
    def input(self) -> Mapping[str, Any]:
        """The record of how the matrix was read; empty where nothing was read."""
        return self.record(k.INPUT)

    def record(self, step: str) -> Mapping[str, Any]:
        """What a step stored about itself; empty where it was not run."""
        record = self.store.get(step, {})
        return record if isinstance(record, Mapping) else {}

    @cached_property
    def fraction(self) -> str:
        """What a fraction of the cells is one of: asked for often, found in all cells once."""
        return _held.fraction(self.cells)

    @property
    def bulk(self) -> bool:
        """Whether rows are samples of bulk expression: strata, and nothing of cells."""
        only = self.cells is None and self.donors is None
        return only and bool(self.record(f"{k.STRATA_TABLE}_parameters").get("bulk", False))

    @property
    def has_response(self) -> bool:
        """Whether any cell has a response score."""
        return (
            self.cells is not None
            and "response" in self.cells
            and bool(np.isfinite(self.cells["response"]).any())
        )


def gather(adata: AnnData) -> Material:
    """Read all tables of ``adata``; nothing is computed that a step should have."""
    absent: dict[str, str] = {}

    def have(name: str, load: Callable[[Any], pd.DataFrame]) -> pd.DataFrame | None:
        try:
            return load(adata)
        except MissingKeyError as error:
            absent[name] = _why(adata, name) or str(error)
            return None

    truth = adata.uns.get(k.TRUTH)
    return Material(
        simulated=truth is not None,
        truth=truth if isinstance(truth, Mapping) else {},
        store=adata.uns.get(k.UNS, {}),
        n_cells=int(adata.n_obs),
        n_features=int(adata.n_vars),
        donor=parameter(adata, "donor"),
        condition=parameter(adata, "condition"),
        reference=reference_of(adata),
        cells=have("cells", cell_table),
        capacity=have("capacity", _capacity),
        evidence=have("evidence", _evidence),
        coverage=have("coverage", get.coverage),
        breg=have("breg", _breg),
        # not every file has proteins: nothing is missing where it has none
        gates=adata.uns.get(k.UNS, {}).get(k.GATES),
        protein=adata.obsm.get(k.PROTEIN),
        donors=have("donors", get.donors),
        imbalance=have("imbalance", get.imbalance),
        bounds=have("bounds", get.bounds),
        triad=_triad(adata),
        strata=have("strata", get.strata),
        profiles=have("profiles", get.profiles),
        absent=absent,
        untold=untold(adata),
        limits=limits_of(adata),
    )


def _triad(adata: AnnData) -> Triad | None:
    try:
        return triad_of(adata)
    except MissingKeyError:  # each of its tables says so in its own place
        return None


#: Step that makes what a section shows.
_STEP_OF = {"evidence": "production", "bounds": "production", "strata": "stratify"}


def _why(adata: AnnData, name: str) -> str:
    """The reason that :func:`scifn.run` noted for a step that it could not do."""
    steps = adata.uns.get(k.UNS, {}).get("steps", {})
    outcome = str(steps.get(_STEP_OF.get(name, name), "done"))
    return "" if outcome == "done" else outcome.replace("_", " ", 1)


def _capacity(adata: AnnData) -> pd.DataFrame:
    """Mean of each machinery column by cell type and condition; NaN for few cells."""
    if k.CAPACITY not in adata.obsm:
        msg = f"obsm[{k.CAPACITY!r}] is not there: call scifn.tl.capacity(adata) first."
        raise MissingKeyError(msg)
    groups = cell_table(adata)[["cell_type", "condition"]]
    values = pd.DataFrame(adata.obsm[k.CAPACITY]).reset_index(drop=True).astype(float)
    grouped = values.groupby([groups["cell_type"], groups["condition"]], observed=True)
    means, sizes = grouped.mean(), grouped.size()
    means[sizes < MIN_CELLS] = np.nan
    means.insert(0, "n_cells", sizes.astype(float))
    return means.reset_index()


def _evidence(adata: AnnData) -> pd.DataFrame:
    """Cells of each type by strength of evidence, and their IFNA UMIs."""
    if k.IFNA_EVIDENCE not in adata.obs:
        msg = f"obs[{k.IFNA_EVIDENCE!r}] is not there: call scifn.tl.production(adata) first."
        raise MissingKeyError(msg)
    types = cell_table(adata)["cell_type"]
    found = adata.obs[k.IFNA_EVIDENCE].astype(str).to_numpy()
    table = pd.crosstab(types, found).reindex(columns=list(k.EVIDENCES), fill_value=0)
    for column in (k.IFNA_UMI, k.IFNB1_UMI, k.IFNK_UMI, k.IFN1_OTHER_UMI, k.IFNL_UMI):
        if column in adata.obs:
            umi = pd.Series(adata.obs[column].to_numpy(dtype=float))
            table[column] = umi.groupby(types).sum(min_count=1)
    table.columns.name = None
    return table.reset_index()


def _breg(adata: AnnData) -> pd.DataFrame:
    """Breg-like kinds of B cells, what they rest on, and how many cells show IL10."""
    if k.BREG_KIND not in adata.obs or k.CELL_TYPE not in adata.obs:
        msg = f"obs[{k.BREG_KIND!r}] is not there: call scifn.tl.annotate(adata) first."
        raise MissingKeyError(msg)
    types = cell_table(adata)
    b_cell = (types["lineage"] == "B") & ~types["cell_type"].isin([k.PLASMABLAST, k.PLASMA])
    chosen = adata.obs[b_cell.to_numpy()]
    table = pd.DataFrame(
        {
            "kind": chosen[k.BREG_KIND].astype(str).to_numpy(),
            "evidence": chosen[k.BREG_EVIDENCE].astype(str).to_numpy(),
            "n_cells": 1,
            "n_il10": np.nan,
        }
    )
    if k.IL10_UMI in chosen:
        umi = chosen[k.IL10_UMI].to_numpy(dtype=float)
        table["n_il10"] = np.where(np.isfinite(umi), umi > 0, np.nan)
    by = table.groupby(["kind", "evidence"])
    return by.sum(min_count=1).reset_index()
