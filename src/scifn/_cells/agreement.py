"""One call from transcripts and surface proteins.

The gate on surface proteins is preferred where there is one, but it does not stand against clear
transcripts, and it is not asked what it cannot know:

================= ======================================= =================================
surface           transcripts                             call
================= ======================================= =================================
pDC               pDC, or not clearly another cell        pDC
pDC               AS-DC, or a doublet                     as the transcripts say
pDC               clearly another cell                    pDC_ambiguous, type by transcripts
AS-DC             pDC                                     pDC_ambiguous
AS-DC             pDC_ambiguous                           AS-DC
doublet           pDC, pDC_ambiguous                      pDC_doublet
CD123 only        any                                     as the transcripts say
AS-DC, doublet,
CD123 only        NA                                      pDC_ambiguous
not pDC           pDC                                     pDC_ambiguous
not pDC           pDC_ambiguous, NA                       not_pDC
not pDC           AS-DC, a doublet, not_pDC               as the transcripts say
not stained       any                                     as the transcripts say
================= ======================================= =================================

"CD123 only" stands beside pDC transcripts because CD303 is lost on activation, in the very cells
that make interferon. "Clearly another cell": the posterior of pDC and AS-DC together is below
:data:`SMALL`. Types of B cells stay those of the transcripts; their Breg-like kind is that of the
surface wherever it can be told, for every B cell of the object, so that one analysis counts one
modality.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells.annotate import Annotation
from scifn._cells.protein import CD123_ONLY, DOUBLET, NOT_PDC, Surface

Bools = NDArray[np.bool_]
Labels = NDArray[np.object_]

#: Posterior of pDC and AS-DC together below which transcripts speak against a pDC.
SMALL: Final = 0.01
AMBIGUOUS: Final = "pDC_ambiguous"
PDC_DOUBLET: Final = "pDC_doublet"


def combine(
    rna: Annotation, surface: Surface, *, may_be_pdc: Bools | None = None
) -> tuple[Annotation, pd.DataFrame]:
    """Put the gates on surface proteins and the calls from transcripts together.

    Parameters
    ----------
    rna
        Calls from transcripts.
    surface
        Calls from surface proteins, of the same cells.
    may_be_pdc
        Cells that the user's labels let be a pDC; None binds nothing.

    Returns
    -------
    The annotation, its confidence NaN where the surface decided (there the posterior of the
    transcripts says nothing); and a table of how the two compared: transcripts, surface, call,
    n_cells, one row for each combination among stained cells.
    """
    rna = _as_text(rna)
    calls, types = _pdc(rna, surface, may_be_pdc)
    changed = types != rna.cell_type
    confidence = rna.confidence.copy()
    confidence[changed] = np.nan
    lineage = np.array([k.LINEAGE_OF[name] for name in types], dtype=object)
    kind, evidence = _breg(rna, surface, types, lineage)
    out = replace(
        rna,
        cell_type=pd.Categorical(types, categories=list(k.CELL_TYPES)),
        lineage=pd.Categorical(lineage, categories=list(k.LINEAGES)),
        confidence=confidence,
        pdc_call=pd.Categorical(calls, categories=list(k.PDC_CALLS)),
        breg_kind=pd.Categorical(kind, categories=list(k.BREG_KINDS)),
        breg_evidence=pd.Categorical(evidence, categories=list(k.BREG_EVIDENCES)),
        record=_record(rna, surface),
    )
    return out, _compare(rna.pdc_call, surface.pdc, calls)


def _as_text(rna: Annotation) -> Annotation:
    """The labels as arrays of text, which those of the surface are too."""
    names = ("cell_type", "lineage", "pdc_call", "breg_kind", "breg_evidence")
    found: dict[str, Any] = {name: np.asarray(getattr(rna, name), dtype=object) for name in names}
    return replace(rna, **found)


def _pdc(rna: Annotation, surface: Surface, may_be: Bools | None) -> tuple[Labels, Labels]:
    calls, types = rna.pdc_call.copy(), rna.cell_type.copy()
    if not surface.pdc_measurable:
        return calls, types
    told = {name: rna.pdc_call == name for name in k.PDC_CALLS}
    open_ = _possible(rna) & (np.ones(types.size, dtype=bool) if may_be is None else may_be)
    by_rna = told[k.ASDC] | told[PDC_DOUBLET] | (rna.cell_type == k.DOUBLET)

    gated = surface.pdc == k.PDC
    confirmed = gated & ~by_rna & (told[k.PDC] | open_)
    calls[confirmed], types[confirmed] = k.PDC, k.PDC
    calls[gated & ~by_rna & ~confirmed] = AMBIGUOUS

    asdc = surface.pdc == k.ASDC
    calls[asdc & told[AMBIGUOUS]], types[asdc & told[AMBIGUOUS]] = k.ASDC, k.ASDC
    against = (asdc | (surface.pdc == NOT_PDC)) & told[k.PDC]
    calls[against], types[against] = AMBIGUOUS, k.DC_UNRESOLVED

    double = (surface.pdc == DOUBLET) & (told[k.PDC] | told[AMBIGUOUS])
    calls[double], types[double] = PDC_DOUBLET, k.DOUBLET
    calls[(surface.pdc == NOT_PDC) & (told[AMBIGUOUS] | told["NA"])] = "not_pDC"
    calls[np.isin(surface.pdc.astype(str), [DOUBLET, CD123_ONLY, k.ASDC]) & told["NA"]] = AMBIGUOUS
    return calls, types


def _possible(rna: Annotation) -> Bools:
    """Cells whose transcripts do not speak against a pDC."""
    if k.PDC not in rna.types:  # they cannot tell pDC: what is not called anything else may be one
        free = (k.UNASSIGNED, k.DC_UNRESOLVED, k.OTHER)
        return np.asarray(np.isin(rna.cell_type.astype(str), free))
    columns = [rna.types.index(name) for name in (k.PDC, k.ASDC) if name in rna.types]
    likely = rna.posterior[:, columns].sum(axis=1) >= SMALL
    return np.asarray(likely | (rna.cell_type == k.UNASSIGNED))


def _breg(
    rna: Annotation, surface: Surface, types: Labels, lineage: Labels
) -> tuple[Labels, Labels]:
    """Kind and evidence of B cells: the surface of all of them, or the transcripts of all."""
    kind, evidence = rna.breg_kind.copy(), rna.breg_evidence.copy()
    b_cell = (lineage == "B") & ~np.isin(types.astype(str), [k.PLASMABLAST, k.PLASMA])
    kind[~b_cell], evidence[~b_cell] = "none", "none"
    if surface.breg_measurable:
        kind[b_cell] = surface.breg[b_cell]
        evidence[b_cell] = np.where(surface.breg[b_cell] == "NA", "none", "protein")
    return kind, evidence


def _record(rna: Annotation, surface: Surface) -> dict[str, Any]:
    record = dict(rna.record)
    if surface.pdc_measurable:
        record["measurable"] = sorted({*record["measurable"], k.PDC})
    record["surface"] = surface.record | {
        "pdc_measurable": surface.pdc_measurable,
        "breg_measurable": surface.breg_measurable,
    }
    return record


def _compare(rna: Labels, surface: Labels, calls: Labels) -> pd.DataFrame:
    stained = surface != "NA"
    table = pd.DataFrame(
        {
            "transcripts": rna[stained].astype(str),
            "surface": surface[stained].astype(str),
            "call": calls[stained].astype(str),
        }
    )
    counts = table.value_counts(sort=False).rename("n_cells").reset_index()
    return counts.sort_values(["transcripts", "surface", "call"], ignore_index=True)
