"""What the genes of a matrix can tell: which types can be called, and what the others become."""

from __future__ import annotations

from typing import Any, Final

from scifn import _keys as k
from scifn._cells import mixture
from scifn._cells.profiles import Components, components
from scifn._cells.separable import DEPTH, confusion
from scifn._cells.shown import ASDC_FIRST, OWN, symbols
from scifn._view import PanelView
from scifn.genesets import _coverage, _ids, _sets

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
#: Small subsets, and what they are called with where a panel tells that one and not them.
WITHIN: Final = {k.B_TRANSITIONAL: k.B_NAIVE, k.B_ATYPICAL: k.B_MEMORY}
#: Types between which rules on single genes decide, not the posterior.
BY_RULE: Final = ((k.PDC, k.ASDC), (k.PLASMABLAST, k.PLASMA))
#: Genes other than CD24 that a panel must hold to grade transitional B cells without it.
MIN_TRANSITIONAL: Final = 5
#: Genes of a type's set that must be there for it to be called.
MIN_GENES: Final = 3
#: Largest bound of wrong claims on a type by any other, over the type's own size: for types of
#: different lineages, for naive against memory B cells, and for atypical against memory ones (a
#: small subset next to a larger one, so that the bound is large before anything goes wrong).
MAX_CLAIMED: Final = 0.1
MAX_CLAIMED_B: Final = 0.3
MAX_CLAIMED_ATYPICAL: Final = 1.0
#: Moves with interferon, so it never weighs in (it is no row of the identity table either).
CD38: Final = "CD38"


def table_of(species: str, table: Components | None = None) -> Components:
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
    types -= {kind for kind, genes in OWN.items() if len(symbols(view, genes)) < 2}
    b_claimed = max(claimed[kind] for kind in mixture.B_SUBSETS)
    b_cells = found.get(PAN_B, 0) >= MIN_GENES and b_claimed <= MAX_CLAIMED
    status = {row["set"]: row["status"] for row in rows}
    graded = status.get(SET_OF[k.B_TRANSITIONAL]) in {"ok", "partial"} and _can_grade(view)
    types -= _untold_b(model, graded=graded) if b_cells else set(mixture.B_SUBSETS)
    if not symbols(view, ASDC_FIRST):
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
    means = DEPTH * mixture.expected(model)
    bound = confusion(model, means, mixture.SIZE)
    merged = [set(mixture.B_SUBSETS), *map(set, BY_RULE)]
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
    at = {kind: model.types.index(kind) for kind in mixture.B_SUBSETS}
    bound = confusion(model, DEPTH * mixture.expected(model), mixture.SIZE_WITHIN)
    naive, memory, atypical = (at[name] for name in (k.B_NAIVE, k.B_MEMORY, k.B_ATYPICAL))
    if max(bound[naive, memory], bound[memory, naive]) > MAX_CLAIMED_B:
        return set(mixture.B_SUBSETS)
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
