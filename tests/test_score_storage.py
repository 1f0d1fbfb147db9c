"""tl.score on every kind of storage: the same numbers, little memory, nothing left half done."""

from __future__ import annotations

import tracemalloc
from functools import cache, lru_cache, partial

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scifn
from scifn import _matrix, _view
from scifn._cells.scores import METHODS, linear, rank
from scifn._cells.scores.logs import Logs, merged_selector
from scifn._cells.scores.plan import Arm, without_controls
from scifn._errors import MatrixError, ScaleError
from scifn._matrix import _rows, _storage
from scifn.genesets import _ids

N_CELLS, N_GENES = 23, 40


@lru_cache(maxsize=1)
def names():
    return sorted(_ids.ids("human").other_names)[:N_GENES]


def counts(seed=0):
    rng = np.random.default_rng(seed)
    made = rng.poisson(rng.gamma(0.5, 2.0, N_GENES), (N_CELLS, N_GENES)).astype(float)
    made[[4, N_CELLS - 1]] = 0
    made[:, 2] = 0
    return made


SETS = {
    "a": ["0", "3", "5", "8"],
    "b": {"up": ["11", "12", "20"], "down": ["13", "30"]},
}


def sets():
    """The same by the names of the genes."""
    by_name = [
        {arm: [names()[int(i)] for i in listed] for arm, listed in one.items()}
        if isinstance(one, dict)
        else [names()[int(i)] for i in one]
        for one in SETS.values()
    ]
    return dict(zip(SETS, by_name, strict=True))


def holding(matrix):
    """An AnnData with the matrix as it is; none of its own conversions."""
    var = pd.DataFrame(index=names())
    obs = pd.DataFrame(index=[f"c{i}" for i in range(N_CELLS)])
    return _Held(obs, var, matrix)


class _Held(ad.AnnData):
    """Stands in for an object opened from a file: X is whatever was given."""

    def __init__(self, obs, var, matrix):
        super().__init__(obs=obs, var=var)
        self._held = matrix

    @property
    def X(self):
        return self._held


def scored(matrix, method, **options):
    adata = holding(matrix)
    scifn.tl.score(adata, sets(), method=method, **options)
    return adata.obs.to_numpy()


def log1p_cp10k(made):
    total = made.sum(axis=1, keepdims=True)
    return np.log1p(np.divide(made * 1e4, total, out=np.zeros_like(made), where=total > 0))


@pytest.fixture(params=[1, 4_000_000])
def block_nnz(request, monkeypatch):
    """Blocks and portions of one value, and of everything."""
    monkeypatch.setattr(_storage, "BLOCK_NNZ", request.param)
    monkeypatch.setattr(linear, "PORTION", max(request.param // 2, 1))
    return request.param


@pytest.fixture(params=[False, True], ids=["numpy", "compiled"])
def engine(request, monkeypatch):
    monkeypatch.setattr(linear, "COMPILED_FROM", 0 if request.param else 10**9)
    return request.param


@cache
def reference(method, kind):
    """Scores of the dense matrix of a dtype, all in one block, by numpy."""
    held = counts().astype(kind).astype(np.float64)
    return scored(held, method)


@pytest.mark.parametrize("method", METHODS)
def test_every_storage_gives_the_same_scores(storage, method, block_nnz):
    found = scored(storage(counts()), method)
    np.testing.assert_array_equal(found, reference(method, storage.dtype))


@pytest.mark.parametrize("method", METHODS)
def test_every_storage_gives_the_same_scores_compiled(storage, method, monkeypatch):
    monkeypatch.setattr(linear, "COMPILED_FROM", 0)
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 50)
    found = scored(storage(counts()), method)
    np.testing.assert_array_equal(found, reference(method, storage.dtype))


@pytest.mark.parametrize("method", ["matched", "rank"])
def test_logarithms_score_as_the_counts_they_were_made_of(float_storage, method, monkeypatch):
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 50)
    found = scored(float_storage(log1p_cp10k(counts())), method)
    filled = counts().any(axis=1)
    np.testing.assert_allclose(found[filled], reference(method, "float64")[filled], atol=1e-6)
    assert np.isnan(found[~filled]).all()


def test_zarr_arrays_are_read(tmp_path):
    zarr = pytest.importorskip("zarr")
    made = counts()
    array = zarr.open_array(str(tmp_path / "x.zarr"), mode="w", shape=made.shape, dtype="f4")
    array[:] = made
    np.testing.assert_array_equal(scored(array, "matched"), reference("matched", "float32"))


def test_chunks_of_dask_are_worked_on_where_they_live():
    """Only what is kept of a chunk comes back; each is computed once a reading, and one sample."""
    array = pytest.importorskip("dask.array")
    made, seen = counts(), []

    def look(block):
        seen.append(block.shape)
        return sp.csr_array(block)

    chunks = array.from_array(made, chunks=(6, 15))
    watched = chunks.map_blocks(look, dtype=made.dtype, meta=sp.csr_array((0, 0)))
    n_chunks = 4 * 3
    for method, readings in (("mean", 1), ("rank", 1), ("matched", 2)):
        seen.clear()
        np.testing.assert_array_equal(scored(watched, method), reference(method, "float64"))
        assert len(seen) == 3 + readings * n_chunks


@pytest.mark.parametrize("method", METHODS)
def test_places_out_of_order_or_stored_in_parts(engine, method):
    """Sparse rows may be unsorted, and hold a place twice: its value is the sum."""
    made = sp.csr_array(counts())
    backwards = made.copy()
    for i in range(N_CELLS):
        row = slice(made.indptr[i], made.indptr[i + 1])
        backwards.indices[row] = made.indices[row][::-1]
        backwards.data[row] = made.data[row][::-1]
    backwards.has_sorted_indices = False
    parts = sp.csr_array(
        (np.repeat(made.data / 2, 2), np.repeat(made.indices, 2), made.indptr * 2), made.shape
    )
    parts.data[::2] = np.floor(parts.data[::2])
    parts.data[1::2] = made.data - parts.data[::2]
    for matrix in (backwards, parts):
        before = matrix.copy()
        np.testing.assert_array_equal(scored(matrix, method), reference(method, "float64"))
        np.testing.assert_array_equal(matrix.indices, before.indices)
        np.testing.assert_array_equal(matrix.data, before.data)


@pytest.mark.parametrize("method", METHODS)
def test_explicit_zeros_are_nothing(engine, method):
    made = sp.csr_array(counts() + 1.0)
    made.data -= 1.0
    np.testing.assert_array_equal(scored(made, method), reference(method, "float64"))


def big():
    """Counts above all tables of the kernels, and below them."""
    made = counts() * np.where(np.arange(N_GENES) % 7 == 3, 700.0, 1.0)
    made[0, :5] = [511, 512, 1023, 1024, 123_456]
    return made


@pytest.mark.parametrize("method", METHODS)
def test_large_counts(method, monkeypatch):
    found = []
    for start in (0, 10**9):
        monkeypatch.setattr(linear, "COMPILED_FROM", start)
        found.append(scored(sp.csr_array(big()), method))
    np.testing.assert_array_equal(*found)
    if method == "mean":
        at = [0, 3, 5, 8]
        wanted = log1p_cp10k(big())[:, at].mean(axis=1)
        filled = big().any(axis=1)
        np.testing.assert_allclose(found[0][filled, 0], wanted[filled], atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_ranks_are_those_of_scipy(engine, seed):
    """Many distinct values, ties, features that are no genes, and ranks beyond the first 1,500."""
    from scipy.stats import rankdata

    rng = np.random.default_rng(seed)
    values = np.round(rng.gamma(0.7, 3.0, (6, 4000)), 2) * (rng.random((6, 4000)) < 0.7)
    genes = rng.random(4000) < 0.9
    chosen = np.sort(rng.choice(np.flatnonzero(genes), 200, replace=False))
    arms = (Arm("a:up", (), chosen, chosen, 3),)
    how = Logs("log1p", False, genes)
    runs = list(rank.cell_scores(sp.csr_array(values), how, arms))
    found = np.concatenate([scores for _, (scores, _) in runs])[:, 0]
    for i in range(6):
        mine = genes & (values[i] > 0)
        ranks = np.full(4000, 1500.0)
        ranks[mine] = rankdata(-values[i][mine])
        ranks[ranks > 1500] = 1500
        u = ranks[chosen].sum() + 3 * 1500 - 203 * 204 / 2
        assert found[i] == pytest.approx(1 - u / (203 * 1500 - 203 * 204 / 2), abs=1e-12)


def test_summed_genes_stand_behind_the_features(engine, storage):
    """Genes of two features on every storage, column-compressed ones too."""
    made = counts()
    how = Logs("counts", True, np.ones(N_GENES, bool), merged_selector([(0, 1), (5, 9)], N_GENES))
    arm = Arm("a:up", (), np.array([N_GENES, N_GENES + 1, 7]), np.array([0, 1, 5, 9, 7]), 0)
    weights = without_controls([arm], how.n_columns)
    held = storage.held(made)
    total = held.sum(axis=1)
    picked = np.stack([held[:, 0] + held[:, 1], held[:, 5] + held[:, 9], held[:, 7]], axis=1)
    with np.errstate(invalid="ignore"):
        wanted = np.log1p(1e4 * picked / total[:, None]).mean(axis=1)
    matrix = storage(made)
    found = np.concatenate([one for _, (one, _) in linear.cell_scores(matrix, how, weights)])
    np.testing.assert_allclose(found[:, 0], wanted, atol=1e-9)
    sums = linear.gene_sums(matrix, how) / 2.0**32
    logs = np.log1p(1e4 * picked[:, :2] / np.maximum(total, 1)[:, None])
    np.testing.assert_allclose(sums[N_GENES:], logs.sum(axis=0), atol=1e-7)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
@pytest.mark.parametrize("method", METHODS)
def test_unreadable_values_are_refused_with_their_cells(engine, method, value, monkeypatch):
    monkeypatch.setattr(_view, "SAMPLED_ROWS", 2)  # the first and the last cell
    made = counts()
    made[[9, 21], 6] = value
    for form in (sp.csr_array, sp.csc_array, np.asarray):
        adata = holding(form(made))
        with pytest.raises(MatrixError, match=r"2 of 23 cells hold NaN.*'c9', 'c21'"):
            scifn.tl.score(adata, sets(), method=method, layer="X")
        assert list(adata.obs) == []
        assert "scifn" not in adata.uns


@pytest.mark.parametrize("method", METHODS)
def test_counts_that_are_none_far_from_the_sample(engine, method, monkeypatch):
    """The sample saw whole numbers only; a value that it did not see stops the step."""
    monkeypatch.setattr(_view, "SAMPLED_ROWS", 2)
    made = counts()
    made[9, 6] = 1.5
    for form in (sp.csr_array, sp.csc_array):
        adata = holding(form(made))
        with pytest.raises(ScaleError, match="looked like counts, but holds values that are not"):
            scifn.tl.score(adata, sets(), method=method)
        assert list(adata.obs) == []


def test_a_view_and_an_object_without_a_matrix(engine):
    adata = ad.AnnData(
        sp.csr_matrix(counts()), var=pd.DataFrame(index=names()),
        obs=pd.DataFrame(index=[f"c{i}" for i in range(N_CELLS)]),
    )  # fmt: skip
    part = adata[3:12]
    scifn.tl.score(part, sets(), method="mean")
    assert list(adata.obs) == []
    np.testing.assert_array_equal(part.obs.to_numpy(), reference("mean", "float64")[3:12])
    layered = ad.AnnData(obs=adata.obs, var=adata.var, layers={"umi": adata.X})
    with pytest.raises(MatrixError, match=r"layers: 'umi'"):
        scifn.tl.score(layered, sets())
    scifn.tl.score(layered, sets(), layer="umi")
    np.testing.assert_array_equal(layered.obs.to_numpy(), reference("matched", "float64"))


def test_raw_is_read_where_it_holds_more(engine):
    logs = log1p_cp10k(counts())
    adata = ad.AnnData(logs, var=pd.DataFrame(index=names()))
    adata.raw = adata
    scaled = ad.AnnData(logs - logs.mean(axis=0), var=pd.DataFrame(index=names()))
    scaled.raw = adata.raw.to_adata()
    scifn.tl.score(scaled, sets(), method="mean")
    assert scaled.uns["scifn"]["score"]["input"]["matrix"] == "raw"
    found, wanted = scaled.obs.to_numpy(), reference("mean", "float64")
    np.testing.assert_allclose(found[counts().any(axis=1)], wanted[counts().any(axis=1)], atol=1e-9)


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array])
@pytest.mark.parametrize("method", ["matched", "rank"])
def test_the_matrix_is_not_held_twice(form, method, monkeypatch):
    """Beside the scores little more than a block is held; numpy's own memory is traced."""
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 200_000)
    monkeypatch.setattr(linear, "PORTION", 50_000)
    rng = np.random.default_rng(0)
    matrix = form(sp.random_array((20_000, 1000), density=0.2, rng=rng, dtype=np.float32))
    matrix.data = np.ceil(9 * matrix.data)
    how = Logs("counts", True, np.ones(1000, bool))
    at = np.arange(0, 1000, 20)
    arms = (Arm("a:up", (), at, at, 0),)
    run = partial(linear.cell_scores, weights=without_controls(arms, 1000))
    run = run if method == "matched" else partial(rank.cell_scores, arms=arms)
    tracemalloc.start()
    for _ in run(matrix, how):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert matrix.data.nbytes + matrix.indices.nbytes > 30e6
    assert peak < 22e6


def test_rows_of_every_storage(storage, block_nnz):
    made = counts()
    whole = np.full(made.shape, np.nan)
    for rows, block in _rows.map_rows(storage(made), lambda block: block.toarray()):
        whole[rows] = block
    np.testing.assert_array_equal(whole, storage.held(made))


@pytest.mark.parametrize("nnz", [1, 3, 10, 1000])
def test_portions_cover_a_block_once(nnz):
    block = sp.csr_array(counts())
    parts = list(_matrix.split_rows(block, nnz))
    rows = np.concatenate([np.arange(N_CELLS)[one] for one, _ in parts])
    assert rows.tolist() == list(range(N_CELLS))
    np.testing.assert_array_equal(sp.vstack([part for _, part in parts]).toarray(), counts())
    assert all(part.nnz <= nnz or part.shape[0] == 1 for _, part in parts)


def test_kernels_are_compiled_where_nothing_can_be_kept(monkeypatch):
    """As in a container whose folders cannot be written to."""
    import numba

    from scifn._matrix import _numba

    plain = numba.njit

    def njit(**options):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return plain(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert _numba.compiled(lambda x: x + 1)(2) == 3
