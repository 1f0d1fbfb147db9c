"""scifn.run: one reading, all steps, everything or nothing; results that last."""

from __future__ import annotations

import copy
from functools import lru_cache
from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scifn
from scifn import _keys as k
from scifn import _matrix, genesets
from scifn._errors import ArgumentError, DesignError, MissingKeyError, OverwriteError
from scifn._matrix import _pass, _storage

DESIGN = {"donor": "donor", "condition": "condition", "reference": "control"}
OBS = (
    k.CELL_TYPE, k.LINEAGE, k.CONFIDENCE, k.PDC_CALL, k.PDC_SCORE, k.BREG_KIND, k.BREG_SCORE,
    k.BREG_EVIDENCE, k.IL10_UMI, k.IFNA_UMI, k.IFNA_BACKGROUND, k.IFNA_P_VALUE, k.IFNA_P_ADJ,
    k.IFNA_POSTERIOR, k.IFNA_EVIDENCE, k.IFNB1_UMI, k.IFNK_UMI, k.IFN1_OTHER_UMI, k.IFNL_UMI,
    k.RESPONSE_TYPE1, k.RESPONSE_TYPE2, k.RESPONSE_BALANCE,
)  # fmt: skip
TABLES = {
    k.COVERAGE: k.COVERAGE_COLUMNS,
    k.IMBALANCE: k.IMBALANCE_COLUMNS,
    k.STRATA_TABLE: k.STRATA_COLUMNS,
    k.BOUNDS: k.BOUNDS_COLUMNS,
    k.CROSSTALK: k.CROSSTALK_COLUMNS,
    k.DONORS: ("donor", "condition", "visit", *k.DONOR_COUNTS, *k.READOUTS, "status", "note"),
    k.PSEUDOBULK: ("donor", "condition", "visit", "cell_type"),
}
STEPS = (
    "annotate", "production", "capacity", "response", "donors", "imbalance", "crosstalk",
    "stratify", "profiles",
)  # fmt: skip
#: Columns of obs that annotate writes.
IDENTITY = OBS[:9]


@lru_cache(maxsize=1)
def _cohort():
    return scifn.datasets.cohort(n_patients=4, n_controls=5, cells_per_donor=150, rng=3)


@lru_cache(maxsize=1)
def _done():
    adata = _cohort().copy()
    run(adata)
    return adata


def run(adata, **options):
    scifn.run(adata, **{**DESIGN, "n_permutations": 50, **options})


@pytest.fixture
def cohort():
    """Counts of nine donors, nothing computed."""
    return _cohort().copy()


@pytest.fixture
def done():
    """The same after a run; not to be written to."""
    return _done()


def assert_equal(one, other, at="uns"):
    """Equal contents of uns, lists and arrays taken for the same."""
    if isinstance(one, dict):
        assert set(one) == set(other), at
        for name in one:
            assert_equal(one[name], other[name], f"{at}[{name!r}]")
    elif isinstance(one, pd.DataFrame):
        other = other.reset_index(drop=True)
        assert list(one.columns) == list(other.columns), at
        for name in one:
            kind = one[name].to_numpy().dtype.kind
            if kind in "fib":
                assert one[name].dtype == other[name].dtype, f"{at}[{name!r}]"
            np.testing.assert_array_equal(one[name].to_numpy(), other[name].to_numpy(), f"{at}")
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=0, abs=0, nan_ok=True), at
    elif isinstance(one, np.ndarray) and one.ndim > 1:
        np.testing.assert_array_equal(one, other, at)
    elif isinstance(one, list | np.ndarray):
        assert list(one) == list(other), at
    else:
        assert one == other, at


def assert_results_equal(one, other):
    """All that scifn wrote is equal in two objects of the same cells."""
    mine = [name for name in one.obs if name.startswith("scifn_")]
    assert mine == [name for name in other.obs if name.startswith("scifn_")]
    for name in mine:
        left, right = one.obs[name], other.obs[name]
        if isinstance(left.dtype, pd.CategoricalDtype):
            assert list(left.cat.categories) == list(right.cat.categories)
            left, right = left.astype(str), right.astype(str)
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left.to_numpy(), right.to_numpy(), name)
    for name in (k.TYPE_POSTERIOR, k.CAPACITY):
        pd.testing.assert_frame_equal(one.obsm[name], other.obsm[name], check_names=False)
    left, right = copy.deepcopy(dict(one.uns["scifn"])), dict(other.uns["scifn"])
    left["input"] = {**left["input"], "storage": ""}
    assert_equal(left, {**right, "input": {**right["input"], "storage": ""}})


def state(adata):
    """What an object holds beside its matrix, copied deep."""
    return (
        adata.obs.copy(),
        adata.var.copy(),
        sorted(adata.obsm),
        sorted(adata.layers),
        copy.deepcopy(dict(adata.uns)),
        adata.X.copy(),
    )


def assert_as_before(adata, before):
    obs, var, obsm, layers, uns, matrix = before
    pd.testing.assert_frame_equal(adata.obs, obs)
    pd.testing.assert_frame_equal(adata.var, var)
    assert (sorted(adata.obsm), sorted(adata.layers)) == (obsm, layers)
    assert sorted(adata.uns) == sorted(uns)
    assert_equal(uns.get("scifn", {}), adata.uns.get("scifn", {}))
    assert (matrix != adata.X).nnz == 0


def test_a_run_writes_what_is_promised_and_leaves_the_rest(cohort, done):
    assert set(OBS) == {name for name in done.obs if name.startswith("scifn_")}
    assert {k.TYPE_POSTERIOR, k.CAPACITY, k.LIGAND_EVIDENCE} == set(done.obsm)
    for name, columns in TABLES.items():
        table = done.uns["scifn"][name]
        assert set(columns) <= set(table["rows"] if name == k.PSEUDOBULK else table.columns), name
    assert set(TABLES) | {"version", "input", "steps"} <= set(done.uns["scifn"])
    assert done.uns["scifn"]["version"] == scifn.__version__
    assert tuple(done.uns["scifn"]["steps"]) == STEPS
    assert set(done.uns["scifn"]["steps"].values()) == {"done"}
    for name in ("annotate", "production", "capacity", "response"):
        assert isinstance(done.uns["scifn"][name], dict)
    assert list(done.obsm[k.CAPACITY]) == [
        f"{module}{end}" for module in k.CAPACITY_MODULES for end in ("", "_resid")
    ]
    pd.testing.assert_frame_equal(done.obs[cohort.obs.columns], cohort.obs)
    pd.testing.assert_frame_equal(done.var, cohort.var)
    assert (done.X != cohort.X).nnz == 0
    assert set(done.uns) == {*cohort.uns, "scifn"}


def test_types_of_the_columns(done):
    for name in OBS:
        values = done.obs[name]
        if name in (k.CELL_TYPE, k.LINEAGE, k.PDC_CALL, k.BREG_KIND, k.BREG_EVIDENCE):
            assert isinstance(values.dtype, pd.CategoricalDtype)
            assert values.notna().all()
        elif name != k.IFNA_EVIDENCE:
            assert values.dtype == np.float32
    assert set(done.obs[k.LINEAGE]) <= set(k.LINEAGES)
    assert set(done.obs[k.CELL_TYPE]) <= set(k.CELL_TYPES)
    assert done.obs[k.CONFIDENCE].between(0, 1).all()
    np.testing.assert_allclose(done.obsm[k.TYPE_POSTERIOR].sum(axis=1), 1, rtol=1e-4)


def test_donor_counts_are_those_of_the_cells(done):
    donors = scifn.get.donors(done).set_index("donor")
    for donor, cells in done.obs.groupby("donor", observed=True):
        assert donors.loc[donor, "n_cells"] == len(cells)
        assert donors.loc[donor, "n_pdc"] == (cells[k.CELL_TYPE] == "pDC").sum()
        counted = ~cells[k.CELL_TYPE].isin(k.NOT_COUNTED)
        assert donors.loc[donor, "n_total"] == counted.sum()
    sums = scifn.get.pseudobulk(done)
    isg15 = pd.Series(done[:, "ISG15"].X.toarray().ravel(), done.obs_names)
    want = isg15.groupby([done.obs["donor"].astype(str), done.obs[k.CELL_TYPE].astype(str)]).sum()
    got = sums.set_index(["donor", "cell_type"])["ISG15"]
    assert len(got) > 9 * 4
    np.testing.assert_array_equal(got.to_numpy(), want.loc[got.index].to_numpy())


def test_the_matrix_is_read_once(cohort, monkeypatch):
    passes, rows = [], []
    one_pass, map_rows = _matrix.one_pass, _pass.map_rows

    def watched(matrix, *args, **options):
        passes.append(matrix.shape)
        return one_pass(matrix, *args, **options)

    def mapped(matrix, function, **options):
        for mine, found in map_rows(matrix, function, **options):
            rows.append((mine.start, mine.stop))
            yield mine, found

    monkeypatch.setattr(_matrix, "one_pass", watched)
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 200_000)
    monkeypatch.setattr(_pass, "map_rows", mapped)
    run(cohort)
    assert passes == [cohort.shape]
    assert len(rows) > 3
    assert rows[0][0] == 0
    assert rows[-1][1] == cohort.n_obs
    assert all(end == start for (_, end), (start, _) in pairwise(rows))


def test_a_run_is_the_steps_one_by_one(cohort, done):
    scifn.tl.annotate(cohort)
    cohort.obs["lane"] = (
        cohort.obs["donor"].astype(str) + " / " + cohort.obs["condition"].astype(str)
    )
    scifn.tl.production(cohort, sample="lane")
    against = {"condition": "condition", "reference": "control"}
    scifn.tl.capacity(cohort, **against)
    scifn.tl.response(cohort, **against)
    scifn.tl.donors(cohort, donor="donor", condition="condition")
    scifn.tl.imbalance(cohort, reference="control", n_permutations=50)
    scifn.tl.crosstalk(cohort)
    scifn.tl.stratify(cohort, reference="control")
    for name in OBS:
        pd.testing.assert_series_equal(cohort.obs[name], done.obs[name])
    for name in (k.TYPE_POSTERIOR, k.CAPACITY):
        pd.testing.assert_frame_equal(cohort.obsm[name], done.obsm[name])
    for name in TABLES:
        assert_equal(done.uns["scifn"][name], cohort.uns["scifn"][name], name)


LATE = {
    "covariate": ({"covariates": "height"}, MissingKeyError, "height"),
    "reference": ({"reference": "healthy"}, DesignError, "healthy"),
    "contrast": ({"contrasts": "nobody"}, DesignError, "nobody"),
    "signature": ({"signature": "no_such"}, ArgumentError, "no_such"),
    "block": ({"block": "site"}, MissingKeyError, "site"),
    "visit": ({"visit": "week"}, MissingKeyError, "week"),
    "measurement": ({"measurements": {"ifn_pg": None}}, MissingKeyError, "ifn_pg"),
    "donor": ({"donor": "patient_id"}, MissingKeyError, "patient_id"),
    "label": ({"labels": "mine"}, MissingKeyError, "mine"),
    "layer": ({"layer": "umi"}, MissingKeyError, "umi"),
    "cell_type": ({"cell_type": "mine"}, MissingKeyError, "mine"),
    "sample": ({"sample": "lane"}, MissingKeyError, "lane"),
}


@pytest.mark.parametrize(
    ("name", "again"), [*((name, False) for name in LATE), ("covariate", True), ("contrast", True)]
)
def test_a_failure_leaves_the_object_as_it_was(name, again):
    options, error, match = LATE[name]
    adata = (_done() if again else _cohort()).copy()
    before = state(adata)
    with pytest.raises(error, match=match):
        run(adata, overwrite=again, **options)
    assert_as_before(adata, before)


def test_output_is_overwritten_on_demand_only(done):
    adata = done.copy()
    before = state(adata)
    with pytest.raises(OverwriteError, match=r"obs\['scifn_cell_type'\].*overwrite=True"):
        run(adata)
    assert_as_before(adata, before)
    bare = done.copy()
    for name in OBS:
        del bare.obs[name]
    bare.obsm.clear()
    with pytest.raises(OverwriteError, match=r"uns\['scifn'\].*overwrite=True"):
        run(bare)
    run(adata, overwrite=True)
    assert_results_equal(done, adata)


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_a_file_gives_what_memory_gives(form, cohort, done, tmp_path):
    make = {"csr": sp.csr_matrix, "csc": sp.csc_matrix, "dense": lambda x: x.toarray()}[form]
    cohort.X = make(cohort.X)
    cohort.write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    run(backed)
    assert_results_equal(done, backed)
    backed.file.close()
    again = ad.read_h5ad(tmp_path / "x.h5ad")
    assert "scifn" not in again.uns, "the file is never written to"
    assert list(again.obs) == list(cohort.obs)


@pytest.mark.parametrize("chunks", [(400, -1), (500, 2000)])
@pytest.mark.parametrize("sparse", [True, False])
def test_dask_gives_what_memory_gives(chunks, sparse, cohort, done):
    array = pytest.importorskip("dask.array")
    lazy = array.from_array(cohort.X.toarray(), chunks=chunks)
    cohort.X = lazy.map_blocks(sp.csr_matrix, dtype=lazy.dtype) if sparse else lazy
    run(cohort)
    assert isinstance(cohort.X, array.Array)
    assert_results_equal(done, cohort)


def test_a_view_gives_what_a_copy_gives(cohort):
    rows = np.flatnonzero(cohort.obs["donor"].astype(str) != "D01")
    copied, view = cohort[rows].copy(), cohort[rows]
    run(copied)
    with pytest.warns(ad.ImplicitModificationWarning):
        run(view)
    assert_results_equal(copied, view)
    assert "scifn" not in cohort.uns
    assert not [name for name in cohort.obs if name.startswith("scifn_")]


@pytest.mark.parametrize("storage", ["h5ad", "zarr"])
def test_results_read_back_equal(storage, done, tmp_path):
    path = tmp_path / f"x.{storage}"
    done = done.copy()
    cells = ad.AnnData(obs=done.obs, obsm=dict(done.obsm), uns={"scifn": done.uns["scifn"]})
    getattr(cells, f"write_{storage}")(path)
    again = getattr(ad, f"read_{storage}")(path)
    assert_results_equal(done, again)
    pd.testing.assert_frame_equal(scifn.get.donors(done), scifn.get.donors(again), **LOOSE)
    pd.testing.assert_frame_equal(scifn.get.cells(done), scifn.get.cells(again), **LOOSE)
    sums = [scifn.get.pseudobulk(one) for one in (done, again)]
    pd.testing.assert_frame_equal(*sums, **LOOSE)
    # as it was stored before it was packed
    done.uns["scifn"][k.PSEUDOBULK] = scifn.get.pseudobulk(done).drop(
        columns=["response_type1", "response_type2_leaning", "response_balance"]
    )
    pd.testing.assert_frame_equal(scifn.get.pseudobulk(done), sums[0])


#: A file may give another type of string and of index of categories.
LOOSE = {"check_dtype": False, "check_categorical": False, "check_index_type": False}


def test_tables_hold_only_types_that_files_keep(done):
    for name in TABLES:
        table = done.uns["scifn"][name]
        for column, values in (table["rows"] if name == k.PSEUDOBULK else table).items():
            array = values.to_numpy()
            if array.dtype == object:
                assert {type(value) for value in array} <= {str}, f"{name}.{column}"
            else:
                assert str(values.dtype) in ("float64", "int64", "bool", "str"), f"{name}.{column}"


def annotated(adata):
    scifn.tl.annotate(adata)
    return adata.obs[list(IDENTITY)], adata.obsm[k.TYPE_POSTERIOR]


def assert_same_identity(one, other):
    for left, right in zip(one, other, strict=True):
        assert list(left.index) == list(right.index)
        for name in left:
            if left[name].dtype.kind == "f":
                np.testing.assert_allclose(left[name], right[name], rtol=1e-5, atol=1e-6)
            else:
                assert (left[name].astype(str) == right[name].astype(str)).all(), name


def test_a_call_does_not_depend_on_other_cells(cohort):
    whole = annotated(cohort.copy())
    for rows in (np.arange(7), np.arange(1000, 1100), np.arange(0, cohort.n_obs, 11)):
        part = annotated(cohort[rows].copy())
        assert_same_identity([table.iloc[rows] for table in whole], part)
    order = np.random.default_rng(0).permutation(cohort.n_obs)
    assert_same_identity([t.iloc[order] for t in whole], annotated(cohort[order].copy()))


def test_a_call_does_not_depend_on_the_order_of_genes(cohort):
    order = np.random.default_rng(0).permutation(cohort.n_vars)
    assert_same_identity(annotated(cohort.copy()), annotated(cohort[:, order].copy()))


def test_results_do_not_depend_on_chunks(cohort, done, monkeypatch):
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 50_000)
    run(cohort)
    assert_results_equal(done, cohort)


def test_twice_the_interferon_program_moves_neither_calls_nor_residual_capacity(cohort, done):
    program = cohort.var_names.isin(
        {gene for name in scifn._cells.capacity.INTERFERON for gene in genesets.load(name)}
    )
    assert program.sum() > 50
    cohort.X = sp.csr_matrix(cohort.X @ sp.diags_array(np.where(program, 2.0, 1.0)))
    scifn.tl.annotate(cohort)
    same = cohort.obs[k.CELL_TYPE].astype(str) == done.obs[k.CELL_TYPE].astype(str)
    assert same.mean() >= 0.98
    scifn.tl.capacity(cohort, model=done.uns["scifn"])
    scifn.tl.response(cohort, model=done.uns["scifn"])
    assert (cohort.obs[k.RESPONSE_TYPE1] - done.obs[k.RESPONSE_TYPE1]).median() > 0.3
    for module in k.CAPACITY_MODULES:
        left = cohort.obsm[k.CAPACITY][f"{module}_resid"][same]
        right = done.obsm[k.CAPACITY][f"{module}_resid"][same]
        assert left.isna().equals(right.isna())
        if left.notna().any():
            np.testing.assert_allclose(left, right, atol=1e-3)


def test_stored_reference_gives_a_cell_its_number_alone(cohort, done):
    part = cohort[[5]].copy()
    scifn.tl.annotate(part)
    scifn.tl.response(part, model=done.uns["scifn"])
    scifn.tl.capacity(part, model=done.uns["scifn"])
    for name in (k.RESPONSE_TYPE1, k.RESPONSE_TYPE2, k.RESPONSE_BALANCE):
        np.testing.assert_allclose(part.obs[name], done.obs[name].iloc[[5]], rtol=1e-5)
    np.testing.assert_allclose(part.obsm[k.CAPACITY], done.obsm[k.CAPACITY].iloc[[5]], rtol=1e-4)


def test_check_writes_nothing(cohort):
    before = state(cohort)
    table = scifn.pp.check(cohort, **DESIGN)
    assert_as_before(cohort, before)
    assert list(table.columns) == ["aspect", "found", "status", "remedy"]
    assert set(table["status"]) <= {"ok", "note", "unusable"}
    assert table.map(type).eq(str).all(axis=None)
    assert table.loc[table["aspect"] == "scale", "found"].item() == "counts"
    donors = table.loc[table["aspect"] == "donors a condition", "found"].item()
    assert sorted(donors.split(", ")) == ["control: 5", "patient: 4"]
    unusable = scifn.pp.check(cohort, donor="donor", condition="condition", reference="healthy")
    assert "'healthy' is no value" in unusable.loc[unusable["status"] == "unusable", "found"].item()


UNREADABLE = {
    "nothing": lambda a: ad.AnnData(None, a.obs, a.var),
    "no features": lambda a: ad.AnnData(None, a.obs),
    "zeros": lambda a: ad.AnnData(sp.csr_matrix(a.shape, dtype="float32"), a.obs, a.var),
    "negative": lambda a: ad.AnnData(a.X.toarray() - 1, a.obs, a.var),
    "NaN": lambda a: ad.AnnData(np.full(a.shape, np.nan, "float32"), a.obs, a.var),
    "no genes": lambda a: ad.AnnData(a.X, a.obs),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_check_tells_an_unreadable_matrix_and_never_raises(name, cohort):
    adata = UNREADABLE[name](cohort)
    table = scifn.pp.check(adata, **DESIGN).set_index("aspect")
    assert table.loc["matrix", "status"] == "unusable"
    assert table.loc["matrix", "found"]
    assert "donors a condition" in table.index, "what the donors are is told all the same"


def test_check_names_a_column_that_is_not_there(cohort):
    with pytest.raises(MissingKeyError, match=r"donor='patient'.*no such column.*condition"):
        scifn.pp.check(cohort, donor="patient")


@pytest.mark.parametrize("name", ["cells", *TABLES])
def test_get_returns_copies(name, done):
    function = getattr(scifn.get, name)
    table = function(done)
    before = function(done)
    assert name == "cells" or isinstance(table.index, pd.RangeIndex)
    table.iloc[:, 0] = table.iloc[::-1, 0].to_numpy()
    numbers = table.select_dtypes("number").columns
    for number in numbers[:5]:
        table[number] = -1
    table["new"] = 0
    pd.testing.assert_frame_equal(function(done), before)
    with pytest.raises(MissingKeyError, match=r"call scifn\.tl\.\w+"):
        function(_cohort())


def test_a_step_done_again_drops_what_was_computed_from_it():
    adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=3)
    scifn.run(adata, donor="donor", condition="condition", reference="control")
    scifn.tl.annotate(adata, overwrite=True)
    assert "scifn_response_type1" not in adata.obs
    assert "scifn_capacity" not in adata.obsm
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.donors"):
        scifn.get.donors(adata)
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.imbalance"):
        scifn.get.imbalance(adata)
    scifn.tl.donors(adata, donor="donor", condition="condition")
    scifn.tl.imbalance(adata, reference="control")
    scifn.tl.donors(adata, donor="donor", condition="condition", overwrite=True)
    assert "imbalance" not in adata.uns["scifn"]
