"""Make the table of expected expression that cells are identified by.

Reads the mean expression of CITE-seq typed cord blood cells (13 types, from
``$SCIFN_DATA`` or ``../shared/data``), labelled B cells of childhood lupus (how
memory and DN2 cells differ from naive ones), and the marker knowledge beside this
script; writes ``src/scifn/_cells/data/identity.csv`` (UMI per 10,000 of each
component) and prints what came from where. A benchmark that tests on those B cells
makes its table without them (:func:`build`); nothing else that the benchmarks test
on is read. One choice has seen them all the same: the list ``HANDLING`` was drawn
up after simulated dendritic cells, whose profile is that of GSE96583, had been
taken for monocytes by their culture genes. Figures for dendritic cells on those
data are therefore not independent.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Collection
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse

from scifn.genesets import _sets
from scifn.genesets._ids import approved

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("SCIFN_DATA", ROOT.parent / "shared" / "data"))
OUT = ROOT / "src" / "scifn" / "_cells" / "data" / "identity.csv"
PER_COMPONENT = 60
FLOOR = 0.02
#: Sets that move with interferon: none of their genes identifies a cell.
INTERFERON = (
    "isg_sc_pan", "isg_type1_core", "isg_type2_leaning", "isg_shared", "hallmark_ifna",
    "hallmark_ifng", "mod_M1_2", "mod_M3_4", "mod_M5_12", "pdc_excluded_isg",
    "pdc_activation", "pdc_dissociation_stress", "glucocorticoid_response",
)  # fmt: skip
#: Genes of culture, iron and NF-kB: they tell how a cell was handled, not what it is.
HANDLING = (
    "CXCL8", "IL8", "CXCL2", "CXCL3", "CCL2", "CCL3", "CCL4", "CCL7", "IL1A", "IL1B", "IL6", "TNF",
    "HMOX1", "FTH1", "FTL", "PLAUR", "G0S2", "NFKBIA", "NFKBIZ", "TNFAIP3", "BIRC3", "SOD2",
    "PTGS2", "IER3", "IER5", "DUSP2", "MAP3K8", "MT1X", "MT2A", "MT1E", "MT1G", "SPP1", "KLF6",
    "NEAT1", "HSPB1", "NAMPT", "THBS1", "EREG", "CD44", "ZFP36", "HSPA5", "HSP90B1",
)  # fmt: skip
#: Known to rise with interferon, and in none of those sets.
ALSO_INTERFERON = ("CALHM6", "PLAAT4", "MNDA", "PLAC8", "APOBEC3A", "CGAS", "TLR7", "MYD88")
#: In the Hallmark sets, yet no response of B cells to type I interferon: -0.4 log2 in the B cells
#: of GSE96583 after six hours of IFN-beta. The gene that tells naive from memory B cells best.
NOT_MOVING = ("IL4R",)
#: Light chains and what is read with them: differ between donors, and between plasma and B cells.
LIGHT_CHAINS = re.compile(r"^(IGL|IGK)")
#: HLA genes are left out (they differ between people, and rise with interferons), but for those of
#: class II that hardly vary and are in none of the sets above: what tells B and dendritic cells
#: from all others. In GSE96583 six hours of IFN-beta change them by less than 0.5 log2 in any
#: type; that they matter was seen there, too.
CLASS_II = ("HLA-DPA1", "HLA-DPB1", "HLA-DRA")
#: Labelled B cells, and the component that each label is compared for with the naive one.
B_CELLS = "csle_bcells_neharbelaid"
B_LABELS = {"B memory": "Memory", "B atypical": "DN2"}
#: Log fold (natural) of a gene between two subsets: spread over genes of which nothing is known,
#: around what marker knowledge states, and between data. These cells themselves say so, by maximum
#: likelihood: 0.39 to 0.44 over the genes of the table; 0.86 (memory) and 1.13 (DN2) around
#: knowledge; 0.05 to 0.22 between halves of the donors, of which the upper end is taken.
FOLD_SD, KNOWN_SD, DATA_SD = 0.4, 1.0, 0.2
#: Of DN2 cells there are 35, a cluster of children's cells, while what is stated of them was
#: measured on sorted ones: knowledge stands, and of other genes less is believed.
SPREADS = {"B memory": (FOLD_SD, KNOWN_SD, DATA_SD), "B atypical": (0.3, 0.05, 0.3)}
#: Clone names of old annotations: later ones number these transcripts anew.
CLONES = re.compile(r"^(RP\d+|CT[ABCD]|A[CLP]\d{6}|LL\w+)[-.]")
#: Sets whose genes are in the table whatever they discriminate.
IDENTITY = (
    "pdc_identity_core", "pdc_identity_support", "asdc_veto", "neg_b", "neg_plasma", "neg_t_nk",
    "neg_mono_cdc", "neg_hspc", "neg_baso_mast", "b_pan", "b_transitional", "b_naive", "b_memory",
    "b_abc_dn2", "b_abc_dn2_neg", "plasmablast", "plasma", "mark_platelet", "mark_erythrocyte",
)  # fmt: skip


def reference() -> pd.DataFrame:
    """UMI per 10,000 of the measured types; rows are approved symbols."""
    mean = pd.read_csv(DATA / "ref_cbmc_citeseq_13types.csv.gz", index_col=0)
    names = approved([str(name) for name in mean.index], "human")
    mean.index = [names.get(name, name) for name in mean.index]
    return np.expm1(mean[~mean.index.duplicated()])


def discriminating(rates: pd.DataFrame, groups: dict[str, str]) -> set[str]:
    """Genes that tell each component from the nearest other one, and from the others' mean."""
    logs = np.log2(rates + 0.2)
    chosen: set[str] = set()
    for name in rates:
        others = [other for other in rates if groups[other] != groups[name]]
        weight = np.sqrt(rates[name] + 0.05)
        nearest = (logs[name] - logs[others].max(axis=1)) * weight
        average = (logs[name] - logs[others].mean(axis=1)) * weight
        chosen |= set(nearest.nlargest(PER_COMPONENT).index)
        chosen |= set(average.nlargest(PER_COMPONENT // 2).index)
    return chosen


def fold_of(
    cells: np.ndarray, naive: np.ndarray, expected: np.ndarray, spread: np.ndarray, data_sd: float
) -> np.ndarray:
    """Log folds of gene sums against those of naive cells, shrunken towards what is expected."""
    n_cells, n_naive = cells.sum(), naive.sum()
    fold = np.log((cells + 1) / n_cells) - np.log((naive + n_naive / n_cells) / n_naive)
    variance = 1 / (cells + 1) + 1 / (naive + 1) + data_sd**2
    return expected + (fold - expected) * spread**2 / (spread**2 + variance)


def learn_subsets(base: pd.DataFrame, known: set[str]) -> list[str]:
    """Memory and DN2 B cells differ from naive ones as labelled cells do; in place.

    Of the genes in ``known`` what marker knowledge states is expected; of others, that a memory
    cell is like a naive one, and a DN2 cell like a memory one. Returns the genes that were changed.
    """
    adata = ad.read_h5ad(DATA / f"{B_CELLS}.h5ad")
    names = approved([str(name) for name in adata.var_names], "human")
    genes = pd.Index([names.get(str(name), str(name)) for name in adata.var_names])
    counts = sparse.csr_matrix(adata.X)
    label = adata.obs["cell_type"].astype(str).to_numpy()
    naive = np.asarray(counts[label == "Naive"].sum(axis=0), dtype=float).ravel()
    there = genes.isin(base.index) & ~genes.duplicated()
    learned = [gene for gene in genes[there] if not LIGHT_CHAINS.match(gene)]
    stated = genes.isin(known) & there
    folds = np.zeros(genes.size)
    for component, wanted in B_LABELS.items():
        cells = np.asarray(counts[label == wanted].sum(axis=0), dtype=float).ravel()
        state = base.loc[genes[stated]]
        folds[stated] = np.log(state[component] / state["B naive"])
        fold_sd, known_sd, data_sd = SPREADS[component]
        folds = fold_of(cells, naive, folds, np.where(stated, known_sd, fold_sd), data_sd)
        by_gene = pd.Series(folds[there], index=genes[there])[learned]
        base.loc[learned, component] = base.loc[learned, "B naive"] * np.exp(by_gene)
    return learned


def table(knowledge: dict, rates: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Components x genes with the genes that came from knowledge."""
    components = list(knowledge["priors"])
    base = pd.DataFrame(index=rates.index)
    for name in components:
        if name in knowledge["measured"]:
            base[name] = rates[knowledge["measured"][name]].mean(axis=1)
        else:
            mixture = knowledge["derived"][name]
            base[name] = sum(rates[column] * share for column, share in mixture.items())
    known = sorted(
        {gene for values in knowledge["rates"].values() for gene in values}
        | set(knowledge["background"])
    )
    expert = []
    for gene in known:
        if gene not in base.index:
            base.loc[gene] = knowledge["background"].get(gene, FLOOR)
            expert.append(gene)
            for name, value in knowledge["corrections"].get(gene, {}).items():
                base.loc[gene, name] = value
        for name, values in knowledge["rates"].items():
            measured_there = name in knowledge["measured"] and gene not in expert
            if gene in values and not measured_there:
                base.loc[gene, name] = values[gene]
    return base, expert


def build(without: Collection[str] = ()) -> pd.DataFrame:
    """The identity table (genes x components, UMI per 10,000), without the data files named."""
    knowledge = tomllib.loads((ROOT / "benchmarks" / "identity_knowledge.toml").read_text())
    rates = reference()
    base, expert = table(knowledge, rates)
    groups = {name: name.split()[0] if name[0] in "TM" else name for name in base}
    groups |= {name: "B" for name in base if name.startswith("B ")} | {"NK": "T"}
    sets = _sets.all_sets()
    moving = {gene for name in INTERFERON for gene in sets[name].genes} - set(NOT_MOVING)
    measured = [name for name in base if name in knowledge["measured"]] + ["B naive"]
    keep = discriminating(base.drop(index=expert)[measured], groups)
    keep |= {gene for name in IDENTITY for gene in sets[name].genes} | set(expert) | set(CLASS_II)
    keep = {
        gene
        for gene in keep
        if gene in base.index
        and gene not in moving
        and gene not in HANDLING
        and gene not in ALSO_INTERFERON
        and not CLONES.match(gene)
        and (not gene.startswith(("RPL", "RPS", "MT-", "HLA-")) or gene in CLASS_II)
    }
    out = base.loc[sorted(keep)]
    if B_CELLS not in without:
        learned = learn_subsets(out, set(knowledge["rates"]["B memory"]))
        print(f"folds of memory and DN2 B cells learned from {B_CELLS}: {len(learned)} genes")
    out = out.clip(lower=FLOOR / 4).round(3)
    out.index.name = "gene"
    print(
        f"{len(out)} genes x {out.shape[1]} components; genes from knowledge alone: {len(expert)}"
    )
    print("measured components:", ", ".join(knowledge["measured"]))
    return out


def main() -> None:
    OUT.parent.mkdir(exist_ok=True)
    build().to_csv(OUT)


if __name__ == "__main__":
    main()
