"""The identity step on a panel: what can be told, what each cell is, Breg-like grades."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import identity
from scifn._cells.calibration import LINEAGE, TYPE, tempered
from scifn._cells.profiles import Components, components
from scifn._cells.separable import DEPTH, confusion
from scifn._view import PanelView
from scifn.genesets import _coverage, _ids, _sets

Floats = NDArray[np.float64]

#: Gene sets of the types; three genes of a set must be there for its type to be told.
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
#: Types that are rare, and genes of which a cell must show two to be one (of which one, where a
#: panel holds a single one): out of so many cells of common types some would resemble them.
OWN: Final = {
    # SPINK2 is left out: naive B cells and innate lymphoid cells show it too
    k.HSPC: ("CD34", "PRSS57", "SMIM24", "AVP", "CRHBP", "GATA2", "CYTL1", "EGFL7"),
    k.BASO_MAST: ("CLC", "HDC", "MS4A2", "MS4A3", "GATA2", "CPA3", "TPSAB1"),
    k.PLASMABLAST: ("JCHAIN", *SHOWN[k.PLASMA]),
    k.PLASMA: ("JCHAIN", *SHOWN[k.PLASMA]),
    k.PLATELET: ("PPBP", "PF4", "GP9", "GNG11", "TUBB1", "ITGA2B", "CLU", "SDPR", "CAVIN2"),
    k.ERYTHROCYTE: ("HBB", "HBA1", "HBA2", "HBD", "ALAS2", "AHSP", "CA1"),
}
#: Small subsets, and what they are called with where a panel tells that one and not them.
WITHIN: Final = {k.B_TRANSITIONAL: k.B_NAIVE, k.B_ATYPICAL: k.B_MEMORY}
#: Types between which rules on single genes decide, not the posterior.
BY_RULE: Final = ((k.PDC, k.ASDC), (k.PLASMABLAST, k.PLASMA))
#: What a call stands for where confidence is judged: either side of a rule, and naive B cells with
#: the transitional ones that they come from.
COUNTED_AS: Final = {
    **{name: pair for pair in BY_RULE for name in pair},
    k.B_NAIVE: (k.B_NAIVE, k.B_TRANSITIONAL),
}
#: Cell cycle, and what plasmablasts keep of B cells.
CYCLING: Final = ("MKI67", "STMN1", "TYMS", "TOP2A")
EARLY: Final = ("CD19", "MS4A1")
#: Genes other than CD24 that a panel must hold to grade transitional B cells without it.
MIN_TRANSITIONAL: Final = 5
#: Genes of a type's set that must be there for it to be called.
MIN_GENES: Final = 3
#: Largest bound of wrong claims on a type by any other, over the type's own size: for types of
#: different lineages, for naive against memory B cells, and for atypical against memory ones
#: (a small subset next to a larger one: the bound is about four times what happens).
MAX_CLAIMED: Final = 0.1
MAX_CLAIMED_B: Final = 0.3
MAX_CLAIMED_ATYPICAL: Final = 1.0
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
    lists = (*SHOWN.values(), *OWN.values(), CYCLING, EARLY)
    markers = {gene for genes in lists for gene in genes}
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


def measurable_types(
    view: PanelView, model: Components
) -> tuple[frozenset[str], bool, list[dict[str, Any]]]:
    """Types that the panel can tell, whether it can tell B cells at all, and the coverage.

    ``model`` holds the components on the genes that were found. A type is told where few cells
    of any other could be taken for it (:mod:`scifn._cells.separable`) and three of its genes
    are there. Its set may lack half of its genes all the same: what counts is whether the rest,
    and all other identity genes, suffice.
    """
    sets = {name: _sets.for_species(name, view.species) for name in SETS}
    rows = _coverage.coverage({name: genes for name, genes in sets.items() if genes}, view)
    found = {row["set"]: row["n_found"] for row in rows}
    claimed = _claimed(model)
    types = {
        kind
        for kind, name in SET_OF.items()
        if found.get(name, 0) >= MIN_GENES and claimed[kind] <= MAX_CLAIMED
    }
    types -= {kind for kind, genes in OWN.items() if len(_symbols(view, genes)) < 2}
    b_cells = found.get(PAN_B, 0) >= MIN_GENES and bool(types & set(identity.B_SUBSETS))
    status = {row["set"]: row["status"] for row in rows}
    graded = status.get(SET_OF[k.B_TRANSITIONAL]) in {"ok", "partial"} and _can_grade(view)
    types -= _untold_b(model, graded=graded) if b_cells else set(identity.B_SUBSETS)
    if not _symbols(view, ASDC_FIRST):
        types.discard(k.ASDC)
    if k.PDC not in types:
        # what cannot be told from pDC is neither an AS-DC nor a cDC
        types -= {k.ASDC, k.CDC}
    return frozenset(types), b_cells, rows


def _claimed(model: Components) -> dict[str, float]:
    """For each type the bound of what the worst other type adds to it, over its own size.

    Subsets of B cells do not count against each other (:func:`_untold_b`), nor do types between
    which rules decide.
    """
    means = DEPTH * identity.expected(model)
    bound = confusion(model, means, identity.SIZE)
    merged = [set(identity.B_SUBSETS), *map(set, BY_RULE)]
    out: dict[str, float] = {}
    for i, kind in enumerate(model.types):
        rivals = [
            bound[i, j]
            for j, other in enumerate(model.types)
            if other != kind and not any({kind, other} <= pair for pair in merged)
        ]
        out[kind] = max([out.get(kind, 0.0), *rivals])
    return out


def _untold_b(model: Components, *, graded: bool) -> set[str]:
    """Subsets of B cells that cannot be told from each other."""
    at = {kind: model.types.index(kind) for kind in identity.B_SUBSETS}
    bound = confusion(model, DEPTH * identity.expected(model), identity.SIZE_WITHIN)
    naive, memory, atypical = (at[name] for name in (k.B_NAIVE, k.B_MEMORY, k.B_ATYPICAL))
    if max(bound[naive, memory], bound[memory, naive]) > MAX_CLAIMED_B:
        return set(identity.B_SUBSETS)
    untold = set() if graded else {k.B_TRANSITIONAL}
    return untold | ({k.B_ATYPICAL} if bound[atypical, memory] > MAX_CLAIMED_ATYPICAL else set())


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
        elif name in WITHIN and WITHIN[name] in types:
            out[name] = WITHIN[name]
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
    full = _model(view.species, table)
    genes = view.found(full.genes)
    found = full.of_genes(genes)
    types, b_cells, coverage = measurable_types(view, found.singlets())
    n = view.n_cells
    if not types and not b_cells:
        return _nothing(view, coverage)
    model = found.told(types)
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
        own=_own(view),
        allowed=bounds,
        report=reported(types, b_cells=b_cells, dendritic=k.MONOCYTE in types),
    )
    if clusters is not None:
        evidence = identity.Evidence(
            **{**vars(evidence), "posterior": identity.consensus(evidence, clusters)}
        )
    called, _ = identity.labels(evidence)
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
        axl_siglec6=view.sum(_symbols(view, ASDC_FIRST)),
        asdc_other=_count(view, _symbols(view, ASDC_OTHER)),
        measurable=k.PDC in types,
    )
    if doublet is not None:
        calls[doublet & np.isin(calls.astype(str), ["pDC", "pDC_ambiguous"])] = "pDC_doublet"
    confidence = _confidence(called, evidence)
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


def _own(view: PanelView) -> dict[str, NDArray[np.bool_]]:
    """Cells that show genes of their own of each rare type, where the panel holds any."""
    out = {}
    for name, genes in OWN.items():
        found = _symbols(view, genes)
        if found:
            out[name] = _count(view, found) >= min(2, len(found))
    return out


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


def _confidence(called: NDArray[np.object_], evidence: identity.Evidence) -> NDArray[np.float32]:
    """How often a label like this is right: of its lineage, times of the type within it."""
    names, lineages = identity.by_lineage(evidence)
    of_lineage = tempered(lineages, *LINEAGE)
    out = np.zeros(called.size)
    for name in set(called):
        mine = np.flatnonzero(called == name)
        group = identity.group_of(name)
        if group not in names:
            out[mine] = of_lineage[mine].max(axis=1)
            continue
        out[mine] = of_lineage[mine, names.index(group)]
        types = [kind for kind in evidence.types if identity.group_of(kind) == group]
        own = COUNTED_AS.get(name, (name,))
        if len(types) > 1 and any(kind in types for kind in own):
            columns = [evidence.types.index(kind) for kind in types]
            within = evidence.posterior[mine][:, columns]
            sums = within.sum(axis=1, keepdims=True)
            within = np.divide(within, sums, out=np.zeros_like(within), where=sums > 0)
            of_type = tempered(within, *TYPE)
            out[mine] *= of_type[:, [kind in own for kind in types]].sum(axis=1)
    return out.astype(np.float32)


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
    held = [
        f"{big} hold {small}" for small, big in WITHIN.items() if small in untold and big in types
    ]
    if held:
        notes.append(f"not told apart with these features: {', '.join(held)}")
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
        "measurable": sorted(types | ({"B"} if b_cells else set())),
        "confidence": "share of such calls that is right, calibrated on labelled cells",
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
