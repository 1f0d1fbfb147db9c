"""Evidence of IFNA transcription: the null, its test, simulated lanes, purified libraries."""

from __future__ import annotations

from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import integrate, sparse, stats
from sklearn.metrics import roc_auc_score

import scifn
from scifn import _keys as k
from scifn import genesets, tl
from scifn._cells import evidence, producers
from scifn._cells.background import SOUP_GENES, SoupMoments
from scifn._errors import ArgumentError, InputFileError, ScaleError

IFNA = list(genesets.load("ifn_alpha"))
GENES = [*IFNA, "IFNB1", "IFNK", "IFNW1", "IFNE", "IFNL1", "IFNL2", "IFNL3", *SOUP_GENES, "ACTB"]
AT = {gene: i for i, gene in enumerate(GENES)}


# --- the parts, by hand and by scipy ---------------------------------------------------


def test_background_by_hand():
    # two samples: UMI of the cells that cannot make it, and all their UMI
    rates = evidence.from_absent(np.array([3.0, 0.0]), np.array([6999.0, 999.0]))
    np.testing.assert_allclose(rates, [3.5 / 7000, 0.5 / 1000])
    # 2 of 1e6 UMI of the soup, a tenth of each cell is soup
    assert evidence.from_soup(2.0, 999_999.0, 0.1) == pytest.approx(2.5e-7)
    null = evidence.Null(np.full(2, 1e-6), np.full(2, np.inf))
    np.testing.assert_allclose(null.expected(np.array([0.0, 5000.0])), [0.0, 0.005])


@pytest.mark.parametrize("size", [0.5, 3.0, np.inf])
def test_upper_tail_is_scipys(size):
    umi = np.array([0.0, 1.0, 2.0, 5.0, 1.0])
    mean = np.array([0.01, 0.01, 0.3, 1.0, 1e-4])
    if np.isinf(size):
        want = [1.0, *(stats.poisson.pmf(range(int(x), 200), m).sum()
                       for x, m in zip(umi[1:], mean[1:], strict=True))]  # fmt: skip
    else:
        want = [1.0, *(stats.nbinom.pmf(range(int(x), 400), size, size / (size + m)).sum()
                       for x, m in zip(umi[1:], mean[1:], strict=True))]  # fmt: skip
    np.testing.assert_allclose(evidence.upper_tail(umi, mean, size), want, rtol=1e-9)


def test_benjamini_hochberg_is_scipys_over_the_cells_tested():
    p = np.random.default_rng(0).uniform(size=50) ** 3
    among = np.arange(50) % 3 != 0
    found = evidence.benjamini_hochberg(p, among)
    assert np.isnan(found[~among]).all()
    np.testing.assert_allclose(found[among], stats.false_discovery_control(p[among]))
    by_hand = evidence.benjamini_hochberg(np.array([0.01, 0.04, 0.03]), np.ones(3, dtype=bool))
    np.testing.assert_allclose(by_hand, [0.03, 0.04, 0.04])
    assert np.isnan(evidence.benjamini_hochberg(p, np.zeros(50, dtype=bool))).all()


def test_each_candidate_type_has_the_same_share_of_the_error():
    rng = np.random.default_rng(4)
    groups = np.repeat(["a", "b", "c"], [3, 20, 100])
    p = rng.uniform(size=123) ** 4
    among = np.ones(123, dtype=bool)
    among[[1, 60]] = False
    found = evidence.by_groups(p, among, groups)
    assert np.isnan(found[~among]).all()
    size = {"a": 2, "b": 20, "c": 99}
    weighted = np.array([p[i] * size[groups[i]] / (121 / 3) for i in np.flatnonzero(among)])
    want = stats.false_discovery_control(np.minimum(weighted, 1))
    np.testing.assert_allclose(found[among], np.maximum(want, p[among]))
    # one type alone: nothing but Benjamini-Hochberg
    alone = evidence.by_groups(p, among, np.repeat("a", 123))
    np.testing.assert_allclose(alone, evidence.benjamini_hochberg(p, among))
    assert np.isnan(evidence.by_groups(p, ~among & among, groups)).all()
    # all of a rare type significant: an adjusted p is never below the p itself
    rare = evidence.by_groups(np.array([0.04, 0.04, *[1e-9] * 200]), np.ones(202, dtype=bool),
                              np.repeat(["a", "b"], [2, 200]))  # fmt: skip
    assert rare[0] == 0.04


def learnt(umi, total, samples=None):
    """Size of each sample, from cells that are added in two runs."""
    samples = np.zeros(len(umi), dtype=int) if samples is None else samples
    moments = SoupMoments(int(samples.max()) + 1, umi.shape[1])
    for half in (slice(None, None, 2), slice(1, None, 2)):
        moments.add(sparse.csr_array(umi[half]), total[half], samples[half])
    return moments.sizes()


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_size_of_the_soup_is_recovered(size):
    rng = np.random.default_rng(1)
    total = rng.uniform(1000, 9000, 20_000)
    mean = total[:, None] * np.array([1e-4, 3e-4, 5e-5])
    umi = rng.negative_binomial(size, size / (size + mean)).astype(float)
    assert learnt(umi, total) == pytest.approx(size, rel=0.1)


def test_poisson_soup_has_no_width():
    total = np.full(4, 100.0)
    # counts that are no wider than Poisson: variance 0 below the mean 10
    assert learnt(np.full((4, 1), 10.0), total) == np.inf
    assert learnt(np.zeros((4, 0)), total) == np.inf
    assert learnt(np.array([[9.0], [0], [0], [0]]), total) == np.inf  # too few UMI
    rng = np.random.default_rng(2)
    total = np.full(50_000, 4000.0)
    wide = learnt(rng.poisson(total[:, None] * [2e-4, 5e-4]).astype(float), total)
    assert wide > 30


def test_size_by_hand():
    # two genes with 20 and 30 UMI over 2 cells of equal depth: means 10, 10 and 15, 15
    umi, total = np.array([[0.0, 10], [20, 20]]), np.array([50.0, 50.0])
    excess = (2 * 10**2 + 2 * 5**2) - (20 + 30)
    assert learnt(umi, total) == pytest.approx((2 * 10**2 + 2 * 15**2) / excess)
    # beside another sample, in which there is too little, each has its own
    both = learnt(np.vstack([umi, umi / 10]), np.tile(total, 2), np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(both, [650 / excess, np.inf])


def test_posterior_rises_with_umi_and_is_near_zero_without():
    rng = np.random.default_rng(3)
    n = 2000
    total = np.full(n, 5000.0)
    umi = rng.poisson(2e-3, n).astype(float)
    umi[:7] = [0, 1, 2, 3, 5, 10, 40]
    for size in (np.inf, 1.0):
        null = evidence.log_pmf(umi, 4e-7 * total, size)
        found = producers.posterior(umi, 4e-7 * total, total, null, np.zeros(n, dtype=int))
        assert all(a < b or b > 1 - 1e-9 for a, b in pairwise(found[:7]))
        assert found[umi == 0].max() < 0.01
        assert found[5] > 0.99
    assert ((found >= 0) & (found <= 1)).all()


def by_quadrature(umi, expected, depth, size, groups):
    """The posterior from its definition: every share integrated by scipy, means summed over."""

    def pmf(x, mean, size):
        if np.isinf(size):
            return stats.poisson.pmf(x, mean)
        return stats.nbinom.pmf(x, size, size / (size + mean))

    null = pmf(umi, expected, size)
    grid = 2.0 ** np.arange(np.ceil(np.log2(max(64, umi.max()))) + 1)
    weights, values = [], []
    for mean in grid:
        ratio = pmf(umi, expected + mean * depth, 1.0) / null
        weight, value = 1.0, np.zeros(umi.size)
        for group in np.unique(groups):
            mine = groups == group

            def joint(t, mine=mine, ratio=ratio):
                # t = sqrt(share) takes away the pole of Beta(0.5, 50) at 0
                return (
                    np.prod(1 - t**2 + t**2 * ratio[mine]) * stats.beta.pdf(t**2, 0.5, 50) * 2 * t
                )

            whole = integrate.quad(joint, 1e-12, 1, epsabs=0, epsrel=1e-9, limit=400)[0]
            for i in np.flatnonzero(mine):
                one = ratio[i]
                part = integrate.quad(
                    lambda t, one=one: joint(t) * t**2 * one / (1 - t**2 + t**2 * one),
                    1e-12, 1, epsabs=0, epsrel=1e-9, limit=400,
                )[0]  # fmt: skip
                value[i] = part / (1 + whole)
            weight *= 0.5 + 0.5 * whole
        weights.append(weight)
        values.append(value)
    return np.average(values, axis=0, weights=weights)


@pytest.mark.parametrize("size", [np.inf, 2.0])
def test_posterior_is_the_integral_of_its_definition(size):
    umi = np.array([0.0, 1, 2, 7, 0, 0, 1, 0, 0, 0])
    total = np.array([4e3, 3e3, 5e3, 4e3, 2e3, 6e3, 5e3, 4e3, 4e3, 3e3])
    groups = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    expected = 5e-6 * total
    null = evidence.log_pmf(umi, expected, size)
    found = producers.posterior(umi, expected, total, null, groups)
    want = by_quadrature(umi, expected, total / total.mean(), size, groups)
    np.testing.assert_allclose(found, want, rtol=0.01, atol=1e-6)
    # seven UMI say more than two, two more than one, and one more than none
    assert found[3] > found[2] > found[1] > found[0]


def test_prior_of_the_share_is_that_beta():
    share, weight = producers.shares()
    assert weight.sum() == pytest.approx(1)
    assert (share * weight).sum() == pytest.approx(0.5 / 50.5, rel=0.01)
    below = weight[share < 0.01].sum()
    assert below == pytest.approx(stats.beta.cdf(0.01, 0.5, 50), abs=0.04)


def test_posterior_of_nothing_and_of_a_lone_group():
    empty = np.zeros(0)
    assert producers.posterior(empty, empty, empty, empty, empty.astype(int)).size == 0
    total = np.full(300, 4e3)
    null = evidence.log_pmf(np.zeros(300), 1e-6 * total, np.inf)
    quiet = producers.posterior(np.zeros(300), 1e-6 * total, total, null, np.arange(300) % 3)
    assert quiet.max() < 1e-3  # nothing was seen: less than one expected producer in all
    assert quiet.sum() < 0.5


def test_labels():
    umi = np.array([0.0, 1, 2, 2, 1, 5, 1])
    genes = np.array([0, 1, 1, 2, 1, 3, 2])
    p_adj = np.array([1.0, 0.01, 0.01, 0.01, 0.05, np.nan, 0.049])
    want = ["none", "weak", "strong", "strong", "none", "none", "strong"]
    assert [k.EVIDENCES[code] for code in evidence.label(umi, genes, p_adj)] == want


# --- lanes ---------------------------------------------------------------------------------

#: Cells of a lane of 8,000; 25 pDC.
LANE = {
    "pDC": 25, "Monocyte": 1600, "cDC": 80, "DC unresolved": 15, "T/NK": 5000, "B naive": 600,
    "B memory": 400, "Platelet": 80, "HSPC": 20, "Doublet": 160, "Unassigned": 20,
}  # fmt: skip
SOUP = 3e-6


def lane(rng, *, soup=SOUP, spiked=0, mean=10.0, lane_of=LANE, features=GENES):
    """Counts of a lane whose IFNA is soup alone, but for the first ``spiked`` pDC.

    Depth is log-normal, contamination differs between cells (mean 0.13), so about one cell in
    500 holds a UMI of IFNA. IFNA genes share it; soup genes teach the width of the null.
    """
    kinds = np.repeat(list(lane_of), list(lane_of.values()))
    total = np.round(rng.lognormal(np.log(4500), 0.4, kinds.size))
    dirty = total * rng.beta(4, 27, kinds.size)
    counts = np.zeros((kinds.size, len(GENES)))
    ifna = rng.poisson(soup * dirty)
    for i in np.flatnonzero(ifna):
        counts[i, rng.integers(0, len(IFNA), int(ifna[i]))] += 1
    for gene in SOUP_GENES:
        counts[:, AT[gene]] = rng.poisson(2e-3 * dirty)
    if spiked:
        made = rng.poisson(mean, (spiked,))
        for i, umi in enumerate(made):
            np.add.at(counts[i], rng.integers(0, 4, int(umi)), 1)
    counts[:, AT["ACTB"]] = np.maximum(total - counts.sum(axis=1), 0)
    keep = [AT[gene] for gene in features]
    adata = ad.AnnData(sparse.csr_matrix(counts[:, keep].astype(np.float32)))
    adata.var_names = features
    adata.obs_names = [f"c{i}" for i in range(kinds.size)]
    adata.obs[k.CELL_TYPE] = pd.Categorical(kinds)
    return adata


def edit(adata, rows, genes, value):
    """Set UMI of a block of a lane."""
    dense = adata.X.toarray()
    dense[np.ix_(np.atleast_1d(rows), [AT[gene] for gene in genes])] = value
    adata.X = sparse.csr_matrix(dense)


def test_a_lane_of_soup_yields_no_producer():
    """60 lanes: 0.1 a lane is 6; the naive rule calls 12 to 20 in each."""
    rng = np.random.default_rng(11)
    false, naive, sure, null_p = 0, 0, 0, []
    for _ in range(60):
        adata = lane(rng)
        tl.production(adata)
        false += int(adata.obs[k.IFNA_EVIDENCE].isin(["weak", "strong"]).sum())
        naive += int((adata.obs[k.IFNA_UMI] >= 1).sum())
        t_cells = (adata.obs[k.CELL_TYPE] == "T/NK").to_numpy()
        null_p.append((adata.obs[k.IFNA_P_VALUE].to_numpy()[t_cells] < 0.05).mean())
        sure += int((adata.obs[k.IFNA_POSTERIOR] > 0.9).sum())
    assert false / 60 <= 0.1
    assert sure / 60 <= 0.1
    assert 12 <= naive / 60 <= 20
    assert np.mean(null_p) <= 0.05


def test_posterior_is_calibrated():
    """Lanes with no producer, few and many: what is expected of cells with a UMI is there."""
    rng = np.random.default_rng(26)
    posterior, truth, quiet = [], [], []
    for i in range(24):
        n = int(rng.binomial(25, 0.08)) if i % 3 else 0
        adata = lane(rng, spiked=n, mean=10.0 if i % 2 else 2.0)
        tl.production(adata)
        told = ~adata.obs[k.CELL_TYPE].isin(["Doublet", "Unassigned"]).to_numpy()
        seen = told & (adata.obs[k.IFNA_UMI] > 0).to_numpy()
        posterior.append(adata.obs[k.IFNA_POSTERIOR].to_numpy(dtype=float)[seen])
        truth.append((np.arange(adata.n_obs) < n)[seen])
        if n == 0:
            quiet.append(adata.obs[k.IFNA_POSTERIOR].to_numpy(dtype=float)[told].sum())
    posterior, truth = np.concatenate(posterior), np.concatenate(truth)
    spread = np.sqrt((posterior * (1 - posterior)).sum())
    assert abs(posterior.sum() - truth.sum()) <= 3 * spread
    for low, high in ((0, 0.05), (0.05, 0.5), (0.5, 0.95), (0.95, 1.01)):
        mine = (posterior >= low) & (posterior < high)
        error = 3 * np.sqrt(0.25 / max(mine.sum(), 1)) if low < 0.95 else 0.03
        assert abs(posterior[mine].mean() - truth[mine].mean()) <= min(error, 0.3)
    assert np.average(np.abs(posterior - truth)) < 0.05
    # lanes without a producer: less than one expected in 8,000 cells
    assert np.mean(quiet) < 1


def test_planted_producers_are_found():
    """3 of 25 pDC at a mean of 10 UMI in each of 12 lanes: 70 % strong at least."""
    rng = np.random.default_rng(12)
    strong, false = [], 0
    for _ in range(12):
        adata = lane(rng, spiked=3)
        tl.production(adata)
        strong += (adata.obs[k.IFNA_EVIDENCE].iloc[:3] == "strong").tolist()
        false += int(adata.obs[k.IFNA_EVIDENCE].iloc[3:].isin(["weak", "strong"]).sum())
        assert (adata.obs[k.IFNA_POSTERIOR].iloc[:3] > 0.9).mean() >= 0.6
    assert np.mean(strong) >= 0.70
    assert false <= 3


def test_the_background_is_measured_and_stored():
    rng = np.random.default_rng(13)
    adata = lane(rng, soup=5e-5)
    tl.production(adata)
    table = adata.uns["scifn"]["production"]["samples"]
    absent = adata.obs[k.CELL_TYPE].isin(["T/NK", "B naive", "B memory", "Platelet"]).to_numpy()
    umi = np.asarray(adata[:, IFNA].X.sum(axis=1)).ravel()
    total = np.asarray(adata.X.sum(axis=1)).ravel()
    rate = (umi[absent].sum() + 0.5) / (total[absent].sum() + 1)
    assert table["background_rate"].item() == pytest.approx(rate, rel=1e-6)
    np.testing.assert_allclose(adata.obs[k.IFNA_BACKGROUND], rate * total, rtol=1e-5)
    assert table["source"].item() == "6,080 cells of types that cannot make IFNA"
    assert table["status"].item() == "ok"
    np.testing.assert_array_equal(adata.obs[k.IFNA_UMI], umi)


def test_t_cells_that_carry_ifna_withhold_the_sample():
    rng = np.random.default_rng(14)
    adata = lane(rng)
    at = np.flatnonzero(adata.obs[k.CELL_TYPE] == "T/NK")[:3]
    edit(adata, at, IFNA[:1], 9)
    tl.production(adata)
    record = adata.uns["scifn"]["production"]
    assert record["samples"]["status"].item() == "ifna_null_fail"
    assert record["status"] == "not_measurable"
    assert "T cells, which make no IFNA, carry it" in record["notes"]
    assert (adata.obs[k.IFNA_EVIDENCE] == "not_measurable").all()


def test_samples_have_their_own_background():
    """Two lanes, one with 300 times the soup: the same UMI is evidence in the clean one only."""
    small = {kind: max(n // 4, 10) for kind, n in LANE.items()}
    rng = np.random.default_rng(15)
    lanes = [lane(rng, soup=soup, spiked=1, lane_of=small) for soup in (SOUP, 300 * SOUP)]
    for one in lanes:
        edit(one, 0, IFNA, 0)
        edit(one, 0, IFNA[:1], 2)
    both = ad.concat(lanes, label="lane", keys=["clean", "dirty"], index_unique="-")
    tl.production(both, sample="lane")
    assert both.obs.loc["c0-clean", k.IFNA_EVIDENCE] == "strong"
    assert both.obs.loc["c0-dirty", k.IFNA_EVIDENCE] == "none"
    alone = lanes[0]
    tl.production(alone)
    mine = both.obs["lane"] == "clean"
    for name in (k.IFNA_BACKGROUND, k.IFNA_P_VALUE, k.IFNA_P_ADJ, k.IFNA_POSTERIOR):
        np.testing.assert_allclose(both.obs.loc[mine, name], alone.obs[name], rtol=1e-5)
    table = both.uns["scifn"]["production"]["samples"].set_index("sample")
    assert table.at["dirty", "background_rate"] > 50 * table.at["clean", "background_rate"]


def test_doublets_and_unknown_cells_are_never_called():
    adata = lane(np.random.default_rng(16))
    at = np.flatnonzero(adata.obs[k.CELL_TYPE].isin(["Doublet", "Unassigned"]))
    edit(adata, at[[*range(5), *range(-5, 0)]], IFNA[:2], 30)
    tl.production(adata)
    assert (adata.obs[k.IFNA_EVIDENCE].iloc[at] == "not_measurable").all()
    assert adata.obs[k.IFNA_P_ADJ].iloc[at].isna().all()
    assert (adata.obs[k.IFNA_EVIDENCE] == "none").sum() == 8000 - at.size


def test_absent_features_are_not_measurable_and_nan():
    kept = [gene for gene in GENES if gene not in IFNA]
    adata = lane(np.random.default_rng(17), features=kept)
    tl.production(adata)
    record = adata.uns["scifn"]["production"]
    assert record["status"] == "not_measurable"
    assert "no IFNA gene is among the features" in record["reason"]
    assert (adata.obs[k.IFNA_EVIDENCE] == "not_measurable").all()
    for name in (k.IFNA_UMI, k.IFNA_BACKGROUND, k.IFNA_P_VALUE, k.IFNA_P_ADJ, k.IFNA_POSTERIOR):
        assert adata.obs[name].isna().all()
    assert (adata.obs[k.IFNB1_UMI] == 0).all()
    few = [gene for gene in GENES if gene not in IFNA[3:]]
    adata = lane(np.random.default_rng(17), features=few)
    tl.production(adata)
    assert "only 3 IFNA genes" in adata.uns["scifn"]["production"]["reason"]


def test_measured_and_zero_is_none_with_a_bound():
    adata = lane(np.random.default_rng(18), soup=0.0)
    tl.production(adata)
    pdc = adata.obs[k.CELL_TYPE] == "pDC"
    assert (adata.obs.loc[pdc, k.IFNA_EVIDENCE] == "none").all()
    assert (adata.obs[k.IFNA_UMI] == 0).all()
    adata.obs["donor"], adata.obs["condition"] = "d1", "patient"
    tl.donors(adata, donor="donor", condition="condition")
    bounds = scifn.get.bounds(adata)
    row = bounds[(bounds["cell_type"] == "pDC") & ~bounds["pooled"]].iloc[0]
    assert row["rate"] == 0.0
    assert row["upper95"] == pytest.approx(1 - 0.05 ** (1 / 25))
    assert "Zero does not exclude secretion; with n=25 pDC the 95 % upper bound" in row["statement"]
    assert row["statement"].endswith("is 11 %")


def test_the_other_interferons_are_counted_apart():
    adata = lane(np.random.default_rng(19), soup=0.0)
    for i, gene in enumerate(["IFNB1", "IFNK", "IFNW1", "IFNE", "IFNL1", "IFNL3"]):
        edit(adata, 0, [gene], i + 1)
    tl.production(adata)
    first = adata.obs.iloc[0]
    assert first[[k.IFNB1_UMI, k.IFNK_UMI, k.IFN1_OTHER_UMI]].tolist() == [1, 2, 3 + 4]
    assert first[k.IFNL_UMI] == 5 + 6
    assert first[k.IFNA_UMI] == 0
    assert first[k.IFNA_EVIDENCE] == "none"


def test_too_few_absent_cells_and_no_droplets_is_not_measurable():
    adata = lane(np.random.default_rng(20), lane_of={"pDC": 60, "Monocyte": 40, "T/NK": 20})
    tl.production(adata)
    record = adata.uns["scifn"]["production"]
    assert record["samples"]["source"].item() == "absent"
    assert "no background could be estimated" in record["notes"]
    assert (adata.obs[k.IFNA_EVIDENCE] == "not_measurable").all()
    assert adata.obs[k.IFNA_P_VALUE].isna().all()


def test_a_cell_without_umi_has_no_evidence():
    adata = lane(np.random.default_rng(21))
    edit(adata, 0, GENES, 0)
    tl.production(adata)
    first = adata.obs.iloc[0]
    assert first[k.IFNA_EVIDENCE] == "not_measurable"
    assert np.isnan(first[[k.IFNA_P_VALUE, k.IFNA_P_ADJ, k.IFNA_POSTERIOR]].astype(float)).all()


# --- ambient= and contamination= -------------------------------------------------------------


@pytest.fixture
def droplets():
    """Empty droplets: 40 of 50 UMI, of which 8 are IFNA; and one that holds a cell."""
    counts = np.zeros((41, len(GENES)), dtype=np.float32)
    counts[:, AT["ACTB"]] = 50
    counts[:8, 0] = 1
    counts[:8, AT["ACTB"]] = 49
    counts[40, AT["ACTB"]] = 5000
    out = ad.AnnData(sparse.csr_matrix(counts))
    out.var_names, out.obs_names = GENES, [f"e{i}" for i in range(41)]
    return out


def test_empty_droplets_in_every_form(droplets, tmp_path):
    path = tmp_path / "raw.h5ad"
    droplets.write_h5ad(path)
    sums = pd.Series(np.asarray(droplets[:40].X.sum(axis=0)).ravel(), index=GENES)
    rate = 0.1 * (8 + 0.5) / (2000 + 1)
    for ambient in (droplets, sums, path, str(path)):
        adata = lane(np.random.default_rng(22))
        tl.production(adata, ambient=ambient, contamination=0.1)
        table = adata.uns["scifn"]["production"]["samples"]
        assert table["background_rate"].item() == pytest.approx(rate)
        assert table["source"].item() == "empty droplets, contamination 0.1"
    adata = lane(np.random.default_rng(22))
    adata.obs["rho"] = np.linspace(0.02, 0.06, adata.n_obs)
    tl.production(adata, ambient=droplets, contamination="rho")
    table = adata.uns["scifn"]["production"]["samples"]
    assert table["background_rate"].item() == pytest.approx(rate * 0.4)
    tl.production(adata, ambient=droplets, overwrite=True)
    table = adata.uns["scifn"]["production"]["samples"]
    assert table["source"].item() == "empty droplets, contamination 0.05 (assumed)"


def test_droplets_that_say_too_little_are_refused(droplets, tmp_path):
    adata = lane(np.random.default_rng(23), lane_of={"pDC": 5, "T/NK": 60})
    with pytest.raises(ArgumentError, match="at least 1,000 are needed"):
        tl.production(adata, ambient=droplets[:10].copy())
    with pytest.raises(ArgumentError, match="not shares"):
        tl.production(adata, ambient=pd.Series([0.5, 0.5], index=["IFNA1", "ACTB"]))
    with pytest.raises(ArgumentError, match="an AnnData, a path or a Series"):
        tl.production(adata, ambient=[1, 2])
    with pytest.raises(InputFileError, match="there is no such file"):
        tl.production(adata, ambient=tmp_path / "nowhere.h5ad")
    assert not [name for name in adata.obs if name != k.CELL_TYPE]


def test_contamination_is_a_share(droplets):
    adata = lane(np.random.default_rng(24), lane_of={"pDC": 5, "T/NK": 60})
    for value in (-0.01, 1.2, np.nan):
        with pytest.raises(ArgumentError, match="between 0 and 1"):
            tl.production(adata, ambient=droplets, contamination=value)


def test_counts_are_needed():
    adata = lane(np.random.default_rng(25), lane_of={"pDC": 5, "T/NK": 60})
    adata.X = adata.X.toarray()
    adata.X = adata.X * np.random.default_rng(0).uniform(0.5, 1.5, adata.shape)
    with pytest.raises(ScaleError, match=r"evidence of interferon transcription|counts"):
        tl.production(adata)


# --- real libraries -----------------------------------------------------------------------------


def test_purified_libraries(shared_data):
    """35 good libraries of blood pDC: rhinovirus ranks over rest; nothing without reads."""
    libraries = ad.read_h5ad(shared_data / "pdc_bulk_rhinovirus_P259.h5ad")
    libraries = libraries[libraries.obs["median_cv_coverage"] <= 0.6].copy()
    tl.production(libraries, bulk=True)
    obs = libraries.obs
    virus = (obs["virus"] == "HRV").to_numpy()
    assert virus.sum() == 22
    assert virus.size == 35
    assert roc_auc_score(virus, -obs[k.IFNA_P_VALUE]) == 1.0
    assert roc_auc_score(virus, obs[k.IFNA_POSTERIOR]) == 1.0
    assert (obs.loc[virus, k.IFNA_EVIDENCE] == "strong").all()
    empty = obs[k.IFNA_UMI] == 0
    assert (obs.loc[empty, k.IFNA_EVIDENCE] == "none").all()
    assert (obs.loc[empty, k.IFNA_P_VALUE] == 1).all()
    rate = obs[k.IFNA_UMI] / np.asarray(libraries.X.sum(axis=1)).ravel()
    told = obs["IFNa_pg_ml"].notna()
    protein = obs.loc[told, "IFNa_pg_ml"]
    assert stats.spearmanr(rate[told], protein).statistic >= 0.84
    # evidence and rate rank alike, and what other libraries leave is no evidence
    assert stats.spearmanr(rate, -obs[k.IFNA_P_VALUE]).statistic >= 0.99
    assert stats.spearmanr(-obs.loc[told, k.IFNA_P_VALUE], protein).statistic >= 0.84
    assert (obs.loc[~virus, k.IFNA_EVIDENCE] == "none").all()


def test_kang_has_no_ifna_feature(shared_data):
    adata = ad.read_h5ad(shared_data / "kang_muscat_example.h5ad")
    adata.obs[k.CELL_TYPE] = pd.Categorical(["T/NK"] * adata.n_obs)
    tl.production(adata)
    assert (adata.obs[k.IFNA_EVIDENCE] == "not_measurable").all()
    assert adata.obs[k.IFNA_UMI].isna().all()


def test_celltypist_sample_shows_none(shared_data):
    adata = ad.read_h5ad(shared_data / "celltypist_sample.h5ad")
    tl.annotate(adata)
    tl.production(adata)
    assert (adata.obs[k.IFNA_UMI] == 0).all()
    told = ~adata.obs[k.CELL_TYPE].isin(["Doublet", "Unassigned"])
    assert (adata.obs.loc[told, k.IFNA_EVIDENCE] == "none").all()
    assert adata.uns["scifn"]["production"]["n_ifna_genes"] == 13
