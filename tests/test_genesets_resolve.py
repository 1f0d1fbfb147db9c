"""Genes are found whatever they are called, and never found where they are not."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scifn import genesets
from scifn._errors import ArgumentError, GenesError
from scifn.genesets._ids import approved, ids, ortholog
from scifn.genesets._resolve import Resolution, _indexed, resolve
from scifn.genesets._sets import panel

IFNA = {
    "IFNA1": "ENSG00000197919", "IFNA2": "ENSG00000188379", "IFNA4": "ENSG00000236637",
    "IFNA5": "ENSG00000147873", "IFNA6": "ENSG00000120235", "IFNA7": "ENSG00000214042",
    "IFNA8": "ENSG00000120242", "IFNA10": "ENSG00000186803", "IFNA13": "ENSG00000233816",
    "IFNA14": "ENSG00000228083", "IFNA16": "ENSG00000147885", "IFNA17": "ENSG00000234829",
    "IFNA21": "ENSG00000137080",
}  # fmt: skip
OTHER_IFN = {
    "IFNB1": "ENSG00000171855", "IFNW1": "ENSG00000177047", "IFNE": "ENSG00000184995",
    "IFNK": "ENSG00000147896", "IFNG": "ENSG00000111537", "CD24": "ENSG00000272398",
    "IFNL1": "ENSG00000182393;ENSG00000291872", "IFNL2": "ENSG00000183709;ENSG00000291875",
    "IFNL3": "ENSG00000197110;ENSG00000291876", "IFNL4": "ENSG00000272395;ENSG00000292250",
    "IL3RA": "ENSG00000185291;ENSG00000292332", "TMT1B": "ENSG00000170439",
    "GBP1P1": "ENSG00000290525;ENSG00000225492", "CARD17P": "ENSG00000255221",
}  # fmt: skip
#: Names that make the species plain, as any real matrix has them.
ANCHOR = ["HLA-A", "HLA-B", "GNLY", "ACTB", "GAPDH", "MALAT1"]


def where(found: Resolution) -> dict[str, tuple[int, ...]]:
    return dict(zip(found.genes, found.columns, strict=True))


# --- the tables ---------------------------------------------------------------


def test_ifna_identifiers() -> None:
    assert set(genesets.load("ifn_alpha")) == set(IFNA)
    for gene, ensembl in (IFNA | OTHER_IFN).items():
        assert ids("human").ensembl[gene] == tuple(ensembl.split(";")), gene


@pytest.mark.parametrize("species", ["human", "mouse"])
def test_no_name_is_a_symbol_or_belongs_to_two(species: str) -> None:
    table = ids(species)
    names = [name for many in table.other_names.values() for _, name in many]
    assert len(names) == len(set(names))
    assert not set(names) & set(table.other_names)
    n_ids = sum(map(len, table.ensembl.values()))
    assert len(table.by_ensembl) == n_ids


@pytest.mark.parametrize(
    ("name", "symbol"),
    [
        ("IGJ", "JCHAIN"), ("DDX58", "RIGI"), ("MB21D1", "CGAS"), ("TMEM173", "STING1"),
        ("CXorf21", "TASL"), ("IL29", "IFNL1"), ("IL28A", "IFNL2"), ("IL28B", "IFNL3"),
        ("G1P2", "ISG15"), ("G1P3", "IFI6"), ("PRKR", "EIF2AK2"), ("C1orf29", "IFI44L"),
        ("DNAPTP6", "SPATS2L"), ("LOC26010", "SPATS2L"), ("LOC129607", "CMPK2"),
        ("FLJ20035", "DDX60"), ("WARS", "WARS1"), ("SEPT4", "SEPTIN4"), ("MARCH1", "MARCHF1"),
        ("RFWD2", "COP1"), ("FAM105A", "OTULINL"), ("FAM208A", "TASOR"), ("FAM46A", "TENT5A"),
        ("FAM46C", "TENT5C"), ("HRASLS2", "PLAAT2"), ("H2AFZ", "H2AZ1"), ("NT5C3L", "NT5C3B"),
        ("METTL7B", "TMT1B"), ("CARD17", "CARD17P"), ("CD123", "IL3RA"), ("CD303", "CLEC4C"),
        ("CD304", "NRP1"), ("BDCA4", "NRP1"), ("ILT7", "LILRA4"), ("CD85g", "LILRA4"),
    ],
)  # fmt: skip
def test_older_names(name: str, symbol: str) -> None:
    assert approved([name]) == {name: symbol}
    found = resolve([*ANCHOR, name], [symbol])
    assert where(found) == {symbol: (len(ANCHOR),)}
    assert found.how[symbol] in ("alias", "previous")
    assert any(f"{name} read as {symbol}" in note for note in found.notes)


def test_orthologs() -> None:
    for gene in ("IFNA2", "LILRA4", "CLEC4C", "OAS1", "IFI27", "APOBEC3A", "APOBEC3H", "MX1"):
        assert ortholog(gene) is None
    assert ortholog("CD24") == "Cd24a"
    assert ortholog("IL4R") == "Il4ra"
    assert ortholog("TCF4") == "Tcf4"


# --- the rules ----------------------------------------------------------------


def test_plain_symbols() -> None:
    found = resolve([*ANCHOR, "CD19"], ["CD19", "MS4A1"])
    assert (found.genes, found.columns, found.missing) == (("CD19",), ((6,),), ("MS4A1",))
    assert (found.species, found.identifiers, found.notes) == ("human", "symbols", ())
    assert found.how == {"CD19": "symbol"}


def test_alias_is_never_added_to_a_present_symbol() -> None:
    found = resolve(["IGJ", "JCHAIN", "CD19"], ["JCHAIN"])
    assert where(found) == {"JCHAIN": (1,)}
    found = resolve(["X", "IGJ"], ["JCHAIN"], ensembl=["ENSG00000132465", ""])
    assert where(found) == {"JCHAIN": (0,)}
    assert found.how == {"JCHAIN": "ensembl"}


def test_tcf4_is_not_tcf7l2() -> None:
    assert resolve(["TCF7L2", "CD19"], ["TCF4"]).missing == ("TCF4",)
    # an old file may call TCF7L2 "TCF4"; its Ensembl ID tells
    found = resolve(["TCF4", "CD19"], ["TCF4"], ensembl=["ENSG00000148737", "ENSG00000177455"])
    assert found.missing == ("TCF4",)
    assert any("the ID was followed" in note for note in found.notes)
    assert where(resolve(["E2-2", "CD19"], ["TCF4"])) == {"TCF4": (0,)}


def test_older_name_on_a_feature_with_another_id_is_another_gene() -> None:
    names, other_id = ["IGJ", "CD19"], ["ENSG00000000003", "ENSG00000177455"]
    assert resolve(names, ["JCHAIN"], ensembl=other_id).missing == ("JCHAIN",)


def test_ambiguous_name_is_used_last_and_told() -> None:
    found = resolve(["TIM1", "CD19"], ["HAVCR1"])
    assert found.how == {"HAVCR1": "ambiguous alias"}
    assert any("TIM1 read as HAVCR1" in n and "Ambiguous" in n for n in found.notes)
    assert where(resolve(["TIM1", "KIM1", "CD19"], ["HAVCR1"])) == {"HAVCR1": (1,)}
    assert approved(["TIM1"]) == {"TIM1": "TIM1"}


def test_haplotype_copies_are_summed() -> None:
    found = resolve(["ENSG00000182393", "ENSG00000291872.1", "ENSG00000177455"], ["IFNL1"])
    assert where(found) == {"IFNL1": (0, 1)}
    assert any("IFNL1 (2)" in note for note in found.notes)


@pytest.mark.parametrize("second", ["IFNL1", "IFNL1-1", "IFNL1.1"])
def test_equal_names_are_summed(second: str) -> None:
    assert where(resolve([*ANCHOR, "IFNL1", second], ["IFNL1"])) == {"IFNL1": (6, 7)}


def test_suffix_counts_only_beside_its_base() -> None:
    assert resolve([*ANCHOR, "IFNL1-1"], ["IFNL1"]).missing == ("IFNL1",)
    found = resolve(["HLA-DRB1", "HLA-DRB1-1", "HLA-DRB5", "HLA-A"], ["HLA-DRB1", "HLA-A"])
    assert where(found) == {"HLA-A": (3,), "HLA-DRB1": (0, 1)}


@pytest.mark.parametrize(
    ("names", "identifiers"),
    [
        (["ENSG00000177455", "ENSG00000156738"], "Ensembl IDs"),
        (["ENSG00000177455.12", "ENSG00000156738.17"], "Ensembl IDs with version"),
        (["ENSG00000177455.12_PAR_Y", "ENSG00000156738"], "Ensembl IDs with version"),
        (["ensg00000177455", "ENSG00000156738"], "Ensembl IDs"),
        (["ENSG00000177455_CD19", "ENSG00000156738_MS4A1"], "Ensembl IDs with symbols"),
        (["CD19_ENSG00000177455", "MS4A1-ENSG00000156738.3"], "Ensembl IDs with version"),
        (["GRCh38_CD19", "GRCh38_MS4A1"], "symbols"),
        (["hg19-CD19", "hg19-MS4A1"], "symbols"),
        (["GRCh38______CD19", "MS4A1"], "symbols"),
        ([" CD19", "MS4A1 "], "symbols"),
        (["cd19", "ms4a1"], "symbols (case folded)"),
    ],
)
def test_forms_of_identifiers(names: list[str], identifiers: str) -> None:
    found = resolve(names, ["CD19", "MS4A1"])
    assert where(found) == {"CD19": (0,), "MS4A1": (1,)}
    assert found.species == "human"
    assert found.identifiers.startswith(identifiers)


def test_versions_are_told() -> None:
    found = resolve(["ENSG00000177455.12"], ["CD19"])
    assert "Version suffixes" in found.notes[0]


def test_par_y_copy_is_summed() -> None:
    found = resolve(["ENSG00000185291.11", "ENSG00000185291.11_PAR_Y"], ["IL3RA"])
    assert where(found) == {"IL3RA": (0, 1)}


def test_make_names() -> None:
    found = resolve(["HLA.A", "HLA.DRB1", "X7SK.2", "CD19"], ["HLA-A", "HLA-DRB1", "CD19"])
    assert where(found) == {"CD19": (3,), "HLA-A": (0,), "HLA-DRB1": (1,)}
    assert found.how["HLA-A"] == "make.names"
    assert found.identifiers == "R make.names symbols"
    assert any("HLA.A read as HLA-A" in note for note in found.notes)
    assert where(resolve(["HLA_A", "CD19"], ["HLA-A"])) == {"HLA-A": (0,)}


@pytest.mark.parametrize("date", ["1-Mar", "4-Sep", "Mar-01", "1-Dec", "2023-03-01", "1-Mar-1"])
def test_dates_are_told_and_not_guessed(date: str) -> None:
    found = resolve([*ANCHOR, date], ["MARCHF1", "SEPTIN4"])
    assert found.missing == ("MARCHF1", "SEPTIN4")
    assert any(repr(date) in note and "not guessed" in note for note in found.notes)


def test_empty_names_are_no_genes() -> None:
    names = ["CD19", "", None, float("nan"), "nan", b"MS4A1", "HLA-A"]
    found = resolve(names, ["CD19", "MS4A1"])  # type: ignore[arg-type]
    assert where(found) == {"CD19": (0,), "MS4A1": (5,)}


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Index, pd.Series])
def test_kinds_of_sequences(kind: type) -> None:
    found = resolve(kind(["CD19", "HLA-A"]), {"CD19"}, ensembl=kind(["ENSG00000177455", ""]))
    assert where(found) == {"CD19": (0,)}


# --- users' lists ---------------------------------------------------------------


def test_wanted_names_are_read() -> None:
    found = resolve([*ANCHOR, "JCHAIN", "CD19", "ZZZ3"], ["IGJ", "cd19", "zzz3"])
    assert where(found) == {"CD19": (7,), "JCHAIN": (6,), "zzz3": (8,)}
    assert any("IGJ read as JCHAIN" in note and "gene lists" in note for note in found.notes)


def test_lists_of_the_other_species_are_not_folded() -> None:
    found = resolve([*ANCHOR, "IFNA2", "ISG15"], ["Ifna2", "Isg15"])
    assert found.missing == ("Ifna2", "Isg15")
    assert any("another species" in note for note in found.notes)


# --- one index for several calls ------------------------------------------------
def test_what_is_made_late_of_an_index_is_seen_when_it_is_whole() -> None:
    """Threads share an index that is kept between calls."""
    index, _ = _indexed(("CD19", "MyOwnGene", "Thing1a", "late"), None, None)
    unseen = []

    class Names(dict[str, list[int]]):
        def __iter__(self) -> Iterator[str]:
            for name in super().__iter__():
                unseen.append(index.capitals is None)
                yield name

    index.by_name = Names(index.by_name)
    assert index.any_case("MYOWNGENE") == [1]
    assert unseen == [True] * 4
    assert index.any_case("MYOWNGENE") == [1]
    assert len(unseen) == 4


def test_threads_that_share_an_index_find_the_same() -> None:
    names = ["CD19", "MyOwnGene", *(f"Thing{i}a" for i in range(20_000))]
    for turn in range(3):
        here = [*names, f"Only{turn}"]
        resolve(here, ["CD19"])
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _, at=here: resolve(at, ["MYOWNGENE"]).genes, range(4)))
        assert found == [("MYOWNGENE",)] * 4


def test_what_was_kept_is_of_these_names_only() -> None:
    assert resolve(["CD19", "MS4A1"], ["MS4A1"]).columns == ((1,),)
    assert resolve(["MS4A1", "CD19"], ["MS4A1"]).columns == ((0,),)
    ids_, other = ["ENSG00000156738", "ENSG00000177455"], ["ENSG00000177455", "ENSG00000156738"]
    assert resolve(["a", "b"], ["MS4A1"], ensembl=ids_).columns == ((0,),)
    assert resolve(["a", "b"], ["MS4A1"], ensembl=other).columns == ((1,),)
    with pytest.raises(ArgumentError, match=r"species=\['human'\]: scifn knows"):
        resolve(["CD19"], ["CD19"], species=["human"])  # type: ignore[arg-type]


# --- species --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "fold"),
    [
        (["Cd19", "Ifnb1", "Ms4a1"], False),
        (["CD19", "IFNB1", "MS4A1", "H2-AA", "LY6C2"], True),
        (["cd19", "ifnb1", "ms4a1", "h2-aa"], True),
        (["ENSMUSG00000030724.5", "ENSMUSG00000048806", "ENSMUSG00000024673"], False),
        (["mm10___Cd19", "mm10___Ifnb1", "mm10___Ms4a1"], False),
    ],
)
def test_mouse_is_detected(names: list[str], fold: bool) -> None:
    found = resolve(names, ["Cd19", "Ifnb1", "Ms4a1"])
    assert found.species == "mouse"
    assert where(found) == {"Cd19": (0,), "Ifnb1": (1,), "Ms4a1": (2,)}
    assert ("case folded" in found.identifiers) == fold


def test_lower_case_is_human_unless_said() -> None:
    assert resolve(["cd19", "ms4a1"], ["CD19"]).species == "human"
    assert where(resolve(["cd19", "ms4a1"], ["Cd19"], species="mouse")) == {"Cd19": (0,)}


@pytest.mark.parametrize("names", [["Cd19", "Ms4a1"], ["ENSMUSG00000030724"], ["mm10_Cd19"]])
def test_species_that_contradicts_the_features(names: list[str]) -> None:
    with pytest.raises(GenesError, match='species="human" was asked for'):
        resolve(names, ["CD19"], species="human")


def test_human_features_asked_for_as_mouse() -> None:
    with pytest.raises(GenesError, match='species="mouse" was asked for'):
        resolve(["CD19", "MS4A1", "HLA-A"], ["Cd19"], species="mouse")


def test_two_genomes() -> None:
    names = ["GRCh38_CD19", "GRCh38_MS4A1", "mm10___Cd19"]
    found = resolve(names, ["CD19"])
    assert where(found) == {"CD19": (0,)}
    assert "two genomes" in found.notes[0]
    assert where(resolve(names, ["Cd19"], species="mouse")) == {"Cd19": (2,)}


def test_mouse_previous_symbols() -> None:
    found = resolve(["Igj", "Ddx58", "Cd20"], ["Jchain", "Rigi", "Ms4a1"])
    assert found.missing == ()


# --- what cannot be read ----------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["0", "1", "2"], r"integers \('0', '1', '2'\)"),
        ([0, 1, 2], "row numbers or Entrez IDs"),
        (["AAACCTGAGAAACCAT-1", "AAACCTGAGAAACCGC-1"], "transposed"),
        (["s1_AAACCTGAGAAACCAT-1", "s1_AAACCTGAGAAACCGC-1"], "barcodes"),
        (["foo", "bar", "baz", "qux"], "'bar', 'baz', 'foo', ...*gene_symbols="),
        (["ENST00000357654"], "transcripts or of another species"),
        (["ENSDARG00000000001"], "another species"),
        ([], "has no features"),
        ([None, ""], "None of the 2 features has a name"),
    ],
)
def test_no_genes_at_all(names: list[str], text: str) -> None:
    with pytest.raises(GenesError, match=text.replace("...*", r"\.\.\..*")):
        resolve(names, panel())


def test_known_genes_but_none_wanted_is_no_error() -> None:
    assert resolve(["ACTB", "GAPDH"], ["CD19"]).missing == ("CD19",)


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match="rat"):
        resolve(["CD19"], ["CD19"], species="rat")
    with pytest.raises(ArgumentError, match="1 feature names but 2 Ensembl IDs"):
        resolve(["CD19"], ["CD19"], ensembl=["a", "b"])


# --- laws ---------------------------------------------------------------------------

NAMES = st.lists(
    st.one_of(
        st.sampled_from(sorted(panel())),
        st.sampled_from(sorted(ids("human").read_as)),
        st.sampled_from(sorted(ids("human").by_ensembl)),
        st.sampled_from(["HLA.A", "HLA_A", "IFNL1-1", "IFNL1.1", "1-Mar", "TIM1", "junk", "cd19"]),
        st.sampled_from(["Cd19", "GRCh38_CD19", "ENSG00000177455_CD19", "ENSMUSG00000030724", ""]),
    ),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(names=NAMES, seed=st.integers(0, 2**16))
def test_order_of_features_does_not_matter(names: list[str], seed: int) -> None:
    names = [*names, "CD79A"]
    order = list(range(len(names)))
    random.Random(seed).shuffle(order)
    one = resolve(names, panel())
    two = resolve([names[i] for i in order], panel())
    back = {gene: tuple(sorted(order[i] for i in at)) for gene, at in where(two).items()}
    assert back == where(one)
    assert (one.missing, one.notes, one.how) == (two.missing, two.notes, two.how)
    assert (one.species, one.identifiers) == (two.species, two.identifiers)


@settings(max_examples=60, deadline=None)
@given(names=NAMES)
def test_no_feature_serves_two_genes(names: list[str]) -> None:
    found = resolve([*names, "CD79A"], panel())
    used = [i for at in found.columns for i in at]
    assert len(used) == len(set(used))
    assert sorted(found.genes + found.missing) == sorted(panel())


def test_sixty_thousand_names_are_quick() -> None:
    names = [*panel(), *(f"AC{i:06d}.{i % 9}" for i in range(60_000))]
    resolve(names[:700], panel())
    start = time.process_time()
    assert len(resolve(names, panel()).genes) == len(panel())
    assert time.process_time() - start < 3  # seconds of CPU; takes 0.4


# --- real files -----------------------------------------------------------------------


@pytest.mark.parametrize("file", ["onek1k_bcells_817g", "pdc_bulk_rhinovirus_P259"])
def test_ids_and_symbols_of_a_real_file_agree(shared_data: Path, file: str) -> None:
    anndata = pytest.importorskip("anndata")
    var = anndata.read_h5ad(shared_data / f"{file}.h5ad", backed="r").var
    by_symbol = resolve(var.index, panel())
    by_id = resolve(var["ensembl"], panel())
    both = resolve(var.index, panel(), ensembl=var["ensembl"])
    assert by_symbol.genes == by_id.genes == both.genes
    assert by_symbol.columns == by_id.columns == both.columns
    assert set(both.how.values()) == {"ensembl"}


@pytest.mark.parametrize(
    ("file", "n_found", "n_ifna"),
    [
        ("celltypist_sample", 597, 13),
        ("kang_ifnb_fullgenes_annot", 532, 0),
        ("csle_bcells_neharbelaid", 288, 0),
        ("sle_wb_GSE49454", 597, None),
    ],
)
def test_panel_in_real_files(
    shared_data: Path, file: str, n_found: int, n_ifna: int | None
) -> None:
    anndata = pytest.importorskip("anndata")
    names = anndata.read_h5ad(shared_data / f"{file}.h5ad", backed="r").var_names
    found = resolve(names, panel())
    assert len(found.genes) == n_found
    assert found.species == "human"
    if n_ifna is not None:
        assert len(set(IFNA) & set(found.genes)) == n_ifna


def test_pbmc68k_reduced_has_igj() -> None:
    scanpy = pytest.importorskip("scanpy")
    names = scanpy.datasets.pbmc68k_reduced().var_names
    assert "JCHAIN" not in names
    assert resolve(names, ["JCHAIN"]).how == {"JCHAIN": "previous"}
