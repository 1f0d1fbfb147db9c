"""Public step: what each cell is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from scifn import _keys as k
from scifn import _slots
from scifn._cells import annotate as model
from scifn._cells import grouping
from scifn._docs import shared
from scifn._view import PanelView, check_object, read
from scifn.tl._leiden import leiden

if TYPE_CHECKING:
    from anndata import AnnData

_OBS = (
    k.CELL_TYPE, k.LINEAGE, k.CONFIDENCE, k.PDC_CALL, k.PDC_SCORE,
    k.BREG_KIND, k.BREG_SCORE, k.BREG_EVIDENCE, k.IL10_UMI,
)  # fmt: skip
_OBSM = (k.TYPE_POSTERIOR,)


@shared
def annotate(
    adata: AnnData,
    *,
    sample: str | None = None,
    labels: str | None = None,
    mapping: Mapping[str, str] | None = None,
    clusters: str | None = None,
    doublets: str | None = None,
    overwrite: bool = False,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> None:
    """Call cell types: pDC, AS-DC, the B lineage with Breg-like grades, and what is beside them.

    The counts of genes that identify cells, none of which moves with interferon, are compared
    with what is expected of each cell type (a mixture of negative binomials with ambient RNA
    in every mean). Without ``clusters`` a cell's call depends on no other cell. What the
    features cannot tell apart is "unresolved" or "NA", never "not".

    Parameters
    ----------
    %(adata)s
    sample
        Column of obs with the sample (10x lane) of each cell. A sample in which more than
        1.5 % of the cells are called pDC is reported: unsorted blood holds less.
    labels
        Column of obs with labels of your own; they bound what a cell may become.
    mapping
        {label: cell type or lineage}; labels without one bind nothing.
    clusters
        Column of obs with clusters, or ``'leiden'`` (made on the panel with scanpy and
        leidenalg): cells with little evidence take their cluster's consensus, a clear one is
        never overruled.
    doublets
        Column of obs of a doublet caller (boolean, or "doublet" among its values).
    %(overwrite)s
    %(matrix)s

    Raises
    ------
    scifn._errors.MatrixError
        No matrix can be read as expression, or its identifiers cannot be understood.
    scifn._errors.MissingKeyError
        A column or layer is not there.
    scifn._errors.ArgumentError
        A value of ``mapping`` is no cell type or lineage.
    scifn._errors.OverwriteError
        Output is there already.

    Notes
    -----
    Sets the following fields
    -------------------------
    ``.obs["scifn_cell_type"]``, ``.obs["scifn_lineage"]`` : categorical
        Cell type and its lineage (B, DC, Mono, T/NK, Other, Unassigned).
    ``.obs["scifn_confidence"]`` : float32, 0 to 1
        Posterior of the label. Of the model; not calibrated on labelled data.
    ``.obs["scifn_pdc_call"]`` : categorical
        pDC, pDC_ambiguous, AS-DC, pDC_doublet, not_pDC, or NA where pDC cannot be told.
    ``.obs["scifn_pdc_score"]`` : float32
        Log likelihood ratio of pDC against the best other type.
    ``.obs["scifn_breg_kind"]`` : categorical
        transitional_like, b10_like, none, NA. A phenotype: suppressive function is not measured.
    ``.obs["scifn_breg_score"]`` : float32
        Log likelihood ratio of transitional against naive and memory B; CD38 has no weight.
    ``.obs["scifn_breg_evidence"]`` : categorical
        What the Breg-like kind rests on: none or transcript.
    ``.obs["scifn_il10_umi"]`` : float32
        UMI of IL10; NaN where it is not measured.
    ``.obsm["scifn_type_posterior"]`` : :class:`pandas.DataFrame`
        Posterior of each cell type, a column a type ("/" in names is written "_").
    ``.uns["scifn"]["annotate"]`` : :class:`dict`
        Parameters, what could not be told, notes; ``label_disagreement`` where labels were given.

    References
    ----------
    Villani A-C et al. Science 2017, doi:10.1126/science.aah4573 (pDC and AS-DC).
    Blair PA et al. Immunity 2010 (CD24hiCD38hi transitional B cells).

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> bool((adata.obs["scifn_lineage"] == "B").mean() > 0.05)
    True
    """
    check_object(adata)
    _slots.guard(adata, obs=_OBS, obsm=_OBSM, overwrite=overwrite)
    view = read(adata, model.panel_genes, layer=layer, gene_symbols=gene_symbols, species=species)
    _apply(
        adata,
        view,
        sample=sample,
        labels=labels,
        mapping=mapping,
        clusters=clusters,
        doublets=doublets,
    )


def _apply(
    adata: AnnData,
    view: PanelView,
    *,
    sample: str | None = None,
    labels: str | None = None,
    mapping: Mapping[str, str] | None = None,
    clusters: str | None = None,
    doublets: str | None = None,
) -> None:
    label_values = None if labels is None else _slots.column(adata, labels, "labels")
    sample_values = None if sample is None else _slots.column(adata, sample, "sample")
    doublet_values = None if doublets is None else _slots.column(adata, doublets, "doublets")
    codes = None
    if clusters == "leiden":
        codes = leiden(view, model.panel_genes(view.species))
    elif clusters is not None:
        codes = grouping.codes(_slots.column(adata, clusters, "clusters"))
    result = model.annotate(
        view,
        allowed=grouping.allowed(label_values, mapping),
        clusters=codes,
        doublet=grouping.flags(doublet_values),
    )
    record = result.record | {
        "labels": labels or "",
        "clusters": clusters or "",
        "doublets": doublets or "",
        "alarms": grouping.pdc_alarms(result.pdc_call, sample_values),
    }
    if label_values is not None:
        record["label_disagreement"] = grouping.disagreement(
            label_values, result.cell_type, mapping
        )
    _write(adata, view, result, record)


def _write(
    adata: AnnData, view: PanelView, result: model.Annotation, record: dict[str, object]
) -> None:
    order = [name for name in k.CELL_TYPES if name in set(result.cell_type)]
    adata.obs[k.CELL_TYPE] = pd.Categorical(result.cell_type, categories=order)
    lineages = [name for name in k.LINEAGES if name in set(result.lineage)]
    adata.obs[k.LINEAGE] = pd.Categorical(result.lineage, categories=lineages)
    adata.obs[k.CONFIDENCE] = result.confidence
    adata.obs[k.PDC_CALL] = pd.Categorical(result.pdc_call, categories=list(k.PDC_CALLS))
    adata.obs[k.PDC_SCORE] = result.pdc_score.astype("float32")
    adata.obs[k.BREG_KIND] = pd.Categorical(result.breg_kind, categories=list(k.BREG_KINDS))
    adata.obs[k.BREG_SCORE] = result.breg_score.astype("float32")
    adata.obs[k.BREG_EVIDENCE] = pd.Categorical(
        result.breg_evidence, categories=list(k.BREG_EVIDENCES)
    )
    adata.obs[k.IL10_UMI] = result.il10_umi.astype("float32")
    adata.obsm[k.TYPE_POSTERIOR] = pd.DataFrame(
        result.posterior.astype("float32"),
        index=adata.obs_names,
        columns=[k.column(name) for name in result.types],
    )
    slot = _slots.store(adata)
    slot[k.INPUT] = view.record
    slot["annotate"] = record
    _slots.add_coverage(adata, result.coverage)
