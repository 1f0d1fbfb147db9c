"""Strata: cut-offs by hand, outlying controls, composition, signatures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scifn import _keys as k
from scifn import _stats
from scifn._errors import ArgumentError, DesignError
from scifn._stats.composition import standardized
from scifn._stats.cutoff import cutoff_of, factor, outliers
from scifn._stats.signatures import SIGNATURES

GENES = ["IFI27", "IFI44", "IFI44L", "RSAD2"]


def expression(control, patients, *, spread=0.3, seed=0):
    """Log2 expression of four genes around given levels of the donors."""
    rng = np.random.default_rng(seed)
    levels = np.r_[control, patients]
    y = levels[:, None] + rng.normal(0, spread, (len(levels), 4))
    frame = pd.DataFrame(y, columns=GENES)
    frame.insert(0, "condition", ["healthy"] * len(control) + ["SLE"] * len(patients))
    frame.insert(0, "donor", [f"D{i}" for i in range(len(levels))])
    return frame


def strata(frame, **options):
    options = {"genes": GENES, "signature": "ifngs4_like", "reference": "healthy"} | options
    return _stats.stratify(frame, **options)


def test_cutoff_by_hand():
    controls = np.array([1.0, 2, 3, 4, 5])
    found = cutoff_of(controls, 5)
    s = np.sqrt(2.5)
    f = stats.t.ppf(0.975, 4) * np.sqrt(1.2)
    assert found.factor == pytest.approx(f) == pytest.approx(3.04, abs=0.005)
    assert found.value == pytest.approx(3 + f * s)
    half = stats.t.ppf(0.95, 4) * s * np.sqrt(1 / 5 + f**2 / 8)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_prediction_limit_holds_its_level():
    """2.5 % of further controls lie above it, whatever n; mean + 2 SD of five flags 7.1 %."""
    rng = np.random.default_rng(0)
    for n in (5, 20):
        x = rng.normal(size=(20_000, n))
        next_one = rng.normal(size=20_000)
        limit = x.mean(1) + factor(n) * x.std(1, ddof=1)
        assert (next_one > limit).mean() == pytest.approx(0.025, abs=0.004)
    x = rng.normal(size=(20_000, 5))
    naive = (rng.normal(size=20_000) > x.mean(1) + 2 * x.std(1, ddof=1)).mean()
    assert naive == pytest.approx(0.071, abs=0.006)


def test_one_high_control_does_not_spoil_the_cutoff():
    rng = np.random.default_rng(1)
    controls = rng.normal(5, 0.8, 20)
    spoiled = controls.copy()
    spoiled[3] += 6
    assert outliers(spoiled).nonzero()[0].tolist() == [3]
    assert not outliers(controls).any()
    clean = cutoff_of(np.delete(controls, 3), 5)
    assert cutoff_of(spoiled, 5).value == clean.value
    # in Rosner's terms: at most a tenth is looked at, and of few one
    assert outliers(np.r_[controls, 15, 16]).sum() == 2
    assert outliers(np.r_[controls[:9], 15, 16]).sum() <= 1
    marked = [outliers(rng.normal(size=20)).any() for _ in range(2000)]
    assert np.mean(marked) < 0.02


def test_strata_of_a_clear_cohort():
    rng = np.random.default_rng(2)
    control = rng.normal(5, 0.5, 20)
    truth = np.r_[np.zeros(20), np.ones(20), np.zeros(10)].astype(bool)
    patients = np.r_[rng.normal(9, 0.5, 20), rng.normal(5, 0.5, 10)]
    table, record = strata(expression(control, patients))
    assert tuple(table.columns) == k.STRATA_COLUMNS
    called = table["stratum"].isin(["high", "low"])
    assert (table["stratum"] == "indeterminate").mean() <= 0.15
    right = (table["stratum"] == "high") == truth
    assert right[called].mean() >= 0.95
    assert (table["n_genes"] == 4).all()
    assert table["stability"].between(0, 1).all()
    assert table.loc[20:39, "stability"].eq(1).all()
    assert record["n_controls"] == 20
    assert "research use only" in record["note"]


def test_too_few_controls_have_scores_only():
    table, record = strata(expression(np.arange(4.0), np.arange(3.0) + 9))
    assert (table["stratum"] == "not_computable").all()
    assert table["cutoff"].isna().all()
    assert table["score"].notna().all()
    assert record["without_strata"] == "4 controls, 5 needed: scores without strata"
    assert record["without_strata"] in record["note"]


def test_a_patient_in_two_conditions_counts_once_for_two_groups():
    rng = np.random.default_rng(3)
    before, after = rng.normal(10, 0.3, 20), rng.normal(5, 0.3, 20)
    frame = expression(rng.normal(5, 0.3, 10), np.r_[before, after])
    frame["donor"] = [f"C{i}" for i in range(10)] + [f"P{i}" for i in range(20)] * 2
    frame.loc[30:, "condition"] = "treated"
    record = strata(frame)[1]
    assert record["n_patients"] == 20
    assert "not tested, 20 patients, 30 needed" in record["bimodality"]


@pytest.mark.parametrize("signature", ["ifngs4_like", "kirou3_like"])
def test_further_samples_of_a_control_have_no_part_in_the_cutoff(signature):
    """Eight controls sampled once and six of them again: the limit of the eight."""
    rng = np.random.default_rng(4)
    first, again, patients = rng.normal(5, 1, 8), rng.normal(5, 1, 6), rng.normal(9, 1, 5)
    frame = expression(np.r_[first, again], patients)
    of = [f"C{i}" for i in (*range(8), *range(6))] + [f"P{i}" for i in range(5)]
    frame["person"] = of
    table, record = strata(frame, signature=signature)
    alone, want = strata(frame.drop(index=range(8, 14)).reset_index(drop=True), signature=signature)
    assert record["n_controls"] == want["n_controls"] == 8
    assert table["cutoff"][0] == pytest.approx(alone["cutoff"][0])
    assert table["stratum"][14:].tolist() == alone["stratum"][8:].tolist()
    assert table["stratum"][8:14].isin(["low", "indeterminate", "high"]).all()
    assert "6 further samples of controls have a stratum and no part" in record["note"]


def test_unmeasured_signature_is_not_computable():
    table, record = strata(expression(np.arange(6.0), np.arange(3.0)), genes=[])
    assert (table["stratum"] == "not_computable").all()
    assert table["score"].isna().all()
    assert "too few genes" in record["note"]


def test_refusals():
    frame = expression(np.arange(6.0), np.arange(3.0))
    with pytest.raises(ArgumentError, match="signature='isg' has no donor score"):
        strata(frame, signature="isg")
    with pytest.raises(DesignError, match="reference='HC' is no condition here"):
        strata(frame, reference="HC")
    with pytest.raises(ArgumentError, match="min_controls=2"):
        strata(frame, min_controls=2)


def test_formulas_by_hand():
    y = np.array([[1.0, 4], [3, 6], [2, 11], [7, 2]])
    control = np.array([True, True, False, False])
    z = (y - [2, 5]) / np.sqrt(2)
    expected = {
        "ifngs4_like": y.mean(1),
        "medimmune21_like": (y - [2, 5]).mean(1),  # of two genes the median is the mean
        "kirou3_like": z.sum(1),
        "bodewes_ifn1_like": z.mean(1),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(SIGNATURES[name].formula(y, control), value)


def pseudobulk(rows):
    names = ["donor", "condition", "visit", "cell_type", "n_cells", "total_umi", "MX1"]
    return pd.DataFrame(rows, columns=names)


def test_composition_is_that_of_the_controls():
    """Twice the monocytes, the same cells: the same expression."""
    sums = pseudobulk(
        [
            ("C1", "ctrl", "", "Monocyte", 20, 2e5, 200),  # 1,000 per million
            ("C1", "ctrl", "", "T/NK", 80, 8e5, 80),  # 100
            ("P1", "SLE", "", "Monocyte", 60, 6e5, 600),
            ("P1", "SLE", "1", "T/NK", 20, 2e5, 20),
            ("P1", "SLE", "2", "T/NK", 20, 2e5, 20),
            ("P1", "SLE", "", "Platelet", 50, 9e5, 9e4),
            ("P2", "SLE", "", "Monocyte", 60, 6e5, 600),
            ("P2", "SLE", "", "T/NK", 9, 9e4, 9),
        ]
    )
    found, weights = standardized(sums, ["MX1"], "ctrl")
    assert weights == pytest.approx({"Mono": 0.2, "T/NK": 0.8})
    y = found.set_index("donor")["MX1"]
    assert y["C1"] == pytest.approx(np.log2(0.2 * 1000 + 0.8 * 100 + 1))
    assert y["P1"] == pytest.approx(y["C1"])
    assert np.isnan(y["P2"])  # nine T cells are too few, and T cells are most of the weight
