"""Public step: the response of each cell to interferon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scifn import _keys as k
from scifn import _reference, _slots
from scifn._cells import response as model_
from scifn._docs import shared
from scifn._view import PanelView, check_object, read

if TYPE_CHECKING:
    from anndata import AnnData

_OBS = (k.RESPONSE_TYPE1, k.RESPONSE_TYPE2, k.RESPONSE_BALANCE)


@shared
def response(
    adata: AnnData,
    *,
    condition: str | None = None,
    reference: str | None = None,
    model: Mapping[str, Any] | str | Path | None = None,
    overwrite: bool = False,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> None:
    """Score how much each cell responds to interferon, type-I-dominant and type-II-leaning.

    A weighted rate of stimulated genes (weights from resting blood, fixed), held against
    control cells of the same type. It is linear in the counts: depth moves its noise, not its
    mean, and no other cell than the controls matters. The response says nothing of who made
    the interferon, nor which of the type I interferons it was.

    Parameters
    ----------
    %(adata)s
    %(reference)s
    %(model)s
    %(overwrite)s
    %(matrix)s

    Raises
    ------
    scifn._errors.MissingKeyError
        No step has typed the cells yet, or a column is not there.
    scifn._errors.DesignError
        No cell has the reference value.
    scifn._errors.ArgumentError
        Only one of ``condition`` and ``reference`` is given.
    scifn._errors.OverwriteError
        Output is there already.

    Notes
    -----
    Sets the following fields
    -------------------------
    ``.obs["scifn_response_type1"]`` : float32
        Excess over the mean of control cells of the type, in units of that mean: 0 is a typical
        control cell, 1 twice as much. Without controls an absolute rate (UMI per 10,000, weighted).
        NaN where half of the genes are not measured.
    ``.obs["scifn_response_type2_leaning"]`` : float32
        The same for genes that lean to interferon-gamma (leaning, never specific).
    ``.obs["scifn_response_balance"]`` : float32
        The first minus the second: above 0 type-I-dominant.
    ``.uns["scifn"]["response"]`` : :class:`dict`
        What the scores mean, parameters, and ``reference``, the values they are held against.

    References
    ----------
    Kang HM et al. Nat Biotechnol 2018, doi:10.1038/nbt.4042 (response of blood cells to IFN-beta).
    Waddell SJ et al. PLoS One 2010, doi:10.1371/journal.pone.0009753 (type II within type I).

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.response(adata, condition="condition", reference="control")
    >>> means = adata.obs.groupby("condition", observed=True)["scifn_response_type1"].mean()
    >>> bool(abs(means["control"]) < 0.2)
    True
    """
    check_object(adata)
    again = k.RESPONSE_TYPE1 in adata.obs
    _slots.guard(adata, obs=_OBS, overwrite=overwrite)
    _slots.need_obs(adata, k.CELL_TYPE, "scifn.tl.annotate(adata)")
    view = read(adata, model_.panel_genes, layer=layer, gene_symbols=gene_symbols, species=species)
    _apply(adata, view, condition=condition, reference=reference, model=model)
    if again:
        _slots.outdate(adata, "response")


def _apply(
    adata: AnnData,
    view: PanelView,
    *,
    condition: str | None = None,
    reference: str | None = None,
    model: Mapping[str, Any] | str | Path | None = None,
) -> None:
    result = model_.respond(
        view,
        _reference.cell_types(adata),
        controls=_reference.controls(adata, condition, reference),
        stored=_reference.stored(model, "response"),
    )
    adata.obs[k.RESPONSE_TYPE1] = result.type1.astype("float32")
    adata.obs[k.RESPONSE_TYPE2] = result.type2_leaning.astype("float32")
    adata.obs[k.RESPONSE_BALANCE] = result.balance.astype("float32")
    slot = _slots.store(adata)
    slot[k.INPUT] = view.record
    slot["response"] = result.record | {
        "condition": condition or "",
        "reference_value": str(reference or ""),
        "reference": result.reference,
    }
    _slots.add_coverage(adata, result.coverage)
