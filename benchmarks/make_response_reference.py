"""Make the fixed reference rates that weigh response genes.

Mean UMI per 10,000 of each interferon-response gene in bead-sorted resting blood
cells (Zheng 2017, doi:10.1038/ncomms14049; equal weight to each sorted type), read
from ``$SCIFN_DATA`` or ``../shared/data``; written to
``src/scifn/_cells/data/response_reference.csv``. Genes that those data do not hold get
the floor. The weights are not fitted to any interferon-treated cells.
"""

from __future__ import annotations

import os
from pathlib import Path

import anndata as ad
import numpy as np

from scifn import _view
from scifn.genesets import _sets

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SCIFN_DATA", ROOT.parent / "shared" / "data"))
OUT = ROOT / "src" / "scifn" / "_cells" / "data" / "response_reference.csv"
FLOOR = 0.05
SETS = ("isg_sc_pan", "isg_type2_leaning", "isg_type1_core", "isg_shared")


def main() -> None:
    adata = ad.read_h5ad(DATA / "zheng_sorted_refs_mudan.h5ad")
    genes = sorted({gene for name in SETS for gene in _sets.for_species(name, "human")})
    view = _view.read(adata, genes)
    found = view.found(genes)
    rates = view.dense(found) / view.total[:, None] * 1e4
    types = adata.obs["cell_type"].astype(str).to_numpy()
    mean = np.mean([rates[types == name].mean(axis=0) for name in np.unique(types)], axis=0)
    measured = dict(zip(found, mean, strict=True))
    lines = ["gene,rate,measured"]
    for gene in genes:
        value = max(measured.get(gene, 0.0), FLOOR)
        lines.append(f"{gene},{value:.3f},{'yes' if gene in measured else 'no'}")
    OUT.write_text("\n".join(lines) + "\n")
    print(
        f"{len(found)} of {len(genes)} genes measured in {adata.n_obs} sorted cells; floor {FLOOR}"
    )


if __name__ == "__main__":
    main()
