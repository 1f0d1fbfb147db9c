"""Inputs that users really bring: correct with a note, a clear error, or NaN with a status.

Each is put through the public functions. What is correct gives the very same calls as clean
counts; what is refused leaves the object exactly as it was.
"""

from __future__ import annotations

import copy
from functools import lru_cache
from itertools import product

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scifn
from scifn import _run, genesets
from scifn._errors import (
    ArgumentError,
    GenesError,
    MatrixError,
    MissingKeyError,
    OverwriteError,
    ScaleError,
)
from scifn.genesets import _ids

DESIGN = {"donor": "donor", "condition": "condition", "reference": "control"}
#: What identity, evidence and response write in obs, of cells alone and against controls.
CALLS = ("scifn_cell_type", "scifn_pdc_call", "scifn_confidence", "scifn_ifna_umi",
         "scifn_ifna_evidence", "scifn_response_type1")  # fmt: skip


@lru_cache(maxsize=1)
def _cohort():
    made = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=80, rng=5)
    made.uns.clear()
    return made


@lru_cache(maxsize=1)
def _clean():
    made = _cohort().copy()
    run(made)
    return made


def run(adata, **options):
    scifn.run(adata, n_permutations=20, **DESIGN, **options)


@pytest.fixture
def cohort():
    """Clean counts of four donors."""
    return _cohort().copy()


@pytest.fixture
def clean():
    """The same, after a run."""
    return _clean()


def values_of(matrix):
    return None if matrix is None else matrix.toarray() if sp.issparse(matrix) else matrix.copy()


def snapshot(adata):
    """Everything that an object holds, copied deep."""
    return {
        "X": values_of(adata.X),
        "layers": {name: values_of(adata.layers[name]) for name in adata.layers},
        "raw": None if adata.raw is None else values_of(adata.raw.X),
        "obs": adata.obs.copy(),
        "var": adata.var.copy(),
        "obsm": {name: copy.deepcopy(adata.obsm[name]) for name in adata.obsm},
        "uns": copy.deepcopy(dict(adata.uns)),
    }


def assert_same(one, other):
    """Two snapshots, or parts of one, are equal in type and value."""
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for name in one:
            assert_same(one[name], other[name])
    elif isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other)
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
    else:
        assert one == other


def with_types(adata):
    """A copy whose cells are typed, so that evidence and response can be asked for."""
    out = adata.copy()
    out.obs["scifn_cell_type"] = "T/NK"
    return out


def refused(adata, error, match):
    """Every function that reads the matrix says why not, and changes nothing; check tells it."""
    typed = with_types(adata)
    calls = [
        (adata, scifn.tl.annotate),
        (adata, run),
        (typed, scifn.tl.production),
        (typed, scifn.tl.response),
        (typed, scifn.tl.capacity),
    ]
    for given, function in calls:
        before = snapshot(given)
        with pytest.raises(error, match=match):
            function(given)
        assert_same(before, snapshot(given))
    before = snapshot(adata)
    table = scifn.pp.check(adata, **DESIGN)
    assert_same(before, snapshot(adata))
    (row,) = table[table["aspect"] == "matrix"].to_dict("records")
    assert row["status"] == "unusable"
    return row["found"]


def same_calls(adata, clean, columns=CALLS, note=""):
    """A run gives the calls of clean counts, and pp.check and uns tell what was done."""
    before = snapshot(adata)
    table = scifn.pp.check(adata, **DESIGN)
    assert_same(before, snapshot(adata))
    assert (table.loc[table["aspect"] == "matrix", "status"] == "ok").all()
    run(adata)
    for name in columns:
        pd.testing.assert_series_equal(
            adata.obs[name].reset_index(drop=True), clean.obs[name].reset_index(drop=True)
        )
    after = snapshot(adata)
    for part in ("X", "layers", "raw", "var"):
        assert_same(before[part], after[part])
    pd.testing.assert_frame_equal(after["obs"][before["obs"].columns], before["obs"])
    record = adata.uns["scifn"]["input"]
    told = " ".join(map(str, record.values()))
    assert note in told
    assert note in " ".join(table["found"]) or note in record["reason"]
    return record


def normalized(adata, target=1e4):
    total = np.asarray(adata.X.sum(axis=1)).reshape(-1, 1)
    return np.asarray(adata.X.todense()) / np.maximum(total, 1) * target


# --- scales ----------------------------------------------------------------------------------


SCALES = {
    "integers": (lambda a: a.X.astype("int32"), "counts"),
    "normalized, not logged": (lambda a: normalized(a), "normalized"),
    "log1p of counts per 10,000": (lambda a: np.log1p(normalized(a)), "log1p"),
    "log of counts per million": (lambda a: np.log1p(normalized(a, 1e6)), "log1p"),
    "log2": (lambda a: np.log2(normalized(a) + 1), "log2"),
    "log of log": (lambda a: np.log1p(np.log1p(normalized(a))), "log1p of log1p"),
}


@pytest.mark.parametrize("name", SCALES)
def test_other_scales_give_the_calls_of_counts(name, cohort, clean):
    values, scale = SCALES[name]
    cohort.X = sp.csr_matrix(values(cohort)).astype("int32" if scale == "counts" else "float32")
    record = same_calls(cohort, clean)
    assert record["scale"] == scale
    assert record["counts"] == ("as stored" if scale == "counts" else "recovered")
    if scale == "log1p of log1p":
        assert "log-transformed twice" in record["notes"]


def scaled(adata):
    values = np.log1p(normalized(adata))
    return ((values - values.mean(0)) / (values.std(0) + 0.1)).astype("float32")


def test_scaled_values_alone_are_refused(cohort):
    cohort.X = scaled(cohort)
    found = refused(cohort, MatrixError, r"X holds negative values.*raw UMI counts")
    assert "scaled or corrected" in found


def test_scaled_values_with_logarithms_in_raw(cohort, clean):
    cohort.raw = ad.AnnData(
        sp.csr_matrix(np.log1p(normalized(cohort)).astype("float32")), var=cohort.var
    )
    cohort.X = scaled(cohort)
    record = same_calls(cohort, clean, note="X not used: holds negative values")
    assert (record["matrix"], record["counts"]) == ("raw", "recovered")


def test_logarithms_with_counts_in_raw(cohort, clean):
    cohort.raw = cohort.copy()
    cohort.X = sp.csr_matrix(np.log1p(normalized(cohort)).astype("float32"))
    record = same_calls(cohort, clean, note="X not used")
    assert (record["matrix"], record["counts"]) == ("raw", "as stored")


def variable(adata, n=600):
    values = np.log1p(normalized(adata))
    return np.sort(np.argsort(-values.var(axis=0))[:n])


def test_variable_genes_with_everything_in_raw(cohort, clean):
    logs = cohort.copy()
    logs.X = sp.csr_matrix(np.log1p(normalized(cohort)).astype("float32"))
    logs.raw = logs.copy()
    record = same_calls(logs[:, variable(cohort)].copy(), clean)
    assert record["matrix"] == "raw"


def test_variable_genes_alone_say_what_is_missing(cohort):
    kept = [
        name
        for name in cohort.var_names[variable(cohort)]
        if name not in {*genesets.load("pdc_identity_core"), *genesets.load("ifn_alpha")}
    ]
    part = cohort[:, kept].copy()
    part.X = sp.csr_matrix(np.log1p(normalized(cohort))[:, cohort.var_names.isin(kept)])
    run(part)
    assert (part.obs["scifn_pdc_call"] == "NA").all()
    assert (part.obs["scifn_cell_type"] != "pDC").all()
    assert part.obs["scifn_ifna_umi"].isna().all()
    assert (part.obs["scifn_ifna_evidence"] == "not_measurable").all()
    coverage = scifn.get.coverage(part).set_index("set")
    assert coverage.loc["ifn_alpha", "status"] == "absent"
    assert coverage.loc["pdc_identity_core", "status"] == "absent"
    assert part.uns["scifn"]["steps"]["production"].startswith("not_measurable: ")
    assert scifn.get.donors(part)["n_pdc"].isna().all()
    table = scifn.pp.check(part).set_index("aspect")
    assert table.loc["pDC", "status"] == "unusable"
    assert table.loc["transcriptome", "status"] == "note"


@pytest.mark.parametrize("n", [100, 500])
def test_a_panel_without_identity_genes_calls_nothing(cohort, n):
    identity = set(scifn._cells.annotate.panel_genes("human"))
    kept = [name for name in cohort.var_names if name not in identity][:n]
    part = cohort[:, [*kept, "CD3E", "MS4A1"]].copy()
    run(part)
    assert set(part.obs["scifn_cell_type"]) <= {"Unassigned"}
    assert part.obs["scifn_confidence"].isna().all() or (part.obs["scifn_confidence"] == 0).all()
    assert scifn.get.donors(part)[["n_pdc", "logit_pdc"]].isna().all(axis=None)


def test_corrected_values_below_zero_are_refused(cohort):
    values = np.log1p(normalized(cohort))
    cohort.X = (values - values.mean(axis=0)).astype("float32")
    refused(cohort, MatrixError, r"negative values \(scaled or corrected\)")


def test_corrected_values_above_zero_are_no_counts(cohort):
    rng = np.random.default_rng(0)
    values = np.log1p(normalized(cohort)) * rng.uniform(0.8, 1.2, cohort.n_vars)
    cohort.X = sp.csr_matrix(values.astype("float32"))
    typed = with_types(cohort)
    before = snapshot(typed)
    with pytest.raises(ScaleError, match=r"needs UMI counts; X holds.*raw UMI counts"):
        scifn.tl.production(typed)
    assert_same(before, snapshot(typed))
    run(cohort)
    assert cohort.uns["scifn"]["steps"]["production"].startswith("not_measurable: evidence")
    assert "scifn_ifna_umi" not in cohort.obs or cohort.obs["scifn_ifna_umi"].isna().all()
    assert cohort.obs["scifn_il10_umi"].isna().all()
    assert cohort.uns["scifn"]["input"]["counts"] == "unknown"
    with pytest.raises(MissingKeyError, match=r"pseudobulk.*on an object with counts"):
        scifn.get.pseudobulk(cohort)
    table = scifn.pp.check(_without_output(cohort)).set_index("aspect")
    assert table.loc["counts", "status"] == "unusable"
    assert "no counts" in table.loc["IFNA transcripts (evidence)", "found"]


def _without_output(adata):
    out = ad.AnnData(adata.X, adata.obs[["donor", "condition"]], adata.var)
    assert "scifn" not in out.uns
    return out


# --- identifiers -----------------------------------------------------------------------------


def renamed(adata, how):
    out = adata.copy()
    out.var_names = [how(name) for name in out.var_names]
    return out


@pytest.fixture(scope="module")
def named():
    """Cells whose panel genes all have an Ensembl ID in the table, and their run."""
    adata = _cohort()
    known = _ids.ids("human").ensembl
    panel = set(_run._genes("human"))
    adata = adata[:, [name in known or name not in panel for name in adata.var_names]].copy()
    clean = adata.copy()
    run(clean)
    return adata, clean


def ensembl(name, version=""):
    """Ensembl ID; genes that no step reads get one that is no gene."""
    found = _ids.ids("human").ensembl.get(_ids.approved([name], "human").get(name, name))
    other = f"ENSG09{_cohort().var_names.get_loc(name):09d}"
    return (found[0] if found else other) + version


def test_every_panel_gene_is_found_by_its_ensembl_id():
    known = _ids.ids("human").ensembl
    assert [gene for gene in _run._genes("human") if gene not in known] == []


IDENTIFIERS = {
    "Ensembl": (ensembl, "Ensembl IDs"),
    "versioned": (lambda name: ensembl(name, ".4"), "with version"),
    "make.names": (lambda name: name.replace("-", "."), "R make.names"),
    "lower case": (str.lower, "case folded"),
    "leading space": (lambda name: f" {name}", "symbols in var_names"),
}


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
@pytest.mark.parametrize("name", IDENTIFIERS)
def test_other_identifiers_give_the_same_calls(name, named):
    how, told = IDENTIFIERS[name]
    record = same_calls(renamed(named[0], how), named[1])
    assert told in record["identifiers"]


def test_ensembl_names_with_symbols_in_a_column(named):
    out = renamed(named[0], ensembl)
    out.var["feature_name"] = named[0].var_names
    assert "feature_name" in same_calls(out, named[1])["identifiers"]


def test_mouse_symbols_are_found_and_called_experimental(cohort):
    mouse = cohort[:, [bool(_ids.ortholog(name)) for name in cohort.var_names]].copy()
    mouse.var_names = [_ids.ortholog(name) for name in mouse.var_names]
    table = scifn.pp.check(mouse).set_index("aspect")
    assert tuple(table.loc["species", ["found", "status"]]) == ("mouse", "note")
    run(mouse)
    assert mouse.uns["scifn"]["input"]["species"] == "mouse"
    assert "mouse: experimental" in mouse.uns["scifn"]["annotate"]["notes"]
    assert (mouse.obs["scifn_lineage"] == "B").sum() > 5


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_features_with_one_name_are_summed(cohort, clean):
    """Half of the UMI of every gene on a second feature of that name: the same numbers."""
    half = cohort.X.copy()
    half.data = np.floor(half.data / 2)
    rest = cohort.X - half
    twice = ad.AnnData(sp.hstack([half, rest], format="csr"), cohort.obs.copy())
    twice.var_names = [*cohort.var_names, *cohort.var_names]
    same_calls(twice, clean, note="summed")


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_cells_with_one_name_are_kept(cohort, clean):
    cohort.obs_names = ["same"] * cohort.n_obs
    same_calls(cohort, clean, note="obs_names are not unique")
    table = scifn.get.cells(cohort)
    assert len(table) == cohort.n_obs
    assert (table["scifn_cell_type"].to_numpy() == clean.obs["scifn_cell_type"].to_numpy()).all()


def test_integer_names_and_a_transposed_matrix_are_refused_with_a_hint(cohort):
    numbered = cohort.copy()
    numbered.var_names = [str(i) for i in range(cohort.n_vars)]
    refused(numbered, GenesError, r"integers.*gene_symbols=")
    turned = ad.AnnData(cohort.X[:, :200].T.tocsr())
    turned.var_names = ["ACGTTGCAACG" + "".join(ends) + "-1" for ends in product("ACGT", repeat=5)][
        : cohort.n_obs
    ]
    turned.obs_names = cohort.var_names[:200]
    turned.obs["donor"], turned.obs["condition"] = "d", "control"
    assert "adata.T" in refused(turned, GenesError, r"cell barcodes.*transposed")


def test_antibodies_in_the_matrix_are_left_out(cohort, clean):
    rng = np.random.default_rng(0)
    proteins = sp.csr_matrix(rng.poisson(300, (cohort.n_obs, 4)).astype("float32"))
    both = ad.AnnData(sp.hstack([cohort.X, proteins], format="csr"), cohort.obs.copy())
    both.var_names = [*cohort.var_names, "CD19_prot", "CD123", "HLA-DR", "IgG1"]
    both.var["feature_types"] = ["Gene Expression"] * cohort.n_vars + ["Antibody Capture"] * 4
    same_calls(both, clean, note="4 features that are not genes are left out")


# --- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_unreadable_values_are_refused_naming_the_cells(form, value, cohort):
    values = np.asarray(cohort.X.todense())
    values[[3, 50], 7] = value
    cohort.X = form(values)
    name = cohort.obs_names[3]
    found = refused(cohort, MatrixError, rf"2 of 320 cells hold NaN.*'{name}'")
    assert name in found


def test_empty_cells_are_unassigned_and_their_scores_missing(cohort, clean):
    empty = np.zeros(cohort.n_obs, dtype=bool)
    empty[[2, 100, 319]] = True
    cohort.X = sp.csr_matrix(sp.diags_array((~empty).astype("float32")) @ cohort.X)
    table = scifn.pp.check(cohort)
    assert table["found"].str.contains("3 cells hold no count at all").any()
    run(cohort)
    mine = cohort.obs[empty]
    assert (mine["scifn_cell_type"] == "Unassigned").all()
    for name in ("scifn_response_type1", "scifn_response_type2_leaning", "scifn_pdc_score"):
        assert mine[name].isna().all(), name
    assert cohort.obsm["scifn_capacity"][empty].isna().all(axis=None)
    assert "3 cells hold no count at all" in cohort.uns["scifn"]["input"]["notes"]
    others = ~empty
    for name in CALLS[:4]:  # of the other cells nothing changes that rests on the cell alone
        assert (cohort.obs[name][others].astype(str) == clean.obs[name][others].astype(str)).all()


def test_a_matrix_of_zeros_is_refused(cohort):
    cohort.X = sp.csr_matrix(cohort.shape, dtype="float32")
    refused(cohort, MatrixError, r"holds no value other than zero")


def test_genes_that_no_cell_expresses_give_no_score_against_controls(cohort):
    silent = cohort.var_names.isin(genesets.load("isg_sc_pan"))
    cohort.X = sp.csr_matrix(cohort.X @ sp.diags_array((~silent).astype("float32")))
    run(cohort)
    assert cohort.obs["scifn_response_type1"].isna().all()


# --- storage and containers ------------------------------------------------------------------


FORMS = {
    "csr_array": sp.csr_array,
    "csc_matrix": sp.csc_matrix,
    "Fortran": lambda x: np.asfortranarray(x.toarray()),
    "float16": lambda x: x.toarray().astype("float16"),
    "float64": lambda x: x.astype("float64"),
    "int64": lambda x: x.astype("int64"),
}


@pytest.mark.parametrize("name", FORMS)
def test_storage_does_not_matter(name, cohort, clean):
    cohort.X = FORMS[name](cohort.X)
    if name == "float16":  # the total of a cell with more than 2,048 UMI of a gene is rounded
        same_calls(cohort, clean, CALLS[:-1], note="half precision: values above 2,048 are rounded")
    else:
        same_calls(cohort, clean)


def test_booleans_are_detection_and_say_so(cohort):
    cohort.X = (cohort.X > 0).astype(bool)
    table = scifn.pp.check(cohort)
    assert table["found"].str.contains("boolean matrix: detection is read as one UMI").any()
    run(cohort)
    assert "boolean matrix" in cohort.uns["scifn"]["input"]["notes"]
    assert (cohort.obs["scifn_ifna_umi"] <= 13).all()


def test_without_X_the_layers_are_listed_or_used(cohort, clean):
    layers = ad.AnnData(None, cohort.obs, cohort.var, layers={"spliced": cohort.X})
    refused(layers, MatrixError, r"no X, no raw and no layer 'counts' \(layers: 'spliced'\)")
    run(layers, layer="spliced")
    assert layers.uns["scifn"]["input"]["matrix"] == "layers['spliced']"
    counted = ad.AnnData(None, cohort.obs.copy(), cohort.var, layers={"counts": cohort.X})
    assert same_calls(counted, clean)["matrix"] == "layers['counts']"


@pytest.mark.parametrize("function", [scifn.pp.check, scifn.tl.annotate, run])
def test_other_containers_are_named(function, cohort):
    with pytest.raises(ArgumentError, match=r"an AnnData was needed, a DataFrame was given"):
        function(cohort.obs)
    with pytest.raises(ArgumentError, match=r"an AnnData was needed, a str was given"):
        function("cells.h5ad")
    with pytest.raises(ArgumentError, match=r"holds no cells"):
        function(cohort[:0])


@pytest.mark.filterwarnings("ignore:::mudata")
@pytest.mark.parametrize("function", [scifn.pp.check, scifn.tl.annotate, run])
def test_a_mudata_is_refused_naming_its_modalities(function, cohort):
    mudata = pytest.importorskip("mudata")
    both = mudata.MuData({"rna": cohort, "prot": cohort[:, :3].copy()})
    with pytest.raises(ArgumentError, match=r"MuData.*pass its RNA modality.*'rna', 'prot'"):
        function(both)


def test_a_view_becomes_a_copy_and_what_it_is_of_is_left_alone(cohort, clean):
    before = snapshot(cohort)
    part = cohort[cohort.obs["donor"].astype(str) != "no one"]
    assert part.is_view
    with pytest.warns(ad.ImplicitModificationWarning):
        run(part)
    assert not part.is_view
    assert (part.obs["scifn_cell_type"] == clean.obs["scifn_cell_type"]).all()
    assert_same(before, snapshot(cohort))


def test_one_cell_gets_what_it_has_among_others(cohort, clean):
    for row in (0, 150):
        alone = cohort[[row]].copy()
        scifn.tl.annotate(alone)
        for name in ("scifn_cell_type", "scifn_pdc_call", "scifn_confidence", "scifn_pdc_score"):
            assert str(alone.obs[name].iloc[0]) == str(clean.obs[name].iloc[row])
        scifn.tl.response(alone, model=clean.uns["scifn"])
        assert alone.obs["scifn_response_type1"].iloc[0] == pytest.approx(
            clean.obs["scifn_response_type1"].iloc[row], rel=1e-6
        )


def test_output_that_is_there_is_never_overwritten_unasked(cohort):
    cohort.obs["scifn_cell_type"] = "mine"
    before = snapshot(cohort)
    for function in (scifn.tl.annotate, run):
        with pytest.raises(OverwriteError, match=r"obs\['scifn_cell_type'\].*overwrite=True"):
            function(cohort)
        assert_same(before, snapshot(cohort))
    scifn.tl.annotate(cohort, overwrite=True)
    assert "mine" not in set(cohort.obs["scifn_cell_type"])


def test_a_quarter_of_the_depth_moves_no_score(cohort):
    """Half of the cells thinned, no biology in it: means stay within their error, medians near."""
    rng = np.random.default_rng(0)
    thin = np.arange(cohort.n_obs) % 2 == 0
    thinned = cohort.copy()
    share = np.where(thin, 0.25, 1.0)[np.repeat(np.arange(len(thin)), np.diff(cohort.X.indptr))]
    thinned.X.data = rng.binomial(cohort.X.data.astype(int), share).astype("float32")
    score = {}
    for name, adata in (("full", cohort), ("thinned", thinned)):
        adata.obs["scifn_cell_type"] = pd.Categorical(["T/NK"] * adata.n_obs)
        scifn.tl.response(adata)
        score[name] = adata.obs["scifn_response_type1"].to_numpy()
    shift = (score["thinned"] - score["full"])[thin]
    error = shift.std() / np.sqrt(thin.sum())
    assert abs(shift.mean()) < 3 * error
    assert (score["thinned"] == score["full"])[~thin].all()
