"""Models of counts, for concordance: against statsmodels, scipy and numbers worked by hand."""

from __future__ import annotations

import time

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import optimize, special, stats

from scifn._stats.betabinomial import _trigamma, fit_beta_binomial, likelihood_ratio
from scifn._stats.quasibinomial import f_test, fit_binomial


@pytest.fixture(scope="module")
def counts():
    """Four responses of 14 donors, the last without any scatter beyond the binomial."""
    rng = np.random.default_rng(0)
    total = rng.integers(800, 6000, (4, 14)).astype(float)
    share = np.array([0.003, 0.05, 0.4, 0.1])[:, None] * np.ones(14)
    share[:3] = special.expit(special.logit(share[:3]) + rng.normal(0, 0.5, (3, 14)))
    return rng.binomial(total.astype(int), share).astype(float), total


X = np.repeat([1.0, 0.0], 7)
Z = np.column_stack([np.ones(14), np.linspace(-1, 1, 14) ** 2])


def test_quasi_binomial_equals_statsmodels(counts):
    for x, n in zip(*counts, strict=True):
        full, less = (
            sm.GLM(x / n, design, sm.families.Binomial(), var_weights=n).fit(scale="X2")
            for design in (np.column_stack([X, Z]), Z)
        )
        ours = fit_binomial(x, n, np.column_stack([X, Z]))
        np.testing.assert_allclose(ours.coefficients, full.params, rtol=1e-6)
        assert ours.deviance == pytest.approx(full.deviance, rel=1e-6)
        assert (ours.df, ours.scale) == (full.df_resid, pytest.approx(full.scale, rel=1e-6))
        f = (less.deviance - full.deviance) / full.scale
        assert f_test(x, n, X, Z) == pytest.approx(stats.f(1, full.df_resid).sf(f), rel=1e-6)


def test_quasi_binomial_at_the_edges(counts):
    x, n = counts[0][0], counts[1][0]
    none = np.where(X == 1, 0.0, x)  # no cell in any donor of the group
    assert 0 <= f_test(none, n, X, np.ones((14, 1))) < 0.01
    empty = n.copy()
    empty[0] = 0  # a donor without cells is no donor
    without = np.arange(14) > 0
    assert f_test(np.where(without, x, 0), empty, X, Z) == pytest.approx(
        f_test(x[without], n[without], X[without], Z[without])
    )
    assert np.isnan(f_test(np.full(14, 3.0), np.full(14, 30.0), X, np.ones((14, 1))))
    assert np.isnan(f_test(x, np.where(X == 1, n, 0), X, np.ones((14, 1))))
    assert np.isnan(f_test(x, np.zeros(14), X, np.ones((14, 1))))


def minus_likelihood(parameters, x, n, design):
    mu, s = special.expit(design @ parameters[:-1]), np.exp(parameters[-1])
    return -stats.betabinom.logpmf(x, n, mu * s, (1 - mu) * s).sum()


def test_beta_binomial_equals_scipy(counts):
    design = np.column_stack([X, Z])
    ours = fit_beta_binomial(*counts, design)
    binomial = stats.binom
    for i in range(3):
        x, n = counts[0][i], counts[1][i]
        at = np.r_[ours.coefficients[i], ours.log_precision[i]]
        theirs = optimize.minimize(
            minus_likelihood,
            at + 0.1,
            args=(x, n, design),
            method="Nelder-Mead",
            options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000},
        )
        np.testing.assert_allclose(at, theirs.x, atol=1e-5)
        constant = special.gammaln(n + 1) - special.gammaln(x + 1) - special.gammaln(n - x + 1)
        assert ours.log_likelihood[i] + constant.sum() == pytest.approx(-theirs.fun, abs=1e-6)
    # nothing beyond the binomial: the precision goes to its bound, the fit to the binomial one
    x, n = counts[0][3], counts[1][3]
    flat = fit_binomial(x, n, design)
    np.testing.assert_allclose(ours.coefficients[3], flat.coefficients, atol=1e-3)
    likely = binomial.logpmf(x, n, special.expit(design @ flat.coefficients)).sum()
    constant = special.gammaln(n + 1) - special.gammaln(x + 1) - special.gammaln(n - x + 1)
    assert ours.log_likelihood[3] + constant.sum() == pytest.approx(likely, abs=0.05)


def test_likelihood_ratio(counts):
    x, n = counts
    p = likelihood_ratio(x, n, X, Z)
    for i in range(3):
        fits = [
            min(
                optimize.minimize(
                    minus_likelihood,
                    np.r_[start, 3.0],
                    args=(x[i], n[i], design),
                    method="Nelder-Mead",
                    options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000},
                ).fun
                for start in [np.r_[np.zeros(design.shape[1] - 2), special.logit(0.01), 0.0]]
            )
            for design in (Z, np.column_stack([X, Z]))
        ]
        assert p[i] == pytest.approx(stats.chi2(1).sf(2 * (fits[0] - fits[1])), abs=1e-4)
    # one readout at a time gives the same; a donor without cells says nothing
    np.testing.assert_allclose(likelihood_ratio(x[:1], n[:1], X, Z), p[:1], rtol=1e-6)
    more = (np.column_stack([v, np.zeros(4)]) for v in (x, n))
    larger = likelihood_ratio(*more, np.r_[X, 1], np.vstack([Z, [1, 0.3]]))
    np.testing.assert_allclose(larger, p, rtol=1e-5)


def test_no_cell_in_an_arm(counts):
    x = np.where(X == 1, 0.0, counts[0])
    p = likelihood_ratio(x, counts[1], X, np.ones((14, 1)))
    assert ((p >= 0) & (p < 1e-3)).all()


def test_trigamma_equals_scipy():
    z = 10 ** np.linspace(-6, 8, 500)
    np.testing.assert_allclose(_trigamma(z), special.polygamma(1, z), rtol=1e-11)


def test_thirty_fits_are_quick():
    rng = np.random.default_rng(1)
    n = np.full((30, 100), 5000.0)
    x = rng.binomial(5000, special.expit(rng.normal(-3, 0.5, (30, 100)))).astype(float)
    start = time.process_time()
    fit_beta_binomial(x, n, np.column_stack([np.repeat([1.0, 0.0], 50), np.ones(100)]))
    assert time.process_time() - start < 2  # some 20 ms when nothing else runs
