"""The shipped gene sets: complete, sourced, of the right size, loaded kindly."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from scifn import _keys, genesets
from scifn._errors import ArgumentError
from scifn.genesets._coverage import coverage, status_of
from scifn.genesets._ids import ids
from scifn.genesets._lists import clean_list
from scifn.genesets._sets import STATUSES, all_sets, for_species, panel

FILES = sorted((Path(genesets.__file__).parent / "data").glob("*.toml"))
KEYS = {
    "name", "description", "organism", "status", "enabled", "disabled_because", "kind",
    "reference", "doi", "note", "genes", "expert_genes",
}  # fmt: skip
SIZES = {
    "pdc_identity_core": 11, "pdc_identity_support": 21, "pdc_plasma_shared": 8,
    "pdc_excluded_isg": 9, "asdc_veto": 12, "neg_b": 5, "neg_plasma": 10, "neg_t_nk": 9,
    "neg_mono_cdc": 14, "neg_hspc": 7, "neg_baso_mast": 7, "bpdcn_flag": 8, "pdc_activation": 19,
    "pdc_inhibitory": 10, "pdc_dissociation_stress": 10, "glucocorticoid_response": 7,
    "b_pan": 10, "b_transitional": 12, "b_naive": 11, "b_intermediate_azimuth": 10,
    "b_memory": 11, "b_abc_dn2": 13, "b_abc_dn2_neg": 6, "plasmablast": 16, "plasma": 13,
    "breg_b10": 9, "breg_effector": 14, "breg_regulators": 10, "stat3_targets_b": 9,
    "ifn_alpha": 13, "ifn_type1_other": 4, "ifn_type3": 4, "ifn_type2": 1, "ifn_pseudogenes": 4,
    "cap_tlr79": 17, "cap_tf": 6, "cap_tlr3": 6, "cap_rlr": 10, "cap_cgas_sting": 6,
    "cap_brakes": 17, "isg_sc_pan": 14, "isg_type1_core": 24, "isg_type2_leaning": 13,
    "isg_shared": 13, "ifngs4_like": 4, "medimmune21_like": 21, "higgs5_like": 5,
    "kirou3_like": 3, "feng5_like": 5, "ism3_like": 3, "rice6_like": 6, "brkic5_pss_like": 5,
    "bodewes_ifn1_like": 5, "bodewes_m34_like": 5, "bodewes_m512_like": 5, "raterman8_like": 8,
    "janssen10_like": 10, "kim28_like": 28, "elsherbiny_a_like": 12, "elsherbiny_b_like": 14,
    "mod_M1_2": 27, "mod_M3_4": 52, "mod_M5_12": 57, "hallmark_ifna": 97, "hallmark_ifng": 200,
    "l1_young_subfamilies": 7, "l1_restriction": 28, "l1_restriction_isg": 9,
    "l1_restriction_chromatin": 12, "ifn_alpha_mouse": 14, "ifn_type1_other_mouse": 4,
}  # fmt: skip


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_file_is_complete(path: Path) -> None:
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(raw) <= KEYS
    assert raw["name"] == path.stem
    assert raw["organism"] in ("human", "mouse")
    assert path.stem.endswith("_mouse") == (raw["organism"] == "mouse")
    assert raw["status"] in STATUSES
    assert raw["description"].endswith(".")
    assert raw["reference"]
    assert raw["doi"] == "" or raw["doi"].startswith("10.")
    assert len(raw["genes"]) == len(set(raw["genes"])) > 0
    assert set(raw.get("expert_genes", [])) < set(raw["genes"])
    assert raw["enabled"] != bool(raw.get("disabled_because"))


@pytest.mark.parametrize(("name", "size"), SIZES.items())
def test_set_size(name: str, size: int) -> None:
    assert len(genesets.load(name, allow_disabled=True)) == size


def test_only_unverified_and_patented_lists_are_disabled() -> None:
    everything = set(genesets.available(include_disabled=True))
    assert everything - set(genesets.available()) == {
        "elsherbiny_a_like", "elsherbiny_b_like", "janssen10_like",
    }  # fmt: skip


def test_every_gene_has_an_identifier() -> None:
    for found in all_sets().values():
        if found.kind == "genes":
            table = ids(found.organism)
            assert [g for g in found.genes if not table.ensembl.get(g)] == [], found.name


def test_corrections_of_the_lists() -> None:
    assert "DNASE1L3" not in genesets.load("pdc_identity_core")
    assert "TMT1B" in genesets.load("hallmark_ifng")
    assert "CARD17P" in genesets.load("mod_M3_4")
    assert "TRIM78P" not in genesets.load("mod_M3_4")
    assert all_sets()["asdc_veto"].expert_genes == ("ADAM33", "MED12L", "ALDH2", "OTULINL")
    assert all_sets()["higgs5_like"].status == "uncertain"
    assert all("CC BY 4.0" in all_sets()[f"hallmark_{x}"].note for x in ("ifna", "ifng"))


def test_identity_never_uses_interferon_induced_genes() -> None:
    forbidden = set(genesets.load("pdc_excluded_isg"))
    for name in ("pdc_identity_core", "pdc_identity_support"):
        assert not forbidden & set(genesets.load(name))
    assert not set(genesets.load("pdc_identity_core_mouse")) & {"Bst2", "Irf7"}


def test_hallmark_overlap_is_73() -> None:
    alpha, gamma = (set(genesets.load(f"hallmark_{x}")) for x in ("ifna", "ifng"))
    assert len(alpha & gamma) == 73
    assert not alpha & {"IFIT1", "OAS2", "STAT1", "MX2", "XAF1", "HERC5", "IFI6", "SIGLEC1"}


def test_hallmark_against_msigdb(shared_data: Path) -> None:
    lines = (shared_data / "signatures" / "h.all.v7.4.symbols.gmt").read_text().splitlines()
    msigdb = {line.split("\t")[0]: set(line.split("\t")[2:]) for line in lines}
    table = ids("human")
    for name, key in (("hallmark_ifna", "ALPHA"), ("hallmark_ifng", "GAMMA")):
        theirs = msigdb[f"HALLMARK_INTERFERON_{key}_RESPONSE"]
        ours = set(genesets.load(name))
        assert ours == {table.read_as.get(g, g) for g in theirs}


def test_table() -> None:
    table = genesets.table()
    assert list(table.columns) == [
        "name", "organism", "n_genes", "genes", "status", "enabled", "description", "reference",
        "doi", "note",
    ]  # fmt: skip
    assert len(table) == len(FILES)
    assert table["enabled"].dtype == bool
    assert not table.isna().any().any()
    row = table.set_index("name").loc["ifn_type3"]
    assert row["genes"] == "IFNL1;IFNL2;IFNL3;IFNL4"
    assert row["n_genes"] == 4


def test_load_gives_a_copy() -> None:
    genesets.load("ifn_type2").append("X")
    assert genesets.load("ifn_type2") == ["IFNG"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("clin_ifngs4", "'ifngs4_like'"),
        ("IFN_alpha", "'ifn_alpha'"),
        ("hallmark", "'hallmark_ifn"),
        ("zzzzz", "no gene set"),
        (3, "is a string"),
        (["ifn_alpha"], "is a string"),
    ],
)
def test_unknown_set(name: object, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        genesets.load(name)  # type: ignore[arg-type]


def test_disabled_set() -> None:
    with pytest.raises(ArgumentError, match=r"disabled: The signature is claimed by a patent"):
        genesets.load("janssen10_like")
    assert len(genesets.load("janssen10_like", allow_disabled=True)) == 10


def test_available_by_organism() -> None:
    human, mouse = genesets.available(organism="human"), genesets.available(organism="mouse")
    assert sorted(human + mouse) == genesets.available()
    with pytest.raises(ArgumentError, match="rat"):
        genesets.available(organism="rat")


def test_panel_and_species() -> None:
    assert set(genesets.load("ifn_alpha")) < set(panel())
    assert "L1HS" not in panel()
    assert len(for_species("ifn_alpha", "mouse")) == 14
    assert for_species("janssen10_like", "human") == ()


def test_mouse_isg_set_has_one_to_one_orthologs_only() -> None:
    assert for_species("isg_sc_pan", "mouse") == (
        "Isg15", "Ly6e", "Xaf1", "Epsti1", "Eif2ak2", "Isg20", "Samd9l", "Ddx60",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("n_found", "n_genes", "status"),
    [
        (13, 13, "ok"), (8, 10, "ok"), (79, 100, "partial"), (5, 10, "partial"),
        (49, 100, "insufficient"), (2, 4, "insufficient"), (3, 4, "partial"), (3, 6, "partial"),
        (2, 3, "insufficient"), (3, 3, "ok"), (1, 1, "ok"), (2, 2, "ok"), (1, 2, "insufficient"),
        (0, 1, "absent"), (0, 50, "absent"),
    ],
)  # fmt: skip
def test_status_of_coverage(n_found: int, n_genes: int, status: str) -> None:
    assert status_of(n_found, n_genes) == status


def test_coverage_rows() -> None:
    rows = coverage({"ifngs4_like": genesets.load("ifngs4_like"), "mine": ["A", "B"]}, {"IFI27"})
    assert [tuple(row) for row in rows] == [_keys.COVERAGE_COLUMNS] * 2
    assert rows[0]["missing"] == "IFI44;IFI44L;RSAD2"
    assert (rows[0]["n_genes"], rows[0]["n_found"]) == (4, 1)
    assert rows[0]["reference"].startswith("Almquist")
    assert (rows[1]["reference"], rows[1]["status"]) == ("", "absent")


def test_clean_list() -> None:
    genes, notes = clean_list([" ISG15", "MX1 ", "ISG15", "MX1"], "mine")
    assert genes == ["ISG15", "MX1"]
    assert "spaces" in notes[0]
    assert "ISG15, MX1" in notes[1]
    assert clean_list(iter(["A"]), "mine") == (["A"], [])


@pytest.mark.parametrize(
    ("genes", "text"),
    [
        ("ISG15", "one string"),
        ([], "is empty"),
        (None, "NoneType"),
        ({"up": ["A"]}, "is a dict"),
        (["ISG15", None], "None at position 1"),
        (["ISG15", float("nan")], "nan at position 1"),
        (["", "ISG15"], "'' at position 0"),
        ([5], "5 at position 0"),
    ],
)
def test_bad_lists(genes: object, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        clean_list(genes, "mine")  # type: ignore[arg-type]
