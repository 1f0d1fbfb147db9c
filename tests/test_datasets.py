"""The simulator: what it plants must be found again by counting."""

from __future__ import annotations

import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scifn import _keys, datasets
from scifn._errors import ArgumentError
from scifn.datasets import _counts, _draw, _effects, _profiles, _simulate

SMALL = {"n_patients": 3, "n_controls": 3, "cells_per_donor": 120}
CLEAN = {"ambient": 0.0, "doublets": 0.0, "batch": 0.0}


@pytest.fixture(scope="module")
def profiles() -> _profiles.Profiles:
    return _profiles.load()


@pytest.fixture(scope="module")
def small() -> ad.AnnData:
    return datasets.cohort(**SMALL, rng=3)


@pytest.fixture(scope="module")
def rich() -> ad.AnnData:
    """Many pDC, half of which produce; all patients IFN-high, and little soup."""
    effects = {
        "pDC": 30.0, "producer_fraction": 0.5, "ifn_low_patients": 0.0, "ifn_high_controls": 0.0,
        "ambient": 0.05, "doublets": 0.10, "response": 2.0, "batch": 0.0,
    }  # fmt: skip
    return datasets.cohort(n_patients=4, n_controls=4, cells_per_donor=600, effects=effects, rng=11)


def donors_of(effects: dict[str, float], n: int, seed: int = 0) -> list[_draw.Donor]:
    profiles = _profiles.load()
    asked = _effects.resolve(effects, profiles)
    return _draw.draw_donors(profiles, asked, n, n, np.random.default_rng(seed))


def mean_share(donors: list[_draw.Donor], condition: str, cell_type: str) -> tuple[float, float]:
    """Mean planted share over the donors of a condition, and its standard error."""
    rows = np.array(_profiles.load().cell_types) == cell_type
    shares = np.array([d.shares[rows].sum() for d in donors if d.condition == condition])
    return shares.mean(), shares.std(ddof=1) / np.sqrt(len(shares))


# --- form ------------------------------------------------------------------------------------
def test_contract_columns(small: ad.AnnData) -> None:
    assert list(small.obs) == [
        "donor", "condition", "batch", "sex", "age", "truth_cell_type", "truth_ifn_producer",
    ]  # fmt: skip
    assert small.obs_names[0] == "D01_000001"
    assert small.obs_names.is_unique
    assert small.var_names.is_unique
    assert set(small.obs["condition"]) == {"patient", "control"}
    assert set(small.obs["truth_cell_type"].cat.categories) <= set(_keys.CELL_TYPES)
    assert small.obs["truth_ifn_producer"].dtype == bool
    assert "simulated" in small.uns["scifn_simulated"]
    table = small.uns["truth"]["donors"]
    assert list(table["donor"]) == list(small.obs["donor"].cat.categories)
    assert {"condition", "ifn_high", "response", "ambient", "producer_fraction"} <= set(table)
    assert any("AS-DC" in line for line in small.uns["truth"]["invented"])


def test_counts_are_whole_numbers(small: ad.AnnData) -> None:
    assert small.X.format == "csr"
    assert small.X.dtype == np.float32
    assert np.array_equal(small.X.data, np.rint(small.X.data))
    assert small.X.data.min() >= 1
    assert small.X.has_canonical_format


def test_genes_of_every_decision_are_features(small: ad.AnnData) -> None:
    for gene in ("LILRA4", "MS4A1", "CD24", "IFNA2", "IFNB1", "IGHG1", "HBB", "PPBP", "IFI27"):
        assert gene in small.var_names


@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_truth_survives_a_file(small: ad.AnnData, tmp_path, suffix: str) -> None:
    path = tmp_path / f"cohort.{suffix}"
    if suffix == "h5ad":
        small.write_h5ad(path)
        back = ad.read_h5ad(path)
    else:
        pytest.importorskip("zarr")
        small[:40].copy().write_zarr(path)
        back = ad.read_zarr(path)
    written, read = small.uns["truth"]["donors"], back.uns["truth"]["donors"]
    pd.testing.assert_frame_equal(
        written.reset_index(drop=True), read.reset_index(drop=True), check_dtype=False
    )
    assert back.uns["truth"]["effects"]["pDC"] == 0.8
    assert list(back.uns["truth"]["invented"]) == list(small.uns["truth"]["invented"])


def test_import_is_light() -> None:
    code = (
        "import sys, scifn.datasets; "
        "print([m for m in ('anndata', 'pandas', 'scanpy', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- randomness ------------------------------------------------------------------------------
def test_same_seed_same_cohort(small: ad.AnnData) -> None:
    state = np.random.get_state()[1].copy()  # noqa: NPY002 (it must not be touched)
    again = datasets.cohort(**SMALL, rng=3)
    assert (small.X != again.X).nnz == 0
    pd.testing.assert_frame_equal(small.obs, again.obs)
    pd.testing.assert_frame_equal(small.uns["truth"]["donors"], again.uns["truth"]["donors"])
    assert np.array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_other_seed_other_cohort(small: ad.AnnData) -> None:
    other = datasets.cohort(**SMALL, rng=4)
    assert (small.X != other.X).nnz > 0


def test_generator_moves_on() -> None:
    rng = np.random.default_rng(3)
    first = datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=50, rng=rng)
    second = datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=50, rng=rng)
    assert (first.X != second.X).nnz > 0


def test_threads_change_nothing(profiles: _profiles.Profiles) -> None:
    donors = donors_of({}, 2)
    threaded = _simulate._draw_all(profiles, donors, 80)
    for donor, cells in zip(reversed(donors), reversed(threaded), strict=True):
        alone = _counts.draw_cells(profiles, donor, 80)
        assert (alone.counts != cells.counts).nnz == 0
        assert list(alone.cell_type) == list(cells.cell_type)


@pytest.mark.parametrize("mean", [0.003, 0.4, 1.0, 1.99, 2.01, 6.0, 60.0])
def test_poisson_by_inversion_is_poisson(mean: float) -> None:
    n = 60_000
    rng = np.random.default_rng(5)
    x = _counts._poisson(np.full((n // 100, 100), mean, dtype=np.float32), rng)
    values = x.toarray().ravel().astype(int)
    top = int(stats.poisson.ppf(0.999, mean)) + 1
    found = np.append(np.bincount(values, minlength=top)[:top], (values >= top).sum())
    expected = n * np.append(
        stats.poisson.pmf(np.arange(top), mean), stats.poisson.sf(top - 1, mean)
    )
    keep = expected > 5
    statistic = ((found - expected)[keep] ** 2 / expected[keep]).sum()
    assert stats.chi2.sf(statistic, keep.sum() - 1) > 1e-3


# --- composition -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("cell_type", "fold"), [("pDC", 0.5), ("B transitional", 2.0), ("T/NK", 0.8), ("Plasma", 6.0)]
)
def test_planted_fold_is_the_ratio_of_mean_fractions(cell_type: str, fold: float) -> None:
    donors = donors_of({cell_type: fold}, 250)
    patients, se_p = mean_share(donors, "patient", cell_type)
    controls, se_c = mean_share(donors, "control", cell_type)
    error = fold * np.hypot(se_p / patients, se_c / controls)
    # the noise is renormalized to shares, which bends the ratio by a little
    assert patients / controls == pytest.approx(fold, abs=3.5 * error + 0.03 * fold)


def test_types_that_are_not_named_do_not_differ(profiles: _profiles.Profiles) -> None:
    healthy = _effects.fold_shares(profiles, dict.fromkeys(profiles.cell_types, 1.0))
    assert healthy == pytest.approx(profiles.share)
    asked = _effects.resolve({"pDC": 3.0}, profiles)
    shares = _effects.fold_shares(profiles, asked.folds)
    named = np.array(profiles.cell_types) == "pDC"
    assert shares.sum() == pytest.approx(1.0)
    assert shares[named].sum() == pytest.approx(3 * profiles.share[named].sum())
    ratio = shares[~named & (healthy > 0)] / healthy[~named & (healthy > 0)]
    assert np.ptp(ratio) < 1e-12


def test_healthy_fractions_are_those_of_blood() -> None:
    donors = donors_of({}, 300)
    assert mean_share(donors, "control", "pDC")[0] == pytest.approx(0.0034, abs=0.0007)
    assert mean_share(donors, "control", "T/NK")[0] == pytest.approx(0.70, abs=0.04)
    assert mean_share(donors, "control", "Monocyte")[0] == pytest.approx(0.165, abs=0.03)


def test_cells_follow_the_planted_shares(rich: ad.AnnData) -> None:
    table = rich.uns["truth"]["donors"]
    share = (rich.obs["truth_cell_type"] == "pDC").groupby(rich.obs["donor"], observed=True).mean()
    assert share.to_numpy() == pytest.approx(table["fraction:pDC"].to_numpy())
    # doublets of two types are taken from their types
    expected = table["planted:pDC"] * (1 - table["doublets"] * (1 - table["planted:pDC"]))
    error = np.sqrt(expected * (1 - expected) / 600)
    assert (np.abs(share.to_numpy() - expected) < 4 * error + 1e-3).all()


def test_doublets_of_two_types_are_labelled(rich: ad.AnnData) -> None:
    table = rich.uns["truth"]["donors"]
    planted = table.filter(like="planted:").to_numpy()
    heterotypic = table["doublets"] * (1 - (planted**2).sum(axis=1))
    found = (rich.obs["truth_cell_type"] == "Doublet").mean()
    assert found == pytest.approx(heterotypic.mean(), abs=4 * np.sqrt(0.05 / rich.n_obs))
    total = np.asarray(rich.X.sum(axis=1)).ravel()
    is_doublet = (rich.obs["truth_cell_type"] == "Doublet").to_numpy()
    assert np.median(total[is_doublet]) > 1.5 * np.median(total[~is_doublet])


def test_no_doublets_when_none_are_asked_for() -> None:
    adata = datasets.cohort(**SMALL, effects=CLEAN, rng=1)
    assert (adata.obs["truth_cell_type"] != "Doublet").all()
    assert (adata.uns["truth"]["donors"]["ambient"] == 0).all()


# --- response --------------------------------------------------------------------------------
def test_shares_of_ifn_high_donors_are_as_asked() -> None:
    donors = donors_of({"ifn_low_patients": 0.3, "ifn_high_controls": 0.1}, 20)
    high = {c: sum(d.ifn_high for d in donors if d.condition == c) for c in ("patient", "control")}
    assert high == {"patient": 14, "control": 2}
    responses = np.array([d.response for d in donors])
    is_high = np.array([d.ifn_high for d in donors])
    assert responses[is_high].min() > responses[~is_high].max()
    many = donors_of({"ifn_low_patients": 0.0}, 150)
    mean = np.mean([d.response for d in many if d.condition == "patient"])
    assert mean == pytest.approx(2.0, abs=0.2)


def test_unit_of_the_response_is_the_mean_log2_fold(profiles: _profiles.Profiles) -> None:
    columns = [profiles.gene(g) for g in _profiles.RESPONSE_GENES]
    states = ["CD4 naive T", "CD8 T", "NK", "CD14 Mono", "cDC", "B naive"]
    rows = [profiles.state(s) for s in states]
    level = 2.0 / profiles.full_response
    assert (level * profiles.response[np.ix_(rows, columns)]).mean() == pytest.approx(2.0)
    assert 3.0 < profiles.full_response < 6.0  # 6 h of interferon-beta in vitro is strong


def test_counts_move_by_the_planted_log2(profiles: _profiles.Profiles) -> None:
    """Same seed with and without response: the genes differ by what was planted."""
    args = {"n_patients": 2, "n_controls": 1, "cells_per_donor": 900, "rng": 8}
    rest = datasets.cohort(**args, effects={**CLEAN, "response": 0.0})
    moved = datasets.cohort(**args, effects={**CLEAN, "response": 2.5, "ifn_low_patients": 0.0})
    genes = list(_profiles.RESPONSE_GENES)
    columns = [profiles.gene(g) for g in genes]
    table = moved.uns["truth"]["donors"].set_index("donor")
    for donor in ("D01", "D02"):
        found, planted = [], []
        for kind, state in (("Monocyte", "CD14 Mono"), ("T/NK", "CD8 T")):
            sums = []
            for adata in (rest, moved):
                keep = (adata.obs["donor"] == donor) & (adata.obs["truth_cell_type"] == kind)
                sums.append(np.asarray(adata[keep, genes].X.sum(axis=0)).ravel())
            found.append(np.log2((sums[1] + 1) / (sums[0] + 1)).mean())
            fold = profiles.response[profiles.state(state), columns].mean()
            planted.append(table.loc[donor, "response"] * fold / profiles.full_response)
        # both types are mixtures of states, and cells vary in their level
        assert np.mean(found) == pytest.approx(np.mean(planted), abs=0.45)


def test_response_is_that_of_the_cell_type(profiles: _profiles.Profiles) -> None:
    fold = profiles.response[:, profiles.gene("CXCL10")]
    assert fold[profiles.state("CD14 Mono")] > 5
    assert (profiles.response[:, profiles.gene("LILRA4")] == 0).all()
    assert (profiles.response[:, profiles.gene("MS4A1")] < 1).all()


# --- production, ambient, batch --------------------------------------------------------------
def test_producers_transcribe_ifna(rich: ad.AnnData) -> None:
    ifna = [g for g in rich.var_names if g.startswith("IFNA") and g[4:].isdigit()]
    assert len(ifna) == 13
    umi = np.asarray(rich[:, ifna].X.sum(axis=1)).ravel()
    producer = rich.obs["truth_ifn_producer"].to_numpy()
    kind = rich.obs["truth_cell_type"].to_numpy()
    assert set(kind[producer]) <= {"pDC", "Doublet"}
    assert (rich.obs["condition"][producer] == "patient").all()
    assert 0.4 < producer[(kind == "pDC") & (rich.obs["condition"] == "patient")].mean() < 0.6
    assert 6 < umi[producer].mean() < 30
    assert umi[~producer].mean() < 0.01  # soup: 5 % of the UMI, 3 per million of them


def test_producers_are_counted_by_donor(rich: ad.AnnData) -> None:
    counted = rich.obs["truth_ifn_producer"].groupby(rich.obs["donor"], observed=True).sum()
    assert list(counted) == list(rich.uns["truth"]["donors"]["n_producers"])


def test_ambient_share_is_as_asked(rich: ad.AnnData) -> None:
    planted = np.array([d.ambient for d in donors_of({"ambient": 0.05}, 150)])
    assert planted.mean() == pytest.approx(0.05, abs=0.005)
    assert planted.min() >= 0.01
    assert planted.max() <= 0.20
    donors = rich.uns["truth"]["donors"]
    assert ((donors["ambient"] >= 0.01) & (donors["ambient"] <= 0.20)).all()


def test_soup_brings_myeloid_genes_into_lymphocytes() -> None:
    rate = []
    for ambient in (0.0, 0.2):
        adata = datasets.cohort(**SMALL, effects={**CLEAN, "ambient": ambient}, rng=2)
        keep = adata.obs["truth_cell_type"] == "T/NK"
        rate.append(adata[keep, ["S100A8", "S100A9", "HBB", "PPBP"]].X.sum() / keep.sum())
    assert rate[1] > 5 * rate[0]


def test_depth_is_the_mean_umi() -> None:
    adata = datasets.cohort(**SMALL, effects={**CLEAN, "depth": 800.0, "response": 0.0}, rng=2)
    assert adata.X.sum() / adata.n_obs == pytest.approx(800, rel=0.2)


@pytest.mark.parametrize(("n_patients", "n_controls"), [(1, 1), (2, 3), (6, 6), (12, 7)])
def test_batch_is_not_aliased_with_condition(n_patients: int, n_controls: int) -> None:
    profiles = _profiles.load()
    donors = _draw.draw_donors(
        profiles, _effects.resolve(None, profiles), n_patients, n_controls, np.random.default_rng(0)
    )
    cells = {(d.batch, d.condition) for d in donors}
    assert len(cells) == 2 * len({d.batch for d in donors})


def test_sex_shows_in_the_counts() -> None:
    adata = datasets.cohort(n_patients=12, n_controls=12, cells_per_donor=50, rng=6)
    assert set(adata.obs["sex"]) == {"female", "male"}
    female = (adata.obs["sex"] == "female").to_numpy()
    xist, y = (np.asarray(adata[:, g].X.sum(axis=1)).ravel() for g in ("XIST", "RPS4Y1"))
    assert xist[female].sum() > 0
    assert y[~female].sum() > 0
    assert xist[~female].sum() == y[female].sum() == 0


# --- the figures -----------------------------------------------------------------------------
def test_profiles_are_distributions(profiles: _profiles.Profiles) -> None:
    assert profiles.base.sum(axis=1) == pytest.approx(1.0)
    assert profiles.share.sum() == pytest.approx(1.0)
    assert profiles.share @ profiles.rna == pytest.approx(1.0)
    assert np.isfinite(profiles.response).all()
    assert set(profiles.cell_types) <= set(_keys.CELL_TYPES)


@pytest.mark.parametrize(
    ("gene", "cell_type"),
    [
        ("LILRA4", "pDC"), ("CLEC4C", "pDC"), ("AXL", "AS-DC"), ("FCER1A", "Basophil/Mast"),
        ("CD14", "Monocyte"), ("HBB", "Erythrocyte"), ("PPBP", "Platelet"), ("SDC1", "Plasma"),
        ("CD34", "HSPC"), ("FCRL5", "B atypical"), ("MKI67", "Plasmablast"),
        ("CD24", "B transitional"), ("CD3E", "T/NK"), ("CLEC10A", "cDC"),
    ],
)  # fmt: skip
def test_markers_peak_where_they_belong(
    profiles: _profiles.Profiles, gene: str, cell_type: str
) -> None:
    best = int(np.argmax(profiles.base[:, profiles.gene(gene)]))
    assert profiles.cell_types[best] == cell_type


# --- mistakes --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"n_patients": 0}, "n_patients is 0; it must be a whole number of at least 1"),
        ({"n_controls": -2}, "n_controls is -2"),
        ({"n_controls": True}, "n_controls is True"),
        ({"n_patients": 2.5}, "n_patients is 2.5"),
        ({"cells_per_donor": 10}, "cells_per_donor is 10; .* at least 50"),
        ({"rng": -1}, "rng is -1; pass a whole number"),
        ({"rng": "seed"}, "rng is 'seed'"),
        ({"rng": None}, "rng is None"),
        ({"effects": ["pDC"]}, "effects is a list; pass a dict"),
        ({"effects": {"PDC": 2.0}}, "key 'PDC'. Known are the cell types pDC, .* depth"),
        ({"effects": {"Keratinocyte": 2.0}}, "key 'Keratinocyte'"),
        ({"effects": {"pDC": -1.0}}, "'pDC'] is -1; it must be 0 or more"),
        ({"effects": {"pDC": float("nan")}}, "'pDC'] is nan"),
        ({"effects": {"pDC": "two"}}, "'pDC'] is 'two'; it must be a number"),
        ({"effects": {"T/NK": 2.0}}, "141% of all cells|140% of all cells|leave room"),
        ({"effects": {"ambient": 0.9}}, "'ambient'] is 0.9; it must be from 0 to 0.5"),
        ({"effects": {"producer_fraction": 1.2}}, "must be from 0 to 1"),
        ({"effects": {"depth": 0}}, "'depth'] is 0; it must be from 100"),
    ],
)
def test_mistakes_are_named(kwargs: dict, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        datasets.cohort(**kwargs)


def test_demo_is_a_cohort_that_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}
    monkeypatch.setattr(_simulate, "cohort", lambda **kwargs: asked.update(kwargs))
    datasets.demo()
    assert asked["n_patients"] == asked["n_controls"] == 10
    assert asked["effects"] == {**datasets.DEFAULT_EFFECTS, "producer_fraction": 0.1}
    assert "SIMULATED" in datasets.demo.__doc__
