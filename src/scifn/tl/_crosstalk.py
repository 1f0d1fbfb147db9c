"""Public step: pDC and B cells across donors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scifn import _donors, _slots, _stats
from scifn import _keys as k
from scifn._view import check_object

if TYPE_CHECKING:
    from anndata import AnnData

#: Record of the parameters of this step.
_RECORD = "crosstalk_parameters"
_FIRST = "scifn.tl.donors(adata, donor=..., condition=...)"


def crosstalk(adata: AnnData, *, overwrite: bool = False) -> None:
    """Correlate readouts of pDC and of B cells across donors, adjusted for condition.

    The response of B cells with the abundance of pDC; Breg-like B cells with pDC; the balance of
    Breg-like and effector B cells with the response; and each with the receptors that such an
    effect would need: IFNAR1, IFNAR2 and CD40 on B cells, IL10RA on pDC. An association between
    donors is not causal, and no row claims a direction.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.response` and :func:`scifn.tl.donors`; its X may be None. What
        :func:`scifn.tl.donors` could not sum or count is not measurable here.
    overwrite
        Replace the table of an earlier call.

    Raises
    ------
    scifn._errors.MissingKeyError
        There is no donor table yet.
    scifn._errors.OverwriteError
        The table is there already.

    Notes
    -----
    A partial Spearman correlation: each readout less what the conditions explain, ranked within
    each condition. Visits of a donor are one row; a donor in several conditions counts once, its
    scores averaged. Ten donors are needed, below that a row has NaN and says so. Expression is
    log2 CPM of the cells summed, of at least 50 B cells or 10 pDC. p-values are of orders of
    donors within conditions, ``p_adj`` is Benjamini and Hochberg's over the pairs.

    Sets the following fields
    -------------------------
    ``.uns["scifn"]["crosstalk"]`` : :class:`pandas.DataFrame`
        A row a pair of readouts.
    ``.uns["scifn"]["crosstalk_parameters"]`` : :class:`dict`
        How it was made.

    References
    ----------
    Menon M et al. Immunity 2016, doi:10.1016/j.immuni.2016.02.012 (the axis).
    Kendall MG. Biometrika 1942, doi:10.1093/biomet/32.3-4.277 (partial rank correlation).
    Bonett DG, Wright TA. Psychometrika 2000, doi:10.1007/BF02294183 (interval).

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> labels = ["T/NK"] * 600 + ["B naive"] * 90 + ["B transitional"] * 9 + ["pDC"] * 3
    >>> donors = [f"P{i}" for i in range(4)] + [f"C{i}" for i in range(4)]
    >>> obs = pd.DataFrame(
    ...     [(d, "SLE" if d[0] == "P" else "control", x) for d in donors for x in labels],
    ...     columns=["donor", "condition", "label"],
    ... ).rename(index=str)
    >>> adata = ad.AnnData(obs=obs)
    >>> scifn.tl.donors(adata, donor="donor", condition="condition", cell_type="label")
    >>> scifn.tl.crosstalk(adata)
    >>> row = scifn.get.crosstalk(adata).iloc[1]
    >>> row["pair"], int(row["n_donors"]), row["statement"].partition(";")[0]
    ('logit_breg_of_b ~ logit_pdc', 8, '8 donors have both, 10 needed: no correlation')
    """
    check_object(adata)
    _slots.guard(adata, tables=(k.CROSSTALK,), overwrite=overwrite)
    _apply(adata)


def _apply(adata: AnnData) -> None:
    table = _donors.collapse_visits(_slots.table(adata, k.DONORS, _FIRST))
    slot = _slots.store(adata)
    sums = _slots.pseudobulk(adata, _stats.CROSSTALK_GENES)
    slot[k.CROSSTALK] = _stats.crosstalk(table, sums)
    twice = int((table.groupby("donor")["condition"].nunique() > 1).sum())
    slot[_RECORD] = {
        "method": _stats.PARTIAL_METHOD,
        "min_donors": _stats.MIN_ASSOCIATED,
        "adjusted_for": "condition",
        "expression": "none" if sums is None else "log2 CPM of summed cells",
        "donors_in_several_conditions": twice,
    }
