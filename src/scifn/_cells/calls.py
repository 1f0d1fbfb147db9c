"""What each cell of a run is: evidence, rules, confidence and Breg-like grades, all by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import clusters as clusters_
from scifn._cells import codes, identity, mixture, second, shown, told
from scifn._cells.calibration import LINEAGE, TYPE, tempered
from scifn._cells.codes import Codes
from scifn._cells.likelihood import Tables, log_likelihood
from scifn._cells.profiles import Components
from scifn._matrix import mapped
from scifn._view import PanelView

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: What a call stands for where confidence is judged: either side of a rule, and naive B cells with
#: the transitional ones that they come from.
COUNTED_AS: Final = {
    **{name: pair for pair in told.BY_RULE for name in pair},
    k.B_NAIVE: (k.B_NAIVE, k.B_TRANSITIONAL),
}


@dataclass(frozen=True)
class Panel:
    """What is the same for all cells: what the panel can tell, and the model on it."""

    model: Components
    types: frozenset[str]
    whole: bool
    report: dict[str, str]
    #: Types of the posterior.
    columns: tuple[str, ...]
    lists: shown.Lists
    #: Kept tables of likelihoods, where there are many cells.
    tables: Kept | None

    def tally(self, view: PanelView) -> shown.Tally:
        """Lists of genes counted in a run of cells."""
        return shown.Tally(view, self.model, self.lists, compiled=self.tables is not None)


@dataclass(frozen=True)
class Kept:
    """Tables of the likelihoods: of the model, of a second cell, and of AS-DC against pDC."""

    all: Tables
    second: second.Tabled
    asdc: Tables


@dataclass(frozen=True)
class Cells:
    """A run of cells with what the user says of them."""

    view: PanelView
    #: Cells x types of the model that labels allow; None binds nothing.
    allowed: Bools | None
    clusters: NDArray[np.int64] | None
    doublet: Bools | None


def columns_of(
    panel: Panel,
    cells: Cells,
    free_typical: clusters_.Typical | None,
    bound_typical: clusters_.Typical | None,
) -> dict[str, Any]:
    """Columns of a run of cells."""
    view, types, doublet = cells.view, panel.types, cells.doublet
    tally = panel.tally(view)
    free, bound = _evidence(panel, cells, tally)
    free = _settled(free, cells, free_typical)
    evidence = free if bound is None else _settled(bound, cells, bound_typical)
    called, _ = identity.labels(evidence)
    called = identity.without_own_genes(called, evidence, tally.genes["t_nk"] >= 1)
    called = identity.secreting(
        called,
        cycling=tally.genes["cycling"],
        early=tally.genes["early"] >= 1,
        measurable=np.array([k.PLASMABLAST in types, k.PLASMA in types]),
    )
    if doublet is not None:
        called[doublet] = codes.TYPE[k.DOUBLET]
    calls, called = identity.pdc_calls(
        called,
        evidence,
        core=tally.genes[shown.CORE],
        support=tally.genes[shown.SUPPORT],
        depth=view.total,
        axl_siglec6=tally.umi["first"],
        asdc_other=tally.genes["other"],
        asdc_odds=_asdc_odds(panel, view, tally),
        foreign=_foreign(panel, view, tally, evidence),
        measurable=k.PDC in types,
    )
    if doublet is not None:
        pdc = (calls == codes.CALL["pDC"]) | (calls == codes.CALL["pDC_ambiguous"])
        calls[doublet & pdc] = codes.CALL["pDC_doublet"]
    # a label of the user's makes no call surer
    confidence = _confidence(called, free)
    confidence[called == codes.TYPE[k.UNASSIGNED]] = np.nan
    if doublet is not None:
        confidence[doublet] = np.nan
    kind, grade, source = _breg(tally, called, evidence, k.B_TRANSITIONAL in types)
    out = {
        "cell_type": called,
        "confidence": confidence,
        "pdc_call": calls,
        "pdc_score": np.where(evidence.enough & (k.PDC in types), evidence.log_odds_pdc, np.nan),
        "breg_kind": kind,
        "breg_score": grade,
        "breg_evidence": source,
        "il10_umi": il10(view, tally.umi["il10"]),
        "posterior": np.where(view.total[:, None] > 0, evidence.posterior, np.nan),
    }
    return out if bound is None else out | {"unbounded": identity.labels(free)[0]}


def _evidence(
    panel: Panel, cells: Cells, tally: shown.Tally
) -> tuple[mixture.Evidence, mixture.Evidence | None]:
    """What the transcripts say of each cell, and the same within the user's labels."""
    view, model = cells.view, panel.model
    halves, own = tally.halves(), tally.own()
    found = mixture.likelihoods(
        tally.values,
        np.maximum(view.total - tally.umi["response"], 0.0),
        model,
        whole=panel.whole,
        umi=tally.umi["identity"],
        tables=None if panel.tables is None else panel.tables.all,
        shown=halves,
    )

    def judged(allowed: Bools | None) -> mixture.Evidence:
        return mixture.evidence_of(
            found, model, shown=halves, own=own, allowed=allowed, report=panel.report,
            compiled=panel.tables is not None,
        )  # fmt: skip

    return judged(None), None if cells.allowed is None else judged(cells.allowed)


def typical_of(
    panel: Panel, runs: Sequence[Cells], n_clusters: int, threads: int
) -> tuple[clusters_.Typical, clusters_.Typical]:
    """Mean posteriors of the clusters, free and within the user's labels.

    The cells are looked at twice, for their posteriors are large.
    """
    free, bound = clusters_.Sums(n_clusters), clusters_.Sums(n_clusters)

    def look(at: int) -> tuple[Any, mixture.Evidence, mixture.Evidence | None]:
        cells = runs[at]
        return cells.clusters, *_evidence(panel, cells, panel.tally(cells.view))

    for clusters, one, other in mapped(look, range(len(runs)), threads):
        free.add(one, clusters)
        bound.add(other or one, clusters)
    return free.typical(), bound.typical()


def _settled(
    evidence: mixture.Evidence, cells: Cells, typical: clusters_.Typical | None
) -> mixture.Evidence:
    """With the consensus of the clusters, where there are any."""
    if typical is None or cells.clusters is None:
        return evidence
    return replace(evidence, posterior=clusters_.consensus(evidence, cells.clusters, typical))


def _asdc_odds(panel: Panel, view: PanelView, tally: shown.Tally) -> Floats:
    """Log odds of AS-DC against pDC from the AS-DC genes alone, priors of both in them.

    Cells that show neither AXL nor SIGLEC6 are not asked: they are no AS-DC.
    """
    depth = view.total if panel.whole else tally.umi["identity"]
    out = np.full(view.n_cells, -np.inf)
    mine = np.flatnonzero(tally.umi["first"] > 0)
    if mine.size:
        rates, used = asdc_rates(panel.model, panel.lists, whole=panel.whole)
        if panel.tables is not None:
            found = panel.tables.asdc(tally.values[mine], depth[mine])
        else:
            at = np.flatnonzero(used)
            values = tally.values[mine][:, at]
            found = log_likelihood(values, depth[mine], rates[at], mixture.SIZE)
        odds = found + np.log(panel.model.priors[_pair(panel.model)])
        out[mine] = odds[:, 1] - odds[:, 0]
    return out


def _pair(model: Components) -> list[int]:
    return [model.types.index(name) for name in (k.PDC, k.ASDC)]


def asdc_rates(model: Components, lists: shown.Lists, *, whole: bool) -> tuple[Floats, Bools]:
    """Expected rates of pDC and AS-DC, and the genes of AS-DC that are among the model's."""
    rates = mixture.expected(model, whole=whole)
    genes = {gene for name in ("first", "other") for gene in lists.found[name]}
    return rates[:, _pair(model)], np.array([gene in genes for gene in model.genes], dtype=bool)


def _foreign(
    panel: Panel, view: PanelView, tally: shown.Tally, evidence: mixture.Evidence
) -> Bools:
    """Cells like pDC that show another lineage, or are likelier a pDC and a second cell."""
    out = np.zeros(view.n_cells, dtype=bool)
    if k.PDC not in evidence.types:
        return out
    # no other cell is called a pDC, whatever clusters or labels say
    like = np.flatnonzero(identity.plasmacytoid(evidence) >= identity.CLEAR)
    like = like[evidence.log_odds_pdc[like] > 0]
    out[like] = tally.foreign(like)
    if like.size and view.is_counts:  # a second cell is told by how much of it is there
        depth = np.maximum(view.total - tally.umi["response"], 0.0)[like]
        values = tally.values[like]
        if panel.tables is not None:
            odds = panel.tables.second.odds(values, depth)
        else:
            odds = second.second_cell(values, depth, panel.model, whole=panel.whole)
        out[like] |= odds > 0
    return out


def _confidence(called: Codes, evidence: mixture.Evidence) -> NDArray[np.float32]:
    """How often a label like this is right: of its lineage, times of the type within it."""
    names, lineages = evidence.lineages
    of_lineage = tempered(lineages, *LINEAGE)
    out = np.zeros(called.size)
    for code in np.unique(called):
        name = k.CELL_TYPES[code]
        mine = np.flatnonzero(called == code)
        group = mixture.group_of(name)
        if group not in names:
            out[mine] = of_lineage[mine].max(axis=1)
            continue
        out[mine] = of_lineage[mine, names.index(group)]
        types = [kind for kind in evidence.types if mixture.group_of(kind) == group]
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
    tally: shown.Tally, called: Codes, evidence: mixture.Evidence, gradable: bool
) -> tuple[Codes, Floats, Codes]:
    """Kind, score and source of the Breg-like phenotype of B cells."""
    lineage = codes.LINEAGE_OF[called]
    b_cell = (lineage == k.LINEAGES.index("B")) & ~codes.among(called, [k.PLASMABLAST, k.PLASMA])
    unknown = b_cell | ~evidence.enough
    kind = np.where(unknown, codes.KIND["NA"], codes.KIND["none"]).astype(np.int8)
    grade = np.where(b_cell & gradable, evidence.breg_log_odds, np.nan)
    if gradable:
        kind[b_cell & (called != codes.TYPE[k.B_UNRESOLVED])] = codes.KIND["none"]
        kind[called == codes.TYPE[k.B_TRANSITIONAL]] = codes.KIND["transitional_like"]
        both = (tally.umi["cd24"] >= 1) & (tally.umi["cd27"] >= 1)
        kind[both & (called == codes.TYPE[k.B_MEMORY])] = codes.KIND["b10_like"]
    told_ = (kind == codes.KIND["transitional_like"]) | (kind == codes.KIND["b10_like"])
    source = np.where(told_, codes.EVIDENCE["transcript"], codes.EVIDENCE["none"])
    return kind, grade, source.astype(np.int8)


def il10(view: PanelView, umi: Floats) -> Floats:
    """UMI of IL10; NaN where they are not measured."""
    if not view.found(shown.SINGLE["il10"]) or not view.is_counts:
        return np.full(view.n_cells, np.nan)
    return np.where(view.total > 0, umi, np.nan)
