"""Print the figures of the main job on real cells, each beside its target and simple peers.

Reads ``$SCIFN_DATA`` or ``../shared/data``; needs the extra ``scifn[test]`` (pyucell).
What fitted a parameter and what tested it is printed first. No figure here chose one.
The figures of cell identity are those of ``benchmarks/identity.py``.

Run: ``python benchmarks/main_job.py``
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
from _shared import Sheet, load, peers
from sklearn.metrics import roc_auc_score

from scifn import _keys as k
from scifn import genesets, tl

#: Cells that a type needs for an AUC of its own.
MIN_CELLS = 15
FITTED = """\
What fitted a parameter
  weights of the response genes       bead-sorted resting cells (zheng_sorted_refs_mudan)
  gene sets                           literature, as each set says (scifn genes)
What tested it
  response                            kang_ifnb_fullgenes_annot (labels of the data set)
  IFNA measured and none there        celltypist_sample
Peers: scanpy.tl.score_genes (random_state 0, on log1p CP10k) and pyucell, the same genes."""


def by_type(truth: np.ndarray, score: np.ndarray, types: np.ndarray) -> pd.Series:
    """AUC within each labelled type with enough cells."""
    names = [name for name in np.unique(types) if (types == name).sum() >= MIN_CELLS]
    auc = {name: roc_auc_score(truth[types == name], score[types == name]) for name in names}
    return pd.Series(auc).sort_values()


def response(sheet: Sheet) -> None:
    sheet.start("response: stimulated against control cells, kang full genes (2,708 cells), AUC")
    kang = load("kang_ifnb_fullgenes_annot")
    tl.annotate(kang)
    tl.response(kang, condition="condition", reference="ctrl")
    truth = (kang.obs["condition"] == "stim").to_numpy()
    types = kang.obs["cell_type"].astype(str).to_numpy()
    genes = genesets.load("isg_sc_pan")
    scores = {"scifn": kang.obs[k.RESPONSE_TYPE1].to_numpy()}
    plain = kang.copy()
    del plain.uns[k.UNS]["response"]
    tl.response(plain, overwrite=True)
    scores["scifn, no controls"] = plain.obs[k.RESPONSE_TYPE1].to_numpy()
    for name, score in {**scores, **peers(kang, genes)}.items():
        ours = name == "scifn"
        auc = roc_auc_score(truth, score)
        sheet.row(
            f"{name}: all cells", f"{auc:.4f}", ">= 0.996" * ours, auc >= 0.996 if ours else None
        )
        each = by_type(truth, score, types)
        worst = f"{each.iloc[0]:.4f} {each.index[0]}"
        ok = bool(each.iloc[0] >= 0.97) if ours else None
        sheet.row(f"{name}: worst of {len(each)} types", worst, ">= 0.97 (next issue)" * ours, ok)


def refused(sheet: Sheet) -> None:
    sheet.start("what is not there, or cannot be told")
    typist = load("celltypist_sample")
    tl.annotate(typist)
    tl.production(typist)
    sheet.row("celltypist: IFNA evidence", _share(typist.obs[k.IFNA_EVIDENCE]), "none, not NaN",
        not typist.obs[k.IFNA_EVIDENCE].isin(["weak", "strong"]).any())  # fmt: skip
    kang = load("kang_muscat_example")
    tl.annotate(kang)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tl.production(kang)
    sheet.row("kang (no IFNA feature): IFNA evidence", _share(kang.obs[k.IFNA_EVIDENCE]),
        "not_measurable", bool((kang.obs[k.IFNA_EVIDENCE] == "not_measurable").all()))  # fmt: skip


def _share(values: pd.Series) -> str:
    counts = values.astype(str).value_counts()
    return ", ".join(f"{n} {name}" for name, n in counts.items())


def main() -> None:
    start = time.perf_counter()
    print(FITTED)
    sheet = Sheet()
    response(sheet)
    refused(sheet)
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
