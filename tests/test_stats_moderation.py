"""Moderated variances and shrunken log ratios, against limma, scipy and numbers worked by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special

from scifn._errors import ArgumentError
from scifn._stats.moderation import moderated, squeeze_variances
from scifn._stats.ols import fit
from scifn._stats.shrinkage import BALANCES, RATIO, shrunken


@pytest.fixture(scope="module")
def limma(shared_data):
    return json.loads((shared_data / "limma_reference.json").read_text())


@pytest.mark.parametrize(
    ("name", "df", "covariate", "robust"),
    [
        ("squeeze", "df", None, False),
        ("squeeze_unequal_df", "df_unequal", None, False),
        ("squeeze_trend", "df", "covariate", False),
        ("squeeze_robust", "df", None, True),
    ],
)
def test_squeezed_variances_equal_limma(limma, name, df, covariate, robust):
    x = limma[covariate] if covariate else None
    found = squeeze_variances(limma["var"], limma[df], covariate=x, robust=robust)
    theirs = limma[name]
    np.testing.assert_allclose(found.variance, theirs["var_post"], rtol=1e-6)
    np.testing.assert_allclose(found.prior, np.broadcast_to(theirs["var_prior"], 10), rtol=1e-6)
    d0 = np.array(theirs["df_prior"], dtype=float)
    np.testing.assert_allclose(found.df_prior, np.broadcast_to(d0, 10), rtol=1e-6)


def test_moderated_t_equals_limma(limma, shared_data):
    """24 cell types of 20 healthy donors, young against old."""
    theirs = limma["healthy_age"]
    share = pd.read_csv(shared_data / "props_speckle_healthy_pbmc20.csv", index_col=0)
    age = pd.read_csv(shared_data / "props_speckle_healthy_pbmc20_samples.csv", index_col=0)["age"]
    p = share.loc[theirs["types"]].T.clip(1e-5, 1 - 1e-5).to_numpy()
    x = (age[share.columns] == "young").to_numpy(dtype=float)
    plain = fit(special.logit(p), x, np.ones((20, 1)))
    t, df, p_value = moderated(plain, squeeze_variances(plain.variance, plain.df, robust=True))
    found = {"effect": plain.effect, "t": t, "p": p_value, "df_total": df}
    for name, values in found.items():
        np.testing.assert_allclose(values, theirs[name], rtol=1e-6, err_msg=name)


def test_moderation_by_hand():
    """Posterior variance is the mean of both, weighted by their degrees of freedom."""
    found = squeeze_variances([0.1, 0.5, 0.02, 2.0], 8)
    d0 = found.df_prior[0]
    assert 0 < d0 < 8
    np.testing.assert_allclose(
        found.variance, (8 * np.array([0.1, 0.5, 0.02, 2.0]) + d0 * found.prior) / (8 + d0)
    )
    same = squeeze_variances([0.3] * 4, 8)
    assert np.isinf(same.df_prior).all()
    np.testing.assert_allclose(same.variance, 0.3)
    two = squeeze_variances([0.1, 0.5], 8)  # too few to learn from
    np.testing.assert_array_equal(two.variance, [0.1, 0.5])
    with pytest.raises(ArgumentError, match="robust prior with a trend"):
        squeeze_variances([0.1, 0.5, 0.2], 8, covariate=[1, 2, 3], robust=True)


def test_robust_prior_of_unequal_df_and_of_one_outlier():
    rng = np.random.default_rng(0)
    s2 = rng.chisquare(10, 24) / 10
    calm = squeeze_variances(s2, 10, robust=True)
    wild = squeeze_variances(np.r_[s2[:-1], 40.0], 10, robust=True)
    assert wild.df_prior[-1] < 1 < 20 < wild.df_prior[:-1].min()
    np.testing.assert_allclose(wild.prior, calm.prior, rtol=0.1)
    df = np.r_[np.full(12, 10.0), np.full(12, 6.0)]
    assert np.isfinite(squeeze_variances(s2, df, robust=True).variance).all()


# --- log ratios held to the other donors -------------------------------------------


def test_shrunken_is_the_mode():
    """At the values found, likelihood and prior pull alike, each donor by itself."""
    rng = np.random.default_rng(1)
    a = rng.poisson(8 * np.exp(rng.normal(0, 0.8, 12))).astype(float)
    total = np.full(12, 3000.0)
    found = shrunken(np.column_stack([a, total - a]), RATIO, np.ones((12, 1)))[:, 0]
    mean = found.mean()
    pull = a - total * special.expit(found)
    variance = (found - mean) / pull  # one number: that of the prior
    np.testing.assert_allclose(variance, variance[0], rtol=1e-4)

    def minus(theta, i):
        likely = a[i] * theta - total[i] * np.logaddexp(0, theta)
        return -(likely - (theta - mean) ** 2 / (2 * variance[0]))

    for i in (0, 5):
        best = optimize.minimize_scalar(minus, args=(i,), bracket=(-8, -3), tol=1e-10)
        assert found[i] == pytest.approx(best.x, abs=1e-4)


def test_many_cells_are_not_moved_and_few_are():
    """The same shares at a hundred times the cells; one donor with few."""
    rng = np.random.default_rng(2)
    share = 0.003 * np.exp(rng.normal(0, 0.6, 10))
    deep = np.column_stack([share, 1 - share]) * 1e7
    raw = np.log(share / (1 - share))
    held = shrunken(deep, RATIO, np.ones((10, 1)))[:, 0]
    np.testing.assert_allclose(held, raw, atol=1e-3)
    mixed = deep.copy()
    mixed[0] = [0, 500]
    one = shrunken(mixed, RATIO, np.ones((10, 1)))[:, 0]
    assert abs(one[0] - raw[1:].mean()) < 1.0 < abs(np.log(0.5 / 500.5) - raw[1:].mean())
    np.testing.assert_allclose(one[1:], raw[1:], atol=2e-3)


def test_what_the_nuisance_predicts():
    """A donor without counts gets the value of its batch."""
    rng = np.random.default_rng(3)
    batch = np.repeat([0.0, 1.0], 6)
    share = np.exp(-5 + 2 * batch + rng.normal(0, 0.3, 12))
    parts = np.column_stack([share, 1 - share]) * 5000
    parts[0] = 0
    z = np.column_stack([np.ones(12), batch])
    found = shrunken(parts, RATIO, z)[:, 0]
    assert found[0] == pytest.approx(found[1:6].mean(), abs=1e-4)
    assert found[6:].mean() - found[:6].mean() == pytest.approx(2, abs=0.5)


def test_balances_of_three_parts():
    """Coordinates of the donor table; two parts and the first coordinate of three agree."""
    rng = np.random.default_rng(4)
    parts = rng.gamma(2, 1, size=(9, 3)) * 1e6
    found = shrunken(parts, BALANCES, np.ones((9, 1)))
    p, b, e = parts.T
    np.testing.assert_allclose(found[:, 0], np.sqrt(2 / 3) * np.log(p / np.sqrt(b * e)), atol=1e-2)
    np.testing.assert_allclose(found[:, 1], np.sqrt(1 / 2) * np.log(b / e), atol=1e-2)
    stacked = shrunken(np.stack([parts, parts / 1e4]), BALANCES, np.ones((9, 1)))
    np.testing.assert_allclose(stacked[0], found, atol=1e-5)
