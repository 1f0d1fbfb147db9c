"""Genes that a cell shows: what rules ask for beside a posterior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from scifn import _keys as k
from scifn._cells import identity
from scifn._cells.profiles import Components
from scifn._view import PanelView
from scifn.genesets import _ids, _sets

Bools = NDArray[np.bool_]

#: One of the first and two of the rest make a pDC-like cell an AS-DC.
ASDC_FIRST: Final = ("AXL", "SIGLEC6")
ASDC_OTHER: Final = ("PPP1R14A", "DAB2", "ADAM33", "LTK", "CX3CR1", "CD5", "CD22")
#: Genes of which a doublet must show two of each half. S100A8, S100A9 and LYZ are left out:
#: they are what ambient RNA of blood is made of.
SHOWN: Final = {
    k.T_NK: ("CD3D", "CD3E", "CD3G", "TRAC", "CD2", "NKG7", "GNLY", "KLRD1", "PRF1"),
    k.MONOCYTE: ("CD14", "FCN1", "S100A12", "VCAN", "FCGR3A", "CD68", "CFD", "SERPINA1"),
    k.B_NAIVE: ("MS4A1", "CD19", "CD79A", "PAX5", "BANK1"),
    k.B_MEMORY: ("MS4A1", "CD19", "CD79A", "PAX5", "BANK1"),
    k.PDC: (
        "LILRA4", "CLEC4C", "SCT", "LRRC26", "SERPINF1", "SMPD3", "PTCRA", "PACSIN1", "SHD",
        "MAP1A", "LAMP5",
    ),
    k.PLASMA: ("MZB1", "DERL3", "TNFRSF17", "XBP1", "FKBP11", "SDC1", "POU2AF1"),
}  # fmt: skip
#: Genes that no pDC shows two of: those of its vetoes that are neither shared with pDC (CD2, CD68)
#: nor what ambient RNA is made of.
FOREIGN: Final = (
    ("MS4A1", "CD19", "CD79A", "PAX5", "BANK1"),
    ("CD3D", "CD3E", "CD3G", "TRAC", "NKG7", "GNLY", "KLRD1"),
    ("CD14", "FCN1", "S100A12", "VCAN", "FCGR3A", "SERPINA1"),
)
#: Types that are rare, and genes of which a cell must show two to be one (of which one, where a
#: panel holds a single one): out of so many cells of common types some would resemble them.
OWN: Final = {
    # SPINK2 is left out: naive B cells and innate lymphoid cells show it too
    k.HSPC: ("CD34", "PRSS57", "SMIM24", "AVP", "CRHBP", "GATA2", "CYTL1", "EGFL7"),
    k.BASO_MAST: ("CLC", "HDC", "MS4A2", "MS4A3", "GATA2", "CPA3", "TPSAB1"),
    k.PLASMABLAST: ("JCHAIN", *SHOWN[k.PLASMA]),
    k.PLASMA: ("JCHAIN", *SHOWN[k.PLASMA]),
    k.PLATELET: ("PPBP", "PF4", "GP9", "GNG11", "TUBB1", "ITGA2B", "CLU", "CAVIN2"),
    k.ERYTHROCYTE: ("HBB", "HBA1", "HBA2", "HBD", "ALAS2", "AHSP", "CA1"),
}
#: Cell cycle, and what plasmablasts keep of B cells.
CYCLING: Final = ("MKI67", "STMN1", "TYMS", "TOP2A")
EARLY: Final = ("CD19", "MS4A1")


def symbols(view: PanelView, genes: Sequence[str]) -> list[str]:
    """Those of ``genes`` that are measured, in the symbols of the species."""
    if view.species == "human":
        return view.found(genes)
    return view.found([_ids.ortholog(gene) or gene for gene in genes])


def count(view: PanelView, genes: list[str]) -> NDArray[np.int64]:
    """Detected genes (one UMI or more) of each cell among ``genes``."""
    if not genes:
        return np.zeros(view.n_cells, dtype=np.int64)
    return np.asarray((view.sparse(genes) > 0).sum(axis=1), dtype=np.int64).ravel()


def detected(view: PanelView, name: str) -> NDArray[np.int64]:
    """Detected genes of each cell among those of a set."""
    return count(view, view.found(_sets.for_species(name, view.species)))


def halves(view: PanelView, model: Components) -> dict[str, identity.Shown]:
    """Cells that show each half of a doublet: two of its genes; and more of it than ambient RNA."""
    out = {}
    for name, genes in SHOWN.items():
        two = count(view, symbols(view, genes)) >= 2
        out[name] = identity.Shown(two, two & _beyond(view, model, genes, identity.AMBIENT, 0.99))
    return out


def foreign(view: PanelView, model: Components) -> Bools:
    """Cells that show B cells, T and NK cells or monocytes beyond doubt: no clean pDC.

    Two of their genes, in more UMI than twice the usual ambient RNA leaves in one cell of ten
    thousand: most pDC hold some ambient RNA, and in some samples there is much of it.
    """
    each = [
        (count(view, symbols(view, genes)) >= 2)
        & _beyond(view, model, genes, 2 * identity.AMBIENT, 0.9999)
        for genes in FOREIGN
    ]
    return np.asarray(np.any(each, axis=0))


def _beyond(
    view: PanelView, model: Components, genes: Sequence[str], ambient: float, quantile: float
) -> Bools:
    """Cells with more UMI of ``genes`` than that quantile of what ambient RNA of blood leaves."""
    found = symbols(view, genes)
    blood = model.blood() / model.blood().sum()
    share = sum(blood[model.genes.index(gene)] for gene in found if gene in model.genes)
    expected = ambient * view.sum(model.genes) * share
    return np.asarray(view.sum(found) > poisson.ppf(quantile, expected))


def own(view: PanelView) -> dict[str, Bools]:
    """Cells that show genes of their own of each rare type, where the panel holds any."""
    out = {}
    for name, genes in OWN.items():
        found = symbols(view, genes)
        if found:
            out[name] = count(view, found) >= min(2, len(found))
    return out
