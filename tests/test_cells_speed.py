"""What is done for many cells is what is done for few: kernels, runs of cells, codes of labels."""

from __future__ import annotations

import dataclasses
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import scifn
from scifn import _keys as k
from scifn import _run, _slots, _view
from scifn._cells import annotate, evidence, mixture, producers, runs, second, shown, sums
from scifn._cells import production as production_
from scifn._cells.ligands import LIGANDS
from scifn._cells.likelihood import LOG_STEP, Tables, log_likelihood
from scifn._cells.profiles import components
from scifn._donors._grouped import groups_of
from scifn._donors._labels import looked_up
from scifn._errors import ArgumentError
from scifn._matrix import _pass, _storage
from scifn.tl import _annotate, _protein

MODULES = (annotate, production_, runs)


def drawn(n, n_genes, seed=0, extra=0):
    """Counts of cells, CSR of float32 as a panel hands them out, and their depth."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.3, (n, n_genes + extra)).astype(np.float32)
    depth = np.exp(rng.uniform(5, 10, n))
    depth[::17] = 0
    return sparse.csr_array(counts), depth


# --- kernels against numpy ------------------------------------------------------------------


def test_kept_tables_equal_the_likelihood_of_each_depth():
    values, depth = drawn(500, 30, extra=4)
    rates = np.random.default_rng(1).uniform(1e-6, 1e-3, (30, 5))
    tables = Tables(rates, np.array([0.5, 1, 1, 3, 3.0]))
    want = [log_likelihood(values[:, :30], depth, rates[:, [j]], size)[:, 0]
            for j, size in enumerate([0.5, 1, 1, 3, 3])]  # fmt: skip
    for part in (slice(0, 200), slice(200, 500), slice(0, 500)):  # more depths come, some known
        found = tables(values[part], depth[part])
        np.testing.assert_allclose(found, np.stack(want, axis=1)[part], rtol=1e-12, atol=1e-12)
    assert (found[::17] == 0).all()


def test_tables_forget_what_is_too_much_to_keep(monkeypatch):
    monkeypatch.setattr("scifn._cells.likelihood._MOST", 20)
    rates = np.random.default_rng(1).uniform(1e-6, 1e-3, (30, 3))
    tables = Tables(rates, 1.0)
    values, _ = drawn(200, 30)
    # 50 are too many by themselves: they get room, until others are asked for
    for first, n, kept in ((0, 15, 15), (15, 15, 15), (30, 50, 50), (30, 15, 50), (0, 15, 15)):
        depth = np.exp(LOG_STEP * (300 + first + np.arange(200) % n))
        want = log_likelihood(values, depth, rates, 1.0)
        np.testing.assert_allclose(tables(values, depth), want, rtol=1e-12)
        assert len(tables._slot) == kept


def test_genes_that_do_not_count_for_a_component_are_left_out_of_it():
    values, depth = drawn(60, 12)
    rates = np.random.default_rng(1).uniform(1e-6, 1e-3, (12, 2))
    used = np.ones((12, 2), dtype=bool)
    used[4:, 1] = False
    found = Tables(rates, 1.0, used)(values, depth)
    want = log_likelihood(values[:, :4], depth, rates[:4, [1]], 1.0)
    np.testing.assert_allclose(found[:, [1]], want, rtol=1e-12, atol=1e-12)


def test_lists_are_counted_alike():
    values, _ = drawn(300, 40)
    values.data[::5] = 0  # stored zeros are not seen
    columns = [{"g1": 1.0, "g5": 2.0}, {}, {"g5": 0.5, "g39": 1.0}]
    weights = sums.matrix_of([f"g{i}" for i in range(40)], columns)
    slow, fast = (sums.tally(values, weights, compiled=flag) for flag in (False, True))
    for one, other in zip(slow, fast, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)
    dense = values.toarray()
    np.testing.assert_allclose(fast[0][0], dense[:, 1] + 2 * dense[:, 5], rtol=1e-6)
    np.testing.assert_array_equal(fast[1][2], (dense[:, [5, 39]] > 0).sum(axis=1))


@pytest.mark.parametrize("least", [0, 10**9])
def test_features_without_any_ligand_are_not_measurable(monkeypatch, least):
    adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    ligands = {gene for ligand in LIGANDS for gene in ligand.genes("human")}
    adata = adata[:, [gene not in ligands for gene in adata.var_names]].copy()
    for module in MODULES:
        monkeypatch.setattr(module, "COMPILED_FROM", least)
    scifn.tl.annotate(adata)
    scifn.tl.production(adata, sample="donor")
    assert "no IFNA gene is among the features" in adata.uns["scifn"]["production"]["reason"]
    assert adata.obs[k.IFNA_UMI].isna().all()


@pytest.mark.parametrize("doublets", [True, False])
def test_posteriors_with_conditions_are_alike(doublets):
    rng = np.random.default_rng(0)
    model = components() if doublets else components().singlets()
    n, subsets = len(model.names), mixture.subsets_of(model)
    found = rng.normal(0, 20, (400, len(subsets) + n))
    found[::3] *= 100  # hundreds of orders of magnitude apart
    every = np.full(400, found.shape[1])
    likelihoods = mixture.Likelihoods(found, len(subsets), np.full(400, 100.0), every)
    asked = [(i, rng.random(400) < 0.5) for i in (2, 2, subsets[0], subsets[-1], n - 1)]
    nobody = np.arange(400) > 0
    asked += [(i, nobody) for i in range(n)]
    type_of = np.unique(model.types, return_inverse=True)[1]
    slow, slow_half = mixture._judged_plainly(likelihoods, model, asked, type_of)
    fast, fast_half = mixture._judged(likelihoods, model, asked, type_of)
    np.testing.assert_allclose(fast, slow, rtol=1e-12, atol=1e-300)
    np.testing.assert_array_equal(fast_half, slow_half)
    assert (fast[0] == 0).all()
    np.testing.assert_allclose(fast[1:].sum(axis=1), 1.0)
    assert fast_half.any() == doublets


def test_doublets_are_looked_up_where_a_cell_may_be_one():
    model = components()
    values, depth = drawn(300, len(model.genes))
    rng = np.random.default_rng(1)
    halves = {name: mixture.Shown(*(rng.random((2, 300)) < 0.3)) for name in shown.SHOWN}
    tables = mixture.tables(model, whole=True)
    every = mixture.likelihoods(values, depth, model, whole=True)
    some = mixture.likelihoods(values, depth, model, whole=True, tables=tables, shown=halves)
    asked = mixture.evidence_of(every, model, shown=halves)
    found = mixture.evidence_of(some, model, shown=halves, compiled=True)
    np.testing.assert_allclose(found.posterior, asked.posterior, rtol=1e-9, atol=1e-300)
    np.testing.assert_allclose(some.within, every.within, rtol=1e-9)
    left_out = (some.all == 0).all(axis=0) | ((some.all == 0) & (every.all != 0)).any(axis=0)
    assert left_out.tolist() == [bool(pair) for pair in model.pairs]


def test_what_a_poisson_count_rarely_exceeds_is_looked_up():
    rng = np.random.default_rng(0)
    mean, count = np.exp(rng.uniform(-7, 6, 4000)), rng.integers(0, 400, 4000).astype(float)
    count[:500] += 0.5  # shared-out reads
    for quantile in (0.99, 0.9999):
        want = stats.poisson.cdf(np.floor(count - 1), mean) >= quantile
        np.testing.assert_array_equal(shown.below_quantile(mean, count, quantile), want)
        assert 0.05 < want.mean() < 0.95


@pytest.mark.parametrize("whole", [True, False])
def test_second_cells_are_found_alike(whole):
    model = components()
    rates = mixture.expected(model)
    pdc, t_cell = rates[:, model.types.index(k.PDC)], rates[:, model.names.index("T CD4")]
    rng = np.random.default_rng(0)
    depth = rng.uniform(1_000, 9_000, 120)
    share = np.repeat([0.0, 0.4], 60)[:, None]
    values = rng.poisson(depth[:, None] * ((1 - share) * pdc + share * t_cell))
    values = sparse.csr_array(values.astype(np.float32))
    slow = second.second_cell(values, depth, model, whole=whole)
    fast = second.Tabled(model, whole=whole).odds(values, depth)
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-9)
    assert (fast[60:] > 0).mean() > 0.9 > 0.1 > (fast[:60] > 0).mean()


def test_producers_are_weighed_alike():
    rng = np.random.default_rng(0)
    total = rng.uniform(1e3, 2e4, 3000)
    expected = 1e-5 * total
    umi = rng.poisson(expected).astype(float)
    umi[:4] = [1, 3, 40, 500]  # ratios of hundreds of orders of magnitude
    null = evidence.log_pmf(umi, expected, 2.0)
    groups = np.arange(3000) % 7
    slow = producers.posterior(umi, expected, total, null, groups)
    fast = producers.posterior(umi, expected, total, null, groups, compiled=True)
    np.testing.assert_allclose(fast, slow, rtol=1e-10)
    assert fast[3] > 0.99
    # samples that are looked at together know nothing of each other
    samples = (np.arange(3000) % 7 > 2).astype(int)
    for compiled in (False, True):
        both = producers.posterior(umi, expected, total, null, groups, samples, compiled=compiled)
        for sample in (0, 1):
            at = samples == sample
            mine = np.unique(groups[at], return_inverse=True)[1]
            alone = producers.posterior(umi[at], expected[at], total[at], null[at], mine)
            np.testing.assert_allclose(both[at], alone, rtol=1e-10)


def test_few_cells_with_transcripts_are_adjusted_as_all_of_them():
    rng = np.random.default_rng(0)
    for n_seen in (0, 1, 7, 60, 200):
        groups = rng.choice(4, 200, p=[0.02, 0.08, 0.3, 0.6])
        among = rng.random(200) < 0.8
        seen = np.sort(rng.choice(200, n_seen, replace=False))
        p = np.ones(200)
        p[seen] = rng.choice([1e-6, 1e-3, 0.01, 0.2, 1.0], n_seen)
        want = evidence.by_groups(p, among, groups)
        mine = seen[among[seen]]
        sizes = np.bincount(groups[among], minlength=4)
        found = evidence.adjusted(p[mine], groups[mine], sizes)
        np.testing.assert_allclose(found, want[mine], rtol=1e-12)
        assert (np.delete(want, mine)[np.delete(among, mine)] == 1).all()


def test_samples_are_adjusted_each_by_itself():
    rng = np.random.default_rng(1)
    sizes = rng.integers(0, 40, (6, 4)) + np.array([1, 0, 0, 0])  # some types are not everywhere
    samples = np.sort(rng.choice([0, 1, 3, 4], 90))
    groups = np.array([rng.choice(np.flatnonzero(sizes[sample])) for sample in samples])
    p = rng.choice([1e-6, 1e-3, 0.01, 0.2, 1.0], 90)
    sizes += np.array([np.bincount(groups[samples == i], minlength=4) for i in range(6)])
    found = evidence.adjusted(p, groups, sizes, samples)
    for sample in (0, 1, 3, 4):
        at = samples == sample
        alone = evidence.adjusted(p[at], groups[at], sizes[sample])
        np.testing.assert_array_equal(found[at], alone)


@pytest.mark.parametrize("largest", [0.02, 0.3, 0.95])
def test_a_power_series_says_what_its_shares_say(largest):
    share, prior = producers.shares()
    weights = np.where(share <= largest, prior, 0.0)[None, :]
    weights[0, np.searchsorted(share, largest) - 1] += 0.5  # most of it is the largest share
    ratio = np.array([0.0, 1e-9, 0.3, 0.9, 1.0, 1 + 1e-9, 50.0])
    found = [np.zeros(7), np.zeros(7)]
    for compiled, out in enumerate(found):
        groups = np.zeros(7, dtype=np.int64)
        producers._add_produces(ratio, groups, share, weights, out, compiled=bool(compiled))
    np.testing.assert_allclose(found[1], found[0], rtol=1e-13)
    terms = producers._series(share, weights)[1][0]
    assert (terms == 0) == (largest > 0.1)  # where it would take too many, it is not asked


# --- a whole run ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cohort():
    return scifn.datasets.cohort(n_patients=3, n_controls=3, cells_per_donor=250, rng=4)


def table_of(cohort, monkeypatch, *, least, block, **options):
    """Every output of the steps on cells, of a run in which compiling pays from ``least`` on."""
    for module in MODULES:
        monkeypatch.setattr(module, "COMPILED_FROM", least)
    monkeypatch.setattr(_pass, "COMPILED", least)
    monkeypatch.setattr(annotate, "BLOCK", block)
    monkeypatch.setattr(sums, "RUN", block)
    monkeypatch.setattr(production_, "RUN", block)
    found = cohort.copy()
    names = {"donor": "donor", "condition": "condition", "reference": "control"}
    scifn.run(found, **names, n_permutations=50, **options)
    return found


@pytest.mark.parametrize("options", [{}, {"clusters": "truth_cell_type"},
                                     {"labels": "truth_cell_type"}])  # fmt: skip
def test_runs_of_compiled_kernels_give_what_numpy_gives(cohort, monkeypatch, options):
    slow = table_of(cohort, monkeypatch, least=10**9, block=10**6, **options)
    fast = table_of(cohort, monkeypatch, least=0, block=190, **options)
    pd.testing.assert_frame_equal(fast.obs, slow.obs, rtol=1e-6, atol=1e-30)
    for name in slow.obsm:
        pd.testing.assert_frame_equal(fast.obsm[name], slow.obsm[name], rtol=1e-5, atol=1e-7)
    for name in (k.DONORS, k.BOUNDS, k.PSEUDOBULK, k.TYPE_MEANS):
        one, other = (_slots.table(found, name, "") for found in (fast, slow))
        pd.testing.assert_frame_equal(one, other, rtol=1e-6, atol=1e-7)


#: What a user says of cells that may be called while others are read.
SAID = {
    "nothing": {},
    "labels": {"labels": "truth_cell_type"},
    "labels with places": {"labels": "truth_cell_type", "mapping": {"pDC": "DC", "cDC": "T/NK"}},
    "doublets": {"doublets": "flagged"},
}


@pytest.mark.parametrize("said", SAID)
@pytest.mark.parametrize("stored", ["csr", "csc", "dense", "dask", "h5ad"])
def test_cells_are_called_alike_while_others_are_read(cohort, monkeypatch, tmp_path, said, stored):
    """Byte for byte, whatever the runs are; and only what later steps need is kept."""
    cohort = cohort.copy()
    cohort.obs["flagged"] = np.arange(cohort.n_obs) % 11 == 0
    apart = _run_of(cohort, monkeypatch, beside=False, **SAID[said])
    other = cohort.copy()
    if stored == "h5ad":
        other.write_h5ad(tmp_path / "x.h5ad")
        other = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    elif stored == "dask":
        other.X = pytest.importorskip("dask.array").from_array(other.X.toarray(), chunks=(130, -1))
    else:
        other.X = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}.get(
            stored, lambda x: x.toarray()
        )(other.X)
    found = _run_of(other, monkeypatch, beside=True, **SAID[said])
    pd.testing.assert_frame_equal(found.obs, apart.obs, check_exact=True)
    for name in apart.obsm:
        pd.testing.assert_frame_equal(found.obsm[name], apart.obsm[name], check_exact=True)
    assert _told(found) == _told(apart)


def _run_of(adata, monkeypatch, *, beside, **options):
    """Results of a run with compiled kernels; cells are called in the pass, or after it."""
    for module in MODULES:
        monkeypatch.setattr(module, "COMPILED_FROM", 0)
    for module, name, value in (
        (_pass, "COMPILED", 0), (_pass, "GATHERED", 333), (annotate, "BLOCK", 100),
        (_storage, "BLOCK_NNZ", 40_000),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    read, views = _view.read, []

    def watched(*args, **kwargs):
        views.append(read(*args, **(kwargs if beside else kwargs | {"beside": None})))
        return views[-1]

    with monkeypatch.context() as patch:
        patch.setattr(_view, "read", watched)
        found = adata if adata.isbacked else adata.copy()
        names = {"donor": "donor", "condition": "condition", "reference": "control"}
        scifn.run(found, **names, n_permutations=50, **options)
    (view,) = views
    assert view.beside == beside
    more = set(view.genes) - _run._after_identity("human")
    assert bool(more) != beside
    return found


def _told(adata):
    """Everything in uns but how the matrix is stored, as text."""
    told = dict(adata.uns["scifn"])
    told["input"] = {name: x for name, x in told["input"].items() if name != "storage"}
    frames = {name: x.to_csv() for name, x in told.items() if isinstance(x, pd.DataFrame)}
    every = ("display.max_rows", None, "display.max_columns", None, "display.precision", 17)
    with np.printoptions(threshold=sys.maxsize), pd.option_context(*every):
        return repr(told | frames)


@pytest.mark.parametrize("options", [{"clusters": "truth_cell_type"}, {"clusters": "leiden"}])
def test_cells_that_take_the_consensus_of_clusters_are_called_afterwards(cohort, options):
    if options["clusters"] == "leiden":
        pytest.importorskip("leidenalg")
    assert _annotate.Asked(cohort, **options).beside(lambda _: ()) is None
    assert _annotate.Asked(cohort).beside(lambda _: ()) is not None


def test_proteins_of_a_mouse_are_refused_before_its_cells_are_read(cohort):
    counts = pd.DataFrame({"CD123": 1}, index=cohort.obs_names)
    asked = _annotate.Asked(cohort, protein=_protein.Adt(counts.to_numpy(), ("CD123",), None, ""))
    view = dataclasses.replace(_view.read(cohort, _run._genes), species="mouse")
    with pytest.raises(ArgumentError, match="human surface markers, and the species is mouse"):
        asked.beside(lambda _: ())(view, cohort.n_obs)


def test_the_step_alone_keeps_no_panel(cohort, monkeypatch):
    apart = cohort.copy()
    scifn.tl.annotate(apart)
    monkeypatch.setattr(_pass, "COMPILED", 0)
    monkeypatch.setattr(_pass, "GATHERED", 400)
    views, read = [], _annotate.read
    monkeypatch.setattr(
        _annotate, "read", lambda *args, **kwargs: views.append(read(*args, **kwargs)) or views[0]
    )
    found = cohort.copy()
    scifn.tl.annotate(found)
    assert views[0].beside
    assert views[0].values.nnz == 0
    pd.testing.assert_frame_equal(found.obs, apart.obs, rtol=1e-6)
    assert found.uns["scifn"]["annotate"]["notes"] == apart.uns["scifn"]["annotate"]["notes"]


def test_a_failure_among_cells_that_are_called_leaves_the_object(cohort, monkeypatch):
    def fail(*_):
        raise MemoryError("no room")

    monkeypatch.setattr(_pass, "COMPILED", 0)
    monkeypatch.setattr(annotate, "columns_of", fail)
    found = cohort.copy()
    with pytest.raises(MemoryError, match="no room"):
        scifn.run(found, donor="donor", condition="condition", reference="control")
    pd.testing.assert_frame_equal(found.obs, cohort.obs)
    assert "scifn" not in found.uns


def test_few_cells_wait_for_no_compiler(cohort, monkeypatch):
    for name in ("scifn._cells._compiled", "scifn._matrix._kernels"):
        monkeypatch.setitem(sys.modules, name, None)
    found = cohort.copy()
    scifn.run(found, donor="donor", condition="condition", reference="control", n_permutations=50)
    assert found.uns["scifn"]["steps"]["donors"] == "done"


def test_a_run_of_cells_is_called_as_all_of_them(cohort):
    """Every cell by itself: the columns of some cells do not change with the others."""
    view = _view.read(cohort, _run._genes)
    whole = annotate.annotate(view)
    part = annotate.annotate(view.part(slice(300, 420)))
    assert list(part.cell_type) == list(whole.cell_type[300:420])
    np.testing.assert_array_equal(part.posterior, whole.posterior[300:420])


# --- labels as numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["object", "category"])
def test_labels_are_looked_up(dtype):
    values = pd.Series(["weak", "none", np.nan, "strong", "weak"], dtype=dtype)
    found = looked_up(values, {"weak": 1, "strong": 2, "nan": 7}, 0)
    assert found.tolist() == [1, 0, 7, 2, 1]
    assert looked_up(values, {"weak": 1}, 5).tolist() == [1, 5, 5, 5, 1]


def test_coded_columns_hold_what_words_say():
    for values in (
        pd.Series([2, "2", None, "b", 2.5]),
        pd.Series(["b", "a", None, "b"], dtype="category"),
        pd.Series([3.0, 1.0, np.nan, 3.0]),
    ):
        codes, names = _slots.coded(values)
        assert [names[code] for code in codes] == _slots.words(values).tolist()
        assert len(set(names)) == len(names)


def test_joined_columns_are_texts_of_pairs():
    one, other = pd.Series(["a", "a / b", "a", "x"]), pd.Series(["b / c", "c", "b / c", "c"])
    found = _slots.joined(one, other, " / ")
    assert list(found) == ["a / b / c", "a / b / c", "a / b / c", "x / c"]


def test_groups_are_those_of_unique():
    rng = np.random.default_rng(0)
    for n in (10, 10**8):
        flat = rng.integers(0, n, 50)
        want = np.unique(flat, return_inverse=True)
        for one, other in zip(groups_of(flat, n), want, strict=True):
            np.testing.assert_array_equal(one, other)
