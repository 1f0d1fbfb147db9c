"""Which matrix is read, whose genes they are, and what is said of it."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from scifn import _view
from scifn._errors import ArgumentError, GenesError, MatrixError, MissingKeyError, ScaleError
from scifn.genesets import _ids

#: Genes with a hyphen, an alias-free common name, and one that R rewrites.
GENES = ["ISG15", "IFI6", "MS4A1", "CD79A", "CD3E", "LILRA4", "HLA-DRA", "HLA-DPA1"]
WANTED = ["HLA-DRA", "IFI6", "ISG15", "LILRA4"]
#: Cells of the fixture, more than two so that a duplicate can be told from the rest.
N = 30


def counts(seed=0):
    made = np.random.default_rng(seed).poisson(2.0, (N, len(GENES))).astype("float32")
    made[:, 0] = np.arange(N) % 7 + 1  # several levels in every cell, never empty
    return made


def logs(made):
    return np.log1p(made / made.sum(axis=1, keepdims=True) * 1e4).astype("float32")


def scaled(made):
    return ((made - made.mean(0)) / (made.std(0) + 1)).astype("float32")


def adata_of(x, names=GENES, **options):
    n = N if x is None else x.shape[0]
    obs = pd.DataFrame(index=[f"c{i}" for i in range(n)])
    return ad.AnnData(x, obs, pd.DataFrame(index=list(names)), **options)


def with_raw(x, raw, raw_names=GENES):
    found = adata_of(x, GENES[: x.shape[1]])
    found.raw = adata_of(raw, raw_names)
    return found


MADE, OTHER, THIRD = counts(), counts(1), counts(2)
# what is there -> (object, which matrix is read, scale, what is recorded of counts)
CHOICES = {
    "counts layer before all": (
        adata_of(THIRD, layers={"counts": MADE}), "layers['counts']", "counts", "as stored",
    ),
    "counts layer before raw": (
        with_raw(OTHER, THIRD), "raw", "counts", "as stored",
    ),
    "integer raw before integer X": (with_raw(OTHER, MADE), "raw", "counts", "as stored"),
    "integer raw before logarithms": (with_raw(logs(OTHER), MADE), "raw", "counts", "as stored"),
    "integer X before logarithms in raw": (
        with_raw(MADE, logs(OTHER)), "X", "counts", "as stored",
    ),
    "narrow integer raw before wide integer X": (
        with_raw(OTHER, MADE[:, :5], GENES[:5]), "raw", "counts", "as stored",
    ),
    "integer X before a layer of logarithms": (
        adata_of(MADE, layers={"counts": logs(OTHER)}), "X", "counts", "as stored",
    ),
    "recoverable X": (adata_of(logs(MADE)), "X", "log1p", "recovered"),
    "recoverable X before recoverable raw": (
        with_raw(logs(MADE), logs(OTHER)), "X", "log1p", "recovered",
    ),
    "recoverable full raw before recoverable subset": (
        with_raw(logs(MADE)[:, :5], logs(MADE)), "raw", "log1p", "recovered",
    ),
    "recoverable raw before corrected X": (
        with_raw(logs(OTHER) * 1.1, logs(MADE)), "raw", "log1p", "recovered",
    ),
    "recoverable raw before scaled X": (
        with_raw(scaled(OTHER), logs(MADE)), "raw", "log1p", "recovered",
    ),
    "corrected X alone": (
        adata_of(np.round(logs(MADE), 1)), "X", "log1p", "unknown",
    ),
    "corrected raw before scaled X": (
        with_raw(scaled(MADE), np.round(logs(MADE), 1)), "raw", "log1p", "unknown",
    ),
    "counts layer without X": (
        adata_of(None, layers={"counts": MADE}), "layers['counts']", "counts", "as stored",
    ),
    "counts layer of a scaled X": (
        adata_of(scaled(OTHER), layers={"counts": MADE}), "layers['counts']", "counts",
        "as stored",
    ),
    "scaled counts layer is passed over": (
        adata_of(MADE, layers={"counts": scaled(OTHER)}), "X", "counts", "as stored",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CHOICES)
def test_choice_of_the_matrix(case):
    adata, where, scale, told = CHOICES[case]
    view = _view.read(adata, WANTED)
    record = view.record
    assert record["matrix"] == where
    assert record["scale"] == scale
    assert record["counts"] == told
    assert view.is_counts == (told != "unknown")
    assert record["reason"].startswith(f"{where}: ")
    there = {"layers['counts']": "counts" in adata.layers, "raw": adata.raw is not None}
    there["X"] = adata.X is not None
    for other in {name for name, is_there in there.items() if is_there} - {where}:
        assert f"{other} not used: " in record["notes"]


def test_a_layer_of_counts_comes_before_integer_raw_and_X():
    adata = with_raw(OTHER, THIRD)
    adata.layers["counts"] = MADE
    view = _view.read(adata, WANTED)
    assert view.record["matrix"] == "layers['counts']"
    assert view.sum(["ISG15"]).tolist() == MADE[:, 0].tolist()


def test_values_are_of_the_matrix_that_is_recorded():
    adata = with_raw(OTHER, MADE[:, ::-1], GENES[::-1])
    view = _view.read(adata, WANTED)
    assert view.genes == tuple(WANTED)
    want = MADE[:, [GENES.index(gene) for gene in WANTED]]
    assert (view.values.toarray() == want).all()
    assert (view.dense(["LILRA4", "IFI6"]) == want[:, [3, 1]]).all()
    assert (view.sum(["IFI6", "absent", "ISG15"]) == want[:, 1] + want[:, 2]).all()
    assert (view.total == MADE.sum(axis=1)).all()
    assert (view.n_genes == (MADE > 0).sum(axis=1)).all()
    assert view.found(["absent", "ISG15"]) == ["ISG15"]
    assert "ISG15" in view
    assert "absent" not in view
    assert view.n_cells == N


@pytest.mark.parametrize(
    ("layer", "where", "values"),
    [("raw", "raw", OTHER), ("X", "X", MADE), ("mine", "layers['mine']", THIRD)],
)
def test_a_layer_that_is_named_is_read(layer, where, values):
    adata = with_raw(MADE, OTHER)
    adata.layers["mine"] = THIRD
    adata.layers["counts"] = MADE + 1
    view = _view.read(adata, WANTED, layer=layer)
    assert view.record["matrix"] == where
    assert (view.total == values.sum(axis=1)).all()


def test_a_layer_that_is_not_there_is_named_with_those_that_are():
    adata = adata_of(MADE, layers={"spliced": MADE})
    with pytest.raises(MissingKeyError, match=r"layer='counts': no such layer.*'spliced'"):
        _view.read(adata, WANTED, layer="counts")
    with pytest.raises(MissingKeyError, match=r"layer='raw': this AnnData has no .raw"):
        _view.read(adata, WANTED, layer="raw")
    with pytest.raises(MatrixError, match=r"layer='X': the AnnData has no X.*raw UMI counts"):
        _view.read(adata_of(None, layers={"a": MADE}), WANTED, layer="X")


def test_scaled_values_are_never_used():
    for adata in (adata_of(scaled(MADE)), with_raw(scaled(MADE), scaled(OTHER))):
        with pytest.raises(MatrixError, match=r"X holds negative values.*raw UMI counts"):
            _view.read(adata, WANTED)
    with pytest.raises(ScaleError, match=r"layers\['z'\] holds negative values"):
        _view.read(adata_of(MADE, layers={"z": scaled(MADE)}), WANTED, layer="z")


def test_nothing_to_read_lists_the_layers():
    adata = adata_of(None, layers={"spliced": MADE})
    with pytest.raises(MatrixError, match=r"no X, no raw and no layer.*layers: 'spliced'"):
        _view.read(adata, WANTED)
    with pytest.raises(MatrixError, match=r"layers: none"):
        _view.read(adata_of(None), WANTED)


def test_a_matrix_of_zeros_is_not_read():
    with pytest.raises(MatrixError, match=r"X holds no value other than zero"):
        _view.read(adata_of(np.zeros_like(MADE)), WANTED)


def test_a_matrix_of_objects_is_refused():
    adata = adata_of(MADE)
    adata.layers["mine"] = MADE.astype(object)
    with pytest.raises(MatrixError, match=r"type object; numbers are needed"):
        _view.read(adata, WANTED, layer="mine")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_cells_with_unreadable_values_are_named(form, value):
    made = MADE.copy()
    made[[3, 8, 11, 29], 2] = value
    message = r"X: 4 of 30 cells hold NaN, infinite.*\('c3', 'c8', 'c11', \.\.\.\).*raw UMI counts"
    with pytest.raises(MatrixError, match=message):
        _view.read(adata_of(form(made)), WANTED)
    with pytest.raises(MatrixError, match=message):
        _view.read(adata_of(form(made)), WANTED, layer="X")
    # another matrix that can be read is read, and says so
    adata = adata_of(form(made), layers={"counts": form(OTHER)})
    assert "X not used: holds NaN" in _view.read(adata, WANTED).record["notes"]
    adata = with_raw(scaled(MADE), made)
    with pytest.raises(MatrixError, match=r"raw: 4 of 30 cells.*'c3'.*X holds negative"):
        _view.read(adata, WANTED)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_antibodies_are_left_out_of_genes_and_totals():
    adata = adata_of(np.hstack([MADE, MADE * 50]), [*GENES, *(f"{g}_TotalSeqB" for g in GENES)])
    adata.var["feature_types"] = ["Gene Expression"] * 8 + ["Antibody Capture"] * 8
    view = _view.read(adata, WANTED)
    assert (view.total == MADE.sum(axis=1)).all()
    assert view.n_features == 8
    assert "8 features that are not genes are left out" in view.record["notes"]
    # an antibody that is called by its gene is not that gene
    adata.var_names = [*GENES, *GENES]
    assert (_view.read(adata, WANTED).sum(["ISG15"]) == MADE[:, 0]).all()
    # names of types that no one knows leave nothing out
    adata.var["feature_types"] = "peak"
    assert _view.read(adata, WANTED).n_features == 16


def ensembl(version=False):
    table = _ids.ids("human")
    return [table.ensembl[gene][0] + (".12" if version else "") for gene in GENES]


@pytest.mark.parametrize("version", [False, True])
def test_ensembl_names_are_read(version):
    view = _view.read(adata_of(MADE, ensembl(version)), WANTED)
    assert view.genes == tuple(WANTED)
    assert (view.sum(["ISG15"]) == MADE[:, 0]).all()
    assert view.record["identifiers"].startswith("Ensembl IDs" + " with version" * version)


def test_ensembl_names_with_a_column_of_symbols():
    adata = adata_of(MADE, ensembl())
    adata.var["feature_name"] = pd.Categorical(GENES)
    view = _view.read(adata, WANTED)
    assert (view.sum(["LILRA4"]) == MADE[:, 5]).all()
    assert view.record["identifiers"].endswith("var_names (Ensembl) and var['feature_name']")


def test_symbols_with_a_column_of_ensembl_ids():
    adata = adata_of(MADE, ["renamed", *GENES[1:]])
    adata.var["gene_ids"] = ensembl()
    view = _view.read(adata, WANTED)
    assert (view.sum(["ISG15"]) == MADE[:, 0]).all()
    assert view.record["identifiers"].endswith("var_names and var['gene_ids']")


def test_a_column_of_symbols_that_is_named():
    adata = adata_of(MADE, [f"f{i}" for i in range(8)])
    adata.var["mine"] = GENES
    view = _view.read(adata, WANTED, gene_symbols="mine")
    assert (view.sum(["ISG15"]) == MADE[:, 0]).all()
    assert view.record["identifiers"] == "symbols in var['mine']"
    with pytest.raises(MissingKeyError, match=r"gene_symbols='yours'.*no such column.*mine"):
        _view.read(adata, WANTED, gene_symbols="yours")


def test_symbols_are_those_of_the_matrix_that_is_read():
    """raw has features of its own: names and columns of var say nothing about it."""
    adata = with_raw(OTHER, MADE, [f"f{i}" for i in range(8)])
    adata.var["mine"] = GENES
    with pytest.raises(MissingKeyError, match=r"gene_symbols='mine': raw\.var has no such column"):
        _view.read(adata, WANTED, gene_symbols="mine")


def test_names_that_r_made():
    view = _view.read(adata_of(MADE, [g.replace("-", ".") for g in GENES]), WANTED)
    assert view.genes == tuple(WANTED)
    assert view.record["identifiers"] == "R make.names symbols in var_names"
    assert (view.sum(["HLA-DRA"]) == MADE[:, 6]).all()


def test_mouse_symbols_are_told_from_folded_human_ones():
    mouse = ["Isg15", "Ifi27", "Ms4a1", "Cd79a", "Cd3e", "Siglech", "H2-Aa", "H2-Ab1"]
    view = _view.read(adata_of(MADE, mouse), {"human": WANTED, "mouse": ["Isg15"]}.__getitem__)
    assert (view.species, view.genes) == ("mouse", ("Isg15",))
    folded = _view.read(adata_of(MADE, [g.lower() for g in GENES]), WANTED)
    assert (folded.species, folded.genes) == ("human", tuple(WANTED))
    assert "compared without regard to case" in folded.record["notes"]
    with pytest.raises(ArgumentError, match=r"species='rat'"):
        _view.read(adata_of(MADE), WANTED, species="rat")
    with pytest.raises(GenesError, match=r'species="human" was asked for'):
        _view.read(adata_of(MADE, mouse), WANTED, species="human")


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_duplicate_names_are_summed_and_noted():
    adata = adata_of(np.hstack([MADE, OTHER[:, :2]]), [*GENES, "ISG15", "IFI6"])
    view = _view.read(adata, WANTED)
    assert (view.sum(["ISG15"]) == MADE[:, 0] + OTHER[:, 0]).all()
    assert "ISG15" in view.record["notes"]
    assert (view.total == MADE.sum(axis=1) + OTHER[:, :2].sum(axis=1)).all()


@pytest.mark.filterwarnings("ignore:Observation names are not unique")
def test_duplicate_cells_are_kept_and_noted():
    adata = adata_of(MADE)
    adata.obs_names = ["twice", *adata.obs_names[:-2], "twice"]
    view = _view.read(adata, WANTED)
    assert view.n_cells == N
    assert "obs_names are not unique" in view.record["notes"]


def test_transposed_integer_and_unknown_names_are_refused_with_a_hint():
    barcodes = ["ACGTACGTACGTAC" + "ACGT"[i % 4] + "ACGT"[i // 4] + "-1" for i in range(8)]
    with pytest.raises(GenesError, match=r"cell barcodes.*transposed.*adata\.T"):
        _view.read(adata_of(MADE, barcodes), WANTED)
    with pytest.raises(GenesError, match=r"integers.*gene_symbols="):
        _view.read(adata_of(MADE, [str(i) for i in range(8)]), WANTED)
    with pytest.raises(GenesError, match=r"None of the 8 feature names.*transposed"):
        _view.read(adata_of(MADE, [f"peak{i}" for i in range(8)]), WANTED)


def test_views_subsets_and_one_cell_give_their_rows():
    adata = adata_of(sp.csr_matrix(MADE))
    whole = _view.read(adata, WANTED).values.toarray()
    for rows in ([4, 2, 9], [7]):
        part = adata[rows]
        assert part.is_view
        view = _view.read(part, WANTED)
        assert (view.values.toarray() == whole[rows]).all()
        assert part.is_view, "reading makes no copy"


def test_objects_that_are_no_anndata_are_named():
    with pytest.raises(ArgumentError, match=r"AnnData was needed, a DataFrame was given"):
        _view.read(pd.DataFrame(MADE, columns=GENES), WANTED)
    with pytest.raises(ArgumentError, match=r"a str was given"):
        _view.read("file.h5ad", WANTED)
    with pytest.raises(ArgumentError, match=r"no cells \(n_obs is 0\)"):
        _view.read(adata_of(MADE)[:0], WANTED)


@pytest.mark.filterwarnings("ignore:::mudata")
def test_a_mudata_is_refused_naming_its_modalities():
    mudata = pytest.importorskip("mudata")
    both = mudata.MuData({"rna": adata_of(MADE), "adt": adata_of(MADE, list("abcdefgh"))})
    with pytest.raises(ArgumentError, match=r"MuData was given; pass its RNA.*'rna', 'adt'"):
        _view.read(both, WANTED)


@pytest.mark.parametrize("dtype", ["bool", "float16"])
def test_types_that_lose_something_are_noted(dtype):
    view = _view.read(adata_of(MADE.astype(dtype)), WANTED)
    note = {"bool": "detection is read as one UMI", "float16": "half precision"}[dtype]
    assert note in view.record["notes"]
    assert (view.total == MADE.astype(dtype).astype(float).sum(axis=1)).all()


def test_logarithms_in_half_precision_are_no_counts():
    view = _view.read(adata_of(logs(MADE).astype("float16")), WANTED)
    assert not view.is_counts
    assert "half precision: it rounds its counts away" in view.record["notes"]


def test_empty_cells_and_double_logarithms_are_noted():
    made = MADE.copy()
    made[[5, 6]] = 0
    view = _view.read(adata_of(made), WANTED)
    assert "2 cells hold no count at all" in view.record["notes"]
    assert view.total[5] == 0
    view = _view.read(adata_of(np.log1p(logs(MADE))), WANTED)
    assert "log-transformed twice" in view.record["notes"]
    assert (view.total == MADE.sum(axis=1)).all()


def test_the_record_is_strings_and_numbers():
    record = _view.read(with_raw(logs(OTHER), MADE), WANTED).record
    assert {type(value) for value in record.values()} <= {str, int, float}
    assert record["n_cells"] == N
    assert record["n_features"] == 8
    assert record["n_panel_genes"] == 4
