"""What each cell is: the table, the rules on hand-made cells, labels and clusters, real cells.

Hand-made cells hold what a type is expected to hold at 5,000 UMI, rounded, then edited gene by
gene; what the identity genes leave over lies on genes that say nothing.
"""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    roc_auc_score,
)

import scifn
from scifn import _keys as k
from scifn import genesets, tl
from scifn._cells import annotate as model
from scifn._cells import grouping, identity, mixture, second, shown
from scifn._cells.clusters import consensus
from scifn._cells.likelihood import LOG_STEP
from scifn._cells.profiles import (
    COMPONENTS,
    DOUBLET_PAIRS,
    DOUBLET_RATE,
    Components,
    components,
)
from scifn._errors import ArgumentError
from scifn._view import read

TABLE = components()
DEPTH = 5000
RESPONSE = ["ISG15", "IFI6", "LY6E", "MX1", "BST2", "IRF7", "IFIT3", "STAT1"]
PANEL = model.panel_genes("human")
GENES = [
    *PANEL,
    *(gene for gene in RESPONSE if gene not in PANEL),
    *(f"FILLER{i}" for i in range(5000)),
]
AT = {gene: i for i, gene in enumerate(GENES)}
#: Genes that pDC share with AS-DC, silenced where one gene alone is to speak.
QUIET = dict.fromkeys(genesets.load("asdc_veto"), 0)


SUPPORT = genesets.load("pdc_identity_support")


def cell(name, depth=DEPTH, /, **edits):
    """Expected UMI of a component, rounded; ``edits`` set genes ("-" in a symbol is "_")."""
    out = np.zeros(len(GENES))
    rates = TABLE.rates[:, TABLE.names.index(name)]
    out[[AT[gene] for gene in TABLE.genes]] = np.rint(rates * depth)
    for gene, value in edits.items():
        out[AT[gene.replace("_", "-")]] = value
    left = int(depth - out.sum())
    out[-5000:] += np.bincount(np.arange(max(left, 0)) % 5000, minlength=5000)
    return out


def annotated(*cells, genes=GENES, **options):
    """obs after tl.annotate of these cells."""
    matrix = sparse.csr_matrix(np.array(cells, dtype=np.float32))
    obs = options.pop("obs", None)
    index = [f"c{i}" for i in range(len(cells))]
    obs = pd.DataFrame(index=index) if obs is None else pd.DataFrame(obs, index=index)
    adata = ad.AnnData(matrix, obs, pd.DataFrame(index=list(genes)))
    tl.annotate(adata, **options)
    return adata


def calls(*cells, column=k.CELL_TYPE, **options):
    return annotated(*cells, **options).obs[column].astype(str).tolist()


# --- the table ---------------------------------------------------------------


def test_no_gene_of_the_table_moves_with_interferon():
    moving = {
        gene
        for name in (
            "isg_sc_pan", "isg_type1_core", "isg_type2_leaning", "isg_shared", "hallmark_ifna",
            "hallmark_ifng", "mod_M1_2", "mod_M3_4", "mod_M5_12", "pdc_excluded_isg",
        )
        for gene in genesets.load(name)
    }  # fmt: skip
    assert len(moving) > 250
    # in the Hallmark sets, yet no response of B cells (see benchmarks/make_identity.py)
    assert moving & set(TABLE.genes) == {"IL4R"}
    assert "CD38" not in TABLE.genes
    assert not {"IRF7", "BST2", "TNFSF10", "LY6E", "IFITM3"} & set(TABLE.genes)


def test_every_component_is_expected_to_show_something_of_every_gene():
    assert (TABLE.rates > 0).all()
    assert np.isfinite(TABLE.rates).all()
    assert (TABLE.rates.sum(axis=0) < 1).all()
    np.testing.assert_allclose(TABLE.priors.sum(), 1.0)
    assert len(set(TABLE.genes)) == len(TABLE.genes)
    assert TABLE.names[: len(COMPONENTS)] == tuple(COMPONENTS)


def test_a_doublet_is_the_mean_of_its_halves():
    for pair in DOUBLET_PAIRS:
        halves = [TABLE.rates[:, TABLE.names.index(name)] for name in pair]
        mixed = TABLE.rates[:, TABLE.names.index(" + ".join(pair))]
        np.testing.assert_allclose(mixed, (halves[0] + halves[1]) / 2)


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("pdc_identity_core", "pDC"),
        ("neg_t_nk", None),
        ("neg_hspc", "HSPC"),
        ("neg_baso_mast", "Basophil/Mast"),
        ("neg_plasma", "Plasma"),
        ("b_pan", "B naive"),
        ("b_abc_dn2", "B atypical"),
        ("asdc_veto", "AS-DC"),
    ],
)
def test_genes_of_a_set_are_in_the_table_and_say_what_the_set_says(name, component):
    in_table = [gene for gene in genesets.load(name) if gene in TABLE.genes]
    assert len(in_table) >= 0.75 * len(genesets.load(name))
    if component is not None:
        rows = TABLE.rates[[TABLE.genes.index(gene) for gene in in_table], : len(COMPONENTS)]
        top = np.array(TABLE.names)[rows.sum(axis=0).argmax()]
        assert COMPONENTS[top][0] == COMPONENTS[component][0] or name in {"b_pan", "neg_plasma"}
        own = rows[:, TABLE.names.index(component)]
        assert np.mean(own > np.median(rows, axis=1)) >= 0.75


# --- rules on hand-made cells --------------------------------------------------


@pytest.mark.parametrize("name", list(COMPONENTS))
def test_a_typical_cell_of_each_type_is_called_so(name):
    obs = annotated(cell(name)).obs.iloc[0]
    kind = COMPONENTS[name][0]
    assert obs[k.CELL_TYPE] == kind
    assert obs[k.LINEAGE] == k.LINEAGE_OF[kind]
    assert obs[k.CONFIDENCE] > 0.9
    assert obs[k.PDC_CALL] == {"pDC": "pDC", "AS-DC": "AS-DC"}.get(kind, "not_pDC")


def test_asdc_needs_axl_or_siglec6_and_two_others():
    plain = cell("pDC", **{**QUIET, "AXL": 1})
    axl = cell("pDC", **{**QUIET, "AXL": 2})
    one = cell("pDC", **{**QUIET, "SIGLEC6": 2, "PPP1R14A": 3})
    two = cell("pDC", **{**QUIET, "AXL": 2, "PPP1R14A": 3, "DAB2": 2})
    others = cell("pDC", **{**QUIET, "PPP1R14A": 3, "DAB2": 2, "CD22": 1})
    cells = (plain, axl, one, two, others)
    want = ["pDC", "pDC_ambiguous", "pDC_ambiguous", "AS-DC", "pDC"]
    assert calls(*cells, column=k.PDC_CALL) == want
    kinds = ["pDC", "DC unresolved", "DC unresolved", "AS-DC", "pDC"]
    assert calls(*cells) == kinds


def test_a_pdc_shows_two_genes_of_its_own_or_four_that_it_has_in_common_with_few():
    none = dict.fromkeys([*genesets.load("pdc_identity_core"), *SUPPORT], 0)
    three = dict.fromkeys(SUPPORT[:3], 2)
    four = {**three, SUPPORT[3]: 1}
    cells = (
        cell("pDC", **QUIET, **none),
        cell("pDC", **{**QUIET, **none, **three}),
        cell("pDC", 4000, **{**QUIET, **none, **four}),
        # deep cells of many a type show four of the second tier
        cell("pDC", 6000, **{**QUIET, **none, **four}),
        cell("pDC", **{**QUIET, **none, "LILRA4": 3}),
        cell("pDC", **{**QUIET, **none, "LILRA4": 3, SUPPORT[0]: 1, SUPPORT[1]: 1}),
        cell("pDC", **{**QUIET, **none, "LILRA4": 3, "CLEC4C": 1}),
    )
    found = annotated(*cells).obs
    unsure = "pDC_ambiguous"
    want = [unsure, unsure, "pDC", unsure, unsure, "pDC", "pDC"]
    assert found[k.PDC_CALL].tolist() == want
    assert found[k.CELL_TYPE].tolist() == [
        "pDC" if call == "pDC" else "DC unresolved" for call in want
    ]


def names(codes, vocabulary=k.CELL_TYPES):
    """Labels of codes."""
    return [vocabulary[code] for code in codes]


def test_what_is_won_by_asdc_without_its_genes_is_no_pdc():
    """A myeloid cell that resembles the mean of pDC and cDC more than either."""
    evidence = mixture.Evidence(
        types=("pDC", "AS-DC", "cDC"),
        posterior=np.array([[0.0, 1.0, 0.0], [0.9, 0.1, 0.0]]),
        log_odds_pdc=np.array([-30.0, 12.0]),
        pdc_half=np.zeros(2, dtype=bool),
        breg_log_odds=np.full(2, np.nan),
        enough=np.ones(2, dtype=bool),
    )
    called, _ = identity.labels(evidence)
    assert names(called) == ["AS-DC", "pDC"]
    counts = {name: np.full(2, 5.0) for name in ("core", "support")}
    counts |= {name: np.zeros(2) for name in ("axl_siglec6", "asdc_other")}
    call, kind = identity.pdc_calls(
        called, evidence, **counts, depth=np.full(2, 2e4), asdc_odds=np.full(2, -3.0),
        foreign=np.zeros(2, dtype=bool), measurable=True,
    )  # fmt: skip
    assert names(call, k.PDC_CALLS) == ["not_pDC", "pDC"]
    assert names(kind) == ["DC unresolved", "pDC"]


def test_a_pdc_that_shows_another_lineage_beyond_ambient_rna_is_ambiguous():
    """The same cell twice, one with what four times the usual soup does not explain."""
    t_cell = {"CD3D": 12, "CD3E": 10, "TRAC": 12, "CD3G": 6}
    some = dict.fromkeys(t_cell, 1)
    counts = sparse.csr_matrix([cell("pDC", **QUIET, **some), cell("pDC", **QUIET, **t_cell)])
    view = read(ad.AnnData(counts, var=pd.DataFrame(index=GENES)), model.panel_genes("human"))
    tally = shown.Tally(view, TABLE)
    assert tally.foreign(np.arange(2)).tolist() == [False, True]
    evidence = mixture.Evidence(
        types=("pDC", "T/NK"),
        posterior=np.array([[0.9, 0.1]] * 2),
        log_odds_pdc=np.full(2, 9.0),
        pdc_half=np.zeros(2, dtype=bool),
        breg_log_odds=np.full(2, np.nan),
        enough=np.ones(2, dtype=bool),
    )
    called, _ = identity.labels(evidence)
    none = dict.fromkeys(("axl_siglec6", "asdc_other"), np.zeros(2))
    call, kind = identity.pdc_calls(
        called, evidence, core=np.full(2, 5.0), support=np.full(2, 5.0), depth=np.full(2, 5e3),
        asdc_odds=np.full(2, -9.0), foreign=tally.foreign(np.arange(2)), measurable=True, **none,
    )  # fmt: skip
    assert names(call, k.PDC_CALLS) == ["pDC", "pDC_ambiguous"]
    assert names(kind) == ["pDC", "DC unresolved"]


@pytest.mark.parametrize("odds", [-1.0, 1.0])
def test_another_lineage_or_a_second_cell_makes_a_pdc_ambiguous(monkeypatch, odds):
    """Each by itself, in the step as a whole: the second cell is as likely as the test says."""
    t_cell = {"CD3D": 7, "CD3E": 6, "TRAC": 7, "CD3G": 4}
    rows = [cell("pDC", **QUIET, **dict.fromkeys(t_cell, 0)), cell("pDC", **QUIET, **t_cell)]
    counts = sparse.csr_matrix(rows)
    monkeypatch.setattr(
        second, "second_cell", lambda values, *_, **__: np.full(values.shape[0], odds)
    )
    view = read(ad.AnnData(counts, var=pd.DataFrame(index=GENES)), model.panel_genes("human"))
    found = list(model.annotate(view, table=TABLE).pdc_call)
    assert found == ["pDC" if odds < 0 else "pDC_ambiguous", "pDC_ambiguous"]


def drawn(name, other, share, n=20, depth=DEPTH):
    """Drawn pDC of which another cell makes up a share, without the short lists of that one."""
    rates = dict(zip(TABLE.names, mixture.expected(TABLE).T, strict=True))
    means = depth * ((1 - share) * rates[name] + share * rates[other])
    counts = np.random.default_rng(0).poisson(means, size=(n, means.size)).astype(float)
    listed = {gene for genes in shown.FOREIGN.values() for gene in genes}
    counts[:, [gene in listed for gene in TABLE.genes]] = 0
    return sparse.csr_matrix(counts), np.full(n, float(depth))


@pytest.mark.parametrize("other", ["T CD4", "Monocyte CD14", "B naive"])
def test_a_second_cell_is_seen_without_the_genes_of_the_short_lists(other):
    counts, depth = drawn("pDC", other, 0.5)
    assert (second.second_cell(counts, depth, TABLE, whole=True) > 0).mean() >= 0.9
    alone, depth = drawn("pDC", other, 0.0)
    assert (second.second_cell(alone, depth, TABLE, whole=True) < -2).all()


def test_a_pdc_that_lost_its_genes_holds_no_second_cell():
    counts, depth = drawn("pDC", "pDC", 0.0)
    mine = (TABLE.rates[:, TABLE.names.index("pDC")] > 5 * TABLE.blood()).astype(float)
    assert mine.sum() > 20
    less = sparse.csr_matrix(np.floor(counts.toarray() * np.where(mine, 0.3, 1.0)))
    assert (second.second_cell(less, depth, TABLE, whole=True) < -2).all()


def test_odds_of_a_second_cell_by_scipy():
    """One other cell, two genes of which it has more, one of which it has less."""
    names = ("pDC", *second.PARTNERS)
    rates = np.full((3, len(names)), 1e-4)
    rates[:, 0] = 1e-3, 1e-3, 8e-3
    rates[:, 1] = 9e-3, 4e-3, 1e-3
    small = Components(
        ("A", "B", "C"), names, names, np.full(len(names), 1 / len(names)), rates,
        ((),) * len(names),
    )  # fmt: skip
    mean = 2000 * mixture.expected(small)[:2]
    counts = np.array([[11.0, 6.0, 3.0]])

    def log(of):
        return stats.nbinom.logpmf(counts[0, :2], 1.0, 1.0 / (1.0 + of)).sum()

    mixed = [(1 - share) * mean[:, 0] + share * mean[:, 1] for share in second.SHARES]
    odds = np.mean(np.exp([log(of) - log(mean[:, 0]) for of in mixed]))
    want = np.log(odds * DOUBLET_RATE / len(names))
    # the depth shared by cells within two percent
    depth = np.array([np.exp(np.rint(np.log(2000) / LOG_STEP) * LOG_STEP)])
    found = second.second_cell(sparse.csr_matrix(counts), depth, small, whole=True)
    assert found == pytest.approx([want], abs=0.03)


def test_a_pdc_with_a_second_cell_is_ambiguous():
    t_cell = dict.fromkeys(["IL7R", "LDHB", "IL32", "CCR7", "LEF1", "CD27", "TRBC1", "LTB"], 9)
    assert calls(cell("pDC", **QUIET), column=k.PDC_CALL) == ["pDC"]
    here = {gene: n for gene, n in t_cell.items() if gene in TABLE.genes}
    found = calls(cell("pDC", **QUIET, **here), column=k.PDC_CALL)
    assert found == ["pDC_ambiguous"]


@pytest.mark.parametrize("depth", [2000, 9000, 20_000])
def test_single_umi_of_asdc_genes_undo_no_deep_pdc(depth):
    """One UMI each of AXL, DAB2 and CX3CR1: expected of a deep pDC, and of no shallow one."""
    odd = cell("pDC", depth, **{**QUIET, "AXL": 1, "DAB2": 1, "CX3CR1": 1})
    assert calls(odd, column=k.PDC_CALL) == ["AS-DC" if depth == 2000 else "pDC"]


def test_activated_b_cells_are_not_atypical_without_a_gene_of_those():
    own = shown.OWN["B atypical"]
    activated = {"CD83": 20, "MIR155HG": 8, "DUSP4": 8, "EMP3": 30}
    edits = {**dict.fromkeys(own, 0), **{gene: n for gene, n in activated.items() if gene in AT}}
    found = calls(cell("B atypical", **edits), cell("B atypical"))
    assert found[0] in {"B memory", "B naive", "B unresolved"}
    assert found[1] == "B atypical"


def test_a_t_cell_shows_a_gene_of_t_or_nk_cells_or_is_clear():
    few = np.zeros(len(GENES))
    few[[AT[gene] for gene in ("TMSB4X", "ACTB", "CD74")]] = 10
    few[-5000:] = 0
    some = few.copy()
    some[AT["CD3D"]] = 1
    assert calls(few, some) == ["Unassigned", "T/NK"]


def test_a_label_makes_no_call_surer_and_what_transcripts_say_is_told():
    obs = {"mine": ["T/NK", "T/NK"]}
    adata = annotated(cell("pDC", **QUIET), cell("T CD4"), obs=obs, labels="mine")
    assert adata.obs[k.CELL_TYPE].tolist() == ["T/NK", "T/NK"]
    assert adata.obs[k.CONFIDENCE].iloc[0] < 0.1 < 0.9 < adata.obs[k.CONFIDENCE].iloc[1]
    table = adata.uns["scifn"]["annotate"]["label_disagreement"]
    rows = table.set_index("cell_type")["status"].to_dict()
    assert rows == {"pDC": "differs", "T/NK": "agrees"}


def test_labels_that_bind_nothing_are_named():
    obs = {"mine": ["T cells", "Keratinocyte", None]}
    adata = annotated(*[cell("T CD4")] * 3, obs=obs, labels="mine")
    notes = adata.uns["scifn"]["annotate"]["notes"]
    assert "labels without a place bind nothing: 'T cells', 'nan'" in notes
    assert "'Keratinocyte': the model holds blood cells only" in notes
    assert adata.uns["scifn"]["annotate"]["label_disagreement"]["n_cells"].sum() == 3
    with pytest.raises(ArgumentError, match="needed: a dict"):
        annotated(cell("T CD4"), obs={"mine": ["x"]}, labels="mine", mapping="B")


def test_a_cell_of_which_nothing_is_seen_is_na_and_not_not_a_pdc():
    empty = np.zeros(len(GENES))
    found = annotated(empty, cell("T CD4")).obs
    assert found[k.PDC_CALL].tolist() == ["NA", "not_pDC"]
    assert found[k.BREG_KIND].tolist() == ["NA", "none"]
    assert found[k.IL10_UMI].isna().tolist() == [True, False]
    assert found[k.CONFIDENCE].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("HSPC", shown.OWN["HSPC"]),
        ("Basophil/Mast", shown.OWN["Basophil/Mast"]),
        ("Platelet", shown.OWN["Platelet"]),
        ("Erythrocyte", shown.OWN["Erythrocyte"]),
        ("Plasma", shown.OWN["Plasma"]),
    ],
)
def test_a_rare_type_shows_two_genes_of_its_own(name, own):
    """However much the rest of a cell resembles one, and however deep it is."""
    silent = dict.fromkeys([gene for gene in own if gene in AT], 0)
    first = next(gene for gene in own if gene in AT)
    found = calls(cell(name, 20_000), cell(name, 20_000, **{**silent, first: 9}))
    kinds = {name, "Plasmablast"} if name == "Plasma" else {name}
    assert found[0] in kinds
    assert found[1] not in kinds


@pytest.mark.parametrize(
    ("name", "edits", "kind"),
    [
        ("Plasma", {"JCHAIN": 200, "MZB1": 60, "TCF4": 4, "DERL3": 20, "IRF4": 5}, "Plasma"),
        ("Plasma", {"IL3RA": 1, "TCF4": 6, "SPIB": 2, "GZMB": 3}, "Plasma"),
        ("Basophil/Mast", {"IL3RA": 8, "CLEC4C": 1}, "Basophil/Mast"),
        ("HSPC", {"IL3RA": 3, "TCF4": 3, "IRF8": 3, "BCL11A": 4}, "HSPC"),
        ("B transitional", {"TCL1A": 25, "PLD4": 8, "SPIB": 4, "TCF4": 3}, "B transitional"),
        ("B naive", {"TCL1A": 25, "PLD4": 4, "SPIB": 4, "IRF8": 6, "BCL11A": 4}, "B naive"),
        ("B memory", {"GZMB": 5, "TCF4": 3, "SPIB": 3}, "B memory"),
        ("Monocyte CD14", {"SERPINF1": 2, "IRF8": 4, "NRP1": 2}, "Monocyte"),
    ],
)
def test_cells_that_share_genes_with_pdc_are_not_pdc(name, edits, kind):
    obs = annotated(cell(name, **edits)).obs.iloc[0]
    assert obs[k.CELL_TYPE] == kind
    assert obs[k.PDC_CALL] == "not_pDC"
    assert obs[k.PDC_SCORE] < 0


def test_plasma_rich_samples_give_no_pdc():
    rng = np.random.default_rng(0)
    plasma = np.array([cell("Plasma"), cell("Plasmablast")])
    cells = rng.poisson(np.repeat(plasma, 100, axis=0) * rng.uniform(0.3, 1.5, (200, 1)))
    found = annotated(*cells).obs
    assert found[k.PDC_CALL].isin(["not_pDC"]).all()
    assert found[k.CELL_TYPE].isin(["Plasma", "Plasmablast"]).mean() > 0.99


@pytest.mark.parametrize("other", ["B naive", "B memory", "B transitional", "T CD4", "NK"])
def test_a_mixture_with_a_pdc_is_a_doublet_and_no_breg(other):
    mixed = cell("pDC", 2500) + cell(other, 2500)
    obs = annotated(mixed).obs.iloc[0]
    assert obs[k.CELL_TYPE] == "Doublet"
    assert obs[k.PDC_CALL] == "pDC_doublet"
    assert obs[k.BREG_KIND] == "none"
    assert obs[k.LINEAGE] == "Unassigned"


@pytest.mark.parametrize("other", ["B naive", "B memory", "B transitional"])
def test_drawn_doublets_of_pdc_and_b_are_doublets_and_hardly_ever_breg(other):
    rng = np.random.default_rng(2)
    pair = [TABLE.rates[:, TABLE.names.index(name)] for name in ("pDC", other)]
    mean = np.zeros(len(GENES))
    mean[[AT[gene] for gene in TABLE.genes]] = 2500 * (pair[0] + pair[1])
    mean[-5000:] = (DEPTH - mean.sum()) / 5000
    found = annotated(*rng.poisson(np.tile(mean, (200, 1)))).obs
    # at half of this depth every fifth shows too few genes of the B cell and is called pDC
    assert (found[k.PDC_CALL] == "pDC_doublet").mean() >= 0.90
    assert (found[k.BREG_KIND] != "none").mean() <= 0.01


def test_plasmablasts_cycle_or_keep_the_b_cell():
    quiet = {"MKI67": 0, "STMN1": 0, "TYMS": 0, "TOP2A": 0, "CD19": 0, "MS4A1": 0}
    cycling = cell("Plasmablast", **{**quiet, "MKI67": 2, "TYMS": 1})
    early = cell("Plasmablast", **{**quiet, "STMN1": 1, "CD19": 1})
    resting = cell("Plasmablast", **quiet)
    assert calls(cycling, early, resting) == ["Plasmablast", "Plasmablast", "Plasma"]


def test_b10_like_needs_cd24_and_cd27_in_a_memory_b_cell():
    both = cell("B memory", CD24=2, CD27=2)
    lacking = cell("B memory", CD24=2, CD27=0), cell("B memory", CD24=0, CD27=2)
    naive = cell("B naive", CD24=3, CD27=1)
    transitional = cell("B transitional")
    kinds = calls(both, *lacking, naive, transitional, column=k.BREG_KIND)
    assert kinds == ["b10_like", "none", "none", "none", "transitional_like"]
    evidence = calls(both, naive, transitional, column=k.BREG_EVIDENCE)
    assert evidence == ["transcript", "none", "transcript"]


def test_atypical_and_plasma_cells_are_no_breg():
    found = annotated(cell("B atypical"), cell("Plasmablast"), cell("T CD4")).obs
    assert found[k.BREG_KIND].tolist() == ["none"] * 3
    assert found[k.BREG_SCORE].iloc[0] < 0
    assert np.isnan(found[k.BREG_SCORE].iloc[1:]).all()


def test_cd38_has_no_weight():
    """200 UMI of CD38 in place of 200 that say nothing change no number at all."""
    plain = cell("B transitional", CD38=0)
    more = plain.copy()
    more[np.flatnonzero(plain[-5000:])[:200] + len(GENES) - 5000] -= 1
    more[AT["CD38"]] += 200
    assert more.sum() == plain.sum()
    found = annotated(plain, more)
    one, other = found.obs.iloc[0], found.obs.iloc[1]
    pd.testing.assert_series_equal(one, other, check_names=False)
    np.testing.assert_array_equal(*found.obsm[k.TYPE_POSTERIOR].to_numpy())
    # on a panel the total says nothing of depth, so CD38 may simply be added
    n = len(PANEL)
    here = annotated(plain[:n], more[:n], genes=PANEL).obs
    assert here[k.BREG_SCORE].iloc[0] == here[k.BREG_SCORE].iloc[1]


def test_breg_score_is_the_likelihood_ratio():
    cells = [cell("B transitional"), cell("B naive"), cell("B memory")]
    score = annotated(*cells).obs[k.BREG_SCORE].to_numpy()
    mean = 0.95 * TABLE.rates + 0.05 * TABLE.blood()[:, None] + 1e-6
    depth = np.exp(np.rint(np.log(DEPTH) / LOG_STEP) * LOG_STEP)
    at = [TABLE.names.index(name) for name in ("B transitional", "B naive", "B memory")]
    size = mixture.SIZE_WITHIN
    for one, have in zip(cells, score, strict=True):
        umi = one[[AT[gene] for gene in TABLE.genes]]
        means = [depth * mean[:, i] for i in at]
        own = [stats.nbinom.logpmf(umi, size, size / (size + mean)).sum() for mean in means]
        np.testing.assert_allclose(have, own[0] - max(own[1:]), rtol=1e-4)
    assert score[0] > 0 > score[1] > score[2]


def test_il10_is_counted_and_nan_where_it_is_no_feature():
    with_il10 = cell("B memory", IL10=3)
    assert annotated(with_il10).obs[k.IL10_UMI].tolist() == [3.0]
    kept = [gene for gene in GENES if gene != "IL10"]
    without = annotated(with_il10[[AT[gene] for gene in kept]], genes=kept).obs
    assert without[k.IL10_UMI].isna().all()


def test_too_few_umi_is_unassigned():
    few = np.zeros(len(GENES))
    few[[AT["CD3E"], AT["CD3D"], AT["TRAC"]]] = 3
    few[-5000:] = 1
    empty = np.zeros(len(GENES))
    found = annotated(few, empty, cell("T CD4")).obs
    assert found[k.CELL_TYPE].tolist() == ["Unassigned", "Unassigned", "T/NK"]
    assert found[k.PDC_SCORE].isna().tolist() == [True, True, False]


def test_a_user_flagged_pdc_is_a_pdc_doublet():
    cells = [cell("pDC", **QUIET), cell("pDC", **QUIET), cell("T CD4"), cell("cDC")]
    for flags in ([True, False, True, True], ["Doublet", "Singlet", "doublet", "doublet"]):
        found = annotated(*cells, obs={"dbl": flags}, doublets="dbl").obs
        assert found[k.PDC_CALL].tolist() == ["pDC_doublet", "pDC", "not_pDC", "not_pDC"]
        assert found[k.CELL_TYPE].tolist() == ["Doublet", "pDC", "Doublet", "Doublet"]
    with pytest.raises(ArgumentError, match="give the calls"):
        annotated(*cells, obs={"dbl": [0.1, 0.9, 0.2, 0.3]}, doublets="dbl")
    with pytest.raises(ArgumentError, match="'doublet'/'singlet'"):
        annotated(*cells, obs={"dbl": ["x", "y", "x", "x"]}, doublets="dbl")


def test_a_pdc_less_likely_than_not_is_ambiguous():
    """Most probable within a clear lineage, yet below one half: no pDC, and not "not pDC"."""
    evidence = mixture.Evidence(
        types=("pDC", "cDC", "T/NK"),
        posterior=np.array([[0.45, 0.25, 0.3], [0.9, 0.05, 0.05]]),
        log_odds_pdc=np.array([1.0, 5.0]),
        pdc_half=np.zeros(2, dtype=bool),
        breg_log_odds=np.full(2, np.nan),
        enough=np.ones(2, dtype=bool),
    )
    called, confidence = identity.labels(evidence)
    assert names(called) == ["pDC", "pDC"]
    np.testing.assert_allclose(confidence, [0.45, 0.9], rtol=1e-6)
    counts = {"core": 5, "support": 5, "axl_siglec6": 0, "asdc_other": 0}
    counts = {name: np.full(2, value) for name, value in counts.items()}
    counts |= {"foreign": np.zeros(2, dtype=bool), "depth": np.full(2, 3e3)}
    counts["asdc_odds"] = np.full(2, -9.0)
    call, kind = identity.pdc_calls(called, evidence, measurable=True, **counts)
    assert names(call, k.PDC_CALLS) == ["pDC_ambiguous", "pDC"]
    assert names(kind) == ["DC unresolved", "pDC"]


# --- coverage --------------------------------------------------------------------


def without(cells, dropped):
    kept = [gene for gene in GENES if gene not in set(dropped)]
    return [one[[AT[gene] for gene in kept]] for one in cells], kept


def test_pdc_are_not_called_below_coverage():
    cells, kept = without(
        [cell("pDC"), cell("T CD4"), cell("cDC")], genesets.load("pdc_identity_core")[:9]
    )
    adata = annotated(*cells, genes=kept)
    assert adata.obs[k.PDC_CALL].tolist() == ["NA"] * 3
    assert adata.obs[k.PDC_SCORE].isna().all()
    assert adata.obs[k.CELL_TYPE].tolist()[1:] == ["T/NK", "DC unresolved"]
    assert "pDC" in adata.uns["scifn"]["annotate"]["notes"]
    table = scifn.get.coverage(adata).set_index("set")
    assert table.at["pdc_identity_core", "status"] == "insufficient"
    assert table.at["pdc_identity_core", "n_found"] == 2


def test_without_cd24_there_is_a_note_or_no_grade():
    cells = [cell("B transitional"), cell("B naive")]
    some, kept = without(cells, ["CD24"])
    adata = annotated(*some, genes=kept)
    assert "CD24 is not among the features" in adata.uns["scifn"]["annotate"]["notes"]
    assert adata.obs[k.BREG_SCORE].notna().all()
    few = [gene for gene in genesets.load("b_transitional") if gene not in {"CD38", "SOX4", "MME"}]
    none, kept = without(cells, few)
    adata = annotated(*none, genes=kept)
    notes = adata.uns["scifn"]["annotate"]["notes"]
    assert "Breg-like transitional B cells are not measurable" in notes
    assert adata.obs[k.BREG_KIND].tolist() == ["NA", "NA"]
    assert adata.obs[k.BREG_SCORE].isna().all()


def test_b_cells_are_unresolved_where_their_subsets_cannot_be_told():
    cells, kept = without(
        [cell("B naive"), cell("B memory")],
        {*genesets.load("b_naive"), *genesets.load("b_memory")} - {"MS4A1"},
    )
    adata = annotated(*cells, genes=kept)
    assert adata.obs[k.CELL_TYPE].tolist() == ["B unresolved"] * 2
    assert "B unresolved" in adata.uns["scifn"]["annotate"]["notes"]


def test_a_small_subset_that_cannot_be_told_goes_with_the_larger_one_and_a_note_says_so():
    dropped = [gene for gene in genesets.load("b_transitional") if gene not in {"IGHM", "IGHD"}]
    cells, kept = without([cell("B transitional"), cell("B naive"), cell("B memory")], dropped)
    adata = annotated(*cells, genes=kept)
    assert adata.obs[k.CELL_TYPE].tolist() == ["B naive", "B naive", "B memory"]
    assert "B naive hold B transitional" in adata.uns["scifn"]["annotate"]["notes"]
    assert adata.obs[k.BREG_KIND].tolist() == ["NA", "NA", "NA"]


# --- what the user brings ----------------------------------------------------------


def test_labels_bound_what_a_cell_may_become():
    cells = [cell("T CD4"), cell("pDC", **QUIET), cell("B naive"), cell("cDC")]
    obs = {"mine": ["lymphocyte", "myeloid", "who knows", "myeloid"]}
    mapping = {"lymphocyte": "T/NK", "myeloid": "DC"}
    adata = annotated(*cells, obs=obs, labels="mine", mapping=mapping)
    assert adata.obs[k.CELL_TYPE].tolist() == ["T/NK", "pDC", "B naive", "cDC"]
    table = adata.uns["scifn"]["annotate"]["label_disagreement"]
    assert table["n_cells"].sum() == 4
    assert set(table.columns) == {"label", "cell_type", "n_cells", "status"}
    # a T cell labeled DC can be nothing but a DC, however unlikely; and so for B
    cells[2] = cell("B naive", **dict.fromkeys(genesets.load("neg_t_nk"), 0))  # no doublet
    obs = {"mine": ["myeloid", "lymphocyte", "lymphocyte", "myeloid"]}
    adata = annotated(*cells, obs=obs, labels="mine", mapping=mapping)
    lineages = adata.obs[k.LINEAGE].tolist()
    assert lineages == ["DC", "T/NK", "T/NK", "DC"]
    assert adata.obs[k.PDC_CALL].tolist()[1:] == ["not_pDC", "not_pDC", "not_pDC"]


def test_labels_may_be_cell_types_and_unresolved_ones_bind_to_their_lineage():
    obs = {"mine": ["B naive", "B unresolved", "Unassigned"]}
    adata = annotated(*[cell("B memory")] * 3, obs=obs, labels="mine")
    assert adata.obs[k.CELL_TYPE].tolist() == ["B naive", "B memory", "B memory"]


def test_disagreement_counts_cells_a_label_and_call():
    labels = pd.Series(["Bs", "Bs", "Ts", "Ts", "Ts", "who knows"])
    called = np.array(["B naive", "B memory", "T/NK", "T/NK", "B naive", "T/NK"], dtype=object)
    table = grouping.disagreement(labels, called, {"Bs": "B", "Ts": "T/NK"})
    rows = {(r.label, r.cell_type): (r.n_cells, r.status) for r in table.itertuples()}
    assert rows == {
        ("Bs", "B naive"): (1, "agrees"),
        ("Bs", "B memory"): (1, "agrees"),
        ("Ts", "T/NK"): (2, "agrees"),
        ("Ts", "B naive"): (1, "differs"),
        ("who knows", "T/NK"): (1, "no place"),
    }


def test_a_mapping_to_nothing_known_is_refused():
    with pytest.raises(ArgumentError, match="is no cell type or lineage"):
        annotated(cell("T CD4"), obs={"mine": ["x"]}, labels="mine", mapping={"x": "T-cell"})


def test_labels_of_types_that_no_component_stands_for_leave_a_cell_unassigned():
    obs = {"mine": ["Keratinocyte", "T/NK"], "group": ["a", "a"]}
    cells = [cell("T CD4"), cell("T CD4")]
    for clusters in (None, "group"):
        adata = annotated(*cells, obs=obs, labels="mine", clusters=clusters)
        assert adata.obs[k.CELL_TYPE].tolist() == ["Unassigned", "T/NK"]


def evidence_of(posterior):
    n = len(posterior)
    return mixture.Evidence(
        types=("T/NK", "B naive"),
        posterior=np.array(posterior),
        log_odds_pdc=np.full(n, np.nan),
        pdc_half=np.zeros(n, dtype=bool),
        breg_log_odds=np.full(n, np.nan),
        enough=np.ones(n, dtype=bool),
    )


def test_consensus_by_hand():
    """Two clusters of two; the unclear cells take the ratio of their cluster to all cells."""
    own = [[0.99, 0.01], [0.4, 0.6], [0.02, 0.98], [0.6, 0.4]]
    found = consensus(evidence_of(own), np.array([0, 0, 1, 1]))
    typical = np.mean(own, axis=0)
    first, second = np.mean(own[:2], axis=0) / typical, np.mean(own[2:], axis=0) / typical
    np.testing.assert_array_equal(found[[0, 2]], np.array(own)[[0, 2]])
    want = np.array([own[1] * first, own[3] * second])
    np.testing.assert_allclose(found[[1, 3]], want / want.sum(axis=1, keepdims=True), rtol=1e-4)
    assert found[1, 0] > 0.4 + 0.1
    assert found[3, 1] > 0.4 + 0.1


def test_consensus_keeps_a_clear_lineage():
    """A B cell among T cells, its subset unclear: only the subset may move."""
    evidence = mixture.Evidence(
        types=("T/NK", "B naive", "B memory"),
        posterior=np.array([[0.04, 0.6, 0.36], *[[1.0, 0.0, 0.0]] * 20, *[[0.0, 0.2, 0.8]] * 20]),
        log_odds_pdc=np.full(41, np.nan),
        pdc_half=np.zeros(41, dtype=bool),
        breg_log_odds=np.full(41, np.nan),
        enough=np.ones(41, dtype=bool),
    )
    found = consensus(evidence, np.repeat([0, 1], [21, 20]))
    np.testing.assert_allclose(found[0, 0], 0.04)
    np.testing.assert_allclose(found[0, 1:].sum(), 0.96)
    np.testing.assert_array_equal(found[1:21], evidence.posterior[1:21])
    # within the second cluster nobody is clear of subset, and all are of the same lineage
    np.testing.assert_allclose(found[21:, 0], 0.0)
    assert (found[21:, 2] >= 0.8).all()


@pytest.fixture(scope="module")
def thin():
    """300 T cells and 150 naive B cells, of 250 UMI the most; three clearer B cells among the T."""
    rng = np.random.default_rng(5)
    means = [cell("T CD4"), cell("B naive")]
    kinds = np.repeat([0, 1], [300, 150])
    depth = rng.choice([0.008, 0.015, 0.05], kinds.size)
    depth[300:303] = 0.1
    counts = rng.poisson(np.array(means)[kinds] * depth[:, None])
    obs = {"cluster": np.where(kinds == 0, "t", "b"), "truth": np.where(kinds == 0, "T/NK", "B")}
    obs["cluster"][300:303] = "t"
    return counts, obs


@pytest.mark.parametrize("clusters", ["cluster", "leiden"])
def test_clusters_never_overrule_a_clear_call_and_thin_cells_follow(thin, clusters):
    counts, obs = thin
    alone = annotated(*counts, obs=obs)
    grouped = annotated(*counts, obs=obs, clusters=clusters)
    own = alone.obsm[k.TYPE_POSTERIOR].to_numpy()
    clear = own.max(axis=1) >= 0.95
    assert 0.05 < clear.mean() < 0.95
    np.testing.assert_array_equal(own[clear], grouped.obsm[k.TYPE_POSTERIOR].to_numpy()[clear])
    same = (alone.obs[k.CELL_TYPE].astype(str) == grouped.obs[k.CELL_TYPE].astype(str)).to_numpy()
    assert same[clear].all()
    assert grouped.obs[k.LINEAGE].tolist()[300:303] == ["B"] * 3
    if clusters == "cluster":
        truth = np.array(obs["truth"])
        right = [(found.obs[k.LINEAGE].astype(str) == truth) for found in (alone, grouped)]
        assert right[1].sum() > right[0].sum()
        assert not (right[0] & ~right[1]).any()
    assert grouped.uns["scifn"]["annotate"]["clusters"] == clusters


def test_more_pdc_than_blood_holds_is_an_alarm():
    calls_ = np.array(["pDC"] * 2 + ["not_pDC"] * 98 + ["pDC"] + ["not_pDC"] * 99, dtype=object)
    text = grouping.pdc_alarms(calls_, pd.Series(["s1"] * 100 + ["s2"] * 100))
    assert text.startswith("s1: 2.0% of cells are called pDC")
    assert "s2" not in text
    assert grouping.pdc_alarms(calls_, None) == ""  # exactly 1.5 %
    adata = annotated(cell("pDC", **QUIET), cell("T CD4"), obs={"lane": ["x", "x"]}, sample="lane")
    assert adata.uns["scifn"]["annotate"]["alarms"].startswith("x: 50.0% of cells")


# --- laws -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed():
    """80 drawn cells of every type."""
    rng = np.random.default_rng(7)
    kinds = [list(COMPONENTS)[i % len(COMPONENTS)] for i in range(80)]
    return rng.poisson([cell(kind) * rng.uniform(0.2, 1.2) for kind in kinds])


def test_a_call_depends_on_no_other_cell(mixed):
    together = annotated(*mixed)
    some = annotated(*mixed[[70, 3, 41]])
    np.testing.assert_array_equal(
        together.obsm[k.TYPE_POSTERIOR].to_numpy()[[70, 3, 41]],
        some.obsm[k.TYPE_POSTERIOR].to_numpy(),
    )
    for name in (k.CELL_TYPE, k.PDC_CALL, k.BREG_KIND):
        assert together.obs[name].astype(str).tolist()[3] == some.obs[name].astype(str).tolist()[1]


def test_a_call_depends_on_no_order_of_genes(mixed):
    order = np.random.default_rng(0).permutation(len(GENES))
    one = annotated(*mixed)
    other = annotated(*mixed[:, order], genes=[GENES[i] for i in order])
    np.testing.assert_allclose(
        one.obsm[k.TYPE_POSTERIOR], other.obsm[k.TYPE_POSTERIOR], rtol=1e-5, atol=1e-7
    )
    assert one.obs[k.CELL_TYPE].tolist() == other.obs[k.CELL_TYPE].tolist()


def test_calls_do_not_move_with_interferon(mixed):
    """A response of hundreds of UMI, CD38 within it, changes two calls in a hundred at most."""
    more = mixed.copy()
    total = mixed.sum(axis=1)
    for gene in [*RESPONSE, "CD38"]:
        more[:, AT[gene]] += (total * 0.01).astype(int)
    assert not set(RESPONSE) & set(TABLE.genes)
    one, other = annotated(*mixed).obs, annotated(*more).obs
    assert (one[k.CELL_TYPE].astype(str) == other[k.CELL_TYPE].astype(str)).mean() >= 0.98
    assert one[k.PDC_CALL].tolist() == other[k.PDC_CALL].tolist()


def test_a_response_of_listed_genes_moves_no_number_at_all(mixed):
    """Their UMI do not count towards the depth of a cell."""
    more = mixed.copy()
    listed = {gene for name in shown.RESPONSE for gene in genesets.load(name)}
    for gene in sorted(listed & set(RESPONSE)):
        more[:, AT[gene]] += 40
    assert more.sum() >= mixed.sum() + 7 * 40 * len(mixed)
    one, other = annotated(*mixed), annotated(*more)
    np.testing.assert_array_equal(one.obsm[k.TYPE_POSTERIOR], other.obsm[k.TYPE_POSTERIOR])
    pd.testing.assert_frame_equal(one.obs, other.obs)


# --- real cells ---------------------------------------------------------------------------


def real(folder, name):
    adata = ad.read_h5ad(folder / f"{name}.h5ad")
    tl.annotate(adata)
    return adata, adata.obs["cell_type"].astype(str).to_numpy()


@pytest.fixture(scope="module")
def kang(shared_data):
    return real(shared_data, "kang_ifnb_fullgenes_annot")


def test_kang_pdc(kang):
    adata, label = kang
    truth = label == "pDC"
    called = (adata.obs[k.PDC_CALL] == "pDC").to_numpy()
    assert truth.sum() == 15
    assert (called & truth).sum() >= 12
    assert (called & ~truth).sum() <= 1
    score = adata.obs[k.PDC_SCORE].astype(float).fillna(-1e3)
    assert average_precision_score(truth, score) >= 0.90


def test_kang_lineages(kang):
    adata, label = kang
    lineage = {"B": "B", "B Activated": "B", "CD14 Mono": "Mono", "CD16 Mono": "Mono"}
    lineage |= dict.fromkeys(("CD4 Memory T", "CD4 Naive T", "CD8 T", "NK"), "T/NK")
    lineage |= {"T activated": "T/NK", "DC": "DC", "pDC": "DC"}
    truth = pd.Series(label).map(lineage).to_numpy()
    kept = np.array([isinstance(name, str) for name in truth])
    called = adata.obs[k.LINEAGE].astype(str).to_numpy()[kept]
    found = f1_score(truth[kept].astype(str), called, labels=["B", "Mono", "T/NK"], average="macro")
    assert found >= 0.93


def test_kang_calls_agree_with_each_other(kang):
    obs = kang[0].obs
    is_pdc = obs[k.CELL_TYPE] == "pDC"
    assert (is_pdc == (obs[k.PDC_CALL] == "pDC")).all()
    assert ((obs[k.PDC_CALL] == "pDC_ambiguous") <= (obs[k.CELL_TYPE] == "DC unresolved")).all()
    assert obs[k.CONFIDENCE].dropna().between(0, 1).all()
    assert obs[k.CONFIDENCE].isna().equals(obs[k.CELL_TYPE] == "Unassigned")
    posterior = kang[0].obsm[k.TYPE_POSTERIOR].to_numpy()
    np.testing.assert_allclose(posterior.sum(axis=1), 1.0, atol=1e-5)


def test_zheng_holds_no_pdc_and_its_genes_find_those_of_kang(shared_data, kang):
    """Three of the twelve core genes are among its features, and that is enough."""
    adata, label = real(shared_data, "zheng_sorted_refs_mudan")
    assert (adata.obs[k.PDC_CALL] == "not_pDC").mean() > 0.99
    assert not (adata.obs[k.PDC_CALL] == "pDC").any()
    lineage = adata.obs[k.LINEAGE].astype(str).to_numpy()
    assert (lineage[label == "bcells"] == "B").mean() >= 0.97
    assert (lineage[label == "nk"] == "T/NK").mean() >= 0.97
    cut = kang[0][:, kang[0].var_names.isin(adata.var_names)].copy()
    tl.annotate(cut, overwrite=True)
    called, truth = (cut.obs[k.PDC_CALL] == "pDC").to_numpy(), kang[1] == "pDC"
    assert (called & truth).sum() >= 8
    assert (called & ~truth).sum() <= 1


def test_onek1k_naive_and_memory_of_817_genes(shared_data):
    adata, label = real(shared_data, "onek1k_bcells_817g")
    assert (adata.obs[k.PDC_CALL] == "NA").all()
    posterior = adata.obsm[k.TYPE_POSTERIOR]
    memory = posterior["B memory"]
    score = memory / (memory + posterior["B naive"] + posterior["B transitional"])
    assert roc_auc_score(label == "bmem", score.fillna(0.5)) >= 0.91
    called = adata.obs[k.CELL_TYPE].astype(str)
    # atypical cells are a few, count as memory in these labels, and show the genes of the sort
    atypical = (called == "B atypical").to_numpy()
    assert 0.01 < atypical.mean() < 0.06
    assert (label[atypical] == "bmem").mean() > 0.75
    counts = adata[:, ["TBX21", "FCRL5"]].X
    assert (counts[atypical].mean(axis=0) > 5 * counts[~atypical].mean(axis=0)).all()
    side = called.map(
        {"B naive": 0.0, "B transitional": 0.0, "B memory": 1.0, "B atypical": 1.0}
    ).to_numpy()
    told = ~np.isnan(side)
    assert told.mean() >= 0.93
    assert balanced_accuracy_score(label[told] == "bmem", side[told]) >= 0.83


def test_confidence_is_how_often_a_call_is_right(shared_data, kang):
    """Cells whose confidence fitted nothing: lineages of kang, naive and memory of onek1k."""
    adata, label = kang
    lineage = {"CD14 Mono": "Mono", "CD16 Mono": "Mono", "DC": "DC", "pDC": "DC"}
    lineage |= dict.fromkeys(("CD4 Memory T", "CD4 Naive T", "CD8 T", "NK", "T activated"), "T/NK")
    truth = pd.Series(label).map(lineage).to_numpy()
    called = adata.obs[k.LINEAGE].astype(str).to_numpy()
    kept = np.isin(called, ["Mono", "DC", "T/NK"]) & pd.notna(truth)
    assert calibration_error(adata.obs[k.CONFIDENCE].to_numpy()[kept], (called == truth)[kept]) < (
        0.04
    )
    adata, label = real(shared_data, "onek1k_bcells_817g")
    called = adata.obs[k.CELL_TYPE].astype(str).to_numpy()
    kept = np.isin(called, ["B naive", "B memory"])
    right = (called == "B memory") == (label == "bmem")
    assert calibration_error(adata.obs[k.CONFIDENCE].to_numpy()[kept], right[kept]) < 0.07


def calibration_error(confidence, right):
    """Mean distance of confidence and share right over tenths of confidence."""
    cells = pd.DataFrame({"bin": (confidence * 10).astype(int), "c": confidence, "r": right})
    means = cells.groupby("bin")[["c", "r"]].mean()
    return np.average((means["c"] - means["r"]).abs(), weights=cells.groupby("bin").size())


def test_csle_b_subsets(shared_data):
    adata, label = real(shared_data, "csle_bcells_neharbelaid")
    names = {"B naive": "Naive", "B transitional": "Naive", "B memory": "Memory"}
    called = adata.obs[k.CELL_TYPE].astype(str).map({**names, "B atypical": "DN2"}).fillna("none")
    found = f1_score(label, called, labels=["Naive", "Memory", "DN2"], average="macro")
    assert found >= 0.70
    assert (adata.obs[k.BREG_KIND] != "NA").any()


def test_pbmc68k_reduced_cannot_tell_pdc():
    scanpy = pytest.importorskip("scanpy")
    adata = scanpy.datasets.pbmc68k_reduced()
    tl.annotate(adata)
    assert (adata.obs[k.PDC_CALL] == "NA").all()
    assert adata.obs[k.PDC_SCORE].isna().all()
    assert not adata.obs[k.CELL_TYPE].isin(["pDC", "AS-DC"]).any()
    # B cells are there, and what tells naive from memory ones is too little
    assert (adata.obs[k.CELL_TYPE] == "B unresolved").sum() >= 80
    assert not adata.obs[k.CELL_TYPE].isin(["B naive", "B memory"]).any()
    assert (adata.obs[k.CELL_TYPE] != "Unassigned").mean() > 0.5


def test_celltypist_sample_is_measurable(shared_data):
    adata = ad.read_h5ad(shared_data / "celltypist_sample.h5ad")
    tl.annotate(adata)
    assert not (adata.obs[k.PDC_CALL] == "NA").any()
    assert (adata.obs[k.PDC_CALL] == "pDC").mean() <= 0.02


def test_a_mapping_needs_labels_that_are_there():
    with pytest.raises(ArgumentError, match="give the column of labels"):
        annotated(cell("T CD4"), mapping={"x": "B"})
    with pytest.raises(ArgumentError, match="mapping= places 'y', but the labels are 'x'"):
        annotated(cell("T CD4"), obs={"mine": ["x"]}, labels="mine", mapping={"y": "B"})
