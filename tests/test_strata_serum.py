"""Serum beside response: censored values, associations, classes of discordance."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

import scifn
from scifn import _keys as k
from scifn._errors import MissingKeyError, OverwriteError
from scifn._stats import serum as model
from scifn._stats.censored import floored, normal_fit, upper_limit
from scifn._stats.cutoff import factor
from scifn.report._brief import brief
from scifn.report._material import gather
from scifn.report._methods import methods

RESPONSE = f"{k.RESPONSE_OF}{k.STANDARDIZED}"


def cohort(serum, response, stratum, n_controls):
    """Donor table and strata of donors of which the first are controls."""
    condition = ["hc"] * n_controls + ["sle"] * (len(serum) - n_controls)
    names = [f"D{i}" for i in range(len(serum))]
    donors = pd.DataFrame(
        {"donor": names, "condition": condition, "ifna": serum, RESPONSE: response}
    )
    donors[f"{RESPONSE}_se"] = 0.1
    strata = pd.DataFrame({"donor": names, "condition": condition, "signature": "ifngs4_like",
                           "score": response, "stratum": stratum})  # fmt: skip
    return donors, strata


def many(n=30, n_controls=10, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    response = np.r_[rng.normal(0, 0.3, n_controls), rng.normal(3, 1.5, n - n_controls)]
    serum = 10 ** (0.5 * response + noise * rng.normal(size=n))
    stratum = np.where(response > 1, "high", "low")
    return cohort(serum, response, stratum, n_controls)


def run(donors, strata, lod=-np.inf):
    return model.serum(donors, strata, limits={"ifna": lod}, reference="hc")


# --- limit of the controls ----------------------------------------------------------
def test_fit_without_censoring_is_the_mean_and_the_sd():
    x = np.random.default_rng(0).normal(2, 0.7, 25)
    assert normal_fit(x, -99.0) == pytest.approx((x.mean(), x.std(ddof=1)), abs=1e-5)


def test_censored_fit_finds_what_substitution_does_not():
    rng = np.random.default_rng(1)
    x = rng.normal(0, 1, 4000)
    cut = np.maximum(x, 0.3)  # 62 % below
    mean, sd = normal_fit(cut, 0.3)
    assert (mean, sd) == pytest.approx((0, 1), abs=0.06)
    assert cut.std() < 0.6
    # at its maximum the likelihood is flat: sum of scores is 0, by hand
    seen, n_below = cut[cut > 0.3], (cut <= 0.3).sum()
    sd *= np.sqrt((len(x) - 1) / len(x))
    z = (0.3 - mean) / sd
    slope = ((seen - mean) / sd).sum() - n_below * stats.norm.pdf(z) / stats.norm.cdf(z)
    assert slope == pytest.approx(0, abs=0.01)


def test_limit_of_the_controls():
    values = 10 ** np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    x = np.log10(values)
    limit, how = upper_limit(values, 1.0, 5)
    assert limit == pytest.approx(10 ** (x.mean() + factor(5) * x.std(ddof=1)), rel=1e-4)
    assert how == "prediction limit of the controls"
    assert upper_limit(values[:4], 1.0, 5) == (1.0, "detection limit")
    assert upper_limit(np.full(8, 2.0), 2.0, 5) == (2.0, "detection limit")
    two = np.r_[np.full(8, 2.0), 3.0, 3.0]
    assert upper_limit(two, 2.0, 5)[0] == pytest.approx(3.0)
    assert upper_limit(two, 2.0, 5)[1] == "highest control"
    # one control far above the others does not move the limit
    spoiled = upper_limit(np.r_[values, 10**0.3, 1e4], 1.0, 5)[0]
    assert spoiled == pytest.approx(upper_limit(np.r_[values, 10**0.3], 1.0, 5)[0])
    limit, how = upper_limit(values[:3], -np.inf, 5)
    assert np.isnan(limit)
    assert how == ""


def test_detected_controls_are_not_outlying_among_ties_at_the_detection_limit():
    """Twelve of twenty controls below it: the eight others belong, one far above them does not."""
    x = stats.norm.ppf((np.arange(20) + 0.5) / 20)
    lod = float(stats.norm.ppf(0.6))
    limit, how = upper_limit(10**x, 10**lod, 5)
    assert how == "prediction limit of the controls"
    fitted = normal_fit(np.maximum(x, lod), lod)
    assert np.log10(limit) == pytest.approx(fitted[0] + factor(20) * fitted[1])
    spoiled = x.copy()
    spoiled[0] = 6.0  # one of the low ones is ill
    found = np.log10(upper_limit(10**spoiled, 10**lod, 5)[0])
    assert found == pytest.approx(np.log10(upper_limit(10 ** x[1:], 10**lod, 5)[0]))


def test_values_below_the_limit_are_tied():
    found = floored(np.array([0.0, 4.9, 5.0, 7.0, np.nan]), 5.0)
    np.testing.assert_array_equal(found, [5, 5, 5, 7, np.nan])


# --- association ---------------------------------------------------------------------
def test_within_patients_it_is_spearmans_rho_of_the_tied_values():
    donors, strata = many()
    found = run(donors, strata, lod=8.0)
    assert tuple(found.table.columns) == k.SERUM_COLUMNS
    row = found.table.set_index(["among", "readout"]).loc[("patients", RESPONSE)]
    patients = donors[donors["condition"] == "sle"]
    tied = np.maximum(patients["ifna"], 8.0)
    expected = stats.spearmanr(tied, patients[RESPONSE])
    assert row["rho"] == pytest.approx(expected.statistic)
    assert row["n_donors"] == 20
    assert row["n_censored"] == (patients["ifna"] <= 8).sum() > 0
    assert row["ci_low"] < row["rho"] < row["ci_high"]
    assert row["adjusted_for"] == ""
    assert row["statement"].startswith("concordance only; ")
    assert "not interchangeable" in row["statement"]


def test_a_difference_between_conditions_is_no_association():
    """Serum and response are both higher in patients and unrelated within each group."""
    rng = np.random.default_rng(3)
    response = np.r_[rng.normal(0, 1, 15), rng.normal(6, 1, 25)]
    serum = 10 ** np.r_[rng.normal(0, 0.3, 15), rng.normal(2, 0.3, 25)]
    donors, strata = cohort(serum, response, ["low"] * 15 + ["high"] * 25, 15)
    assert stats.spearmanr(serum, response).pvalue < 1e-4
    row = run(donors, strata).table.set_index(["among", "readout"]).loc[("all donors", RESPONSE)]
    assert row["n_donors"] == 40
    assert row["adjusted_for"] == "condition"
    assert row["p_value"] > 0.05


def test_controls_below_the_limit_cannot_speak():
    donors, strata = many()
    donors.loc[:9, "ifna"] = 0.5
    found = run(donors, strata, lod=1.0).table.set_index(["among", "readout"])
    both = found.loc[[("patients", RESPONSE), ("all donors", RESPONSE)]]
    assert both["rho"].nunique() == 1
    assert "without hc, whose donors are all alike" in both["statement"].iloc[1]


def test_too_few_donors_or_nothing_detected():
    donors, strata = many(n=15, n_controls=6)
    table = run(donors, strata).table
    few = table[(table["among"] == "patients") & (table["readout"] == RESPONSE)].iloc[0]
    assert np.isnan(few["rho"])
    assert "9 donors with both, 10 needed" in few["statement"]
    donors, strata = many()
    none = run(donors, strata, lod=1e9).table
    assert none["rho"].isna().all()
    assert none["statement"].str.contains("the measurement hardly differs").all()


def test_rows_of_one_donor_count_once():
    donors, strata = many(n=24, n_controls=12)
    donors["donor"] = strata["donor"] = [f"D{i % 12}" for i in range(24)]
    row = run(donors, strata).table.set_index(["among", "readout"]).loc[("all donors", RESPONSE)]
    assert row["n_donors"] == 12
    assert "rows of one donor count once" in row["statement"]


# --- classes --------------------------------------------------------------------------
def test_classes_by_hand():
    serum = [1.0] * 6 + [50.0, 1.0, 50.0, 1.0, 50.0, np.nan, 50.0]
    stratum = ["low"] * 6 + ["high", "low", "low", "high", "indeterminate", "high",
                             "not_computable"]  # fmt: skip
    donors, strata = cohort(serum, np.arange(13.0), stratum, 6)
    found = run(donors, strata, lod=2.0)
    assert found.classes == ["both_low"] * 6 + [
        "both_high", "both_low", "serum_high_response_low", "serum_low_response_high",
        "indeterminate", "not_computable", "not_computable",
    ]  # fmt: skip
    assert found.record == {
        "serum": "ifna",
        "serum_limit": 2.0,
        "serum_limit_is": "detection limit",
    }
    said = found.table.set_index(["among", "readout"])["statement"]
    discordant = "1 with serum raised and response low, 1 with response high"
    assert f"; 2 donors concordant, {discordant}" in said["patients", "stratum"]
    assert f"; 8 donors concordant, {discordant}" in said["all donors", "stratum"]
    assert said.xs("stratum", level=1).str.contains("may not be IFN-alpha driven").all()


def test_serum_beside_evidence_of_transcription():
    """Share of pDC with transcripts; who has the one without the other, by hand."""
    donors, strata = many()
    donors["n_pdc"] = [10.0] * 29 + [0.0]
    donors["pdc_ifna_positive"] = [0.0] * 18 + [1.0] * 6 + [4.0] * 5 + [np.nan]
    donors["ifna"] = [1.0] * 20 + [1000.0] * 10
    found = run(donors, strata, lod=5.0).table.set_index(["among", "readout"])
    row = found.loc[("all donors", "pdc_ifna_positive")]
    assert row["n_donors"] == 19  # controls are all alike: neither one nor the other
    patients = np.arange(10, 29)
    share = donors["pdc_ifna_positive"][patients] / 10
    rho = stats.spearmanr(donors["ifna"][patients], share).statistic
    assert row["rho"] == pytest.approx(rho)
    # of 29 with pDC 9 are raised, and 4 + 5 of these positive; 2 positive are not raised
    said = (
        "serum raised in 9 of 29 donors, with IFNA transcripts in pDC of 9 of these, and in pDC "
        "of 2 of the others: zero transcripts do not exclude secretion"
    )
    assert said in row["statement"]
    # the row of patients speaks of patients: 10 controls without a raised serum are not among them
    among_patients = found.loc[("patients", "pdc_ifna_positive")]
    assert among_patients["n_donors"] == 19
    assert said.replace("29 donors", "19 donors") in among_patients["statement"]


def test_without_a_detection_limit_there_are_no_classes():
    donors, strata = many()
    found = run(donors, strata)
    assert set(found.classes) == {"not_computable"}
    assert found.record == {"serum": ""}


# --- the step ---------------------------------------------------------------------------
GENES = ["IFI27", "IFI44", "IFI44L", "RSAD2", "ACTB", "GAPDH", "B2M", "PTPRC", "CD3E", "LYZ"]


@pytest.fixture(scope="module")
def cells():
    """22 donors of 500 cells, 11 of them healthy; six patients respond, and have the protein."""
    rng = np.random.default_rng(5)
    n, each = 22, 500
    responds = np.r_[np.zeros(11), np.ones(6), np.zeros(5)].astype(bool)
    rate = np.full((n, len(GENES)), 30.0)
    rate[:, :4] = 0.02 * 2 ** (rng.normal(0, 0.4, (n, 1)) + 4.0 * responds[:, None])
    x = rng.poisson(np.repeat(rate, each, axis=0)).astype(np.float32)
    serum = np.where(responds, 10 ** rng.normal(2, 0.3, n), 3.0)
    serum[16], serum[21] = 3.0, 80.0  # one responds without the protein, one has it and does not
    donor = np.repeat([f"D{i}" for i in range(n)], each)
    obs = pd.DataFrame(
        {
            "donor": donor,
            "group": np.repeat(["hc"] * 11 + ["sle"] * 11, each),
            "label": np.tile(["Monocyte", "T/NK"], n * each // 2),
            "ifna": np.repeat(serum, each),
            "age": np.repeat(rng.integers(20, 60, n), each).astype(float),
        },
        index=[f"c{i}" for i in range(n * each)],
    )
    return ad.AnnData(sparse.csr_matrix(x), obs, pd.DataFrame(index=GENES))


def counted(cells, **options):
    adata = cells.copy()
    scifn.tl.donors(adata, donor="donor", condition="group", cell_type="label", **options)
    return adata


def test_stratify_writes_serum_and_class(cells, tmp_path):
    limits = {"age": None, "ifna": {"lod": 5.0}}
    adata = counted(cells, measurements=limits)
    scifn.tl.stratify(adata, reference="hc")
    table = scifn.get.serum(adata)
    assert table["measurement"].unique().tolist() == ["age", "ifna"]
    assert table["readout"].unique().tolist() == ["ifngs4_like", "stratum"]
    classes = scifn.get.donors(adata).set_index("donor")["serum_class"]
    assert classes["D16"] == "serum_low_response_high"
    assert classes["D21"] == "serum_high_response_low"
    assert (classes[["D11", "D12", "D13", "D14", "D15"]] == "both_high").all()
    assert adata.uns["scifn"]["strata_parameters"]["serum"] == "ifna"
    assert "and not adjusted" in str(methods(gather(adata)).blocks)
    adata.X = None
    for path, write, read in (
        (tmp_path / "x.h5ad", adata.write_h5ad, ad.read_h5ad),
        (tmp_path / "x.zarr", adata.write_zarr, ad.read_zarr),
    ):
        write(path)
        back = read(path)
        pd.testing.assert_frame_equal(scifn.get.serum(back), table, check_dtype=False)
        # the stored tables are enough to do it again
        scifn.tl.stratify(back, reference="hc", overwrite=True)
        pd.testing.assert_frame_equal(scifn.get.serum(back), table, check_dtype=False)
    with pytest.raises(OverwriteError, match=r"'strata'.*'serum'"):
        scifn.tl.stratify(adata, reference="hc")


def test_without_measurements_there_is_no_serum(cells):
    adata = counted(cells)
    scifn.tl.stratify(adata, reference="hc")
    with pytest.raises(MissingKeyError, match="measurements="):
        scifn.get.serum(adata)
    assert "serum_class" not in scifn.get.donors(adata)


def test_a_score_of_monocytes(cells):
    """T cells that respond do not move a score of monocytes."""
    adata = cells.copy()
    adata.var_names = ["IFI44L", "IFI44", "IFIT3", "LY6E", *GENES[4:]]
    quiet = adata[((adata.obs["label"] == "Monocyte") & (adata.obs["donor"] == "D11")).to_numpy()]
    rows = adata.obs_names.get_indexer(quiet.obs_names)
    x = adata.X.toarray()
    x[rows, :4] = x[:250, :4]
    adata.X = sparse.csr_matrix(x)
    scifn.tl.donors(adata, donor="donor", condition="group", cell_type="label")
    scifn.tl.stratify(adata, reference="hc", signature="brkic5_pss_like")
    found = scifn.get.strata(adata).set_index("donor")["stratum"]
    assert found[["D11", "D12"]].tolist() == ["low", "high"]
    record = adata.uns["scifn"]["strata_parameters"]
    assert record["weights"] == "Mono 1.0000"
    assert "purified CD14+ monocytes" in record["note"]


def test_donors_of_too_few_cells_are_the_reason_that_is_given(cells):
    """Not "0 controls", where there are 11: none of them has a score."""
    few = counted(cells[::2])  # 250 cells a donor
    scifn.tl.stratify(few, reference="hc")
    record = few.uns["scifn"]["strata_parameters"]
    why = (
        "none of 11 controls has a score, 5 needed: no strata; "
        "22 donors of fewer than 500 counted cells"
    )
    assert record["without_strata"] == why
    assert record["note"] == f"research use only; {why}"
    assert scifn.get.strata(few)["score"].isna().all()
    said = dict(brief(gather(few)))["Strata"]
    assert said == f"No donor could be called IFN-high or IFN-low: {why}."
    # four controls with enough
    some = counted(cells[(np.arange(cells.n_obs) % 500 < 499) | (np.arange(cells.n_obs) < 2000)])
    scifn.tl.stratify(some, reference="hc")
    assert some.uns["scifn"]["strata_parameters"]["without_strata"] == (
        "4 of 11 controls have a score, 5 needed: scores without strata; "
        "18 donors of fewer than 500 counted cells"
    )
    assert scifn.get.strata(some)["score"].notna().sum() == 4
    enough = counted(cells)
    scifn.tl.stratify(enough, reference="hc")
    assert enough.uns["scifn"]["strata_parameters"]["without_strata"] == ""
