"""The identity step on a panel: what can be told, what each cell is, Breg-like grades."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import identity, second, shown, told
from scifn._cells.calibration import LINEAGE, TYPE, tempered
from scifn._cells.likelihood import log_likelihood
from scifn._cells.profiles import Components, components
from scifn._view import PanelView
from scifn.genesets import _ids, _sets

Floats = NDArray[np.float64]

#: What a call stands for where confidence is judged: either side of a rule, and naive B cells with
#: the transitional ones that they come from.
COUNTED_AS: Final = {
    **{name: pair for pair in told.BY_RULE for name in pair},
    k.B_NAIVE: (k.B_NAIVE, k.B_TRANSITIONAL),
}
#: Cells whose posterior is computed at once.
BLOCK: Final = 16_384


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
    #: What the transcripts alone say, where labels of the user's bounded the calls.
    unbounded: NDArray[np.object_] | None = None


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
    n = view.n_cells
    if not types and not b_cells:
        return _nothing(view, coverage)
    model = found.told(types)
    if not view.is_counts:
        # a doublet is told by how much of two cells is there, which needs counts
        model = model.singlets()
    whole = view.n_features >= identity.WHOLE_TRANSCRIPTOME
    names = tuple(dict.fromkeys(model.types))
    tally = shown.Tally(view, model)
    report = told.reported(types, b_cells=b_cells, dendritic=k.MONOCYTE in types)
    free = _evidence(view, model, tally, clusters, whole=whole, bounds=None, report=report)
    evidence = free
    bounds = _bounds(allowed, names, n)
    if bounds is not None:
        evidence = _evidence(
            view, model, tally, clusters, whole=whole, bounds=bounds, report=report
        )
    called, _ = identity.labels(evidence)
    called = identity.without_own_genes(called, evidence, tally.genes["t_nk"] >= 1)
    called = identity.secreting(
        called,
        cycling=tally.genes["cycling"],
        early=tally.genes["early"] >= 1,
        measurable=np.array([k.PLASMABLAST in types, k.PLASMA in types]),
    )
    if doublet is not None:
        called[doublet] = k.DOUBLET
    calls, called = identity.pdc_calls(
        called,
        evidence,
        core=tally.genes[shown.CORE],
        support=tally.genes[shown.SUPPORT],
        depth=view.total,
        axl_siglec6=tally.umi["first"],
        asdc_other=tally.genes["other"],
        asdc_odds=_asdc_odds(view, model, tally, whole),
        foreign=tally.foreign() | _holds_second(view, model, tally, evidence, whole=whole),
        measurable=k.PDC in types,
    )
    if doublet is not None:
        calls[doublet & np.isin(calls.astype(str), ["pDC", "pDC_ambiguous"])] = "pDC_doublet"
    # a label of the user's makes no call surer
    confidence = _confidence(called, free)
    confidence[called == k.UNASSIGNED] = np.nan
    if doublet is not None:
        confidence[doublet] = np.nan
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
        unbounded=None if bounds is None else identity.labels(free)[0],
    )


def _evidence(
    view: PanelView,
    model: Components,
    tally: shown.Tally,
    clusters: NDArray[np.int64] | None,
    *,
    whole: bool,
    bounds: NDArray[np.bool_] | None,
    report: dict[str, str],
) -> identity.Evidence:
    """Posterior of every cell, in runs of cells that bound the memory it takes; by cluster then."""
    genes = list(model.genes)
    depth = np.maximum(view.total - tally.umi["response"], 0.0)
    halves, own = tally.halves(), tally.own()
    parts = []
    for start in range(0, view.n_cells, BLOCK):
        rows = slice(start, min(start + BLOCK, view.n_cells))
        parts.append(
            identity.type_posterior(
                view.csr(genes, rows),
                depth[rows],
                model,
                whole=whole,
                shown={name: found.of(rows) for name, found in halves.items()},
                own={name: cells[rows] for name, cells in own.items()},
                allowed=None if bounds is None else bounds[rows],
                report=report,
            )
        )
    found = identity.joined(parts)
    if clusters is None:
        return found
    return replace(found, posterior=identity.consensus(found, clusters))


def _asdc_odds(view: PanelView, model: Components, tally: shown.Tally, whole: bool) -> Floats:
    """Log odds of AS-DC against pDC from the AS-DC genes alone, priors of both in them."""
    rates, depth = identity.expected(model), view.total
    if not whole:
        rates, depth = rates / rates.sum(axis=0), tally.umi["identity"]
    genes = [g for name in ("first", "other") for g in tally.found[name] if g in model.genes]
    rows = [model.genes.index(gene) for gene in genes]
    pair = [model.types.index(name) for name in (k.PDC, k.ASDC)]
    values = view.csr(genes)
    found = log_likelihood(values, depth, rates[np.ix_(rows, pair)], identity.SIZE)
    odds = found + np.log(model.priors[pair])
    return np.asarray(odds[:, 1] - odds[:, 0])


def _holds_second(
    view: PanelView,
    model: Components,
    tally: shown.Tally,
    evidence: identity.Evidence,
    *,
    whole: bool,
) -> NDArray[np.bool_]:
    """Cells like pDC that are likelier a pDC and a second cell; none without counts."""
    out = np.zeros(view.n_cells, dtype=bool)
    if not view.is_counts or k.PDC not in evidence.types:
        return out
    # no other cell is called one, whatever clusters or labels say
    like = np.flatnonzero(evidence.log_odds_pdc > 0)
    if like.size:
        depth = np.maximum(view.total - tally.umi["response"], 0.0)[like]
        values = view.csr(list(model.genes), like)
        out[like] = second.second_cell(values, depth, model, whole=whole) > 0
    return out


def _bounds(
    allowed: dict[str, NDArray[np.bool_]] | None, names: tuple[str, ...], n: int
) -> NDArray[np.bool_] | None:
    if allowed is None:
        return None
    return np.stack([allowed.get(name, np.ones(n, dtype=bool)) for name in names], axis=1)


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
            # subsets of B cells have a temper of their own; what it was fitted on is B cells
            of_type = tempered(within, *(TYPE if group == "B" else LINEAGE))
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
    unknown = b_cell | ~evidence.enough
    kind = np.where(unknown, "NA", "none").astype(object)
    grade = np.where(b_cell & gradable, evidence.breg_log_odds, np.nan)
    if gradable:
        kind[b_cell & (called != k.B_UNRESOLVED)] = "none"
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
    return np.where(view.total > 0, view.sum(found), np.nan)


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
