"""Each statistic against another implementation, or numbers worked by hand."""

from __future__ import annotations

import itertools
import math
import time

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from scifn._stats import clopper_pearson, upper_bound, zero_bound
from scifn._stats._arrangements import orders, random_signs
from scifn._stats._layout import Layout
from scifn._stats.adjust import benjamini_hochberg, by_family
from scifn._stats.effects import cliffs_delta, cliffs_interval, hedges_g
from scifn._stats.ols import basis, fit, is_aliased
from scifn._stats.permutation import attainable, permute
from scifn._stats.wilcoxon import concordance, pairs, two_groups


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def arms(n1, n0):
    return np.repeat([1.0, 0.0], [n1, n0])


def run(y, x, z, block=None, *, paired=False, n_permutations=999, seed=0):
    y = np.asarray(y, dtype=float)
    return permute(
        y[:, None] if y.ndim == 1 else y,
        Layout.of(x, z, block, paired=paired),
        n_permutations=n_permutations,
        rng=np.random.default_rng(seed),
    )


# --- least squares ------------------------------------------------------------


def test_ols_equals_statsmodels(rng):
    x = arms(7, 9)
    z = np.column_stack([np.ones(16), rng.normal(size=16), rng.integers(0, 2, 16)])
    y = rng.normal(size=(16, 3))
    ours = fit(y, x, z)
    for j in range(3):
        theirs = sm.OLS(y[:, j], np.column_stack([x, z])).fit()
        low, high = theirs.conf_int()[0]
        assert ours.effect[j] == pytest.approx(theirs.params[0], rel=1e-10)
        assert ours.se[j] == pytest.approx(theirs.bse[0], rel=1e-10)
        assert ours.statistic[j] == pytest.approx(theirs.tvalues[0], rel=1e-10)
        assert ours.p_value[j] == pytest.approx(theirs.pvalues[0], rel=1e-10)
        assert (ours.ci_low[j], ours.ci_high[j]) == pytest.approx((low, high), rel=1e-10)
        assert ours.df == theirs.df_resid
        without = [
            sm.OLS(np.delete(y[:, j], i), np.delete(np.column_stack([x, z]), i, 0)).fit().params[0]
            for i in range(16)
        ]
        assert ours.loo_low[j] == pytest.approx(min(without), rel=1e-9)
        assert ours.loo_high[j] == pytest.approx(max(without), rel=1e-9)


def test_without_covariates_it_is_the_t_test(rng):
    a, b = rng.normal(size=5), rng.normal(size=8)
    ours = fit(np.r_[a, b][:, None], arms(5, 8), np.ones((13, 1)))
    theirs = stats.ttest_ind(a, b)
    assert ours.statistic[0] == pytest.approx(theirs.statistic, rel=1e-10)
    assert ours.p_value[0] == pytest.approx(theirs.pvalue, rel=1e-10)
    low, high = theirs.confidence_interval()
    assert (ours.ci_low[0], ours.ci_high[0]) == pytest.approx((low, high), rel=1e-10)


def test_of_differences_it_is_the_paired_t_test(rng):
    a, b = rng.normal(size=6), rng.normal(size=6)
    ours = fit((a - b)[:, None], np.ones(6), np.zeros((6, 0)))
    theirs = stats.ttest_rel(a, b)
    assert ours.statistic[0] == pytest.approx(theirs.statistic, rel=1e-10)
    assert ours.p_value[0] == pytest.approx(theirs.pvalue, rel=1e-10)
    assert ours.df == theirs.df


def test_redundant_columns_change_nothing(rng):
    x, c, y = arms(6, 6), rng.normal(size=12), rng.normal(size=(12, 1))
    z = np.column_stack([np.ones(12), c])
    doubled = np.column_stack([z, 3 * c - 1])
    assert basis(doubled).shape[1] == 2
    assert fit(y, x, doubled).p_value == pytest.approx(fit(y, x, z).p_value, rel=1e-9)


def test_aliasing_is_seen_whatever_the_scale():
    x = arms(4, 4)
    assert is_aliased(x, np.column_stack([np.ones(8), 1e6 * x + 5]))
    assert not is_aliased(x, np.column_stack([np.ones(8), np.arange(8) * 1e-6]))


def test_a_constant_has_no_p_value():
    ours = fit(np.full((8, 1), 0.1), arms(4, 4), np.ones((8, 1)))
    assert np.isnan(ours.p_value[0])
    assert ours.effect[0] == pytest.approx(0, abs=1e-12)


# --- permutation --------------------------------------------------------------


@pytest.mark.parametrize(("n1", "n0"), [(4, 4), (5, 7), (3, 9), (6, 6)])
def test_exact_permutation_equals_scipy(rng, n1, n0):
    y = rng.normal(size=n1 + n0)
    ours = run(y, arms(n1, n0), np.ones((n1 + n0, 1)))

    def t(a, b, axis):
        return stats.ttest_ind(a, b, axis=axis).statistic

    theirs = stats.permutation_test((y[:n1], y[n1:]), t, vectorized=True, n_resamples=np.inf)
    assert ours.exact
    assert ours.n_arrangements == math.comb(n1 + n0, n1)
    assert ours.p_value[0] == pytest.approx(theirs.pvalue, rel=1e-12)


@pytest.mark.parametrize("n", [4, 6, 9])
def test_exact_sign_flips_equal_scipy(rng, n):
    d = rng.normal(size=n) + 0.5
    ours = run(d, np.ones(n), np.zeros((n, 0)), paired=True)
    theirs = stats.permutation_test(
        (d,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=np.inf
    )
    assert ours.exact
    assert ours.p_value[0] == pytest.approx(theirs.pvalue, rel=1e-12)


def test_ties_count_on_both_sides():
    y = np.array([1.0, 1, 2, 2, 1, 2, 2, 2])
    ours = run(y, arms(4, 4), np.ones((8, 1)))
    theirs = stats.permutation_test(
        (y[:4], y[4:]), lambda a, b, axis: a.mean(axis) - b.mean(axis), n_resamples=np.inf
    )
    assert ours.p_value[0] == pytest.approx(theirs.pvalue, rel=1e-12)
    assert run(np.ones(8), arms(4, 4), np.ones((8, 1))).p_value[0] == 1.0


def test_within_blocks_by_hand():
    """Two blocks of 2 v 2: 36 arrangements; the observed one is the highest in both."""
    y = np.array([3.0, 4, 1, 2, 13, 14, 11, 12])
    x = np.array([1.0, 1, 0, 0, 1, 1, 0, 0])
    block = np.repeat([0, 1], 4)
    z = np.column_stack([np.ones(8), block])
    ours = run(y, x, z, block)
    assert ours.n_arrangements == 36
    assert ours.p_value[0] == pytest.approx(2 / 36)
    assert ours.p_attainable == pytest.approx(2 / 36)


def test_smallest_p_of_balanced_designs():
    """science: 3 v 3 0.10, 4 v 4 0.029, 5 v 5 0.0079; signs 2 / 2^n."""
    for n, p in ((3, 0.10), (4, 0.029), (5, 0.0079)):
        x, y = arms(n, n), np.r_[np.arange(n) + 10.0, np.arange(n)]
        found = run(y, x, np.ones((2 * n, 1)))
        assert found.p_attainable == pytest.approx(p, rel=0.02)
        assert found.p_value[0] == pytest.approx(found.p_attainable)
    signs = run(np.arange(5) + 1.0, np.ones(5), np.zeros((5, 0)), paired=True)
    assert signs.p_value[0] == signs.p_attainable == 2 / 32
    assert attainable(20_001, 9_999) == 2 / 10_000
    assert attainable(1, 999) == 1.0


def test_monte_carlo_has_plus_one_and_a_seed(rng):
    y = np.r_[np.arange(12) + 100.0, np.arange(12)]
    found = run(y, arms(12, 12), np.ones((24, 1)), n_permutations=499)
    assert not found.exact
    assert found.p_value[0] == pytest.approx(2 / 500)
    noise = rng.normal(size=(24, 2))
    one = run(noise, arms(12, 12), np.ones((24, 1)), n_permutations=499, seed=3)
    two = run(noise, arms(12, 12), np.ones((24, 1)), n_permutations=499, seed=3)
    np.testing.assert_array_equal(one.p_value, two.p_value)


@pytest.mark.parametrize("block", [[0] * 7, [1, 0, 1, 2, 0, 1, 1]])
def test_random_orders_keep_blocks_and_do_not_follow_the_pieces(block):
    block = np.array(block)
    drawn = [
        np.concatenate([*orders(block, 300, np.random.default_rng(1), width)])
        for width in (1, 1000, 1_000_000)
    ]
    assert drawn[0].shape == (300, 7)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])
    np.testing.assert_array_equal(block[drawn[0]], np.tile(block, (300, 1)))
    np.testing.assert_array_equal(np.sort(drawn[0]), np.tile(np.arange(7), (300, 1)))
    # the orders of one seed, by the numbers that are drawn
    keys = np.random.default_rng(1).random((300, 7))
    for row, key in zip(drawn[0], keys, strict=True):
        for code in np.unique(block):
            here = np.flatnonzero(block == code)
            np.testing.assert_array_equal(row[here], here[np.argsort(key[here])])


@pytest.mark.parametrize("n", [1024, 1025])  # as whole numbers with the row, and too long for it
def test_random_orders_of_many_rows_are_those_of_the_numbers_drawn(n):
    found = np.concatenate([*orders(np.zeros(n, dtype=np.int64), 20, np.random.default_rng(3), n)])
    keys = np.random.default_rng(3).random((20, n))
    np.testing.assert_array_equal(found, np.argsort(keys, axis=1))


def test_random_signs_do_not_follow_the_pieces():
    drawn = [
        np.concatenate([*random_signs(7, 300, np.random.default_rng(1), width)])
        for width in (1, 1000, 1_000_000)
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    np.testing.assert_array_equal(drawn[0], drawn[2])


def test_monte_carlo_nears_the_exact_p(rng):
    y = rng.normal(size=18) + arms(9, 9) * 0.8  # 48,620 arrangements
    x = arms(9, 9)
    found = run(y, x, np.ones((18, 1)), n_permutations=20_000)
    # the exact p, by brute force
    sums = np.array([y[list(c)].sum() for c in itertools.combinations(range(18), 9)])
    tail = min((sums >= y[:9].sum() - 1e-9).mean(), (sums <= y[:9].sum() + 1e-9).mean())
    assert found.p_value[0] == pytest.approx(2 * tail, abs=4 * np.sqrt(2 * tail / 10_000))


def freedman_lane_slowly(y, x, z, orders):
    """The textbook: fit without x, permute what is left, add it back, refit, take the t of x."""
    reduced = sm.OLS(y, z).fit()
    full = np.column_stack([x, z])
    observed = sm.OLS(y, full).fit().tvalues[0]
    found = np.array(
        [sm.OLS(reduced.fittedvalues + reduced.resid[o], full).fit().tvalues[0] for o in orders]
    )
    return observed, found


def test_freedman_lane_equals_the_textbook(rng):
    """Blocks of three: 216 orders, all of them gone through by both."""
    block = np.repeat([0, 1, 2], 3)
    x = np.array([1.0, 0, 1, 0, 1, 0, 0, 0, 1])
    z = np.column_stack([np.ones(9), block == 1, block == 2, rng.normal(size=9)]).astype(float)
    y = rng.normal(size=9) + x
    orders = [
        np.array([*a, *b, *c])
        for a in itertools.permutations(range(3))
        for b in itertools.permutations(range(3, 6))
        for c in itertools.permutations(range(6, 9))
    ]
    observed, found = freedman_lane_slowly(y, x, z, orders)
    ours = run(y, x, z, block)
    assert ours.n_arrangements == len(orders) == 216
    tail = min((found >= observed - 1e-9).mean(), (found <= observed + 1e-9).mean())
    assert ours.p_value[0] == pytest.approx(min(1, 2 * tail), rel=1e-12)


def test_freedman_lane_by_random_orders(rng):
    x, c = arms(8, 8), rng.normal(size=16)
    c += 2 * x  # a covariate that leans on the group
    z = np.column_stack([np.ones(16), c])
    y = 2 * c + rng.normal(size=16)
    orders = [rng.permutation(16) for _ in range(400)]
    observed, found = freedman_lane_slowly(y, x, z, orders)
    slow = 2 * (min((found >= observed).sum(), (found <= observed).sum()) + 1) / 401
    ours = run(y, x, z, n_permutations=4000).p_value[0]
    assert ours == pytest.approx(slow, abs=0.1)
    naive = run(y, x, np.ones((16, 1)), n_permutations=4000).p_value[0]
    assert naive < 0.05 < ours  # the group seems to matter only as long as c is left out


def test_signs_with_a_covariate_equal_the_textbook(rng):
    n = 7
    z = rng.normal(size=(n, 1))
    d = 0.7 + z[:, 0] + rng.normal(size=n)
    left = d - z[:, 0] * (z[:, 0] @ d) / (z[:, 0] @ z[:, 0])
    full = np.column_stack([np.ones(n), z])
    observed = sm.OLS(d, full).fit().tvalues[0]
    found = np.array(
        [
            sm.OLS(d - left + left * np.array(s), full).fit().tvalues[0]
            for s in itertools.product([1, -1], repeat=n)
        ]
    )
    tail = min((found >= observed - 1e-9).mean(), (found <= observed + 1e-9).mean())
    ours = run(d, np.ones(n), z, paired=True)
    assert ours.p_value[0] == pytest.approx(min(1, 2 * tail), rel=1e-12)


def test_many_readouts_of_many_donors_are_quick(rng):
    y, x = rng.normal(size=(260, 30)), arms(160, 100)
    start = time.process_time()
    run(y, x, np.ones((260, 1)), n_permutations=10_000)
    assert time.process_time() - start < 5  # about half a second when nothing else runs


# --- effect sizes, ranks, bounds, multiplicity ---------------------------------


def test_hedges_g_by_hand():
    a, b = np.array([2.0, 4, 6]), np.array([1.0, 2, 3])
    d = (4 - 2) / np.sqrt((4 + 1) / 2)
    exact = math.gamma(2) / (math.sqrt(2) * math.gamma(1.5))  # 4 degrees of freedom
    assert hedges_g(a, b) == pytest.approx(d * exact)
    assert exact == pytest.approx(1 - 3 / (4 * 4 - 1), abs=0.003)  # the usual approximation
    paired = math.gamma(1) / (math.sqrt(1) * math.gamma(0.5))  # 2 degrees of freedom
    assert hedges_g(a, b, paired=True) == pytest.approx(d * paired)
    assert np.isnan(hedges_g(a[:1], b))
    assert np.isnan(hedges_g(np.full(3, 0.1), np.full(3, 0.1)))


def test_cliffs_delta_by_hand():
    assert cliffs_delta(np.array([3.0, 4]), np.array([1.0, 3, 5])) == pytest.approx((3 - 2) / 6)
    assert cliffs_delta(np.array([3.0, 4]), np.array([1.0, 5]), paired=True) == 0
    a, b = np.array([1.0, 5, 7, 3]), np.array([2.0, 2, 4])
    u = stats.mannwhitneyu(a, b).statistic
    assert cliffs_delta(a, b) == pytest.approx(2 * u / 12 - 1)


def test_interval_of_cliffs_delta(rng):
    """By the equation that its ends solve, and Wilson's for pairs; and it holds what it should."""
    a, b = rng.normal(1, 1, 6), rng.normal(0, 1, 9)
    share, z = (cliffs_delta(a, b) + 1) / 2, stats.norm.ppf(0.975)
    for end, sign in zip(cliffs_interval(a, b), (1, -1), strict=True):
        x = (end + 1) / 2
        v = x * (1 - x) * (1 + 6.5 * ((1 - x) / (2 - x) + x / (1 + x))) / 54  # (6 + 9) / 2 - 1
        assert sign * (share - x) == pytest.approx(z * np.sqrt(v))
    up = np.array([1.0] * 7 + [-1.0] * 2)
    wilson = stats.binomtest(7, 9).proportion_ci(method="wilson")
    found = cliffs_interval(up, np.zeros(9), paired=True)
    np.testing.assert_allclose(found, [2 * wilson.low - 1, 2 * wilson.high - 1])
    low, high = cliffs_interval(np.arange(4.0) + 9, np.arange(4.0))
    assert high == 1
    assert low == pytest.approx(-cliffs_interval(np.arange(4.0), np.arange(4.0) + 9)[1])
    assert np.isnan(cliffs_interval(a[:1], b)).all()
    for shift in (0.0, 2.0):
        truth = 2 * stats.norm.cdf(shift / np.sqrt(2)) - 1
        ends = [cliffs_interval(rng.normal(shift, 1, 8), rng.normal(0, 1, 8)) for _ in range(400)]
        held = np.mean([low <= truth <= high for low, high in ends])
        assert abs(held - 0.95) < 0.04


def test_ranks_equal_scipy(rng):
    a, b = rng.normal(size=6), rng.normal(size=7)
    assert two_groups(a, b) == stats.mannwhitneyu(a, b).pvalue
    assert pairs(a - b[:6]) == stats.wilcoxon(a, b[:6]).pvalue
    assert two_groups(np.ones(4), np.ones(4)) == 1.0
    assert pairs(np.zeros(5)) == 1.0
    assert 0 < pairs(np.array([0.0, 1, 1, -1, 2, 2, 3])) < 1


def test_concordance_in_words():
    assert concordance(1, {"t": 0.01, "W": 0.02}, 0.5) == "p < 0.05: all 2 tests"
    assert concordance(1, {"t": 0.3, "W": 0.2}, 0.5) == "p < 0.05: none of 2 tests"
    said = concordance(1, {"t": 0.01, "W": 0.2}, -0.5)
    assert said == "p < 0.05: t; not: W; means and ranks differ in sign"


def test_bounds_equal_scipy():
    for n in (1, 7, 30):
        for positive in range(n + 1):
            both = stats.binomtest(positive, n).proportion_ci(0.95, "exact")
            low, high = clopper_pearson(positive, n)
            assert (float(low), float(high)) == pytest.approx((both.low, both.high), abs=1e-10)
            one = stats.binomtest(positive, n, alternative="less").proportion_ci(0.95, "exact")
            assert float(upper_bound(positive, n)) == pytest.approx(one.high, abs=1e-10)
    np.testing.assert_allclose(zero_bound([10, 30]), 1 - 0.05 ** (1 / np.array([10, 30])))
    assert np.isnan(zero_bound(0))


def test_adjustment_equals_scipy(rng):
    p = rng.uniform(size=25)
    np.testing.assert_allclose(benjamini_hochberg(p), stats.false_discovery_control(p))
    holed = np.insert(p, [0, 7], np.nan)
    ours = benjamini_hochberg(holed)
    assert np.isnan(ours[[0, 8]]).all()
    np.testing.assert_allclose(ours[~np.isnan(holed)], stats.false_discovery_control(p))
    assert np.isnan(benjamini_hochberg([np.nan, np.nan])).all()


def test_families_do_not_mix():
    p = [0.01, 0.02, 0.03, 0.5]
    families = ["primary", "balance", "primary", "balance"]
    np.testing.assert_allclose(by_family(p, families), [0.02, 0.04, 0.03, 0.5])
