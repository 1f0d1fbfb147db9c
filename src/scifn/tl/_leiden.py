"""Clusters for those who bring none: scanpy and leidenalg, on the panel.

Cell models see arrays only, so this stands with the steps, beside the one that calls it.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from scifn._cells import grouping
from scifn._view import PanelView

RESOLUTION: Final = 2.0
#: Cells that are clustered, of however many: exact neighbors take time in the square of them.
MOST: Final = 20_000
#: Fewer cells are one cluster.
MIN_CELLS: Final = 10


def leiden(view: PanelView, genes: list[str]) -> NDArray[np.int64]:
    """Leiden clusters made with scanpy on the log-normalized identity genes of the panel.

    Of more than ``MOST`` cells as many, evenly spaced, are clustered; each other cell joins the
    cluster whose mean is nearest in their principal components.
    """
    import anndata as ad
    import scanpy as sc

    found = view.found(genes)
    scale = np.divide(1e4, view.total, out=np.zeros(view.n_cells), where=view.total > 0)
    # a csr_matrix: scanpy 1.11 cannot take the logarithm of a csr_array
    scaled = sparse.csr_matrix(view.csr(found).multiply(scale[:, None]), dtype=np.float32)
    np.log1p(scaled.data, out=scaled.data)
    if view.n_cells < MIN_CELLS:
        return np.zeros(view.n_cells, dtype=np.int64)
    some = np.unique(np.linspace(0, view.n_cells - 1, min(view.n_cells, MOST)).astype(np.int64))
    adata = ad.AnnData(scaled[some])
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
    codes = grouping.codes(adata.obs["leiden"])
    return codes if some.size == view.n_cells else _nearest(scaled, adata, some, codes)


def _nearest(scaled: Any, adata: Any, some: NDArray[Any], codes: NDArray[Any]) -> NDArray[np.int64]:
    """Cluster of every cell: its own where it was clustered, else that of the nearest mean."""
    loadings = np.asarray(adata.varm["PCs"], dtype=np.float64)
    offset = np.asarray(adata.X.mean(axis=0), dtype=np.float64).ravel() @ loadings
    scores = scaled @ loadings - offset
    means = np.stack([scores[some[codes == code]].mean(axis=0) for code in range(codes.max() + 1)])
    distance = (means**2).sum(axis=1) - 2 * scores @ means.T
    out = np.asarray(distance.argmin(axis=1), dtype=np.int64)
    out[some] = codes
    return out
