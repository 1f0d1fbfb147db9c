"""Tables of associations across donors: the pDC - B cell axis, LINE-1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scifn import _keys as k
from scifn import _slots

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def crosstalk(adata: AnnData) -> pd.DataFrame:
    """Partial correlations of pDC and B cells across donors; associations, not causal.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.crosstalk`.

    Returns
    -------
    A row a pair of readouts, with its statement.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=5, n_controls=5, cells_per_donor=300, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.donors(adata, donor="donor", condition="condition")
    >>> scifn.tl.crosstalk(adata)
    >>> len(scifn.get.crosstalk(adata))
    7
    """
    return _slots.table(adata, k.CROSSTALK, "scifn.tl.crosstalk(adata)")


def l1(adata: AnnData) -> pd.DataFrame:
    """LINE-1 by donor and cell type: UMI, CPM, the ratio of young to old, and their restriction.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.retroelements`.

    Returns
    -------
    A row a donor x condition x cell type; NaN where LINE-1 are not measurable, never 0.

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
    >>> scifn.tl.retroelements(adata)  # genes alone cannot tell LINE-1
    >>> scifn.get.l1(adata)["status"].unique().tolist()
    ['not_measurable']
    """
    return _slots.table(adata, k.L1, "scifn.tl.retroelements(adata)")


def l1_association(adata: AnnData) -> pd.DataFrame:
    """What LINE-1 are associated with across donors; the direction is not identifiable.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.retroelements`.

    Returns
    -------
    A row a cell type and readout, with its statement.

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
    >>> scifn.tl.retroelements(adata)
    >>> bool(scifn.get.l1_association(adata)["rho"].isna().all())
    True
    """
    return _slots.table(adata, k.L1_ASSOCIATION, "scifn.tl.retroelements(adata)")
