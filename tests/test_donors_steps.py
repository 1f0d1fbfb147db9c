"""The public steps of donors: what they write, refuse and leave alone."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from scifn import _keys as k
from scifn import get
from scifn._errors import ArgumentError, DesignError, MissingKeyError, OverwriteError, ScaleError
from scifn.tl._donors import donors
from scifn.tl._imbalance import imbalance
from scifn.tl._stratify import stratify

GENES = ["IFI27", "IFI44", "IFI44L", "RSAD2", "LILRA4", "CD19", "CD3E", "ACTB", "GAPDH", "CD14"]


@pytest.fixture
def adata():
    """Twelve donors of 700 cells with user's labels; patients' interferon genes are raised."""
    rng = np.random.default_rng(0)
    labels = ["pDC"] * 4 + ["Mono"] * 150 + ["T/NK"] * 450 + ["B naive"] * 80
    labels += ["B transitional"] * 10 + ["Plasmablast"] * 6
    names = [f"P{i}" for i in range(6)] + [f"C{i}" for i in range(6)]
    obs = pd.DataFrame(
        [(d, "SLE" if d[0] == "P" else "control", x) for d in names for x in labels],
        columns=["donor", "disease", "label"],
    )
    obs["age"] = obs["donor"].map({d: 30.0 + i for i, d in enumerate(names)})
    mean = np.full((len(obs), len(GENES)), 2.0)
    mean[obs["disease"] == "SLE", :4] = 12.0
    counts = sparse.csr_matrix(rng.poisson(mean).astype(np.float32))
    obs.index = [f"c{i}" for i in range(len(obs))]
    return ad.AnnData(counts, obs, pd.DataFrame(index=GENES))


OPTIONS = {"donor": "donor", "condition": "disease", "cell_type": "label"}


def test_donors_write_tables_and_leave_the_rest(adata):
    before = adata.copy()
    donors(adata, covariates="age", **OPTIONS)
    table = adata.uns["scifn"]["donors"]
    assert len(table) == 12
    assert (table["n_pdc"] == 4).all()
    assert table["age"].tolist() == [36.0, 37, 38, 39, 40, 41, 30, 31, 32, 33, 34, 35]
    sums = get.pseudobulk(adata)
    assert len(sums) == 12 * 6
    dense = pd.DataFrame(adata.X.toarray(), adata.obs_names, GENES)
    want = dense.groupby([adata.obs["donor"], adata.obs["label"]]).sum()
    got = sums.assign(cell_type=sums["cell_type"].replace({"Monocyte": "Mono"}))
    got = got.set_index(["donor", "cell_type"])[GENES[:4]]
    np.testing.assert_allclose(got.to_numpy(), want.loc[got.index, GENES[:4]].to_numpy())
    np.testing.assert_allclose(sums["total_umi"].sum(), adata.X.sum())
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert (adata.X != before.X).nnz == 0


def test_obs_alone_is_enough(adata):
    bare = ad.AnnData(obs=adata.obs)
    donors(bare, **OPTIONS)
    donors(adata, **OPTIONS)
    ours = bare.uns["scifn"]
    pd.testing.assert_frame_equal(ours["donors"], adata.uns["scifn"]["donors"])
    assert "pseudobulk" not in ours
    assert "no matrix: no pseudobulk" in ours["donors_parameters"]["notes"]


def test_output_is_not_overwritten_unasked(adata):
    donors(adata, **OPTIONS)
    with pytest.raises(OverwriteError, match="donors"):
        donors(adata, **OPTIONS)
    donors(adata, overwrite=True, **OPTIONS)
    imbalance(adata, reference="control")
    with pytest.raises(OverwriteError, match="imbalance"):
        imbalance(adata, reference="control")
    imbalance(adata, reference="control", overwrite=True)


def test_what_is_missing_names_the_call(adata):
    with pytest.raises(
        MissingKeyError, match=r"call scifn.tl.annotate\(adata\), or give cell_type"
    ):
        donors(adata, donor="donor", condition="disease")
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.donors\(adata"):
        imbalance(adata, reference="control")
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.donors\(adata"):
        stratify(adata, reference="control")


def test_a_failure_leaves_adata_as_it_was(adata):
    adata.obs.loc["c3", "age"] = 99
    with pytest.raises(DesignError, match="donor 'P0'"):
        donors(adata, covariates=["age"], **OPTIONS)
    with pytest.raises(MissingKeyError, match="visit='visit'"):
        donors(adata, visit="visit", **OPTIONS)
    assert "scifn" not in adata.uns
    donors(adata, **OPTIONS)
    with pytest.raises(DesignError, match="reference='healthy'"):
        imbalance(adata, reference="healthy")
    assert "imbalance" not in adata.uns["scifn"]


def test_calls_and_the_record_decide_what_is_measurable(adata):
    adata.obs[k.CELL_TYPE] = adata.obs["label"].replace({"Mono": "Monocyte"}).astype("category")
    adata.obs[k.PDC_CALL] = "NA"
    told = [name for name in (*k.CELL_TYPES, "B") if name not in {k.B_ATYPICAL, k.PLASMA}]
    adata.uns["scifn"] = {"annotate": {"measurable": told}}
    donors(adata, donor="donor", condition="disease")
    table = adata.uns["scifn"]["donors"]
    for name in ("n_pdc", "n_asdc", "n_b_atypical", "n_plasma", "n_breg_like", "logit_pdc"):
        assert table[name].isna().all(), name
    assert (table["n_plasmablast"] == 6).all()
    assert (table["status"] == "not_measurable").all()


def test_visits_are_one_donor(adata):
    adata.obs["visit"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
    donors(adata, visit="visit", **OPTIONS)
    assert len(adata.uns["scifn"]["donors"]) == 24
    imbalance(adata, reference="control")
    table = adata.uns["scifn"]["imbalance"].set_index("readout")
    assert table.loc["logit_breg_of_b", ["n_group", "n_reference"]].tolist() == [6, 6]


def test_strata_from_single_cells(adata):
    donors(adata, **OPTIONS)
    stratify(adata, reference="control")
    table = adata.uns["scifn"]["strata"]
    assert set(table.loc[table["condition"] == "SLE", "stratum"]) == {"high"}
    assert "high" not in set(table.loc[table["condition"] == "control", "stratum"])
    assert "T/NK 0.6" in adata.uns["scifn"]["strata_parameters"]["weights"]
    with pytest.raises(ArgumentError, match="condition= is for bulk=True"):
        stratify(adata, reference="control", condition="disease", overwrite=True)
    stratify(adata, reference="control", signature="rice6_like", overwrite=True)
    assert (adata.uns["scifn"]["strata"]["n_genes"] == 3).all()
    stratify(adata, reference="control", signature="medimmune21_like", overwrite=True)
    assert (adata.uns["scifn"]["strata"]["stratum"] == "not_computable").all()


def test_bulk_wants_log2(adata):
    bulk = ad.AnnData(2.0 ** adata.X[:12].toarray() + 1e13, adata.obs.iloc[:12], adata.var)
    with pytest.raises(ScaleError, match="needs finite log2 expression"):
        stratify(bulk, reference="SLE", condition="disease", bulk=True)
    with pytest.raises(ArgumentError, match="bulk=True needs condition="):
        stratify(bulk, reference="SLE", bulk=True)


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_tables_come_back_equal(adata, tmp_path, kind):
    donors(adata, covariates="age", **OPTIONS)
    imbalance(adata, reference="control")
    stratify(adata, reference="control")
    path = tmp_path / f"x.{kind}"
    adata.write_h5ad(path) if kind == "h5ad" else adata.write_zarr(path)
    back = ad.read_h5ad(path) if kind == "h5ad" else ad.read_zarr(path)
    for name, value in adata.uns["scifn"].items():
        found = back.uns["scifn"][name]
        if isinstance(value, pd.DataFrame):
            found = found.reset_index(drop=True)
            pd.testing.assert_frame_equal(found, value, check_dtype=False, check_column_type=False)
        elif isinstance(value, dict):
            assert {key: str(x) for key, x in found.items()} == {
                key: str(x) for key, x in value.items()
            }


def test_bulk_lupus_blood(shared_data):
    bulk = ad.read_h5ad(shared_data / "sle_wb_GSE49454.h5ad")
    stratify(bulk, reference="Healthy", condition="group", bulk=True)
    table = bulk.uns["scifn"]["strata"]
    sle = table["condition"] == "SLE"
    u = stats.mannwhitneyu(table.loc[sle, "score"], table.loc[~sle, "score"]).statistic
    assert u / (sle.sum() * (~sle).sum()) > 0.9
    assert (table.loc[~sle, "stratum"] == "high").mean() <= 0.05
    record = bulk.uns["scifn"]["strata_parameters"]
    assert "each sample is taken for a person" in record["persons"]
    assert record["n_patients"] == sle.sum() == 157
    # samples of one person are known where obs names the persons
    bulk.obs["donor"] = bulk.obs["subject"]
    stratify(bulk, reference="Healthy", condition="group", bulk=True, overwrite=True)
    record = bulk.uns["scifn"]["strata_parameters"]
    assert (record["persons"], record["n_patients"]) == ("obs['donor']", 62)
    assert bulk.uns["scifn"]["strata"]["donor"].tolist() == bulk.obs_names.tolist()


def test_real_pairs_of_stimulated_blood(shared_data):
    """Two pairs have enough cells for no p-value: effects with a status."""
    kang = ad.read_h5ad(shared_data / "kang_ifnb_fullgenes_annot.h5ad")
    labels = kang.obs["cell_type"].astype(str).unique()
    mapping = dict.fromkeys(labels, "Other") | {x: "B" for x in labels if x.startswith("B")}
    mapping |= {"pDC": "pDC"}
    cells = ad.AnnData(obs=kang.obs)
    donors(cells, donor="donor", condition="condition", cell_type="cell_type", mapping=mapping)
    assert "1,305 of 2,708 cells have no donor" in cells.uns["scifn"]["donors_parameters"]["notes"]
    imbalance(cells, reference="ctrl")
    table = cells.uns["scifn"]["imbalance"]
    assert table["p_value"].isna().all()
    assert table["p_permutation"].isna().all()
    assert table["design"].str.startswith("paired by donor").all()


def test_healthy_halves_give_uniform_p(shared_data):
    """Random halves of twenty healthy donors, pDC fraction."""
    from scifn._stats.ols import fit

    frame = pd.read_csv(shared_data / "props_speckle_healthy_pbmc20.csv", index_col=0)
    if frame.shape[0] != 20:
        frame = frame.T
    name = next(c for c in frame.columns if "pdc" in str(c).lower())
    p = frame[name].to_numpy(dtype=float)
    y = np.log(p / (1 - p))
    rng = np.random.default_rng(0)
    halves = np.column_stack([rng.permutation(y) for _ in range(500)])
    x = np.repeat([1.0, 0.0], 10)
    found = fit(halves, x, np.ones((20, 1))).p_value
    assert stats.kstest(found, "uniform").pvalue > 0.01
