"""Donor table: counts, readouts, gates and what users bring, by numbers worked by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats

from scifn import _donors, _matrix, _slots
from scifn import _keys as k
from scifn._errors import ArgumentError, DesignError, MissingKeyError

TYPES = {
    "pDC": 3,
    "T/NK": 800,
    "B naive": 80,
    "B transitional": 10,
    "B atypical": 5,
    "Plasmablast": 4,
    "Plasma": 1,
    "Platelet": 40,
    "Doublet": 20,
    "Unassigned": 7,
    "Erythrocyte": 2,
}


def cells(counts=None, *, column="label", **labels):
    """Cells with a type each and the same value in every other column."""
    counts = TYPES if counts is None else counts
    types = [name for name, n in counts.items() for _ in range(n)]
    frame = pd.DataFrame({column: types})
    for name, value in ({"donor": "P1", "condition": "SLE"} | labels).items():
        frame[name] = value
    return frame


def table(obs, **options):
    options = {"donor": "donor", "condition": "condition", "cell_type": "label"} | options
    return _donors.donor_table(obs, **options)


def row(obs, **options):
    found = table(obs, **options).table
    assert len(found) == 1
    return found.iloc[0]


def test_counts_by_hand():
    one = row(cells())
    expected = {
        "n_cells": 972,
        "n_total": 903,  # without 40 platelets, 20 doublets, 7 unassigned, 2 erythrocytes
        "n_pdc": 3,
        "n_b": 95,  # without plasmablast and plasma
        "n_breg_like": 10,
        "n_plasmablast": 4,
        "n_plasma": 1,
        "n_b_atypical": 5,
        "n_b_effector": 10,
    }
    assert {name: one[name] for name in expected} == expected
    assert np.isnan(one["n_asdc"])  # no label can name an AS-DC
    assert one["breg_modality"] == "labels"
    assert one["status"] == "ok"


def test_readouts_by_hand():
    one = row(cells())
    p, b, e = 3.5, 10.5, 10.5
    expected = {
        "logit_pdc": (np.log(3.5 / 900.5), np.sqrt(1 / 3.5 + 1 / 900.5)),
        "logit_breg_of_b": (np.log(10.5 / 85.5), np.sqrt(1 / 10.5 + 1 / 85.5)),
        "lr_breg_effector": (0.0, np.sqrt(2 / 10.5)),
        "lr_pdc_breg": (np.log(3.5 / 10.5), np.sqrt(1 / 3.5 + 1 / 10.5)),
        "ilr_1": (
            np.sqrt(2 / 3) * np.log(p / np.sqrt(b * e)),
            np.sqrt(2 / 3 * (1 / p + 1 / (4 * b) + 1 / (4 * e))),
        ),
        "ilr_2": (np.sqrt(1 / 2) * np.log(b / e), np.sqrt(1 / 2 * (1 / b + 1 / e))),
    }
    for name, (value, se) in expected.items():
        assert one[name] == pytest.approx(value, abs=1e-12), name
        assert one[f"{name}_se"] == pytest.approx(se, abs=1e-12), name
    # numbers worked on paper
    assert one["logit_pdc"] == pytest.approx(-5.550187, abs=1e-6)
    assert one["ilr_1"] == pytest.approx(-0.897013, abs=2e-6)


def test_balances_do_not_see_the_rest_of_the_blood():
    few = row(cells(TYPES | {"T/NK": 500}))
    many = row(cells(TYPES | {"T/NK": 5000}))
    for name in ("ilr_1", "ilr_2", "lr_pdc_breg", "lr_breg_effector"):
        assert few[name] == many[name]
    assert few["logit_pdc"] > many["logit_pdc"] + 1


def test_zero_cells_of_a_type_are_a_measured_zero():
    obs = pd.concat([cells(), cells(TYPES | {"pDC": 0}, donor="P2")])
    found = table(obs).table.set_index("donor")
    assert found.loc["P2", "n_pdc"] == 0
    assert found.loc["P2", "logit_pdc"] == pytest.approx(np.log(0.5 / 900.5))


@pytest.mark.parametrize(
    ("counts", "status", "finite", "said"),
    [
        ({"T/NK": 499 - 103}, "low_cells", {"logit_breg_of_b", "lr_breg_effector", "ilr_2"}, "500"),
        ({"B naive": 30}, "low_b_cells", {"logit_pdc"}, "45 B cells, 50 needed"),
        ({}, "ok", set(k.READOUTS), "2,000 advised"),
        ({"T/NK": 3000}, "ok", set(k.READOUTS), ""),
    ],
)
def test_gates(counts, status, finite, said):
    one = row(cells(TYPES | counts))
    assert one["status"] == status
    assert {r for r in k.READOUTS if np.isfinite(one[r])} == finite
    assert {r for r in k.READOUTS if np.isfinite(one[f"{r}_se"])} == finite
    assert said in one["note"]
    assert (one["note"] == "") == (said == "")


def test_gate_is_at_500_and_50():
    counts = {"pDC": 1, "T/NK": 449, "B naive": 45, "B transitional": 5}
    assert np.isfinite(row(cells(counts))["logit_pdc"])
    assert np.isnan(row(cells(counts | {"T/NK": 448}))["logit_pdc"])
    assert np.isfinite(row(cells(counts))["logit_breg_of_b"])
    assert np.isnan(row(cells(counts | {"B naive": 44}))["logit_breg_of_b"])


def test_sorted_library_has_no_fraction():
    one = row(cells({"pDC": 2, "B naive": 900, "B transitional": 60, "Plasma": 3}))
    assert np.isnan(one["logit_pdc"])
    assert np.isnan(one["lr_pdc_breg"])
    assert np.isfinite(one["logit_breg_of_b"])
    assert "sorted or enriched" in one["note"]
    assert one["status"] == "partial"


def test_what_labels_cannot_name_is_nan_and_not_zero():
    one = row(cells({"T/NK": 900, "B": 100}))
    for name in ("n_pdc", "n_breg_like", "n_plasmablast", "n_b_effector", "logit_pdc", "ilr_2"):
        assert np.isnan(one[name]), name
    assert one["n_b"] == 100
    assert one["breg_modality"] == "none"
    assert one["status"] == "not_measurable"
    assert "not measurable: pDC" in one["note"]


def test_effector_cells_of_the_parts_that_can_be_named():
    one = row(cells({"T/NK": 900, "B transitional": 60, "Plasmablast": 4}))
    assert one["n_b_effector"] == 4
    assert "without plasma and atypical B" in one["note"]


def test_measurable_overrules_the_labels():
    one = row(cells(), measurable={k.PDC: False})
    assert np.isnan(one["n_pdc"])
    assert np.isnan(one["ilr_1"])
    assert np.isfinite(one["ilr_2"])
    assert one["status"] == "partial"


def test_mapping_and_lineages():
    obs = cells({"plasmacytoid": 4, "CD4 T": 900, "B": 60, "Mono": 10, "???": 3})
    mapping = {"plasmacytoid": "pDC", "CD4 T": "T/NK", "???": "Unassigned"}
    one = row(obs, mapping=mapping)
    assert (one["n_pdc"], one["n_b"], one["n_total"], one["n_cells"]) == (4, 60, 974, 977)
    with pytest.raises(ArgumentError, match=r"no known cell type: '\?\?\?', 'CD4 T'"):
        table(obs, mapping={"plasmacytoid": "pDC"})
    with pytest.raises(ArgumentError, match="mapping leads to 'PDC'"):
        table(obs, mapping=mapping | {"plasmacytoid": "PDC"})


def test_cells_without_a_label_are_unassigned():
    obs = cells()
    obs.loc[:9, "label"] = np.nan
    assert row(obs)["n_total"] == 903 - 10


def own_calls(**counts):
    """Cells as the identity step leaves them."""
    obs = cells(TYPES, column=k.CELL_TYPE)
    obs[k.PDC_CALL] = np.where(obs[k.CELL_TYPE] == "pDC", "pDC", "not_pDC")
    is_b = obs[k.CELL_TYPE].isin(["B naive", "B transitional", "B atypical"])
    obs[k.BREG_KIND] = np.where(is_b, "none", "NA")
    obs.loc[obs.index[is_b][:7], k.BREG_KIND] = "transitional_like"
    return obs


def test_breg_like_cells_come_from_the_call():
    obs = own_calls()
    one = row(obs, cell_type=k.CELL_TYPE)
    assert (one["n_breg_like"], one["breg_modality"]) == (7, "rna")
    obs[k.BREG_EVIDENCE] = np.where(obs[k.BREG_KIND] == "transitional_like", "protein", "none")
    assert row(obs, cell_type=k.CELL_TYPE)["breg_modality"] == "protein"


def test_calls_that_were_refused_are_not_zero():
    obs = own_calls()
    obs[k.PDC_CALL] = "NA"
    obs[k.BREG_KIND] = pd.Categorical(["NA"] * len(obs), categories=k.BREG_KINDS)
    one = row(obs, cell_type=k.CELL_TYPE)
    for name in ("n_pdc", "n_breg_like", "logit_pdc", "logit_breg_of_b", "ilr_2"):
        assert np.isnan(one[name]), name
    assert one["breg_modality"] == "none"
    assert one["n_b_effector"] == 10


@pytest.mark.parametrize("empty", [np.nan, None, "", "NA", "nan", "unknown", "Unknown"])
def test_cells_without_a_donor_are_left_out_and_counted(empty):
    obs = pd.concat([cells(), cells(donor=empty)], ignore_index=True)
    found = table(obs)
    assert list(found.table["donor"]) == ["P1"]
    assert found.notes == ("972 of 1,944 cells have no donor and are left out",)
    assert (found.rows[:972] == 0).all()
    assert (found.rows[972:] == -1).all()


def test_no_donor_at_all_is_an_error():
    with pytest.raises(DesignError, match="No cell has both a donor"):
        table(cells(donor="unknown"))


def test_cells_without_a_condition_are_left_out():
    obs = pd.concat([cells(), cells(condition="NA")], ignore_index=True)
    assert table(obs).notes == ("972 of 1,944 cells have no condition and are left out",)


def test_numeric_ids_and_natural_order():
    ids = [10, 9, 101]
    obs = pd.concat([cells(donor=float(i)) for i in ids], ignore_index=True)
    obs.loc[0, "donor"] = np.nan
    assert list(table(obs).table["donor"]) == ["9", "10", "101"]
    assert list(table(pd.concat([cells(donor=i) for i in ids])).table["donor"]) == [
        "9",
        "10",
        "101",
    ]


def test_categories_keep_their_order_and_unused_ones_vanish():
    obs = pd.concat([cells(donor=d) for d in ("a", "b", "c")], ignore_index=True)
    obs["donor"] = pd.Categorical(obs["donor"], categories=["c", "x", "a", "b"])
    assert list(table(obs).table["donor"]) == ["c", "a", "b"]


def test_a_row_a_donor_condition_and_visit():
    obs = pd.concat(
        [
            cells(visit="m0"),
            cells(visit="m6"),
            cells(condition="treated", visit="m6"),
            cells(donor="C1", condition="control", visit=None),
        ],
        ignore_index=True,
    )
    found = table(obs, visit="visit").table
    keys = list(found[["donor", "condition", "visit"]].itertuples(index=False, name=None))
    assert keys == [
        ("C1", "control", ""),
        ("P1", "SLE", "m0"),
        ("P1", "SLE", "m6"),
        ("P1", "treated", "m6"),
    ]


def test_covariates_are_of_the_donor():
    obs = pd.concat(
        [cells(sex="F", age=30, batch=pd.Categorical([1] * 972)), cells(donor="P2", age=np.nan)],
        ignore_index=True,
    )
    found = table(obs, covariates=["sex", "age"]).table.set_index("donor")
    assert found["sex"].to_dict() == {"P1": "F", "P2": ""}
    assert found.loc["P1", "age"] == 30
    assert np.isnan(found.loc["P2", "age"])
    obs.loc[5, "sex"] = "M"
    with pytest.raises(DesignError, match=r"'sex' must have one value .* donor 'P1' \(SLE\) has F"):
        table(obs, covariates=["sex"])
    obs.loc[5, "age"] = 31
    with pytest.raises(DesignError, match=r"'age' must have one value .* has 30.0 and 31.0"):
        table(obs, covariates=["age"])


def test_missing_columns_and_collisions():
    with pytest.raises(MissingKeyError, match="donor='patient': obs has no such column"):
        table(cells(), donor="patient")
    with pytest.raises(ArgumentError, match="'n_pdc' would be a column of the donor table twice"):
        table(cells(n_pdc=3), covariates=["n_pdc"])


def test_measurements_keep_values_and_mark_censoring():
    obs = pd.concat(
        [cells(ifna=2.0), cells(donor="P2", ifna=5.0), cells(donor="P3", ifna=np.nan)],
        ignore_index=True,
    )
    found = table(obs, measurements={"ifna": {"lod": 2.0}}).table
    assert found["ifna"].tolist()[:2] == [2.0, 5.0]
    assert found["ifna_censored"].tolist() == [True, False, False]
    assert not table(obs, measurements={"ifna": {}}).table["ifna_censored"].any()
    with pytest.raises(ArgumentError, match="only 'lod'"):
        table(obs, measurements={"ifna": {"limit": 2.0}})
    with pytest.raises(ArgumentError, match=r"\['ifna'\] is 2.0; needed: \{'lod'"):
        table(obs, measurements={"ifna": 2.0})
    with pytest.raises(ArgumentError, match="measurements= is list; needed: a dict"):
        table(obs, measurements=["ifna"])
    with pytest.raises(ArgumentError, match=r"must hold numbers, found '<2'"):
        table(cells(ifna="<2"), measurements={"ifna": {"lod": 2.0}})


def test_absolute_counts():
    one = row(cells(pbmc=1806.0), cells_per_ul="pbmc")
    assert one["n_pdc_per_ul"] == pytest.approx(1806 * 3 / 903)
    assert one["n_b_effector_per_ul"] == pytest.approx(20)
    few = row(cells(TYPES | {"T/NK": 10}, pbmc=1806.0), cells_per_ul="pbmc")
    assert np.isnan(few["n_pdc_per_ul"])


def test_response_is_a_mean_over_ten_cells_of_a_lineage():
    obs = cells()
    obs[k.RESPONSE_TYPE1] = np.where(obs["label"].str.startswith("B "), 2.0, 1.0)
    obs.loc[obs["label"] == "Platelet", k.RESPONSE_TYPE1] = 99.0
    one = row(obs)
    # log2(1 + mean): 95 B cells at 2, 5 plasma cells and blasts at 1
    assert one["response_type1:B"] == pytest.approx(np.log2(1 + (95 * 2 + 5) / 100))
    assert one["response_type1:T_NK"] == pytest.approx(np.log2(1 + 1))
    assert np.isnan(one["response_type1:DC"])  # three cells
    assert "response_type1:Unassigned" not in one.index
    assert "response_type1:Other" not in one.index  # platelets and erythrocytes do not count


def test_ifna_bound_is_exact():
    counts = TYPES | {"pDC": 30}
    obs = cells(counts)
    obs[k.IFNA_EVIDENCE] = "none"
    one = row(obs)
    assert one["pdc_ifna_positive"] == 0
    assert one["pdc_ifna_upper95"] == pytest.approx(1 - 0.05 ** (1 / 30))
    obs.loc[obs.index[:2], k.IFNA_EVIDENCE] = ["weak", "strong"]
    one = row(obs)
    exact = stats.binomtest(2, 30, alternative="less").proportion_ci(0.95, "exact").high
    assert one["pdc_ifna_upper95"] == pytest.approx(exact)
    obs[k.IFNA_EVIDENCE] = "not_measurable"
    assert "pdc_ifna_positive" not in row(obs).index


def test_pseudobulk_sums_umi():
    obs = pd.concat(
        [
            cells({"pDC": 2, "B naive": 3}),
            cells({"pDC": 1}, donor="P2"),
            cells({"pDC": 4}, donor="NA"),
        ]
    )
    values = sparse.random_array((10, 4), density=0.6, rng=np.random.default_rng(0), format="csr")
    values.data = np.ceil(values.data * 9).astype(np.float32)
    total = np.arange(10.0)
    found = table(obs)
    by_group = partial(_matrix.Plain(values).by_group, range(4))
    sums, umi = _donors.pseudobulk(by_group, total, found.rows, found.types, found.table)
    assert list(sums["donor"]) == ["P1", "P1", "P2"]
    assert list(sums["cell_type"]) == ["pDC", "B naive", "pDC"]
    assert list(sums["n_cells"]) == [2, 3, 1]
    assert list(sums["total_umi"]) == [1.0, 9.0, 5.0]
    dense = values.toarray()
    names = _slots.packed(sums, ("IFI44", "HLA/X", "MX1", "ISG15"), umi)["genes"]
    assert list(names) == ["IFI44", "HLA_X", "MX1", "ISG15"]
    np.testing.assert_allclose(umi, [dense[:2].sum(0), dense[2:5].sum(0), dense[5]])


def test_visits_are_put_together_by_counts():
    obs = pd.concat(
        [
            cells(TYPES | {"pDC": 1, "T/NK": 300}, visit="1", age=40, sex="F"),
            cells(TYPES | {"pDC": 5, "T/NK": 200}, visit="2", age=42, sex="F"),
            cells(donor="C", condition="control", visit="1", age=50, sex="M"),
        ],
        ignore_index=True,
    )
    apart = table(obs, visit="visit", covariates=["age", "sex"]).table
    assert np.isnan(apart.loc[apart["donor"] == "P1", "logit_pdc"]).all()  # each below 500
    one = _donors.collapse_visits(apart).set_index("donor")
    n_total = 300 + 200 + 6 + 2 * 100
    assert one.loc["P1", "n_total"] == n_total
    assert one.loc["P1", "n_pdc"] == 6
    assert one.loc["P1", "logit_pdc"] == pytest.approx(np.log(6.5 / (n_total - 6 + 0.5)))
    assert (one.loc["P1", "age"], one.loc["P1", "sex"], one.loc["P1", "visit"]) == (41, "F", "")
    assert one.loc["P1", "note"].startswith("2 visits together")
    assert one.loc["C", "visit"] == "1"
    same = table(obs[obs["visit"] == "1"]).table
    pd.testing.assert_frame_equal(_donors.collapse_visits(same), same)


def test_ten_copies_of_every_cell_leave_the_readouts():
    """Only the half cell and the standard error can tell."""
    once, tenfold = row(cells()), row(pd.concat([cells()] * 10))
    assert tenfold["n_pdc"] == 10 * once["n_pdc"]
    assert tenfold["logit_breg_of_b"] == pytest.approx(once["logit_breg_of_b"], abs=0.05)
    assert tenfold["logit_breg_of_b_se"] < once["logit_breg_of_b_se"] / 3


def test_table_columns_are_plain():
    obs = cells(sex="F")
    obs["sex"] = obs["sex"].astype("category")
    found = table(obs, covariates=["sex"]).table
    for name in found:
        kind = found[name].dtype
        assert not isinstance(kind, pd.CategoricalDtype), name
        if not pd.api.types.is_numeric_dtype(kind):
            assert all(isinstance(x, str) for x in found[name]), name
    order = ("donor", "condition", "visit", "sex", "n_cells", "n_total")
    assert tuple(found.columns[:6]) == order
    assert list(found.columns[-2:]) == ["status", "note"]
