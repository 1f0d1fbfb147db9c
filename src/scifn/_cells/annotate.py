"""The identity step on a panel: what can be told, what each cell is, Breg-like grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import identity
from scifn._cells.profiles import Components, components
from scifn._view import PanelView
from scifn.genesets import _coverage, _ids, _sets

Floats = NDArray[np.float64]

#: Gene sets whose coverage decides whether a type can be told at all (half of the genes).
SET_OF: Final = {
    k.PDC: "pdc_identity_core",
    k.ASDC: "asdc_veto",
    k.CDC: "neg_mono_cdc",
    k.MONOCYTE: "neg_mono_cdc",
    k.T_NK: "neg_t_nk",
    k.B_NAIVE: "b_naive",
    k.B_MEMORY: "b_memory",
    k.B_TRANSITIONAL: "b_transitional",
    k.B_ATYPICAL: "b_abc_dn2",
    k.PLASMABLAST: "plasmablast",
    k.PLASMA: "plasma",
    k.HSPC: "neg_hspc",
    k.BASO_MAST: "neg_baso_mast",
    k.PLATELET: "mark_platelet",
    k.ERYTHROCYTE: "mark_erythrocyte",
}
PAN_B: Final = "b_pan"
B_SUBSETS: Final = (k.B_NAIVE, k.B_MEMORY, k.B_TRANSITIONAL, k.B_ATYPICAL)
#: Sets this step counts genes of.
SETS: Final = (*dict.fromkeys(SET_OF.values()), PAN_B, "pdc_identity_support", "breg_b10")
#: One of the first and two of the rest make a pDC-like cell an AS-DC.
ASDC_FIRST: Final = ("AXL", "SIGLEC6")
ASDC_OTHER: Final = ("PPP1R14A", "DAB2", "ADAM33", "LTK", "CX3CR1", "CD5", "CD22")
#: Genes of which a doublet must show two of each half. S100A8, S100A9 and LYZ are left out:
#: they are what ambient RNA of blood is made of.
SHOWN: Final = {
    k.T_NK: ("CD3D", "CD3E", "CD3G", "TRAC", "CD2", "NKG7", "GNLY", "KLRD1", "PRF1"),
    k.MONOCYTE: ("CD14", "FCN1", "S100A12", "VCAN", "FCGR3A", "CD68", "CFD", "SERPINA1"),
    k.B_NAIVE: ("MS4A1", "CD19", "CD79A", "PAX5", "BANK1"),
    k.B_MEMORY: ("MS4A1", "CD19", "CD79A", "PAX5", "BANK1"),
    k.PDC: (
        "LILRA4", "CLEC4C", "SCT", "LRRC26", "SERPINF1", "SMPD3", "PTCRA", "PACSIN1", "SHD",
        "MAP1A", "LAMP5",
    ),
    k.PLASMA: ("MZB1", "DERL3", "TNFRSF17", "XBP1", "FKBP11", "SDC1", "POU2AF1"),
}  # fmt: skip
#: Cell cycle, and what plasmablasts keep of B cells.
CYCLING: Final = ("MKI67", "STMN1", "TYMS", "TOP2A")
EARLY: Final = ("CD19", "MS4A1")
#: Genes other than CD24 that a panel must hold to grade transitional B cells without it.
MIN_TRANSITIONAL: Final = 5
#: Moves with interferon, so it never weighs in (it is no row of the identity table either).
CD38: Final = "CD38"


@dataclass(frozen=True)
class Annotation:
    """Every output of the step; arrays have a row a cell."""

    cell_type: NDArray[np.object_]
    lineage: NDArray[np.object_]
    confidence: NDArray[np.float32]
    pdc_call: NDArray[np.object_]
    pdc_score: Floats
    breg_kind: NDArray[np.object_]
    breg_score: Floats
    breg_evidence: NDArray[np.object_]
    il10_umi: Floats
    types: tuple[str, ...]
    posterior: Floats
    coverage: list[dict[str, Any]]
    record: dict[str, Any]


def panel_genes(species: str = "human") -> list[str]:
    """Every gene that the step reads."""
    markers = {gene for genes in (*SHOWN.values(), CYCLING, EARLY) for gene in genes}
    genes = set(_model(species).genes) | {"IL10" if species == "human" else "Il10"}
    genes |= markers if species == "human" else {_ids.ortholog(gene) or gene for gene in markers}
    for name in SETS:
        genes |= set(_sets.for_species(name, species))
    return sorted(genes)


def _model(species: str, table: Components | None = None) -> Components:
    """The identity table, in the symbols of the species (mouse: one-to-one orthologs only)."""
    model = table or components()
    if species == "human":
        return model
    pairs = [(gene, _ids.ortholog(gene)) for gene in model.genes]
    kept = model.of_genes([gene for gene, mouse in pairs if mouse])
    return Components(
        tuple(mouse for _, mouse in pairs if mouse),
        kept.names,
        kept.types,
        kept.priors,
        kept.rates,
        kept.pairs,
    )


def measurable_types(view: PanelView) -> tuple[frozenset[str], bool, list[dict[str, Any]]]:
    """Types that the panel can tell, whether it can tell B cells at all, and the coverage."""
    sets = {name: _sets.for_species(name, view.species) for name in SETS}
    rows = _coverage.coverage({name: genes for name, genes in sets.items() if genes}, view)
    status = {row["set"]: row["status"] for row in rows}
    enough = {name for name, found in status.items() if found in {"ok", "partial"}}
    types = {kind for kind, name in SET_OF.items() if name in enough}
    if PAN_B not in enough:
        types -= set(B_SUBSETS)
    if k.B_TRANSITIONAL in types and not _can_grade(view):
        types.discard(k.B_TRANSITIONAL)
    if not {k.B_NAIVE, k.B_MEMORY} <= types:
        types -= set(B_SUBSETS)
    if k.PDC not in types:
        # what cannot be told from pDC is neither an AS-DC nor a cDC
        types -= {k.ASDC, k.CDC}
    return frozenset(types), PAN_B in enough, rows


def reported(types: frozenset[str], *, b_cells: bool, dendritic: bool) -> dict[str, str]:
    """What cells of a type are called which the panel cannot tell: unresolved, or Unassigned.

    Parameters
    ----------
    types
        Types that the panel can tell.
    b_cells, dendritic
        Whether it can tell B cells, and dendritic cells, from all others.
    """
    out = {}
    for name in SET_OF:
        lineage = k.LINEAGE_OF[name]
        if name in types:
            out[name] = name
        elif lineage == "B" and b_cells:
            out[name] = k.B_UNRESOLVED
        elif lineage == "DC" and dendritic:
            out[name] = k.DC_UNRESOLVED
        else:
            out[name] = k.UNASSIGNED
    return out


def _can_grade(view: PanelView) -> bool:
    genes = _sets.for_species("b_transitional", view.species)
    found = [gene for gene in view.found(genes) if gene.upper() != CD38]
    has_cd24 = any(gene.upper() in {"CD24", "CD24A"} for gene in found)
    return has_cd24 or len(found) >= MIN_TRANSITIONAL


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
    types, b_cells, coverage = measurable_types(view)
    n = view.n_cells
    if not types and not b_cells:
        return _nothing(view, coverage)
    full = _model(view.species, table)
    genes = view.found(full.genes)
    model = full.of_genes(genes).told(types)
    if not view.is_counts:
        # a doublet is told by how much of two cells is there, which needs counts
        model = model.singlets()
    whole = view.n_features >= identity.WHOLE_TRANSCRIPTOME
    names = tuple(dict.fromkeys(model.types))
    bounds = _bounds(allowed, names, n)
    evidence = identity.type_posterior(
        view.sparse(genes).tocsr(),
        view.total,
        model,
        whole=whole,
        shown=_shown(view),
        allowed=bounds,
        report=reported(types, b_cells=b_cells, dendritic=k.MONOCYTE in types),
    )
    if clusters is not None:
        evidence = identity.Evidence(
            **{**vars(evidence), "posterior": identity.consensus(evidence, clusters)}
        )
    called, confidence = identity.labels(evidence)
    called = identity.secreting(
        called,
        cycling=_count(view, _symbols(view, CYCLING)),
        early=_count(view, _symbols(view, EARLY)) >= 1,
        measurable=np.array([k.PLASMABLAST in types, k.PLASMA in types]),
    )
    if doublet is not None:
        called[doublet] = k.DOUBLET
    calls, called = identity.pdc_calls(
        called,
        evidence,
        core=_detected(view, "pdc_identity_core"),
        support=_detected(view, "pdc_identity_support"),
        axl_siglec6=_count(view, _symbols(view, ASDC_FIRST)),
        asdc_other=_count(view, _symbols(view, ASDC_OTHER)),
        measurable=k.PDC in types,
    )
    if doublet is not None:
        calls[doublet & np.isin(calls.astype(str), ["pDC", "pDC_ambiguous"])] = "pDC_doublet"
    confidence = _of_label(called, confidence, evidence)
    confidence[view.total <= 0] = np.nan
    lineage = np.array([k.LINEAGE_OF[name] for name in called], dtype=object)
    kind, grade, source = _breg(view, called, lineage, evidence, k.B_TRANSITIONAL in types)
    return Annotation(
        cell_type=called,
        lineage=lineage,
        confidence=confidence,
        pdc_call=calls,
        pdc_score=np.where(evidence.enough & (k.PDC in types), evidence.log_odds_pdc, np.nan),
        breg_kind=kind,
        breg_score=grade,
        breg_evidence=source,
        il10_umi=_il10(view),
        types=evidence.types,
        posterior=np.where(view.total[:, None] > 0, evidence.posterior, np.nan),
        coverage=coverage,
        record=_record(view, model, types, b_cells, whole, len(genes)),
    )


def _shown(view: PanelView) -> dict[str, NDArray[np.bool_]]:
    """Cells that show two genes of each half of a doublet."""
    return {name: _count(view, _symbols(view, genes)) >= 2 for name, genes in SHOWN.items()}


def _symbols(view: PanelView, genes: Sequence[str]) -> list[str]:
    """Those of ``genes`` that are measured, in the symbols of the species."""
    if view.species == "human":
        return view.found(genes)
    return view.found([_ids.ortholog(gene) or gene for gene in genes])


def _bounds(
    allowed: dict[str, NDArray[np.bool_]] | None, names: tuple[str, ...], n: int
) -> NDArray[np.bool_] | None:
    if allowed is None:
        return None
    return np.stack([allowed.get(name, np.ones(n, dtype=bool)) for name in names], axis=1)


def _count(view: PanelView, genes: list[str]) -> NDArray[np.int64]:
    """Detected genes (one UMI or more) of each cell among ``genes``."""
    if not genes:
        return np.zeros(view.n_cells, dtype=np.int64)
    return np.asarray((view.sparse(genes) > 0).sum(axis=1), dtype=np.int64).ravel()


def _detected(view: PanelView, name: str) -> NDArray[np.int64]:
    return _count(view, view.found(_sets.for_species(name, view.species)))


def _of_label(
    called: NDArray[np.object_], confidence: NDArray[np.float32], evidence: identity.Evidence
) -> NDArray[np.float32]:
    """Confidence of the final label: its own posterior, or that of its lineage."""
    out = confidence.copy()
    names, lineages = identity.by_lineage(evidence)
    for name in set(called):
        mine = called == name
        if name in {k.PDC, k.ASDC}:
            # which of the two is decided by rules on the AS-DC genes
            both = [i for i, kind in enumerate(evidence.types) if kind in {k.PDC, k.ASDC}]
            out[mine] = evidence.posterior[np.ix_(mine, np.array(both))].sum(axis=1)
        elif name in evidence.types and name not in {k.B_UNRESOLVED, k.DC_UNRESOLVED}:
            out[mine] = evidence.posterior[mine, evidence.types.index(name)]
        elif name != k.UNASSIGNED and k.LINEAGE_OF[name] in names:
            out[mine] = lineages[mine, names.index(k.LINEAGE_OF[name])]
    return out


def _breg(
    view: PanelView,
    called: NDArray[np.object_],
    lineage: NDArray[np.object_],
    evidence: identity.Evidence,
    gradable: bool,
) -> tuple[NDArray[np.object_], Floats, NDArray[np.object_]]:
    """Kind, score and source of the Breg-like phenotype of B cells."""
    b_cell = (lineage == "B") & ~np.isin(called.astype(str), [k.PLASMABLAST, k.PLASMA])
    kind = np.where(b_cell, "NA", "none").astype(object)
    grade = np.where(b_cell & gradable, evidence.breg_log_odds, np.nan)
    if gradable:
        kind[b_cell] = "none"
        kind[called == k.B_TRANSITIONAL] = "transitional_like"
        cd24, cd27 = view.found(("CD24", "Cd24a")), view.found(("CD27", "Cd27"))
        if cd24 and cd27:
            both = (view.sum(cd24) >= 1) & (view.sum(cd27) >= 1)
            kind[both & (called == k.B_MEMORY)] = "b10_like"
    source = np.where(np.isin(kind.astype(str), ["none", "NA"]), "none", "transcript")
    return kind, grade, source.astype(object)


def _il10(view: PanelView) -> Floats:
    found = view.found(("IL10", "Il10"))
    if not found or not view.is_counts:
        return np.full(view.n_cells, np.nan)
    return view.sum(found)


def _record(
    view: PanelView,
    model: Components,
    types: frozenset[str],
    b_cells: bool,
    whole: bool,
    n_genes: int,
) -> dict[str, Any]:
    untold = [name for name in SET_OF if name not in types]
    notes = []
    if untold:
        notes.append(f"cannot be told with these features: {', '.join(untold)}")
    if b_cells and k.B_NAIVE not in types:
        notes.append("B cells are called, naive and memory are not told apart (B unresolved)")
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
        "ambient": identity.AMBIENT,
        "size": identity.SIZE,
        "whole_transcriptome": whole,
        "measurable": sorted(types),
        "confidence": "posterior of the model, not calibrated on labelled data",
        "notes": "\n".join(notes),
    }


def _nothing(view: PanelView, coverage: list[dict[str, Any]]) -> Annotation:
    """The honest answer to a panel that can tell no type."""
    n = view.n_cells
    missing, blank = np.full(n, np.nan), np.full(n, "NA", dtype=object)
    unassigned = np.full(n, k.UNASSIGNED, dtype=object)
    none = np.full(n, "none", dtype=object)
    record = _record(view, components().singlets(), frozenset(), False, False, 0)
    return Annotation(
        unassigned, unassigned.copy(), missing.astype(np.float32), blank, missing, blank.copy(),
        missing.copy(), none, _il10(view), (), np.zeros((n, 0)), coverage, record,
    )  # fmt: skip
