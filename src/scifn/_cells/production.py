"""Evidence that cells transcribe interferon: counts against the background, sample by sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import evidence
from scifn._view import PanelView
from scifn.genesets import _coverage, _sets

Floats = NDArray[np.float64]

LIGANDS: Final = {"ifna": "ifn_alpha", "ifnl": "ifn_type3"}
ONE_GENE: Final = {"ifnb1": ("IFNB1", "Ifnb1"), "ifnk": ("IFNK", "Ifnk")}
OTHER: Final = ("IFNW1", "IFNE", "Ifne", "Ifnz")
#: Types that are known to be able to make type I interferon: tested together.
CANDIDATES: Final = (
    k.PDC, k.ASDC, k.DC_UNRESOLVED, k.CDC, k.MONOCYTE,
    k.KERATINOCYTE, k.FIBROBLAST, k.ENDOTHELIUM, k.EPITHELIUM,
)  # fmt: skip
#: Types that cannot, so what they hold is soup.
ABSENT: Final = (
    k.T_NK, k.B_NAIVE, k.B_MEMORY, k.B_TRANSITIONAL, k.B_ATYPICAL, k.B_UNRESOLVED,
    k.PLATELET, k.ERYTHROCYTE,
)  # fmt: skip
#: Cells of those types below which they say nothing of the soup.
MIN_ABSENT: Final = 50
#: Genes of other types that T cells hold as soup only; they teach the size of the null.
SOUP_GENES: Final = ("S100A8", "S100A9", "LYZ", "PPBP", "PF4", "HBB", "HBA1", "CD74", "IGHM")
#: Strong calls among T cells above which a sample is withheld.
NULL_FAIL: Final = 1e-4
MIN_NULL_FAIL: Final = 2
DEFAULT_CONTAMINATION: Final = 0.05


@dataclass(frozen=True)
class Soup:
    """Share of the soup that is IFNA, from empty droplets: ``umi`` of ``total``."""

    umi: float
    total: float


@dataclass(frozen=True)
class Production:
    """Columns of the step (a row a cell), samples, coverage and record."""

    columns: dict[str, Floats]
    labels: NDArray[np.object_]
    samples: pd.DataFrame
    coverage: list[dict[str, Any]]
    record: dict[str, Any]


def panel_genes(species: str = "human") -> list[str]:
    """Every gene that the step reads."""
    genes = {
        g
        for name in (*LIGANDS.values(), "ifn_type1_other")
        for g in _sets.for_species(name, species)
    }
    at = 0 if species == "human" else 1
    genes |= {pair[at] for pair in ONE_GENE.values()}
    return sorted(genes | (set(SOUP_GENES) if species == "human" else set()))


def produce(
    view: PanelView,
    types: NDArray[Any] | None,
    samples: NDArray[Any],
    *,
    soup: Soup | None = None,
    contamination: Floats | None = None,
    bulk: bool = False,
) -> Production:
    """Test every cell of every sample for IFNA transcripts above the background.

    Parameters
    ----------
    view
        Panel with UMI counts.
    types
        Cell type of each cell; None of bulk libraries.
    samples
        Sample of each cell: the soup is one sample's.
    soup
        IFNA share of empty droplets.
    contamination
        Share of each cell's UMI that is soup, with ``soup``.
    bulk
        Rows are libraries of purified cells: all are candidates, and the background is
        that of the library with the least.
    """
    sets = {
        name: _sets.for_species(name, view.species)
        for name in (*LIGANDS.values(), "ifn_type1_other")
    }
    rows = _coverage.coverage({name: genes for name, genes in sets.items() if genes}, view)
    columns = _umi(view)
    n = view.n_cells
    genes = view.found(sets["ifn_alpha"])
    if _coverage.status_of(len(genes), len(sets["ifn_alpha"])) not in {"ok", "partial"}:
        return _not_measurable(columns, n, rows, _reason(genes))
    umi = columns["ifna_umi"]
    paralogs = np.asarray((view.sparse(genes) > 0).sum(axis=1), dtype=np.int64).ravel()
    out = {
        name: np.full(n, np.nan)
        for name in ("ifna_background", "ifna_p_value", "ifna_p_adj", "ifna_posterior")
    }
    labels = np.full(n, "not_measurable", dtype=object)
    table = []
    for sample in pd.unique(samples):
        mine = np.flatnonzero(samples == sample)
        kinds = None if types is None else types[mine]
        null = _background(view, umi[mine], mine, kinds, soup, contamination, bulk)
        if null is None:
            table.append((str(sample), mine.size, np.nan, np.nan, "absent", "not_measurable"))
            continue
        found = _sample(umi[mine], paralogs[mine], view.total[mine], kinds, null)
        status = _null_status(found["label"], kinds)
        for name in out:
            out[name][mine] = found[name]
        labels[mine] = found["label"] if status == "ok" else "not_measurable"
        table.append((str(sample), mine.size, null.rate, null.size, null.source, status))
    names = ["sample", "n_cells", "background_rate", "size", "source", "status"]
    frame = pd.DataFrame(table, columns=names)
    return Production(columns | out, labels, frame, rows, _record(frame, len(genes), view))


def _umi(view: PanelView) -> dict[str, Floats]:
    """UMI of each ligand; NaN where none of its genes is a feature."""
    genes = {
        f"{name}_umi": view.found(_sets.for_species(key, view.species))
        for name, key in LIGANDS.items()
    }
    genes |= {f"{name}_umi": view.found(pair) for name, pair in ONE_GENE.items()}
    genes["ifn1_other_umi"] = view.found(OTHER)
    return {
        name: view.sum(found) if found else np.full(view.n_cells, np.nan)
        for name, found in genes.items()
    }


def _reason(genes: list[str]) -> str:
    if not genes:
        return "no IFNA gene is among the features: IFNA transcripts are not measurable (not 0)"
    return f"only {len(genes)} IFNA genes are among the features: too few to say none was found"


def _background(
    view: PanelView,
    umi: Floats,
    cells: NDArray[np.int64],
    types: NDArray[Any] | None,
    soup: Soup | None,
    contamination: Floats | None,
    bulk: bool,
) -> evidence.Background | None:
    """Null of one sample: from empty droplets, else from cells that cannot make IFNA."""
    total = view.total[cells]
    if bulk or types is None:
        rate = float(np.min((umi + evidence.HALF) / (total + 1.0)))
        return evidence.Background(rate, float("inf"), "the library with the least")
    absent = np.isin(types.astype(str), ABSENT)
    if soup is not None:
        share = (
            DEFAULT_CONTAMINATION
            if contamination is None
            else float(np.median(contamination[cells]))
        )
        rate = evidence.from_soup(soup.umi, soup.total, share)
        source = f"empty droplets, contamination {share:.3g}"
        source += " (assumed)" if contamination is None else ""
    elif absent.sum() >= MIN_ABSENT:
        rate = evidence.from_absent(umi[absent], total[absent])
        source = f"{int(absent.sum()):,} cells of types that cannot make IFNA"
    else:
        return None
    lymphoid = cells[np.isin(types.astype(str), [k.T_NK])]
    genes = view.found(SOUP_GENES)
    size = (
        evidence.learn_size(view.dense(genes)[lymphoid], view.total[lymphoid])
        if genes and lymphoid.size
        else np.inf
    )
    return evidence.Background(rate, float(size), source)


def _sample(
    umi: Floats,
    paralogs: NDArray[np.int64],
    total: Floats,
    types: NDArray[Any] | None,
    null: evidence.Background,
) -> dict[str, Any]:
    """Test, adjustment, posterior and label of the cells of one sample."""
    expected = null.expected(total)
    p = evidence.upper_tail(umi, expected, null.size)
    names = np.full(umi.size, k.PDC, dtype=object) if types is None else types
    candidate = np.isin(names.astype(str), CANDIDATES)
    tested = ~np.isin(names.astype(str), [k.DOUBLET, k.UNASSIGNED]) & (total > 0)
    adjusted = evidence.benjamini_hochberg(p, candidate & tested)
    others = evidence.benjamini_hochberg(p, ~candidate & tested)
    adjusted = np.where(candidate, adjusted, others)
    groups = np.asarray(pd.factorize(names)[0], dtype=np.int64)
    found = evidence.posterior(umi, expected, total, null.size, groups)
    label = evidence.label(umi, paralogs, adjusted)
    # a droplet of two cells, or of none that we know, cannot be attributed
    label[~tested] = "not_measurable"
    return {
        "ifna_background": expected,
        "ifna_p_value": np.where(total > 0, p, np.nan),
        "ifna_p_adj": adjusted,
        "ifna_posterior": np.where(total > 0, found, np.nan),
        "label": label,
    }


def _null_status(labels: NDArray[np.object_], types: NDArray[Any] | None) -> str:
    """Whether T cells, which make none, stay as quiet as the null says."""
    if types is None:
        return "ok"
    lymphoid = types == k.T_NK
    strong = int((labels[lymphoid] == "strong").sum())
    if strong >= MIN_NULL_FAIL and strong > NULL_FAIL * lymphoid.sum():
        return "ifna_null_fail"
    return "ok"


def _record(samples: pd.DataFrame, n_genes: int, view: PanelView) -> dict[str, Any]:
    notes = []
    withheld = samples.loc[samples["status"] == "ifna_null_fail", "sample"]
    if len(withheld):
        notes.append(
            f"calls withheld in {', '.join(withheld)}: T cells, which make no IFNA, carry it "
            "above the background, so the background is wrong"
        )
    if (samples["source"] == "absent").any():
        notes.append(
            "no background could be estimated in some samples (no empty droplets, and fewer than "
            f"{MIN_ABSENT} cells that cannot make IFNA): not measurable there"
        )
    return {
        "status": "ok" if (samples["status"] == "ok").any() else "not_measurable",
        "reason": "",
        "n_ifna_genes": n_genes,
        "q": evidence.Q,
        "notes": "\n".join(notes),
        "wording": "evidence of IFNA transcription; zero does not exclude secretion",
    }


def _not_measurable(
    columns: dict[str, Floats], n: int, rows: list[dict[str, Any]], reason: str
) -> Production:
    nan = {
        name: np.full(n, np.nan)
        for name in ("ifna_background", "ifna_p_value", "ifna_p_adj", "ifna_posterior")
    }
    columns = columns | {"ifna_umi": np.full(n, np.nan)} | nan
    labels = np.full(n, "not_measurable", dtype=object)
    samples = pd.DataFrame(
        columns=["sample", "n_cells", "background_rate", "size", "source", "status"]
    )
    record = {
        "status": "not_measurable",
        "reason": reason,
        "n_ifna_genes": 0,
        "q": evidence.Q,
        "notes": reason,
        "wording": "evidence of IFNA transcription; zero does not exclude secretion",
    }
    return Production(columns, labels, samples, rows, record)
