"""Each ligand against a background of its own: lanes, libraries, donors, and what is not told."""

from __future__ import annotations

from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, sparse, stats

import scifn
from scifn import _keys as k
from scifn import genesets, tl
from scifn._cells import evidence
from scifn._cells.background import SOUP_GENES, SoupMoments
from scifn._cells.ligands import LIGANDS, OTHERS

IFNA = list(genesets.load("ifn_alpha"))
GENES = [
    *IFNA, "IFNB1", "IFNK", "IFNW1", "IFNE", "IFNL1", "IFNL2", "IFNL3", "IL10", *SOUP_GENES, "ACTB",
]  # fmt: skip
AT = {gene: i for i, gene in enumerate(GENES)}
CELLS = {"pDC": 30, "Monocyte": 300, "T/NK": 900, "B naive": 300, "Doublet": 20}


def lane(edits=(), *, soup=(), features=GENES, seed=0, cells=CELLS):
    """Cells of 4,000 UMI; ``edits``: (cell, gene, UMI); ``soup``: gene -> UMI per cell."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(list(cells), list(cells.values()))
    counts = np.zeros((kinds.size, len(GENES)))
    for gene, mean in dict(soup).items():
        counts[:, AT[gene]] = rng.poisson(mean, kinds.size)
    for gene in SOUP_GENES:
        counts[:, AT[gene]] = rng.poisson(2, kinds.size)
    for cell, gene, umi in edits:
        counts[cell, AT[gene]] = umi
    counts[:, AT["ACTB"]] = 4000 - counts.sum(axis=1)
    out = ad.AnnData(sparse.csr_matrix(counts[:, [AT[g] for g in features]].astype(np.float32)))
    out.var_names = features
    out.obs_names = [f"c{i}" for i in range(kinds.size)]
    out.obs[k.CELL_TYPE] = pd.Categorical(kinds)
    out.obs["donor"], out.obs["condition"] = "d1", "SLE"
    return out


def first(kind, cells=CELLS):
    names = list(cells)
    return sum(list(cells.values())[: names.index(kind)])


def of(adata, name):
    return adata.obsm[k.LIGAND_EVIDENCE][name].astype(str).to_numpy()


# --- lanes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "gene", "kind"),
    [
        ("ifnb1", "IFNB1", "Monocyte"),
        ("ifnk", "IFNK", "Monocyte"),
        ("ifn1_other", "IFNW1", "pDC"),
        ("ifnl", "IFNL1", "pDC"),
        ("il10", "IL10", "B naive"),
    ],
)
def test_a_ligand_is_called_where_it_is_and_nowhere_else(name, gene, kind):
    adata = lane([(first(kind), gene, 6)])
    tl.production(adata)
    labels = of(adata, name)
    assert labels[first(kind)] == "strong"
    told = ~adata.obs[k.CELL_TYPE].isin(["Doublet"]).to_numpy()
    assert (labels[told] != "none").sum() == 1
    assert (labels[~told] == "not_measurable").all()
    for other in OTHERS:
        if other.name != name:
            assert (of(adata, other.name)[told] == "none").all()
    assert (adata.obs.loc[told, k.IFNA_EVIDENCE] == "none").all()
    table = adata.uns["scifn"]["production"]["by_ligand"].set_index("ligand")
    assert table["umi"].drop(k.LIGANDS[name]).sum() == 0
    assert table.at[k.LIGANDS[name], "umi"] == 6


def test_each_background_is_of_its_own():
    """IFNB1 in the soup of every cell: 3 UMI of it are nothing, 3 of IFNK in the same cell are."""
    at = first("pDC")
    adata = lane([(at, "IFNB1", 3), (at, "IFNK", 3)], soup={"IFNB1": 0.8}, seed=3)
    tl.production(adata)
    assert of(adata, "ifnb1")[at] == "none"
    assert of(adata, "ifnk")[at] == "strong"
    table = adata.uns["scifn"]["production"]["by_ligand"].set_index("ligand")
    absent = adata.obs[k.CELL_TYPE].isin(["T/NK", "B naive"]).to_numpy()
    umi = adata.X.toarray()[absent, AT["IFNB1"]].sum()
    want = (umi + 0.5) / (4000 * absent.sum() + 1)
    assert table.at["IFNB1", "background_rate"] == pytest.approx(want)
    assert table.at["IFNK", "background_rate"] == pytest.approx(0.5 / (4000 * absent.sum() + 1))


def test_labels_are_those_of_the_test_by_hand():
    """BH over the 330 candidates, by scipy: 2 UMI against a Poisson background."""
    at = first("Monocyte")
    adata = lane([(at, "IFNB1", 1), (at + 1, "IFNB1", 2)], soup={"IFNB1": 0.002}, seed=1)
    tl.production(adata)
    counts = adata.X.toarray()[:, AT["IFNB1"]]
    kinds = adata.obs[k.CELL_TYPE].astype(str).to_numpy()
    absent = np.isin(kinds, ["T/NK", "B naive"])
    mean = (counts[absent].sum() + 0.5) / (4000 * absent.sum() + 1) * 4000
    lymphoid = kinds == "T/NK"
    genes = [AT[gene] for gene in SOUP_GENES]
    moments = SoupMoments(1, len(genes))
    n = lymphoid.sum()
    moments.add(adata.X[lymphoid][:, genes], np.full(n, 4000.0), np.zeros(n, dtype=int))
    size = moments.sizes()[0]
    mine = np.isin(kinds, ["pDC", "Monocyte"])
    tail = (stats.poisson.sf(counts - 1, mean) if np.isinf(size)
            else stats.nbinom.sf(counts - 1, size, size / (size + mean)))  # fmt: skip
    p = np.where(counts > 0, tail, 1.0)
    adjusted = stats.false_discovery_control(p[mine])
    want = np.where(adjusted >= 0.05, "none", np.where(counts[mine] >= 2, "strong", "weak"))
    assert of(adata, "ifnb1")[mine].tolist() == want.tolist()
    assert (want == "strong").sum() == 1


def test_a_rare_kind_is_not_outnumbered():
    """One UMI in one of 6 pDC, and one in one of 900 monocytes, of the same background."""
    cells = {"pDC": 6, "AS-DC": 2, "cDC": 30, "Monocyte": 900, "T/NK": 900}
    adata = lane([(0, "IFNB1", 1), (100, "IFNB1", 1)], cells=cells)
    tl.production(adata)
    # background half a UMI in 900 cells, so p is 0.00055: times 6 and 3 kinds, or times 900 and 3
    assert of(adata, "ifnb1")[[0, 100]].tolist() == ["weak", "none"]


def test_two_genes_of_a_family_are_strong():
    at = first("pDC")
    few = {"pDC": 5, "Monocyte": 20, "T/NK": 900}  # 25 tests, so that one UMI is significant
    adata = lane([(at, "IFNL1", 1), (at, "IFNL2", 1), (at + 1, "IFNL1", 1)], cells=few)
    tl.production(adata)
    assert of(adata, "ifnl")[at] == "strong"
    assert of(adata, "ifnl")[at + 1] == "weak"


def test_t_cells_that_carry_a_ligand_withhold_it_alone():
    at = first("T/NK")
    adata = lane([(at, "IFNB1", 9), (at + 1, "IFNB1", 9), (first("pDC"), "IFNK", 5)])
    tl.production(adata)
    assert (of(adata, "ifnb1") == "not_measurable").all()
    assert of(adata, "ifnk")[first("pDC")] == "strong"
    record = adata.uns["scifn"]["production"]
    assert record["status"] == "ok"
    assert "T cells, which make no IFNB1, carry it above the background" in record["notes"]
    status = record["by_ligand"].set_index("ligand")["status"]
    assert status["IFNB1"] == "ifnb1_null_fail"
    assert (status.drop("IFNB1") == "ok").all()


def test_t_cells_may_make_il10():
    at = first("T/NK")
    adata = lane([(at, "IL10", 9), (at + 1, "IL10", 9)])
    tl.production(adata)
    assert of(adata, "il10")[at : at + 2].tolist() == ["strong", "strong"]
    source = adata.uns["scifn"]["production"]["by_ligand"].set_index("ligand").at["IL10", "source"]
    assert source == "900 cells of types that make little IL10"


def test_a_ligand_without_feature_is_not_measurable_and_the_others_are():
    kept = [gene for gene in GENES if gene not in {*IFNA, "IFNK"}]
    adata = lane([(0, "IFNB1", 5)], features=kept)
    tl.production(adata)
    assert (adata.obs[k.IFNA_EVIDENCE] == "not_measurable").all()
    assert (of(adata, "ifnk") == "not_measurable").all()
    assert of(adata, "ifnb1")[0] == "strong"
    assert adata.uns["scifn"]["production"]["status"] == "not_measurable"
    table = adata.uns["scifn"]["production"]["by_ligand"].set_index("ligand")
    assert table.at["IFNK", "source"] == "no gene of it is among the features"


def test_empty_droplets_give_each_ligand_its_share():
    soup = pd.Series(0.0, index=GENES)
    soup[["IFNA1", "IFNB1", "IL10", "ACTB"]] = [2.0, 40.0, 7.0, 99_951.0]
    adata = lane()
    tl.production(adata, ambient=soup, contamination=0.1)
    rate = adata.uns["scifn"]["production"]["by_ligand"].set_index("ligand")["background_rate"]
    for ligand, umi in {"IFNA": 2, "IFNB1": 40, "IFNK": 0, "IL10": 7}.items():
        assert rate[ligand] == pytest.approx(0.1 * (umi + 0.5) / 100_001)


# --- bounds ---------------------------------------------------------------------------------------


def test_bounds_have_a_row_a_ligand():
    at = first("Monocyte")
    adata = lane([(at, "IFNB1", 6), (at + 1, "IFNB1", 6), (first("B naive"), "IL10", 6)])
    tl.production(adata)
    tl.donors(adata, donor="donor", condition="condition")
    bounds = scifn.get.bounds(adata)
    assert list(dict.fromkeys(bounds["ligand"])) == [ligand.title for ligand in LIGANDS]
    assert not bounds.duplicated(["ligand", "donor", "condition", "cell_type", "pooled"]).any()
    each = bounds[~bounds["pooled"]].set_index(["ligand", "cell_type"])
    row = each.loc[("IFNB1", "Monocyte")]
    assert row[["n_cells", "n_weak", "n_strong"]].tolist() == [300, 0, 2]
    high = stats.binomtest(2, 300).proportion_ci(0.90, method="exact").high
    assert row["upper95"] == pytest.approx(high)
    assert row["statement"].startswith("IFNB1 transcript evidence: 0 weak, 2 strong.")
    row = each.loc[("IFNK", "pDC")]
    assert (row["rate"], row["upper95"]) == (0, pytest.approx(1 - 0.05 ** (1 / 30)))
    assert row["statement"].startswith("IFNK transcript evidence: none. Zero does not exclude")
    assert each.loc[("IL10", "B naive"), "statement"] == (
        "IL10 transcript detected above background in 1 of 300 B naive; not an estimate of "
        "competence. The 95 % upper bound on detectable producers is 1.6 %"
    )
    assert each.loc[("IFNL", "Doublet"), "n_cells"] == 0
    assert each.loc[("IFNL", "Doublet"), "statement"] == (
        "IFNL transcripts are not measurable in these Doublet; this is not 0"
    )


def test_bounds_without_the_other_ligands_are_those_of_ifna():
    adata = lane()
    tl.production(adata)
    del adata.obsm[k.LIGAND_EVIDENCE]
    tl.donors(adata, donor="donor", condition="condition")
    assert set(scifn.get.bounds(adata)["ligand"]) == {"IFNA"}


def test_labels_are_dropped_with_the_types_they_rest_on(tmp_path):
    adata = lane()
    tl.production(adata)
    again = adata.copy()
    again.obs = again.obs[[k.CELL_TYPE]]
    with pytest.raises(scifn._errors.OverwriteError, match="scifn_ligand_evidence"):
        tl.production(again)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        back.obsm[k.LIGAND_EVIDENCE].astype(str), adata.obsm[k.LIGAND_EVIDENCE].astype(str)
    )
    pd.testing.assert_frame_equal(
        back.uns["scifn"]["production"]["by_ligand"].reset_index(drop=True),
        adata.uns["scifn"]["production"]["by_ligand"], check_index_type=False,
    )  # fmt: skip
    tl.annotate(adata, overwrite=True)
    assert k.LIGAND_EVIDENCE not in adata.obsm


# --- libraries ----------------------------------------------------------------------------------


def libraries(ifna, total, gene="IFNA2"):
    counts = np.zeros((len(ifna), len(GENES)), dtype=np.float32)
    counts[:, AT[gene]] = ifna
    counts[:, AT["ACTB"]] = np.asarray(total) - np.asarray(ifna)
    out = ad.AnnData(sparse.csr_matrix(counts))
    out.var_names, out.obs_names = GENES, [f"l{i}" for i in range(len(ifna))]
    return out


def heavy_tail(umi, mean):
    """P(X >= umi): Poisson over an F distribution of that mean, integrated by scipy."""
    spread = stats.f(8, 12, scale=mean * (12 - 2) / 12)
    assert spread.mean() == pytest.approx(mean)

    def joint(t):
        return stats.poisson.sf(umi - 1, np.exp(t)) * spread.pdf(np.exp(t)) * np.exp(t)

    edges = np.log(mean) + np.array([-20.0, -5.0, 0.0, 5.0, 30.0])
    return sum(
        integrate.quad(joint, a, b, epsabs=0, epsrel=1e-8, limit=300)[0] for a, b in pairwise(edges)
    )


def test_tail_of_libraries_is_heavy_and_never_ends():
    """However far a library lies above the others, its p is a number, and ranks as it does."""
    null = evidence.Null(np.full(8, 1e-5), np.full(8, 4.0), tail=6.0)
    umi = np.array([0.0, 1, 10, 30, 100, 1e3, 1e4, 1e5])
    total = np.full(8, 1e6)
    found = null.p_value(umi, total)
    np.testing.assert_allclose(found, [1.0, *(heavy_tail(x, 10.0) for x in umi[1:])], rtol=1e-4)
    assert (np.diff(found.astype(np.float32)) < 0).all()
    assert found[-1] > 1e-30
    # 95 % of libraries hold less than 2.4 times the mean share
    assert stats.f(8, 12).ppf(0.95) / stats.f(8, 12).mean() == pytest.approx(2.37, abs=0.01)
    counts = np.arange(3000.0)
    null = evidence.Null(np.full(3000, 1e-5), np.full(3000, 4.0), tail=6.0)
    pmf = np.exp(null.log_pmf(counts, np.full(3000, 1e6)))
    assert pmf.sum() == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(pmf[:50], -np.diff(null.p_value(counts, np.full(3000, 1e6)))[:50],
                               rtol=1e-6)  # fmt: skip


def test_background_of_libraries_by_hand():
    umi, total = [0, 5, 900], [1e6, 2e6, 1e6]
    adata = libraries(umi, total)
    tl.production(adata, bulk=True)
    want = []
    for i in range(3):
        rest = sum(umi) - umi[i], sum(total) - total[i]
        want.append(total[i] * (0.5 / (2e6 + 1) + 0.01 * (rest[0] + 0.5) / (rest[1] + 1)))
    np.testing.assert_allclose(adata.obs[k.IFNA_BACKGROUND], want, rtol=1e-6)
    p = [1.0, *(heavy_tail(x, m) for x, m in zip(umi[1:], want[1:], strict=True))]
    np.testing.assert_allclose(adata.obs[k.IFNA_P_VALUE], p, rtol=1e-4)
    # 5 reads where 6.5 are expected of the third library: nothing
    assert adata.obs[k.IFNA_EVIDENCE].tolist() == ["none", "none", "strong"]
    assert adata.obs[k.IFNA_POSTERIOR].iloc[1] < 0.1 < 0.9 < adata.obs[k.IFNA_POSTERIOR].iloc[2]


def test_libraries_that_all_produce_are_all_called():
    adata = libraries([800, 1000, 1200, 900], [1e6] * 4)
    tl.production(adata, bulk=True)
    assert (adata.obs[k.IFNA_EVIDENCE] == "strong").all()


def test_p_of_libraries_ranks_as_the_rate_does():
    rng = np.random.default_rng(5)
    total = rng.uniform(1e6, 4e6, 30)
    rate = 10 ** rng.uniform(-6.5, -3, 30)
    umi = rng.poisson(rate * total)
    adata = libraries(umi, np.round(total))
    tl.production(adata, bulk=True)
    rho = stats.spearmanr(-adata.obs[k.IFNA_P_VALUE], umi / total).statistic
    assert rho >= 0.98
    assert (adata.obs.loc[umi == 0, k.IFNA_EVIDENCE] == "none").all()


def test_what_a_user_says_of_libraries_is_used():
    adata = libraries([3, 900], [1e6, 1e6])
    tl.production(adata, bulk=True, contamination=0.0)
    assert adata.obs[k.IFNA_BACKGROUND].iloc[0] == pytest.approx(0.5, rel=1e-5)
    pool = pd.Series([100.0, 999_900.0], index=["IFNA1", "ACTB"])
    tl.production(adata, bulk=True, contamination=0.02, ambient=pool, overwrite=True)
    want = 0.5 + 0.02 * 100.5
    np.testing.assert_allclose(adata.obs[k.IFNA_BACKGROUND], want, rtol=1e-4)
    source = adata.uns["scifn"]["production"]["samples"]["source"].item()
    assert source == "reads of the pool, 0.02 of each library"


def test_a_library_alone_has_no_background():
    adata = libraries([900], [1e6])
    tl.production(adata, bulk=True)
    assert adata.obs[k.IFNA_EVIDENCE].tolist() == ["not_measurable"]
    assert adata.obs[k.IFNA_P_VALUE].isna().all()
    assert "a library alone" in adata.uns["scifn"]["production"]["notes"]


def test_other_ligands_of_libraries_are_tested_too():
    adata = libraries([0, 0, 500], [1e6] * 3, gene="IFNB1")
    tl.production(adata, bulk=True)
    assert of(adata, "ifnb1").tolist() == ["none", "none", "strong"]
    assert (adata.obs[k.IFNA_EVIDENCE] == "none").all()


# --- notes --------------------------------------------------------------------------------------


def test_one_sample_of_several_donors_is_said():
    adata = lane()
    adata.obs["donor"] = np.where(np.arange(adata.n_obs) % 2, "d1", "d2")
    tl.production(adata)
    notes = adata.uns["scifn"]["production"]["notes"]
    assert "sample=None took all cells as one sample, but in obs 'donor' has 2 values" in notes
    assert "the soup is one sample's" in notes
    tl.production(adata, sample="donor", overwrite=True)
    assert adata.uns["scifn"]["production"]["notes"] == ""
    adata.obs["donor"] = "d1"
    tl.production(adata, overwrite=True)
    assert adata.uns["scifn"]["production"]["notes"] == ""


def test_cells_without_a_sample_are_a_sample_of_their_own():
    """Whatever pandas does with missing text: the same numbers, and no error."""
    import numpy as np

    import scifn

    adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=150, rng=3)
    scifn.tl.annotate(adata)
    lane = adata.obs["donor"].astype(object)
    lane.iloc[:40] = np.nan
    adata.obs["lane"] = lane
    scifn.tl.production(adata, sample="lane")
    table = adata.uns["scifn"]["production"]["samples"]
    assert table.loc[table["sample"] == "nan", "n_cells"].tolist() == [40]
    assert table["n_cells"].sum() == adata.n_obs
