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
from scifn._view import PanelView
from scifn.genesets import _coverage, _sets

Floats = NDArray[np.float64]

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

    ``labels`` are those of IFNA, ``others`` those of each other ligand by its name.
    """

    columns: dict[str, Floats]
    labels: NDArray[np.object_]
    others: dict[str, NDArray[np.object_]]
    samples: pd.DataFrame
    by_ligand: pd.DataFrame
    coverage: list[dict[str, Any]]
    record: dict[str, Any]


def panel_genes(species: str = "human") -> list[str]:
    """Every gene that the step reads."""
    genes = {gene for ligand in LIGANDS for gene in ligand.genes(species)}
    genes |= {gene for name in _SETS for gene in _sets.for_species(name, species)}
    return sorted(genes | (set(SOUP_GENES) if species == "human" else set()))


def produce(
    view: PanelView,
    types: NDArray[Any] | None,
    samples: NDArray[Any],
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
    kinds = None if bulk or types is None else np.asarray(types, dtype=object).astype(str)
    lanes = split(view, samples, kinds)
    given = Given(soup, contamination)
    columns: dict[str, Floats] = {}
    labels: dict[str, NDArray[np.object_]] = {}
    tables = []
    for ligand in LIGANDS:
        found, labels[ligand.name], table = _test(view, ligand, lanes, given)
        columns |= found
        tables.append(table)
    reason = _reason(view) if not _measured(view, IFNA) else ""
    if reason:
        columns["ifna_umi"] = np.full(view.n_cells, np.nan)
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


def _test(
    view: PanelView, ligand: Ligand, lanes: dict[str, Cells], given: Given
) -> tuple[dict[str, Floats], NDArray[np.object_], pd.DataFrame]:
    """Columns, labels and samples of one ligand."""
    genes = view.found(ligand.genes(view.species))
    nothing = np.full(view.n_cells, np.nan)
    umi = whole(view, genes) if genes else nothing
    columns = {f"{ligand.name}_umi": umi}
    if ligand is IFNA:
        columns |= {name: nothing.copy() for name in _TESTED}
    labels = np.full(view.n_cells, "not_measurable", dtype=object)
    measured = _measured(view, ligand)
    least = 1 - _ROUNDING if view.is_fractional else 0.0
    paralogs = np.zeros(view.n_cells, dtype=np.int64)
    if measured:
        paralogs = np.asarray((view.csr(genes) > least).sum(axis=1), dtype=np.int64).ravel()
    table = []
    for name, cells in lanes.items():
        null = background(umi[cells.at], cells, ligand, given) if measured else None
        row = (name, cells.at.size, ligand.title, float(np.sum(umi[cells.at])))
        if null is None:
            source = "absent" if measured else "no gene of it is among the features"
            table.append((*row, np.nan, np.nan, source, "not_measurable"))
            continue
        found = _sample(umi[cells.at], paralogs[cells.at], cells, null, ligand)
        status = _null_status(found["label"], cells.types, ligand)
        for column in _TESTED if ligand is IFNA else ():
            columns[column][cells.at] = found[column]
        labels[cells.at] = found["label"] if status == "ok" else "not_measurable"
        table.append((*row, float(np.mean(null.rate)), null.size, null.source, status))
    heads = ["sample", "n_cells", "ligand", "umi", "background_rate", "size", "source", "status"]
    return columns, labels, pd.DataFrame(table, columns=heads)


def _sample(
    umi: Floats,
    paralogs: NDArray[np.int64],
    cells: Cells,
    null: evidence.Background,
    ligand: Ligand,
) -> dict[str, Any]:
    """Test, adjustment and label of the cells of one sample; of IFNA the posterior too."""
    expected = null.expected(cells.total)
    p = null.p_value(umi, cells.total)
    names = np.full(umi.size, k.PDC, dtype=object) if cells.types is None else cells.types
    candidate = np.isin(names.astype(str), ligand.candidates)
    groups, each = pd.factorize(names)
    kinds = np.array([group_of(str(name)) for name in each])[groups]
    tested = cells.tested
    adjusted = evidence.by_groups(p, candidate & tested, kinds)
    others = evidence.benjamini_hochberg(p, ~candidate & tested)
    adjusted = np.where(candidate, adjusted, others)
    label = evidence.label(umi, paralogs, adjusted)
    label[~tested] = "not_measurable"
    if ligand is not IFNA:
        return {"label": label}
    alone = null.log_pmf(umi, cells.total)
    found = producers.posterior(
        umi, expected, cells.total, alone, np.asarray(groups, dtype=np.int64)
    )
    some = cells.total > 0
    return {
        "ifna_background": expected,
        "ifna_p_value": np.where(some, p, np.nan),
        "ifna_p_adj": adjusted,
        "ifna_posterior": np.where(some, found, np.nan),
        "label": label,
    }


def _null_status(labels: NDArray[np.object_], types: NDArray[Any] | None, ligand: Ligand) -> str:
    """Whether T cells, which make none, stay as quiet as the null says."""
    if types is None or not ligand.t_cells_are_null:
        return "ok"
    lymphoid = types == k.T_NK
    strong = int((labels[lymphoid] == "strong").sum())
    if strong >= MIN_NULL_FAIL and strong > NULL_FAIL * lymphoid.sum():
        return f"{ligand.name}_null_fail"
    return "ok"


def _fractions(view: PanelView) -> dict[str, Any]:
    """What became of shared-out reads of IFNA."""
    genes = view.found(IFNA.genes(view.species))
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
