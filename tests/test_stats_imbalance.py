"""Groups of donors: designs, statuses, refusals, and the level of the tests under the null."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

import scifn
from scifn import _donors, _stats
from scifn import _keys as k
from scifn._errors import ArgumentError, DesignError, MissingKeyError
from scifn._stats._counts import PARTS, two_parts
from scifn._stats._layout import Layout
from scifn._stats.betabinomial import likelihood_ratio
from scifn._stats.joint import hotelling, permute_joint
from scifn._stats.ols import fit
from scifn._stats.permutation import permute
from scifn._stats.quasibinomial import f_test, fit_binomial
from scifn._stats.shrinkage import BALANCES, RATIO, shrunken


def cohort(arms, *, seed=0, fold=1.0, cells=5000):
    """Donor table of donors drawn at random; ``fold`` changes the pDC of all but the last arm."""
    rng = np.random.default_rng(seed)
    rows = []
    for i, (condition, n) in enumerate(arms.items()):
        for d in range(n):
            shift = fold if i < len(arms) - 1 else 1.0
            pdc = rng.binomial(cells, min(0.5, 0.003 * shift * np.exp(rng.normal(0, 0.6))))
            b = rng.binomial(cells, min(0.5, 0.06 * np.exp(rng.normal(0, 0.3))))
            breg = rng.binomial(b, min(0.5, 0.1 * np.exp(rng.normal(0, 0.6))))
            blast = rng.poisson(cells * 0.002 * np.exp(rng.normal(0, 1)))
            rows.append((f"{condition}{d}", condition, pdc, b, breg, blast))
    names = ["donor", "condition", "n_pdc", "n_b", "n_breg_like", "n_b_effector"]
    table = pd.DataFrame(rows, columns=names)
    table["n_total"] = cells
    for name in ("n_plasmablast", "n_plasma", "n_b_atypical"):
        table[name] = 0.0
    return with_readouts(table)


def with_readouts(table):
    values, table["status"], table["note"] = _donors.readouts(table)
    return table.assign(**values)


def alone(found):
    """The rows of one readout each."""
    return found[found["readout"] != k.JOINT]


def test_columns_and_types():
    found = _stats.imbalance(cohort({"SLE": 6, "control": 6}), reference="control")
    assert tuple(found.columns) == k.IMBALANCE_COLUMNS
    assert list(found["readout"]) == [*k.READOUTS, k.JOINT]
    assert list(found["family"]) == ["primary"] * 4 + ["balance"] * 2 + ["joint"]
    assert (found["status"] == "ok").all()
    assert (found["design"] == "unpaired").all()
    for name, kind in found.dtypes.items():
        expected = {"n_group": "i", "n_reference": "i"}.get(name, "f")
        if kind.kind in "if":
            assert kind.kind == expected, name


def held_to_others(coordinates, j, *columns):
    return lambda table: shrunken(
        np.column_stack([c(table) if callable(c) else table[c] for c in columns]).astype(float),
        coordinates,
        np.ones((len(table), 1)),
    )[:, j]


HELD = {
    "logit_pdc": held_to_others(RATIO, 0, "n_pdc", lambda t: t["n_total"] - t["n_pdc"]),
    "logit_breg_of_b": held_to_others(
        RATIO, 0, "n_breg_like", lambda t: t["n_b"] - t["n_breg_like"]
    ),
    "lr_breg_effector": held_to_others(RATIO, 0, "n_breg_like", "n_b_effector"),
    "lr_pdc_breg": held_to_others(RATIO, 0, "n_pdc", "n_breg_like"),
    "ilr_1": held_to_others(BALANCES, 0, "n_pdc", "n_breg_like", "n_b_effector"),
    "ilr_2": held_to_others(RATIO, 0, "n_breg_like", "n_b_effector"),
}


def test_numbers_equal_scipy():
    table = cohort({"SLE": 6, "control": 7}, seed=3)
    found = _stats.imbalance(table, reference="control").set_index("readout")
    group = table["condition"] == "SLE"
    for name in k.READOUTS:
        a, b = table.loc[group, name].to_numpy(), table.loc[~group, name].to_numpy()
        one = found.loc[name]
        t = stats.ttest_ind(a, b)
        low, high = t.confidence_interval()
        held = HELD[name](table)  # what is permuted: noisy log ratios count for less
        perm = stats.permutation_test(
            (held[group], held[~group]),
            lambda x, y, axis: x.mean(axis) - y.mean(axis),
            n_resamples=np.inf,
        )
        assert one["effect"] == pytest.approx(a.mean() - b.mean())
        assert (one["mean_group"], one["mean_reference"]) == (a.mean(), b.mean())
        assert (one["statistic"], one["p_value"]) == pytest.approx((t.statistic, t.pvalue))
        assert (one["ci_low"], one["ci_high"]) == pytest.approx((low, high))
        assert one["p_permutation"] == pytest.approx(perm.pvalue)
        assert one["df"] == 11
        assert one["p_attainable"] == pytest.approx(2 / 1716)
        assert one["loo_low"] <= one["effect"] <= one["loo_high"]
    assert found.loc["logit_pdc", "odds_ratio"] == np.exp(found.loc["logit_pdc", "effect"])
    assert found.loc[["ilr_1", "ilr_2"], "odds_ratio"].isna().all()
    primary = found["family"] == "primary"
    np.testing.assert_allclose(
        found.loc[primary, "p_adj"],
        stats.false_discovery_control(found.loc[primary, "p_permutation"]),
    )


def test_planted_change_is_found():
    table = cohort({"SLE": 12, "control": 12}, fold=0.3)
    one = _stats.imbalance(table, reference="control").set_index("readout").loc["logit_pdc"]
    assert one["p_permutation"] < 0.01
    assert one["ci_high"] < 0
    assert one["ci_low"] < np.log(0.3) < one["ci_high"] + 0.5
    assert one["hedges_g"] < -0.8
    assert one["cliffs_delta"] < -0.5
    assert one["concordance"] == "p < 0.05: all 5 tests"


def test_covariate_adjustment_equals_statsmodels():
    import statsmodels.formula.api as smf

    table = cohort({"SLE": 9, "control": 8}, seed=5)
    rng = np.random.default_rng(1)
    table["age"] = rng.uniform(20, 60, len(table))
    table["sex"] = rng.choice(["F", "M"], len(table))
    table["logit_pdc"] += 0.05 * table["age"]
    found = _stats.imbalance(table, reference="control", covariates=["age", "sex"])
    one = found.set_index("readout").loc["logit_pdc"]
    theirs = smf.ols("logit_pdc ~ (condition == 'SLE') + age + sex", table).fit()
    name = "condition == 'SLE'[T.True]"
    assert one["effect"] == pytest.approx(theirs.params[name])
    assert one["p_value"] == pytest.approx(theirs.pvalues[name])
    assert one["df"] == theirs.df_resid
    assert one["design"] == "unpaired; adjusted for age, sex"
    assert one["p_attainable"] == pytest.approx(2 / 10_001)


@pytest.mark.parametrize(
    ("n1", "n0", "status", "least"),
    [
        (1, 1, "too_few_donors", 1.0),
        (2, 5, "too_few_donors", 2 / 21),
        (3, 3, "no_significance", 0.1),
        (3, 9, "no_significance", 2 / 220),
        (4, 4, "ok", 2 / 70),
    ],
)
def test_small_arms(n1, n0, status, least):
    table = cohort({"SLE": n1, "control": n0}, fold=0.05)
    found = _stats.imbalance(table, reference="control")
    assert (found["status"] == status).all()
    together = found.set_index("readout").loc[k.JOINT]
    if n1 != n0:
        assert together["p_attainable"] == pytest.approx(least / 2)
    assert np.isfinite(together["p_adj"]) == (status == "ok")
    found = alone(found)
    assert found["effect"].notna().all()
    assert found["p_attainable"].to_numpy() == pytest.approx(least)
    p = found.loc[found["readout"] != "ilr_2", ["p_value", "p_permutation", "p_adj"]]
    assert p.notna().all().all() == (status == "ok")
    assert p.isna().all().all() == (status != "ok")
    twin = found.set_index("readout").loc["ilr_2"]  # adjusted as lr_breg_effector, once
    assert np.isnan(twin["p_adj"])
    assert "the comparison of lr_breg_effector, adjusted there" in twin["note"]
    assert (found["concordance"] == "").all() == (status != "ok")
    if n1 + n0 > 2:
        assert found["ci_low"].notna().all()
    if status != "ok":
        assert found["note"].str.contains("donors an arm").all()


def paired_cohort(n, *, seed=0, extra=0):
    """Donors in both arms, and some in one only."""
    both = pd.concat(
        [cohort({c: n + extra}, seed=seed + i) for i, c in enumerate(("stim", "ctrl"))]
    )
    both["donor"] = [f"D{i}" for i in range(n + extra)] * 2
    lone = both["condition"].eq("stim") & both["donor"].isin([f"D{n + i}" for i in range(extra)])
    return both[~lone].reset_index(drop=True)


def test_donors_in_both_arms_are_paired():
    table = paired_cohort(8, extra=2)
    found = _stats.imbalance(table, reference="ctrl")
    wide = table.pivot(index="donor", columns="condition", values="logit_pdc").dropna()
    theirs = stats.ttest_rel(wide["stim"], wide["ctrl"])
    exact = stats.permutation_test(
        (wide["stim"] - wide["ctrl"],),
        lambda x, axis: x.mean(axis),
        permutation_type="samples",
        n_resamples=np.inf,
    )
    one = found.set_index("readout").loc["logit_pdc"]
    assert (one["design"], one["n_group"], one["n_reference"]) == ("paired by donor", 8, 8)
    assert one["p_value"] == pytest.approx(theirs.pvalue)
    assert one["p_permutation"] == pytest.approx(exact.pvalue)
    assert one["p_attainable"] == 2 / 256
    assert one["mean_reference"] == pytest.approx(wide["ctrl"].mean())
    assert "8 donors stand in both arms: paired by donor" in one["note"]
    assert "2 rows without a partner, of one condition only, left out" in one["note"]


@pytest.mark.parametrize(("n", "status"), [(2, "too_few_donors"), (3, "no_significance")])
def test_few_pairs_have_no_p_value(n, status):
    found = alone(_stats.imbalance(paired_cohort(n, extra=1), reference="ctrl"))
    assert (found["status"] == status).all()
    assert found["p_value"].isna().all()
    assert found["effect"].notna().all()
    assert found["note"].str.contains("pairs").all()


def standing_in_both(n_group, n_reference, shared):
    table = cohort({"SLE": n_group, "control": n_reference})
    for i in range(shared):
        table.loc[table["donor"] == f"control{i}", "donor"] = f"SLE{i}"
    return table


def test_few_donors_in_both_arms_count_once():
    """Four of 12 v 15: unpaired, and as if the rows that are left out were not there."""
    table = standing_in_both(12, 15, 4)
    found = _stats.imbalance(table, reference="control")
    # out of the larger arm, 15, until both are 12; then out of the reference
    gone = (table["condition"] == "control") & table["donor"].isin(["SLE0", "SLE1", "SLE2", "SLE3"])
    same = _stats.imbalance(table[~gone].reset_index(drop=True), reference="control")
    numbers = ["effect", "ci_low", "p_value", "p_permutation", "p_adj", "n_group", "n_reference"]
    pd.testing.assert_frame_equal(found[numbers], same[numbers])
    assert found[["n_group", "n_reference"]].drop_duplicates().to_numpy().tolist() == [[12, 11]]
    assert (found["design"] == "unpaired").all()
    said = (
        "4 donors stand in both arms, too few for pairs: each counts once; "
        "left out: 4 rows of control (SLE0, SLE1, SLE2, SLE3)"
    )
    assert found["note"].str.contains(said, regex=False).all()
    # the same in the other direction, but for the last; covariates go with their rows
    table["age"] = np.arange(27.0)
    turned = _stats.imbalance(table, reference="SLE", covariates="age").iloc[0]
    assert (turned["n_group"], turned["n_reference"]) == (12, 11)
    assert (
        "left out: 3 rows of control (SLE0, SLE1, SLE2) and 1 row of SLE (SLE3)" in turned["note"]
    )
    pairs = _stats.imbalance(table, reference="control", paired="donor").iloc[0]
    assert (pairs["design"], pairs["n_group"]) == ("paired by donor", 4)


def test_equal_arms_lose_in_turn_whatever_the_order_of_rows():
    table = standing_in_both(8, 8, 4)
    found = _stats.imbalance(table, reference="control")
    out = [("control", "SLE0"), ("SLE", "SLE1"), ("control", "SLE2"), ("SLE", "SLE3")]
    keys = zip(table["condition"], table["donor"], strict=True)
    left = table[[key not in out for key in keys]].reset_index(drop=True)
    same = _stats.imbalance(left, reference="control")
    numbers = ["effect", "ci_low", "p_value", "p_permutation", "n_group", "n_reference"]
    pd.testing.assert_frame_equal(found[numbers], same[numbers])
    said = "left out: 2 rows of SLE (SLE1, SLE3) and 2 rows of control (SLE0, SLE2)"
    assert found["note"].str.contains(said, regex=False).all()
    shuffled = _stats.imbalance(table.iloc[::-1].reset_index(drop=True), reference="control")
    np.testing.assert_allclose(shuffled["effect"], found["effect"])


@pytest.mark.parametrize(
    ("arms", "shared", "want"),
    [
        ((8, 8), 4, (6, 6)),
        ((8, 8), 5, (6, 5)),  # five pairs: p of 0.0625 and no lower
        ((8, 8), 6, 6),
        ((8, 8), 8, 8),
        ((9, 8), 5, (6, 6)),
        ((6, 6), 5, 5),  # 4 v 3 if each counted once
        ((4, 4), 2, (3, 3)),
        ((4, 4), 4, 4),
        ((20, 4), 4, (16, 4)),
        ((3, 3), 1, 1),
    ],
)
def test_pairs_or_each_donor_once(arms, shared, want):
    table = standing_in_both(*arms, shared)
    row = _stats.imbalance(table, reference="control", n_permutations=99).iloc[0]
    paired = isinstance(want, int)
    assert row["design"] == ("paired by donor" if paired else "unpaired")
    assert (row["n_group"], row["n_reference"]) == ((want, want) if paired else want)
    as_said = _stats.imbalance(table, reference="control", paired="donor", n_permutations=99)
    assert (as_said["design"] == "paired by donor").all()
    assert as_said["n_group"].iloc[0] == shared


def test_paired_by_a_column():
    table = cohort({"SLE": 5, "control": 5}).assign(family=[*"abcde", *"edcba"])
    one = _stats.imbalance(table, reference="control", paired="family").iloc[0]
    assert (one["design"], one["n_group"]) == ("paired by family", 5)
    a = table.iloc[:5]["logit_pdc"].to_numpy()
    b = table.iloc[5:]["logit_pdc"].to_numpy()[::-1]
    assert one["p_value"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    with pytest.raises(DesignError, match=r"paired='family': 'a' has several rows in 'SLE'"):
        _stats.imbalance(table.assign(family="a"), reference="control", paired="family")


def test_covariates_that_change_within_pairs():
    table = paired_cohort(8)
    rng = np.random.default_rng(2)
    table["age"] = np.tile(rng.uniform(20, 60, 8), 2)
    table["dose"] = rng.uniform(0, 10, 16)
    one = _stats.imbalance(table, reference="ctrl", covariates=["age", "dose"]).iloc[0]
    assert one["design"] == "paired by donor; adjusted for dose"
    assert "age is the same within pairs and drops out" in one["note"]
    assert one["df"] == 6


@pytest.mark.parametrize("how", ["covariates", "block"])
def test_batch_that_is_the_condition_is_refused(how):
    table = cohort({"SLE": 5, "control": 5}).assign(batch=["b1"] * 5 + ["b2"] * 3 + ["b3"] * 2)
    with pytest.raises(DesignError, match="'batch' determines the condition"):
        _stats.imbalance(table, reference="control", **{how: "batch"})


def test_columns_that_are_the_condition_together_are_refused():
    table = cohort({"SLE": 4, "control": 4}).assign(
        a=[0.0, 1, 0, 1, 0, 1, 0, 1], b=[1.0, 2, 1, 2, 0, 1, 0, 1]
    )
    with pytest.raises(DesignError, match="'a' and 'b' together determine the condition"):
        _stats.imbalance(table, reference="control", covariates=["a", "b"])


def test_blocks():
    table = cohort({"SLE": 6, "control": 6}).assign(batch=["x", "y"] * 6)
    table["logit_pdc"] += np.where(table["batch"] == "x", 10, 0)
    plain = _stats.imbalance(table, reference="control").set_index("readout").loc["logit_pdc"]
    within = _stats.imbalance(table, reference="control", block="batch")
    one = within.set_index("readout").loc["logit_pdc"]
    assert one["p_attainable"] == pytest.approx(2 / 20**2)  # C(6, 3) in each of two blocks
    assert one["design"] == "unpaired; permuted within batch, which is in the model"
    assert one["ci_high"] - one["ci_low"] < (plain["ci_high"] - plain["ci_low"]) / 3


def test_donors_without_a_covariate_are_left_out_and_named():
    table = cohort({"SLE": 5, "control": 5}).assign(age=np.arange(10.0), sex=["F", "M"] * 5)
    table.loc[0, "age"] = np.nan
    table.loc[9, "sex"] = ""
    one = _stats.imbalance(table, reference="control", covariates=["age", "sex"]).iloc[0]
    assert (one["n_group"], one["n_reference"]) == (4, 4)
    assert "left out, no single value of age: SLE0" in one["note"]
    assert "left out, no single value of sex: control4" in one["note"]


def test_covariate_that_does_not_vary():
    table = cohort({"SLE": 5, "control": 5}).assign(sex="F")
    with_sex = _stats.imbalance(table, reference="control", covariates="sex").iloc[0]
    assert "sex does not vary" in with_sex["note"]
    assert with_sex["p_value"] == _stats.imbalance(table, reference="control").iloc[0]["p_value"]


def test_more_coefficients_than_donors():
    table = cohort({"SLE": 4, "control": 4}).assign(site=list("abcdabcd"), x=0.0)
    table["y1"], table["y2"] = np.arange(8.0) ** 2, np.arange(8.0) ** 3
    table["y3"] = np.sin(np.arange(8.0))
    found = _stats.imbalance(table, reference="control", covariates=["site", "y1", "y2", "y3"])
    assert set(found["status"]) == {"no_residual_df"}
    assert found["p_value"].isna().all()


def test_several_groups_against_one_reference():
    table = cohort({"SLE": 5, "pSS": 4, "SSc": 2, "control": 6})
    found = _stats.imbalance(table, reference="control")
    assert list(dict.fromkeys(found["group"])) == ["SLE", "pSS", "SSc"]
    assert found["note"].str.contains("control is shared by 3 contrasts").all()
    primary = found[(found["family"] == "primary") & found["p_permutation"].notna()]
    assert len(primary) == 8
    np.testing.assert_allclose(
        primary["p_adj"], stats.false_discovery_control(primary["p_permutation"])
    )
    alone = _stats.imbalance(table, reference="control", contrasts="pSS")
    same = found[found["group"] == "pSS"].reset_index(drop=True)
    pd.testing.assert_frame_equal(
        alone.drop(columns=["p_adj", "note"]), same.drop(columns=["p_adj", "note"])
    )


def test_readouts_that_some_donors_lack():
    table = cohort({"SLE": 6, "control": 6})
    table.loc[[0, 7], "logit_pdc"] = np.nan
    table["ilr_1"] = np.nan
    found = _stats.imbalance(table, reference="control").set_index("readout")
    assert found.loc["logit_pdc", ["n_group", "n_reference"]].tolist() == [5, 5]
    assert "2 donors without this readout" in found.loc["logit_pdc", "note"]
    assert found.loc["ilr_1", "status"] == "not_measurable"
    assert np.isnan(found.loc["ilr_1", "effect"])
    assert found.loc["ilr_2", "n_group"] == 6


def test_readout_that_does_not_vary():
    table = cohort({"SLE": 5, "control": 5}).assign(logit_pdc=-5.0)
    one = _stats.imbalance(table, reference="control").iloc[0]
    assert one["status"] == "constant"
    assert np.isnan(one["p_permutation"])


def test_responses_are_a_family_of_their_own():
    table = cohort({"SLE": 6, "control": 6})
    table["response_type1:B"] = np.r_[np.arange(6) + 10.0, np.arange(6)]
    one = _stats.imbalance(table, reference="control").set_index("readout").loc["response_type1:B"]
    assert one["family"] == "response"
    assert one["p_adj"] == one["p_permutation"] == pytest.approx(2 / 924)
    assert np.isnan(one["odds_ratio"])


def test_refusals_say_what_was_found():
    table = cohort({"SLE": 4, "control": 4})
    cases = {
        "reference='healthy' is no condition .* It has: 'SLE', 'control'": {"reference": "healthy"},
        "contrasts: 'pSS' cannot be held": {"reference": "control", "contrasts": ["pSS"]},
    }
    for text, options in cases.items():
        with pytest.raises(DesignError, match=text):
            _stats.imbalance(table, **options)
    with pytest.raises(DesignError, match="All donors have the condition 'control'"):
        _stats.imbalance(table[table["condition"] == "control"], reference="control")
    with pytest.raises(MissingKeyError, match=r"no column 'age'. Call scifn.tl.donors"):
        _stats.imbalance(table, reference="control", covariates="age")
    with pytest.raises(ArgumentError, match="'n_pdc' is not something to adjust for"):
        _stats.imbalance(table, reference="control", covariates="n_pdc")
    with pytest.raises(ArgumentError, match="rng=-1"):
        _stats.imbalance(table, reference="control", rng=-1)
    with pytest.raises(ArgumentError, match="n_permutations=0"):
        _stats.imbalance(table, reference="control", n_permutations=0)


def test_nobody_left_is_a_status():
    table = cohort({"SLE": 4, "control": 4}).assign(age=np.nan, twin=[*"abcdefgh"])
    for options, said in (
        ({"covariates": "age"}, "no single value of age"),
        ({"paired": "twin"}, "8 rows without a partner"),
    ):
        found = _stats.imbalance(table, reference="control", **options)
        assert (found["status"] == "not_measurable").all()
        assert (found["n_group"] == 0).all()
        assert found["note"].str.contains(said).all()
        assert found[["effect", "p_value", "p_adj"]].isna().all().all()


def test_numeric_conditions():
    table = cohort({"1": 4, "0": 4})
    assert (_stats.imbalance(table, reference=0)["reference"] == "0").all()


def test_cells_are_not_accepted():
    cells = pd.DataFrame({"donor": ["a"] * 4, "condition": ["x"] * 4, "logit_pdc": 0.0})
    with pytest.raises(DesignError, match="The donor is the unit"):
        _stats.imbalance(cells, reference="x")


def test_seed_decides_and_generators_are_taken():
    table = cohort({"SLE": 12, "control": 12})
    options = {"reference": "control", "n_permutations": 200}
    one, two = (_stats.imbalance(table, rng=1, **options)["p_permutation"] for _ in "ab")
    pd.testing.assert_series_equal(one, two)
    other = _stats.imbalance(table, rng=np.random.default_rng(5), **options)["p_permutation"]
    assert not np.array_equal(one, other)
    shuffled = _stats.imbalance(table[table.columns[::-1]], rng=1, **options)
    both = shuffled.set_index("readout")["p_permutation"].reindex([*k.READOUTS, k.JOINT])
    np.testing.assert_array_equal(one, both)


def test_ten_copies_of_every_cell_do_not_change_p():
    """Donors are the unit: more cells of the same donors are no evidence."""
    counts = ["n_pdc", "n_b", "n_breg_like", "n_b_effector", "n_total"]
    table = cohort({"SLE": 7, "control": 7}, seed=11, cells=40_000)
    ten = table.copy()
    ten[counts] = table[counts] * 10
    once = _stats.imbalance(table, reference="control")
    more = _stats.imbalance(with_readouts(ten), reference="control")
    # what is left is the half cell of the logarithms
    np.testing.assert_allclose(once["p_value"], more["p_value"], atol=0.02)
    # permutation weighs donors by what their counts can tell, at most alike
    np.testing.assert_allclose(once["p_permutation"], more["p_permutation"], atol=0.04)


def test_joint_row():
    """Hotelling's F of both balances, permuted together; no effect of its own."""
    table = cohort({"SLE": 7, "control": 7}, seed=2)
    found = _stats.imbalance(table, reference="control").set_index("readout")
    one = found.loc[k.JOINT]
    x, z = (table["condition"] == "SLE").to_numpy(dtype=float), np.ones((14, 1))
    f = hotelling(table[["ilr_1", "ilr_2"]].to_numpy(), x, z)
    assert (one["statistic"], one["df"], one["p_value"]) == pytest.approx(
        (f.statistic, 11, f.p_value)
    )
    parts = table[["n_pdc", "n_breg_like", "n_b_effector"]].to_numpy(dtype=float)
    p = permute_joint(
        shrunken(parts, BALANCES, z),
        Layout.of(x, z),
        n_permutations=10,
        rng=np.random.default_rng(0),
    )
    assert one["p_permutation"] == p
    assert np.isnan(one["effect"])
    assert one["p_attainable"] == 2 / 3432
    assert one["p_adj"] == p  # a family of its own
    assert found.loc["ilr_1", "p_adj"] == max(found.loc["ilr_1", "p_permutation"], p)
    assert "Hotelling's F with 2 and 11 degrees of freedom" in one["note"]


def test_a_margin_is_not_claimed_without_the_joint_test():
    """Closed testing, by hand: the larger of two numbers, within a comparison."""
    table = cohort({"SLE": 7, "pSS": 7, "control": 7}, seed=6, fold=2.0)
    found = _stats.imbalance(table, reference="control").set_index(["readout", "group"])
    margin = stats.false_discovery_control(found.loc["ilr_1", "p_permutation"])
    whole = stats.false_discovery_control(found.loc[k.JOINT, "p_permutation"])
    np.testing.assert_allclose(found.loc["ilr_1", "p_adj"], np.maximum(margin, whole))
    assert (margin < whole).tolist() == [False, True]
    # where the joint test was not made, its own stays
    table.loc[table["condition"] != "pSS", "ilr_2"] = np.nan
    lone = _stats.imbalance(table, reference="control").set_index(["readout", "group"])
    assert lone.loc[k.JOINT, "p_adj"].isna().all()
    np.testing.assert_allclose(lone.loc["ilr_1", "p_adj"], margin)


def test_joint_row_of_pairs_is_of_their_differences():
    table = paired_cohort(8)
    one = _stats.imbalance(table, reference="ctrl").set_index("readout").loc[k.JOINT]
    wide = table.pivot(index="donor", columns="condition", values=["ilr_1", "ilr_2"])
    d = (wide.xs("stim", axis=1, level=1) - wide.xs("ctrl", axis=1, level=1)).to_numpy()
    assert one["statistic"] == pytest.approx(hotelling(d, np.ones(8), np.zeros((8, 0))).statistic)
    assert (one["df"], one["p_attainable"]) == (6, 2 / 256)


def test_concordance_names_the_models_of_counts():
    table = cohort({"SLE": 9, "control": 9}, seed=7, fold=0.5)
    found = _stats.imbalance(table, reference="control").set_index("readout")
    one = found.loc["logit_pdc"]
    x, z = (table["condition"] == "SLE").to_numpy(dtype=float), np.ones((18, 1))
    a, n = (table[c].to_numpy(dtype=float) for c in ("n_pdc", "n_total"))
    p = {
        "t": one["p_value"],
        "permutation": one["p_permutation"],
        "Wilcoxon": stats.mannwhitneyu(
            table["logit_pdc"][x == 1], table["logit_pdc"][x == 0]
        ).pvalue,
        "quasi-binomial": f_test(a, n, x, z),
        "beta-binomial": likelihood_ratio(a[None], n[None], x, z)[0],
    }
    yes = [name for name, value in p.items() if value < 0.05]
    assert 0 < len(yes) < 5
    no = [name for name in p if name not in yes]
    assert one["concordance"] == f"p < 0.05: {', '.join(yes)}; not: {', '.join(no)}"
    assert found.loc["ilr_1", "concordance"].endswith("of 3 tests")


def test_concordance_of_pairs():
    """The quasi-binomial model with a factor of donors; no beta-binomial."""
    table = paired_cohort(8)
    stim = table["condition"] == "stim"
    table.loc[stim, "n_pdc"] = table.loc[~stim, "n_pdc"].to_numpy() * 3 + 5
    one = _stats.imbalance(with_readouts(table), reference="ctrl").set_index("readout")
    assert one.loc["logit_pdc", "concordance"] == "p < 0.05: all 4 tests"
    theirs = sm.GLM(
        table["n_pdc"] / table["n_total"],
        np.column_stack([stim, pd.get_dummies(table["donor"])]).astype(float),
        sm.families.Binomial(),
        var_weights=table["n_total"],
    ).fit(scale="X2")
    ours = fit_binomial(
        table["n_pdc"].to_numpy(dtype=float),
        table["n_total"].to_numpy(dtype=float),
        np.column_stack([stim, pd.get_dummies(table["donor"])]).astype(float),
    )
    np.testing.assert_allclose(ours.coefficients[0], theirs.params.iloc[0], rtol=1e-6)
    assert ours.df == 7


def test_arms_that_were_not_measured_alike():
    table = cohort({"SLE": 5, "control": 5})
    table.loc[table["condition"] == "SLE", "n_total"] = 1200
    said = _stats.imbalance(table, reference="control", depth=np.r_[[900.0] * 5, [4000.0] * 5])
    notes = said["note"]
    assert notes.str.contains(r"cells a donor differ 4.2 times .*1,200 in SLE and 5,000 in").all()
    assert notes.str.contains(r"UMI a cell differ 4.4 times").all()
    same = _stats.imbalance(cohort({"SLE": 5, "control": 5}), reference="control")
    assert not same["note"].str.contains("differ").any()


def null_cohorts(n_donors, n_cohorts, seed):
    """Cohorts that differ in nothing, as one table of donors, cohort by cohort."""
    return cohort({"x": n_donors * n_cohorts}, seed=seed)


@pytest.mark.parametrize(("n1", "n0"), [(8, 8), (5, 12)])
def test_level_under_the_null(n1, n0):
    """Rejections in 250 cohorts with no difference; a test on the same cohorts' cells beside it."""
    n, n_cohorts = n1 + n0, 250
    table = null_cohorts(n, n_cohorts, seed=99)
    x, z = np.repeat([1.0, 0.0], [n1, n0]), np.ones((n, 1))
    error = 3 * np.sqrt(0.05 * 0.95 / n_cohorts)

    def by_cohort(values):
        return values.to_numpy(dtype=float).reshape(n_cohorts, n, -1)

    held = {"ilr_1": shrunken(by_cohort(table[list(PARTS)]), BALANCES, z)[..., 0]}
    held |= {
        name: shrunken(by_cohort(pd.DataFrame(two_parts(table, name))), RATIO, z)[..., 0]
        for name in ("logit_pdc",)
    }
    for name in k.READOUTS:
        t = (fit(by_cohort(table[name])[..., 0].T, x, z).p_value < 0.05).mean()
        assert abs(t - 0.05) < error, name
    for name, values in held.items():
        exact = permute(
            values.T,
            Layout.of(x, z),
            n_permutations=999,
            rng=np.random.default_rng(0),
        )
        assert exact.exact
        assert (exact.p_value < 0.05).mean() < 0.05 + error, name
    pdc = by_cohort(table["n_pdc"])[..., 0].T
    group, rest = pdc[:n1].sum(0), pdc[n1:].sum(0)
    cells = [
        stats.chi2_contingency([[a, b], [5000 * n1 - a, 5000 * n0 - b]]).pvalue
        for a, b in zip(group, rest, strict=True)
    ]
    assert np.mean(np.array(cells) < 0.05) > 0.35


def test_level_with_a_covariate_and_freedman_lane():
    """A covariate that leans on the group and moves the readout; random arms of 7 and 8."""
    rng = np.random.default_rng(4)
    n_cohorts, x = 300, np.repeat([1.0, 0.0], [7, 8])
    c = 0.5 * rng.normal(size=15) + x
    y = rng.normal(size=(15, n_cohorts)) + 2 * c[:, None]
    z = np.column_stack([np.ones(15), c])
    found = permute(
        y,
        Layout.of(x, z),
        n_permutations=2000,
        rng=rng,
    )
    error = 3 * np.sqrt(0.05 * 0.95 / n_cohorts)
    assert abs((found.p_value < 0.05).mean() - 0.05) < error
    assert (fit(y, x, np.ones((15, 1))).p_value < 0.05).mean() > 0.5


@pytest.mark.parametrize("paired", [None, "pair"])
def test_cells_that_hardly_any_donor_has_make_no_difference(paired):
    """Without a pDC anywhere, half a cell more tells the arms apart by the cells counted alone."""
    table = cohort({"SLE": 8, "control": 8})
    table["pair"] = [str(i % 8) for i in range(16)]
    table["n_total"] = np.where(table["condition"] == "SLE", 2500, 7500) + np.arange(16)
    table["n_pdc"] = 0.0
    table.loc[[0, 9, 10], "n_pdc"] = 1.0
    of_pdc = ["logit_pdc", "lr_pdc_breg", "ilr_1", k.JOINT]
    found = _stats.imbalance(with_readouts(table), reference="control", paired=paired)
    found = found.set_index("readout")
    assert (found.loc[of_pdc, "status"] == "too_few_cells").all()
    assert (
        found.loc[of_pdc, ["effect", "ci_low", "p_value", "p_permutation", "p_adj"]]
        .isna()
        .all(axis=None)
    )
    unit = "donors" if paired is None else "pairs"
    assert (
        f"pDC in 3 of {16 if paired is None else 8} {unit}, 4 needed"
        in found.loc["logit_pdc", "note"]
    )
    assert (found.drop(of_pdc)["status"] == "ok").all()
    table.loc[11, "n_pdc"] = 1.0
    found = _stats.imbalance(with_readouts(table), reference="control", paired=paired)
    assert (found["status"] == "ok").all()


def test_an_interval_that_contradicts_the_permutation_is_named():
    said = []
    for seed in (19, 24):
        table = cohort({"SLE": 6, "control": 6}, seed=seed, fold=0.4, cells=1500)
        found = alone(_stats.imbalance(table, reference="control", n_permutations=99))
        for row in found.to_dict("records"):
            covers = row["ci_low"] <= 0 <= row["ci_high"]
            torn = covers == (row["p_permutation"] < 0.05)
            assert ("the 95 % interval" in row["note"]) == torn
            if torn:
                said.append((row["readout"], covers, "covers 0" in row["note"]))
    assert said == [("lr_pdc_breg", True, True), ("logit_pdc", False, False)]


def test_a_design_that_cannot_reach_the_level_says_so():
    table = cohort({"SLE": 8, "control": 8})
    # exchanged in one block of two donors only: the others hold one arm each
    table["batch"] = ["1"] * 7 + ["2", "2"] + ["3"] * 7
    found = alone(_stats.imbalance(table, reference="control", block="batch"))
    assert (found["p_attainable"] == 1).all()
    assert found["note"].str.contains("no p below 1 can").all()
    assert not found["note"].str.contains("the 95 % interval").any()
    few = cohort({"SLE": 4, "control": 4})
    few["pair"] = [*"1234", *"1234"]
    found = alone(_stats.imbalance(few, reference="control", paired="pair"))
    assert found["note"].str.contains("no p below 0.125 can come of this design").all()
    assert not few.pipe(_stats.imbalance, reference="control")["note"].str.contains("no p").any()


def test_methods_to_paste_say_what_was_tested():
    from scifn.report._material import gather
    from scifn.report._methods import methods

    labels = ["T/NK"] * 500 + ["B naive"] * 60 + ["B transitional"] * 5 + ["pDC"] * 3
    rows = [(f"D{i}", "ab"[i % 2], x) for i in range(8) for x in labels]
    obs = pd.DataFrame(rows, columns=["donor", "group", "label"]).rename(index=str)
    adata = ad.AnnData(obs=obs)
    scifn.tl.donors(adata, donor="donor", condition="group", cell_type="label")
    scifn.tl.imbalance(adata, reference="a")
    text = str(methods(gather(adata)).blocks)
    for said in ("held to the other donors’", "Cliff’s delta is Newcombe’s", "ilr_joint, Hotelling",
                 "that of ilr_1 is never below that of ilr_joint"):  # fmt: skip
        assert said in text
