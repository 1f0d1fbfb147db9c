"""Sums over cells of a donor and type, with the response that they show together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scifn import _keys as k
from scifn import _slots
from scifn._cells import response

if TYPE_CHECKING:
    from anndata import AnnData

#: Columns before the genes.
_HEAD = ("donor", "condition", "visit", "cell_type", "n_cells", "total_umi")


def pseudobulk(adata: AnnData) -> pd.DataFrame:
    """UMI of the panel genes summed per donor, condition, visit and cell type.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.donors` on an object with counts.

    Returns
    -------
    A row a donor x condition x visit x cell type, a column a gene. After
    :func:`scifn.tl.response` also ``response_type1``, ``response_type2_leaning`` and
    ``response_balance``: the scores of cells, computed from the sums against the same stored
    reference; NaN below ten cells.

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
    >>> "ISG15" in scifn.get.pseudobulk(adata)
    True
    """
    call = "scifn.tl.donors(adata, donor=, condition=) on an object with counts"
    table = _slots.table(adata, k.PSEUDOBULK, call)
    record = adata.uns[k.UNS].get("response")
    if record is None:
        return table
    against = record["reference"]
    species = str(adata.uns[k.UNS][k.INPUT]["species"])
    found = response.of_sums(table, species, against if len(against) else None)
    head = [name for name in _HEAD if name in table]
    rest = [name for name in table if name not in head]
    return pd.concat([table[head], found, table[rest]], axis=1)
