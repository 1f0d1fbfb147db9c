"""Which cell is what: the rules of the field, on the posterior of :mod:`scifn._cells.mixture`.

1. The label: the most probable type within the most probable lineage
   (:func:`labels`), "unresolved" where the lineage is clear and the type is not.
2. What a posterior alone must not decide (:func:`pdc_calls`): a pDC shows at least
   two of the genes that only pDC have; AS-DC and doublets are told apart.

Without clusters, a cell's call depends on no other cell.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import codes
from scifn._cells.codes import CALL, TYPE, Codes
from scifn._cells.mixture import Evidence, lineages_of

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
#: Numbers of genes.
Counts = NDArray[np.integer[Any] | np.floating[Any]]

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
UNRESOLVED: Final = {"B": k.B_UNRESOLVED, "DC": k.DC_UNRESOLVED, "Mono": k.MONOCYTE, "T/NK": k.T_NK}


def labels(evidence: Evidence) -> tuple[Codes, NDArray[np.float32]]:
    """Cell type and confidence of each cell.

    Parameters
    ----------
    evidence
        From :func:`scifn._cells.mixture.type_posterior`.

    Returns
    -------
    Codes of the labels (:data:`scifn._cells.codes.TYPE`) and the posterior of each label (of the
    lineage, where that is what is called).
    """
    names, lineages = evidence.lineages
    best, confidence = lineages.argmax(axis=1), lineages.max(axis=1)
    # the most probable type of the most probable lineage
    within = evidence.posterior * lineages_of(evidence.types)[1].T[best]
    top, most = within.argmax(axis=1), within.max(axis=1)
    clear = most / np.maximum(confidence, 1e-300) >= CLEAR
    of_lineage = np.array([TYPE[UNRESOLVED.get(name, k.UNASSIGNED)] for name in names], np.int8)
    called = np.where(clear, codes.of_types(evidence.types)[top], of_lineage[best])
    known = (confidence >= CLEAR) & evidence.enough
    called[~known] = TYPE[k.UNASSIGNED]
    confidence = np.where(known & clear, most, confidence)
    return called, confidence.astype(np.float32)


def without_own_genes(called: Codes, evidence: Evidence, shows: Bools) -> Codes:
    """T and NK cells that show no gene of theirs, and are not clear, are Unassigned.

    They are most of blood, so that a cell of which little is seen would be one by default.
    """
    names, lineages = evidence.lineages
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


def plasmacytoid(evidence: Evidence) -> Floats:
    """Posterior of pDC and AS-DC together."""
    mine = [i for i, name in enumerate(evidence.types) if name in (k.PDC, k.ASDC)]
    return np.asarray(evidence.posterior[:, mine].sum(axis=1))


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
        From :func:`labels` and :func:`scifn._cells.mixture.type_posterior`.
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
    calls = np.full(called.size, CALL["not_pDC"], dtype=np.int8)
    probable = plasmacytoid(evidence)
    doublet = called == TYPE[k.DOUBLET]
    named = codes.among(called, [k.PDC, k.ASDC])
    # the most probable type of the lineage, or probable by itself
    like = (probable >= CLEAR) | named
    like &= evidence.enough & ~doublet
    asdc = like & (axl_siglec6 >= 1) & (asdc_other >= 2) & (asdc_odds > 0)
    # what only resembles the mean of pDC and cDC is won by AS-DC, and is neither
    like &= asdc | (evidence.log_odds_pdc > 0)
    # in the weights of the two tiers: two genes of the first, or four of the second, of which a
    # deep cell of many a type shows four
    shown = (core + 0.5 * support >= PDC_GENES) & ((core >= 1) | (depth < DEEP))
    doubted = (axl_siglec6 >= 2) & (asdc_odds > DOUBT)
    pdc = like & ~asdc & (probable >= CLEAR) & shown & ~doubted & ~foreign
    calls[like] = CALL["pDC_ambiguous"]
    calls[pdc] = CALL["pDC"]
    calls[asdc] = CALL["AS-DC"]
    # a doublet of the model that holds a pDC, or a pDC that the user's caller flagged
    calls[doublet & (evidence.pdc_half | (probable >= CLEAR))] = CALL["pDC_doublet"]
    calls[~evidence.enough] = CALL["NA"]
    out = called.copy()
    out[named | (like & ~doublet)] = TYPE[k.DC_UNRESOLVED]
    out[pdc] = TYPE[k.PDC]
    out[asdc] = TYPE[k.ASDC]
    return calls, out
