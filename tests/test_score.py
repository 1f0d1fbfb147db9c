"""tl.score: the numbers of scanpy and UCell, the laws a score must keep, what is refused."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp

import scifn
from scifn import _keys as k
from scifn._cells.scores import METHODS, linear
from scifn._errors import ArgumentError, CoverageError, MissingKeyError, OverwriteError
from scifn.genesets import _ids

N_CELLS, N_GENES = 150, 400
TOLERANCE = 1e-6


def make(seed=0, n_cells=N_CELLS, n_genes=N_GENES, empty=slice(10, 15)):
    """Counts of known genes whose levels differ by decades; three cells and some genes empty."""
    rng = np.random.default_rng(seed)
    level = rng.gamma(0.4, 1.5, n_genes) * rng.gamma(4, 0.25, (n_cells, 1))
    counts = rng.poisson(level).astype(np.float32)
    counts[[3, n_cells // 3, n_cells - 1]] = 0
    counts[:, empty] = 0
    names = sorted(_ids.ids("human").other_names)[:n_genes]
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n_cells)])
    return ad.AnnData(sp.csr_matrix(counts), obs=obs, var=pd.DataFrame(index=names))


def make_sets(adata, n=4, size=20, seed=1):
    rng = np.random.default_rng(seed)
    made = {f"s{i}": [str(g) for g in rng.choice(adata.var_names, size, False)] for i in range(n)}
    genes = [str(g) for g in rng.choice(adata.var_names, min(16, adata.n_vars), replace=False)]
    return {**made, "signed": {"up": genes[: size // 2], "down": genes[size // 2 : size]}}


def normalized(adata, target=1e4):
    """Logarithms of counts per ``target``, in single precision."""
    logs = adata.copy()
    total = adata.X.sum(axis=1).A1
    factor = np.divide(target, total, out=np.zeros(total.size), where=total > 0)
    logs.X = (sp.diags(factor) @ adata.X).log1p().tocsr().astype(np.float32)
    return logs


def scored(adata, sets, method="matched", **options):
    """Scores as a table, the object left alone."""
    work = adata.copy() if isinstance(adata, ad.AnnData) else adata
    scifn.tl.score(work, sets, method=method, **options)
    return work.obs[[f"scifn_{name}" for name in sets]].to_numpy()


def record(adata):
    return adata.uns["scifn"]["score"]["sets"].set_index("set")


@pytest.fixture
def adata():
    return make()


@pytest.fixture
def sets(adata):
    return make_sets(adata)


@pytest.fixture(params=[False, True], ids=["numpy", "compiled"])
def engine(request, monkeypatch):
    """Both ways to the same numbers, whatever the number of cells."""
    monkeypatch.setattr(linear, "COMPILED_FROM", 0 if request.param else 10**9)
    return request.param


# --- agreement with others ----------------------------------------------------


def by_scanpy(logs, genes, **options):
    work = logs.copy()
    sc.tl.score_genes(work, genes, score_name="x", **options)
    return work.obs["x"].to_numpy()


def expected(logs, sets, **options):
    found = []
    for genes in sets.values():
        if isinstance(genes, dict):
            up, down = (by_scanpy(logs, genes[arm], **options) for arm in ("up", "down"))
            found.append(up - down)
        else:
            found.append(by_scanpy(logs, genes, **options))
    return np.stack(found, axis=1)


def assert_close(found, wanted, filled):
    """Equal in cells with counts; NaN in those without."""
    np.testing.assert_allclose(found[filled], wanted[filled], rtol=0, atol=TOLERANCE)
    assert np.isnan(found[~filled]).all()


@pytest.mark.parametrize("rng", [0, 7])
@pytest.mark.parametrize("n_genes", [1200, 400, 11])
def test_seurat_is_score_genes_of_scanpy(engine, rng, n_genes):
    """1,200 genes: bins of 50 and draws from larger ones; 11: one bin for all."""
    adata = make(n_genes=n_genes)
    sets = make_sets(adata, size=4 if n_genes < 20 else 20)
    logs = normalized(adata)
    wanted = expected(logs, sets, random_state=rng)
    filled = adata.X.sum(axis=1).A1 > 0
    assert_close(scored(logs, sets, "seurat", rng=rng), wanted, filled)


def test_seurat_draws_from_bins_that_hold_more_than_it_takes():
    adata = make(n_genes=1200, empty=slice(100, 800))  # 700 genes share the lowest bin
    logs, sets = normalized(adata), make_sets(adata)
    filled = adata.X.sum(axis=1).A1 > 0
    for rng in (0, 1):
        wanted = expected(logs, sets, random_state=rng)
        assert_close(scored(logs, sets, "seurat", rng=rng), wanted, filled)
    assert not np.allclose(expected(logs, sets, random_state=0)[filled], wanted[filled])


def test_matched_is_score_genes_with_all_genes_of_the_bins(engine, adata, sets):
    logs = normalized(adata)
    wanted = expected(logs, sets, ctrl_size=adata.n_vars)
    filled = adata.X.sum(axis=1).A1 > 0
    assert_close(scored(adata, sets), wanted, filled)
    assert_close(scored(logs, sets, layer="X"), wanted, filled)


def test_mean_is_the_mean(engine, adata, sets):
    values = normalized(adata).to_df()
    wanted = np.stack(
        [
            values[genes].mean(axis=1)
            if not isinstance(genes, dict)
            else values[genes["up"]].mean(axis=1) - values[genes["down"]].mean(axis=1)
            for genes in sets.values()
        ],
        axis=1,
    )
    assert_close(scored(adata, sets, "mean"), wanted, adata.X.sum(axis=1).A1 > 0)


@pytest.mark.parametrize("scale", ["counts", "log1p", "float64"])
def test_rank_is_ucell(engine, sets, scale):
    """More than 1,500 genes in a cell, missing genes, ties, signed sets below zero."""
    ucell = pytest.importorskip("pyucell")
    adata = make(n_cells=30, n_genes=1200)
    more = ad.AnnData(
        sp.csr_matrix(np.random.default_rng(3).poisson(3, (30, 900)).astype(np.float32)),
        obs=adata.obs, var=pd.DataFrame(index=[f"MADE{i}" for i in range(900)]),
    )  # fmt: skip
    adata = ad.concat([adata, more], axis=1, merge="same")
    if scale != "counts":
        adata = normalized(adata)
    if scale == "float64":
        adata.X = adata.X.astype(np.float64)
    sets = {**sets, "some": [*sets["s0"], "ABSENT1", "ABSENT2"]}
    signatures = {
        name: [*(f"{g}+" for g in genes["up"]), *(f"{g}-" for g in genes["down"])]
        if isinstance(genes, dict)
        else genes
        for name, genes in sets.items()
    }
    work = adata.copy()
    ucell.compute_ucell_scores(work, signatures, n_jobs=1)
    wanted = work.obs[[f"{name}_UCell" for name in sets]].to_numpy()
    found = scored(adata, sets, "rank")
    filled = np.asarray(adata.X.sum(axis=1)).ravel() > 0
    assert_close(found, wanted, filled)
    assert (found[filled] >= 0).all()
    assert (wanted[:, list(sets).index("signed")] == 0).any()


def test_rank_by_hand():
    """Values 5, 3, 3, 1: ranks 1, 2.5, 2.5, 4. Set of the 5, a 3 and an absent gene (1,500)."""
    names = sorted(_ids.ids("human").other_names)[:6]
    values = np.array([[5, 3, 3, 1, 0, 0]], dtype=np.float32)
    adata = ad.AnnData(values, var=pd.DataFrame(index=names))
    found = scored(adata, {"a": [names[0], names[1], names[5]]}, "rank")
    assert found[0, 0] == pytest.approx(1 - (1 + 2.5 + 1500 - 6) / (4500 - 6))


def test_matched_by_hand():
    """Eleven genes are one bin: the mean of the set's three less the mean of the other eight."""
    names = sorted(_ids.ids("human").other_names)[:11]
    counts = np.arange(22, dtype=np.float64).reshape(2, 11)
    adata = ad.AnnData(counts, var=pd.DataFrame(index=names))
    logs = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    wanted = logs[:, :3].mean(axis=1) - logs[:, 3:].mean(axis=1)
    np.testing.assert_allclose(scored(adata, {"a": names[:3]})[:, 0], wanted, atol=1e-9)


# --- laws -----------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_both_engines_agree_to_the_last_bit(adata, sets, method, monkeypatch):
    logs = normalized(adata)
    for one, layer in ((adata, None), (logs, "X")):
        found = []
        for start in (0, 10**9):
            monkeypatch.setattr(linear, "COMPILED_FROM", start)
            found.append(scored(one, sets, method, layer=layer))
        np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("method", sorted(set(METHODS) - {"seurat"}))
def test_the_order_of_genes_and_cells_changes_nothing(engine, adata, sets, method):
    rng = np.random.default_rng(4)
    genes, cells = rng.permutation(adata.n_vars), rng.permutation(adata.n_obs)
    moved = adata[cells][:, genes].copy()
    reversed_sets = {
        name: listed if isinstance(listed, dict) else listed[::-1] for name, listed in sets.items()
    }
    np.testing.assert_array_equal(
        scored(moved, reversed_sets, method), scored(adata, sets, method)[cells]
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_set_does_not_know_which_others_are_scored(adata, sets, method):
    together = scored(adata, sets, method)
    for i, (name, genes) in enumerate(sets.items()):
        np.testing.assert_array_equal(scored(adata, {name: genes}, method)[:, 0], together[:, i])


@pytest.mark.parametrize("method", ["mean", "rank"])
def test_a_cell_alone_has_its_score_without_a_model(adata, sets, method):
    whole = scored(adata, sets, method)
    np.testing.assert_array_equal(scored(adata[[7]].copy(), sets, method), whole[[7]])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", ["counts", "log1p", "log CPM", "gene subset"])
def test_with_a_model_a_cell_alone_has_the_number_it_got_then(adata, sets, method, scale, tmp_path):
    if scale != "counts":
        adata = normalized(adata, 1e6 if scale == "log CPM" else 1e4)
    if scale == "gene subset":
        adata = adata[:, 100:].copy()
        sets = make_sets(adata)
    scifn.tl.score(adata, sets, method=method)
    path = tmp_path / "earlier.h5ad"
    adata.write_h5ad(path)
    columns = [f"scifn_{name}" for name in sets]
    for model in (adata.uns["scifn"], path):
        alone = ad.AnnData(adata.X[[7, 20]], obs=adata.obs.iloc[[7, 20], :0], var=adata.var)
        scifn.tl.score(alone, sets, method=method, model=model)
        np.testing.assert_array_equal(alone.obs[columns], adata.obs[columns].iloc[[7, 20]])


def test_log_cpm_is_brought_to_ten_thousand(adata, sets):
    cpm = normalized(adata, 1e6)
    np.testing.assert_allclose(scored(cpm, sets), scored(adata, sets), atol=1e-5, equal_nan=True)


def test_many_sets_are_written_without_a_warning(adata):
    sets = make_sets(adata, n=150)
    scifn.tl.score(adata, sets)
    assert adata.obs[[f"scifn_{name}" for name in sets]].notna().sum().min() == N_CELLS - 3


# --- genes ------------------------------------------------------------------------


def test_features_of_one_gene_are_summed(engine, adata, sets):
    """A gene in two features is the gene of their sum; where one is zero, it is the other."""
    gene, at = sets["s0"][0], {"gene_symbols": "symbol"}
    counts = adata.to_df()
    rng = np.random.default_rng(8)
    first = pd.Series(rng.binomial(counts[gene].astype(int), 0.5), index=counts.index)
    parts = pd.concat([counts.drop(columns=gene), first, counts[gene] - first], axis=1)
    names = [*counts.columns.drop(gene), gene, gene]
    var = pd.DataFrame({"symbol": names}, index=[f"f{i}" for i in range(len(names))])
    split = ad.AnnData(sp.csr_matrix(parts.to_numpy(np.float32)), obs=adata.obs, var=var)
    one = {"s0": sets["s0"]}
    for form in (sp.csr_matrix, sp.csc_matrix):
        split.X = form(split.X)
        np.testing.assert_allclose(
            scored(split, one, "mean", **at), scored(adata, one, "mean"), atol=1e-9, equal_nan=True
        )
    whole = parts.copy()
    whole.iloc[:, -2], whole.iloc[:, -1] = 0, counts[gene].to_numpy()
    empty_part = ad.AnnData(sp.csr_matrix(whole.to_numpy(np.float32)), obs=adata.obs, var=var)
    np.testing.assert_allclose(
        scored(empty_part, one, "rank", **at),
        scored(adata, one, "rank"),
        atol=1e-12,
        equal_nan=True,
    )
    two = scored(split, {"s0": sets["s0"], "s1": sets["s1"]}, **at)
    np.testing.assert_array_equal(two[:, 1], scored(split, {"s1": sets["s1"]}, **at)[:, 0])


def test_names_are_read_as_elsewhere_in_scifn(adata):
    """Aliases, spaces and doubles in the lists; Ensembl IDs, with version, among the features."""
    table = _ids.ids("human")
    by_gene = {gene: id_ for id_, gene in table.by_ensembl.items()}
    genes = [g for g in adata.var_names if g in by_gene][:6]
    wanted = scored(adata, {"a": genes})
    sloppy = [f" {genes[0]}", *genes[1:], genes[1]]
    np.testing.assert_array_equal(scored(adata, {"a": sloppy}), wanted)
    np.testing.assert_array_equal(scored(adata, {"a": [f"{by_gene[g]}.7" for g in genes]}), wanted)
    ids = adata.copy()
    ids.var_names = [f"{by_gene[g]}.3" if g in by_gene else g for g in ids.var_names]
    np.testing.assert_array_equal(scored(ids, {"a": genes}), wanted)


def test_names_that_r_has_rewritten_in_the_lists(adata):
    dashed = adata.copy()
    dashed.var_names = ["HLA-DRA", "NEW-GENE", "AC000001.1", *adata.var_names[3:]]
    wanted = scored(dashed, {"a": ["HLA-DRA", "NEW-GENE", "AC000001.1"]})
    given = ["HLA.DRA", "NEW.GENE", "AC000001.1"]
    np.testing.assert_array_equal(scored(dashed, {"a": given}), wanted)


def test_ensembl_ids_in_the_lists_that_only_the_features_know(adata):
    """Genes outside scifn's own table, by ID, with and without symbols beside them."""
    made = [f"ENSG9{i:010d}" for i in range(5)]
    genes = list(adata.var_names[30:35])
    wanted = scored(adata, {"a": genes})
    plain = adata.copy()
    plain.var_names = [*adata.var_names[:30], *made, *adata.var_names[35:]]
    np.testing.assert_array_equal(scored(plain, {"a": made}), wanted)
    both = adata.copy()
    both.var["gene_ids"] = [f"ENSG8{i:010d}" for i in range(N_GENES)]
    listed = both.var["gene_ids"].iloc[30:35].tolist()
    np.testing.assert_array_equal(scored(both, {"a": listed}), wanted)


def test_antibodies_are_no_genes(adata, sets):
    wanted = {method: scored(adata, sets, method) for method in METHODS}
    adt = ad.AnnData(
        sp.csr_matrix(np.full((N_CELLS, 3), 500, np.float32)), obs=adata.obs,
        var=pd.DataFrame(index=["CD3_ADT", "CD19_ADT", "CD4_ADT"]),
    )  # fmt: skip
    both = ad.concat([adata, adt], axis=1, merge="same")
    kinds = ["Gene Expression"] * N_GENES + ["Antibody Capture"] * 3
    both.var["feature_types"] = kinds
    for method in METHODS:
        np.testing.assert_array_equal(scored(both, sets, method), wanted[method])


# --- what is refused, and what is said ------------------------------------------------


def test_a_set_that_is_not_there_is_nan_with_a_reason(adata, sets):
    half = [*sets["s0"][:9], *(f"ABSENT{i}" for i in range(10))]
    asked = {"good": sets["s0"], "poor": half, "two": sets["s0"][:2], "none": ["NOT1", "NOT2"]}
    scifn.tl.score(adata, asked)
    told = record(adata)
    assert told["status"].to_dict() == {
        "good": "ok", "poor": "insufficient", "two": "insufficient", "none": "absent",
    }  # fmt: skip
    assert told.loc["poor", "reason"].startswith("9 of 19 genes are among the features; at least")
    assert "at least 3 are needed" in told.loc["two", "reason"]
    for name in ("poor", "two", "none"):
        assert adata.obs[f"scifn_{name}"].isna().all()
    coverage = scifn.get.coverage(adata).set_index("set")
    assert coverage["status"].to_dict() == told["status"].to_dict()
    assert coverage.loc["poor", "missing"].count("ABSENT") == 10


def test_each_list_of_a_signed_set_is_judged(adata, sets):
    asked = {"a": {"up": sets["s0"], "down": ["NOT1", "NOT2", sets["s1"][0]]}, "b": sets["s1"]}
    scifn.tl.score(adata, asked)
    assert record(adata).loc["a", "status"] == "insufficient"
    assert "of its down list 1 of 3" in record(adata).loc["a", "reason"]
    assert {"a:up", "a:down", "b"} <= set(scifn.get.coverage(adata)["set"])


def test_an_empty_down_list_is_an_unsigned_set(adata, sets):
    signed = scored(adata, {"a": {"up": sets["s0"], "down": []}})
    np.testing.assert_array_equal(signed, scored(adata, {"a": sets["s0"]}))
    down = scored(adata, {"a": {"down": sets["s0"]}})
    np.testing.assert_array_equal(down, -signed)


def test_genes_that_no_cell_expresses_are_said_to_be_so(adata):
    low = [str(g) for g in adata.var_names[10:15]]
    for method in METHODS:
        scifn.tl.score(adata, {"low": low}, method=method, overwrite=True)
        assert record(adata).loc["low", "status"] == "not_expressed"
        assert "None of them is above zero" in record(adata).loc["low", "reason"]


def test_a_set_that_leaves_no_control_gene_is_nan(adata):
    small = adata[:, 20:26].copy()
    small = small[small.X.sum(axis=1).A1 > 0].copy()
    for method in ("matched", "seurat"):
        scifn.tl.score(small, {"all": list(small.var_names)}, method=method, overwrite=True)
        assert record(small).loc["all", "status"] == "no_controls"
        assert small.obs["scifn_all"].isna().all()


def test_nothing_usable_is_an_error_that_names_what_was_found(adata):
    asked = {"one": ["NOT1", "NOT2", "NOT3"], "two": [*adata.var_names[:2], "NOT4"]}
    with pytest.raises(CoverageError, match=r"'one': 0 of 3 genes.*'two': 2 of 3 genes"):
        scifn.tl.score(adata, asked)
    assert list(adata.obs) == []
    assert "scifn" not in adata.uns


@pytest.mark.parametrize(
    ("sets", "match"),
    [
        (["MX1", "ISG15"], "sets= is a list; needed is a dict"),
        ({}, "sets= is empty"),
        ({"a": "MX1"}, "is one string"),
        ({"a": []}, "is empty"),
        ({"a": ["MX1", None]}, "entries that are not gene names"),
        ({"a": {"up": ["MX1"], "over": ["CD19"]}}, r"keys \['up', 'over'\]; needed are 'up'"),
        ({"a": {"up": [], "down": []}}, "is empty"),
        ({"": ["MX1"]}, "name of a gene set is a non-empty string"),
        ({3: ["MX1"]}, "name of a gene set"),
        (
            {"cell_type": ["MX1", "ISG15", "IFI6"]},
            r"cell_type'\], a name that scifn reserves",
        ),
        ({"capacity_tlr79": ["MX1"]}, "reserves"),
        ({"response_type1": ["MX1"]}, "reserves"),
        ({"a/b": ["MX1"], "a_b": ["MX1"]}, r"two gene sets would be written to obs\['scifn_a_b'\]"),
    ],
)
def test_sets_that_are_none(adata, sets, match):
    with pytest.raises(ArgumentError, match=match):
        scifn.tl.score(adata, sets)
    assert list(adata.obs) == []


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"method": "zscore"}, "method='zscore': one of 'matched', 'mean', 'rank', 'seurat'"),
        ({"rng": -1}, "rng=-1: a whole number"),
        ({"rng": None}, "rng=None"),
        ({"key_added": ""}, "key_added=''"),
        ({"model": {"scifn": {}}}, "no record of score"),
    ],
)
def test_arguments_that_are_not_known(adata, sets, options, match):
    error = MissingKeyError if "model" in options else ArgumentError
    with pytest.raises(error, match=match):
        scifn.tl.score(adata, sets, **options)


def test_lists_that_contradict_themselves(adata, sets):
    genes = sets["s0"]
    with pytest.raises(ArgumentError, match="genes in both lists: "):
        scifn.tl.score(adata, {"a": {"up": genes[:5], "down": genes[4:9]}})
    with pytest.raises(ArgumentError, match="holds no 'up' genes"):
        scifn.tl.score(adata, {"a": {"down": genes}}, method="rank")


def test_a_set_as_long_as_the_ranks_has_no_rank_score():
    adata = make(n_cells=20, n_genes=200)
    long = [*adata.var_names, *(f"MADE{i}" for i in range(1400))]
    scifn.tl.score(adata, {"long": long, "ok": list(adata.var_names[:20])}, method="rank")
    assert record(adata).loc["long", "status"] == "too_many_genes"
    assert adata.obs["scifn_long"].isna().all()


# --- what is written -------------------------------------------------------------------


def test_columns_and_their_names(adata, sets):
    scifn.tl.score(adata, {"T/NK": sets["s0"]}, key_added="mine")
    scifn.tl.score(adata, {"T/NK": sets["s0"]})
    assert list(adata.obs) == ["mine_T_NK", "scifn_T_NK"]
    assert (adata.obs.dtypes == np.float64).all()
    assert list(adata.uns["scifn"]["score"]["sets"].columns) == list(k.SCORE_COLUMNS)


def test_nothing_is_overwritten_without_being_asked(adata, sets):
    adata.obs["scifn_s1"] = "theirs"
    scifn.tl.score(adata, {"s0": sets["s0"]})
    before = adata.obs.copy()
    with pytest.raises(OverwriteError, match=r"obs\['scifn_s0'\] already there"):
        scifn.tl.score(adata, {"s0": sets["s1"]})
    with pytest.raises(OverwriteError, match=r"scifn_s1'\] was not written by tl.score"):
        scifn.tl.score(adata, {"s0": sets["s1"], "s1": sets["s1"]}, overwrite=True)
    pd.testing.assert_frame_equal(adata.obs, before)
    scifn.tl.score(adata, {"s0": sets["s1"]}, overwrite=True)
    assert not np.allclose(adata.obs["scifn_s0"], before["scifn_s0"], equal_nan=True)


def test_records_of_several_calls_stand_side_by_side(adata, sets):
    scifn.tl.score(adata, {"s0": sets["s0"], "s1": sets["s1"]})
    scifn.tl.score(adata, {"s2": sets["s2"]})
    scifn.tl.score(adata, {"s1": sets["s1"]}, method="rank", overwrite=True)
    scifn.tl.score(adata, {"s3": sets["s3"]}, layer="X")
    found = adata.uns["scifn"]["score"]
    assert found["sets"].set_index("column")["method"].to_dict() == {
        "scifn_s0": "matched", "scifn_s2": "matched", "scifn_s1": "rank", "scifn_s3": "matched",
    }  # fmt: skip
    assert list(found["bins"]) == ["bins_1"], "equal bins are stored once"
    assert set(scifn.get.coverage(adata)["set"]) >= {"s0", "s1", "s2", "s3"}


@pytest.mark.parametrize("form", ["h5ad", "zarr"])
def test_all_of_it_reads_back_equal(adata, sets, form, tmp_path):
    for method in METHODS:
        scifn.tl.score(adata, sets, method=method, key_added=method)
    path = tmp_path / f"scored.{form}"
    if form == "zarr":
        pytest.importorskip("zarr")
    getattr(adata, f"write_{form}")(path)
    back = getattr(ad, f"read_{form}")(path)
    pd.testing.assert_frame_equal(back.obs, adata.obs)
    ours, theirs = adata.uns["scifn"]["score"], back.uns["scifn"]["score"]
    pd.testing.assert_frame_equal(
        theirs["sets"].reset_index(drop=True).astype(object), ours["sets"].astype(object)
    )
    for name, table in ours["bins"].items():
        assert (theirs["bins"][name].to_numpy() == table.to_numpy()).all()
    assert np.isnan(theirs["input"].pop("target_sum"))  # of counts there is none
    assert theirs["input"].items() <= ours["input"].items()


def test_a_shipped_set_keeps_its_row_of_the_coverage(adata, sets):
    scifn.tl.score(adata, {"ifn_alpha": sets["s0"]})
    assert "ifn_alpha (score)" in set(scifn.get.coverage(adata)["set"])


def test_model_of_another_kind_or_other_genes(adata, sets):
    scifn.tl.score(adata, sets, method="mean")
    with pytest.raises(MissingKeyError, match="holds no bins of genes"):
        scifn.tl.score(adata, sets, model=adata.uns["scifn"], key_added="x")
    with pytest.raises(MissingKeyError, match="holds no control genes of 's0'"):
        scifn.tl.score(adata, sets, method="seurat", model=adata.uns["scifn"], key_added="x")
    scifn.tl.score(adata, sets, key_added="full")
    few = adata[:, :150].copy()
    few.obs = few.obs.iloc[:, :0]
    genes = list(few.var_names[:20])
    with pytest.raises(CoverageError, match="of which 150 are here"):
        scifn.tl.score(few, {"a": genes}, model=adata.uns["scifn"])


def test_a_generator_is_a_seed(adata, sets):
    found = [scored(adata, sets, "seurat", rng=np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(*found)


# --- beside the steps ------------------------------------------------------------------


def test_scores_outlive_a_run():
    adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=120, rng=3)
    sets = {"mine": scifn.genesets.load("isg_sc_pan"), "two": list(adata.var_names[:20])}
    sets["signed"] = {"up": sets["mine"], "down": ["CD19", "MS4A1", "CD79A"]}
    scifn.tl.score(adata, sets)
    columns = [f"scifn_{name}" for name in sets]
    before = adata.obs[columns].copy()
    kept = adata.uns["scifn"]["score"]
    design = {"donor": "donor", "condition": "condition", "reference": "control"}
    for overwrite in (False, True):  # scores alone are not in the way of a first run
        scifn.run(adata, n_permutations=20, overwrite=overwrite, **design)
        pd.testing.assert_frame_equal(adata.obs[columns], before)
        assert adata.uns["scifn"]["score"] is kept
        coverage = scifn.get.coverage(adata)["set"]
        assert {"mine", "two", "signed:up", "signed:down", "isg_sc_pan"} <= set(coverage)
        assert coverage.is_unique
    assert set(columns) <= set(scifn.get.cells(adata))
    with pytest.raises(OverwriteError, match="already there"):
        scifn.run(adata, n_permutations=20, **design)
    scifn.tl.score(adata, sets, overwrite=True)
    pd.testing.assert_frame_equal(adata.obs[columns], before)
    assert adata.uns["scifn"]["steps"]["annotate"] == "done"


def test_counts_that_something_was_taken_from_are_brought_to_one_depth():
    """A whole transcriptome less ambient RNA: as deep as its cells, unless normalized."""
    rng = np.random.default_rng(0)
    depth = rng.uniform(0.2, 4.0, 60)
    counts = rng.poisson(depth[:, None] * rng.gamma(0.3, 2.0, 5200)) * 0.95 - 0.01
    cleaned = ad.AnnData(sp.csr_matrix(np.maximum(counts, 0).astype(np.float32)))
    cleaned.var_names = [f"G{i}" for i in range(5200)]
    logs = cleaned.copy()
    sc.pp.normalize_total(logs, target_sum=1e4)
    sc.pp.log1p(logs)
    sets = {"s": [f"G{i}" for i in range(40)]}
    for adata in (cleaned, logs):
        scifn.tl.score(adata, sets, method="mean", species="human")
    np.testing.assert_allclose(cleaned.obs["scifn_s"], logs.obs["scifn_s"], rtol=1e-5)
    assert cleaned.uns["scifn"]["score"]["sets"]["normalized"].all()
    # a panel's own total is not that of the cell: it stays as it is
    part = cleaned[:, :300].copy()
    scifn.tl.score(part, sets, method="mean", species="human", overwrite=True)
    assert not part.uns["scifn"]["score"]["sets"]["normalized"].any()


def test_a_model_may_be_the_object_that_holds_it():
    rng = np.random.default_rng(1)
    adata = ad.AnnData(sp.csr_matrix(rng.poisson(1.0, (50, 200)).astype(np.float32)))
    adata.var_names = [f"G{i}" for i in range(200)]
    other = adata[:1].copy()
    sets = {"s": [f"G{i}" for i in range(20)]}
    scifn.tl.score(adata, sets, species="human")
    scifn.tl.score(other, sets, model=adata, species="human")
    assert other.obs["scifn_s"].iloc[0] == adata.obs["scifn_s"].iloc[0]
    with pytest.raises(ArgumentError, match="model= is int; needed: uns"):
        scifn.tl.score(other, sets, model=3, species="human", overwrite=True)
