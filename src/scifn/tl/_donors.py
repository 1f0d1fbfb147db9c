"""Public step: cells -> donor table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from scifn import _donors, _matrix, _slots
from scifn import _keys as k
from scifn._errors import ArgumentError
from scifn._view import PanelView, check_object, has_matrix, read
from scifn.genesets import _sets

if TYPE_CHECKING:
    from anndata import AnnData

#: Record of the parameters of this step.
_RECORD = "donors_parameters"
#: Types whose absence from a donor is a zero only where they could have been told.
_JUDGED = ("B", k.PLASMABLAST, k.PLASMA, k.B_ATYPICAL)
#: What is said where the response has no reference.
NO_CONTROLS = (
    "the response is an absolute rate (tl.response without condition= and reference=): donors of "
    "one study only, and no standardized response, for there is no composition of controls"
)
TOO_FEW_CONTROLS = "no standardized response: the response rests on too few control cells a lineage"
_FIRST = "scifn.tl.annotate(adata), or give cell_type= (and mapping=) for labels of your own"


def donors(
    adata: AnnData,
    *,
    donor: str,
    condition: str,
    visit: str | None = None,
    cell_type: str = k.CELL_TYPE,
    mapping: Mapping[str, str] | None = None,
    covariates: str | Sequence[str] = (),
    measurements: Mapping[str, Mapping[str, float] | None] | None = None,
    cells_per_ul: str | None = None,
    missing: str | Sequence[str] = _donors.MISSING,
    overwrite: bool = False,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> None:
    """Count cells per donor, condition and visit, with the log ratios that groups are compared by.

    Every statistic of the package starts from this table and never sees a cell.

    Parameters
    ----------
    adata
        Cells with types; X may be None, then there is no pseudobulk.
    donor, condition
        Columns of obs. Numeric ids become text. Cells without a value are left out of the
        table, and the record says how many.
    visit
        Column of obs that tells samples of one donor in one condition apart; cells without a value
        belong to the visit "".
    cell_type
        Column of obs with cell types.
    mapping
        {label: cell type or lineage} where the labels of ``cell_type`` are your own. A label that
        is a cell type or lineage of this package needs none.
    covariates
        Columns of obs with one value a donor, condition and visit: batch, sex, age, treatment.
    measurements
        {column of obs: {"lod": detection limit}}: measurements of the donor, for instance of serum.
        They are carried along, and ``<column>_censored`` marks values at or below the limit;
        :func:`scifn.tl.stratify` holds them against the response. Serum IFN-alpha stands first
        among those with a limit.
    cells_per_ul
        Column of obs: concentration of the counted cells (of the mononuclear cells, for PBMC) in
        the donor's blood. Adds ``<count>_per_ul``.
    missing
        Words that stand for no value, in any case; they replace the ones that are there.
    overwrite
        Replace the tables of an earlier call.
    layer, gene_symbols, species
        Where expression is read for the pseudobulk; see :func:`scifn.pp.check`.

    Raises
    ------
    scifn._errors.MissingKeyError
        A column is not there, or no step has typed the cells yet.
    scifn._errors.DesignError
        No cell has a donor and a condition, or a covariate varies within a donor, condition and
        visit. The message names the donor and the column.
    scifn._errors.ArgumentError
        Labels that no one can place, or columns that collide.
    scifn._errors.OverwriteError
        The tables are there already.

    Notes
    -----
    Readouts of pDC need 500 counted cells of a donor, readouts of Breg-like cells 50 B cells; below
    that they are NaN and ``note`` says why. What the genes or labels could not tell at all
    is NaN in the counts too, never 0. ``status`` is ok, low_cells, low_b_cells, partial or
    not_measurable. Fractions do not tell whether a type is fewer or the others are more.

    ``response_type1:<lineage>`` is log2 of one plus the mean response of the donor's cells, NaN
    below ten of them. ``response_type1:standardized`` puts the lineages together with the shares
    that they have among the control cells, so that a donor with more monocytes does not respond
    more.

    Sets the following fields
    -------------------------
    ``.uns["scifn"]["donors"]`` : :class:`pandas.DataFrame`
        A row a donor x condition x visit.
    ``.uns["scifn"]["pseudobulk"]`` : :class:`dict`
        UMI of the panel genes summed per donor, condition, visit and cell type, where there is a
        matrix with counts: ``rows`` (a DataFrame), ``genes`` and ``umi`` (rows x genes), one array
        because a table of many columns is slow to write. :func:`scifn.get.pseudobulk` gives them
        as one table.
    ``.uns["scifn"]["type_means"]`` : :class:`pandas.DataFrame`
        Means of response and capacity over the cells of each donor, condition, visit and cell type,
        with standard errors, after those steps.
    ``.uns["scifn"]["bounds"]`` : :class:`pandas.DataFrame`
        Transcript evidence of each ligand per donor and cell type with upper bounds, after
        :func:`scifn.tl.production`.
    ``.uns["scifn"]["donors_parameters"]`` : :class:`dict`
        How they were made, and what was left out.

    References
    ----------
    Aitchison J. J R Stat Soc B 1982, doi:10.1111/j.2517-6161.1982.tb01195.x (log ratios).
    Egozcue JJ et al. Math Geol 2003, doi:10.1023/A:1023818214614 (isometric log ratios).

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> labels = ["pDC"] * 3 + ["Mono"] * 997
    >>> obs = pd.DataFrame({"label": labels, "donor": 7, "disease": "SLE"}).rename(index=str)
    >>> adata = ad.AnnData(obs=obs)
    >>> scifn.tl.donors(adata, donor="donor", condition="disease", cell_type="label")
    >>> scifn.get.donors(adata)[["donor", "n_total", "n_pdc"]].values.tolist()
    [['7', 1000, 3.0]]
    """
    check_object(adata)
    again = k.DONORS in adata.uns.get(k.UNS, {})
    _slots.guard(
        adata, tables=(k.DONORS, k.PSEUDOBULK, k.TYPE_MEANS, k.BOUNDS), overwrite=overwrite
    )
    view = None
    if has_matrix(adata):
        # Names of the other species resolve to nothing; which one it is, is known after reading.
        panel = (*_sets.panel("human"), *_sets.panel("mouse"))
        view = read(adata, panel, layer=layer, gene_symbols=gene_symbols, species=species)
    _apply(
        adata,
        view,
        donor=donor,
        condition=condition,
        visit=visit,
        cell_type=cell_type,
        mapping=mapping,
        covariates=covariates,
        measurements=measurements,
        cells_per_ul=cells_per_ul,
        missing=missing,
    )
    if again:
        _slots.outdate(adata, "donors")


def _apply(
    adata: AnnData,
    view: PanelView | None,
    *,
    donor: str,
    condition: str,
    visit: str | None,
    cell_type: str,
    mapping: Mapping[str, str] | None,
    covariates: str | Sequence[str],
    measurements: Mapping[str, Mapping[str, float] | None] | None,
    cells_per_ul: str | None,
    missing: str | Sequence[str],
) -> None:
    if cell_type == k.CELL_TYPE:
        _slots.need_obs(adata, k.CELL_TYPE, _FIRST)
    names = [covariates] if isinstance(covariates, str) else [*covariates]
    missing = (missing,) if isinstance(missing, str) else tuple(missing)
    if donor == condition:
        raise ArgumentError(
            f"donor={donor!r} and condition={condition!r} name the same column of obs; a donor is "
            "a person (or animal), a condition what sets groups of them apart."
        )
    weights = _composition(adata)
    found = _donors.donor_table(
        adata.obs,
        donor=donor,
        condition=condition,
        visit=visit,
        cell_type=cell_type,
        mapping=mapping,
        covariates=names,
        measurements=measurements,
        cells_per_ul=cells_per_ul,
        missing=missing,
        measurable=_measurable(adata) if cell_type == k.CELL_TYPE else None,
        composition=weights,
    )
    notes = [*found.notes]
    if k.RESPONSE_TYPE1 in adata.obs and not weights:
        held = adata.uns.get(k.UNS, {}).get("response", {}).get("reference", ())
        notes.append(TOO_FEW_CONTROLS if len(held) else NO_CONTROLS)
    if view is None:
        notes.append("no matrix: no pseudobulk")
    elif not view.is_counts:
        notes.append("no counts: no pseudobulk")
    slot = _slots.store(adata)
    slot[k.DONORS] = found.table
    for name in (k.PSEUDOBULK, k.TYPE_MEANS, k.BOUNDS):
        slot.pop(name, None)
    # genes are summed in compiled code, beside what is made of obs
    parts = (partial(_of_genes, view, found), partial(_of_cells, adata, found))
    for tables in _matrix.mapped(lambda part: part(), parts, _matrix.n_processors()):
        slot.update(tables)
    slot[_RECORD] = {
        "donor": donor,
        "condition": condition,
        "visit": visit or "",
        "cell_type": cell_type,
        **_donors.written(mapping, missing),
        "covariates": ", ".join(names),
        "measurements": ", ".join(measurements or {}),
        "detection_limits": _donors.detection_limits(measurements or {}),
        "cells_per_ul": cells_per_ul or "",
        "min_cells": _donors.MIN_CELLS,
        "min_b_cells": _donors.MIN_B,
        "composition": ", ".join(f"{name} {share:.4f}" for name, share in weights.items()),
        "notes": "\n".join(notes),
    }


def _of_genes(view: PanelView | None, found: _donors.DonorTable) -> dict[str, Any]:
    """Sums of the panel's genes, where there are counts."""
    if view is None or not view.is_counts:
        return {}
    # scifn.run reads more genes than are summed: the table is the same in both ways
    genes = view.found(_sets.panel(view.species))
    by_group = partial(view.by_group, genes)
    rows, umi = _donors.pseudobulk(by_group, view.total, found.rows, found.types, found.table)
    return {k.PSEUDOBULK: _slots.packed(rows, genes, umi)}


def _of_cells(adata: AnnData, found: _donors.DonorTable) -> dict[str, Any]:
    """Means of scores, and bounds of production, where these steps were done."""
    which = (found.rows, found.types, found.table)
    tables = {}
    means = _donors.type_means(adata.obs, adata.obsm.get(k.CAPACITY), *which)
    if means is not None:
        tables[k.TYPE_MEANS] = means
    if k.IFNA_EVIDENCE in adata.obs:
        others = adata.obsm.get(k.LIGAND_EVIDENCE)
        tables[k.BOUNDS] = _donors.bounds(adata.obs, *which, others)
    return tables


def _composition(adata: AnnData) -> dict[str, float]:
    """Share of each compartment among the control cells that the response was held against."""
    record = adata.uns.get(k.UNS, {}).get("response", {})
    reference = record.get("reference")
    if k.RESPONSE_TYPE1 not in adata.obs or reference is None:
        return {}
    return _donors.composition(reference)


def _measurable(adata: AnnData) -> dict[str, bool]:
    """Which types the identity step could have called, by its record and the calls it left."""
    # What was called could be called, whatever the record says (surface proteins may tell it).
    called = _slots.levels(adata.obs[k.CELL_TYPE])
    record = adata.uns.get(k.UNS, {}).get("annotate", {})
    told = set(map(str, record.get("measurable", (*k.CELL_TYPES, "B"))))
    can = {t: t in called or t in told or t not in _JUDGED for t in (*k.CELL_TYPES, "B")}
    if {t for t in called if k.LINEAGE_OF.get(t) == "B"} == {k.B_UNRESOLVED}:
        can[k.B_ATYPICAL] = False  # no subset was told at all
    if k.PDC_CALL in adata.obs and _slots.levels(adata.obs[k.PDC_CALL]) == {"NA"}:
        can[k.PDC] = can[k.ASDC] = False
    return can
