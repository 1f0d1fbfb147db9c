"""Calls of a data set with an identity table that has not seen it, beside those of the shipped one.

Accuracy is never tested on what was fitted: the table that a data set is called with is made
without that data set, and what the shipped table says of it stands in a second column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from io import StringIO
from typing import Generic, TypeVar

import anndata as ad
import make_identity
import numpy as np
import pandas as pd
from _shared import Sheet, load

from scifn import _view
from scifn._cells import annotate as model
from scifn._cells import told
from scifn._cells.profiles import Components, components, read_table
from scifn.tl._leiden import leiden

KANG = "kang_ifnb_fullgenes_annot"
CSLE = "csle_bcells_neharbelaid"
ONEK1K = "onek1k_bcells_817g"
ZHENG = "zheng_sorted_refs_mudan"
#: Genes that listings show and the model may not read.
SHOWN_TOO = (
    "IGHA1", "IGHA2", "IGHG1", "IGHG2", "IGHG3", "IGHG4", "IGHM", "IGHD", "IGKC", "IGLC2", "IGLC3",
    "JCHAIN", "MZB1", "DERL3", "XBP1", "TNFRSF17", "MS4A1", "CD79A", "GZMB", "TCL1A", "IRF4",
)  # fmt: skip

T = TypeVar("T")


@cache
def table_text(*without: str) -> str:
    """The identity table made from all labelled data but these, as text."""
    with redirect_stdout(StringIO()):
        return make_identity.build(without=without).to_csv()


@cache
def table_without(*names: str) -> Components | None:
    """Identity table made without these data; None: the shipped one was made without them."""
    text = table_text(*names)
    return None if text == table_text() else read_table(text)


def warn_if_stale(sheet: Sheet) -> None:
    """Say so where the shipped table is not the one that is made now."""
    if table_text() != make_identity.OUT.read_text(encoding="utf-8"):
        sheet.start("The shipped table is not what benchmarks/make_identity.py makes: run it.")


@dataclass(frozen=True)
class Called:
    """A data set, its panel and its calls."""

    adata: ad.AnnData
    view: _view.PanelView
    result: model.Annotation

    @property
    def types(self) -> np.ndarray:
        """Cell type of each cell."""
        return np.asarray(self.result.cell_type, dtype=object).astype(str)

    @property
    def pdc(self) -> np.ndarray:
        """Cells called pDC."""
        return np.asarray(self.result.pdc_call == "pDC")

    def share(self, names: Sequence[str]) -> np.ndarray:
        """Posterior of these types together."""
        at = [i for i, name in enumerate(self.result.types) if name in names]
        return self.result.posterior[:, at].sum(axis=1)


@dataclass(frozen=True)
class Pair(Generic[T]):
    """The same with a table made without the data, and with the shipped one if it saw them."""

    held_out: T
    shipped: T | None

    def map(self, function: Callable[[T], object]) -> Pair:
        """The function of both."""
        seen = None if self.shipped is None else function(self.shipped)
        return Pair(function(self.held_out), seen)


def call(adata: ad.AnnData, without: tuple[str, ...], *, clusters: bool = False) -> Pair[Called]:
    """Call a data set with both tables."""
    table = table_without(*without)
    genes = {*model.panel_genes(), *SHOWN_TOO, *(table.genes if table else ())}
    view = _view.read(adata, sorted(genes))
    codes = leiden(view, list(told.table_of("human").genes)) if clusters else None
    held_out = Called(adata, view, model.annotate(view, model.Said(clusters=codes), table=table))
    if table is None:
        return Pair(held_out, None)
    return Pair(held_out, Called(adata, view, model.annotate(view, model.Said(clusters=codes))))


@cache
def called(name: str, *, clusters: bool = False) -> Pair[Called]:
    """Call one of the labelled data sets."""
    return call(load(name), (name,), clusters=clusters)


def identity_genes(view: _view.PanelView) -> list[str]:
    """Genes that the shipped table reads and the data measure."""
    return view.found(components().genes)


def made_without(*names: str) -> str:
    """The line that says what the table has seen."""
    if table_without(*names) is None:
        return f"the shipped table, made without: {', '.join(names)}"
    return f"table made without: {', '.join(names)}; second column: shipped; has seen these labels"


def figure(
    sheet: Sheet, what: str, pair: Pair[T], of: Callable[[T], float | int], *,
    least: float | None = None, most: float | None = None, above: float | None = None,
) -> None:  # fmt: skip
    """One figure of a pair beside its target; the verdict is that of the held-out table."""
    values = pair.map(of)
    value, target, met = values.held_out, "", None
    if least is not None:
        target, met = f">= {least:g}", value >= least
    elif above is not None:
        target, met = f"> {above:g}", value > above
    elif most is not None:
        target, met = f"<= {most:g}", value <= most
    shipped = "" if values.shipped is None else values.shipped
    sheet.row(what, value, target, None if met is None else bool(met), shipped)


def cells(one: Called, rows: np.ndarray, labels: np.ndarray, groups: dict) -> pd.DataFrame:
    """Listing of cells: label, call, confidence, UMI and the counts of marker genes."""
    at = np.flatnonzero(rows)
    result = one.result
    return pd.DataFrame(
        {
            "cell": one.adata.obs_names[at],
            "label": labels[at],
            "call": [_call(result, i) for i in at],
            "confidence": [f"{result.confidence[i]:.2f}" for i in at],
            "umi": one.view.total[at].astype(int),
            "markers": marker_counts(one.view, at, groups),
        }
    )


def _call(result: model.Annotation, i: int) -> str:
    """Cell type, with the pDC call where it says more."""
    kind, pdc = str(result.cell_type[i]), str(result.pdc_call[i])
    return kind if pdc in {kind, "not_pDC", "NA"} else f"{kind} ({pdc})"


def marker_counts(view: _view.PanelView, at: np.ndarray, groups: dict) -> list[str]:
    """For each cell "group number_detected: GENE count ..." of every group."""
    parts = []
    for name, genes in groups.items():
        found = view.found(genes)
        counts = view.sparse(found)[at].toarray()
        parts.append([_shown(name, found, row) for row in counts])
    return [" | ".join(line) for line in zip(*parts, strict=True)]


def _shown(name: str, genes: list[str], counts: np.ndarray) -> str:
    seen = [f"{gene} {n:g}" for gene, n in zip(genes, counts, strict=True) if n > 0]
    return f"{name} {len(seen)}" + (": " + " ".join(seen) if seen else "")
