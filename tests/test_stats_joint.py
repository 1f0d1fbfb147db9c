"""The joint test of the two balances, against statsmodels, brute force and its level."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.multivariate.manova import MANOVA

from scifn._stats._layout import Layout
from scifn._stats.joint import attainable_jointly, hotelling, permute_joint


def by_group(n1, n0):
    return np.repeat([1.0, 0.0], [n1, n0])


def run(y, x, z, *, block=None, paired=False, n_permutations=999):
    """p and the smallest that the design could give."""
    layout = Layout.of(x, z, block, paired=paired)
    p = permute_joint(y, layout, n_permutations=n_permutations, rng=np.random.default_rng(0))
    return p, attainable_jointly(layout, n_permutations)


def t2(y, x, z):
    """Hotelling's T2 from full and reduced sums of squares, the long way."""
    full = np.column_stack([x, z])
    beta, *_ = np.linalg.lstsq(full, y, rcond=None)
    left = y - full @ beta
    scatter = left.T @ left
    d = beta[0]
    return d @ np.linalg.solve(scatter, d) / np.linalg.inv(full.T @ full)[0, 0]


@pytest.mark.parametrize("covariates", [0, 2])
def test_f_equals_statsmodels(covariates):
    rng = np.random.default_rng(1)
    x = by_group(7, 9)
    z = np.column_stack([np.ones(16), rng.normal(size=(16, covariates))])
    y = rng.normal(size=(16, 2)) @ [[1, 0.5], [0, 1]] + x[:, None] * [1.0, -0.4]
    ours = hotelling(y, x, z)
    exog = np.column_stack([x, z])
    contrast = np.eye(1, exog.shape[1])
    table = MANOVA(y, exog).mv_test([("x", contrast)]).results["x"]["stat"]
    row = table.loc["Pillai's trace"]
    assert ours.statistic == pytest.approx(row["F Value"])
    assert (ours.df, ours.p_value) == (row["Den DF"], pytest.approx(row["Pr > F"]))
    np.testing.assert_allclose(t2(y, x, z) * ours.df / 2, ours.statistic)


def test_exact_permutation_equals_scipy():
    rng = np.random.default_rng(2)
    x = by_group(4, 6)
    y = rng.normal(size=(10, 2)) + x[:, None] * [1.0, -1.0]

    def statistic(rows):
        return t2(y, np.isin(np.arange(10), rows).astype(float), np.ones((10, 1)))

    found = np.array([statistic(c) for c in itertools.combinations(range(10), 4)])
    theirs = (found >= statistic(range(4)) - 1e-9).mean()
    p, least = run(y, x, np.ones((10, 1)))
    assert p == pytest.approx(theirs, rel=1e-12)
    assert least == 1 / 210
    index = stats.permutation_test(
        (np.arange(4), np.arange(4, 10)),
        lambda a, b: statistic(a),
        vectorized=False,
        alternative="greater",
        n_resamples=np.inf,
    )
    assert p == pytest.approx(index.pvalue, rel=1e-12)


def test_freedman_lane_and_signs_equal_the_textbook():
    rng = np.random.default_rng(3)
    x = np.array([1.0, 0, 1, 0, 1, 0, 1, 0])
    block = np.repeat([0, 1], 4)
    z = np.column_stack([block == 0, block == 1, rng.normal(size=8)]).astype(float)
    y = rng.normal(size=(8, 2)) + x[:, None]
    fitted = z @ np.linalg.lstsq(z, y, rcond=None)[0]
    orders = [
        [*a, *b]
        for a in itertools.permutations(range(4))
        for b in itertools.permutations(range(4, 8))
    ]
    found = np.array([t2(fitted + (y - fitted)[o], x, z) for o in orders])
    p, least = run(y, x, z, block=block)
    assert p == pytest.approx((found >= t2(y, x, z) - 1e-9).mean(), rel=1e-12)
    assert least == 1 / 576

    ones, c = np.ones(7), rng.normal(size=(7, 1))
    d = rng.normal(size=(7, 2)) + 1
    fitted = c @ np.linalg.lstsq(c, d, rcond=None)[0]
    signs = [np.array(s)[:, None] for s in itertools.product([1, -1], repeat=7)]
    found = np.array([t2(fitted + (d - fitted) * s, ones, c) for s in signs])
    p, least = run(d, ones, c, paired=True)
    assert p == pytest.approx((found >= t2(d, ones, c) - 1e-9).mean(), rel=1e-12)
    assert least == 2 / 128


def test_smallest_p_and_plus_one():
    y = np.column_stack([np.r_[np.arange(5) + 50.0, np.arange(5)], np.sin(np.arange(10))])
    p, least = run(y, by_group(5, 5), np.ones((10, 1)))
    assert p == least == 2 / 252
    many = np.column_stack([np.r_[np.arange(12) + 50.0, np.arange(12)], np.sin(np.arange(24))])
    p, least = run(many, by_group(12, 12), np.ones((24, 1)), n_permutations=499)
    assert p == least == 1 / 500


def test_a_flat_direction_has_no_p_value():
    rng = np.random.default_rng(4)
    a = rng.normal(size=10)
    for y in (np.column_stack([a, 2 * a]), np.full((10, 2), 0.1)):
        assert np.isnan(hotelling(y, by_group(5, 5), np.ones((10, 1))).p_value)
        assert np.isnan(run(y, by_group(5, 5), np.ones((10, 1)))[0])


def test_level_and_power():
    """No difference: 5 of 100; a shift along both: found oftener than by either alone."""
    rng = np.random.default_rng(5)
    x, z, n_cohorts = by_group(6, 6), np.ones((12, 1)), 300
    null, shifted = [], []
    for _ in range(n_cohorts):
        y = rng.normal(size=(12, 2)) @ [[1, 0.6], [0, 0.8]]
        null.append(run(y, x, z)[0])
        shifted.append(run(y + x[:, None] * [1.0, -1.0], x, z)[0])
    error = 3 * np.sqrt(0.05 * 0.95 / n_cohorts)
    assert (np.array(null) < 0.05).mean() < 0.05 + error
    assert (np.array(shifted) < 0.05).mean() > 0.7
