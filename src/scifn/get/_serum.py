"""The table of serum beside response."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scifn import _keys as k
from scifn import _slots

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def serum(adata: AnnData) -> pd.DataFrame:
    """Rank association of measurements of the donors with their response: concordance only.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.stratify`, where :func:`scifn.tl.donors` was given measurements.

    Returns
    -------
    A row a measurement, readout and set of donors; values at or below the detection limit are tied
    at the lowest rank.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the table is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=5, n_controls=5, cells_per_donor=400, rng=1)
    >>> adata.obs["ifna"] = adata.obs["donor"].astype(str).str[1:].astype(float)
    >>> scifn.tl.annotate(adata)
    >>> lod = {"ifna": {"lod": 3.0}}
    >>> scifn.tl.donors(adata, donor="donor", condition="condition", measurements=lod)
    >>> scifn.tl.stratify(adata, reference="control")
    >>> scifn.get.serum(adata)["readout"].unique().tolist()
    ['ifngs4_like', 'stratum']
    """
    call = "scifn.tl.donors(adata, donor=, condition=, measurements=), then scifn.tl.stratify"
    return _slots.table(adata, k.SERUM, call)
