"""One pass: every kind of storage, block size and order gives the numbers of plain numpy."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from threadpoolctl import ThreadpoolController

from scifn import _matrix
from scifn._errors import MatrixError
from scifn._matrix import _pass, _storage

#: Panel genes as positions of features: the second is two features, the last not in order.
COLUMNS = ((3,), (0, 9), (5,), (11, 1, 7))


def counts(seed=0, n_cells=23, n_features=13):
    """UMI counts with empty cells, an empty gene and one of every count up to seven."""
    made = np.random.default_rng(seed).poisson(0.7, (n_cells, n_features)).astype(float)
    made[[4, n_cells - 1]] = 0
    made[:, 2] = 0
    made[0, : min(8, n_features)] = np.arange(min(8, n_features))
    return made


def log1p_cp10k(made):
    total = made.sum(axis=1, keepdims=True)
    return np.log1p(np.divide(made * 1e4, total, out=np.zeros_like(made), where=total > 0))


def included(n_features=13):
    """All but the last two features are genes."""
    return np.arange(n_features) < n_features - 2


def expected(held, columns=COLUMNS):
    """Panel, totals and detected genes by plain numpy."""
    panel = np.stack([held[:, list(group)].sum(axis=1) for group in columns], axis=1)
    genes = held[:, included(held.shape[1])]
    return panel, genes.sum(axis=1), (genes > 0).sum(axis=1)


def assert_counts(panel, held):
    values, total, n_genes = expected(held)
    assert (panel.values.toarray() == values).all()
    assert panel.values.nnz == (values != 0).sum()
    assert (panel.total == total).all()
    assert (panel.n_genes == n_genes).all()
    assert (panel.exact == (held == np.floor(held)).all(axis=1)).all()
    assert (panel.one == np.where(held.any(axis=1), 1.0, np.inf)).all()


@pytest.fixture(params=["scipy", "compiled"], autouse=True)
def kernels(request, monkeypatch):
    """Both ways of the pass: that of few cells, and that of many."""
    if request.param == "compiled":
        monkeypatch.setattr(_pass, "COMPILED", 0)


@pytest.fixture(params=[1, 17, 4_000_000])
def block_nnz(request, monkeypatch):
    """Blocks of one row or column, of a few, and of everything."""
    monkeypatch.setattr(_storage, "BLOCK_NNZ", request.param)
    return request.param


def test_every_storage_and_block_size_gives_the_panel_of_numpy(storage, block_nnz):
    made = counts()
    panel = _matrix.one_pass(storage(made), COLUMNS, included(), "counts")
    assert_counts(panel, storage.held(made))


def test_every_storage_gives_back_the_counts_of_logarithms(float_storage, block_nnz):
    made = counts()
    panel = _matrix.one_pass(float_storage(log1p_cp10k(made)), COLUMNS, included(), "log1p")
    values, total, n_genes = expected(made)
    one = np.divide(1e4, made.sum(axis=1), out=np.full(len(made), np.inf), where=made.any(axis=1))
    assert panel.exact.all()
    np.testing.assert_allclose(panel.one, one, rtol=1e-5)
    unit = np.where(np.isfinite(one), one, 1.0)
    np.testing.assert_allclose(panel.values.toarray() / unit[:, None], values, rtol=1e-5)
    np.testing.assert_allclose(panel.total / unit, total, rtol=1e-5)
    assert (panel.n_genes == n_genes).all()


def test_one_umi_is_told_from_all_features_of_a_cell(float_storage, block_nnz):
    """No value of the cell is one UMI, and no column holds two values that tell it."""
    made = np.zeros((6, 13))
    made[:, [0, 3, 5, 9]] = [2, 3, 7, 4]  # the smallest is two UMI; 3 and 7 say so
    made[3] *= 3  # 6, 9, 21, 12: steps of three, taken for one UMI
    made[5, 3] = 2.3  # no counts at all
    panel = _matrix.one_pass(float_storage(log1p_cp10k(made)), COLUMNS, included(), "log1p")
    assert panel.exact.tolist() == [True] * 5 + [False]
    umi = panel.values.toarray() / panel.one[:, None]
    np.testing.assert_allclose(umi[0], [3, 6, 7, 0], rtol=1e-5)
    np.testing.assert_allclose(umi[3], [3, 6, 7, 0], rtol=1e-5)
    # where nothing is exact the unit is the smallest value
    np.testing.assert_allclose(umi[5], [1.15, 3, 3.5, 0], rtol=1e-5)


def test_storage_is_read_and_never_written(storage):
    made = counts()
    matrix = storage(made)
    for kind in ("counts", "normalized"):
        _matrix.one_pass(matrix, COLUMNS, included(), kind)
        _matrix.sniff(_matrix.sample_rows(matrix, 5))
    again = np.zeros(made.shape)
    for block in _storage.blocks(matrix):
        again[block.rows, block.features] = block.matrix.toarray()
    assert (again == storage.held(made)).all()


def test_the_sample_holds_rows_of_the_matrix(storage):
    made = counts(n_cells=40)
    held = storage.held(made)
    for n in (4, 1000):
        sample = _matrix.sample_rows(storage(made), n)
        rows = {tuple(row) for row in held[:, : sample.shape[1]]}
        assert sample.format == "csr"
        assert {tuple(row) for row in sample.toarray().astype(float)} <= rows
        assert _matrix.sniff(sample).kind == "counts"


def test_storage_name_says_the_kind_and_the_type(storage):
    name = _matrix.storage_name(storage(counts()))
    assert name.endswith(f" of {storage.dtype}")


def test_explicit_zeros_are_no_detection():
    matrix = sp.csr_array(counts())
    matrix.data[::2] = 0
    assert_counts(_matrix.one_pass(matrix, COLUMNS, included(), "counts"), matrix.toarray())
    logs = sp.csr_array(log1p_cp10k(matrix.toarray()))
    place = sp.csr_array(([1.0], ([1], [2])), shape=logs.shape)
    kept = logs + place
    kept[1, 2] = 0.0  # stored all the same
    panel = _matrix.one_pass(kept, COLUMNS, included(), "log1p")
    plain = _matrix.one_pass(logs, COLUMNS, included(), "log1p")
    assert kept.nnz == logs.nnz + 1
    assert (panel.one == plain.one).all()
    assert (panel.exact == plain.exact).all()


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_array])
def test_entries_that_are_stored_in_parts_are_one_value(form):
    """A sparse matrix may hold a place twice: its value is the sum, before any exponential."""
    made = counts()
    logs = form(log1p_cp10k(made))
    twice = form(
        (np.repeat(logs.data / 2, 2), np.repeat(logs.indices, 2), logs.indptr * 2), logs.shape
    )
    assert twice.nnz == 2 * logs.nnz
    panel = _matrix.one_pass(twice, COLUMNS, included(), "log1p")
    plain = _matrix.one_pass(logs, COLUMNS, included(), "log1p")
    np.testing.assert_allclose(panel.values.toarray(), plain.values.toarray())
    assert (panel.n_genes == plain.n_genes).all()
    assert panel.exact.all()
    assert twice.nnz == 2 * logs.nnz, "the user's matrix is left as it was"


def test_totals_count_the_included_features_and_the_panel_all():
    made = counts()
    none = np.zeros(made.shape[1], dtype=bool)
    panel = _matrix.one_pass(sp.csr_array(made), COLUMNS, none, "counts")
    assert (panel.total == 0).all()
    assert (panel.n_genes == 0).all()
    assert (panel.values.toarray() == expected(made)[0]).all()


def test_no_cells_and_no_genes():
    empty = _matrix.one_pass(np.zeros((0, 13)), COLUMNS, included(), "counts")
    assert empty.values.shape == (0, 4)
    assert empty.total.shape == empty.n_genes.shape == empty.exact.shape == (0,)
    panel = _matrix.one_pass(counts(), (), included(), "counts")
    assert panel.values.shape == (23, 0)
    assert (panel.total == expected(counts())[1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0])
def test_unreadable_values_are_refused_wherever_they_are(float_storage, value, block_nnz):
    made = counts()
    made[[9, 21], 6] = value
    matrix = float_storage(made)
    with pytest.raises(MatrixError, match=r"NaN, infinite or negative"):
        _matrix.one_pass(matrix, COLUMNS, included(), "counts")
    assert _matrix.unreadable_rows(matrix).tolist() == [9, 21]


def test_a_kind_of_storage_that_is_not_known_is_named():
    class Strange:
        shape = (3, 13)
        dtype = "float32"

    with pytest.raises(MatrixError, match=r"Strange, which scifn cannot read; it reads numpy"):
        _matrix.one_pass(Strange(), COLUMNS, included(), "counts")


def test_zarr_arrays_are_read(tmp_path):
    zarr = pytest.importorskip("zarr")
    made = counts()
    array = zarr.open_array(str(tmp_path / "x.zarr"), mode="w", shape=made.shape, dtype="f4")
    array[:] = made
    assert_counts(_matrix.one_pass(array, COLUMNS, included(), "counts"), made)


def test_dask_chunks_of_unknown_size_are_measured():
    array = pytest.importorskip("dask.array")
    made = counts()
    whole = array.from_array(made, chunks=(6, 13))
    unknown = whole[whole.sum(axis=1) >= 0]
    assert_counts(_matrix.one_pass(unknown, COLUMNS, included(), "counts"), made)


def test_dask_chunks_are_computed_once():
    array = pytest.importorskip("dask.array")
    made, seen = counts(), []

    def look(block):
        seen.append(block.shape)
        return sp.csr_array(block)

    chunks = array.from_array(made, chunks=(6, 5))
    watched = chunks.map_blocks(look, dtype=made.dtype, meta=sp.csr_array((0, 0)))
    assert_counts(_matrix.one_pass(watched, COLUMNS, included(), "counts"), made)
    assert len(seen) == 4 * 3


@st.composite
def cases(draw):
    made = counts(draw(st.integers(0, 99)), draw(st.integers(5, 30)), draw(st.integers(13, 20)))
    return {
        "made": made,
        "rows": np.array(draw(st.permutations(range(made.shape[0])))),
        "features": np.array(draw(st.permutations(range(made.shape[1])))),
        "form": draw(st.sampled_from([np.asarray, sp.csr_array, sp.csc_array])),
        "nnz": draw(st.integers(1, 400)),
        "kind": draw(st.sampled_from(["counts", "log1p"])),
    }


@given(case=cases())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_order_and_cutting_change_nothing(case):
    made, rows, features = case["made"], case["rows"], case["features"]
    moved = np.argsort(features)
    columns = tuple(tuple(int(moved[i]) for i in group) for group in COLUMNS)
    scale = (lambda x: x) if case["kind"] == "counts" else log1p_cp10k
    mask = included(made.shape[1])
    plain = _matrix.one_pass(scale(made), COLUMNS, mask, case["kind"])
    matrix = case["form"](scale(made)[rows][:, features])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_storage, "BLOCK_NNZ", case["nnz"])
        panel = _matrix.one_pass(matrix, columns, mask[features], case["kind"])
    same = np.testing.assert_array_equal if case["kind"] == "counts" else np.testing.assert_allclose
    same(panel.values.toarray(), plain.values.toarray()[rows])
    # features of one column are one value, on every scale
    assert panel.values.nnz == np.count_nonzero(panel.values.toarray())
    same(panel.total, plain.total[rows])
    np.testing.assert_array_equal(panel.n_genes, plain.n_genes[rows])
    np.testing.assert_array_equal(panel.exact, plain.exact[rows])
    np.testing.assert_array_equal(panel.one, plain.one[rows])


@pytest.mark.parametrize("gathered", [1, 7, 1000])
def test_pieces_of_any_size_hold_the_same(gathered, monkeypatch, kernels):
    """Large counts, several features of a gene, features of several genes: all in any piece."""
    made = counts(n_cells=40)
    made[[3, 17, 18, 39], [3, 0, 9, 11]] = [255, 254, 70_000, 300]
    columns = (*COLUMNS, (3, 5), ())
    monkeypatch.setattr(_pass, "GATHERED", gathered)
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 30)
    held = _matrix.one_pass(sp.csr_array(made), columns, included(), "counts").held()
    want = np.stack([made[:, list(group)].sum(axis=1) for group in columns], axis=1)
    assert (held.toarray() == want).all()
    assert (held.part(slice(16, 31)).toarray() == want[16:31]).all()
    some = np.array([39, 3, 17, 3, 18, *[3, 18] * 9])
    assert (held.select([4, 1, 0], some).toarray() == want[some][:, [4, 1, 0]]).all()
    assert (held.select([2, 0], slice(10, 25)).toarray() == want[10:25][:, [2, 0]]).all()
    weights = np.random.default_rng(0).normal(size=(len(columns), 3))
    np.testing.assert_allclose(held.dot(weights), want @ weights)
    groups = np.arange(40) % 4 - 1
    member = groups == np.arange(3)[:, None]
    for asked in ([2, 0], [4, 1, 0, 5], []):
        assert (held.by_group(asked, groups, 3) == member @ want[:, asked]).all()


def test_a_large_count_is_found_behind_others_of_the_same_cell(kernels):
    """What is left out on the way to it counts too: large counts stand in a list of their own."""
    made = counts()
    made[[2, 2, 2, 6], [3, 5, 11, 5]] = [300, 9_000, 70_000, 255]
    held = _matrix.one_pass(sp.csr_array(made), COLUMNS, included(), "counts").held()
    want = np.stack([made[:, list(group)].sum(axis=1) for group in COLUMNS], axis=1)
    groups = np.arange(len(made)) % 3
    member = groups == np.arange(3)[:, None]
    for asked in ([0], [2], [3], [3, 0], [2, 3]):
        assert (held.select(asked).toarray() == want[:, asked]).all()
        assert (held.by_group(asked, groups, 3) == member @ want[:, asked]).all()
        weights = np.zeros((len(COLUMNS), 1))
        weights[asked] = 2.0
        np.testing.assert_array_equal(held.dot(weights), want @ weights)


# --- work on cells while others are read ------------------------------------------------------
#: Columns with large counts, features of several columns, and nothing in one of them.
MORE_COLUMNS = (*COLUMNS, (3, 5), ())


def large(n_cells=40):
    """Counts of which some do not fit into a byte."""
    made = counts(n_cells=n_cells)
    made[[3, 3, 17, 18, n_cells - 1], [3, 0, 0, 9, 11]] = [255, 300, 254, 2_000, 300]
    return made


class Seen:
    """Work that notes what it is given."""

    def __init__(self):
        self.runs = {}

    def __call__(self, values, total, n_genes, rows):
        self.runs[rows.start] = (values.toarray(), total.copy(), n_genes.copy(), rows)

    def joined(self):
        runs = [self.runs[start] for start in sorted(self.runs)]
        assert [run[3].start for run in runs] == [0, *(run[3].stop for run in runs[:-1])]
        return [np.concatenate([run[i] for run in runs]) for i in range(3)]


@pytest.mark.parametrize("gathered", [1, 7])
@pytest.mark.parametrize("keep", [[0, 1, 3], [4, 5], []])
def test_work_sees_every_cell_once_and_what_it_keeps_stays(storage, gathered, keep, monkeypatch):
    monkeypatch.setattr(_pass, "GATHERED", gathered)
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 30)
    made, seen, kept = large(), Seen(), np.isin(np.arange(6), keep)
    beside = _matrix.Beside(seen, kept)
    panel = _matrix.one_pass(storage(made), MORE_COLUMNS, included(), "counts", beside=beside)
    values, total, n_genes = expected(storage.held(made), MORE_COLUMNS)
    assert panel.beside == (_pass.COMPILED == 0)
    assert bool(seen.runs) == panel.beside
    if panel.beside:
        for found, want in zip(seen.joined(), (values, total, n_genes), strict=True):
            np.testing.assert_array_equal(found, want)
        assert len(seen.runs) > 4 or gathered > 1 or "dask" in storage.name
        values = values[:, kept]
    held = panel.held()
    assert held.shape == values.shape
    np.testing.assert_array_equal(held.toarray(), values)
    np.testing.assert_array_equal(held.part(slice(16, 31)).toarray(), values[16:31])
    np.testing.assert_array_equal(panel.total, total)
    np.testing.assert_array_equal(panel.n_genes, n_genes)


def test_values_that_are_no_counts_are_kept_as_they_are(kernels):
    """What looked like counts in a sample may hold fractions; the view says so afterwards."""
    made = large()
    made[20, 5] = 2.5
    beside = _matrix.Beside(Seen(), np.array([False, True, True, False]))
    panel = _matrix.one_pass(sp.csr_array(made), COLUMNS, included(), "counts", beside=beside)
    values = expected(made)[0]
    want = values[:, [1, 2]] if panel.beside else values
    np.testing.assert_array_equal(panel.held().toarray(), want)
    assert np.flatnonzero(~panel.exact).tolist() == [20]


def test_batches_hold_values_that_are_stored_alike(kernels, monkeypatch):
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 30)
    made = large()
    made[20, [0, 5, 9]] = [255, 2.5, 0]  # which stands for a larger one only among whole numbers
    beside = _matrix.Beside(Seen(), np.array([False, True, True, False]))
    panel = _matrix.one_pass(sp.csr_array(made), COLUMNS, included(), "counts", beside=beside)
    want = expected(made)[0][:, [1, 2] if panel.beside else slice(None)]
    np.testing.assert_array_equal(panel.held().toarray(), want)
    plain = _matrix.one_pass(sp.csr_array(made), COLUMNS, included(), "counts")
    np.testing.assert_array_equal(plain.held().toarray(), expected(made)[0])


def test_large_blocks_are_dealt_out(kernels, monkeypatch):
    """A block of far more cells than a batch is no work of a single thread."""
    array = pytest.importorskip("dask.array")
    monkeypatch.setattr(_pass, "GATHERED", 7)
    made, seen = large(100), Seen()
    beside = _matrix.Beside(seen, np.array([False, True, True, False]))
    lazy = array.from_array(made, chunks=(100, -1))
    panel = _matrix.one_pass(lazy, COLUMNS, included(), "counts", beside=beside)
    values = expected(made)[0]
    if panel.beside:
        sizes = [rows.stop - rows.start for *_, rows in seen.runs.values()]
        assert sorted(sizes) == [2, *[7] * 14]
        np.testing.assert_array_equal(seen.joined()[0], values)
        values = values[:, [1, 2]]
    np.testing.assert_array_equal(panel.held().toarray(), values)


def test_totals_stand_beside_numbers_too_large_to_be_taken_away_again(kernels):
    made = np.zeros((6, 13))
    made[:, 3] = [1, 2, 3, 0, 5, 6]
    made[:, 12] = [1e16, 3e17, 0, 1e18, 7, 2.0**53]  # an antibody, so to say
    panel = _matrix.one_pass(sp.csr_array(made), COLUMNS, included(), "counts")
    assert panel.total.tolist() == [1, 2, 3, 0, 5, 6]
    assert panel.n_genes.tolist() == [1, 1, 1, 0, 1, 1]


def test_after_a_failure_nothing_more_is_read_or_worked_on(monkeypatch):
    monkeypatch.setattr(_pass, "COMPILED", 0)
    monkeypatch.setattr(_pass, "GATHERED", 1)
    monkeypatch.setattr(_pass, "n_processors", lambda: 2)
    calls, closed, read = [], [], _pass.map_rows

    def watched(*args, **options):
        try:
            yield from read(*args, **options)
        finally:
            closed.append(True)

    def fail(values, total, n_genes, rows):
        calls.append(rows.start)
        raise KeyError("no such thing")

    monkeypatch.setattr(_pass, "map_rows", watched)
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 1)
    beside = _matrix.Beside(fail, np.ones(4, dtype=bool))
    with pytest.raises(KeyError, match="no such thing") as told:
        _matrix.one_pass(sp.csr_array(large(100)), COLUMNS, included(), "counts", beside=beside)
    assert len(calls) <= 4
    assert closed == [True], "before the error is let go of"
    del told


def test_an_error_in_the_work_is_told(kernels):
    def fail(values, total, n_genes, rows):
        raise KeyError("no such thing")

    beside = _matrix.Beside(fail, np.ones(4, dtype=bool))
    call = partial(
        _matrix.one_pass, sp.csr_array(large()), COLUMNS, included(), "counts", beside=beside
    )
    if _pass.COMPILED:
        assert not call().beside
        return
    with pytest.raises(KeyError, match="no such thing"):
        call()


def test_cells_that_are_not_read_whole_are_not_worked_on(kernels, monkeypatch):
    array = pytest.importorskip("dask.array")
    monkeypatch.setattr("scifn._matrix._dask.WHOLE_PLACES", 0)
    made, seen = large(), Seen()
    lazy = array.from_array(made, chunks=(9, 5))
    beside = _matrix.Beside(seen, np.ones(4, dtype=bool))
    assert_counts(_matrix.one_pass(lazy, COLUMNS, included(), "counts", beside=beside), made)
    assert not seen.runs


def test_selector_is_a_matrix_of_ones():
    assert _pass.selector(((1,), (0, 2)), 3).toarray().tolist() == [[0, 1], [1, 0], [0, 1]]


def test_threads_of_linear_algebra_come_back_when_the_last_of_several_calls_ends():
    libraries = ThreadpoolController()

    def threads():
        return {one["num_threads"] for one in libraries.info() if one["user_api"] == "blas"}

    with libraries.limit(limits=2, user_api="blas"):
        _overlap(threads)


def _overlap(threads):
    before = threads()
    if not before:
        pytest.skip("the linear algebra of this NumPy has no threads to be set")
    assert before == {2}
    first, second = (_matrix.mapped(str, range(4), 2) for _ in range(2))
    assert next(first) == "0"
    assert next(second) == "0"
    assert threads() <= {1}
    assert list(first) == ["1", "2", "3"]
    assert threads() <= {1}
    second.close()
    assert threads() == before
    with pytest.raises(ZeroDivisionError, match="division"):
        list(_matrix.mapped(lambda x: 1 / x, [1, 0], 2))
    assert threads() == before
