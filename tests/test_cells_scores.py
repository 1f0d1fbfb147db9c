"""Response and capacity by hand and on real cells; bounds of what was not seen."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.metrics import roc_auc_score

import scifn
from scifn import _keys as k
from scifn import tl
from scifn._cells import capacity, reference, response
from scifn._errors import ArgumentError, DesignError, MissingKeyError
from scifn._view import PanelView

TYPES = np.array(["T/NK", "T/NK", "T/NK", "T/NK"], dtype=object)
CONTROLS = np.array([True, True, False, False])
COUNTS = np.array([[2, 0, 1], [0, 4, 0], [8, 4, 3], [0, 0, 0]], dtype=float)
TOTAL = np.array([1000.0, 2000.0, 4000.0, 500.0])


def view_of(counts, total, genes=("A", "B", "C")):
    return PanelView(
        genes=tuple(genes),
        values=sparse.csr_array(np.asarray(counts, dtype=np.float32)),
        total=np.asarray(total, dtype=np.float64),
        n_genes=(np.asarray(counts) > 0).sum(axis=1),
        is_counts=True,
        species="human",
        n_features=6000,
        record={},
    )


@pytest.fixture
def small_response(monkeypatch):
    """One set of three genes whose fixed rates are 4, 1 and 1/4: weights 1/2, 1 and 2."""
    sets = {"isg_sc_pan": ("A", "B", "C"), "isg_type2_leaning": ("C", "B", "A")}
    monkeypatch.setattr(response._sets, "for_species", lambda name, species: sets[name])
    monkeypatch.setattr(response, "rates", lambda: {"A": 4.0, "B": 1.0, "C": 0.25})


@pytest.fixture
def small_capacity(monkeypatch):
    """Every module is A, B, C; interferon moves C."""
    monkeypatch.setattr(capacity._sets, "for_species", lambda name, species: ("A", "B", "C"))
    monkeypatch.setattr(capacity, "moving", lambda species: frozenset({"C"}))


# --- response -------------------------------------------------------------------------


def test_response_by_hand(small_response):
    found = response.respond(view_of(COUNTS, TOTAL), TYPES, controls=CONTROLS)
    # weighted UMI 3, 4, 14, 0; per 10,000: 30, 20, 35, 0; mean of the controls 25
    np.testing.assert_allclose(found.type1, [0.2, -0.2, 0.4, -1.0])
    np.testing.assert_allclose(found.balance, 0.0, atol=1e-12)
    row = found.reference.set_index(["score", "group"]).loc[("type1", "all")]
    assert row["mean"] == 25.0
    assert row["n_cells"] == 2
    assert row["sd"] == pytest.approx(np.sqrt(50))


def test_response_without_controls_is_absolute(small_response):
    found = response.respond(view_of(COUNTS, TOTAL), TYPES, controls=None)
    np.testing.assert_allclose(found.type1, [30, 20, 35, 0])
    assert found.record["meaning"].startswith("absolute")
    assert len(found.reference) == 0


def test_response_is_linear_in_the_counts(small_response):
    one = response.absolute(view_of(COUNTS, TOTAL), "type1")
    np.testing.assert_allclose(response.absolute(view_of(3 * COUNTS, TOTAL), "type1"), 3 * one)
    # and in nothing else: a deeper library of the same cell scores the same
    np.testing.assert_allclose(response.absolute(view_of(3 * COUNTS, 3 * TOTAL), "type1"), one)
    other = COUNTS[::-1]
    both = response.absolute(view_of(COUNTS + other, TOTAL), "type1")
    np.testing.assert_allclose(both, one + response.absolute(view_of(other, TOTAL), "type1"))


def test_response_of_a_gene_that_no_rate_is_known_of_has_weight_one(small_response, monkeypatch):
    monkeypatch.setattr(response, "rates", dict)
    found = response.absolute(view_of(COUNTS, TOTAL), "type1")
    np.testing.assert_allclose(found, 1e4 * COUNTS.sum(axis=1) / TOTAL)


def test_scores_are_nan_where_genes_or_umi_are_missing(small_response):
    found = response.absolute(view_of(COUNTS[:, :1], TOTAL, "A"), "type1")
    assert np.isnan(found).all()
    found = response.absolute(view_of(COUNTS, [1000, 2000, 4000, 0]), "type1")
    assert np.isnan(found).tolist() == [False, False, False, True]


def test_response_depends_on_no_order_and_no_other_cell(small_response):
    whole = response.respond(view_of(COUNTS, TOTAL), TYPES, controls=CONTROLS)
    turned = response.respond(view_of(COUNTS[:, [2, 0, 1]], TOTAL, "CAB"), TYPES, controls=CONTROLS)
    np.testing.assert_allclose(whole.type1, turned.type1)
    alone = response.respond(
        view_of(COUNTS[2:3], TOTAL[2:3]), TYPES[2:3], controls=None, stored=whole.reference
    )
    assert alone.type1[0] == whole.type1[2]


# --- controls of the same type, else of the lineage, else all -------------------------


def test_types_with_few_controls_fall_back():
    types = np.repeat(["B naive", "B memory", "T/NK", "pDC"], [25, 5, 19, 4]).astype(object)
    values = np.repeat([1.0, 7.0, 3.0, 100.0], [25, 5, 19, 4])
    scores = pd.DataFrame({"s": values})
    controls = np.ones(53, dtype=bool)
    controls[-2:] = False
    table = reference.measure(scores, types, controls)
    assert set(table["group"]) == {"B naive", "lineage B", "all"}
    codes, names = reference.coded(types)
    mean, sd = (found[codes] for found in reference.of_types(table, "s", names))
    assert mean[0] == 1.0
    assert sd[0] == 0.0
    assert mean[25] == pytest.approx((25 * 1 + 5 * 7) / 30)
    everyone = (25 * 1 + 5 * 7 + 19 * 3 + 2 * 100) / 51
    np.testing.assert_allclose(mean[30:], everyone)
    np.testing.assert_allclose(sd[30:], np.std(values[:51], ddof=1))


def test_cells_that_are_no_controls_teach_nothing():
    types = np.array(["T/NK"] * 40, dtype=object)
    values = np.r_[np.linspace(0, 2, 20), np.full(20, 1e6)]
    table = reference.measure(pd.DataFrame({"s": values}), types, np.arange(40) < 20)
    assert table.set_index("group").at["T/NK", "mean"] == pytest.approx(1.0)
    assert (table["n_cells"] == 20).all()


# --- capacity -------------------------------------------------------------------------


def test_capacity_by_hand(small_capacity):
    found = capacity.capacity(view_of(COUNTS, TOTAL), TYPES, controls=CONTROLS)
    # controls hold 2, 4 and 1 UMI of 3,000
    rate = (np.array([2.0, 4.0, 1.0]) + 0.5) / 3001 * 1e4
    weights = 1 / np.sqrt(rate)
    assert found.weights == pytest.approx(dict(zip("ABC", weights, strict=True)))
    raw = 1e4 * (COUNTS @ weights) / TOTAL
    want = (raw - raw[:2].mean()) / raw[:2].std(ddof=1)
    for module in k.CAPACITY_MODULES:
        np.testing.assert_allclose(found.scores[module], want, rtol=1e-6)
    # the residual: A and B only, over the UMI that are not of C
    raw = 1e4 * (COUNTS[:, :2] @ weights[:2]) / (TOTAL - COUNTS[:, 2])
    want = (raw - raw[:2].mean()) / raw[:2].std(ddof=1)
    np.testing.assert_allclose(found.scores["rlr_resid"], want, rtol=1e-6)
    assert found.record["residual_genes"]["rlr_resid"] == 2


def test_genes_that_interferon_moves_leave_the_residual_alone(small_capacity):
    moved = COUNTS.copy()
    moved[:, 2] *= 10
    total = TOTAL + moved[:, 2] - COUNTS[:, 2]
    one = capacity.capacity(view_of(COUNTS, TOTAL), TYPES, controls=CONTROLS)
    table = one.reference, one.weights
    other = capacity.capacity(view_of(moved, total), TYPES, controls=None, stored=table)
    np.testing.assert_allclose(one.scores["tlr79_resid"], other.scores["tlr79_resid"])
    assert (other.scores["tlr79"][[0, 2]] > one.scores["tlr79"][[0, 2]]).all()


@pytest.fixture(scope="module")
def cohort():
    adata = scifn.datasets.cohort(n_patients=4, n_controls=4, cells_per_donor=400, rng=5)
    tl.annotate(adata)
    return adata


def test_a_response_alone_leaves_the_residuals_at_zero(cohort):
    """All genes that interferon moves are multiplied by four in a random half of the controls."""
    adata = cohort[cohort.obs["condition"] == "control"].copy()
    half = np.random.default_rng(0).permutation(adata.n_obs) % 2 == 0
    adata.obs["arm"] = np.where(half, "shifted", "plain")
    moved = adata.var_names.isin(capacity.moving("human"))
    assert moved.sum() > 100
    scale = sparse.diags(np.where(moved, 3.0, 0.0))
    shift = sparse.diags(half.astype(float)) @ adata.X @ scale
    adata.X = sparse.csr_matrix(adata.X + shift, dtype=np.float32)
    tl.capacity(adata, condition="arm", reference="plain")
    scores = adata.obsm[k.CAPACITY]
    for module in k.CAPACITY_MODULES:
        # compared with the other half, which chance alone tells apart
        error = scores[f"{module}_resid"].std() / np.sqrt(half.sum() / 2)
        assert abs(scores[f"{module}_resid"][half].mean()) < 0.1 + error
    assert scores["rlr"][half].mean() > 0.3


def test_a_response_alone_moves_no_residual_of_any_cell(cohort):
    """The same, cell by cell, against the stored reference: exactly zero."""
    adata = cohort.copy()
    tl.capacity(adata, condition="condition", reference="control")
    earlier = adata.uns["scifn"]
    moved = adata.var_names.isin(capacity.moving("human"))
    shifted = adata.copy()
    scale = sparse.diags(np.where(moved, 4.0, 1.0))
    shifted.X = sparse.csr_matrix(shifted.X @ scale, dtype=np.float32)
    tl.capacity(shifted, model=earlier, overwrite=True)
    for module in k.CAPACITY_MODULES:
        name = f"{module}_resid"
        np.testing.assert_allclose(
            shifted.obsm[k.CAPACITY][name], adata.obsm[k.CAPACITY][name], rtol=1e-5, atol=1e-6
        )


def test_capacity_without_controls_is_against_all_cells_of_the_type(cohort):
    adata = cohort.copy()
    tl.capacity(adata)
    scores = adata.obsm[k.CAPACITY]["tlr79"]
    t_cells = (adata.obs[k.CELL_TYPE] == "T/NK").to_numpy()
    assert scores[t_cells].mean() == pytest.approx(0, abs=1e-5)
    assert scores[t_cells].std() == pytest.approx(1, abs=1e-4)
    assert adata.uns["scifn"]["capacity"]["against"] == "all cells"


# --- model= ---------------------------------------------------------------------------


def test_one_cell_alone_gets_the_number_that_it_got_then(cohort, tmp_path):
    adata = cohort.copy()
    tl.response(adata, condition="condition", reference="control")
    tl.capacity(adata, condition="condition", reference="control")
    path = tmp_path / "earlier.h5ad"
    ad.AnnData(obs=adata.obs[[]], uns=adata.uns).write_h5ad(path)
    for i, models in ((3, (adata.uns["scifn"], path)), (1700, (adata.uns, str(path)))):
        for model in models:
            one = cohort[[i]].copy()
            tl.response(one, model=model)
            tl.capacity(one, model=model)
            for name in (k.RESPONSE_TYPE1, k.RESPONSE_TYPE2, k.RESPONSE_BALANCE):
                assert one.obs[name].item() == adata.obs[name].iloc[i]
            np.testing.assert_array_equal(
                one.obsm[k.CAPACITY].to_numpy()[0], adata.obsm[k.CAPACITY].to_numpy()[i]
            )
    path.unlink()  # nothing holds it open
    assert one.uns["scifn"]["response"]["meaning"] == response.RELATIVE
    assert one.uns["scifn"]["capacity"]["against"] == "control cells of the same type"


def test_models_that_cannot_serve_are_refused(cohort, tmp_path):
    adata = cohort.copy()
    with pytest.raises(MissingKeyError, match="there is no such file"):
        tl.response(adata, model=tmp_path / "nowhere.h5ad")
    with pytest.raises(MissingKeyError, match="no record of response"):
        tl.response(adata, model={"annotate": {}})
    tl.response(adata)
    with pytest.raises(MissingKeyError, match="it ran without condition and reference"):
        tl.response(cohort.copy(), model=adata.uns["scifn"])
    with pytest.raises(ArgumentError, match="give both condition= and reference="):
        tl.response(cohort.copy(), condition="condition")
    with pytest.raises(DesignError, match="which holds 'control', 'patient'"):
        tl.response(cohort.copy(), condition="condition", reference="healthy")
    bare = ad.AnnData(cohort.X[:3], var=cohort.var)
    with pytest.raises(MissingKeyError, match=r"scifn.tl.annotate"):
        tl.response(bare)


# --- real cells -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def kang(shared_data):
    adata = ad.read_h5ad(shared_data / "kang_ifnb_fullgenes_annot.h5ad")
    tl.annotate(adata)
    tl.response(adata, condition="condition", reference="ctrl")
    return adata


def test_response_tells_stimulated_cells_apart(kang):
    truth = (kang.obs["condition"] == "stim").to_numpy()
    score = kang.obs[k.RESPONSE_TYPE1].to_numpy()
    assert roc_auc_score(truth, score) >= 0.996
    types = kang.obs["cell_type"].astype(str).to_numpy()
    tested = 0
    for name in np.unique(types):
        mine = types == name
        if mine.sum() >= 15:
            tested += 1
            assert roc_auc_score(truth[mine], score[mine]) >= 0.97, name
    assert tested == 12


def test_controls_are_at_zero_of_their_type(kang):
    controls = (kang.obs["condition"] == "ctrl").to_numpy()
    mean = kang.obs[controls].groupby(k.CELL_TYPE, observed=True)[k.RESPONSE_TYPE1]
    table = pd.DataFrame({"mean": mean.mean(), "n": mean.size()})
    assert table.loc[table["n"] >= 20, "mean"].abs().max() < 1e-4


def test_depth_moves_the_noise_and_not_the_mean(kang):
    """Binomial thinning to a quarter, four times: the shift is below 0.05 SD in either arm."""
    rng = np.random.default_rng(0)
    full = kang.obs[k.RESPONSE_TYPE1].astype(float)
    shifts = {"stim": [], "ctrl": []}
    for _ in range(4):
        thin = ad.AnnData(kang.X.copy(), kang.obs[[k.CELL_TYPE]].copy(), kang.var)
        thin.X.data = rng.binomial(thin.X.data.astype(int), 0.25).astype(np.float32)
        tl.response(thin, model=kang.uns["scifn"])
        score = thin.obs[k.RESPONSE_TYPE1].astype(float)
        for arm, values in shifts.items():
            mine = (kang.obs["condition"] == arm).to_numpy()
            values.append((score[mine].mean() - full[mine].mean()) / full[mine].std())
    assert {arm: abs(np.mean(values)) < 0.05 for arm, values in shifts.items()} == {
        "stim": True,
        "ctrl": True,
    }


def test_every_donor_and_type_is_higher_when_stimulated(shared_data):
    """Kang's paired donors; the step types what it can, the label groups the cells here."""
    adata = ad.read_h5ad(shared_data / "kang_muscat_example.h5ad")
    tl.annotate(adata)
    tl.response(adata, condition="condition", reference="ctrl")
    by = adata.obs.groupby(["donor", "cell_type", "condition"], observed=True)[k.RESPONSE_TYPE1]
    mean = by.mean().unstack()
    assert mean.shape == (10, 2)
    assert (mean["stim"] > mean["ctrl"] + 5).all()


# --- bounds ---------------------------------------------------------------------------


@pytest.fixture
def tested():
    """Five donors: 10, 30, 100 and 300 pDC without evidence; 20 with one weak and two strong."""
    rows = [("d10", 10), ("d30", 30), ("d100", 100), ("d300", 300), ("dpos", 20)]
    obs = pd.DataFrame([(donor, "SLE") for donor, n in rows for _ in range(n)])
    obs.columns = ["donor", "condition"]
    obs[k.CELL_TYPE] = pd.Categorical(["pDC"] * len(obs), categories=["pDC", "Doublet"])
    evidence = np.array(["none"] * len(obs), dtype=object)
    evidence[440:443] = ["weak", "strong", "strong"]
    obs = pd.concat(
        [obs, pd.DataFrame({"donor": ["d10"] * 4, "condition": "SLE", k.CELL_TYPE: "Doublet"})]
    )
    obs[k.CELL_TYPE] = pd.Categorical(obs[k.CELL_TYPE])
    obs[k.IFNA_EVIDENCE] = pd.Categorical([*evidence, *["not_measurable"] * 4])
    obs.index = [f"c{i}" for i in range(len(obs))]
    adata = ad.AnnData(obs=obs)
    tl.donors(adata, donor="donor", condition="condition")
    return scifn.get.bounds(adata)


def test_bounds_are_clopper_and_pearsons(tested):
    pdc = tested[(tested["cell_type"] == "pDC") & ~tested["pooled"].astype(bool)]
    pdc = pdc.set_index("donor")
    for donor, bound, text in (
        ("d10", 0.26, "26 %"),
        ("d30", 0.095, "9.5 %"),
        ("d100", 0.030, "3.0 %"),
        ("d300", 0.010, "0.99 %"),
    ):
        row = pdc.loc[donor]
        n = int(donor[1:])
        assert row["upper95"] == pytest.approx(1 - 0.05 ** (1 / n))
        assert row["upper95"] == pytest.approx(bound, rel=0.02)
        assert row["rate"] == 0
        assert row["n_weak"] == row["n_strong"] == 0
        assert row["statement"].endswith(f"with n={n} pDC the 95 % upper bound on detectable "
                                         f"producers is {text}")  # fmt: skip
    row = pdc.loc["dpos"]
    assert row[["n_cells", "n_weak", "n_strong"]].tolist() == [20, 1, 2]
    assert row["rate"] == pytest.approx(3 / 20)
    high = stats.binomtest(3, 20).proportion_ci(0.90, method="exact").high
    assert row["upper95"] == pytest.approx(high)
    assert (
        "1 weak, 2 strong. Zero in the others does not exclude secretion; with n=20 pDC"
        in row["statement"]
    )


def test_pooled_rows_are_marked_and_sum_the_cells(tested):
    pooled = tested[tested["pooled"].astype(bool) & (tested["cell_type"] == "pDC")].iloc[0]
    assert pooled["donor"] == ""
    assert pooled[["n_cells", "n_weak", "n_strong"]].tolist() == [460, 1, 2]
    high = stats.binomtest(3, 460).proportion_ci(0.90, method="exact").high
    assert pooled["upper95"] == pytest.approx(high)


def test_what_could_not_be_tested_is_not_zero(tested):
    row = tested[(tested["cell_type"] == "Doublet") & (tested["donor"] == "d10")].iloc[0]
    assert row["n_cells"] == 0
    assert row[["rate", "upper95", "n_weak", "n_strong"]].astype(float).isna().all()
    assert row["statement"] == (
        "IFNA transcripts are not measurable in these Doublet; this is not 0"
    )


def test_a_bound_of_everything_is_written_out():
    obs = pd.DataFrame({"donor": ["d"] * 3, "condition": "c", k.CELL_TYPE: "pDC"})
    obs[k.IFNA_EVIDENCE] = "strong"
    obs.index = ["a", "b", "c"]
    adata = ad.AnnData(obs=obs)
    tl.donors(adata, donor="donor", condition="condition")
    row = scifn.get.bounds(adata).iloc[0]
    assert row["upper95"] == 1.0
    assert row["statement"].endswith("producers is 100 %")
