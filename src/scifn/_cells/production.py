"""Evidence that cells transcribe interferon: counts against the background, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import evidence
from scifn._cells.background import (
    MIN_ABSENT,
    SOUP_GENES,
    Background,
    Given,
    Soup,
    SoupMoments,
    background,
)
from scifn._cells.lanes import Lanes, lanes_of
from scifn._cells.ligands import IFNA, LIGANDS, OTHERS, Ligand
from scifn._cells.runs import COMPILED_FROM, threads_for
from scifn._cells.sums import RUN, matrix_of, runs_of, tally, weighted
from scifn._cells.tested import columns_of, labels_of, null_fails, tested
from scifn._matrix import mapped
from scifn._view import PanelView
from scifn.genesets import _coverage, _sets

Floats = NDArray[np.float64]
Values = NDArray[np.float32]
Codes = NDArray[np.int8]

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
    measured: bool


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
    held, lanes = _read(view, lanes_of(samples, None if bulk else types, view.total))
    given = Given(soup, contamination)
    out = {ligand.name: _empty(view, ligand, held[ligand.name]) for ligand in LIGANDS}
    compiled = view.n_cells >= COMPILED_FROM

    def test(some: Lanes) -> list[dict[str, Any]]:
        return [
            _test(ligand, held[ligand.name], some, given, out[ligand.name], compiled=compiled)
            for ligand in LIGANDS
        ]

    found = list(mapped(test, list(lanes.runs(RUN)), threads_for(view.n_cells)))
    tables = [part for of_ligand in zip(*found, strict=True) for part in of_ligand]
    by_ligand = pd.DataFrame({x: np.concatenate([part[x] for part in tables]) for x in tables[0]})
    columns = {name: values for x in out.values() for name, values in x.columns.items()}
    labels = {name: x.labels for name, x in out.items()}
    reason = _reason(view) if not _measured(view, IFNA) else ""
    if reason:
        columns["ifna_umi"] = np.full(view.n_cells, np.nan, dtype=np.float32)
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


def _read(view: PanelView, lanes: Lanes) -> tuple[dict[str, _Held], Lanes]:
    """What the cells hold of every ligand, and the width of the soup: one look at the panel."""
    genes = {ligand.name: view.found(ligand.genes(view.species)) for ligand in LIGANDS}
    out = {
        ligand.name: _Held(
            np.full(view.n_cells, 0 if genes[ligand.name] else np.nan, dtype=np.float32),
            np.zeros(view.n_cells, dtype=np.uint8),
            _measured(view, ligand),
        )
        for ligand in LIGANDS
    }
    there = [name for name, mine in genes.items() if mine]
    every = [gene for name in there for gene in genes[name]]
    # libraries hold no soup: what they hold of each other has a width of its own
    soup = [] if lanes.libraries else view.found(SOUP_GENES)
    moments = SoupMoments(len(lanes.names), len(soup))
    lymphoid = np.full(view.n_cells, -1, dtype=np.int32)  # sample of each T cell
    lymphoid[lanes.at] = np.where(lanes.which((k.T_NK,))[lanes.types], lanes.of, -1)
    member = matrix_of([*every, *soup], [dict.fromkeys(genes[name], 1.0) for name in there])
    compiled = view.n_cells >= COMPILED_FROM

    def fill(rows: slice) -> SoupMoments:
        values = view.csr([*every, *soup], rows)
        umi, seen = tally(values, member, compiled=compiled)
        if view.is_fractional:
            umi = np.floor(umi + _ROUNDING)
            ones = values.copy()
            ones.data = (values.data > 1 - _ROUNDING).astype(np.float32)
            seen = weighted(ones, member, compiled=compiled)
        for i, name in enumerate(there):
            out[name].umi[rows] = umi[i]
            out[name].n_genes[rows] = seen[i]
        mine = SoupMoments(len(lanes.names), len(soup))
        mine.add(values, view.total[rows], lymphoid[rows], first=len(every))
        return mine

    if every or soup:
        for mine in mapped(fill, runs_of(view.n_cells), threads_for(view.n_cells)):
            moments.merge(mine)
    sizes = moments.sizes()
    if lanes.libraries:
        sizes[:] = evidence.SWAPPED_SIZE
    return out, replace(lanes, size=sizes)


@dataclass(frozen=True)
class _Out:
    """Columns of all cells and labels of a ligand, filled in samples by samples."""

    columns: dict[str, Values]
    labels: Codes


def _empty(view: PanelView, ligand: Ligand, held: _Held) -> _Out:
    columns = {f"{ligand.name}_umi": held.umi}
    if ligand is IFNA:
        columns |= {name: np.full(view.n_cells, np.nan, dtype=np.float32) for name in _TESTED}
    return _Out(columns, np.full(view.n_cells, evidence.LABEL["not_measurable"], dtype=np.int8))


def _test(
    ligand: Ligand, held: _Held, lanes: Lanes, given: Given, out: _Out, *, compiled: bool
) -> dict[str, Any]:
    """Test a ligand in samples; rows of their table."""
    umi = held.umi[lanes.place]
    if not held.measured:
        all_of = lanes.sums(umi.astype(np.float64), np.arange(umi.size))
        return _sheet(lanes, ligand, all_of, None)
    seen = np.flatnonzero(umi > 0)  # few: what all others hold is no evidence
    some = umi[seen].astype(np.float64)
    found = background(some, seen, lanes, ligand, given)
    table = _sheet(lanes, ligand, lanes.sums(some, seen), found)
    there = np.isfinite(found.rates)
    known = lanes
    if not there.all():  # samples without a background are not tested
        cells = np.flatnonzero(there[lanes.of])
        known, umi, found = lanes.only(there), umi[cells], found.only(cells)
        seen = np.flatnonzero(umi > 0)
        some = umi[seen].astype(np.float64)
    n_genes = held.n_genes[known.at[seen]]
    result = tested(some, n_genes, seen, known, found.of(seen), ligand)
    if ligand is IFNA:
        every, null = umi.astype(np.float64), found.of(slice(None))
        columns = columns_of(result, every, seen, known, null, compiled=compiled)
        for name, values in columns.items():
            out.columns[name][known.place] = values
    ok, labels = ~null_fails(result, seen, known, ligand), labels_of(result, seen, known)
    labels[~ok[known.of]] = evidence.LABEL["not_measurable"]
    out.labels[known.place] = labels
    status = np.full(there.size, "not_measurable", dtype=object)
    status[there] = np.where(ok, "ok", f"{ligand.name}_null_fail")
    return table | {"status": status}


def _sheet(lanes: Lanes, ligand: Ligand, umi: Floats, found: Background | None) -> dict[str, Any]:
    """What each sample holds of a ligand, and its background."""
    n, absent = len(lanes.names), "no gene of it is among the features"
    sources = (absent,) * n if found is None else tuple(x or "absent" for x in found.sources)
    rates = np.full(n, np.nan) if found is None else found.rates
    return {
        "sample": np.array(lanes.names, dtype=object),
        "n_cells": lanes.n_cells.sum(axis=1).astype(np.int64),
        "ligand": np.full(n, ligand.title, dtype=object),
        "umi": umi,
        "background_rate": rates,
        "size": np.where(np.isnan(rates), np.nan, lanes.size),
        "source": np.array(sources, dtype=object),
        "status": np.full(n, "not_measurable", dtype=object),
    }


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
