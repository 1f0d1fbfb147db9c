"""The identity step on a panel: what can be told, what each cell is, Breg-like grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import clusters as clusters_
from scifn._cells import codes, mixture, second, shown, told
from scifn._cells.calls import Cells, Kept, Panel, asdc_rates, columns_of, il10, typical_of
from scifn._cells.likelihood import Tables
from scifn._cells.profiles import Components, components
from scifn._cells.runs import COMPILED_FROM, threads_for
from scifn._matrix import mapped
from scifn._view import PanelView
from scifn.genesets import _ids, _sets

Floats = NDArray[np.float64]
Values = NDArray[np.float32]
Bools = NDArray[np.bool_]

#: Cells that are called at once. No power of two: rows of as many numbers would all fall on the
#: same places of a processor's cache.
BLOCK: Final = 16_000


@dataclass(frozen=True)
class Annotation:
    """Every output of the step, a row a cell; labels are pandas Categoricals."""

    cell_type: Any
    lineage: Any
    confidence: NDArray[np.float32]
    pdc_call: Any
    pdc_score: Values
    breg_kind: Any
    breg_score: Values
    breg_evidence: Any
    il10_umi: Values
    types: tuple[str, ...]
    posterior: Values
    coverage: list[dict[str, Any]]
    record: dict[str, Any]
    #: What the transcripts alone say, where labels of the user's bounded the calls.
    unbounded: Any = None


def panel_genes(species: str = "human") -> list[str]:
    """Every gene that the step reads."""
    markers = {gene for genes in shown.lists().values() for gene in genes}
    genes = set(told.table_of(species).genes) | {"IL10" if species == "human" else "Il10"}
    genes |= markers if species == "human" else {_ids.ortholog(gene) or gene for gene in markers}
    for name in (*told.SETS, *shown.RESPONSE):
        genes |= set(_sets.for_species(name, species))
    return sorted(genes)


def annotate(
    view: PanelView,
    *,
    allowed: dict[str, NDArray[np.bool_]] | None = None,
    clusters: NDArray[np.int64] | None = None,
    doublet: NDArray[np.bool_] | None = None,
    table: Components | None = None,
) -> Annotation:
    """Call every cell of a panel.

    Parameters
    ----------
    view
        Panel genes and totals.
    allowed
        For each cell type the cells that the user's labels let be it.
    clusters
        Cluster of each cell; None calls every cell by itself.
    doublet
        Cells that the user's doublet caller flagged.
    table
        Identity table in human symbols; None takes the shipped one. Tests of accuracy pass
        tables that were made without the data they test on.
    """
    full = told.table_of(view.species, table)
    genes = view.found(full.genes)
    found = full.of_genes(genes)
    types, b_cells, coverage = told.measurable_types(view, found.singlets())
    if not types and not b_cells:
        return _nothing(view, coverage)
    panel = _panel(view, found, types, b_cells=b_cells)
    runs = _Runs(view, panel, allowed, clusters, doublet)
    threads = threads_for(view.n_cells)
    typical: tuple[clusters_.Typical | None, clusters_.Typical | None] = (None, None)
    if clusters is not None:
        typical = typical_of(panel, runs, int(clusters.max(initial=-1)) + 1, threads)
    out = _Output(view.n_cells, panel.columns, bounded=allowed is not None)

    def call(at: int) -> None:
        out.put(runs.rows(at), columns_of(panel, runs[at], *typical))

    for _ in mapped(call, range(len(runs)), threads):
        pass
    record = _record(view, panel.model, types, b_cells, panel.whole, len(genes))
    return out.annotation(coverage, record)


def _panel(view: PanelView, found: Components, types: frozenset[str], *, b_cells: bool) -> Panel:
    model = found.told(types)
    if not view.is_counts:
        # a doublet is told by how much of two cells is there, which needs counts
        model = model.singlets()
    whole = view.n_features >= mixture.WHOLE_TRANSCRIPTOME
    report = told.reported(types, b_cells=b_cells, dendritic=k.MONOCYTE in types)
    columns = tuple(dict.fromkeys(report.get(name, name) for name in model.types))
    lists = shown.Lists(view, model)
    kept = None
    if view.n_cells >= COMPILED_FROM:
        rates, used = asdc_rates(model, lists, whole=whole)
        kept = Kept(
            mixture.tables(model, whole=whole),
            second.Tabled(model, whole=whole),
            Tables(rates, mixture.SIZE, used[:, None]),
        )
    return Panel(model, types, whole, report, columns, lists, kept)


class _Runs(Sequence[Cells]):
    """The cells in runs, which bound the memory that they take; each is made when it is asked for.

    Parameters
    ----------
    view, panel
        The cells, and what is the same for all of them.
    allowed, clusters, doublet
        As :func:`annotate` takes them.
    """

    def __init__(
        self,
        view: PanelView,
        panel: Panel,
        allowed: dict[str, Bools] | None,
        clusters: NDArray[np.int64] | None,
        doublet: Bools | None,
    ) -> None:
        self._view, self._clusters, self._doublet = view, clusters, doublet
        self._allowed, self._types = allowed, tuple(dict.fromkeys(panel.model.types))

    def __len__(self) -> int:
        return -(-self._view.n_cells // BLOCK)

    def rows(self, at: int) -> slice:
        """Cells of a run."""
        return slice(at * BLOCK, min((at + 1) * BLOCK, self._view.n_cells))

    def __getitem__(self, at: Any) -> Any:
        rows = self.rows(at)
        allowed = None
        if self._allowed is not None:
            every = np.ones(self._view.n_cells, dtype=bool)
            of = [self._allowed.get(name, every)[rows] for name in self._types]
            allowed = np.stack(of, axis=1)
        clusters = None if self._clusters is None else self._clusters[rows]
        doublet = None if self._doublet is None else self._doublet[rows]
        return Cells(self._view.part(rows), allowed, clusters, doublet)


class _Output:
    """Columns of all cells, filled run by run; labels a byte a cell."""

    def __init__(self, n: int, types: tuple[str, ...], *, bounded: bool) -> None:
        self._types, self._bounded = types, bounded
        small = ("cell_type", "pdc_call", "breg_kind", "breg_evidence", "unbounded")
        self._columns: dict[str, Any] = {name: np.empty(n, dtype=np.int8) for name in small}
        for name in ("confidence", "pdc_score", "breg_score", "il10_umi"):
            self._columns[name] = np.empty(n, dtype=np.float32)
        self._columns["posterior"] = np.empty((n, len(types)), dtype=np.float32)

    def put(self, rows: slice, found: dict[str, Any]) -> None:
        """Fill in a run of cells."""
        for name, values in found.items():
            self._columns[name][rows] = values

    def annotation(self, coverage: list[dict[str, Any]], record: dict[str, Any]) -> Annotation:
        """What the step returns."""
        found = dict(self._columns)
        kinds, free = found.pop("cell_type"), found.pop("unbounded")
        return Annotation(
            cell_type=codes.categories(kinds, k.CELL_TYPES),
            lineage=codes.categories(codes.LINEAGE_OF[kinds], k.LINEAGES),
            pdc_call=codes.categories(found.pop("pdc_call"), k.PDC_CALLS),
            breg_kind=codes.categories(found.pop("breg_kind"), k.BREG_KINDS),
            breg_evidence=codes.categories(found.pop("breg_evidence"), k.BREG_EVIDENCES),
            unbounded=codes.categories(free, k.CELL_TYPES) if self._bounded else None,
            types=self._types,
            coverage=coverage,
            record=record,
            **found,
        )


def _record(
    view: PanelView,
    model: Components,
    types: frozenset[str],
    b_cells: bool,
    whole: bool,
    n_genes: int,
) -> dict[str, Any]:
    untold = [name for name in told.SET_OF if name not in types]
    notes = []
    if untold:
        notes.append(f"cannot be told with these features: {', '.join(untold)}")
    if b_cells and k.B_NAIVE not in types:
        notes.append("B cells are called, naive and memory are not told apart (B unresolved)")
    held = [
        f"{big} hold {small}"
        for small, big in told.WITHIN.items()
        if small in untold and big in types
    ]
    if held:
        notes.append(f"not told apart with these features: {', '.join(held)}")
    if {k.B_MEMORY, k.B_TRANSITIONAL} <= types:
        notes.append(
            "from transcripts, b10_like is a memory B cell with a UMI each of CD24 and CD27, which "
            "takes depth: compare at equal depth only, or gate proteins"
        )
    if k.B_TRANSITIONAL not in types:
        notes.append("Breg-like transitional B cells are not measurable")
    elif not view.found(("CD24", "Cd24a")):
        notes.append("CD24 is not among the features: transitional B cells rest on other genes")
    if not whole:
        notes.append("a panel: depth is judged by the identity genes, not by the total")
    if view.species == "mouse":
        notes.append("mouse: experimental, human expression mapped through one-to-one orthologs")
    if not view.is_counts:
        notes.append("no counts: values relative to a cell's smallest one stand in for UMI")
    return {
        "model": "negative binomial mixture over identity genes",
        "n_identity_genes": n_genes,
        "components": list(model.names),
        "ambient": mixture.AMBIENT,
        "size": mixture.SIZE,
        "whole_transcriptome": whole,
        "measurable": sorted(types | ({"B"} if b_cells else set())),
        "confidence": "share of such calls that is right, calibrated on labelled cells",
        "notes": "\n".join(notes),
    }


def _nothing(view: PanelView, coverage: list[dict[str, Any]]) -> Annotation:
    """The honest answer to a panel that can tell no type."""
    out = _Output(view.n_cells, (), bounded=False)
    nothing: dict[str, Any] = dict.fromkeys(("confidence", "pdc_score", "breg_score"), np.nan)
    nothing |= {
        "cell_type": codes.TYPE[k.UNASSIGNED],
        "pdc_call": codes.CALL["NA"],
        "breg_kind": codes.KIND["NA"],
        "breg_evidence": codes.EVIDENCE["none"],
        "il10_umi": il10(view, view.sum(shown.SINGLE["il10"])),
    }
    out.put(slice(None), nothing)
    record = _record(view, components().singlets(), frozenset(), False, False, 0)
    return out.annotation(coverage, record)
