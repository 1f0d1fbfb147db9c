"""Scores of the published signatures by hand, modules, and two groups of patients."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from scifn import _stats
from scifn._errors import ArgumentError
from scifn._stats import bimodality
from scifn._stats.composition import standardized
from scifn._stats.cutoff import cutoff_of, factor
from scifn._stats.dip import dip, p_value
from scifn._stats.modules import activation
from scifn._stats.signatures import SIGNATURES
from scifn.genesets import _sets

#: log2; donors in rows, the first three are controls.
Y = np.log2([[2.0, 8, 4, 1], [4, 4, 4, 4], [8, 2, 4, 16], [32, 64, 4, 8]])
CONTROL = np.array([True, True, True, False])


def score(name, y=Y, control=CONTROL):
    return SIGNATURES[name].formula(y, control)


# --- formulas ---------------------------------------------------------------------
def test_every_offered_signature_has_a_score_and_every_score_a_set():
    sets = _sets.all_sets()
    for name in SIGNATURES:
        assert sets[name].enabled
    shipped = {name for name, found in sets.items() if name.endswith("_like") and found.enabled}
    assert shipped == {name for name in SIGNATURES if name.endswith("_like")}


def test_six_gene_score_is_the_median_of_ratios():
    """Controls' medians are 4, 4, 4, 4; of the ratios 8, 16, 1, 2 the median is 5."""
    np.testing.assert_allclose(2 ** score("rice6_like")[3], 5.0)
    np.testing.assert_allclose(2 ** score("rice6_like")[0], np.median([0.5, 2, 1, 0.25]))


def test_monocyte_score_is_the_mean_fold():
    """Controls' means (of logarithms) are 4, 4, 4, 4."""
    np.testing.assert_allclose(2 ** score("brkic5_pss_like")[3], (8 + 16 + 1 + 2) / 4)


def test_means_of_logarithms():
    np.testing.assert_allclose(score("kim28_like"), Y.mean(axis=1))
    np.testing.assert_allclose(score("ism3_like"), Y.mean(axis=1))


def test_percent_of_raised_genes():
    """Controls of genes 1 and 2 are 1, 2, 3, z of 5 and 6 is 3 and 4; gene 4: SD 2, z = 0.5."""
    assert score("mod_M1_2")[3] == pytest.approx(100 * 2 / 3)  # the third gene does not vary


def test_a_control_counts_as_raised_against_the_others():
    y = np.array([[1.0], [2.0], [3.0], [0.0]])
    assert score("mod_M1_2", y).tolist() == [0.0, 0.0, 100.0, 0.0]
    # against a mean and SD that it is part of, none of three can exceed 2 / sqrt(3)
    z = (y[:3] - y[:3].mean()) / y[:3].std(ddof=1)
    assert z.max() < 2 / np.sqrt(3)


def frame(y, condition, genes):
    table = pd.DataFrame(y, columns=genes)
    table.insert(0, "condition", condition)
    table.insert(0, "donor", [f"D{i}" for i in range(len(y))])
    return table


def test_the_metric_of_the_rontalizumab_trial_is_cut_at_the_95th_centile():
    rng = np.random.default_rng(0)
    genes = ["HERC5", "EPSTI1", "CMPK2"]
    table = frame(rng.normal(5, 1, (24, 3)), ["hc"] * 12 + ["sle"] * 12, genes)
    found, record = _stats.stratify(table, genes=genes, signature="ism3_like", reference="hc")
    controls = table[genes].to_numpy()[:12].mean(axis=1)
    limit = controls.mean() + factor(12, 0.95) * controls.std(ddof=1)
    assert found["cutoff"][0] == pytest.approx(limit)
    assert record["level"] == 0.95
    other, record = _stats.stratify(table, genes=genes, signature="ifngs4_like", reference="hc")
    assert record["level"] == 0.975
    assert other["cutoff"][0] > found["cutoff"][0]


def test_signatures_that_are_not_offered_say_why():
    for name, why in (
        ("elsherbiny_a_like", "is not offered: the list could not be checked"),
        ("janssen10_like", "is not offered: the signature is claimed by a patent"),
        ("isg_sc_pan", "has no donor score. Signatures: ifngs4_like"),
    ):
        with pytest.raises(ArgumentError, match=why):
            _stats.formula_of(name)


def test_one_cell_type_only():
    rows = [
        ("C1", "ctrl", "", "Monocyte", 20, 2e5, 200),
        ("C1", "ctrl", "", "T/NK", 80, 8e5, 8),
        ("P1", "SLE", "", "T/NK", 80, 8e5, 8),
    ]
    names = ["donor", "condition", "visit", "cell_type", "n_cells", "total_umi", "MX1"]
    sums = pd.DataFrame(rows, columns=names)
    found, weights = standardized(sums, ["MX1"], "ctrl", SIGNATURES["brkic5_pss_like"].cells)
    assert weights == {"Mono": 1.0}
    assert found["donor"].tolist() == ["C1", "P1"]
    assert found["MX1"][0] == pytest.approx(np.log2(1000 + 1))
    assert np.isnan(found["MX1"][1])


def test_leaving_a_gene_out_by_hand():
    """Controls 0 to 5 in every gene; a patient at 12 in one gene and at their mean in two."""
    y = np.repeat(np.arange(6.0)[:, None], 3, axis=1)
    y = np.vstack([y, [40.0, 2.5, 2.5], [40, 40, 40]])
    genes = ["IFI27", "IFI44", "RSAD2"]
    table = frame(y, ["hc"] * 6 + ["sle"] * 2, genes)
    found, _ = _stats.stratify(table, genes=genes, signature="ifngs4_like", reference="hc")
    # of the three genes only the first carries the one patient, all of them the other
    assert found["stratum"].tolist()[-2:] == ["high", "high"]
    assert found["stability"].tolist()[-2:] == [pytest.approx(2 / 3), 1.0]
    cut = cutoff_of(np.arange(6.0), 5)
    assert found["cutoff"][0] == pytest.approx(cut.value)


def test_controls_that_do_not_differ_give_no_strata():
    table = frame(np.r_[np.full((6, 1), 0.1), [[5.0]]], ["hc"] * 6 + ["sle"], ["MX1"])
    found, record = _stats.stratify(table, genes=["MX1"], signature="ism3_like", reference="hc")
    assert (found["stratum"] == "not_computable").all()
    assert "the controls do not differ" in record["note"]


def test_outlying_controls_of_a_module_are_told_by_its_mean():
    """Skewed percentages are no outliers; a control whose genes are all raised is one."""
    skewed = np.r_[np.zeros(17), 7.0, 11.0, 30.0]
    assert cutoff_of(skewed, 5).left_out.sum() == 2
    assert not cutoff_of(skewed, 5, judged=np.linspace(0, 1, 20)).left_out.any()
    y = np.random.default_rng(7).normal(0, 1, (30, 12))
    y[3] += 6
    genes = [f"G{i}" for i in range(12)]
    table = frame(y, ["hc"] * 20 + ["sle"] * 10, genes)
    _, record = _stats.stratify(table, genes=genes, signature="mod_M1_2", reference="hc")
    assert record["outlying_controls"] == "D3"


# --- modules ----------------------------------------------------------------------
def test_order_of_activation():
    rng = np.random.default_rng(3)
    genes = {name: [f"{name}_{i}" for i in range(20)] for name in ("mod_M1_2", "mod_M3_4")}
    genes["mod_M5_12"] = [f"last_{i}" for i in range(20)]
    every = [gene for names in genes.values() for gene in names]
    y = rng.normal(0, 1, (28, 60))
    y[20:24, :20] += 6  # M1.2 alone
    y[24:26] += 6  # all
    y[26, 40:] += 6  # M5.12 alone
    table = frame(y, ["hc"] * 20 + ["sle"] * 8, every)
    found = activation(table, genes=genes, reference="hc")
    assert found["modules"] == (
        "M1.2 in 6, M3.4 in 2, M5.12 in 3, any in 7 of 8 donors outside the reference"
    )
    assert found["order_of_activation"].endswith("which is suspicious: D26")
    del genes["mod_M5_12"]
    assert "not judged" in activation(table, genes=genes, reference="hc")["order_of_activation"]
    found = activation(table, genes={}, reference="hc")
    assert found["order_of_activation"] == "not judged: no module could be computed"


# --- two groups -------------------------------------------------------------------
def dip_by_programming(x):
    """The definition: the unimodal distribution that comes nearest, by linear programming."""
    u, sizes = np.unique(x, return_counts=True)
    n = len(x)
    after = np.cumsum(sizes) / n
    before = after - sizes / n
    best = np.inf
    for mode in range(len(u)):
        # variables: G before and after each value (equal but at the mode), and the distance
        m = len(u)
        rows, bounds_ = [], []

        def add(coefficients, limit, rows=rows, bounds_=bounds_, m=m):
            row = np.zeros(2 * m + 1)
            for at, value in coefficients:
                row[at] += value
            rows.append(row)
            bounds_.append(limit)

        for i in range(m):
            for level in (before[i], after[i]):
                for g in (2 * i, 2 * i + 1):
                    if i == mode and (g == 2 * i) != (level == before[i]):
                        continue
                    add([(g, 1), (2 * m, -1)], level)
                    add([(g, -1), (2 * m, -1)], -level)
            if i != mode:
                add([(2 * i, 1), (2 * i + 1, -1)], 0)
                add([(2 * i, -1), (2 * i + 1, 1)], 0)
            add([(2 * i, 1), (2 * i + 1, -1)], 0)
        for i in range(m - 1):
            add([(2 * i + 1, 1), (2 * i + 2, -1)], 0)
        for i in range(1, m - 1):
            left, right = u[i] - u[i - 1], u[i + 1] - u[i]
            slope = [(2 * i, 1 / left), (2 * i - 1, -1 / left)]
            slope += [(2 * i + 2, -1 / right), (2 * i + 1, 1 / right)]
            if i < mode:
                add(slope, 0)
            elif i > mode:
                add([(at, -value) for at, value in slope], 0)
        goal = np.zeros(2 * m + 1)
        goal[-1] = 1
        found = optimize.linprog(goal, np.array(rows), bounds_, bounds=(0, 1))
        best = min(best, found.fun if found.success else np.inf)
    return best


def test_dip_is_its_definition():
    rng = np.random.default_rng(0)
    for i in range(12):
        x = rng.normal(size=9) + 4 * rng.integers(0, 2, 9) * (i % 2)
        assert dip(x) == pytest.approx(dip_by_programming(x), abs=1e-9)
    assert dip(np.array([1.0, 1, 2, 2, 3, 9])) == pytest.approx(
        dip_by_programming(np.array([1.0, 1, 2, 2, 3, 9]))
    )


def test_dip_of_known_samples():
    assert dip(np.arange(8.0)) == 1 / 16
    assert dip(np.ones(5)) == 1 / 10
    assert dip(np.r_[np.zeros(20), np.ones(20)]) == 0.25
    x = np.random.default_rng(1).normal(size=60)
    assert dip(3 * x + 7) == pytest.approx(dip(-x)) == pytest.approx(dip(x))


def test_p_value_of_the_dip():
    """Critical values at 5 % of the published table (n = 30, 50, 100, 200, 500)."""
    published = {30: 0.4829, 50: 0.4969, 100: 0.5113, 200: 0.5210, 500: 0.5306}
    for n, value in published.items():
        assert p_value(value / np.sqrt(n), n) == pytest.approx(0.05, abs=0.003)
    assert p_value(0.001, 50) == 1.0
    assert p_value(0.25, 50) == pytest.approx(0.002)  # the lowest that is told
    assert p_value(0.06, 70) < p_value(0.06, 60) < p_value(0.05, 60)


def test_two_gaussians_as_sklearn_fits_them():
    mixture = pytest.importorskip("sklearn.mixture")
    rng = np.random.default_rng(2)
    x = np.r_[rng.normal(0, 1, 40), rng.normal(5, 0.7, 25)]
    model = mixture.GaussianMixture(2, n_init=5, tol=1e-9, max_iter=2000, random_state=0)
    model.fit(x[:, None])
    found = bimodality.mixture(x)
    order = np.argsort(model.means_[:, 0])
    np.testing.assert_allclose(found.mean, model.means_[order, 0], atol=1e-3)
    np.testing.assert_allclose(found.weight, model.weights_[order], atol=1e-3)
    np.testing.assert_allclose(found.sd**2, model.covariances_[order, 0, 0], atol=2e-3)
    one = mixture.GaussianMixture(1).fit(x[:, None])
    difference = one.bic(x[:, None]) - model.bic(x[:, None])
    assert bimodality.bic_difference(x) == pytest.approx(difference, abs=1e-3)


def test_two_groups_need_thirty_patients_and_both_tests():
    rng = np.random.default_rng(4)
    two = np.r_[rng.normal(0, 1, 20), rng.normal(6, 1, 20)]
    found = bimodality.test(two)
    assert found["bimodality"].startswith("two groups of patients: BIC difference")
    assert found["n_patients"] == 40
    assert found["bic_difference"] > 6
    assert found["dip_p_value"] < 0.05
    few = bimodality.test(two[10:39])
    assert few["bimodality"] == "two groups of patients: not tested, 29 patients, 30 needed"
    assert np.isnan(few["dip"])
    # skewed, but of one mode: BIC alone would call two
    skewed = bimodality.test(rng.exponential(size=80))
    assert skewed["bic_difference"] > 6
    assert skewed["bimodality"].startswith("two groups of patients are not shown")
    assert bimodality.test(np.ones(40))["bimodality"].endswith("not tested, equal scores")
    called = [bimodality.test(rng.normal(size=40))["bimodality"] for _ in range(12)]
    assert sum(said.startswith("two groups of patients: BIC") for said in called) <= 1


def test_two_groups_are_those_of_the_patients():
    rng = np.random.default_rng(5)
    y = np.r_[rng.normal(0, 1, 20), rng.normal(0, 1, 20), rng.normal(9, 1, 20)][:, None]
    table = frame(y, ["hc"] * 20 + ["sle"] * 40, ["MX1"])
    _, record = _stats.stratify(table, genes=["MX1"], signature="ism3_like", reference="hc")
    assert record["n_patients"] == 40
    assert str(record["bimodality"]).startswith("two groups of patients: BIC")
