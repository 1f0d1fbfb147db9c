"""The likelihood of identity is scipy's negative binomial; the posterior is Bayes by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse, special, stats

from scifn._cells import mixture
from scifn._cells.likelihood import LOG_STEP, log_likelihood, posterior
from scifn._cells.profiles import Components, components

RATES = np.array([[2e-3, 1e-4], [5e-4, 4e-3], [1e-5, 1e-5], [3e-2, 1e-2]])
COUNTS = np.array([[4, 0, 0, 60], [0, 9, 1, 20], [0, 0, 0, 0], [1, 1, 7, 33]], dtype=float)


def cell_constant(counts, size):
    """What a negative binomial says of the counts alone, whatever their mean."""
    parts = special.gammaln(counts + size) - special.gammaln(size) - special.gammaln(counts + 1)
    return parts.sum(axis=1)[:, None]


def by_scipy(counts, depth, rates, size):
    mean = depth[:, None, None] * rates[None]
    return stats.nbinom.logpmf(counts[:, :, None], size, size / (size + mean)).sum(axis=1)


@pytest.mark.parametrize("size", [0.3, 1.0, 20.0])
def test_equals_scipy_at_the_centers_of_the_depth_bins(size):
    depth = np.exp(np.array([300, 380, 425, 461]) * LOG_STEP)  # 403 to 10,097 UMI
    ours = log_likelihood(sparse.csr_matrix(COUNTS), depth, RATES, size)
    want = by_scipy(COUNTS, depth, RATES, size) - cell_constant(COUNTS, size)
    np.testing.assert_allclose(ours, want, rtol=1e-12, atol=1e-10)


def test_depths_within_two_percent_share_a_table():
    depth = np.array([1234.0, 2500.0, 5000.0, 777.0])
    ours = log_likelihood(sparse.csr_matrix(COUNTS), depth, RATES, 1.0)
    want = by_scipy(COUNTS, depth, RATES, 1.0) - cell_constant(COUNTS, 1.0)
    # a depth is off by at most half a step; the slope in log depth is (x - mean) / (1 + mean)
    mean = depth[:, None, None] * RATES[None]
    slope = np.abs((COUNTS[:, :, None] - mean) / (1 + mean)).sum(axis=1)
    assert np.all(np.abs(ours - want) <= 1.05 * LOG_STEP / 2 * slope)
    at = np.rint(np.log(depth) / LOG_STEP) * LOG_STEP
    centered = by_scipy(COUNTS, np.exp(at), RATES, 1.0) - cell_constant(COUNTS, 1.0)
    np.testing.assert_allclose(ours, centered, rtol=1e-12, atol=1e-10)


def test_an_empty_cell_says_nothing():
    ours = log_likelihood(sparse.csr_matrix(np.zeros((2, 4))), np.array([0.0, 100.0]), RATES, 1.0)
    np.testing.assert_array_equal(ours[0], 0.0)
    # no UMI of any gene: size * log(size / (size + mean)), summed
    want = by_scipy(np.zeros((1, 4)), np.array([100.0]), RATES, 1.0)
    np.testing.assert_allclose(ours[1], want[0], rtol=0.02)


def test_posterior_of_two_components_by_hand():
    # likelihoods 1 and 3, priors 0.9 and 0.1: 0.9 and 0.3 of 1.2
    found = posterior(np.log([[1.0, 3.0]]), np.array([0.9, 0.1]))
    np.testing.assert_allclose(found, [[0.75, 0.25]])


def test_posterior_sums_to_one_where_likelihoods_are_tiny():
    found = posterior(np.array([[-9000.0, -9001.0, -12000.0]]), np.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(found.sum(), 1.0)
    np.testing.assert_allclose(found[0, 0] / found[0, 1], 2 * np.e)
    assert found[0, 2] == 0.0


def test_what_is_not_allowed_is_left_out_before_the_rest_is_normalized():
    # the allowed one is 5,000 units behind: exp() of that is zero, its posterior is still one
    found = posterior(np.array([[0.0, -5000.0]] * 2), np.array([[0.0, 0.1], [0.0, 0.0]]))
    np.testing.assert_array_equal(found, [[0.0, 1.0], [0.0, 0.0]])


def tiny_model():
    """Two types over four genes, no doublet."""
    return Components(
        genes=("A", "B", "C", "D"),
        names=("pDC", "T CD4"),
        types=("pDC", "T/NK"),
        priors=np.array([0.01, 0.99]),
        rates=RATES,
        pairs=((), ()),
    )


def test_type_posterior_by_hand_with_ambient_rna_in_every_mean():
    model = tiny_model()
    depth = np.exp(np.full(4, 400) * LOG_STEP)
    ours = mixture.type_posterior(sparse.csr_matrix(COUNTS), depth, model, whole=True)
    blood = 0.01 * RATES[:, 0] + 0.99 * RATES[:, 1]
    mean = 0.95 * RATES + 0.05 * blood[:, None] + 1e-6
    joint = by_scipy(COUNTS, depth, mean, 1.0) + np.log([0.01, 0.99])
    want = np.exp(joint - special.logsumexp(joint, axis=1, keepdims=True))
    np.testing.assert_allclose(ours.posterior, want, rtol=1e-9)
    np.testing.assert_allclose(
        ours.log_odds_pdc, np.diff(by_scipy(COUNTS, depth, mean, 1.0)[:, ::-1], axis=1)[:, 0]
    )
    assert ours.types == ("pDC", "T/NK")
    assert ours.enough.tolist() == [True, True, False, True]


def test_a_panel_is_judged_by_its_own_genes_alone():
    model = tiny_model()
    cells = sparse.csr_matrix(COUNTS)
    one = mixture.type_posterior(cells, np.full(4, 1e3), model, whole=False)
    other = mixture.type_posterior(cells, np.full(4, 5e5), model, whole=False)
    np.testing.assert_array_equal(one.posterior, other.posterior)


@pytest.fixture
def sampled():
    """Shipped components and 60 cells drawn from them."""
    model = components()
    rng = np.random.default_rng(3)
    which = np.arange(60) % len(model.names)
    depth = rng.uniform(800, 6000, 60)
    return model, rng.poisson(depth[:, None] * model.rates[:, which].T).astype(float), depth


def test_no_other_cell_matters(sampled):
    model, counts, depth = sampled
    rates = model.rates + mixture.ERROR
    together = log_likelihood(sparse.csr_matrix(counts), depth, rates, 1.0)
    alone = [
        log_likelihood(sparse.csr_matrix(counts[[i]]), depth[[i]], rates, 1.0)[0]
        for i in range(len(depth))
    ]
    np.testing.assert_array_equal(together, alone)


def test_the_order_of_genes_does_not_matter(sampled):
    model, counts, depth = sampled
    order = np.random.default_rng(1).permutation(len(model.genes))
    shuffled = model.of_genes([model.genes[i] for i in order])
    one = mixture.type_posterior(sparse.csr_matrix(counts), depth, model, whole=True)
    other = mixture.type_posterior(sparse.csr_matrix(counts[:, order]), depth, shuffled, whole=True)
    np.testing.assert_allclose(one.posterior, other.posterior, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.posterior.sum(axis=1), 1.0)
