"""Public step: LINE-1 retroelements of donors, and what goes with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scifn import _donors, _slots, _stats, _view
from scifn import _keys as k
from scifn._errors import ArgumentError, MatrixError
from scifn.genesets import _sets
from scifn.tl import _elements

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from numpy.typing import NDArray

#: Where elements stand beside the genes.
VAR = _elements.VAR
#: Record of the parameters of this step.
_RECORD = "l1_parameters"
_FIRST = "scifn.tl.donors(adata, donor=..., condition=...)"


def retroelements(
    adata: AnnData,
    *,
    features: str = "var",
    intronic: str | None = None,
    overwrite: bool = False,
) -> None:
    """Young LINE-1 against old, by donor and cell type, and what they are associated with.

    Needs counts of transposable elements, joined by barcode to the genes: of scTE, SoloTE,
    IRescue, TEtranscripts or TElocal, by the names that these write. A gene matrix cannot tell
    LINE-1, and then every row is ``not_measurable``, never 0. The direction of an association is
    never claimed: LINE-1 RNA may follow interferon as well as cause it.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.donors` (and :func:`scifn.tl.response`, for the association).
    features
        Where the elements are: ``"var"``, beside the genes, or a key of obsm (a DataFrame, or an
        array with ``uns["<key>_names"]``), which may hold fractions of UMI.
    intronic
        Column of obs with the intronic (unspliced) fraction of each cell, to adjust for. Without
        it every row says that leakage of nuclear RNA cannot be excluded.
    overwrite
        Replace the tables of an earlier call.

    Raises
    ------
    scifn._errors.MissingKeyError
        There is no donor table yet, obs is no longer what it was made of, or no such column or key.
    scifn._errors.ArgumentError
        ``intronic`` holds no fractions, or columns of obsm have no names.
    scifn._errors.ScaleError
        The values are no counts.
    scifn._errors.OverwriteError
        The tables are there already.

    Notes
    -----
    Young are L1HS and L1PA2 to L1PA4 (``l1_young_broad_umi`` goes to L1PA7), old L1M*, L1PB* and
    HAL1. ``l1_young_ratio`` is log2((young + 0.5) / (old + 0.5)) of the UMI summed over a donor's
    cells of a type, visits together; under 20 of them there is none. Where subfamilies and
    single copies stand side by side, subfamilies are counted and the others left out, for they hold
    the same reads; copies of uniquely mapped reads alone are refused.

    Associations are partial Spearman correlations across ten donors or more, beside
    condition and intronic fraction: with the response of the lineage, the response-adjusted
    RIG-I and cGAS-STING machinery, and IFNB1; rows are worded as associated by ``p_adj``. The
    abundance of old LINE-1 stands beside as a negative control. The genes that restrict LINE-1 in
    chromatin, and those that interferon induces, are two scores;
    ``l1_restriction_resid`` is that of all of them less what the response explains over the
    donors, within the cell type.

    Sets the following fields
    -------------------------
    ``.uns["scifn"]["l1"]`` : :class:`pandas.DataFrame`
        A row a donor x condition x cell type.
    ``.uns["scifn"]["l1_association"]`` : :class:`pandas.DataFrame`
        A row a cell type and readout.
    ``.uns["scifn"]["l1_parameters"]`` : :class:`dict`
        Which features were counted, and what was left out.

    References
    ----------
    Mavragani CP et al. Arthritis Rheumatol 2016, doi:10.1002/art.39795 (LINE-1 in lupus, Sjogren).
    Kuriyama Y et al. Sci Rep 2021, doi:10.1038/s41598-021-02522-6 (blood: up in dermatomyositis).

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import pandas as pd
    >>> import scifn
    >>> obs = pd.DataFrame({"donor": list("AB") * 6, "disease": "SLE", "label": "B"})
    >>> names = ["CD19", "MS4A1", "L1HS", "L1PA3", "L1MA4", "L1CAM"]
    >>> x = np.tile(np.array([9, 9, 3, 1, 8, 50], dtype=np.float32), (12, 1))
    >>> adata = ad.AnnData(x, obs.rename(index=str), pd.DataFrame(index=names))
    >>> scifn.tl.donors(adata, donor="donor", condition="disease", cell_type="label")
    >>> scifn.tl.retroelements(adata)
    >>> scifn.get.l1(adata)[["donor", "l1_young_umi", "l1_old_umi", "status"]].values.tolist()
    [['A', 24.0, 48.0, 'ok'], ['B', 24.0, 48.0, 'ok']]
    """
    _view.check_object(adata)
    again = k.L1 in adata.uns.get(k.UNS, {})
    _slots.guard(adata, tables=(k.L1, k.L1_ASSOCIATION), overwrite=overwrite)
    _slots.table(adata, k.DONORS, _FIRST)
    elements = read(adata, _genes(adata, needed=features == VAR), features)
    _apply(adata, elements, features=features, intronic=intronic)
    if again:
        _slots.outdate(adata, "retroelements")


def _genes(adata: AnnData, *, needed: bool) -> _view.PanelView | None:
    """The matrix of the genes; of elements in obsm only their CPM needs it."""
    if not _view.has_matrix(adata):
        return None
    try:
        return _view.read(adata, (*_sets.panel("human"), *_sets.panel("mouse")))
    except MatrixError:
        if needed:
            raise
        return None


def read(adata: AnnData, view: _view.PanelView | None, features: str) -> _donors.Elements:
    """Counts of LINE-1 in the cells of ``adata``, before anything is written."""
    if not isinstance(features, str):
        raise ArgumentError(f"features={features!r}: needed: 'var' or the name of an obsm key.")
    if features == VAR:
        return _elements.of_view(view, adata.n_obs)
    return _elements.of_obsm(adata, features, view)


def _apply(
    adata: AnnData, elements: _donors.Elements, *, features: str, intronic: str | None
) -> None:
    table = _slots.table(adata, k.DONORS, _FIRST)
    fraction = None if intronic is None else _fraction(adata, intronic)
    slot = _slots.store(adata)
    rows, types = _donors.cells_of(adata.obs, table, slot["donors_parameters"])
    sums = _slots.pseudobulk(adata)
    species = str(slot.get(k.INPUT, {}).get("species", "human"))
    l1 = _donors.l1_table(elements, fraction, rows, types, table, sums, species)
    together = _donors.collapse_visits(table)
    l1["l1_restriction_resid"], lines = _stats.l1_residual(l1, together)
    slot[k.L1_ASSOCIATION] = _stats.l1_association(l1, together, slot.get(k.TYPE_MEANS), sums)
    slot[k.L1] = l1[list(k.L1_COLUMNS)]
    slot[_RECORD] = {
        "features": features if features == VAR else f"obsm[{features!r}]",
        "intronic": intronic or "",
        "young": "L1HS, L1PA2 to L1PA4",
        "old": "L1M*, L1PB*, HAL1",
        "status": "not_measurable" if elements.reason else "ok",
        "reason": elements.reason,
        "min_l1_umi": _donors.MIN_L1_UMI,
        "method": _stats.PARTIAL_METHOD,
        "restriction_lines": "; ".join(f"{kind}: {line}" for kind, line in lines.items()),
        "notes": "\n".join([*elements.notes, *([] if intronic is not None else [_stats.LEAKAGE])]),
    }


def _fraction(adata: AnnData, name: str) -> NDArray[np.float64]:
    """Intronic fraction of each cell."""
    column: pd.Series = _slots.column(adata, name, "intronic")
    try:
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise ArgumentError(
            f"intronic={name!r}: numbers were needed, the column holds {column.dtype}."
        ) from None
    known = values[~np.isnan(values)]
    if not known.size or known.min() < 0 or known.max() > 1:
        found = f"{known.min():.4g} to {known.max():.4g}" if known.size else "no value at all"
        raise ArgumentError(
            f"intronic={name!r}: fractions from 0 to 1 were needed, found {found}. Divide percent "
            "by 100; of counts give intronic / (intronic + exonic)."
        )
    return values
