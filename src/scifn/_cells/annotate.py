"""The identity step on a panel: what can be told, what each cell is, Breg-like grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
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


@dataclass(frozen=True)
class Said:
    """What a user says of the cells.

    Attributes
    ----------
    allowed
        For each cell type the cells that the user's labels let be it.
    clusters
        Cluster of each cell; None calls every cell by itself.
    doublet
        Cells that the user's doublet caller flagged.
    """

    allowed: dict[str, Bools] | None = None
    clusters: NDArray[np.int64] | None = None
    doublet: Bools | None = None

    def of(self, view: PanelView, rows: slice, types: Sequence[str]) -> Cells:
        """The cells of a run (``view`` holds them alone), with what is said of them."""
        allowed = None
        if self.allowed is not None:
            every = np.ones(view.n_cells, dtype=bool)
            of = [self.allowed[name][rows] if name in self.allowed else every for name in types]
            allowed = np.stack(of, axis=1)
        clusters = None if self.clusters is None else self.clusters[rows]
        doublet = None if self.doublet is None else self.doublet[rows]
        return Cells(view, allowed, clusters, doublet)


def annotate(
    view: PanelView, said: Said | None = None, *, table: Components | None = None
) -> Annotation:
    """Call every cell of a panel.

    Parameters
    ----------
    view
        Panel genes and totals.
    said
        What the user says of the cells.
    table
        Identity table in human symbols; None takes the shipped one. Tests of accuracy pass
        tables that were made without the data they test on.
    """
    said = said or Said()
    calling = Calling(view, view.n_cells, said, table=table)
    runs = _Runs(view, calling)
    threads = threads_for(view.n_cells)
    if said.clusters is not None and calling.panel is not None:
        n_clusters = int(said.clusters.max(initial=-1)) + 1
        calling.settle(typical_of(calling.panel, runs, n_clusters, threads))

    def call(at: int) -> None:
        calling(view.part(runs.rows(at)), runs.rows(at))

    for _ in mapped(call, range(len(runs)), threads):
        pass
    return calling.annotation()


class Calling:
    """Calls of all cells, run by run in any order: no cell's depends on those of other runs.

    Parameters
    ----------
    view
        What is measured; its cells are not looked at.
    n_cells
        How many there are.
    said, table
        As :func:`annotate` takes them.

    Attributes
    ----------
    panel
        What the panel can tell; None where that is nothing.
    """

    def __init__(
        self, view: PanelView, n_cells: int, said: Said, *, table: Components | None = None
    ) -> None:
        full = told.table_of(view.species, table)
        genes = view.found(full.genes)
        found = full.of_genes(genes)
        types, b_cells, self._coverage = told.measurable_types(view, found.singlets())
        self.panel: Panel | None = None
        self._said = said
        self._typical: tuple[clusters_.Typical | None, clusters_.Typical | None] = (None, None)
        if not types and not b_cells:
            self._record = _record(view, components().singlets(), types, b_cells, False, 0)
            self._out = _Output(n_cells, (), bounded=False)
            return
        self.panel = _panel(view, found, types, b_cells=b_cells, n_cells=n_cells)
        model, whole = self.panel.model, self.panel.whole
        self._record = _record(view, model, types, b_cells, whole, len(genes))
        self._out = _Output(n_cells, self.panel.columns, bounded=said.allowed is not None)

    def settle(self, typical: tuple[clusters_.Typical, clusters_.Typical]) -> None:
        """Let cells of which little is seen take what is typical of their clusters."""
        self._typical = typical

    def cells(self, view: PanelView, rows: slice) -> Cells:
        """A run of cells (``view`` holds them alone), with what the user says of them."""
        types = () if self.panel is None else tuple(dict.fromkeys(self.panel.model.types))
        return self._said.of(view, rows, types)

    def __call__(self, view: PanelView, rows: slice) -> None:
        """Call a run of cells, in portions that bound the memory that they take."""
        n = view.n_cells
        for portion in _even(n, -(-n // BLOCK)):
            part = view if portion == slice(0, n) else view.part(portion)
            mine = slice(rows.start + portion.start, rows.start + portion.stop)
            if self.panel is None:
                found = _nothing(part)
            else:
                found = columns_of(self.panel, self.cells(part, mine), *self._typical)
            self._out.put(mine, found)

    def annotation(self) -> Annotation:
        """What the step returns, when every run has been called."""
        return self._out.annotation(self._coverage, self._record)


def _even(n: int, parts: int) -> list[slice]:
    """``n`` cells in so many parts, about as many in each."""
    ends = np.linspace(0, n, parts + 1).astype(np.int64).tolist()
    return [slice(start, stop) for start, stop in pairwise(ends)]


def _panel(
    view: PanelView, found: Components, types: frozenset[str], *, b_cells: bool, n_cells: int
) -> Panel:
    model = found.told(types)
    if not view.is_counts:
        # a doublet is told by how much of two cells is there, which needs counts
        model = model.singlets()
    whole = view.n_features >= mixture.WHOLE_TRANSCRIPTOME
    report = told.reported(types, b_cells=b_cells, dendritic=k.MONOCYTE in types)
    columns = tuple(dict.fromkeys(report.get(name, name) for name in model.types))
    lists = shown.Lists(view, model)
    kept = None
    if n_cells >= COMPILED_FROM:
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
    view
        The cells.
    calling
        What knows what the user says of them.
    """

    def __init__(self, view: PanelView, calling: Calling) -> None:
        self._view, self._calling = view, calling

    def __len__(self) -> int:
        return -(-self._view.n_cells // BLOCK)

    def rows(self, at: int) -> slice:
        """Cells of a run."""
        return slice(at * BLOCK, min((at + 1) * BLOCK, self._view.n_cells))

    def __getitem__(self, at: Any) -> Any:
        rows = self.rows(at)
        return self._calling.cells(self._view.part(rows), rows)


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


def _nothing(view: PanelView) -> dict[str, Any]:
    """The honest answer to a panel that can tell no type."""
    nothing: dict[str, Any] = dict.fromkeys(("confidence", "pdc_score", "breg_score"), np.nan)
    return nothing | {
        "cell_type": codes.TYPE[k.UNASSIGNED],
        "pdc_call": codes.CALL["NA"],
        "breg_kind": codes.KIND["NA"],
        "breg_evidence": codes.EVIDENCE["none"],
        "il10_umi": il10(view, view.sum(shown.SINGLE["il10"])),
    }
