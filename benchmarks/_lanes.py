"""Simulated 10x lanes with known producers, for the figures of evidence: a check of the code.

A lane is 8,000 cells of blood, 25 of them pDC. IFNA is a share of the soup, contamination
differs from cell to cell, and some cells are producers. The soup fraction and the producers
are invented: figures from here say whether the statistics hold, not how common producers are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from scifn import _keys as k
from scifn import genesets
from scifn._cells.background import SOUP_GENES

IFNA = list(genesets.load("ifn_alpha"))
GENES = [*IFNA, *SOUP_GENES, "ACTB"]
#: Cells of a lane by type.
CELLS = {
    k.PDC: 25, k.MONOCYTE: 1600, k.CDC: 80, k.DC_UNRESOLVED: 15, k.T_NK: 5000, k.B_NAIVE: 600,
    k.B_MEMORY: 400, k.PLATELET: 80, k.HSPC: 20, k.DOUBLET: 160, k.UNASSIGNED: 20,
}  # fmt: skip
#: IFNA among the UMI of the soup.
SOUP = 3e-6
#: Width of the soup in a cell (size of a negative binomial); infinite is Poisson.
POISSON = float("inf")


@dataclass(frozen=True)
class Producers:
    """How many cells of a type produce, and what a producer of mean depth shows.

    ``size`` is that of the negative binomial of its UMI; infinite is Poisson, 1 is bursts.
    """

    share: Mapping[str, float]
    mean: float
    size: float = POISSON


def lane(
    rng: np.random.Generator,
    producers: Producers | None = None,
    *,
    soup: float = SOUP,
    soup_size: float = POISSON,
) -> ad.AnnData:
    """Counts of a lane; ``obs["producer"]`` is the truth."""
    kinds = np.repeat(list(CELLS), list(CELLS.values()))
    total = np.round(rng.lognormal(np.log(4500), 0.4, kinds.size))
    dirty = total * rng.beta(4, 27, kinds.size)
    counts = np.zeros((kinds.size, len(GENES)))
    ifna = _draw(rng, soup * dirty, soup_size)
    makes = np.zeros(kinds.size, dtype=bool)
    if producers is not None:
        chance = pd.Series(kinds).map(dict(producers.share)).fillna(0.0).to_numpy()
        makes = rng.uniform(size=kinds.size) < chance
        mean = producers.mean * total[makes] / total.mean()
        ifna[makes] += _draw(rng, mean, producers.size)
    for i in np.flatnonzero(ifna):
        np.add.at(counts[i], rng.integers(0, len(IFNA), int(ifna[i])), 1)
    soup_genes = slice(len(IFNA), len(IFNA) + len(SOUP_GENES))
    mean = np.repeat(2e-3 * dirty[:, None], len(SOUP_GENES), axis=1)
    counts[:, soup_genes] = _draw(rng, mean, soup_size)
    counts[:, -1] = np.maximum(total - counts.sum(axis=1), 0)
    out = ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    out.var_names = GENES
    out.obs_names = [f"c{i}" for i in range(kinds.size)]
    out.obs[k.CELL_TYPE] = pd.Categorical(kinds)
    out.obs["producer"] = makes
    return out


def _draw(rng: np.random.Generator, mean: np.ndarray, size: float) -> np.ndarray:
    if np.isinf(size):
        return rng.poisson(mean).astype(np.float64)
    return rng.poisson(mean * rng.gamma(size, 1 / size, np.shape(mean))).astype(np.float64)
