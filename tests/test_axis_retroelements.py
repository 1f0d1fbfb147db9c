"""LINE-1: names of every tool, sums of donors, associations, and what is refused."""

from __future__ import annotations

import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import scifn
from scifn import _keys as k
from scifn import _stats
from scifn._errors import ArgumentError, MissingKeyError, OverwriteError, ScaleError
from scifn._stats import retroelements as model
from scifn.genesets import _repeats
from scifn.genesets._repeats import parse

PLACE = "chr1|191642277|191642464"


# --- names -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "subfamily", "level", "group"),
    [
        ("L1HS", "L1HS", "subfamily", "young"),  # scTE, IRescue
        ("l1hs", "l1hs", "subfamily", "young"),
        ("L1PA4", "L1PA4", "subfamily", "young"),
        ("L1PA5", "L1PA5", "subfamily", "young_broad"),
        ("L1PA8A", "L1PA8A", "subfamily", "other"),
        ("L1PA16", "L1PA16", "subfamily", "other"),
        ("L1PREC2", "L1PREC2", "subfamily", "other"),
        ("L1MA4A", "L1MA4A", "subfamily", "old"),
        ("L1ME3Cz", "L1ME3Cz", "subfamily", "old"),
        ("L1M2a1", "L1M2a1", "subfamily", "old"),
        ("L1MDa", "L1MDa", "subfamily", "old"),
        ("L1PBa1", "L1PBa1", "subfamily", "old"),
        ("HAL1ME", "HAL1ME", "subfamily", "old"),
        ("L1HS#LINE/L1", "L1HS", "subfamily", "young"),  # IRescue
        ("L1MEf~LINE/L1", "L1MEf", "subfamily", "old"),
        ("AluY#SINE/Alu", "AluY", "subfamily", ""),
        ("L1HS~12", "L1HS", "locus", "young"),
        ("L1PA2_l13", "L1PA2", "locus", "young"),
        ("L1PA2-l13", "L1PA2", "locus", "young"),
        ("L1HS:L1:LINE", "L1HS", "subfamily", "young"),  # TEtranscripts
        ("HAL1:L1:LINE", "HAL1", "subfamily", "old"),
        ("HERVK-int:ERVK:LTR", "HERVK-int", "subfamily", ""),
        ("L1HS_dup12:L1HS:L1:LINE", "L1HS", "locus", "young"),  # TElocal
        ("L1HS-dup12:L1HS:L1:LINE", "L1HS", "locus", "young"),
        ("SoloTE|L1HS:L1:LINE", "L1HS", "unplaced", "young"),  # SoloTE to 1.08
        (f"SoloTE|{PLACE}|L1PA3:L1:LINE|-", "L1PA3", "locus", "young"),
        (f"SoloTE|{PLACE}|L1PA3:L1:LINE|8.0|-|INTERGENIC", "L1PA3", "locus", "young"),
        ("SoloTE|chrUn_KI270742v1|17|361|L1M5:L1:LINE|6.9|+|INTRONIC", "L1M5", "locus", "old"),
        ("SoloTE|L1HS", "L1HS", "subfamily", "young"),  # SoloTE 1.09
        ("SoloTE|L1", "L1", "above", ""),
        ("SoloTE|LINE", "LINE", "above", ""),
        ("SoloTE-L1HS", "L1HS", "subfamily", "young"),  # as Seurat rewrites them
        ("SoloTE-L1PA2:L1:LINE", "L1PA2", "unplaced", "young"),
        ("SoloTE-chr1-1916-1924-L1MC5a:L1:LINE-8.0---INTRONIC", "L1MC5a", "locus", "old"),
        ("SoloTE-chrUn-KI270742v1-17-361-L1M5:L1:LINE-6.9-+-INTRONIC", "L1M5", "locus", "old"),
    ],
)  # fmt: skip
def test_names_of_every_tool(name, subfamily, level, group):
    found = parse(name)
    assert (found.subfamily, found.level, found.group) == (subfamily, level, group)


@pytest.mark.parametrize(
    "name",
    ["L1CAM", "L1TD1", "L1RE1", "LINC01857", "HAL", "HLA-A", "L1", "LINE1", "L1PAX", "L1MdA_I",
     "L1Md_T", "L1Md-A", "L1_Mus3", "MIR21", "chr1:100-200", "MT-ND1", "", "CD4#1", "TCF4~"],
)  # fmt: skip
def test_genes_and_mouse_subfamilies_are_rejected(name):
    assert parse(name) is None


def test_real_names(shared_data):
    folder = shared_data / "te_naming"
    scte = [x.strip().strip('"') for x in (folder / "scte_te_names_mm10.txt").read_text().split()]
    old = {x for x in scte if x.startswith(("L1M", "L1PB", "HAL1")) and not x.startswith("L1Md")}
    old.remove("HAL1_SS")  # of squirrels
    groups = {x: r.group for x in scte if (r := parse(x))}
    assert groups == dict.fromkeys(old, "old") | {"L1P5": "other"}
    solote = (folder / "solote_v1_features_mouse_subset.tsv").read_text().splitlines()
    for name in (line.split("\t")[0] for line in solote):
        for written in (name, name.replace("|", "-").replace("_", "-")):
            found = parse(written)
            assert (found is not None) == name.startswith("SoloTE")
            if found is not None:
                assert found.level == ("locus" if name.count("|") > 2 else "unplaced")
                want = name.split("|")[4 if name.count("|") > 2 else 1].split(":")[0]
                assert found.subfamily == (want if written == name else want.replace("_", "-"))
    rescue = (folder / "irescue_rmsk_bed_chr21_subset.tsv").read_text().splitlines()
    for name in {line.split("\t")[3] for line in rescue}:
        subfamily = name.split("#")[0]
        assert parse(name).subfamily == subfamily
        assert bool(parse(name).group) == subfamily.startswith("L1")


# --- which features are counted ------------------------------------------------
def chosen(*names):
    found = _repeats.choose(names)
    return {g: [names[i] for i in at] for g, at in found.columns.items() if at}, found


def test_levels_are_not_counted_twice():
    old = ["SoloTE|L1MA4", f"SoloTE|{PLACE}|L1MA4:L1:LINE|-", "SoloTE|L1MA4:L1:LINE"]
    young = ["SoloTE|L1HS", f"SoloTE|{PLACE}|L1HS:L1:LINE|-", "SoloTE|L1HS:L1:LINE"]
    groups, found = chosen("CD19", "SoloTE|LINE", "SoloTE|L1", *old, *young)
    assert groups == {"young": ["SoloTE|L1HS"], "old": ["SoloTE|L1MA4"]}
    assert "4 other LINE-1 features hold the same reads" in found.notes[1]
    assert len(found.elements) == 8
    groups, found = chosen(*old[1:], *young[1:])  # an older matrix: two parts
    assert groups == {"young": young[1:], "old": old[1:]}
    assert found.level == "locus and unplaced"
    assert chosen("L1HS_dup1:L1HS:L1:LINE", "L1MA4_dup1:L1MA4:L1:LINE")[1].reason == ""


def test_copies_of_unique_reads_alone_are_refused():
    _, found = chosen(f"SoloTE|{PLACE}|L1HS:L1:LINE|-", f"SoloTE|{PLACE}|L1MA4:L1:LINE|-")
    assert "only copies with uniquely mapped reads" in found.reason


def test_of_two_tools_and_of_one_name_twice_one_is_counted():
    groups, _ = chosen("L1HS", "L1PA2", "L1MA4", "SoloTE|L1HS", "SoloTE|L1MA4")
    assert groups == {"young": ["L1HS", "L1PA2"], "old": ["L1MA4"]}
    _, found = chosen("L1HS", "L1MA4", "L1HS", "L1MA4")
    assert found.columns["young"] == (0,)
    assert "2 LINE-1 features of a name that was there already" in found.notes[1]


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["CD19", "L1CAM", "L1TD1"], "a gene matrix cannot tell LINE-1, and this is not 0"),
        (["L1HS", "L1PA2"], "no old LINE-1"),
        (["L1MA4", "L1Md_T"], "no young LINE-1"),
    ],
)
def test_what_cannot_be_measured_says_why(names, reason):
    assert reason in _repeats.choose(names).reason


# --- sums of donors ------------------------------------------------------------
GENES = ["CD19", "ACTB", "IFNB1", "TRIM28", "L1CAM"]
TE = ["L1HS", "L1PA4", "L1PA6", "L1PA10", "L1MA4", "HAL1"]


def cells(n=6):
    """Two donors, B cells and monocytes, the same counts in every cell."""
    rows = [(d, "SLE", t) for d in ("A", "B") for t in ("B naive", "Mono") for _ in range(n)]
    obs = pd.DataFrame(rows, columns=["donor", "disease", "label"]).rename(index=str)
    obs["intronic"] = np.where(obs["donor"] == "A", 0.2, 0.4)
    genes = np.tile([5, 80, 0, 2, 50], (len(obs), 1)).astype(np.float32)
    te = np.tile([2, 1, 4, 9, 5, 1], (len(obs), 1)).astype(np.float32)
    te[(obs["label"] == "Mono").to_numpy()] = [1, 0, 0, 0, 1, 0]
    return obs, genes, te


def counted(obs, x, names, **more):
    adata = ad.AnnData(sparse.csr_matrix(x), obs.copy(), pd.DataFrame(index=names), **more)
    scifn.tl.donors(adata, donor="donor", condition="disease", cell_type="label")
    return adata


def test_sums_and_ratio_by_hand():
    obs, genes, te = cells()
    adata = counted(obs, np.hstack([genes, te]), GENES + TE)
    scifn.tl.retroelements(adata, intronic="intronic")
    table = scifn.get.l1(adata)
    assert tuple(table.columns) == k.L1_COLUMNS
    b = table[table["cell_type"] == "B naive"]
    assert b["l1_young_umi"].tolist() == [18, 18]
    assert b["l1_young_broad_umi"].tolist() == [42, 42]
    assert b["l1_old_umi"].tolist() == [36, 36]
    assert b["l1_young_ratio"].tolist() == pytest.approx([np.log2(18.5 / 36.5)] * 2)
    assert b["l1_young_cpm"].tolist() == pytest.approx([1e6 * 18.5 / (6 * 159 + 1)] * 2)
    assert b["intronic"].tolist() == pytest.approx([0.2, 0.4])
    mono = table[table["cell_type"] == "Monocyte"]  # 12 UMI
    assert mono["status"].tolist() == ["low_umi"] * 2
    assert mono["l1_young_umi"].tolist() == [6, 6]
    assert mono[["l1_young_ratio", "l1_young_cpm"]].isna().all(axis=None)


@pytest.mark.parametrize("kind", ["frame", "array", "sparse", "fractions"])
def test_elements_in_obsm_are_the_same(kind):
    obs, genes, te = cells()
    want = counted(obs, np.hstack([genes, te]), GENES + TE)
    scifn.tl.retroelements(want)
    adata = counted(obs, genes, GENES)
    values = {"frame": pd.DataFrame(te, obs.index, TE), "array": te, "sparse": sparse.csr_array(te)}
    if kind == "fractions":  # IRescue's counts: the sum is the same
        te[0, 0], te[1, 0] = 1.25, 2.75
    adata.obsm["te"] = values.get(kind, pd.DataFrame(te, obs.index, TE))
    if kind in ("array", "sparse"):
        with pytest.raises(ArgumentError, match="6 columns have no names"):
            scifn.tl.retroelements(adata, features="te")
        adata.uns["te_names"] = np.array(TE)
    scifn.tl.retroelements(adata, features="te")
    pd.testing.assert_frame_equal(scifn.get.l1(adata), scifn.get.l1(want))


def test_cells_without_a_count_of_elements_are_left_out():
    obs, genes, te = cells()
    adata = counted(obs, genes, GENES)
    te[:3] = np.nan
    adata.obsm["te"] = pd.DataFrame(te, obs.index, TE)
    scifn.tl.retroelements(adata, features="te")
    row = scifn.get.l1(adata).query("cell_type == 'B naive'").iloc[0]
    assert (row["l1_young_umi"], row["n_cells"]) == (9, 6)
    assert row["l1_young_cpm"] == pytest.approx(1e6 * 9.5 / (3 * 159 + 1))
    assert "3 cells have no count" in adata.uns["scifn"]["l1_parameters"]["notes"]


def test_elements_of_levels_left_out_are_in_no_total():
    obs, genes, te = cells()
    names = [f"SoloTE|{x}" for x in TE]
    copies = [f"SoloTE|chr1|{i}|{i + 9}|{x}:L1:LINE|-" for i, x in enumerate(TE)]
    more = np.hstack([genes, te, te, te.sum(axis=1, keepdims=True)])
    adata = counted(obs, more, [*GENES, *names, *copies, "SoloTE|L1"])
    want = counted(obs, np.hstack([genes, te]), GENES + TE)
    for one in (adata, want):
        scifn.tl.retroelements(one)
    pd.testing.assert_frame_equal(scifn.get.l1(adata), scifn.get.l1(want))
    assert adata.uns["scifn"]["pseudobulk"]["rows"]["total_umi"][0] == 6 * 137  # of the genes alone


@pytest.mark.parametrize("kind", ["Gene Expression", "TE"])
def test_kinds_of_features_do_not_matter(kind):
    obs, genes, te = cells()
    want = counted(obs, np.hstack([genes, te]), GENES + TE)
    names = [*GENES, *(f"SoloTE|{x}" for x in TE)]
    var = pd.DataFrame({"feature_types": ["Gene Expression"] * 5 + [kind] * 6}, index=names)
    adata = ad.AnnData(np.hstack([genes, te]), obs.copy(), var)
    scifn.tl.donors(adata, donor="donor", condition="disease", cell_type="label")
    for one in (adata, want):
        scifn.tl.retroelements(one)
    pd.testing.assert_frame_equal(scifn.get.l1(adata), scifn.get.l1(want))


def test_genes_alone_are_not_measurable_and_never_zero():
    obs, genes, _ = cells()
    adata = counted(obs, genes, GENES)
    scifn.tl.retroelements(adata)
    table = scifn.get.l1(adata)
    assert set(table["status"]) == {"not_measurable"}
    assert table[["l1_young_umi", "l1_young_cpm", "l1_young_ratio"]].isna().all(axis=None)
    assert table["note"].str.contains("a gene matrix cannot tell LINE-1, and this is not 0").all()
    assert scifn.get.l1_association(adata)["rho"].isna().all()


def test_restriction_scores_are_apart(tmp_path):
    obs, _, te = cells(n=12)
    chromatin = scifn.genesets.load("l1_restriction_chromatin")
    isg = scifn.genesets.load("l1_restriction_isg")
    x = np.hstack([np.full((len(obs), len(chromatin)), 2.0), np.full((len(obs), 3), 4.0), te])
    adata = counted(obs, x.astype(np.float32), [*chromatin, *isg[:3], *TE])
    scifn.tl.retroelements(adata)
    row = scifn.get.l1(adata).query("cell_type == 'B naive'").iloc[0]
    total = 12 * (2 * len(chromatin) + 12 + 22)
    assert row["l1_restriction_chromatin"] == pytest.approx(np.log2(1e6 * 24.5 / (total + 1)))
    assert np.isnan(row["l1_restriction_isg"])  # three of nine genes are too few
    adata.write_h5ad(tmp_path / "x.h5ad")
    back = ad.read_h5ad(tmp_path / "x.h5ad")
    for get in (scifn.get.l1, scifn.get.l1_association):
        pd.testing.assert_frame_equal(get(back), get(adata))


# --- what is refused -------------------------------------------------------------
def test_refusals_name_the_remedy():
    obs, genes, te = cells()
    adata = ad.AnnData(np.hstack([genes, te]), obs, pd.DataFrame(index=GENES + TE))
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.donors\(adata"):
        scifn.tl.retroelements(adata)
    adata = counted(obs, np.hstack([genes, te]), GENES + TE)
    with pytest.raises(MissingKeyError, match="neither 'var' nor a key of obsm"):
        scifn.tl.retroelements(adata, features="te")
    with pytest.raises(MissingKeyError, match="intronic='nothing'"):
        scifn.tl.retroelements(adata, intronic="nothing")
    with pytest.raises(ArgumentError, match="numbers were needed"):
        scifn.tl.retroelements(adata, intronic="label")
    adata.obs["percent"] = 20.0
    with pytest.raises(ArgumentError, match=r"fractions from 0 to 1 were needed, found 20 to 20"):
        scifn.tl.retroelements(adata, intronic="percent")
    adata.obsm["log"] = pd.DataFrame(np.log1p(te * 1.37), obs.index, TE)
    with pytest.raises(ScaleError, match="hardly any whole number"):
        scifn.tl.retroelements(adata, features="log")
    adata.obsm["scaled"] = pd.DataFrame(te - 2, obs.index, TE)
    with pytest.raises(ScaleError, match="negative"):
        scifn.tl.retroelements(adata, features="scaled")
    assert k.L1 not in adata.uns["scifn"]
    scifn.tl.retroelements(adata)
    with pytest.raises(OverwriteError, match="l1"):
        scifn.tl.retroelements(adata)
    scifn.tl.retroelements(adata, overwrite=True)
    adata.obs.loc[adata.obs_names[:2], "donor"] = "C"
    with pytest.raises(MissingKeyError, match="obs has changed since the donor table"):
        scifn.tl.retroelements(adata, overwrite=True)


# --- associations ------------------------------------------------------------------
def tables(n=40, seed=0, *, planted=0.0, leakage=0.0, depth=4000):
    """Donor table and LINE-1 of monocytes.

    ``planted`` is log2 of young LINE-1 per unit of response; ``leakage`` how much nuclear RNA, of
    which old LINE-1 are more than of the others, follows the response.
    """
    rng = np.random.default_rng(seed)
    condition = np.repeat(["SLE", "control"], n // 2)
    response = rng.normal(size=n) + 2 * (condition == "SLE")
    intronic = np.clip(0.3 + leakage * 0.05 * response + 0.02 * rng.normal(size=n), 0.02, 0.9)
    made = depth * np.exp2(planted * response + 0.2 * rng.normal(size=n))
    young = rng.poisson(made + leakage * 0.5 * depth * intronic)
    old = rng.poisson(depth * np.exp2(0.2 * rng.normal(size=n)) + leakage * 4 * depth * intronic)
    donors = [f"D{i}" for i in range(n)]
    l1 = pd.DataFrame(
        {
            "donor": donors, "condition": condition, "cell_type": k.MONOCYTE,
            "l1_young_ratio": np.log2((young + 0.5) / (old + 0.5)), "intronic": intronic,
            "l1_old_cpm": old.astype(float), "l1_restriction": rng.normal(size=n) + response,
            "note": "",
        }
    )  # fmt: skip
    table = {"donor": donors, "condition": condition, "response_type1:Mono": response}
    return l1, pd.DataFrame(table)


def of(l1, donors, measure="l1_young_ratio"):
    found = _stats.l1_association(l1, donors, None, None)
    return found[found["measure"] == measure].iloc[0]


def test_a_planted_association_is_found_and_no_direction_is_claimed():
    row = of(*tables(planted=0.4))
    assert row["readout"] == "response_type1:Mono"
    assert row["rho"] > 0.5
    assert row["ci_low"] > 0
    assert row["adjusted_for"] == "condition, intronic fraction"
    assert "direction not identifiable; may be downstream of IFN" in row["statement"]
    assert "direction of effect not identifiable" in row["statement"]
    control = of(*tables(planted=0.4), measure="l1_old_cpm")
    assert control["ci_low"] < 0 < control["ci_high"]
    assert "negative control" in control["statement"]


def test_what_is_called_associated_is_adjusted():
    rows = pd.DataFrame(
        {
            "readout": ["response_type1:B", "rlr_resid", "response_type1:Mono", "IFNB1", "x"],
            "measure": ["l1_young_ratio"] * 4 + ["l1_old_cpm"],
            "p_value": [0.001, 0.04, np.nan, 0.03, 0.04],
            "statement": "rest",
        }
    )
    found = model._adjusted(rows)
    # of three young: 0.001 x 3, and 0.03 x 3 / 2 above 0.04 x 3 / 3; of one old, itself
    np.testing.assert_allclose(found["p_adj"], [0.003, 0.04, np.nan, 0.04, 0.04])
    said = [f"{model.WORDING}; rest", "associated with rlr_resid; rest", "rest",
            "associated with IFNB1; rest", "rest"]  # fmt: skip
    assert found["statement"].tolist() == said
    rows["p_value"] = [0.2, 0.04, 0.3, 0.4, 0.01]
    assert model._adjusted(rows)["statement"].tolist() == ["rest"] * 5


def test_leakage_of_nuclear_rna_is_no_association_once_adjusted():
    rho = {"adjusted": [], "not": [], "control": []}
    for seed in range(12):
        l1, donors = tables(seed=seed, leakage=1.0)
        blind = l1.assign(intronic=np.nan)
        rho["adjusted"].append(of(l1, donors)["rho"])
        rho["not"].append(of(blind, donors)["rho"])
        rho["control"].append(of(blind, donors, "l1_old_cpm")["rho"])
    assert abs(np.mean(rho["adjusted"])) < 3 * 0.17 / np.sqrt(12)
    assert np.mean(rho["not"]) < -0.2  # and the control tells of it
    assert np.mean(rho["control"]) > 0.2
    assert "leakage of nuclear RNA cannot be excluded" in of(blind, donors)["statement"]
    assert "leakage of nuclear RNA" not in of(l1, donors)["statement"]


def test_labels_are_read_back_whatever_stands_in_them():
    """The mapping is stored as data, so that a label with an arrow or a comma is itself."""
    labels = ["a -> b", "a", "CD4, naive"] * 40
    obs = pd.DataFrame({"donor": np.repeat(["p", "q"], 60), "group": "SLE", "label": labels})
    adata = ad.AnnData(obs=obs.rename(index=str))
    mapping = {"a -> b": "Monocyte", "a": "pDC", "CD4, naive": "T/NK"}
    scifn.tl.donors(adata, donor="donor", condition="group", cell_type="label", mapping=mapping)
    record = adata.uns["scifn"]["donors_parameters"]
    assert json.loads(record["mapping"]) == mapping
    assert json.loads(record["missing"]) == ["", "NA", "nan", "unknown"]
    adata.obsm["te"] = pd.DataFrame(1, adata.obs_names, ["L1HS", "L1MA4"])
    scifn.tl.retroelements(adata, features="te")
    found = scifn.get.l1(adata).set_index(["donor", "cell_type"])["l1_young_umi"]
    assert found.to_dict() == {(d, t): 20 for d in "pq" for t in ("pDC", "Monocyte", "T/NK")}


def test_shuffled_barcodes_lose_the_association():
    rng = np.random.default_rng(3)
    response = np.repeat(rng.normal(size=24), 12)
    obs = pd.DataFrame({"donor": np.repeat(np.arange(24), 12), "disease": "SLE", "label": "Mono"})
    te = rng.poisson(np.column_stack([4 * 2 ** (0.5 * response), np.full(len(obs), 12.0)]))
    rho = []
    for rows in (np.arange(len(obs)), rng.permutation(len(obs))):
        adata = ad.AnnData(obs=obs.rename(index=str))
        scifn.tl.donors(adata, donor="donor", condition="disease", cell_type="label")
        adata.uns["scifn"]["donors"]["response_type1:Mono"] = response[::12]
        adata.obsm["te"] = pd.DataFrame(te[rows], adata.obs_names, ["L1HS", "L1MA4"])
        scifn.tl.retroelements(adata, features="te")
        row = scifn.get.l1_association(adata).iloc[0]
        assert row["adjusted_for"] == ""
        rho.append(row["rho"])
        assert scifn.get.l1(adata)["l1_young_cpm"].isna().all()  # no genes, no CPM
    assert rho[0] > 0.7
    assert abs(rho[1]) < 0.4


def test_missing_values_and_few_donors():
    l1, donors = tables(n=14)
    l1.loc[[0, 1], "l1_young_ratio"] = np.nan
    l1.loc[2, "intronic"] = np.nan
    assert of(l1, donors)["n_donors"] == 11
    row = of(l1.iloc[:11], donors)
    assert np.isnan(row["rho"])
    assert "8 donors have both, 10 needed" in row["statement"]
    assert np.isnan(of(l1, donors.drop(columns="response_type1:Mono"))["rho"])


def test_machinery_and_ifnb1_are_looked_at():
    l1, donors = tables(n=20)
    rng = np.random.default_rng(5)
    means = l1[["donor", "condition", "cell_type"]].assign(visit="", n_cells=10)
    means["rlr_resid"] = l1["l1_young_ratio"] * 2 + 1
    two = pd.concat([means, means.assign(visit="b", rlr_resid=means["rlr_resid"] + 4)])
    sums = means.assign(total_umi=1e6, IFNB1=rng.poisson(0.05, 20).astype(float))
    found = _stats.l1_association(l1, donors, two, sums).set_index("readout")
    assert found.index.tolist() == [
        "response_type1:Mono", "rlr_resid", "IFNB1", "response_type1:Mono",
    ]  # fmt: skip
    assert found.loc["rlr_resid", "rho"] == pytest.approx(1.0)
    assert np.isnan(found.loc["IFNB1", "rho"])
    assert "donors, 5 needed" in found.loc["IFNB1", "statement"]
    # six samples of three donors are three donors
    l1["donor"] = donors["donor"] = [f"d{i % 10}" for i in range(20)]
    l1["condition"] = donors["condition"] = ["before"] * 10 + ["after"] * 10
    made = sums.assign(**l1[["donor", "condition"]], IFNB1=0.0)
    made.loc[made.index[[0, 1, 2, 10, 11, 12]], "IFNB1"] = 1.0
    found = _stats.l1_association(l1, donors, None, made).set_index("readout")
    assert "IFNB1 detected in 3 donors, 5 needed" in found.loc["IFNB1", "statement"]


def test_restriction_is_freed_of_what_the_response_explains():
    l1, donors = tables(n=20)
    rest, lines = _stats.l1_residual(l1, donors)
    response = donors["response_type1:Mono"].to_numpy()
    assert np.corrcoef(rest, response)[0, 1] == pytest.approx(0, abs=1e-9)
    slope, start = np.polyfit(response, l1["l1_restriction"], 1)
    np.testing.assert_allclose(rest, l1["l1_restriction"] - start - slope * response)
    assert lines == {k.MONOCYTE: f"{start:.6g} + {slope:.6g} x response"}
    assert np.isnan(_stats.l1_residual(l1.iloc[:9], donors)[0]).all()


# --- the whole job -----------------------------------------------------------------
@pytest.fixture(scope="module")
def cohort():
    """A simulated cohort, and elements of its cells."""
    adata = scifn.datasets.cohort(n_patients=5, n_controls=5, cells_per_donor=150, rng=1)
    rng = np.random.default_rng(0)
    te = rng.poisson([1.0, 0.5, 2.0], (adata.n_obs, 3)).astype(np.float32)
    adata.obs["spliced_not"] = rng.uniform(0.1, 0.4, adata.n_obs)
    return adata, te


ARGS = {"donor": "donor", "condition": "condition", "reference": "control", "n_permutations": 20}


@pytest.mark.parametrize("cells", ["few", "many"])
def test_run_does_the_step_where_there_are_elements(cohort, cells, monkeypatch):
    from scifn.cli._write import MORE
    from scifn.report import _sections_axis
    from scifn.report._material import gather

    if cells == "many":  # cells are then called while others are read, and genes left out
        monkeypatch.setattr("scifn._matrix._pass.COMPILED", 0)
    base, te = cohort
    names = ["SoloTE|L1HS", "SoloTE|L1PA2", "SoloTE|L1MA4"]
    joined = ad.AnnData(
        sparse.hstack([sparse.csr_matrix(base.X), sparse.csr_matrix(te)], format="csr"),
        base.obs.copy(),
        pd.DataFrame(index=[*base.var_names, *names]),
    )
    scifn.run(joined, intronic="spliced_not", **ARGS)
    assert joined.uns["scifn"]["steps"]["retroelements"] == "done"
    table = scifn.get.l1(joined)
    assert (table["status"] == "ok").sum() > 10
    adjusted = scifn.get.l1_association(joined)["adjusted_for"]
    assert (adjusted == "condition, intronic fraction").any()
    # one pass gives what the step by itself gives
    scifn.tl.retroelements(joined, intronic="spliced_not", overwrite=True)
    pd.testing.assert_frame_equal(scifn.get.l1(joined), table)
    assert {"l1", "l1_association"} <= set(MORE)  # the program writes them
    section = _sections_axis.sections(gather(joined))[-1]
    assert section.anchor == "line1"
    shown = str(section.blocks)
    assert "LINE-1 counted at the level subfamily, names as of SoloTE." in shown
    assert "direction of effect not identifiable" in shown


@pytest.mark.parametrize(
    ("names", "features", "said"),
    [
        (GENES, "var", ""),  # nothing is due, and nothing is missing
        ([*GENES[:3], "L1HS", "L1PA2"], "var", "not_measurable: no old LINE-1"),
        (GENES, "te", "not_measurable: no old LINE-1"),
        ([*GENES[:3], "L1HS", "L1MA4"], "var", "not_measurable: counting LINE-1 needs UMI"),
    ],
)
def test_run_says_why_elements_cannot_be_counted(names, features, said):
    from scifn import _run, _view

    obs, genes, te = cells()
    if "needs" in said:  # values that are no counts
        genes = np.log1p(genes * np.linspace(1, 3, genes.size).reshape(genes.shape))
    adata = ad.AnnData(genes.astype(np.float32), obs, pd.DataFrame(index=names))
    adata.obsm["te"] = pd.DataFrame(te[:, :1], obs.index, ["L1HS"])
    found, why = _run._elements(adata, _view.read(adata, ["CD19", "ACTB"]), features)
    assert found is None
    assert why.startswith(said)
    assert bool(why) == bool(said)
