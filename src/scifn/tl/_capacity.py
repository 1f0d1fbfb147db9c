"""Public step: expression of the machinery that makes interferon."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scifn import _keys as k
from scifn import _reference, _slots
from scifn._cells import capacity as model_
from scifn._docs import shared
from scifn._view import PanelView, check_object, read

if TYPE_CHECKING:
    from anndata import AnnData


@shared
def capacity(
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
    """Score expression of the sensors and brakes of interferon production in each cell.

    Endosomal TLR7/9, TLR3, RIG-I/MDA5, cGAS-STING, and the brakes (nucleases and negative
    regulators), each against control cells of the same type. Expression of the machinery is
    neither activity of the pathway nor production of interferon.

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
    ``.obsm["scifn_capacity"]`` : :class:`pandas.DataFrame`
        Columns tlr79, tlr3, rlr, cgas_sting, brakes: z against control cells of the type (all
        cells of the type without controls). Each with ``_resid``: from the genes that interferon is
        not known to move, over the UMI that are of no such gene, so that a response of known genes
        alone leaves it at 0. NaN where half of a module is not measured.
    ``.uns["scifn"]["capacity"]`` : :class:`dict`
        Parameters, ``reference`` and ``weights``.

    References
    ----------
    Heinz LX et al. Nature 2020, doi:10.1038/s41586-020-2282-0 (TASL, TLR7/9 to IRF5).

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.capacity(adata, condition="condition", reference="control")
    >>> list(adata.obsm["scifn_capacity"].columns[:2])
    ['tlr79', 'tlr79_resid']
    """
    check_object(adata)
    again = k.CAPACITY in adata.obsm
    _slots.guard(adata, obsm=(k.CAPACITY,), overwrite=overwrite)
    _slots.need_obs(adata, k.CELL_TYPE, "scifn.tl.annotate(adata)")
    view = read(adata, model_.panel_genes, layer=layer, gene_symbols=gene_symbols, species=species)
    _apply(adata, view, condition=condition, reference=reference, model=model)
    if again:
        _slots.outdate(adata, "capacity")


def _apply(
    adata: AnnData,
    view: PanelView,
    *,
    condition: str | None = None,
    reference: str | None = None,
    model: Mapping[str, Any] | str | Path | None = None,
) -> None:
    earlier = _reference.record(model, "capacity")
    table = _reference.stored(model, "capacity")
    weights = None if earlier is None else {g: float(w) for g, w in earlier["weights"].items()}
    result = model_.capacity(
        view,
        _reference.cell_types(adata),
        controls=_reference.controls(adata, condition, reference),
        stored=None if table is None or weights is None else (table, weights),
    )
    scores = result.scores
    scores.index = adata.obs_names
    adata.obsm[k.CAPACITY] = scores
    slot = _slots.store(adata)
    slot[k.INPUT] = view.record
    slot["capacity"] = result.record | {
        "condition": condition or "",
        "reference_value": str(reference or ""),
        "reference": result.reference,
        "weights": result.weights,
    }
    if earlier is not None:  # whose cells the stored values are of
        slot["capacity"]["against"] = str(earlier["against"])
    _slots.add_coverage(adata, result.coverage)
