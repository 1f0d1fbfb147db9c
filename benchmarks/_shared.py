"""What the benchmark scripts share: real data, simple peers, and a sheet of figures beside targets.

Data are read from ``$SCIFN_DATA`` or ``../shared/data``.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyucell
import scanpy as sc
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

DATA = Path(os.environ.get("SCIFN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
#: Lines of a listing that are printed; a file gets all.
MOST_LINES = 40
PACKAGES = ("scifn", "numpy", "scipy", "pandas", "anndata", "scanpy", "scikit-learn", "pyucell")


def load(name: str) -> ad.AnnData:
    return ad.read_h5ad(DATA / f"{name}.h5ad")


# --- peers --------------------------------------------------------------------
def log_cp10k(adata: ad.AnnData) -> ad.AnnData:
    """A copy that holds log1p CP10k and nothing else."""
    copy = ad.AnnData(sparse.csr_matrix(adata.X), adata.obs[[]].copy(), adata.var[[]].copy())
    sc.pp.normalize_total(copy, target_sum=1e4)
    sc.pp.log1p(copy)
    return copy


def peer_scores(adata: ad.AnnData, sets: Mapping[str, Sequence[str]]) -> dict[str, pd.DataFrame]:
    """Scores of the same genes by score_genes and UCell: cells x sets of each."""
    found = {name: [g for g in genes if g in adata.var_names] for name, genes in sets.items()}
    counts = ad.AnnData(adata.X.copy(), adata.obs[[]].copy(), adata.var[[]].copy())
    logs = log_cp10k(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyucell.compute_ucell_scores(counts, signatures=found, suffix="", n_jobs=1)
        for name, genes in found.items():
            sc.tl.score_genes(logs, genes, score_name=name, random_state=0)
    names = list(found)
    return {"score_genes": logs.obs[names], "pyucell": counts.obs[names]}


def peers(adata: ad.AnnData, genes: Sequence[str]) -> dict[str, np.ndarray]:
    """As :func:`peer_scores`, of one set."""
    scores = peer_scores(adata, {"set": genes})
    return {method: table["set"].to_numpy() for method, table in scores.items()}


def highest_set(scores: pd.DataFrame) -> np.ndarray:
    """The set with the highest z-score in each cell."""
    return ((scores - scores.mean()) / scores.std()).idxmax(axis=1).to_numpy()


def trained(adata: ad.AnnData, genes: Sequence[str], labels: np.ndarray) -> pd.DataFrame:
    """The upper peer: probability of each label, out of fold, from a regression on the labels.

    Logistic regression on standardized log1p CP10k of ``genes``, labels weighted alike, five folds.
    """
    found = [gene for gene in genes if gene in adata.var_names]
    values = log_cp10k(adata)[:, found].X.toarray()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    regression = LogisticRegression(C=1e-3, class_weight="balanced", max_iter=500)
    model = make_pipeline(StandardScaler(), regression)
    probability = cross_val_predict(model, values, labels, cv=folds, method="predict_proba")
    return pd.DataFrame(probability, columns=np.unique(labels))


# --- figures --------------------------------------------------------------------
class Sheet:
    """Figures as they are printed: part, what, value, value with the shipped table, target."""

    def __init__(self) -> None:
        self.rows: list[dict[str, object]] = []
        self.listings: list[pd.DataFrame] = []
        self.part = ""

    def start(self, title: str, *notes: str) -> None:
        """Begin a part."""
        self.part = title
        print(f"\n{title}", *notes, sep="\n  ")

    def row(
        self, what: str, value: object, target: str = "", met: bool | None = None,
        shipped: object = "",
    ) -> None:  # fmt: skip
        """Print and keep one figure."""
        mark = {True: "met", False: "MISSED", None: ""}[met]
        print(f"  {what:<66} {_text(value):>12} {_text(shipped):>9}  {target:<10} {mark}".rstrip())
        kept = {"value": _plain(value), "shipped": _plain(shipped), "target": target, "met": met}
        self.rows.append({"part": self.part, "what": what, **kept})

    def listing(self, what: str, frame: pd.DataFrame) -> None:
        """Print the first lines of a table of cells and keep all."""
        more = f", the first {MOST_LINES}" if len(frame) > MOST_LINES else ""
        print(f"  {what}: {len(frame)}{more}")
        if len(frame):
            print("    (" + ", ".join(frame.columns) + ")")
        for line in frame.head(MOST_LINES).itertuples(index=False):
            print("    " + "  ".join(_text(value) for value in line))
        self.listings.append(frame.assign(part=self.part, what=what))

    def table(self, frame: pd.DataFrame) -> None:
        """Print a small table."""
        print("    " + frame.to_string().replace("\n", "\n    "))

    def confusion(self, labels: np.ndarray, calls: np.ndarray, order: Sequence[str] = ()) -> None:
        """Print cells by label (rows) and call (columns), in this order where it is given."""
        table = pd.crosstab(labels, calls).rename_axis(index=None, columns=None)
        rows = [name for name in order if name in table.index] or list(table.index)
        columns = [name for name in order if name in table] or list(table)
        self.table(table.loc[rows if len(rows) == len(table) else table.index, columns])

    def write_json(self, path: Path, **more: object) -> None:
        """Write every figure, with the versions that it was computed with."""
        versions = {name: importlib.metadata.version(name) for name in PACKAGES}
        versions["python"] = platform.python_version()
        content = {"versions": versions, **more, "figures": self.rows}
        path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def write_listings(self, path: Path) -> None:
        """Write every listed cell."""
        pd.concat(self.listings or [pd.DataFrame()]).to_csv(path, index=False)


def _text(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float | np.floating) else str(value)


def _plain(value: object) -> object:
    """A number that JSON holds; None for NaN."""
    value = value.item() if isinstance(value, np.generic) else value
    return None if value != value else value
