"""What calls rest on: marker genes by called type, and the genes behind each pDC call.

Steps store calls, not expression, so these two read the matrix once more, as a step would.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn import _slots
from scifn._docs import shared
from scifn._errors import ArgumentError
from scifn._view import PanelView, check_object, read
from scifn.genesets import _ids, _sets

if TYPE_CHECKING:
    from anndata import AnnData

#: What genes are known for -> the gene set that says so, and those of its genes that are shown.
MARKERS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "pDC": ("pdc_identity_core", ("LILRA4", "CLEC4C", "SCT", "SERPINF1", "PTCRA", "SMPD3")),
    "AS-DC": ("asdc_veto", ("AXL", "SIGLEC6", "PPP1R14A", "DAB2")),
    "DC, monocyte": (
        "neg_mono_cdc", ("CD1C", "FCER1A", "CLEC10A", "CLEC9A", "CD14", "VCAN", "FCGR3A"),
    ),
    "T/NK": ("neg_t_nk", ("CD3D", "CD3E", "TRAC", "NKG7", "GNLY")),
    "B": ("b_pan", ("MS4A1", "CD79A", "CD19", "BANK1")),
    "transitional": ("b_transitional", ("CD24", "MME", "CD9", "SOX4", "PCDH9", "VPREB3")),
    "naive": ("b_naive", ("TCL1A", "IGHD", "FCER2", "IL4R")),
    "memory": ("b_memory", ("CD27", "TNFRSF13B", "AIM2", "COCH")),
    "atypical": ("b_abc_dn2", ("FCRL5", "TBX21", "ITGAX", "ZEB2")),
    "plasma": ("plasma", ("TNFRSF17", "SDC1", "XBP1", "JCHAIN")),
    "cycling": ("plasmablast", ("MKI67", "TYMS")),
    "HSPC": ("neg_hspc", ("CD34", "SPINK2")),
    "basophil, mast": ("neg_baso_mast", ("CLC", "HDC", "CPA3")),
    "platelet": ("mark_platelet", ("PF4", "PPBP")),
    "erythrocyte": ("mark_erythrocyte", ("HBB", "ALAS2")),
}  # fmt: skip
MARKER_COLUMNS: Final = ("cell_type", "n_cells", "marker_of", "gene", "found", "mean", "fraction")

CORE: Final = "pdc_identity_core"
SUPPORT: Final = "pdc_identity_support"
ASDC: Final = "asdc_veto"
AGAINST: Final = (
    "neg_b", "neg_plasma", "neg_t_nk", "neg_mono_cdc", "neg_hspc", "neg_baso_mast",
)  # fmt: skip
#: Most abundant in ambient RNA of blood: one UMI of these speaks against nothing.
AMBIENT: Final = ("S100A8", "S100A9", "LYZ")


@shared
def markers(
    adata: AnnData,
    *,
    genes: Mapping[str, Sequence[str]] | None = None,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> pd.DataFrame:
    """Expression of marker genes in the cells of each called type.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate`, with its matrix.
    genes
        {what they are markers of: gene symbols}. None takes the package's own: some of the genes
        of its identity sets, for every type of blood.
    %(matrix)s

    Returns
    -------
    A row a cell type and gene: cell_type, n_cells, marker_of, gene, found (whether it is among
    the features), mean (of log1p CP10k) and fraction (of the cells with any), NaN where it is not.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the cells are not annotated yet.
    scifn._errors.MatrixError
        If there is no matrix to read.
    scifn._errors.ArgumentError
        If ``genes`` is no mapping to lists of genes.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> table = scifn.get.markers(adata, genes={"T cell": ["CD3D", "CD3E"]})
    >>> table.loc[table["cell_type"] == "T/NK", "gene"].tolist()
    ['CD3D', 'CD3E']
    """
    check_object(adata)
    _slots.need_obs(adata, k.CELL_TYPE, "scifn.tl.annotate(adata)")
    groups = _groups(genes)
    named = [gene for of in groups.values() for gene in of]

    def wanted(kind: str) -> list[str]:
        return [_symbol(gene, kind, genes is None) for gene in named]

    view = read(adata, wanted, layer=layer, gene_symbols=gene_symbols, species=species)
    types = adata.obs[k.CELL_TYPE].astype(str).to_numpy()
    parts = [
        _of_gene(view, types, what, _symbol(gene, view.species, genes is None))
        for what, of in groups.items()
        for gene in of
    ]
    return pd.concat(parts, ignore_index=True)


def _groups(genes: Mapping[str, Sequence[str]] | None) -> dict[str, tuple[str, ...]]:
    if genes is None:
        return {what: of for what, (_, of) in MARKERS.items()}
    if not isinstance(genes, Mapping) or any(isinstance(of, str) for of in genes.values()):
        msg = (
            f"genes={genes!r}: needed {{what they are markers of: [gene symbols]}}, for instance "
            "genes={'T cell': ['CD3D', 'CD3E']}."
        )
        raise ArgumentError(msg)
    found = {str(what): tuple(map(str, of)) for what, of in genes.items() if len(of)}
    if not found:
        raise ArgumentError("genes= holds no gene; leave it out for the package's own markers.")
    return found


def _symbol(gene: str, species: str, translate: bool) -> str:
    """The package's own markers are human symbols; a user's are taken as they are."""
    return gene if species == "human" or not translate else _ids.ortholog(gene) or gene


def _of_gene(view: PanelView, types: np.ndarray, what: str, gene: str) -> pd.DataFrame:
    """One gene in every type."""
    names, codes = np.unique(types, return_inverse=True)
    size = np.bincount(codes, minlength=names.size).astype(np.float64)
    found = bool(view.found([gene]))
    mean = np.full(names.size, np.nan)
    fraction = mean.copy()
    if found:
        umi = view.dense([gene])[:, 0]
        per_cell = np.divide(umi, view.total, out=np.zeros(umi.size), where=view.total > 0)
        mean = np.bincount(codes, np.log1p(1e4 * per_cell), names.size) / size
        fraction = np.bincount(codes, umi > 0, names.size) / size
    columns = (names, size.astype(np.int64), what, gene, found, mean, fraction)
    return pd.DataFrame(dict(zip(MARKER_COLUMNS, columns, strict=True)))


@shared
def pdc_evidence(
    adata: AnnData,
    *,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> pd.DataFrame:
    """What each cell shows of a pDC, of an AS-DC, and of what a pDC is not.

    For looking at single calls; the calls themselves weigh more genes than these, and how many
    UMIs of each.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate`, with its matrix.
    %(matrix)s

    Returns
    -------
    A row a cell, indexed by obs_names: pdc_call, pdc_score, confidence; umi (of all genes);
    n_core and n_support, detected genes that pDC have nearly alone and that they share with
    others; n_asdc of those that AS-DC have besides; n_against of B, plasma, T/NK, myeloid,
    progenitor and basophil genes (without S100A8, S100A9 and LYZ, which ambient RNA leaves in
    every cell); core, asdc and against, the names of these genes.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the cells are not annotated yet.
    scifn._errors.MatrixError
        If there is no matrix to read.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> bool(scifn.get.pdc_evidence(adata)["n_core"].max() >= 3)
    True
    """
    check_object(adata)
    _slots.need_obs(adata, k.PDC_CALL, "scifn.tl.annotate(adata)")

    def wanted(kind: str) -> list[str]:
        return [gene for genes in _evidence_sets(kind).values() for gene in genes]

    view = read(adata, wanted, layer=layer, gene_symbols=gene_symbols, species=species)
    table: dict[str, Any] = {
        "pdc_call": adata.obs[k.PDC_CALL].astype(str).to_numpy(),
        "pdc_score": adata.obs[k.PDC_SCORE].to_numpy(dtype=np.float64),
        "confidence": adata.obs[k.CONFIDENCE].to_numpy(dtype=np.float64),
        "umi": view.total if view.is_counts else np.full(view.n_cells, np.nan),
    }
    names = {}
    for what, genes in _evidence_sets(view.species).items():
        table[f"n_{what}"], names[what] = _detected(view, genes)
    del names["support"]
    return pd.DataFrame(table | names, index=adata.obs_names.copy())


def _evidence_sets(species: str) -> dict[str, list[str]]:
    sets = {what: (name,) for what, name in (("core", CORE), ("support", SUPPORT), ("asdc", ASDC))}
    found = {
        what: [gene for name in names for gene in _sets.for_species(name, species)]
        for what, names in (sets | {"against": AGAINST}).items()
    }
    ambient = {*AMBIENT, *(_ids.ortholog(gene) for gene in AMBIENT)}
    found["against"] = [gene for gene in found["against"] if gene not in ambient]
    return {what: list(dict.fromkeys(genes)) for what, genes in found.items()}


def _detected(view: PanelView, genes: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """How many of ``genes`` each cell shows, and which; NaN and "" where none is a feature."""
    there = view.found(genes)
    if not there:
        return np.full(view.n_cells, np.nan), np.full(view.n_cells, "", dtype=object)
    rows, columns = (view.csr(there) > 0).nonzero()
    names = np.full(view.n_cells, "", dtype=object)
    for row, column in zip(rows, columns, strict=True):
        names[row] += f"{', ' if names[row] else ''}{there[column]}"
    return np.bincount(rows, minlength=view.n_cells).astype(np.float64), names
