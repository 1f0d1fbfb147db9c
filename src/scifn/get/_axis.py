"""Tables of associations across donors: the pDC - B cell axis."""

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
