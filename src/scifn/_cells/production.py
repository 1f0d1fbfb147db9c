"""Evidence that cells transcribe interferon: counts against the background, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import evidence, producers
from scifn._cells.background import (
    MIN_ABSENT,
    SOUP_GENES,
    Cells,
    Given,
    Soup,
    background,
    split,
)
from scifn._cells.ligands import IFNA, LIGANDS, OTHERS, Ligand, group_of
from scifn._cells.runs import COMPILED_FROM, threads_for
from scifn._cells.sums import matrix_of, tally, weighted
from scifn._matrix import mapped
from scifn._view import PanelView
from scifn.genesets import _coverage, _sets

Floats = NDArray[np.float64]
Values = NDArray[np.float32]
Codes = NDArray[np.int8]

#: Cells whose ligands are summed at once.
_RUN: Final = 32_768
#: Strong calls among T cells above which a sample is withheld.
NULL_FAIL: Final = 1e-4
MIN_NULL_FAIL: Final = 2
#: Gene sets whose coverage is told.
_SETS: Final = ("ifn_alpha", "ifn_type3", "ifn_type1_other")
#: Fractions are stored with some six digits.
_ROUNDING: Final = 0.01
_TESTED: Final = ("ifna_background", "ifna_p_value", "ifna_p_adj", "ifna_posterior")
_SAMPLES: Final = ("sample", "n_cells", "background_rate", "size", "source", "status")
_BY_LIGAND: Final = ("sample", "ligand", "umi", "background_rate", "source", "status")


@dataclass(frozen=True)
class Production:
    """Columns of the step (a row a cell), samples, coverage and record.

    ``labels`` are those of IFNA, ``others`` those of each other ligand by its name: codes of
    :data:`scifn._keys.EVIDENCES`.
    """

    columns: dict[str, Values]
    labels: Codes
    others: dict[str, Codes]
    samples: pd.DataFrame
    by_ligand: pd.DataFrame
    coverage: list[dict[str, Any]]
    record: dict[str, Any]


@dataclass(frozen=True)
class _Held:
    """What cells hold of a ligand: UMI, and genes of it that are seen (0 where not measured)."""

    umi: Values
    n_genes: NDArray[np.uint8]


def panel_genes(species: str = "human") -> list[str]:
    """Every gene that the step reads."""
    genes = {gene for ligand in LIGANDS for gene in ligand.genes(species)}
    genes |= {gene for name in _SETS for gene in _sets.for_species(name, species)}
    return sorted(genes | (set(SOUP_GENES) if species == "human" else set()))


def produce(
    view: PanelView,
    types: Any | None,
    samples: Any,
    *,
    soup: Soup | None = None,
    contamination: Floats | None = None,
    bulk: bool = False,
) -> Production:
    """Test every cell of every sample for transcripts of each ligand above the background.

    Parameters
    ----------
    view
        Panel with UMI counts.
    types
        Cell type of each cell; None of bulk libraries.
    samples
        Sample of each cell: the soup is one sample's.
    soup
        Share of each ligand in empty droplets (of libraries: in the pool of their run).
    contamination
        Share of each cell's UMI that is soup, with ``soup``; of libraries the share of reads
        that are of other libraries.
    bulk
        Rows are libraries of purified cells: all are candidates.
    """
    sets = {name: _sets.for_species(name, view.species) for name in _SETS}
    rows = _coverage.coverage({name: genes for name, genes in sets.items() if genes}, view)
    lanes = split(view, samples, None if bulk else types)
    given = Given(soup, contamination)
    columns: dict[str, Values] = {}
    labels: dict[str, Codes] = {}
    tables = []
    held = _held(view)
    for ligand in LIGANDS:
        found, labels[ligand.name], table = _test(view, ligand, held[ligand.name], lanes, given)
        columns |= found
        tables.append(table)
    reason = _reason(view) if not _measured(view, IFNA) else ""
    if reason:
        columns["ifna_umi"] = np.full(view.n_cells, np.nan, dtype=np.float32)
    by_ligand = pd.concat(tables, ignore_index=True)
    frame = by_ligand[by_ligand["ligand"] == IFNA.title][list(_SAMPLES)].reset_index(drop=True)
    n_genes = 0 if reason else len(view.found(IFNA.genes(view.species)))
    return Production(
        {name: values for name, values in columns.items() if name != "il10_umi"},
        labels[IFNA.name],
        {ligand.name: labels[ligand.name] for ligand in OTHERS},
        frame.iloc[:0] if reason else frame,
        by_ligand[list(_BY_LIGAND)],
        rows,
        _record(frame, by_ligand, n_genes, reason) | _fractions(view),
    )


def whole(view: PanelView, genes: Sequence[str]) -> Floats:
    """UMI of a family in each cell; of shared-out reads those that surely are of the family.

    A UMI whose reads all lie in the family adds up to one over its genes, however it was shared
    out among them. What is left over may be of other genes, and is rounded away.
    """
    found = view.sum(genes)
    return np.floor(found + _ROUNDING) if view.is_fractional else found


def _measured(view: PanelView, ligand: Ligand) -> bool:
    """Whether zero says something: a family needs half of its genes, others one."""
    genes = ligand.genes(view.species)
    found = view.found(genes)
    if ligand is IFNA:
        return _coverage.status_of(len(found), len(genes)) in {"ok", "partial"}
    return bool(found)


def _reason(view: PanelView) -> str:
    genes = view.found(IFNA.genes(view.species))
    if not genes:
        return "no IFNA gene is among the features: IFNA transcripts are not measurable (not 0)"
    return f"only {len(genes)} IFNA genes are among the features: too few to say none was found"


def _held(view: PanelView) -> dict[str, _Held]:
    """What the cells hold of every ligand, from one look at the panel."""
    genes = {ligand.name: view.found(ligand.genes(view.species)) for ligand in LIGANDS}
    out = {
        name: _Held(
            np.full(view.n_cells, 0 if mine else np.nan, dtype=np.float32),
            np.zeros(view.n_cells, dtype=np.uint8),
        )
        for name, mine in genes.items()
    }
    there = [name for name, mine in genes.items() if mine]
    every = [gene for name in there for gene in genes[name]]
    member = matrix_of(every, [dict.fromkeys(genes[name], 1.0) for name in there])
    compiled = view.n_cells >= COMPILED_FROM
    for rows, values in view.runs(every, _RUN) if there else ():
        umi, seen = tally(values, member, compiled=compiled)
        if view.is_fractional:
            umi = np.floor(umi + _ROUNDING)
            values.data = (values.data > 1 - _ROUNDING).astype(np.float32)
            seen = weighted(values, member, compiled=compiled)
        for i, name in enumerate(there):
            out[name].umi[rows] = umi[i]
            out[name].n_genes[rows] = seen[i]
    return out


def _test(
    view: PanelView, ligand: Ligand, held: _Held, lanes: dict[str, Cells], given: Given
) -> tuple[dict[str, Values], Codes, pd.DataFrame]:
    """Columns, labels and samples of one ligand."""
    columns = {f"{ligand.name}_umi": held.umi}
    if ligand is IFNA:
        columns |= {name: np.full(view.n_cells, np.nan, dtype=np.float32) for name in _TESTED}
    labels = np.full(view.n_cells, evidence.LABEL["not_measurable"], dtype=np.int8)
    measured = _measured(view, ligand)
    compiled = view.n_cells >= COMPILED_FROM

    def test(sample: tuple[str, Cells]) -> tuple[Any, ...]:
        name, cells = sample
        umi = held.umi[cells.at].astype(np.float64)
        null = background(umi, cells, ligand, given) if measured else None
        row = (name, cells.at.size, ligand.title, float(np.sum(umi)))
        if null is None:
            source = "absent" if measured else "no gene of it is among the features"
            return (*row, np.nan, np.nan, source, "not_measurable")
        found = _sample(umi, held.n_genes[cells.at], cells, null, ligand, compiled=compiled)
        status = _null_status(found["label"], cells, ligand)
        for column in _TESTED if ligand is IFNA else ():
            columns[column][cells.at] = found[column]
        if status == "ok":
            labels[cells.at] = found["label"]
        return (*row, float(np.mean(null.rate)), null.size, null.source, status)

    table = list(mapped(test, list(lanes.items()), threads_for(view.n_cells)))
    heads = ["sample", "n_cells", "ligand", "umi", "background_rate", "size", "source", "status"]
    return columns, labels, pd.DataFrame(table, columns=heads)


def _sample(
    umi: Floats,
    n_genes: NDArray[np.uint8],
    cells: Cells,
    null: evidence.Background,
    ligand: Ligand,
    *,
    compiled: bool,
) -> dict[str, Any]:
    """Test, adjustment and label of the cells of one sample; of IFNA the posterior too."""
    p = null.p_value(umi, cells.total)
    adjusted, tested = _adjusted(umi, p, cells, ligand), cells.tested
    label = evidence.label(umi, n_genes, adjusted)
    label[~tested] = evidence.LABEL["not_measurable"]
    if ligand is not IFNA:
        return {"label": label}
    expected = null.expected(cells.total)
    alone = null.log_pmf(umi, cells.total)
    groups = np.zeros(umi.size, dtype=np.int64) if cells.types is None else cells.types
    # of a type that this sample lacks there is no group
    groups = np.unique(groups, return_inverse=True)[1].ravel()
    found = producers.posterior(umi, expected, cells.total, alone, groups, compiled=compiled)
    some = cells.total > 0
    return {
        "ifna_background": expected,
        "ifna_p_value": np.where(some, p, np.nan),
        "ifna_p_adj": adjusted,
        "ifna_posterior": np.where(some, found, np.nan),
        "label": label,
    }


def _adjusted(umi: Floats, p: Floats, cells: Cells, ligand: Ligand) -> Floats:
    """Adjusted p over the types that can make the ligand, by kind, and apart over the others."""
    seen, tested = np.flatnonzero(umi > 0), cells.tested
    candidate = cells.among(ligand.candidates)
    groups = np.zeros(umi.size, dtype=np.int64)
    if cells.types is not None:
        kinds = [group_of(name) for name in cells.names]
        order = sorted(set(kinds))
        groups = np.array([order.index(kind) for kind in kinds], dtype=np.int64)[cells.types]
    of_candidates = evidence.adjusted(p[seen], seen, candidate & tested, groups)
    others = evidence.adjusted(p[seen], seen, ~candidate & tested, np.zeros_like(groups))
    return np.where(candidate, of_candidates, others)


def _null_status(labels: Codes, cells: Cells, ligand: Ligand) -> str:
    """Whether T cells, which make none, stay as quiet as the null says."""
    if cells.types is None or not ligand.t_cells_are_null:
        return "ok"
    lymphoid = cells.among((k.T_NK,))
    strong = int((labels[lymphoid] == evidence.LABEL["strong"]).sum())
    if strong >= MIN_NULL_FAIL and strong > NULL_FAIL * lymphoid.sum():
        return f"{ligand.name}_null_fail"
    return "ok"


def _fractions(view: PanelView) -> dict[str, Any]:
    """What became of shared-out reads of IFNA."""
    genes = view.found(IFNA.genes(view.species)) if view.is_fractional else []
    lost = float((view.sum(genes) - whole(view, genes)).sum()) if genes else 0.0
    return {"fractional": view.is_fractional, "ifna_rounded_away": max(lost, 0.0)}


def _record(
    samples: pd.DataFrame, by_ligand: pd.DataFrame, n_genes: int, reason: str
) -> dict[str, Any]:
    notes = [reason] if reason else []
    for ligand in LIGANDS:
        mine = by_ligand[by_ligand["ligand"] == ligand.title]
        withheld = mine.loc[mine["status"] == f"{ligand.name}_null_fail", "sample"]
        if len(withheld):
            notes.append(
                f"calls withheld in {', '.join(withheld)}: T cells, which make no {ligand.title}, "
                "carry it above the background, so the background is wrong"
            )
    if not reason and (samples["source"] == "absent").any():
        notes.append(
            "no background could be estimated in some samples (no empty droplets, and fewer than "
            f"{MIN_ABSENT} cells that cannot make IFNA; or a library alone): not measurable there"
        )
    ok = not reason and (samples["status"] == "ok").any()
    return {
        "status": "ok" if ok else "not_measurable",
        "reason": reason,
        "n_ifna_genes": n_genes,
        "q": evidence.Q,
        "notes": "\n".join(notes),
        "wording": "evidence of IFNA transcription; zero does not exclude secretion",
    }
