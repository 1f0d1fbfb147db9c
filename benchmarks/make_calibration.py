"""Fit how far the posterior of the identity step is to be trusted.

Reads bead-sorted cells (lineages) and labelled B cells of childhood lupus (subsets; with
an identity table made without them) from ``$SCIFN_DATA`` or ``../shared/data``; prints the
power and the share of errors that make the tempered posterior most likely, which stand in
``src/scifn/_cells/calibration.py``. The sorted "monocytes" are left out: most of them are
dendritic cells by their transcripts. ``benchmarks/identity.py`` tests the result on other
data.

Run: ``python benchmarks/make_calibration.py``
"""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np
from make_identity import B_CELLS, build
from scipy.optimize import minimize
from scipy.special import expit

from scifn import _keys as k
from scifn._cells import annotate, profiles
from scifn._cells.calibration import LINEAGE, TYPE, tempered
from scifn._view import read

DATA = Path(os.environ.get("SCIFN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
SORTED = "zheng_sorted_refs_mudan"


def fit(classes: np.ndarray, label_of: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Power and share of errors of the largest likelihood of the labels.

    ``classes`` is the posterior of the model (cells x classes), ``label_of`` the label that
    each class counts as, ``truth`` the label of each cell.
    """

    def loss(x: np.ndarray) -> float:
        found = tempered(classes, float(np.exp(x[0])), float(expit(x[1])))
        right = (found * (label_of[None, :] == truth[:, None])).sum(axis=1)
        return float(-np.log(right + 1e-12).mean())

    # the surface is flat far from its optimum: from one start alone the search may stop early
    tries = [minimize(loss, np.array([start, -3.0]), method="Nelder-Mead") for start in (-2, -1, 0)]
    best = min(tries, key=lambda found: float(found.fun)).x
    return float(np.exp(best[0])), float(expit(best[1]))


def lineages() -> tuple[float, float]:
    adata = ad.read_h5ad(DATA / f"{SORTED}.h5ad")
    found = annotate.annotate(read(adata, annotate.panel_genes()))
    label = adata.obs["cell_type"].astype(str).to_numpy()
    truth = np.where(label == "bcells", "B", np.where(label == "monocytes", "", "T/NK"))
    names = np.array(["B", "DC", "Mono", "T/NK"])
    of_type = np.array([k.LINEAGE_OF[name] for name in found.types])
    summed = np.stack([found.posterior[:, of_type == name].sum(axis=1) for name in names], axis=1)
    # what is a progenitor, a platelet or a doublet by its transcripts is no error of a lineage
    kept = (truth != "") & (summed.sum(axis=1) > 0.5)
    share = summed[kept] / summed[kept].sum(axis=1, keepdims=True)
    return fit(share, names, truth[kept])


def b_subsets() -> tuple[float, float]:
    adata = ad.read_h5ad(DATA / f"{B_CELLS}.h5ad")
    table = profiles.read_table(build((B_CELLS,)).to_csv())
    found = annotate.annotate(read(adata, annotate.panel_genes()), table=table)
    counts_as = {
        k.B_NAIVE: "Naive", k.B_TRANSITIONAL: "Naive", k.B_MEMORY: "Memory", k.B_ATYPICAL: "DN2",
    }  # fmt: skip
    posterior = found.posterior[:, [found.types.index(name) for name in counts_as]]
    kept = posterior.sum(axis=1) > 0.5
    share = posterior[kept] / posterior[kept].sum(axis=1, keepdims=True)
    truth = adata.obs["cell_type"].astype(str).to_numpy()[kept]
    return fit(share, np.array(list(counts_as.values())), truth)


def main() -> None:
    for what, found, stands in (
        (f"lineages ({SORTED})", lineages(), LINEAGE),
        (f"subsets of B cells ({B_CELLS})", b_subsets(), TYPE),
    ):
        print(f"{what}: power {found[0]:.3f}, errors {found[1]:.3f}; in the package {stands}")


if __name__ == "__main__":
    main()
