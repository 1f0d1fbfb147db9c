"""Expected expression of cell types: the table behind the identity model.

``data/identity.csv`` holds UMI per 10,000 of each component, made by
``benchmarks/make_identity.py`` from CITE-seq typed cord blood cells and, where
those measured nothing, from marker knowledge. No gene of it is in a list of
interferon-stimulated genes that this package holds; that some of them move with
interferon all the same, in culture above all, is not excluded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k

Floats = NDArray[np.float64]

#: Component -> (cell type, share of unsorted blood mononuclear cells).
COMPONENTS: Final[dict[str, tuple[str, float]]] = {
    "T CD4": (k.T_NK, 0.38),
    "T CD8": (k.T_NK, 0.15),
    "NK": (k.T_NK, 0.10),
    "Monocyte CD14": (k.MONOCYTE, 0.16),
    "Monocyte CD16": (k.MONOCYTE, 0.04),
    "cDC": (k.CDC, 0.012),
    "pDC": (k.PDC, 0.004),
    "AS-DC": (k.ASDC, 0.0003),
    "B naive": (k.B_NAIVE, 0.03),
    # Told from naive cells, of which there are many more, by a likelihood ratio of about 5 or
    # more: precise rather than complete, since a leak of naive cells into this small
    # compartment would turn any shift of naive cells into one of Breg-like cells.
    "B transitional": (k.B_TRANSITIONAL, 0.006),
    "B memory": (k.B_MEMORY, 0.025),
    "B atypical": (k.B_ATYPICAL, 0.005),
    "Plasmablast": (k.PLASMABLAST, 0.001),
    "Plasma": (k.PLASMA, 0.0005),
    "HSPC": (k.HSPC, 0.001),
    "Basophil/Mast": (k.BASO_MAST, 0.0005),
    "Platelet": (k.PLATELET, 0.01),
    "Erythrocyte": (k.ERYTHROCYTE, 0.005),
}
#: Pairs whose droplets are modeled; platelets stick to anything and hide nothing.
DOUBLET_PAIRS: Final = (
    ("T CD4", "Monocyte CD14"),
    ("T CD8", "Monocyte CD14"),
    ("NK", "Monocyte CD14"),
    ("T CD4", "B naive"),
    ("T CD8", "B naive"),
    ("NK", "B naive"),
    ("T CD4", "B memory"),
    ("Monocyte CD14", "B naive"),
    ("Monocyte CD14", "B memory"),
    ("T CD4", "Monocyte CD16"),
    ("pDC", "T CD4"),
    ("pDC", "NK"),
    ("pDC", "Monocyte CD14"),
    ("pDC", "B naive"),
    ("pDC", "B memory"),
    ("Plasma", "T CD4"),
    ("Plasma", "NK"),
    ("Plasma", "Monocyte CD14"),
)
DOUBLET_RATE: Final = 0.05


@dataclass(frozen=True)
class Components:
    """Expected shares of genes in the components of a mixture.

    ``rates`` is genes x components, each a share of all UMI of the cell; ``priors`` sums to
    one; ``pairs`` names the two halves of a doublet component and is empty for the others.
    """

    genes: tuple[str, ...]
    names: tuple[str, ...]
    types: tuple[str, ...]
    priors: Floats
    rates: Floats
    pairs: tuple[tuple[str, ...], ...]

    def of_genes(self, genes: list[str]) -> Components:
        """Only the rows of ``genes``, in the order given."""
        position = {gene: i for i, gene in enumerate(self.genes)}
        return replace(self, genes=tuple(genes), rates=self.rates[[position[g] for g in genes]])

    def told(self, types: frozenset[str]) -> Components:
        """All singlets, and the doublets of which both halves are in ``types``."""
        at = [
            i
            for i, pair in enumerate(self.pairs)
            if all(self.types[self.names.index(name)] in types for name in pair)
        ]
        return self._at(at)

    def singlets(self) -> Components:
        """Without the doublets."""
        return self._at([i for i, pair in enumerate(self.pairs) if not pair])

    def _at(self, at: list[int]) -> Components:
        return Components(
            self.genes,
            tuple(self.names[i] for i in at),
            tuple(self.types[i] for i in at),
            self.priors[at] / self.priors[at].sum(),
            self.rates[:, at],
            tuple(self.pairs[i] for i in at),
        )

    def blood(self) -> Floats:
        """Share of each gene in the mean of blood: what ambient RNA is made of."""
        return np.asarray(self.rates @ self.priors, dtype=np.float64)


def read_table(text: str) -> Components:
    """Components with their doublets, singlets first, from the text of an identity table."""
    header, *lines = text.splitlines()
    names = header.split(",")[1:]
    rows = [line.split(",") for line in lines]
    rates = np.array([row[1:] for row in rows], dtype=np.float64) / 1e4
    priors = np.array([COMPONENTS[name][1] for name in names])
    priors = priors / priors.sum()
    position = {name: i for i, name in enumerate(names)}
    pair_prior = np.array([priors[position[a]] * priors[position[b]] for a, b in DOUBLET_PAIRS])
    # equal halves: the two cells of a droplet differ in RNA content, by less than this model sees
    mixed = np.stack(
        [(rates[:, position[a]] + rates[:, position[b]]) / 2 for a, b in DOUBLET_PAIRS], axis=1
    )
    return Components(
        genes=tuple(row[0] for row in rows),
        names=(*names, *(f"{a} + {b}" for a, b in DOUBLET_PAIRS)),
        types=(*(COMPONENTS[name][0] for name in names), *([k.DOUBLET] * len(DOUBLET_PAIRS))),
        priors=np.concatenate([priors, DOUBLET_RATE * pair_prior / pair_prior.sum()])
        / (1 + DOUBLET_RATE),
        rates=np.concatenate([rates, mixed], axis=1),
        pairs=(*([()] * len(names)), *DOUBLET_PAIRS),
    )


@lru_cache(maxsize=1)
def components() -> Components:
    """The shipped table."""
    return read_table(files("scifn._cells").joinpath("data/identity.csv").read_text("utf-8"))
