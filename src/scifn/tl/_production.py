"""Public step: evidence that cells transcribe interferon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn import _slots
from scifn._cells import production as model
from scifn._cells.codes import categories
from scifn._cells.ligands import IFNA
from scifn._docs import shared
from scifn._reference import cell_types
from scifn._soup import contamination_of, soup_of
from scifn._view import PanelView, check_object, choose, read

if TYPE_CHECKING:
    from anndata import AnnData

#: Names of columns that often hold the sample or the donor.
_SAMPLE_LIKE = frozenset({
    "sample", "sample_id", "library", "library_id", "lane", "channel", "well", "pool", "batch",
    "donor", "donor_id", "patient", "patient_id", "individual", "subject", "orig.ident",
})  # fmt: skip
#: What is said of a layer of shared-out reads, and of what it gained.
FRACTIONS = (
    "counts with fractions: the IFNA genes are summed and rounded down, which took "
    "{ifna_rounded_away:.3g} UMI that fit other genes too; counts that were corrected for ambient "
    "RNA must not be given"
)
RECOVERY = "{all:,.0f} IFNA UMI in {layer}, {kept:,.0f} of them in {unique}"
_OBS = (
    k.IFNA_UMI, k.IFNA_BACKGROUND, k.IFNA_P_VALUE, k.IFNA_P_ADJ, k.IFNA_POSTERIOR,
    k.IFNA_EVIDENCE, k.IFNB1_UMI, k.IFNK_UMI, k.IFN1_OTHER_UMI, k.IFNL_UMI,
)  # fmt: skip


@shared
def production(
    adata: AnnData,
    *,
    sample: str | None = None,
    ambient: AnnData | pd.Series | str | None = None,
    contamination: str | float | None = None,
    bulk: bool = False,
    overwrite: bool = False,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> None:
    """Test each cell for transcripts of interferon-alpha above what ambient RNA explains.

    The 13 IFNA genes are summed and held against the soup of the cell's sample. Transcripts
    are evidence of transcription; none is no proof of the absence of secretion, so every zero
    comes with its upper bound (:func:`scifn.get.bounds`, after :func:`scifn.tl.donors`). No
    cell type is taken for the source: which types carry the transcripts is a result.

    The 13 genes are alike, and reads that fit several of them are often not counted. A layer that
    keeps them can be given as ``layer``: whole counts of the family (a UMI once), or counts with
    fractions, of which such reads were shared out (STARsolo's ``UniqueAndMult-EM.mtx``). The
    fractions of a UMI add up to one over the family; what does not is rounded down, for it may
    be of other genes. Counts from which ambient RNA was taken are no such layer.

    Parameters
    ----------
    %(adata)s
    sample
        Column of obs with the sample (10x lane) of each cell; the background is one sample's.
        None takes all cells as one sample.
    ambient
        Empty droplets: the raw matrix as an AnnData (or the path of its h5ad), of which droplets
        below 100 UMI are used, or a Series of counts with gene symbols as index. None estimates
        the background from cells that cannot make interferon-alpha (T, NK, B cells).
    contamination
        Share of a cell's UMI that is ambient, with ``ambient``: a number, or a column of obs.
        None assumes 0.05 and says so.
    bulk
        Rows are libraries of purified cells, not cells. What a library holds of the others of
        its run (index swapping, carry-over) is the background: ``contamination`` is the share of
        its reads (None: 0.01, which differs between libraries), ``sample`` the run, and
        ``ambient`` a Series with the counts of the pool (None: the other libraries).
    %(overwrite)s
    %(matrix)s

    Raises
    ------
    scifn._errors.ScaleError
        The matrix holds no counts: a count cannot be tested without.
    scifn._errors.MissingKeyError
        No step has typed the cells yet, or a column is not there.
    scifn._errors.OverwriteError
        Output is there already.

    Notes
    -----
    Sets the following fields
    -------------------------
    ``.obs["scifn_ifna_umi"]`` : float32
        UMI of the 13 IFNA genes; NaN where they are not measured. ``scifn_ifnb1_umi``,
        ``scifn_ifnk_umi``, ``scifn_ifn1_other_umi``, ``scifn_ifnl_umi`` likewise, never summed.
    ``.obs["scifn_ifna_background"]`` : float32
        Expected ambient UMI.
    ``.obs["scifn_ifna_p_value"]``, ``.obs["scifn_ifna_p_adj"]`` : float32
        Upper tail of the null; Benjamini-Hochberg within the sample, over the types that can make
        interferon, each kind with the same share of the error, and, apart, over the others.
    ``.obs["scifn_ifna_posterior"]`` : float32
        Posterior of being a producer. The share of producers in each cell type and what they
        show are integrated out.
    ``.obs["scifn_ifna_evidence"]`` : categorical
        none, weak (significant, one UMI), strong (two UMI or two genes), not_measurable.
    ``.obsm["scifn_ligand_evidence"]`` : :class:`pandas.DataFrame`
        The same categories for ifnb1, ifnk, ifn1_other (IFNW1, IFNE), ifnl and il10, each tested
        apart, with a background of its own. T cells can make IL10: there they bound it.
    ``.uns["scifn"]["production"]`` : :class:`dict`
        Status with its reason, and ``samples``: background, its source, and whether T cells,
        which make none, stay quiet; ``by_ligand`` the same of every ligand. With ``layer``,
        ``ifna_mapping_recovery``: the share of its IFNA UMI that the matrix holds which would be
        read without (NaN where there is none, or where it holds more).

    References
    ----------
    Young MD, Behjati S. GigaScience 2020, doi:10.1093/gigascience/giaa151 (soup).
    Wimmers F et al. Nat Commun 2018, doi:10.1038/s41467-018-05784-3 (few pDC produce).
    Genovese CR et al. Biometrika 2006, doi:10.1093/biomet/93.3.509 (weighted adjustment).
    Costello M et al. BMC Genomics 2018, doi:10.1186/s12864-018-4703-0 (swapped indices).

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> scifn.tl.production(adata, sample="donor")
    >>> adata.uns["scifn"]["production"]["status"]
    'ok'
    """
    check_object(adata)
    again = k.IFNA_EVIDENCE in adata.obs
    _slots.guard(adata, obs=_OBS, obsm=(k.LIGAND_EVIDENCE,), overwrite=overwrite)
    if not bulk:
        _slots.need_obs(adata, k.CELL_TYPE, "scifn.tl.annotate(adata)")
    view = read(adata, model.panel_genes, layer=layer, gene_symbols=gene_symbols, species=species)
    _apply(adata, view, sample=sample, ambient=ambient, contamination=contamination, bulk=bulk)
    if layer is not None:
        _recovery(adata, view, gene_symbols)
    if again:
        _slots.outdate(adata, "production")


def _apply(
    adata: AnnData,
    view: PanelView,
    *,
    sample: str | None = None,
    ambient: AnnData | pd.Series | str | None = None,
    contamination: str | float | None = None,
    bulk: bool = False,
) -> None:
    if not view.is_fractional:
        view.need_counts("evidence of interferon transcription")
    codes, names = np.zeros(adata.n_obs, dtype=np.int64), ["all"]
    if sample is not None:
        codes, names = _slots.coded(_slots.column(adata, sample, "sample"))
    samples = pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))
    types = None if bulk else cell_types(adata)
    result = model.produce(
        view,
        types,
        samples,
        soup=soup_of(ambient, adata, view.species),
        contamination=contamination_of(contamination, adata),
        bulk=bulk,
    )
    for name, values in result.columns.items():
        adata.obs[k.PREFIX + name] = values
    adata.obs[k.IFNA_EVIDENCE] = categories(result.labels, k.EVIDENCES)
    others = {name: categories(labels, k.EVIDENCES) for name, labels in result.others.items()}
    adata.obsm[k.LIGAND_EVIDENCE] = pd.DataFrame(others, index=adata.obs_names)
    notes = [
        result.record["notes"],
        _one_sample(adata.obs) if sample is None else "",
        FRACTIONS.format(**result.record) if view.is_fractional else "",
    ]
    slot = _slots.store(adata)
    slot[k.INPUT] = view.record
    slot["production"] = result.record | {
        "notes": "\n".join(note for note in notes if note),
        "sample": sample or "",
        "bulk": bulk,
        "samples": result.samples,
        "by_ligand": result.by_ligand,
    }
    _slots.add_coverage(adata, result.coverage)


def _recovery(adata: AnnData, view: PanelView, gene_symbols: str | None) -> None:
    """Record how many of the layer's IFNA UMI the matrix of unique reads holds."""
    record = adata.uns[k.UNS]["production"]
    record["ifna_mapping_recovery"] = float("nan")
    unique, _ = choose(adata)
    if unique.where == view.record["matrix"] or unique.scale.kind != "counts":
        return
    genes = IFNA.genes(view.species)
    other = read(adata, genes, gene_symbols=gene_symbols, species=view.species)
    kept, all_ = float(other.sum(genes).sum()), float(model.whole(view, view.found(genes)).sum())
    if not 0 < all_ >= kept:
        return
    record["ifna_mapping_recovery"] = kept / all_
    note = RECOVERY.format(all=all_, layer=view.record["matrix"], kept=kept, unique=unique.where)
    record["notes"] = "\n".join(text for text in (record["notes"], note) if text)


def _one_sample(obs: pd.DataFrame) -> str:
    """A note where all cells were taken as one sample although obs seems to know of several."""
    several = {
        str(name): int(obs[name].nunique())
        for name in obs
        if str(name).lower() in _SAMPLE_LIKE and obs[name].nunique() > 1
    }
    if not several:
        return ""
    said = ", ".join(f"{name!r} has {n:,} values" for name, n in several.items())
    return (
        f"sample=None took all cells as one sample, but in obs {said}; the soup is one sample's, "
        "so name the column of the sample (10x lane)"
    )
