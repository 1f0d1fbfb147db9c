"""Public step: what each cell is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import pandas as pd

from scifn import _keys as k
from scifn import _slots
from scifn._cells import agreement, grouping, told
from scifn._cells import annotate as model
from scifn._cells.protein import Surface, gate_cells
from scifn._docs import shared
from scifn._errors import ArgumentError
from scifn._view import Beside, PanelView, check_object, read
from scifn.tl import _protein
from scifn.tl._leiden import leiden

if TYPE_CHECKING:
    from anndata import AnnData

_OBS = (
    k.CELL_TYPE, k.LINEAGE, k.CONFIDENCE, k.PDC_CALL, k.PDC_SCORE,
    k.BREG_KIND, k.BREG_SCORE, k.BREG_EVIDENCE, k.IL10_UMI,
)  # fmt: skip
_OBSM = (k.TYPE_POSTERIOR, k.PROTEIN)


@shared
def annotate(
    adata: AnnData,
    *,
    sample: str | None = None,
    labels: str | None = None,
    mapping: Mapping[str, str] | None = None,
    clusters: str | None = None,
    protein: str | AnnData | None = None,
    doublets: str | None = None,
    overwrite: bool = False,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> None:
    """Call cell types: pDC, AS-DC, the B lineage with Breg-like grades, and what is beside them.

    The counts of genes that identify cells, none of which is on a list of interferon-stimulated
    genes, are compared with what is expected of each cell type (a mixture of negative binomials
    with ambient RNA in every mean). Without ``clusters`` a cell's call depends on no other cell.
    What the features cannot tell apart is "unresolved" or "NA", never "not".

    Parameters
    ----------
    %(adata)s
    sample
        Column of obs with the sample (10x lane) of each cell. A sample in which more than
        1.5 % of the cells are called pDC is reported: unsorted blood holds less.
    labels
        Column of obs with labels of your own; they bound what a cell may become. What the
        transcripts alone say of each label stands in ``label_disagreement``.
    mapping
        {label: cell type or lineage}; labels without one bind nothing.
    clusters
        Column of obs with clusters, or ``'leiden'`` (made on the panel with scanpy and
        leidenalg; of more than 20,000 cells as many, which the others join): cells with little
        evidence take their cluster's consensus, a clear one is never overruled.
    protein
        Raw antibody counts (CITE-seq): a key of obsm (a DataFrame, or an array with names in
        ``uns["<key>_names"]``), or an AnnData; of a MuData its protein modality. Cells are matched
        by name. pDC and Breg-like cells are then gated on surface proteins too.
    doublets
        Column of obs of a doublet caller (boolean, or "doublet" among its values). The model's own
        doublets are those with two genes of each half; of a pDC with few transcripts of a second
        cell it sees about half, so that a caller is worth running.
    %(overwrite)s
    %(matrix)s

    Raises
    ------
    scifn._errors.MatrixError
        No matrix can be read as expression, or its identifiers cannot be understood.
    scifn._errors.MissingKeyError
        A column or layer is not there.
    scifn._errors.ArgumentError
        A value of ``mapping`` is no cell type or lineage; ``protein`` cannot be understood.
    scifn._errors.ScaleError
        ``protein`` holds no raw counts.
    scifn._errors.OverwriteError
        Output is there already.

    Notes
    -----
    Sets the following fields
    -------------------------
    ``.obs["scifn_cell_type"]``, ``.obs["scifn_lineage"]`` : categorical
        Cell type and its lineage (B, DC, Mono, T/NK, Other, Unassigned).
    ``.obs["scifn_confidence"]`` : float32, 0 to 1
        How often such a call is right: the posterior, tempered on labelled cells (lineages of
        sorted T, NK and B cells; naive, memory and DN2 B cells). Of pDC and AS-DC, and of
        plasmablasts and plasma cells, it is that the cell is one of the two; of naive B cells, that
        it is one or transitional; of "unresolved" and ambiguous cells, that the lineage is right.
        Your labels do not raise it. NaN in Unassigned cells and where surface proteins or
        ``doublets`` decided.
    ``.obs["scifn_pdc_call"]`` : categorical
        pDC, pDC_ambiguous, AS-DC, pDC_doublet, not_pDC, or NA where pDC cannot be told.
    ``.obs["scifn_pdc_score"]`` : float32
        Log likelihood ratio of pDC against the best other type.
    ``.obs["scifn_breg_kind"]`` : categorical
        transitional_like, b10_like, none, NA. A phenotype: suppressive function is not measured.
        From transcripts b10_like is a memory B cell with a UMI each of CD24 and CD27, of which
        deep cells show more: compare it at equal depth only.
    ``.obs["scifn_breg_score"]`` : float32
        Log likelihood ratio of transitional against naive and memory B; CD38 has no weight.
    ``.obs["scifn_breg_evidence"]`` : categorical
        What the Breg-like kind rests on: none, transcript or protein. With usable ``protein``
        the kind of every B cell is that of the surface gates (NA where a cell has no counts).
    ``.obs["scifn_il10_umi"]`` : float32
        UMI of IL10; NaN where it is not measured.
    ``.obsm["scifn_type_posterior"]`` : :class:`pandas.DataFrame`
        Posterior of each cell type, a column a type ("/" in names is written "_"); surer of
        itself than the confidence is.
    ``.uns["scifn"]["annotate"]`` : :class:`dict`
        Parameters, what could not be told, notes; ``label_disagreement`` where labels were given,
        ``surface_calls`` (transcripts, surface, call, n_cells) where proteins were.
    ``.obsm["scifn_protein"]`` : :class:`pandas.DataFrame`, ``.uns["scifn"]["gates"]``
        With ``protein`` only: the gating proteins as asinh(UMI / 5), freed of each cell's
        background, and the gates on them with the cells above each (:func:`scifn.pl.gates`).

    Where the surface can be gated, the gate is preferred: a cell in the pDC gate whose
    transcripts do not speak for another type is a pDC; pDC transcripts without the surface of one
    are ambiguous, unless only CD303 and CD304 are missing, which activation takes away; pDC
    transcripts and the surface of a pDC and of another lineage are a doublet. Types of B cells
    stay those of the transcripts. CD38 rises with interferon, so a CD24hiCD38hi gate that all
    donors share can hold more cells of interferon-high ones.

    References
    ----------
    Villani A-C et al. Science 2017, doi:10.1126/science.aah4573 (pDC and AS-DC).
    Blair PA et al. Immunity 2010, doi:10.1016/j.immuni.2009.11.009 (CD24hiCD38hi B cells).
    Iwata Y et al. Blood 2011, doi:10.1182/blood-2010-07-294249 (CD24hiCD27+ B cells).
    Mulè MP et al. Nat Commun 2022, doi:10.1038/s41467-022-29356-8 (noise of antibody counts).

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> bool((adata.obs["scifn_lineage"] == "B").mean() > 0.05)
    True
    """
    check_object(adata)
    again = k.CELL_TYPE in adata.obs
    _slots.guard(adata, obs=_OBS, obsm=_OBSM, overwrite=overwrite)
    counts = None if protein is None else _protein.read(adata, protein)
    asked = Asked(
        adata, sample=sample, labels=labels, mapping=mapping, clusters=clusters, protein=counts,
        doublets=doublets,
    )  # fmt: skip
    view = read(
        adata,
        model.panel_genes,
        layer=layer,
        gene_symbols=gene_symbols,
        species=species,
        beside=asked.beside(lambda _: ()),
    )
    asked.apply(adata, view)
    if again:
        _slots.outdate(adata, "annotate")


class Asked:
    """What is asked of the step: read from the object before the matrix is.

    Parameters
    ----------
    adata
        The object.
    sample, labels, mapping, clusters, doublets
        As :func:`annotate` takes them.
    protein
        Antibody counts that have been read.
    """

    def __init__(
        self,
        adata: AnnData,
        *,
        sample: str | None = None,
        labels: str | None = None,
        mapping: Mapping[str, str] | None = None,
        clusters: str | None = None,
        protein: _protein.Adt | None = None,
        doublets: str | None = None,
    ) -> None:
        self._labels = None if labels is None else _slots.column(adata, labels, "labels")
        self._sample = None if sample is None else _slots.column(adata, sample, "sample")
        flagged = None if doublets is None else _slots.column(adata, doublets, "doublets")
        self._mapping, self._clusters, self._protein = mapping, clusters, protein
        codes = None
        if clusters is not None and clusters != "leiden":
            codes = grouping.codes(_slots.column(adata, clusters, "clusters"))
        allowed = grouping.allowed(self._labels, mapping)
        self._said = model.Said(allowed, codes, grouping.flags(flagged))
        self._record = {
            "labels": labels or "",
            "clusters": clusters or "",
            "protein": "" if protein is None else protein.source,
            "doublets": doublets or "",
        }
        self._calling: model.Calling | None = None

    def beside(
        self, needed: Callable[[str], Iterable[str]]
    ) -> Callable[[PanelView, int], Beside] | None:
        """How cells are called while others are read; not with clusters, which need all cells.

        ``needed`` are the genes of a species that are needed after it.
        """
        if self._clusters is not None:
            return None

        def of(view: PanelView, n_cells: int) -> Beside:
            self._check(view)
            self._calling = model.Calling(view, n_cells, self._said)
            return Beside(self._calling, frozenset(needed(view.species)))

        return of

    def apply(self, adata: AnnData, view: PanelView) -> None:
        """Call the cells, unless that was done as they were read, and write what was found."""
        self._check(view)
        result = self._called(view)
        surface, surface_calls = None, None
        if self._protein is not None:
            counts, allowed = self._protein, self._said.allowed
            surface = gate_cells(counts.umi, counts.names, counts.stained)
            may_be_pdc = None if allowed is None else allowed[k.PDC]
            result, surface_calls = agreement.combine(result, surface, may_be_pdc=may_be_pdc)
        record = result.record | self._record
        record["alarms"] = grouping.pdc_alarms(result.pdc_call, self._sample)
        if self._labels is not None and result.unbounded is not None:
            record["label_disagreement"] = grouping.disagreement(
                self._labels, result.unbounded, self._mapping
            )
            notes = [record["notes"], grouping.unplaced(self._labels, self._mapping)]
            record["notes"] = "\n".join(filter(None, notes))
        if surface_calls is not None:
            record["surface_calls"] = surface_calls
        _write(adata, view, result, record)
        _write_surface(adata, surface)

    def _check(self, view: PanelView) -> None:
        if self._protein is not None and view.species != "human":
            msg = f"protein= is gated on human surface markers, and the species is {view.species}."
            raise ArgumentError(msg)

    def _called(self, view: PanelView) -> model.Annotation:
        if view.beside and self._calling is not None:
            return self._calling.annotation()
        said = self._said
        if self._clusters == "leiden":
            said = replace(said, clusters=leiden(view, list(told.table_of(view.species).genes)))
        return model.annotate(view, said)


def _write_surface(adata: AnnData, surface: Surface | None) -> None:
    """Gates and values of the proteins; those of an earlier call go where there are none."""
    slot = _slots.store(adata)
    slot.pop(k.GATES, None)
    if k.PROTEIN in adata.obsm:
        del adata.obsm[k.PROTEIN]
    if surface is None:
        return
    slot[k.GATES] = pd.DataFrame(surface.gates, columns=list(k.GATES_COLUMNS))
    if surface.markers:
        adata.obsm[k.PROTEIN] = pd.DataFrame(
            surface.values, index=adata.obs_names, columns=list(surface.markers)
        )


def _write(
    adata: AnnData, view: PanelView, result: model.Annotation, record: dict[str, object]
) -> None:
    # of cell types and lineages only those that are there
    adata.obs[k.CELL_TYPE] = result.cell_type.remove_unused_categories()
    adata.obs[k.LINEAGE] = result.lineage.remove_unused_categories()
    adata.obs[k.CONFIDENCE] = result.confidence
    adata.obs[k.PDC_CALL] = result.pdc_call
    adata.obs[k.PDC_SCORE] = result.pdc_score
    adata.obs[k.BREG_KIND] = result.breg_kind
    adata.obs[k.BREG_SCORE] = result.breg_score
    adata.obs[k.BREG_EVIDENCE] = result.breg_evidence
    adata.obs[k.IL10_UMI] = result.il10_umi
    adata.obsm[k.TYPE_POSTERIOR] = pd.DataFrame(
        result.posterior,
        index=adata.obs_names,
        columns=[k.column(name) for name in result.types],
        copy=False,
    )
    slot = _slots.store(adata)
    slot[k.INPUT] = view.record
    slot["annotate"] = record
    _slots.add_coverage(adata, result.coverage)
