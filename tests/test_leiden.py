"""Clusters made on the panel, of more cells than scanpy finds exact neighbors for by itself."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from scifn._view import PanelView
from scifn.tl._leiden import leiden

#: scanpy takes approximate neighbors from 4,096 cells on where it is left the choice.
N = 4200


def test_many_cells_are_clustered():
    genes = [f"G{i}" for i in range(12)]
    kind = np.arange(N) % 3
    mean = np.where(np.arange(12) // 4 == kind[:, None], 20.0, 1.0)
    counts = np.random.default_rng(0).poisson(mean).astype("float32")
    total = counts.sum(axis=1).astype("float64")
    n_genes = (counts > 0).sum(axis=1)
    view = PanelView(tuple(genes), sp.csr_array(counts), total, n_genes, True, "human", 12, {})
    found = leiden(view, genes)
    assert found.shape == (N,)
    # clusters are finer than the three kinds, and mix next to none
    of_kind = [np.bincount(kind[found == c]).max() for c in np.unique(found)]
    assert sum(of_kind) > 0.97 * N
