"""Clusters for those who bring none: scanpy and leidenalg, on the panel.

Cell models see arrays only, so this stands with the steps, beside the one that calls it.
"""

from __future__ import annotations

import warnings
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scifn._cells import grouping
from scifn._view import PanelView

RESOLUTION: Final = 2.0


def leiden(view: PanelView, genes: list[str]) -> NDArray[np.int64]:
    """Leiden clusters made with scanpy on the log-normalized identity genes of the panel."""
    import anndata as ad
    import scanpy as sc

    found = view.found(genes)
    scale = np.divide(1e4, view.total, out=np.zeros(view.n_cells), where=view.total > 0)
    scaled = view.sparse(found).multiply(scale[:, None])
    # a csr_matrix: scanpy 1.11 cannot take the logarithm of a csr_array
    adata = ad.AnnData(sparse.csr_matrix(scaled, dtype=np.float32))
    sc.pp.log1p(adata)
    sc.pp.pca(adata, n_comps=int(min(30, adata.n_obs - 1, adata.n_vars - 1)), random_state=0)
    with warnings.catch_warnings():
        # of a progress bar that scanpy's neighbors never show
        warnings.filterwarnings("ignore", "IProgress not found")
        # scanpy recommends igraph's leiden, in words that change; the choice is made
        warnings.filterwarnings("ignore", "(In the future, the default|The `igraph`)")
        # exact neighbors: the approximate ones, scanpy's choice from 4,096 cells on, take minutes
        # to compile, and newer pynndescent returns a csr_array, which scanpy cannot read
        sc.pp.neighbors(adata, n_neighbors=15, random_state=0, transformer="sklearn")
        sc.tl.leiden(
            adata,
            resolution=RESOLUTION,
            flavor="leidenalg",
            n_iterations=2,
            directed=False,
            random_state=0,
        )
    return grouping.codes(adata.obs["leiden"])
