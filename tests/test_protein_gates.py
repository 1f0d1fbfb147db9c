"""Surface proteins: names, noise, gates; on counts drawn here and on measured ones."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from scifn import _keys as k
from scifn._cells import adt
from scifn._cells.antibodies import marker_of, resolve
from scifn._cells.protein import gate_cells

PLEX = ("CD3", "CD19", "CD14", "CD16", "CD56", "HLA-DR", "CD11c", "CD123", "CD303",
        "CD24", "CD38", "CD27", "IgD", "CD5")  # fmt: skip
#: UMI of antigens above a background of 2.
CELLS = {
    "T": {"CD3": 100, "CD5": 120, "CD27": 120, "CD38": 30},
    "Mono": {"CD14": 60, "CD11c": 400, "HLA-DR": 120, "CD123": 15, "CD38": 60},
    "naive B": {"CD19": 180, "HLA-DR": 110, "CD24": 6, "CD38": 40, "IgD": 200},
    "transitional B": {"CD19": 180, "HLA-DR": 110, "CD24": 80, "CD38": 400, "IgD": 200},
    "memory B": {"CD19": 180, "HLA-DR": 110, "CD24": 60, "CD38": 8, "CD27": 150},
    "pDC": {"CD123": 450, "CD303": 150, "HLA-DR": 110, "CD38": 120},
    "AS-DC": {"CD123": 250, "CD303": 80, "HLA-DR": 200, "CD38": 120, "CD5": 150},
    "basophil": {"CD123": 500},
    "pDC+T": {"CD123": 450, "CD303": 150, "HLA-DR": 110, "CD38": 120, "CD3": 100, "CD5": 120},
    "CD34": {"CD123": 150, "HLA-DR": 60},
}
MIX = {"T": 2000, "Mono": 500, "naive B": 300, "transitional B": 20, "memory B": 100, "pDC": 9,
       "AS-DC": 3, "basophil": 10, "pDC+T": 3, "CD34": 5}  # fmt: skip


def drawn(mix=MIX, plex=PLEX, *, seed=0, depth=1.0):
    """Counts of cells of known kind: Poisson of background and antigen, 20 % between cells."""
    rng = np.random.default_rng(seed)
    kinds = np.repeat(list(mix), list(mix.values()))
    mean = np.array([[2.0 + CELLS[kind].get(marker, 0) for marker in plex] for kind in kinds])
    cell = rng.lognormal(0, 0.2, (kinds.size, 1)) * depth
    return rng.poisson(mean * cell * rng.lognormal(0, 0.2, mean.shape)).astype(np.float32), kinds


def gated(umi, names, stained=None):
    return gate_cells(umi, names, np.ones(len(umi), bool) if stained is None else stained)


def table(surface):
    return pd.DataFrame(surface.gates, columns=list(k.GATES_COLUMNS))


def result(surface, population):
    rows = table(surface)
    return rows[(rows["population"] == population) & (rows["protein"] == "")].iloc[0]


# --- names --------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "marker"),
    [
        ("CD303", "CD303"), ("CD303_TotalSeqB", "CD303"), ("CD303 (BDCA-2)", "CD303"),
        ("BDCA-2 (CD303)", "CD303"), ("anti-human CD303", "CD303"), ("CLEC4C", "CD303"),
        ("Hu.CD303", "CD303"), ("hu_cd303a", "CD303"), ("BDCA2", "CD303"),
        ("CD304", "CD304"), ("NRP1", "CD304"), ("CD304 (Neuropilin-1)", "CD304"),
        ("BDCA-4", "CD304"), ("CD123", "CD123"), ("IL-3RA", "CD123"), ("ADT_CD123", "CD123"),
        ("CD123:7G3|IL3RA|AHS0020|pAbO", "CD123"), ("C0064_anti-human_CD123", "CD123"),
        ("CD19-CTGGGCAATTACTCG", "CD19"), ("CD19.1", "CD19"), ("cd20", "CD20"),
        ("Hu.CD20-2H7", "CD20"), ("MS4A1", "CD20"), ("Hu.CD38-HIT2", "CD38"), ("CD24", "CD24"),
        ("CD27_TotalSeqC", "CD27"), ("IgD", "IgD"), ("IGHD", "IgD"), ("CD10", "CD10"),
        ("CD3-UCHT1", "CD3"), ("CD3-3", "CD3"), ("CD3E", "CD3"), ("CD14-M5E2", "CD14"),
        ("CD16", "CD16"), ("CD56 (NCAM) Recombinant", "CD56"), ("HLA-DR", "HLA-DR"),
        ("Hu.HLA.DR", "HLA-DR"), ("HLADR", "HLA-DR"), ("HLA-DR|CD74|AHS0035", "HLA-DR"),
        ("CD11c", "CD11c"), ("ITGAX", "CD11c"), ("CD33", "CD33"), ("CD5", "CD5"),
        ("CD327", "CD327"), ("Siglec-6", "CD327"), ("CD327 (Siglec-6)", "CD327"),
        ("HuMsRt.CD27", "CD27"),
        ("CD30", None), ("CD31", None), ("CD11b", None), ("CD45RA", None), ("HLA-ABC", None),
        ("CD158e1 (KIR3DL1, NKB1)", None), ("CD1c", None), ("CD2-4", None), ("CD5L", None),
    ],
)  # fmt: skip
def test_names_of_makers_and_pipelines(name, marker):
    assert marker_of(name) == marker


def test_controls_hashtags_and_clones():
    names = ["MouseIgG1kappaisotype", "Isotype-RTK2758", "IgG2a_control_TotalSeqB", "Rat-IgG1-1",
             "Mouse_IgG1_isotype_Ctrl", "anti-human Hashtag 1", "HTO_2", "CD3-1", "CD3-2",
             "Hu.IgG.Fc"]  # fmt: skip
    found = resolve(names)
    assert found.isotypes == (0, 1, 2, 3, 4)
    assert found.proteins == (0, 1, 2, 3, 4, 7, 8, 9)
    assert found.columns == {"CD3": (7, 8)}


# --- noise --------------------------------------------------------------------
def test_scale_by_hand():
    # asinh(1) = ln(1 + sqrt 2)
    np.testing.assert_allclose(adt.transform(np.array([0.0, 5.0, 10.0]), 1.0)[:2], [0, 0.881374],
                               atol=1e-6)  # fmt: skip
    np.testing.assert_allclose(adt.transform(np.array([10.0]), 2.0), [0.881374], atol=1e-6)
    assert adt.to_umi(0.8813735870195429) == pytest.approx(5.0)


@pytest.mark.parametrize("positive", [0.0, 0.003, 0.3, 0.6])
def test_positive_cells_do_not_move_the_background(positive):
    rng = np.random.default_rng(1)
    counts = rng.poisson(8.0, 20_000).astype(float)
    counts[: int(positive * 20_000)] = rng.poisson(300, int(positive * 20_000))
    fit = adt.background(adt.Density(counts))
    # Poisson(8): asinh(8/5) = 1.249; SD by the delta method sqrt(8) / sqrt(25 + 64) = 0.300
    assert fit.center == pytest.approx(1.249, abs=0.06)
    assert fit.spread == pytest.approx(0.300, abs=0.06)
    gate = adt.gate(adt.Density(counts), fit)
    assert gate.method == ("valley" if positive else "background + 5 SD")
    wrong = (adt.transform(counts, 1.0) > gate.threshold) != (np.arange(20_000) < positive * 20_000)
    assert wrong.mean() < 0.001


def test_gate_without_a_valley_stands_at_five_spreads():
    fit = adt.Background(0.4, 0.2)
    density = adt.Density(np.random.default_rng(0).poisson(2.0, 5_000).astype(float))
    assert adt.gate(density, fit, valley="none").threshold == pytest.approx(1.4)
    assert adt.gate(density, fit, valley="none", spreads=3.0).threshold == pytest.approx(1.0)


def test_spread_below_one_umi_is_that_of_the_negative_binomial():
    # 500 zeros, 300 ones: ratio 0.6, mean 0.6 / (1 - 0.25 * 0.6) = 0.7059; 200 bright cells
    counts = np.repeat([0.0, 1.0, 40.0], [500, 300, 200])
    mean = 0.6 / 0.85
    expected = np.sqrt(mean + 0.25 * mean**2) / np.sqrt(25 + mean**2)
    fit = adt.background(adt.Density(counts))
    assert 0.0 <= fit.center < 0.2
    assert fit.spread == pytest.approx(expected, abs=1e-3)


def test_a_few_unstained_cells_are_not_the_background():
    rng = np.random.default_rng(2)
    counts = np.r_[np.zeros(300), rng.poisson(40.0, 2_000)].astype(float)
    assert adt.to_umi(adt.background(adt.Density(counts), 30.0).center) == pytest.approx(40, abs=3)
    assert adt.background(adt.Density(counts), 0.5).center == pytest.approx(0.0, abs=0.05)


def test_background_factor_finds_lanes_of_different_depth():
    rng = np.random.default_rng(3)
    lane = np.repeat([1.0, 3.0], 1_000)
    umi = rng.poisson(np.outer(lane, np.full(40, 4.0))).astype(np.float32)
    umi[::2, :3] += 200  # antigens of half of the cells say nothing of the factor
    factor = adt.noise(umi, range(40)).factor
    low, high = (np.median(factor[lane == n]) for n in (1.0, 3.0))
    # 120 to 160 weighted UMI against a prior of 20 pull it a little to 1
    assert 2.2 < high / low <= 3.0
    assert abs(np.median(factor[::2]) / np.median(factor[1::2]) - 1) < 0.05


# --- gates --------------------------------------------------------------------
def test_populations_of_known_kind():
    umi, kinds = drawn()
    surface = gated(umi, PLEX)
    for kind, call in [("pDC", "pDC"), ("AS-DC", "AS-DC"), ("pDC+T", "doublet"),
                       ("CD34", "CD123 only"), ("T", "not_pDC"), ("basophil", "not_pDC"),
                       ("Mono", "not_pDC")]:  # fmt: skip
        assert (surface.pdc[kinds == kind] == call).mean() >= 0.99, kind
    tells = surface.breg[kinds == "transitional B"] == "transitional_like"
    assert tells.mean() >= 0.9
    assert (surface.breg[kinds == "memory B"] == "b10_like").mean() >= 0.95
    assert (surface.breg[kinds == "naive B"] == "none").mean() >= 0.97
    assert (surface.breg[kinds == "T"] == "NA").mean() >= 0.999
    assert surface.pdc_measurable
    assert surface.breg_measurable


def test_table_counts_what_the_calls_say():
    surface = gated(*(drawn()[0], PLEX))
    rows = table(surface)
    assert {str(kind) for kind in rows.dtypes} <= {"object", "str", "float64"}
    pdc = result(surface, "pDC")
    assert pdc["n_positive"] == (surface.pdc == "pDC").sum()
    assert pdc["of"] == len(surface.pdc)
    assert pdc["percent"] == pytest.approx(100 * pdc["n_positive"] / pdc["of"])
    b_cells = result(surface, "B cell")["n_positive"]
    for kind in ("transitional_like", "b10_like"):
        row = result(surface, kind)
        assert row["n_positive"] == (surface.breg == kind).sum()
        assert row["of"] == b_cells == (surface.breg != "NA").sum()
    one = rows[(rows["population"] == "pDC") & (rows["protein"] == "CD303")].iloc[0]
    above = surface.values[:, surface.markers.index("CD303")] > one["threshold"]
    assert one["n_positive"] == above.sum()
    assert one["umi"] == pytest.approx(5 * np.sinh(one["threshold"]))
    hi = rows[rows["method"].str.startswith("naive")]
    assert set(hi["protein"]) == {"CD24", "CD38"}


def test_order_of_cells_and_antibodies_does_not_matter():
    umi, _ = drawn()
    first = gated(umi, PLEX)
    rng = np.random.default_rng(5)
    cells, plex = rng.permutation(len(umi)), rng.permutation(len(PLEX))
    second = gated(umi[np.ix_(cells, plex)], [PLEX[i] for i in plex])
    np.testing.assert_array_equal(second.pdc, first.pdc[cells])
    np.testing.assert_array_equal(second.breg, first.breg[cells])


@pytest.mark.parametrize("depth", [0.2, 5.0])
def test_depth_of_sequencing(depth):
    umi, kinds = drawn(depth=depth)
    surface = gated(umi, PLEX)
    assert (surface.pdc[kinds == "pDC"] == "pDC").mean() >= 0.85
    assert (surface.pdc[kinds != "pDC"] == "pDC").sum() <= 1


@pytest.mark.parametrize(
    ("lost", "note"),
    [
        (("CD123",), "CD123 is not among the proteins"),
        (("CD303",), "CD303 is not among the proteins; CD304 is not among the proteins"),
    ],
)
def test_pdc_are_not_measurable_without_their_markers(lost, note):
    plex = [marker for marker in PLEX if marker not in lost]
    surface = gated(drawn(plex=plex)[0], plex)
    assert not surface.pdc_measurable
    assert set(surface.pdc) == {"NA"}
    row = result(surface, "pDC")
    assert np.isnan(row["n_positive"])
    assert note in row["note"]
    assert surface.breg_measurable


@pytest.mark.parametrize("lost", ["CD19", "CD24", "CD38"])
def test_breg_is_not_measurable_without_its_markers(lost):
    plex = [marker for marker in PLEX if marker != lost]
    surface = gated(drawn(plex=plex)[0], plex)
    assert not surface.breg_measurable
    assert set(surface.breg) == {"NA"}
    assert f"{lost} is not among the proteins" in result(surface, "transitional_like")["note"]
    assert surface.pdc_measurable


def test_without_cd27_transitional_is_told_and_b10_is_not():
    plex = [marker for marker in PLEX if marker != "CD27"]
    surface = gated(drawn(plex=plex)[0], plex)
    assert surface.breg_measurable
    assert "b10_like" not in set(surface.breg)
    assert result(surface, "b10_like")["note"] == "not measurable: CD27 is not among the proteins"


def test_an_antibody_that_failed_is_not_a_negative():
    umi, _ = drawn()
    umi[:, PLEX.index("CD303")] = 0
    surface = gated(umi, PLEX)
    assert "CD303 has no counts in any cell" in result(surface, "pDC")["note"]
    umi, _ = drawn()
    umi[:, PLEX.index("CD24")] = np.random.default_rng(0).random(len(umi)) < 0.02
    assert "CD24 has too few counts" in result(gated(umi, PLEX), "transitional_like")["note"]


def test_sorted_cells_have_no_negatives_to_gate_by():
    surface = gated(drawn({"pDC": 500}, PLEX)[0], PLEX)
    assert set(surface.pdc) == {"NA"}
    assert "no negative cells" in result(surface, "pDC")["note"]


def test_too_few_cells():
    mix = {"T": 60, "pDC": 5}
    assert "fewer than 100 cells" in result(gated(drawn(mix)[0], PLEX), "pDC")["note"]
    surface = gated(drawn({"T": 500, "naive B": 30})[0], PLEX)
    assert "fewer than 50 naive B cells" in result(surface, "transitional_like")["note"]
    assert surface.pdc_measurable


def test_unstained_cells_are_not_judged():
    umi, kinds = drawn()
    umi[:50] = 0
    umi[50:60] = np.eye(10, len(PLEX))  # one UMI where the others have hundreds
    surface = gated(umi, PLEX, stained=umi.sum(axis=1) > 0)
    assert set(surface.pdc[:60]) == {"NA"}
    assert set(surface.breg[:60]) == {"NA"}
    assert np.isnan(surface.values[:60]).all()
    assert not np.isnan(surface.values[60:]).any()
    assert result(surface, "pDC")["of"] == len(kinds) - 60


# --- measured cells -------------------------------------------------------------
@pytest.fixture(scope="module")
def pbmc(shared_data):
    """2,872 PBMC, 87 proteins (Kotliarov 2020): up to 100 cells of each of 30 clusters."""
    adata = ad.read_h5ad(shared_data / "dsb_tsang_protein87_pbmc.h5ad")
    dense = adata.X if isinstance(adata.X, np.ndarray) else adata.X.toarray()
    return dense.astype(np.float32), [str(name).strip() for name in adata.var_names]


def test_pdc_of_measured_cells(pbmc):
    umi, names = pbmc
    surface = gated(umi, names)
    of = {name: umi[:, names.index(name)] for name in ("CD303", "CD123", "CD3", "CD19")}
    pdc = surface.pdc == "pDC"
    # the cluster of pDC lies apart: 100 cells (its cap) above 40 UMI of CD303, next one at 24
    cluster = of["CD303"] >= 40
    assert cluster.sum() == 100
    assert (pdc & ~cluster).sum() == 0
    assert (of["CD123"][pdc] >= 150).all()
    assert pdc.sum() == 92
    # the rest of the cluster carries CD5 (AS-DC-like) or CD3 (doublets with T cells)
    assert set(surface.pdc[cluster]) == {"pDC", "AS-DC", "doublet"}
    assert (of["CD3"][surface.pdc == "doublet"] > 30).all()


def test_pdc_at_the_fraction_of_blood(pbmc):
    """The file holds pDC at ten times their fraction; at that of blood the gates find them too."""
    umi, names = pbmc
    cluster = np.flatnonzero(umi[:, names.index("CD303")] >= 40)
    rest = np.setdiff1d(np.arange(len(umi)), cluster)
    clean = cluster[gated(umi, names).pdc[cluster] == "pDC"]
    for seed in range(3):
        kept = np.random.default_rng(seed).choice(clean, 9, replace=False)
        chosen = np.r_[rest, kept]
        surface = gated(umi[chosen], names)
        pdc = surface.pdc == "pDC"
        assert 0.2 <= 100 * pdc.mean() <= 0.8
        assert not pdc[: rest.size].any()
        assert pdc.sum() >= 8


def test_breg_like_of_measured_cells(pbmc):
    umi, names = pbmc
    surface = gated(umi, names)
    b_cell = surface.breg != "NA"
    assert b_cell.sum() == pytest.approx(415, abs=5)
    cuts = {"CD10": 6, "IgD": 20, "CD27": 30, "CD20": 14}
    positive = {name: umi[:, names.index(name)] >= cut for name, cut in cuts.items()}
    transitional = surface.breg == "transitional_like"
    b10 = surface.breg == "b10_like"
    assert 3.0 < 100 * transitional.sum() / b_cell.sum() < 8.0
    # CD10 is in no gate, and marks transitional B cells
    assert positive["CD10"][transitional].mean() > 0.6
    assert positive["CD10"][b_cell & ~transitional].mean() < 0.1
    assert positive["IgD"][transitional].mean() > 0.9
    assert positive["CD20"][transitional].mean() > 0.9
    assert positive["CD27"][b10].mean() > 0.95
    assert not (transitional & b10).any()


def test_depth_of_measured_cells(pbmc):
    umi, names = pbmc
    full = gated(umi, names).pdc == "pDC"
    thin = np.random.default_rng(0).binomial(umi.astype(int), 0.1).astype(np.float32)
    shallow = gated(thin, names).pdc == "pDC"
    assert (full & shallow).sum() >= 0.9 * full.sum()
    assert (shallow & (umi[:, names.index("CD303")] < 40)).sum() <= 1
