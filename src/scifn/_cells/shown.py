"""Genes that a cell shows: what rules ask for beside a posterior."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr, pdtri

from scifn import _keys as k
from scifn._cells import mixture
from scifn._cells.profiles import Components
from scifn._cells.sums import matrix_of, tally
from scifn._view import PanelView
from scifn.genesets import _ids, _sets

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

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
    # XBP1, FKBP11 and POU2AF1 are in B cells, too
    k.PLASMA: ("MZB1", "DERL3", "TNFRSF17", "SDC1", "JCHAIN"),
}  # fmt: skip
#: Genes that no pDC shows two of: those of its vetoes that are neither shared with pDC (CD2, CD68)
#: nor what ambient RNA is made of.
FOREIGN: Final = {
    "B": ("MS4A1", "CD19", "CD79A", "PAX5", "BANK1"),
    k.T_NK: ("CD3D", "CD3E", "CD3G", "TRAC", "NKG7", "GNLY", "KLRD1"),
    "Mono": ("CD14", "FCN1", "S100A12", "VCAN", "FCGR3A", "SERPINA1"),
}
#: Types that are rare, and genes of which a cell must show two to be one (of which one, where a
#: panel holds a single one): out of so many cells of common types some would resemble them.
OWN: Final = {
    # SPINK2 is left out: naive B cells and innate lymphoid cells show it too
    k.HSPC: ("CD34", "PRSS57", "SMIM24", "AVP", "CRHBP", "GATA2", "CYTL1", "EGFL7"),
    k.BASO_MAST: ("CLC", "HDC", "MS4A2", "MS4A3", "GATA2", "CPA3", "TPSAB1"),
    k.PLASMABLAST: SHOWN[k.PLASMA],
    k.PLASMA: SHOWN[k.PLASMA],
    # one is enough: activated B cells share everything else with them
    k.B_ATYPICAL: ("FCRL5", "FCRL3", "ZEB2", "TBX21", "ITGAX", "FGR", "HCK", "SOX5"),
    k.PLATELET: ("PPBP", "PF4", "GP9", "GNG11", "TUBB1", "ITGA2B", "CLU", "CAVIN2"),
    k.ERYTHROCYTE: ("HBB", "HBA1", "HBA2", "HBD", "ALAS2", "AHSP", "CA1"),
}
#: Genes of its own that a cell must show of those types; two where nothing is said.
NEEDED: Final = {k.B_ATYPICAL: 1}
#: What T and NK cells show; a cell with none of it is one only where the rest is clear.
T_NK_ANY: Final = (*SHOWN[k.T_NK], "IL7R", "CD7")
#: Cell cycle, and what plasmablasts keep of B cells.
CYCLING: Final = ("MKI67", "STMN1", "TYMS", "TOP2A")
EARLY: Final = ("CD19", "MS4A1")


#: Counts whose quantiles are looked up.
_LOOKED_UP: Final = 256
#: Sets whose UMI do not count towards the depth of a cell: it must not grow with its response.
RESPONSE: Final = ("isg_sc_pan", "hallmark_ifna")
CORE, SUPPORT = "pdc_identity_core", "pdc_identity_support"
#: Genes that are looked at by themselves.
SINGLE: Final = {"cd24": ("CD24", "Cd24a"), "cd27": ("CD27", "Cd27"), "il10": ("IL10", "Il10")}


def symbols(view: PanelView, genes: Sequence[str]) -> list[str]:
    """Those of ``genes`` that are measured, in the symbols of the species."""
    if view.species == "human":
        return view.found(genes)
    return view.found([_ids.ortholog(gene) or gene for gene in genes])


def lists() -> dict[str, tuple[str, ...]]:
    """Every list of this module by a name of its own, in human symbols."""
    return {
        **{f"half {name}": genes for name, genes in SHOWN.items()},
        **{f"own {name}": genes for name, genes in OWN.items()},
        **{f"foreign {name}": genes for name, genes in FOREIGN.items()},
        "first": ASDC_FIRST,
        "other": ASDC_OTHER,
        "t_nk": T_NK_ANY,
        "cycling": CYCLING,
        "early": EARLY,
    }


class Lists:
    """Which genes of a panel are on which list, for every run of its cells.

    Attributes
    ----------
    genes
        Genes that are read, those of the model first and in its order.
    found
        {list: the genes of it that are measured}.
    blood
        {list: share of the identity UMI of blood that is of its genes}.
    """

    def __init__(self, view: PanelView, model: Components) -> None:
        named = {name: symbols(view, genes) for name, genes in lists().items()}
        of_set = {name: _sets.for_species(name, view.species) for name in (CORE, SUPPORT)}
        named |= {name: view.found(genes) for name, genes in of_set.items()}
        response = {gene for name in RESPONSE for gene in _sets.for_species(name, view.species)}
        named |= {"response": view.found(sorted(response)), "identity": view.found(model.genes)}
        named |= {name: view.found(genes) for name, genes in SINGLE.items()}
        self.found: dict[str, list[str]] = named
        self.genes = list(dict.fromkeys([*model.genes, *(g for x in named.values() for g in x)]))
        #: Genes x lists, one where a gene is on a list.
        self.member = matrix_of(self.genes, [dict.fromkeys(x, 1.0) for x in named.values()])
        shares = dict(zip(model.genes, model.blood() / model.blood().sum(), strict=True))
        self.blood = {
            name: sum(shares.get(gene, 0.0) for gene in genes) for name, genes in named.items()
        }


class Tally:
    """Detected genes and UMI of each list in each cell, counted in one go over the panel.

    Attributes
    ----------
    values
        The counts: cells x genes of :class:`Lists`, CSR.
    genes, umi
        {list: one number a cell}: genes with one UMI or more, and their UMI.
    found
        {list: the genes of it that are measured}.
    """

    def __init__(
        self,
        view: PanelView,
        model: Components,
        known: Lists | None = None,
        *,
        compiled: bool = False,
    ) -> None:
        self._lists = known or Lists(view, model)
        self.found = self._lists.found
        self.values = view.csr(self._lists.genes)
        umi, seen = tally(self.values, self._lists.member, compiled=compiled)
        self.umi: dict[str, Floats] = dict(zip(self.found, umi, strict=True))
        self.genes = dict(zip(self.found, seen, strict=True))

    def beyond(self, name: str, ambient: float, quantile: float, cells: Ints) -> Bools:
        """Which of some cells show two genes of a list, in more UMI than ambient RNA leaves.

        More than that quantile of a Poisson count whose mean is the share ``ambient`` of the
        cell's identity UMI, times what blood's mean holds of the list.
        """
        two = self.genes[name][cells] >= 2
        at = cells[two]
        expected = ambient * self._lists.blood[name] * self.umi["identity"][at]
        out: Bools = np.zeros(cells.size, dtype=bool)
        out[two] = below_quantile(expected, self.umi[name][at], quantile)
        return out

    def halves(self) -> dict[str, mixture.Shown]:
        """Cells that show each half of a doublet: two of its genes; beyond ambient RNA."""
        every = np.arange(len(self.umi["identity"]))
        return {
            name: mixture.Shown(
                self.genes[f"half {name}"] >= 2,
                self.beyond(f"half {name}", mixture.AMBIENT, 0.99, every),
            )
            for name in SHOWN
        }

    def own(self) -> dict[str, Bools]:
        """Cells that show genes of their own of each rare type, where the panel holds any."""
        return {
            name: self.genes[f"own {name}"]
            >= min(NEEDED.get(name, 2), len(self.found[f"own {name}"]))
            for name in OWN
            if self.found[f"own {name}"]
        }

    def foreign(self, cells: Ints) -> Bools:
        """Which of some cells show B, T, NK cells or monocytes beyond doubt: no clean pDC.

        In more UMI than four times the usual ambient RNA leaves in one cell of ten thousand: most
        pDC hold some ambient RNA, and in some samples there is much of it. A cell with less than
        two core genes of pDC is given less benefit of the doubt: once the usual, one of a hundred.
        """
        thin = self.genes[CORE][cells] < 2
        out = np.zeros(thin.size, dtype=bool)
        for name in FOREIGN:
            out |= self.beyond(f"foreign {name}", 4 * mixture.AMBIENT, 0.9999, cells)
            out |= thin & self.beyond(f"foreign {name}", mixture.AMBIENT, 0.99, cells)
        return out


def below_quantile(mean: Floats, count: Floats, quantile: float) -> Bools:
    """Whether fewer than ``count`` are so many that a Poisson count of that mean rarely has more.

    P(X < count) >= quantile; looked up, for counts are small and few.

    >>> below_quantile(np.array([1.0, 1.0]), np.array([4.0, 5.0]), 0.99)
    array([False,  True])
    """
    most = largest_means(quantile)
    lower = np.floor(count - 1).astype(np.int64)
    out: Bools = (lower >= 0) & (mean <= most[np.clip(lower, 0, most.size - 1)])
    large = np.flatnonzero(lower >= most.size)
    out[large] = pdtr(lower[large], mean[large]) >= quantile
    return out


@cache
def largest_means(quantile: float) -> Floats:
    """Largest mean of a Poisson count that is 0, 1, 2 ... at most with a probability."""
    return np.asarray(pdtri(np.arange(_LOOKED_UP), quantile), dtype=np.float64)
