"""The measured figures that cohorts are drawn from, as arrays.

The files in ``data/`` are written by ``benchmarks/make_profiles.py``; their sources stand in
``data/README.md``. This module only reads them, with the standard library, once.
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Genes whose mean log2 fold change defines the unit of ``effects["response"]``: the pan-leukocyte
#: interferon-stimulated genes (gene set isg_sc_pan).
RESPONSE_GENES = (
    "ISG15", "IFI6", "LY6E", "MX1", "IFI44L", "IFIT3", "XAF1", "OAS1", "EPSTI1", "EIF2AK2",
    "IFITM1", "ISG20", "SAMD9L", "DDX60",
)  # fmt: skip

#: A pDC that transcribes interferon; no donor has a share of it, pDC are turned into it.
PRODUCING = "pDC producing"


@dataclass(frozen=True)
class Profiles:
    """Expression by state of a cell; a state is a cell type or a part of one."""

    genes: tuple[str, ...]
    states: tuple[str, ...]
    cell_types: tuple[str, ...]  # of each state
    share: Floats  # (states,) of all cells of a healthy donor
    log_sd: Floats  # (states,) of the share, between donors
    rna: Floats  # (states,) mean UMI relative to the mean cell
    base: Floats  # (states, genes) unstimulated, rows sum to 1
    response: Floats  # (states, genes) log2 fold by 6 h of interferon-beta
    full_response: float  # mean log2 fold of RESPONSE_GENES at that stimulation
    ligands: Floats  # (genes,) interferon UMI per UMI of a producing cell
    cv: Floats  # (genes,) variation between cells beyond Poisson
    invented: tuple[str, ...]  # what no data measured, one sentence each

    def gene(self, name: str) -> int:
        """Column of a gene."""
        return self.genes.index(name)

    def state(self, name: str) -> int:
        """Row of a state."""
        return self.states.index(name)


def _text(name: str) -> str:
    raw = files("scifn.datasets").joinpath("data", name).read_bytes()
    return (gzip.decompress(raw) if name.endswith(".gz") else raw).decode()


def _table(name: str) -> tuple[list[str], list[str], Floats]:
    """Row names, column names and numbers of a CSV whose first column holds names."""
    head, *rows = csv.reader(io.StringIO(_text(name)))
    values = np.array([row[1:] for row in rows], dtype=np.float64)
    return [row[0] for row in rows], head[1:], values


@cache
def load() -> Profiles:
    """Read the figures (once)."""
    genes, states, base = _table("profiles.csv.gz")
    _, _, response = _table("response.csv.gz")
    _, columns, per_gene = _table("genes.csv.gz")
    info = list(csv.DictReader(io.StringIO(_text("states.csv"))))
    if [row["state"] for row in info] != states:
        msg = (
            "states.csv and profiles.csv.gz name different states; run benchmarks/make_profiles.py"
        )
        raise RuntimeError(msg)
    per = dict(zip(columns, per_gene.T, strict=True))
    share, log_sd, rna = (np.array([float(r[k]) for r in info]) for k in ("share", "log_sd", "rna"))
    pdc = states.index("pDC")
    fold = response.T
    # rows of the producing pDC: virus moved it already, so that interferon does not move it again
    profile = np.vstack([base.T, base[:, pdc] * 2.0 ** per["producing_log2"]])
    return Profiles(
        genes=tuple(genes),
        states=(*states, PRODUCING),
        cell_types=(*(row["cell_type"] for row in info), info[pdc]["cell_type"]),
        share=np.append(share / share.sum(), 0.0),
        log_sd=np.append(log_sd, 0.0),
        rna=np.append(rna, rna[pdc]) * share.sum() / float(share @ rna),
        base=profile / profile.sum(axis=1, keepdims=True),
        response=np.vstack([fold, np.zeros(len(genes))]),
        full_response=_full_response(genes, states, fold),
        ligands=per["producing_rate"] / 1e4,
        cv=per["cv"],
        invented=tuple(_text("invented.txt").splitlines()),
    )


def _full_response(genes: list[str], states: list[str], fold: Floats) -> float:
    """Mean over the response genes, then over measured states of equal weight."""
    columns = [genes.index(g) for g in RESPONSE_GENES]
    rows = [states.index(s) for s in ("CD4 naive T", "CD8 T", "NK", "CD14 Mono", "cDC", "B naive")]
    return float(fold[np.ix_(rows, columns)].mean())
