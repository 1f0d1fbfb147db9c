"""One function a table: a copy of what a step stored, with a fresh index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scifn import _keys as k
from scifn import _slots
from scifn._errors import MissingKeyError
from scifn.get._pooled import can_pool, pooled_bounds

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def cells(adata: AnnData) -> pd.DataFrame:
    """Every column that scifn wrote of each cell, and the columns of ``scifn_capacity``.

    Parameters
    ----------
    adata
        After any of the steps that score cells.

    Returns
    -------
    A row a cell, indexed by obs_names.

    Raises
    ------
    scifn._errors.MissingKeyError
        If no step has scored cells.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.get.cells(adata).columns[0]
    'scifn_cell_type'
    """
    mine = [name for name in adata.obs if str(name).startswith(k.PREFIX)]
    if not mine:
        msg = "obs holds no column of scifn: call scifn.tl.annotate(adata) (or scifn.run) first."
        raise MissingKeyError(msg)
    table: pd.DataFrame = adata.obs[mine].copy()
    if k.CAPACITY in adata.obsm:
        # by position: obs_names need not be unique
        for name, values in adata.obsm[k.CAPACITY].items():
            table[f"{k.CAPACITY}_{name}"] = values.to_numpy()
    return table


def donors(adata: AnnData) -> pd.DataFrame:
    """Donor table: counts, log ratios with standard errors, response, status.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.donors`.

    Returns
    -------
    A row a donor x condition x visit.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.donors(adata, donor="donor", condition="condition")
    >>> len(scifn.get.donors(adata))
    2
    """
    return _slots.table(adata, k.DONORS, "scifn.tl.donors(adata, donor=, condition=)")


def imbalance(adata: AnnData) -> pd.DataFrame:
    """Comparison of conditions, donors as the unit.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.imbalance`.

    Returns
    -------
    A row a readout x condition; see the columns in the documentation.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=4, n_controls=4, cells_per_donor=500, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.donors(adata, donor="donor", condition="condition")
    >>> scifn.tl.imbalance(adata, reference="control")
    >>> scifn.get.imbalance(adata)["readout"][0]
    'logit_pdc'
    """
    return _slots.table(adata, k.IMBALANCE, "scifn.tl.imbalance(adata, reference=)")


def strata(adata: AnnData) -> pd.DataFrame:
    """IFN-high and IFN-low donors; research stratification, not for clinical decisions.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.stratify`.

    Returns
    -------
    A row a donor.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=5, n_controls=5, cells_per_donor=400, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.donors(adata, donor="donor", condition="condition")
    >>> scifn.tl.stratify(adata, reference="control")
    >>> len(scifn.get.strata(adata))
    10
    """
    return _slots.table(adata, k.STRATA_TABLE, "scifn.tl.stratify(adata, reference=)")


def coverage(adata: AnnData) -> pd.DataFrame:
    """How much of each gene set was measured.

    Parameters
    ----------
    adata
        After any of the steps that read expression.

    Returns
    -------
    A row a set: set, reference, n_genes, n_found, missing, status.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.get.coverage(adata).columns[0]
    'set'
    """
    return _slots.table(adata, k.COVERAGE, "scifn.tl.annotate(adata)")


def bounds(adata: AnnData) -> pd.DataFrame:
    """Transcript evidence of each interferon by donor and cell type, with 95 % upper bounds.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.production` and :func:`scifn.tl.donors`.

    Returns
    -------
    A row a ligand, donor and cell type, and pooled rows (descriptive: cells are not donors).
    Ligands are IFNA, which comes first, IFNB1, IFNK, IFNW1/IFNE, IFNL and IL10. Without
    :func:`scifn.tl.donors` only pooled rows, of all cells, by the condition that
    :func:`scifn.tl.response` or :func:`scifn.tl.capacity` was given.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.production(adata, sample="donor")
    >>> scifn.tl.donors(adata, donor="donor", condition="condition")
    >>> scifn.get.bounds(adata)["ligand"].unique().tolist()
    ['IFNA', 'IFNB1', 'IFNK', 'IFNW1/IFNE', 'IFNL', 'IL10']
    """
    if k.BOUNDS not in adata.uns.get(k.UNS, {}) and can_pool(adata):
        return pooled_bounds(adata)
    call = "scifn.tl.production(adata), then scifn.tl.donors(adata, donor=, condition=)"
    return _slots.table(adata, k.BOUNDS, call)


def profiles(adata: AnnData) -> pd.DataFrame:
    """One interferon profile a donor; for research use only.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.profiles`.

    Returns
    -------
    A row a donor x condition; see the columns in the documentation.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    >>> scifn.run(adata, donor="donor", condition="condition", reference="control")
    >>> scifn.get.profiles(adata)["stratum"].unique().tolist()
    ['not_computable']
    """
    return _slots.table(adata, k.PROFILES, "scifn.tl.profiles(adata)")
