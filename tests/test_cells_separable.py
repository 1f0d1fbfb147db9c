"""What a panel can tell apart, by closed forms, by sums and by drawn cells; tempering."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scifn._cells import mixture
from scifn._cells.calibration import LINEAGE, TYPE, tempered
from scifn._cells.likelihood import log_likelihood
from scifn._cells.profiles import components
from scifn._cells.separable import confusion, overlap


@pytest.mark.parametrize("size", [0.5, 1.0, 10.0])
@pytest.mark.parametrize("means", [(0.1, 5.0), (3.0, 3.0), (0.01, 0.02), (20.0, 2.0)])
def test_overlap_is_the_sum_of_roots(means, size):
    x = np.arange(3000)
    one, other = (stats.nbinom.pmf(x, size, size / (size + mean)) for mean in means)
    found = overlap(np.array([means]), size)
    np.testing.assert_allclose(found[0, 1], np.sqrt(one * other).sum(), rtol=1e-7)
    np.testing.assert_allclose(np.diag(found), 1.0)
    np.testing.assert_array_equal(found, found.T)


def test_genes_multiply():
    means = np.array([[1.0, 4.0], [2.0, 0.5]])
    parts = [overlap(means[[i]], 1.0)[0, 1] for i in range(2)]
    np.testing.assert_allclose(overlap(means, 1.0)[0, 1], np.prod(parts))


def test_the_bound_holds_for_drawn_cells():
    """Of cells drawn in the shares of the priors, wrong claims on a type stay below the bound."""
    model = components().singlets()
    pair = [model.names.index(name) for name in ("B naive", "B memory")]
    means = 800 * mixture.expected(model)
    bound = confusion(model, means, 1.0)
    rng = np.random.default_rng(4)
    n = np.array([1200, 1000])  # in the ratio of the priors, .03 to .025
    np.testing.assert_allclose(model.priors[pair[0]] / model.priors[pair[1]], 1.2)
    truth = np.repeat([0, 1], n)
    drawn = rng.poisson(means[:, pair].T[truth] * rng.gamma(1.0, 1.0, (n.sum(), len(means))))
    from scipy.sparse import csr_matrix

    rates = mixture.expected(model)[:, pair]
    depth = np.full(n.sum(), 800.0)
    joint = log_likelihood(csr_matrix(drawn.astype(float)), depth, rates, 1.0)
    called = (joint + np.log(model.priors[pair])).argmax(axis=1)
    for own, other in ((0, 1), (1, 0)):
        wrong = ((called == own) & (truth == other)).sum() / n[own]
        assert 0 < wrong < bound[pair[own], pair[other]]


@given(
    st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda p: sum(p) > 0.1),
    st.sampled_from([LINEAGE, TYPE]),
)
def test_tempering_keeps_the_order_and_is_less_sure(values, how):
    posterior = np.array([values]) / sum(values)
    found = tempered(posterior, *how)
    np.testing.assert_allclose(found.sum(), 1.0)
    assert (np.diff(found[0][np.argsort(posterior[0], kind="stable")]) >= -1e-12).all()
    assert found.max() <= posterior.max() + 1e-12
    assert 0 < how[0] < 1


def test_tempering_by_hand_and_of_nothing_known():
    found = tempered(np.array([[0.64, 0.36], [0.0, 0.0], [1.0, 0.0]]), 0.5, 0.1)
    half = np.array([0.8, 0.6]) / 1.4
    np.testing.assert_allclose(found, [0.9 * half + 0.05, [0, 0], [0.95, 0.05]])
