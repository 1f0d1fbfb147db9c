"""What scale a matrix is on, and counts back from logarithms: numbers that a hand can check."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import scifn
from scifn import _matrix, _view
from scifn._errors import ScaleError

#: Two cells by hand: 10 and 20 UMI.
HAND = np.array([[1, 2, 3, 4, 0, 0], [0, 1, 1, 8, 10, 0]], dtype=float)


def simulated(n_cells=300, n_features=400, seed=0):
    """Counts of cells that differ in depth, with one very high gene and an empty cell."""
    rng = np.random.default_rng(seed)
    depth = rng.lognormal(0, 0.7, (n_cells, 1))
    rates = rng.lognormal(-1.5, 1.2, n_features)
    rates[0] = 900.0
    made = rng.poisson(depth * rates).astype(float)
    made[7] = 0
    return made


def normalized(made, target):
    """Each cell to the target sum; None leaves the median depth, as scanpy does."""
    total = made.sum(axis=1, keepdims=True)
    target = np.median(total[total > 0]) if target is None else target
    return np.divide(made * target, total, out=np.zeros_like(made), where=total > 0)


def sniff(values, dtype="float32"):
    return _matrix.sniff(sp.csr_array(np.asarray(values).astype(dtype)))


def recovered(values, kind):
    """All features of a matrix in UMI, by one pass, and whether each cell was exact."""
    columns = tuple((i,) for i in range(values.shape[1]))
    every = np.ones(values.shape[1], dtype=bool)
    panel = _matrix.one_pass(values, columns, every, kind)
    one = np.where(np.isfinite(panel.one), panel.one, 1.0)
    return np.rint(panel.values.toarray() / one[:, None]), panel


def test_by_hand_ten_umi_at_ten_thousand_are_log_1001():
    logs = np.log1p(normalized(HAND, 1e4))
    assert logs[0, 0] == pytest.approx(np.log(1001))  # 1 of 10 UMI is 1000 of 10,000
    assert logs[1, 3] == pytest.approx(np.log(4001))
    scale = sniff(logs)
    assert (scale.kind, scale.target_sum, scale.recoverable) == ("log1p", 1e4, True)
    umi, panel = recovered(sp.csr_array(logs.astype("float32")), "log1p")
    assert umi.tolist() == HAND.tolist()
    np.testing.assert_allclose(panel.one, [1000, 500], rtol=1e-6)
    np.testing.assert_allclose(panel.total / panel.one, [10, 20], rtol=1e-6)


SCALES = {
    "CP10k": (lambda x: np.log1p(normalized(x, 1e4)), "log1p", 1e4),
    "CPM": (lambda x: np.log1p(normalized(x, 1e6)), "log1p", 1e6),
    "median": (lambda x: np.log1p(normalized(x, None)), "log1p", "median"),
    "no target": (np.log1p, "log1p", np.nan),
    "log2": (lambda x: np.log2(normalized(x, 1e4) + 1), "log2", 1e4),
    "not logged": (lambda x: normalized(x, 1e4), "normalized", 1e4),
    "not logged, CPM": (lambda x: normalized(x, 1e6), "normalized", 1e6),
    "log of log": (lambda x: np.log1p(np.log1p(normalized(x, 1e4))), "log1p of log1p", 1e4),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SCALES)
def test_scale_is_told_and_counts_come_back_exactly(name, dtype):
    made = simulated()
    scaled, kind, target = SCALES[name]
    values = sp.csr_array(scaled(made).astype(dtype))
    scale = _matrix.sniff(values)
    assert (scale.kind, scale.recoverable) == (kind, True)
    if target == "median":
        total = made.sum(axis=1)
        assert scale.target_sum == pytest.approx(np.median(total[total > 0]), rel=1e-3)
    else:
        assert scale.target_sum == pytest.approx(target, rel=1e-3, nan_ok=True)
    umi, panel = recovered(values, kind)
    assert panel.exact.all()
    assert (umi == made).all()


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32", "int64", "uint16", "float16"])
def test_integers_are_counts_whatever_their_type(dtype):
    made = np.minimum(simulated(), 2000)
    values = made.astype(dtype)
    values = values.astype("float32") if dtype == "float16" else values
    scale = _matrix.sniff(sp.csr_array(values))
    assert (scale.kind, scale.recoverable) == ("counts", True)
    assert np.isnan(scale.target_sum)


def test_booleans_are_read_as_one_umi():
    scale = _matrix.sniff(_matrix.sample_rows(simulated() > 0, 100))
    assert scale.kind == "counts"


def test_variable_genes_of_logarithms_are_recoverable_without_a_target():
    made = simulated()
    kept = np.flatnonzero(made.var(axis=0) > np.median(made.var(axis=0)))
    logs = np.log1p(normalized(made, 1e4))[:, kept].astype("float32")
    scale = sniff(logs)
    assert (scale.kind, scale.recoverable) == ("log1p", True)
    assert np.isnan(scale.target_sum), "rows of a subset have no common sum"
    umi, panel = recovered(sp.csr_array(logs), "log1p")
    assert panel.exact.all()
    assert (umi == made[:, kept]).all()


def test_a_cell_whose_smallest_value_is_two_umi_is_recovered_by_its_odd_ones():
    made = np.array([[2, 4, 5, 0, 7], [4, 6, 9, 15, 0], [3, 6, 9, 0, 7], [1, 1, 1, 2, 5]], float)
    umi, panel = recovered(sp.csr_array(np.log1p(normalized(made, 1e4))), "log1p")
    assert panel.exact.all()
    assert umi.tolist() == made.tolist()
    # all even: nothing in the cell tells 2, 4, 6 from 1, 2, 3
    even = np.log1p(normalized(np.array([[2.0, 4, 6, 0]]), 1e4))
    assert recovered(sp.csr_array(even), "log1p")[0].tolist() == [[1, 2, 3, 0]]


def corrected(made):
    """Logarithms with the mean of a batch taken off, above zero: no longer multiples of a UMI."""
    rng = np.random.default_rng(1)
    logs = np.log1p(normalized(made, 1e4))
    return np.maximum(logs - rng.uniform(0, 0.3, made.shape[1]), 0)


UNRECOVERABLE = {
    "half precision": lambda x: np.log1p(normalized(x, 1e4)).astype("float16"),
    "batch-corrected": corrected,
    "smoothed": lambda x: np.log1p(normalized((x + np.roll(x, 1, axis=0) * 0.37), 1e4)),
    "two decimals": lambda x: np.round(np.log1p(normalized(x, 1e4)), 2),
    "mean of cells": lambda x: (
        np.log1p(normalized(x, 1e4)) + np.log1p(normalized(np.roll(x, 3, 0), 1e4))
    ) / 2,
}  # fmt: skip


@pytest.mark.parametrize("name", UNRECOVERABLE)
def test_logarithms_that_are_no_multiples_are_not_recovered(name):
    values = UNRECOVERABLE[name](simulated())
    scale = sniff(values)
    assert (scale.kind, scale.recoverable) == ("log1p", False)
    assert "cannot be recovered" in scale.reason


def test_large_values_that_are_no_multiples_are_normalized():
    scale = sniff(normalized(simulated(), 1e4) * np.random.default_rng(0).uniform(0.9, 1.1, 400))
    assert (scale.kind, scale.recoverable) == ("normalized", False)
    assert "not logarithms" in scale.reason


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        (lambda x: (x - x.mean(0)) / (x.std(0) + 1), "scaled", "negative"),
        (lambda x: np.where(x == 1, np.nan, x), "not finite", "NaN"),
        (lambda x: np.where(x == 1, np.inf, x), "not finite", "infinite"),
        (np.zeros_like, "empty", "no value other than zero"),
    ],
)
def test_what_is_no_expression_is_named_and_never_used(change, kind, reason):
    scale = sniff(change(simulated()))
    assert scale.kind == kind
    assert reason in scale.reason
    assert not scale.recoverable
    assert kind not in _matrix.USABLE


def adata_of(values, n=400):
    """Cells x real gene symbols, so that the view can be read."""
    genes = sorted({*scifn.genesets.load("isg_sc_pan"), *scifn.genesets.load("b_pan")})
    names = [*genes, *(f"filler{i}" for i in range(n - len(genes)))]
    found = ad.AnnData(sp.csr_matrix(np.asarray(values, dtype="float32")))
    found.var_names = names
    found.obs_names = [f"cell{i}" for i in range(found.n_obs)]
    return found


def hidden(values, at, value):
    """One value in a row that the sample does not look at."""
    rows = np.linspace(0, len(values) - 1, _view.SAMPLED_ROWS).astype(int)
    row = next(i for i in range(10, len(values)) if i not in rows and values[i, at] > 0)
    values[row, at] = value
    return values, row


def test_one_fraction_outside_the_sample_is_found_by_the_pass():
    values, _ = hidden(simulated(1500), 0, 3.5)
    with pytest.raises(ScaleError, match=r"looked like counts, but 1 of 1,500 cells hold"):
        _view.read(adata_of(values), ["ISG15"])


def test_one_corrected_cell_outside_the_sample_leaves_no_counts_and_a_note():
    logs, _ = hidden(np.log1p(normalized(simulated(1500), 1e4)), 0, 3.14159)
    view = _view.read(adata_of(logs), ["ISG15"])
    assert not view.is_counts
    assert view.record["counts"] == "unknown"
    assert "counts could not be recovered in 1 cells" in view.record["notes"]
    with pytest.raises(ScaleError, match=r"evidence needs UMI counts; X holds"):
        view.need_counts("evidence")


def test_one_unreadable_cell_outside_the_sample_is_named():
    for value in (np.nan, np.inf, -2.0):
        values, row = hidden(simulated(1500), 0, value)
        message = rf"X: 1 of 1,500 cells hold NaN, infinite or negative values \('cell{row}'\)"
        with pytest.raises(ValueError, match=message):
            _view.read(adata_of(values), ["ISG15"])


def test_the_view_of_recovered_counts_is_the_view_of_the_counts():
    made = simulated(600)
    genes = ["ISG15", "IFI6", "MS4A1", "CD79A"]
    want = _view.read(adata_of(made), genes)
    for scaled, kind, _ in SCALES.values():
        view = _view.read(adata_of(scaled(made)), genes)
        assert view.is_counts
        assert view.record["counts"] == "recovered"
        assert view.record["scale"] == kind
        assert (view.values.toarray() == want.values.toarray()).all()
        assert (view.total == want.total).all()
        assert (view.n_genes == want.n_genes).all()


def test_real_counts_come_back_from_what_scanpy_makes_of_them(shared_data):
    import scanpy as sc

    adata = ad.read_h5ad(shared_data / "kang_ifnb_fullgenes_annot.h5ad")
    adata = adata[::6, adata.var_names.argsort()[:4000]].copy()
    made = sp.csr_array(adata.X).astype("float64")
    assert _matrix.sniff(made).kind == "counts"
    adata.X = adata.X.astype("float32")
    for target in (1e4, 1e6, None):
        logs = adata.copy()
        sc.pp.normalize_total(logs, target_sum=target)
        sc.pp.log1p(logs)
        values = sp.csr_array(logs.X)
        scale = _matrix.sniff(_matrix.sample_rows(values, 512))
        assert (scale.kind, scale.recoverable) == ("log1p", True)
        every = np.ones(values.shape[1], dtype=bool)
        columns = tuple((i,) for i in range(values.shape[1]))
        panel = _matrix.one_pass(values, columns, every, "log1p")
        assert panel.exact.all()
        one = np.where(np.isfinite(panel.one), panel.one, 1.0)
        umi = sp.diags_array(1 / one) @ panel.values
        umi.data = np.rint(umi.data)
        assert (umi != made).nnz == 0
