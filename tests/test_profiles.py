"""Interferon profiles of donors: ranges of controls, the written rule, what a user sees."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import scifn
from scifn import _keys as k
from scifn._errors import MissingKeyError, OverwriteError
from scifn._stats.controls import against
from scifn._stats.leading import Told, leading_evidence
from scifn._stats.profile_steps import ligands
from scifn._stats.profiles import Tables, profiles
from scifn._stats.type_grid import grid
from scifn.pl import _profile
from scifn.report._write import render

N_CONTROLS, N_PATIENTS = 12, 4
NAMES = [f"C{i:02d}" for i in range(N_CONTROLS)] + [f"P{i}" for i in range(N_PATIENTS)]
CONDITIONS = ["healthy"] * N_CONTROLS + ["sle"] * N_PATIENTS
KEYS = list(zip(NAMES, CONDITIONS, strict=True))
CONTROL = np.array([c == "healthy" for c in CONDITIONS])


# --- the range of the controls --------------------------------------------------
def test_a_patient_is_placed_by_the_prediction_of_a_further_control() -> None:
    controls = np.array([1.0, 2.0, 4.0, 7.0, 8.0, 9.0])
    values = np.append(controls, 12.0)
    found = against(values, np.arange(7) < 6)
    unit = controls.std(ddof=1) * np.sqrt(1 + 1 / 6)
    assert found.z[-1] == pytest.approx((12 - controls.mean()) / unit)
    assert found.unit[-1] == pytest.approx(unit)
    assert found.df[-1] == 5
    assert found.beyond(0.025)[-1] == pytest.approx(stats.t.ppf(0.975, 5))


def test_a_control_is_held_against_the_others() -> None:
    controls = np.array([1.0, 2.0, 4.0, 7.0, 8.0, 30.0])
    found = against(controls, np.ones(6, dtype=bool))
    others = controls[:-1]
    expected = (30 - others.mean()) / (others.std(ddof=1) * np.sqrt(1 + 1 / 5))
    assert found.z[-1] == pytest.approx(expected)
    assert found.df[-1] == 4


def test_controls_set_aside_do_not_make_the_range_and_are_placed_in_it() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0, 8.0, 30.0])
    usual = np.arange(6) < 5
    found = against(values, np.ones(6, dtype=bool), usual)
    assert found.df.tolist() == [3, 3, 3, 3, 3, 4]
    assert found.z[-1] == pytest.approx(against(values, usual).z[-1])


@pytest.mark.parametrize(
    "values", [[1.0, 2, 3, 4, np.nan, 9], [5.0, 5, 5, 5, 5, 9]], ids=["four controls", "all alike"]
)
def test_without_a_range_there_is_no_z(values: list[float]) -> None:
    found = against(np.array(values), np.arange(6) < 5)
    assert np.isnan(found.z).all()
    assert np.isnan(found.beyond(0.05)).all()


def test_z_of_a_further_control_is_student_t() -> None:
    rng = np.random.default_rng(0)
    z = [against(rng.normal(3, 2, 7), np.arange(7) < 6).z[-1] for _ in range(3000)]
    assert stats.kstest(z, stats.t(5).cdf).pvalue > 0.01


# --- the rule ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("stratum", "ligand", "sensor", "receptor", "expected"),
    [
        ("high", "+", "-", "-", "ligand"),
        ("high", "-", "+", "-", "sensor"),
        ("high", "-", "-", "+", "receptor"),
        ("high", "-", "-", "-", "not_resolvable"),
        ("high", "+", "+", "-", "not_resolvable"),
        ("high", "?", "+", "-", "not_resolvable"),
        ("high", "o", "+", "-", "not_resolvable"),
        ("high", "+", "?", "-", "not_resolvable"),
        ("indeterminate", "+", "-", "-", "not_resolvable"),
        ("low", "+", "-", "-", "not_resolvable"),
        ("not_computable", "+", "-", "-", "not_resolvable"),
    ],
)
def test_a_step_leads_only_if_it_alone_stands_out_and_the_others_were_looked_at(
    stratum: str, ligand: str, sensor: str, receptor: str, expected: str
) -> None:
    def told(sign: str) -> Told:
        return Told(np.array([sign == "+"]), np.array([sign != "?"]), np.array([sign == "o"]))

    steps = {"ligand": told(ligand), "sensor": told(sensor), "receptor": told(receptor)}
    assert leading_evidence([stratum], steps) == [expected]


# --- the parts -----------------------------------------------------------------
def _bounds(strong: dict[str, int], n_pdc: int = 40) -> pd.DataFrame:
    rows = [
        {
            "donor": donor, "condition": condition, "cell_type": "pDC", "ligand": "IFNA",
            "n_cells": float(n_pdc), "n_weak": 0.0, "n_strong": float(strong.get(donor, 0)),
            "rate": 0.0, "upper95": 1 - 0.05 ** (1 / n_pdc), "pooled": False,
        }
        for donor, condition in KEYS
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_ligand_needs_strong_evidence_that_controls_do_not_show() -> None:
    found = ligands(_bounds({"P1": 2}), KEYS, CONTROL)
    assert (
        found.told.words()[-4:] == ["within_controls", "beyond_controls"] + ["within_controls"] * 2
    )
    assert found.text[-3] == "IFNA: 2 strong, 0 weak of 40 pDC"
    assert found.text[-1] == "none; IFNA in at most 7.2 % of 40 pDC"
    common = ligands(_bounds({"P1": 2, "C03": 1}), KEYS, CONTROL)
    assert "beyond_controls" not in common.told.words()


def test_a_few_pdc_without_transcripts_exclude_nothing() -> None:
    assert set(ligands(_bounds({}, n_pdc=5), KEYS, CONTROL).told.words()) == {"not_excluded"}
    assert set(ligands(_bounds({}, n_pdc=29), KEYS, CONTROL).told.words()) == {"within_controls"}
    assert set(ligands(None, KEYS, CONTROL).told.words()) == {"not_measurable"}


def _means(shift: dict[tuple[str, str, str], float]) -> pd.DataFrame:
    """Two types of 100 cells; noise of donors with an SD of 0.05; ``shift`` adds to a score."""
    rng = np.random.default_rng(1)
    rows = []
    for donor, condition in KEYS:
        for kind in ("Monocyte", "T/NK"):
            row: dict[str, object] = {
                "donor": donor, "condition": condition, "visit": "", "cell_type": kind,
                "n_cells": 100,
            }  # fmt: skip
            scores = ["response_type1", "response_type2_leaning", "response_balance"]
            for score in [*scores, *(f"{m}_resid" for m in k.CAPACITY_MODULES)]:
                more = shift.get((donor, kind, score), 0.0)
                row[score] = rng.normal(0, 0.05) + more
                row[f"{score}_se"] = 0.05
            rows.append(row)
    return pd.DataFrame(rows)


def _donors() -> pd.DataFrame:
    rng = np.random.default_rng(2)
    table = pd.DataFrame({"donor": NAMES, "condition": CONDITIONS})
    for readout in ("logit_pdc", "logit_breg_of_b"):
        table[readout] = rng.normal(-5, 0.5, len(table))
        table[f"{readout}_se"] = 0.2
    table.loc[len(table) - 1, "logit_pdc"] = -12.0
    return table


def _strata() -> pd.DataFrame:
    table = pd.DataFrame({"donor": NAMES, "condition": CONDITIONS})
    table["stratum"] = ["low"] * N_CONTROLS + ["high"] * N_PATIENTS
    for name, value in {"score": 7, "cutoff": 5, "cutoff_low": 4.5, "cutoff_high": 5.5}.items():
        table[name] = float(value)
    return table.assign(stability=1.0)


def _receptors(**shift: float) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    table = pd.DataFrame({"donor": NAMES, "condition": CONDITIONS})
    for gene in ("IFNAR1", "IFNAR2"):
        table[gene] = rng.normal(6, 0.1, len(table)) + [shift.get(d, 0.0) for d in NAMES]
    return table


def _profiles(**tables: object) -> pd.DataFrame:
    base: dict[str, object] = {
        "donors": _donors(),
        "reference": "healthy",
        "strata": _strata(),
        "bounds": _bounds({}),
        "means": _means({}),
        "receptors": _receptors(),
    }
    return profiles(Tables(**(base | tables))).set_index("donor")  # type: ignore[arg-type]


def test_profile_points_at_the_step_that_was_planted() -> None:
    shift = {("P0", "Monocyte", "rlr_resid"): 1.0, ("P1", "T/NK", "brakes_resid"): -1.0}
    found = _profiles(means=_means(shift), receptors=_receptors(P2=1.5), bounds=_bounds({"P3": 3}))
    assert found.loc[["P0", "P1", "P2", "P3"], "leading_evidence"].tolist() == [
        "sensor", "sensor", "receptor", "ligand",
    ]  # fmt: skip
    assert found.loc["P0", "capacity_leading"] == "rlr in Mono"
    assert found.loc["P1", "capacity_leading"] == "brakes lowered in T/NK"
    assert (found.loc[NAMES[:N_CONTROLS], "leading_evidence"] == "not_resolvable").all()
    assert "transcripts, not secretion" in found.loc["P3", "statement"]
    assert found["statement"].str.startswith("Research use only").all()


def test_profile_resolves_nothing_where_nothing_was_planted() -> None:
    assert set(_profiles()["leading_evidence"]) == {"not_resolvable"}


def test_a_small_difference_is_no_sensor_however_large_its_z() -> None:
    found = _profiles(means=_means({("P0", "Monocyte", "rlr_resid"): 0.3}))
    assert found.loc["P0", "rlr_z"] > 3
    assert found.loc["P0", "sensor"] == "within_controls"  # 0.3 - 1.96 x 0.05 is below 0.25


def test_leading_cell_types_are_those_that_cannot_be_told_from_the_highest() -> None:
    shift = {
        ("P0", "Monocyte", "response_type1"): 3.0,
        ("P1", "Monocyte", "response_type1"): 3.0,
        ("P1", "T/NK", "response_type1"): 3.0,
    }
    found = _profiles(means=_means(shift))["leading_cell_type"]
    assert found["P0"] == "Monocyte"
    assert set(found["P1"].split(", ")) == {"Monocyte", "T/NK"}
    assert found["P2"] == "none"


def test_what_no_step_could_say_is_not_measurable_and_never_zero() -> None:
    found = _profiles(strata=None, bounds=None, means=None, receptors=None)
    assert set(found["stratum"]) == {"not_computable"}
    for column in ("leading_cell_type", "ligand_evidence", "capacity_leading", "l1_status"):
        assert set(found[column]) == {"not_measurable"}
    assert found[["response_balance", "receptor_z", "l1_z", "rlr_z"]].isna().all(axis=None)
    assert np.isfinite(found["pdc_z"]).all()
    assert found.loc["P3", "pdc_z"] < -5
    assert found.loc["P3", "pdc_z_low"] < found.loc["P3", "pdc_z"] < found.loc["P3", "pdc_z_high"]


def test_l1_of_a_donor_is_held_against_controls_of_the_type() -> None:
    rng = np.random.default_rng(4)
    table = pd.DataFrame({"donor": NAMES, "condition": CONDITIONS, "cell_type": "T/NK"})
    table["l1_young_ratio"] = rng.normal(-1, 0.2, len(table))
    table.loc[table["donor"] == "P0", "l1_young_ratio"] = 3.0
    table.loc[table["donor"] == "P1", "l1_young_ratio"] = np.nan
    found = _profiles(l1=table)
    assert found.loc["P0", "l1_status"] == "raised in T/NK"
    assert found.loc["P1", "l1_status"] == "not_measurable"
    assert found.loc["P2", "l1_status"] == "within the controls' range"
    assert "may be downstream" in found.loc["P0", "statement"]


def test_grid_is_standardized_to_the_composition_of_the_controls() -> None:
    rows = []
    for donor, condition, n_mono, n_t in (("a", "c", 300, 700), ("b", "c", 100, 900),
                                          ("p", "sle", 900, 100)):  # fmt: skip
        rows += [(donor, condition, "Monocyte", n_mono, 10.0), (donor, condition, "T/NK", n_t, 1.0)]
    means = pd.DataFrame(rows, columns=["donor", "condition", "cell_type", "n_cells", "x"])
    means["x_se"] = 0.1
    found = grid(means, [("a", "c"), ("b", "c"), ("p", "sle")], np.array([True, True, False]))
    value, se = found.standardized("x")
    assert value == pytest.approx([0.2 * 10 + 0.8 * 1] * 3)
    assert se == pytest.approx([np.hypot(0.2, 0.8) * 0.1] * 3)


# --- as its user calls it --------------------------------------------------------
@pytest.fixture(scope="module")
def cohort() -> ad.AnnData:
    adata = scifn.datasets.cohort(n_patients=6, n_controls=6, cells_per_donor=600, rng=5)
    scifn.run(adata, donor="donor", condition="condition", reference="control")
    return adata


def test_run_makes_a_profile_a_donor(cohort: ad.AnnData, tmp_path: Path) -> None:
    table = scifn.get.profiles(cohort)
    assert list(table.columns[: len(k.PROFILES_COLUMNS)]) == list(k.PROFILES_COLUMNS)
    assert sorted(table["donor"]) == sorted(cohort.obs["donor"].unique())
    assert cohort.uns["scifn"]["steps"]["profiles"] == "done"
    small = ad.AnnData(obs=cohort.obs, uns={"scifn": cohort.uns["scifn"]})
    small.write_h5ad(tmp_path / "cells.h5ad")
    back = ad.read_h5ad(tmp_path / "cells.h5ad")
    scifn.tl.profiles(back, overwrite=True)
    pd.testing.assert_frame_equal(scifn.get.profiles(back), table, check_dtype=False)


def test_profiles_say_what_is_missing(cohort: ad.AnnData) -> None:
    with pytest.raises(OverwriteError, match="profiles"):
        scifn.tl.profiles(cohort)
    bare = ad.AnnData(obs=cohort.obs[["donor", "condition", "scifn_cell_type"]])
    with pytest.raises(MissingKeyError, match=r"tl\.donors"):
        scifn.tl.profiles(bare)
    scifn.tl.donors(bare, donor="donor", condition="condition")
    with pytest.raises(MissingKeyError, match=r"stratify\(adata, reference"):
        scifn.tl.profiles(bare)


def test_profiles_of_labels_alone(cohort: ad.AnnData) -> None:
    bare = ad.AnnData(obs=cohort.obs[["donor", "condition", "scifn_cell_type"]])
    scifn.tl.donors(bare, donor="donor", condition="condition")
    scifn.tl.imbalance(bare, reference="control", n_permutations=20)
    scifn.tl.profiles(bare)
    table = scifn.get.profiles(bare)
    assert set(table["leading_evidence"]) == {"not_resolvable"}
    assert np.isfinite(table["pdc_z"]).any()


def test_heat_map_shows_every_donor_and_hatches_what_is_not_measurable(cohort: ad.AnnData) -> None:
    import matplotlib.pyplot as plt

    axes = scifn.pl.profile(cohort)
    table = scifn.get.profiles(cohort)
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert sorted(shown) == sorted(table["donor"])
    assert shown[-1] in set(table.loc[table["condition"] == "control", "donor"])
    boxes = [path for c in axes.collections if c.get_hatch() for path in c.get_paths()]
    hatched = sum(round(box.get_extents().height) for box in boxes)  # of one row, or of more
    z = [c for c in table if c.endswith("_z")]
    unknown = int(table[z].isna().to_numpy().sum())
    unknown += int((table["stratum"] == "not_computable").sum())
    unknown += int((table["ligand_evidence"] == "not_measurable").sum())
    assert hatched == unknown > 0
    plt.close("all")


def test_heat_map_of_many_donors_has_a_row_each_and_no_letters(cohort: ad.AnnData) -> None:
    table = pd.concat([scifn.get.profiles(cohort)] * 8, ignore_index=True)
    table["donor"] = [f"P{i}" for i in range(len(table))]
    assert len(table) > _profile.MOST_NAMES
    axes = _profile.draw(table, reference="control")
    boxes = [path.get_extents() for c in axes.collections for path in c.get_paths()]
    first = sum(round(box.height) for box in boxes if box.x0 == -0.5)
    assert first == len(table)
    assert not {text.get_text() for text in axes.texts} & {"H", "L", "?"}
    assert axes.get_ylim()[0] > len(table) - 1


def test_report_of_many_donors_holds_their_pages_in_one_frame(cohort: ad.AnnData) -> None:
    many = cohort.copy()
    table = pd.concat([many.uns["scifn"]["profiles"]] * 8, ignore_index=True)
    table["donor"] = [f"P{i}" for i in range(len(table))]
    many.uns["scifn"]["profiles"] = table
    page = render(many)
    assert page.count('<details class="donor">') == len(table)
    assert page.count('class="scroll tall many"') == 1
    assert 'class="scroll tall many"' not in render(cohort)


def test_report_has_a_page_a_donor(cohort: ad.AnnData, tmp_path: Path) -> None:
    page = scifn.report(cohort, tmp_path / "report.html").read_text(encoding="utf-8")
    table = scifn.get.profiles(cohort)
    assert page.count('<details class="donor">') == len(table)
    for donor in table["donor"]:
        assert f"<summary>{donor} · " in page
    assert "Points at" in page
