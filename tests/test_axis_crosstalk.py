"""Associations across donors: the statistic against other implementations, and the step."""

from __future__ import annotations

import itertools

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

import scifn
from scifn import _keys as k
from scifn import _stats
from scifn._errors import MissingKeyError, OverwriteError
from scifn._stats.partial import partial_spearman


# --- the statistic -----------------------------------------------------------
def test_by_hand():
    # ranks 1..5 against 2 1 4 3 5 twice over: sum of d^2 = 4 in each condition of five, so
    # rho = 1 - 6 * 4 / (5 * 24) = 0.8 in each, and 0.8 together
    x = np.array([10, 20, 30, 40, 50, 1, 2, 3, 4, 5.0])
    y = np.array([2, 1, 4, 3, 5, 102, 101, 104, 103, 105.0])
    found = partial_spearman(x, y, conditions=["a"] * 5 + ["b"] * 5)
    assert found.rho == pytest.approx(0.8)
    assert (found.n, found.k) == (10, 1)
    # as far from 0: sums of squared differences of both conditions, 8 or less, or 72 or more of 80
    far = [0, 0]
    for a, b in itertools.product(itertools.permutations(range(5)), repeat=2):
        d = sum((i - j) ** 2 for order in (a, b) for i, j in enumerate(order))
        far[0] += d <= 8 or d >= 72
        far[1] += 1
    assert far[1] == 120**2
    assert found.p_value == pytest.approx(far[0] / far[1])
    # z = 1.098612, se = sqrt((1 + 0.32) / 6) = 0.469042
    assert found.ci_low == pytest.approx(np.tanh(1.0986123 - 1.959964 * 0.4690416))
    assert found.ci_high == pytest.approx(np.tanh(1.0986123 + 1.959964 * 0.4690416))


def test_p_is_what_the_orders_within_conditions_give():
    # five conditions of two: each pair goes up or down, so that 2 of 32 orders have rho = +-1
    x = np.arange(10.0)
    pairs = [c for c in "abcde" for _ in range(2)]
    found = partial_spearman(x, x**2, conditions=pairs)
    assert (found.rho, found.p_value) == (1.0, pytest.approx(2 / 2**5))
    assert np.isnan([found.ci_low, found.ci_high]).all()
    # ten donors, each in both conditions, are ten that can be exchanged
    twice = partial_spearman(
        np.r_[x, x], np.r_[x, x], conditions=["a"] * 10 + ["b"] * 10, donors=[*"0123456789"] * 2
    )
    assert twice.p_value == pytest.approx(1 / 10_001)


def test_without_covariates_it_is_spearman():
    rng = np.random.default_rng(0)
    x = rng.poisson(3.0, 25).astype(float)  # with ties
    y = x + rng.normal(0, 6, 25)
    found = partial_spearman(x, y)
    want = stats.spearmanr(x, y)
    assert found.rho == pytest.approx(want.statistic)
    # of 25 donors the t of a rank correlation is near
    assert found.p_value == pytest.approx(want.pvalue, abs=3.3 * np.sqrt(want.pvalue / 10_000))
    assert found.p_value > 0.001


def fine(v):
    """Ranks and a thousandth of the values, of mean 0 and variance 1 each."""
    return stats.zscore(stats.rankdata(v)) + 1e-3 * stats.zscore(v)


def test_p_of_six_donors_equals_scipy():
    rng = np.random.default_rng(3)
    x, y = np.maximum(rng.normal(size=6), 0.2), rng.normal(size=6)
    found = partial_spearman(x, y).p_value
    options = {"permutation_type": "pairings", "n_resamples": np.inf, "vectorized": False,
               "alternative": "greater"}  # fmt: skip
    exact = stats.permutation_test(
        (x,), lambda a: abs(np.corrcoef(fine(a), fine(y))[0, 1]), **options
    )
    assert found == pytest.approx(exact.pvalue)
    # of ranks alone, orders of the same correlation count whole: never less
    ranks = stats.permutation_test((x,), lambda a: abs(stats.spearmanr(a, y)[0]), **options)
    assert exact.pvalue <= ranks.pvalue < exact.pvalue + 0.1


def test_p_beside_a_covariate_is_freedman_and_lanes_of_the_scores():
    """Scores of one readout exchanged and freed of the covariate again, in all 5,040 orders."""
    rng = np.random.default_rng(4)
    c = rng.normal(size=(7, 1))
    x, y = (c[:, 0] + rng.normal(size=7) for _ in range(2))
    z = sm.add_constant(c)
    ranks = [fine(sm.OLS(v, z).fit().resid) for v in (x, y)]

    def found(a):
        return abs(np.corrcoef(*(sm.OLS(v, z).fit().resid for v in (a, ranks[1])))[0, 1])

    free = np.eye(7) - z @ np.linalg.pinv(z)
    left = np.array([*itertools.permutations(ranks[0])]) @ free
    right = free @ ranks[1]
    all_ = np.abs(left @ right) / np.sqrt((left**2).sum(axis=1) * (right @ right))
    assert all_[0] == pytest.approx(found(ranks[0]))
    want = (all_ >= all_[0] - 1e-9).mean()
    assert partial_spearman(x, y, covariates=c).p_value == pytest.approx(want)


def test_donors_are_exchanged_whole_and_only_with_their_like():
    """Two in both conditions, four in one each: 2 x 2 x 2 orders."""
    donors = ["a", "b", "c", "d", "b", "a", "e", "f"]
    conditions = ["x"] * 4 + ["y"] * 4
    x = np.array([1.0, 2, 3, 4, 1, 2, 3, 4])
    found = partial_spearman(x, x, conditions=conditions, donors=donors)
    assert (found.n, found.rho) == (6, 1.0)
    assert found.p_value * 8 == pytest.approx(round(found.p_value * 8))
    assert found.p_value == pytest.approx(2 / 8)  # a and b have the same mean of both


def test_p_of_donors_in_two_conditions_beside_a_covariate_is_that_of_each_order_worked_out():
    """Seven donors of two rows each, all 5,040 orders: freed of the covariate, then averaged."""
    rng = np.random.default_rng(7)
    second = np.repeat([0.0, 1.0], 7)
    c = rng.normal(size=14)
    x, y = (c + rng.normal(size=14) for _ in range(2))
    z = np.column_stack([1 - second, second, c])
    free = np.eye(14) - z @ np.linalg.pinv(z)
    scores = [np.concatenate([fine(half) for half in (free @ v).reshape(2, 7)]) for v in (x, y)]
    right = (free @ scores[1]).reshape(2, 7).mean(axis=0)
    found = []
    for order in itertools.permutations(range(7)):
        moved = scores[0].reshape(2, 7)[:, list(order)].ravel()
        left = (free @ moved).reshape(2, 7).mean(axis=0)
        found.append(abs(np.corrcoef(left, right)[0, 1]))
    want = (np.array(found) >= found[0] - 1e-9).mean()
    place = rng.permutation(14)
    ours = partial_spearman(
        x[place], y[place], covariates=c[place, None],
        conditions=[str(v) for v in second[place]], donors=[f"d{i % 7}" for i in place],
    )  # fmt: skip
    assert ours.p_value == pytest.approx(want)
    assert 0.01 < want < 0.99


def test_covariates_are_partialled_out_as_by_regression():
    rng = np.random.default_rng(1)
    c = rng.normal(size=(30, 2))
    x, y = (c @ rng.normal(size=2) + rng.normal(size=30) for _ in range(2))
    found = partial_spearman(x, y, covariates=c)
    rest = [sm.OLS(v, sm.add_constant(c)).fit().resid for v in (x, y)]
    assert found.rho == pytest.approx(stats.spearmanr(*rest).statistic)
    assert found.k == 2
    again = partial_spearman(x, y, covariates=np.hstack([c, c @ [[1.0], [2.0]]]))
    assert again == found  # what is redundant costs nothing


def test_rows_of_a_donor_count_once():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(2, 12))
    donors = [f"d{i}" for i in range(12)]
    once = partial_spearman(x, y, donors=donors)
    twice = partial_spearman(
        np.r_[x, x], np.r_[y, y], donors=donors * 2, conditions=["a"] * 12 + ["b"] * 12
    )
    assert twice.n == once.n == 12
    assert twice.rho == pytest.approx(once.rho)
    assert twice.p_value == once.p_value
    assert twice.ci_high > once.ci_high  # the condition costs a degree of freedom


def test_difference_between_conditions_is_no_association():
    conditions = ["a"] * 10 + ["b"] * 10
    x = np.tile(np.arange(10.0), 2)
    y = np.tile([4, 5, 3, 6, 2, 7, 1, 8, 0, 9.0], 2)
    plain = partial_spearman(x + np.repeat([0, 90], 10), y + np.repeat([0, 90], 10))
    adjusted = partial_spearman(
        x + np.repeat([0, 90], 10), y + np.repeat([0, 90], 10), conditions=conditions
    )
    assert plain.rho > 0.75
    assert adjusted.rho == pytest.approx(stats.spearmanr(x[:10], y[:10]).statistic)


@pytest.mark.parametrize("what", ["constant", "explained", "few"])
def test_what_has_no_correlation_is_nan(what):
    n = 4 if what == "few" else 12
    x, c = np.arange(float(n)), np.arange(float(n))[:, None]
    y = {"constant": np.ones(n), "explained": 3 * x + 1, "few": x}[what]
    found = partial_spearman(x, y, covariates=None if what == "constant" else c[:, : what != "few"])
    assert np.isnan(found.p_value)
    assert np.isnan(found.rho) == (what != "few")


@pytest.mark.parametrize("kind", ["normal", "spread", "covariate", "paired"])
def test_level_holds(kind):
    rng = np.random.default_rng(7)
    n, p = 16, []
    for _ in range(300):
        g = np.repeat([0.0, 1.0], n // 2)
        c, donors = None, None
        x, y = rng.normal(size=(2, n)) + 2 * g
        if kind == "spread":  # one condition in which all varies five times as much
            x, y = rng.normal(size=(2, n)) * (1 + 4 * g)
        elif kind == "covariate":  # one that moves both
            c = rng.normal(size=(n, 1))
            x, y = (c[:, 0] + 0.5 * rng.normal(size=n) + g for _ in range(2))
        elif kind == "paired":
            g = np.repeat([0.0, 1.0], n)
            donors = [str(i) for i in range(n)] * 2
            x, y = (np.tile(rng.normal(size=n), 2) + 0.5 * rng.normal(size=2 * n) for _ in range(2))
        found = partial_spearman(
            x, y, conditions=g.astype(str).tolist(), covariates=c, donors=donors, n_permutations=499
        )
        p.append(found.p_value)
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 3.3 * np.sqrt(0.05 * 0.95 / 300)


# --- the table ---------------------------------------------------------------
def cohort(n=12, seed=0):
    """Donor table and sums in which the response of B cells follows pDC, and receptors nothing."""
    rng = np.random.default_rng(seed)
    donors = pd.DataFrame(
        {
            "donor": [f"D{i}" for i in range(n)],
            "condition": ["SLE", "control"] * (n // 2),
            "logit_pdc": np.arange(n) / 10 - 6,
            "logit_breg_of_b": rng.normal(-3, 0.5, n),
            "lr_breg_effector": rng.normal(0, 0.5, n),
            "response_type1:B": np.arange(n) ** 2.0,
        }
    )
    rows = [
        (d, c, "", t, 100, 2e5, 20.0 + i, 30.0, 40.0, 0.0 if t == k.B_NAIVE else 4.0 + i)
        for i, (d, c) in enumerate(zip(donors["donor"], donors["condition"], strict=True))
        for t in (k.B_NAIVE, k.PDC)
    ]
    genes = ["IFNAR1", "IFNAR2", "CD40", "IL10RA"]
    head = ["donor", "condition", "visit", "cell_type", "n_cells", "total_umi"]
    return donors, pd.DataFrame(rows, columns=[*head, *genes])


def test_a_planted_association_is_found_and_is_not_causal():
    donors, sums = cohort()
    table = _stats.crosstalk(donors, sums)
    assert tuple(table.columns) == k.CROSSTALK_COLUMNS
    first = table.iloc[0]
    assert first["pair"] == "response_type1:B ~ logit_pdc"
    assert first["n_donors"] == 12
    assert first["rho"] > 0.99
    assert first["adjusted_for"] == "condition"
    assert table["statement"].str.contains("not causal").all()
    assert table["statement"].str.contains("p_adj is over the pairs").all()
    np.testing.assert_allclose(
        table["p_adj"].dropna(), stats.false_discovery_control(table["p_value"].dropna())
    )
    flat = table[table["pair"].str.contains("IFNAR2|CD40")]  # the same in every donor
    assert flat["rho"].isna().all()
    assert flat["statement"].str.contains("does not vary within conditions").all()
    assert "IFNAR1 detected in B cells of 12 of 12 samples" in table["statement"][3]


def test_expression_is_of_the_cells_summed_and_behind_its_gate():
    donors, sums = cohort()
    sums.loc[(sums["cell_type"] == k.PDC) & (sums["donor"] == "D3"), "n_cells"] = 9
    found = _stats.crosstalk_expression(sums, "IL10RA@pDC", donors)
    assert np.isnan(found.level[3])
    assert np.isfinite(np.delete(found.level, 3)).all()
    assert found.level[0] == pytest.approx(np.log2(1e6 * 4.5 / 200_001))
    both = pd.concat([sums.assign(visit="a"), sums.assign(visit="b")])
    visits = _stats.crosstalk_expression(both, "IL10RA@pDC", donors)
    assert visits.level[3] == pytest.approx(np.log2(1e6 * 14.5 / 400_001))
    mouse = sums.rename(columns=str.capitalize).rename(columns=str.lower)
    mouse = mouse.rename(columns={"il10ra": "Il10ra"})
    again = _stats.crosstalk_expression(mouse, "IL10RA@pDC", donors)
    np.testing.assert_array_equal(again.level, found.level)


@pytest.mark.parametrize(
    ("change", "pair", "words"),
    [
        (lambda d, s: (d.iloc[:9], s), 0, "9 donors have both, 10 needed"),
        (lambda d, s: (d, None), 3, "no counts, so no expression of IFNAR1"),
        (lambda d, s: (d, s.drop(columns="IL10RA")), 6, "IL10RA is not among the features"),
        (lambda d, s: (d.drop(columns="response_type1:B"), s), 0, "call scifn.tl.response before"),
        (lambda d, s: (d.assign(logit_pdc=np.nan), s), 1, "logit_pdc is not measurable"),
    ],
    ids=["nine donors", "no counts", "no gene", "no response", "no pDC"],
)
def test_what_cannot_be_said_says_why(change, pair, words):
    row = _stats.crosstalk(*change(*cohort())).iloc[pair]
    assert words in row["statement"]
    assert np.isnan([row["rho"], row["ci_low"], row["p_value"]]).all()


def test_missing_values_leave_a_donor_out():
    donors, sums = cohort(n=14)
    donors.loc[[0, 1], "logit_pdc"] = np.nan
    row = _stats.crosstalk(donors, sums).iloc[0]
    assert row["n_donors"] == 12
    assert "2 of 14 samples left out (no value of logit_pdc)" in row["statement"]
    want = _stats.crosstalk(donors.iloc[2:].reset_index(drop=True), sums).iloc[0]
    assert row["rho"] == want["rho"]


def test_one_condition_is_not_adjusted_for():
    donors, sums = cohort()
    row = _stats.crosstalk(donors.assign(condition="SLE"), sums.assign(condition="SLE")).iloc[0]
    assert row["adjusted_for"] == ""
    assert row["rho"] == 1.0


# --- the step ----------------------------------------------------------------
@pytest.fixture
def counted():
    """Ten donors by labels alone, two visits of one of them."""
    labels = ["T/NK"] * 40 + ["B naive"] * 6 + ["pDC"]
    rows = [(f"D{i}", "SLE" if i % 2 else "control", x) for i in range(10) for x in labels * 12]
    obs = pd.DataFrame(rows, columns=["donor", "condition", "label"]).rename(index=str)
    obs["visit"] = np.where((obs["donor"] == "D1") & (np.arange(len(obs)) % 2 == 0), "b", "a")
    adata = ad.AnnData(obs=obs)
    scifn.tl.donors(adata, donor="donor", condition="condition", visit="visit", cell_type="label")
    return adata


def test_step_writes_its_table_and_round_trips(counted, tmp_path):
    scifn.tl.crosstalk(counted)
    table = scifn.get.crosstalk(counted)
    assert len(table) == len(_stats.crosstalk(*cohort()))
    assert counted.uns["scifn"]["crosstalk_parameters"]["min_donors"] == 10
    with pytest.raises(OverwriteError, match="crosstalk"):
        scifn.tl.crosstalk(counted)
    scifn.tl.crosstalk(counted, overwrite=True)
    counted.write_h5ad(tmp_path / "x.h5ad")
    back = scifn.get.crosstalk(ad.read_h5ad(tmp_path / "x.h5ad"))
    pd.testing.assert_frame_equal(back, table)
    scifn.tl.donors(
        counted, donor="donor", condition="condition", cell_type="label", overwrite=True
    )
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.crosstalk\(adata\)"):
        scifn.get.crosstalk(counted)


def test_step_needs_the_donor_table():
    adata = ad.AnnData(np.ones((2, 2), dtype=np.float32))
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.donors\(adata"):
        scifn.tl.crosstalk(adata)


def test_report_shows_the_table_where_it_is(counted):
    from scifn.report import _methods, _sections_axis
    from scifn.report._material import gather

    assert _sections_axis.sections(gather(counted)) == []
    scifn.tl.crosstalk(counted)
    section = _sections_axis.sections(gather(counted))[0]
    assert section.anchor == "crosstalk"
    assert "ssociation across donors, not causal" in str(section.blocks)
    said = str(_methods.methods(gather(counted)).blocks)
    assert "p is that of donors exchanged with others of the same conditions" in said
    assert "Benjamini and Hochberg’s over the pairs" in said
