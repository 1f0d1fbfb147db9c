"""Which cell is what: a mixture of expected expression, then the rules of the field.

1. The posterior of each component from the counts of identity genes, none of which is
   in a list of interferon-stimulated genes, with ambient RNA in every mean
   (:func:`type_posterior`).
2. The label: the most probable type within the most probable lineage
   (:func:`labels`), "unresolved" where the lineage is clear and the type is not.
3. What a posterior alone must not decide (:func:`pdc_calls`): a pDC shows at least
   two of the genes that only pDC have; AS-DC and doublets are told apart.

Without clusters, a cell's call depends on no other cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import codes
from scifn._cells.codes import CALL, TYPE, Codes
from scifn._cells.likelihood import Tables, log_likelihood, normalized
from scifn._cells.profiles import Components

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: Numbers of genes.
Counts = NDArray[np.integer[Any] | np.floating[Any]]

#: Share of a cell's UMI that is ambient RNA (typical of droplets; Young 2020).
AMBIENT: Final = 0.05
#: Share at which any gene may appear by error.
ERROR: Final = 1e-6
#: Size of the negative binomial over donors, states and chemistries.
SIZE: Final = 1.0
#: The same between subsets of B cells: what is wrong with the expectation of a B cell in this
#: chemistry or state is wrong for all of them, so that counts say more about which of them it is.
#: What is left is how much naive, or memory, B cells differ among themselves: 2.2 to 3.0 by maximum
#: likelihood, in those of childhood lupus that ``benchmarks/make_identity.py`` reads.
SIZE_WITHIN: Final = 3.0
B_SUBSETS: Final = (k.B_NAIVE, k.B_MEMORY, k.B_TRANSITIONAL, k.B_ATYPICAL)
#: Below this posterior of its lineage a cell stays Unassigned.
CLEAR: Final = 0.5
#: Genes of a pDC that a pDC must show: one each of those that only pDC have, a half each of those
#: that they have in common with few others.
PDC_GENES: Final = 2.0
#: UMI from which a cell of another type may well show four genes of the second tier.
DEEP: Final = 5_000.0
#: Log odds of AS-DC from which two UMI of AXL or SIGLEC6 make a pDC doubtful: one in ten.
DOUBT: Final = float(np.log(0.1 / 0.9))
#: Posterior from which a lineage needs no gene of its own.
SURE: Final = 0.95
#: Identity UMI below which nothing is called.
MIN_UMI: Final = 10
#: Matrices with fewer genes are panels: their totals say nothing about a cell's depth.
WHOLE_TRANSCRIPTOME: Final = 5_000

UNRESOLVED: Final = {"B": k.B_UNRESOLVED, "DC": k.DC_UNRESOLVED, "Mono": k.MONOCYTE, "T/NK": k.T_NK}


@dataclass(frozen=True)
class Evidence:
    """Posterior of the types and what the rules need beside it.

    ``types`` names the columns of ``posterior``; ``log_odds_pdc`` is the log likelihood ratio
    of pDC against the best other component; ``pdc_half`` marks cells whose best doublet holds
    a pDC; ``breg_log_odds`` is transitional against the better of naive and memory B.
    """

    types: tuple[str, ...]
    posterior: Floats
    log_odds_pdc: Floats
    pdc_half: Bools
    breg_log_odds: Floats
    enough: Bools


@dataclass(frozen=True)
class Shown:
    """Cells that show two genes of a type, and those in which it is more than ambient RNA."""

    two_genes: Bools
    beyond_ambient: Bools


@dataclass(frozen=True)
class Likelihoods:
    """Log likelihood of each component (cells x components), whatever a user allows.

    ``within`` is that of the subsets of B cells, with their own size; ``umi`` the identity UMI.
    """

    all: Floats
    within: Floats
    umi: Floats


def subsets_of(model: Components) -> list[int]:
    """Components that are subsets of B cells."""
    return [i for i, name in enumerate(model.types) if name in B_SUBSETS]


def tables(model: Components, *, whole: bool) -> Tables:
    """What :func:`likelihoods` takes of many cells."""
    rates, subsets = _rates(model, whole=whole), subsets_of(model)
    sizes = np.repeat([SIZE, SIZE_WITHIN], [rates.shape[1], len(subsets)])
    return Tables(np.concatenate([rates, rates[:, subsets]], axis=1), sizes)


def likelihoods(
    values: Any,
    total: Floats,
    model: Components,
    *,
    whole: bool,
    umi: Floats | None = None,
    tables: Tables | None = None,
) -> Likelihoods:
    """Log likelihoods of cells; see :func:`type_posterior`.

    Columns of ``values`` beyond the genes of the model are left out.
    ``umi`` are the identity UMI, where they are known; ``tables`` those of the model, for cells
    that are part of many.
    """
    if umi is None:
        umi = np.asarray(values.sum(axis=1), dtype=np.float64).ravel()
    depth = total if whole else umi
    n = len(model.names)
    if tables is None:
        values = values[:, : len(model.genes)]
    if tables is not None:
        found = tables(values, depth)
        return Likelihoods(found[:, :n], found[:, n:], umi)
    rates = _rates(model, whole=whole)
    within = log_likelihood(values, depth, rates[:, subsets_of(model)], SIZE_WITHIN)
    return Likelihoods(log_likelihood(values, depth, rates, SIZE), within, umi)


def _rates(model: Components, *, whole: bool) -> Floats:
    rates = expected(model)
    return rates if whole else rates / rates.sum(axis=0)


def type_posterior(
    values: Any,
    total: Floats,
    model: Components,
    *,
    whole: bool,
    shown: dict[str, Shown] | None = None,
    own: dict[str, Bools] | None = None,
    allowed: Bools | None = None,
    report: Mapping[str, str] | None = None,
) -> Evidence:
    """Posterior of each cell type from UMI of identity genes.

    Parameters
    ----------
    values
        Cells x genes (``model.genes``), CSR, UMI.
    total
        UMI of each cell over all genes.
    model
        Components. All of blood belong here, whether the panel can tell them or not: a cell of
        a type that is left out would be forced into another.
    whole
        Whether the matrix holds the whole transcriptome; if not, the depth of a cell is judged
        by the identity genes alone.
    shown, own, allowed, report
        As :func:`evidence_of` takes them.
    """
    found = likelihoods(values, total, model, whole=whole)
    return evidence_of(found, model, shown=shown, own=own, allowed=allowed, report=report)


def evidence_of(
    found: Likelihoods,
    model: Components,
    *,
    shown: dict[str, Shown] | None = None,
    own: dict[str, Bools] | None = None,
    allowed: Bools | None = None,
    report: Mapping[str, str] | None = None,
    compiled: bool = False,
) -> Evidence:
    """Posterior of each cell type from the likelihoods of the components.

    Parameters
    ----------
    found
        From :func:`likelihoods`.
    model
        The components.
    shown
        For each cell type that doublets are made of, the cells that show its genes. A doublet must
        show both of its halves, in more UMI than ambient RNA explains: a likelihood alone takes
        any cell in an unusual state for a mixture. With a pDC in it two genes are enough: a pDC
        that is half another cell costs more than one that is missed.
    own
        For rare cell types, the cells that show genes of their own; no other cell is one.
    allowed
        Cells x types (of the model, in its order) that the user's labels allow.
    report
        {type: what it is called}, for types that the panel cannot tell.
    compiled
        Whether a compiled kernel does it: these cells are part of many.
    """
    called = [(report or {}).get(name, name) for name in model.types]
    types = tuple(dict.fromkeys(called))
    member = np.array([[name == column for column in types] for name in called], dtype=float)
    asked = list(_asked(model, shown, own, allowed))
    subsets = subsets_of(model)
    posterior = _judged if compiled else _masked
    per_component = posterior(found.all, model.priors, asked)
    if subsets:
        mine = [(subsets.index(i), cells) for i, cells in asked if i in subsets]
        share = posterior(found.within, model.priors[subsets], mine)
        per_component[:, subsets] = per_component[:, subsets].sum(axis=1, keepdims=True) * share
    return Evidence(
        types=types,
        posterior=per_component @ member,
        log_odds_pdc=_against_rest(found.all, model.types, k.PDC),
        pdc_half=_pdc_half(per_component, model),
        breg_log_odds=_breg(found.within, [model.types[i] for i in subsets]),
        enough=found.umi >= MIN_UMI,
    )


def expected(model: Components) -> Floats:
    """Expected share of each gene in a cell of each component, ambient RNA and errors in it."""
    return np.asarray((1 - AMBIENT) * model.rates + AMBIENT * model.blood()[:, None] + ERROR)


def _masked(likelihood: Floats, priors: Floats, asked: Sequence[tuple[int, Bools]]) -> Floats:
    """Posterior of each component; see :func:`_asked`.

    Restricted before it is normalized: what is left may be hundreds of units below the best.
    """
    joint = likelihood + np.log(priors)
    for i, cells in asked:
        joint[~cells, i] = -np.inf
    return normalized(joint)


def _judged(likelihood: Floats, priors: Floats, asked: Sequence[tuple[int, Bools]]) -> Floats:
    """:func:`_masked` of cells that are part of many."""
    from scifn._cells._compiled import judge

    of = np.array([i for i, _ in asked], dtype=np.int64)
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(priors.size + 1))
    holds = np.array([cells for _, cells in asked], dtype=bool).reshape(len(asked), -1)
    out = np.empty(likelihood.shape)
    judge(np.ascontiguousarray(likelihood), np.log(priors), starts, order, holds, out)
    return out


def _asked(
    model: Components,
    shown: dict[str, Shown] | None,
    own: dict[str, Bools] | None,
    allowed: Bools | None,
) -> Iterator[tuple[int, Bools]]:
    """Components that not every cell may be, and the cells that may."""
    for i, pair in enumerate(model.pairs if shown is not None else ()):
        for half in pair:
            found = (shown or {})[model.types[model.names.index(half)]]
            yield i, found.two_genes if k.PDC in pair else found.beyond_ambient
    order = list(dict.fromkeys(model.types))
    for i, name in enumerate(model.types):
        if own is not None and name in own:
            yield i, own[name]
        if allowed is not None:
            yield i, allowed[:, order.index(name)]


def _against_rest(likelihood: Floats, types: tuple[str, ...], name: str) -> Floats:
    """Log likelihood ratio of ``name`` against the best other singlet; AS-DC are no rival.

    Whether a pDC-like cell is an AS-DC is decided by the AS-DC genes, in :func:`pdc_calls`.
    """
    mine = [i for i, kind in enumerate(types) if kind == name]
    rest = [i for i, kind in enumerate(types) if kind not in {name, k.ASDC, k.DOUBLET}]
    if not mine or not rest:
        return np.full(likelihood.shape[0], np.nan)
    return np.asarray(likelihood[:, mine].max(axis=1) - likelihood[:, rest].max(axis=1))


def _pdc_half(per_component: Floats, model: Components) -> Bools:
    doublets = [i for i, pair in enumerate(model.pairs) if pair]
    if not doublets:
        return np.zeros(per_component.shape[0], dtype=bool)
    has_pdc = np.array([k.PDC in model.pairs[i] for i in doublets])
    best = per_component[:, doublets].argmax(axis=1)
    return np.asarray(has_pdc[best])


def _breg(likelihood: Floats, types: list[str]) -> Floats:
    wanted = (k.B_TRANSITIONAL, k.B_NAIVE, k.B_MEMORY)
    if any(name not in types for name in wanted):
        return np.full(likelihood.shape[0], np.nan)
    transitional, naive, memory = (likelihood[:, types.index(name)] for name in wanted)
    return np.asarray(transitional - np.maximum(naive, memory))


def by_lineage(evidence: Evidence) -> tuple[tuple[str, ...], Floats]:
    """Posterior summed over the types of each lineage; doublets are a column of their own."""
    names, of_lineage = lineages_of(evidence.types)
    return names, evidence.posterior @ of_lineage


def lineages_of(types: tuple[str, ...]) -> tuple[tuple[str, ...], Floats]:
    """Lineages of the types, and types x lineages: one where the type is of the lineage."""
    groups = [group_of(name) for name in types]
    names = tuple(dict.fromkeys(groups))
    return names, np.array([[group == name for name in names] for group in groups], dtype=float)


def labels(evidence: Evidence) -> tuple[Codes, NDArray[np.float32]]:
    """Cell type and confidence of each cell.

    Parameters
    ----------
    evidence
        From :func:`type_posterior`.

    Returns
    -------
    Codes of the labels (:data:`scifn._cells.codes.TYPE`) and the posterior of each label (of the
    lineage, where that is what is called).
    """
    names, lineages = by_lineage(evidence)
    best = lineages.argmax(axis=1)
    called = np.full(best.size, TYPE[k.UNASSIGNED], dtype=np.int8)
    confidence = lineages.max(axis=1)
    for i, lineage in enumerate(names):
        mine = np.flatnonzero((best == i) & (confidence >= CLEAR) & evidence.enough)
        if lineage == k.DOUBLET:
            called[mine] = TYPE[k.DOUBLET]
            continue
        columns = np.array([j for j, t in enumerate(evidence.types) if group_of(t) == lineage])
        within = evidence.posterior[np.ix_(mine, columns)]
        top = within.argmax(axis=1)
        share = within.max(axis=1) / np.maximum(lineages[mine, i], 1e-300)
        names_here = codes.of_types([evidence.types[j] for j in columns])[top]
        unclear = share < CLEAR
        of_lineage = TYPE[UNRESOLVED.get(lineage, k.UNASSIGNED)]
        called[mine] = np.where(unclear, of_lineage, names_here)
        confidence[mine] = np.where(unclear, lineages[mine, i], within.max(axis=1))
    return called, confidence.astype(np.float32)


def group_of(name: str) -> str:
    """Lineage of a type; doublets are a group of their own."""
    return k.DOUBLET if name == k.DOUBLET else k.LINEAGE_OF[name]


def without_own_genes(called: Codes, evidence: Evidence, shows: Bools) -> Codes:
    """T and NK cells that show no gene of theirs, and are not clear, are Unassigned.

    They are most of blood, so that a cell of which little is seen would be one by default.
    """
    names, lineages = by_lineage(evidence)
    if k.LINEAGE_OF[k.T_NK] not in names:
        return called
    clear = lineages[:, names.index(k.LINEAGE_OF[k.T_NK])] >= SURE
    out = called.copy()
    out[(called == TYPE[k.T_NK]) & ~clear & ~shows] = TYPE[k.UNASSIGNED]
    return out


def secreting(called: Codes, *, cycling: Counts, early: Bools, measurable: Bools) -> Codes:
    """Antibody-secreting cells told apart: plasmablasts cycle.

    Parameters
    ----------
    called
        Codes of the cell types.
    cycling
        Detected genes of the cell cycle.
    early
        Cells that show CD19 or MS4A1.
    measurable
        Whether plasmablasts and plasma cells, in this order, can be told at all.
    """
    out = called.copy()
    if not measurable.all():
        return out
    mine = codes.among(called, [k.PLASMABLAST, k.PLASMA])
    young = (cycling >= 2) | ((cycling >= 1) & early)
    out[mine] = np.where(young[mine], TYPE[k.PLASMABLAST], TYPE[k.PLASMA])
    return out


def pdc_calls(
    called: Codes,
    evidence: Evidence,
    *,
    core: Counts,
    support: Counts,
    depth: Floats,
    axl_siglec6: Floats,
    asdc_other: Counts,
    asdc_odds: Floats,
    foreign: Bools,
    measurable: bool,
) -> tuple[Codes, Codes]:
    """pDC calls (codes of :data:`scifn._cells.codes.CALL`), and cell types that agree with them.

    Parameters
    ----------
    called, evidence
        From :func:`labels` and :func:`type_posterior`.
    core, support, asdc_other
        For each cell the number of detected genes of those sets.
    depth
        UMI of each cell.
    axl_siglec6
        UMI of AXL and SIGLEC6. One of them makes an AS-DC where others of its genes are there;
        without those it takes two to doubt a pDC: AXL rises with interferon, and a deep cell
        may well hold a single UMI.
    asdc_odds
        Log odds of AS-DC against pDC from those genes: the deeper a cell, the more of them it
        takes.
    foreign
        Cells that show another lineage beyond ambient RNA.
    measurable
        Whether the panel covers pDC at all; if not every call is "NA".
    """
    if not measurable:
        return np.full(called.size, CALL["NA"], dtype=np.int8), called
    types = list(evidence.types)
    calls = np.full(called.size, CALL["not_pDC"], dtype=np.int8)
    plasmacytoid = evidence.posterior[:, types.index(k.PDC)].copy()
    if k.ASDC in types:
        plasmacytoid += evidence.posterior[:, types.index(k.ASDC)]
    doublet = called == TYPE[k.DOUBLET]
    named = codes.among(called, [k.PDC, k.ASDC])
    # the most probable type of the lineage, or probable by itself
    like = (plasmacytoid >= CLEAR) | named
    like &= evidence.enough & ~doublet
    asdc = like & (axl_siglec6 >= 1) & (asdc_other >= 2) & (asdc_odds > 0)
    # what only resembles the mean of pDC and cDC is won by AS-DC, and is neither
    like &= asdc | (evidence.log_odds_pdc > 0)
    # in the weights of the two tiers: two genes of the first, or four of the second, of which a
    # deep cell of many a type shows four
    shown = (core + 0.5 * support >= PDC_GENES) & ((core >= 1) | (depth < DEEP))
    doubted = (axl_siglec6 >= 2) & (asdc_odds > DOUBT)
    pdc = like & ~asdc & (plasmacytoid >= CLEAR) & shown & ~doubted & ~foreign
    calls[like] = CALL["pDC_ambiguous"]
    calls[pdc] = CALL["pDC"]
    calls[asdc] = CALL["AS-DC"]
    # a doublet of the model that holds a pDC, or a pDC that the user's caller flagged
    calls[doublet & (evidence.pdc_half | (plasmacytoid >= CLEAR))] = CALL["pDC_doublet"]
    calls[~evidence.enough] = CALL["NA"]
    out = called.copy()
    out[named | (like & ~doublet)] = TYPE[k.DC_UNRESOLVED]
    out[pdc] = TYPE[k.PDC]
    out[asdc] = TYPE[k.ASDC]
    return calls, out
