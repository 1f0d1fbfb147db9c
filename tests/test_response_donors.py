"""Response of donors: by lineage, at the controls' composition, and of summed cells."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scifn import _donors, _stats, get, tl
from scifn import _keys as k
from scifn._cells import response
from scifn._stats.composition import compartment

WEIGHTS = {"B": 0.1, "Mono": 0.2, "T/NK": 0.7}
#: Mean response of a cell of each type, of a donor that responds.
OF_TYPE = {k.B_NAIVE: 3.0, k.MONOCYTE: 9.0, k.T_NK: 1.0, k.PLASMA: 30.0, k.PLATELET: 99.0}


def cells(counts, *, donor="d", condition="case", scale=1.0):
    """Cells of one donor; those of a type scatter evenly around its mean."""
    types = np.repeat(list(counts), list(counts.values()))
    spread = np.concatenate([np.where(np.arange(n) % 2, 1.0, -1.0) for n in counts.values()])
    score = np.array([OF_TYPE[name] for name in types]) * scale + spread
    obs = {"donor": donor, "condition": condition, "type": types, k.RESPONSE_TYPE1: score}
    return pd.DataFrame(obs)


def table(obs, weights=WEIGHTS):
    obs = obs.set_axis([f"c{i}" for i in range(len(obs))])
    return _donors.donor_table(
        obs, donor="donor", condition="condition", cell_type="type", composition=weights
    ).table


BLOOD = {k.T_NK: 140, k.MONOCYTE: 40, k.B_NAIVE: 20, k.PLATELET: 30}


def test_standardized_and_its_error_by_hand():
    one = table(cells(BLOOD)).iloc[0]
    mean = 0.7 * 1 + 0.2 * 9 + 0.1 * 3
    assert one["response_type1:standardized"] == pytest.approx(np.log2(1 + mean))
    # +1 and -1 in turn: variance n / (n - 1), of the mean 1 / (n - 1)
    se = np.sqrt(0.7**2 / 139 + 0.2**2 / 39 + 0.1**2 / 19)
    assert one["response_type1:standardized_se"] == pytest.approx(se / (1 + mean) / np.log(2))
    assert one["response_type1:Mono"] == pytest.approx(np.log2(10))
    assert one["response_type1:Mono_se"] == pytest.approx(1 / np.sqrt(39) / 10 / np.log(2))


def test_more_monocytes_are_not_more_response():
    more = BLOOD | {k.MONOCYTE: 400, k.T_NK: 60, k.PLATELET: 300}
    few, many = cells(BLOOD), cells(more, donor="e")
    counted = [x[x["type"] != k.PLATELET][k.RESPONSE_TYPE1].mean() for x in (few, many)]
    assert counted[1] > 2 * counted[0]  # the plain mean follows the composition
    both = table(pd.concat([few, many]))
    values = both["response_type1:standardized"]
    assert values[0] == pytest.approx(values[1], abs=1e-12)
    # and a response is seen at either composition
    twice = table(cells(more, scale=2.0))["response_type1:standardized"][0]
    assert twice == pytest.approx(np.log2(1 + 2 * (0.7 + 1.8 + 0.3)))


def test_plasma_cells_are_no_b_cells():
    assert compartment(k.PLASMABLAST) == compartment(k.PLASMA) == k.PLASMA
    assert compartment(k.DOUBLET) == compartment(k.ERYTHROCYTE) == ""
    values = table(
        pd.concat([cells(BLOOD), cells(BLOOD | {k.PLASMA: 20}, donor="e")])
    )["response_type1:standardized"]  # fmt: skip
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_a_donor_needs_most_of_the_composition():
    few_b = table(cells(BLOOD | {k.B_NAIVE: 9})).iloc[0]
    assert np.isnan(few_b["response_type1:B"])
    assert few_b["response_type1:standardized"] == pytest.approx(np.log2(1 + (0.7 + 1.8) / 0.9))
    no_t = table(cells(BLOOD | {k.T_NK: 9})).iloc[0]
    assert np.isnan(no_t["response_type1:standardized"])
    assert np.isnan(no_t["response_type1:standardized_se"])
    assert no_t["response_type1:Mono"] == pytest.approx(np.log2(10))


def test_composition_is_that_of_the_control_cells():
    rows = [
        ("type1", "T/NK", 600), ("type1", "lineage T/NK", 600), ("type1", "lineage Mono", 250),
        ("type1", "lineage B", 130), ("type1", k.PLASMA, 20), ("type1", k.PLASMABLAST, 10),
        ("type1", "lineage Other", 130), ("type1", k.PLATELET, 100), ("type1", "lineage DC", 10),
        ("type1", "lineage Unassigned", 500), ("type1", "all", 1620),
        ("type2_leaning", "lineage Mono", 1),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["score", "group", "n_cells"])
    # 1,020 cells count; DC hold 1 % of them and are left out
    found = _donors.composition(frame)
    want = {"B": 100, "Mono": 250, "T/NK": 600, "Other": 30, k.PLASMA: 30}
    assert found == pytest.approx({name: n / 1010 for name, n in want.items()})
    assert _donors.composition(frame.iloc[:0]) == {}


def test_visits_are_averaged_with_their_errors():
    one = cells(BLOOD).assign(visit="a")
    two = cells(BLOOD | {k.MONOCYTE: 160}).assign(visit="b")
    obs = pd.concat([one, two]).set_axis([f"c{i}" for i in range(len(one) + len(two))])
    found = _donors.donor_table(obs, donor="donor", condition="condition", visit="visit",
                                cell_type="type", composition=WEIGHTS).table  # fmt: skip
    name = "response_type1:Mono"
    together = _donors.collapse_visits(found).iloc[0]
    assert together[name] == pytest.approx(found[name].mean())
    want = np.hypot(*found[f"{name}_se"]) / 2
    assert together[f"{name}_se"] == pytest.approx(want)


def test_groups_are_compared_by_it_and_not_by_its_error():
    rng = np.random.default_rng(0)
    parts = []
    for i in range(12):
        case = i < 6
        blood = BLOOD | {k.MONOCYTE: 200 if case else 40}  # patients have more monocytes alone
        one = cells(blood, donor=f"d{i}", condition="case" if case else "control")
        parts.append(one.assign(**{k.RESPONSE_TYPE1: one[k.RESPONSE_TYPE1] + rng.normal(0, 0.3)}))
    found = _stats.imbalance(table(pd.concat(parts)), reference="control", rng=1)
    found = found.set_index("readout")
    assert not any(name.endswith("_se") for name in found.index)
    row = found.loc["response_type1:standardized"]
    assert (row["family"], row["status"]) == ("response", "ok")
    assert row["p_permutation"] > 0.05
    assert abs(row["effect"]) < 0.2


# --- the steps --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def scored():
    """Two donors an arm, counts of response genes and of one other; the arms differ twofold."""
    rng = np.random.default_rng(2)
    genes = [*response.panel_genes(), "ACTB"]
    n = 480
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
    obs["donor"] = [f"d{i % 4}" for i in range(n)]
    obs["condition"] = ["case" if i % 4 < 2 else "control" for i in range(n)]
    obs[k.CELL_TYPE] = pd.Categorical(
        rng.choice([k.MONOCYTE, k.T_NK, k.PDC], n, p=[0.3, 0.67, 0.03])
    )
    rate = np.where(obs["condition"] == "case", 1.0, 0.5)[:, None]
    counts = rng.poisson(np.repeat(rate, len(genes), axis=1))
    counts[:, -1] = rng.integers(500, 4000, n)
    adata = ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs, pd.DataFrame(index=genes))
    tl.response(adata, condition="condition", reference="control")
    tl.donors(adata, donor="donor", condition="condition")
    return adata


def test_response_of_sums_by_hand(scored):
    found = get.pseudobulk(scored)
    heads = ["donor", "condition", "visit", "cell_type", "n_cells", "total_umi", "response_type1"]
    assert found.columns[:7].tolist() == heads
    row = found[(found["donor"] == "d0") & (found["cell_type"] == k.MONOCYTE)].iloc[0]
    mine = ((scored.obs["donor"] == "d0") & (scored.obs[k.CELL_TYPE] == k.MONOCYTE)).to_numpy()
    sums = pd.Series(np.asarray(scored.X[mine].sum(axis=0)).ravel(), scored.var_names)
    rate = sum(1e4 * sums[g] / np.sqrt(response.rates()[g]) for g in
               response._sets.for_species("isg_sc_pan", "human")) / sums.sum()  # fmt: skip
    stored = scored.uns["scifn"]["response"]["reference"]
    at = (stored["score"] == "type1") & (stored["group"] == k.MONOCYTE)
    assert row["response_type1"] == pytest.approx(
        rate / stored.loc[at, "mean"].iloc[0] - 1, rel=1e-6
    )
    balance = row["response_type1"] - row["response_type2_leaning"]
    assert row["response_balance"] == pytest.approx(balance)
    few = found["n_cells"] < 10
    assert few.any()
    assert (found["response_type1"].isna() == few).all()
    # what is stored holds sums alone
    assert "response_type1" not in scored.uns["scifn"]["pseudobulk"]["rows"]


def test_each_donor_and_type_that_responds_is_higher_either_way(scored):
    sums = get.pseudobulk(scored).dropna().groupby(["cell_type", "condition"])["response_type1"]
    assert (sums.min().unstack()["case"] > sums.max().unstack()["control"]).all()
    donors = get.donors(scored).set_index("condition")
    for name in ("response_type1:Mono", "response_type1:T_NK", "response_type1:standardized"):
        assert donors.loc["case", name].min() > donors.loc["control", name].max()
    record = scored.uns["scifn"]["donors_parameters"]
    assert record["composition"].startswith("Mono 0.")


def test_without_controls_there_is_an_absolute_rate_and_it_is_said(scored):
    adata = scored.copy()
    del adata.uns["scifn"]
    tl.response(adata, overwrite=True)
    assert adata.uns["scifn"]["response"]["meaning"].startswith("absolute: weighted UMI per 10,000")
    tl.donors(adata, donor="donor", condition="condition")
    assert "response_type1:standardized" not in get.donors(adata)
    assert "no standardized response" in adata.uns["scifn"]["donors_parameters"]["notes"]
    sums = get.pseudobulk(adata)
    mono = sums[sums["cell_type"] == k.MONOCYTE].set_index("condition")["response_type1"]
    assert (mono > 0).all()  # a rate, not an excess
    assert mono["case"].min() > 1.5 * mono["control"].max()


def test_a_handful_of_controls_has_no_composition(scored):
    few = scored[np.r_[0:60]].copy()
    few.obs[k.CELL_TYPE] = pd.Categorical([k.MONOCYTE, k.T_NK, k.PDC] * 20)
    few.obs["condition"] = ["control"] * 40 + ["case"] * 20
    del few.uns["scifn"]
    tl.response(few, condition="condition", reference="control", overwrite=True)
    few.obs["donor"] = [f"d-{c}" for c in few.obs["condition"]]
    tl.donors(few, donor="donor", condition="condition")
    assert "response_type1:standardized" not in get.donors(few)
    assert "too few control cells a lineage" in few.uns["scifn"]["donors_parameters"]["notes"]


def test_a_model_brings_its_own_composition(scored):
    one = scored[scored.obs["donor"] == "d0"].copy()
    model = one.uns.pop("scifn")
    tl.response(one, model=model, overwrite=True)
    tl.donors(one, donor="donor", condition="condition")
    both = get.donors(scored).set_index("donor")
    name = "response_type1:standardized"
    assert get.donors(one)[name][0] == pytest.approx(both.loc["d0", name], rel=1e-5)
