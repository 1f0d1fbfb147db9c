"""`protein=` of the identity step: reading, agreement with transcripts, what is stored, drawn."""

from __future__ import annotations

import warnings

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

mpl.use("Agg")

import matplotlib.pyplot as plt

import scifn
from scifn import _keys as k
from scifn._cells.agreement import combine
from scifn._cells.annotate import Annotation
from scifn._cells.protein import Surface
from scifn._errors import ArgumentError, MissingKeyError, OverwriteError, ScaleError
from scifn.pl import _gates
from scifn.tl import _protein

#: UMI of antigens of the simulated types above a background of 2; others carry none.
B = {"CD19": 180, "HLA-DR": 110}
ANTIGENS = {
    "T/NK": {"CD3": 100, "CD27": 120},
    "Monocyte": {"CD14": 60, "CD11c": 400, "HLA-DR": 120, "CD123": 15},
    "cDC": {"CD11c": 400, "HLA-DR": 400, "CD123": 15},
    "pDC": {"CD123": 450, "CD303": 150, "HLA-DR": 110, "CD38": 120},
    "AS-DC": {"CD123": 250, "CD303": 80, "HLA-DR": 200, "CD5": 150},
    "Basophil/Mast": {"CD123": 500},
    "B naive": B | {"CD24": 6, "CD38": 40},
    "B transitional": B | {"CD24": 80, "CD38": 400},
    "B memory": B | {"CD24": 60, "CD38": 8, "CD27": 150},
    "B atypical": B | {"CD38": 8},
}
PLEX = ["CD3", "CD19", "CD14", "CD5", "HLA-DR", "CD11c", "CD123", "CD303", "CD24", "CD38", "CD27"]


@pytest.fixture(scope="module")
def cohort():
    """RNA with truth, and antibody counts drawn from the same truth."""
    adata = scifn.datasets.cohort(
        n_patients=2, n_controls=2, cells_per_donor=800, rng=4,
        effects={"pDC": 5.0, "AS-DC": 5.0, "B transitional": 4.0},
    )  # fmt: skip
    rng = np.random.default_rng(0)
    kinds = adata.obs["truth_cell_type"].astype(str)
    mean = np.array([[2.0 + ANTIGENS.get(t, {}).get(m, 0) for m in PLEX] for t in kinds])
    cell = rng.lognormal(0, 0.2, (len(kinds), 1))
    umi = rng.poisson(mean * cell * rng.lognormal(0, 0.2, mean.shape)).astype(np.float32)
    names = [f"{marker}_TotalSeqB" for marker in PLEX]
    return adata, pd.DataFrame(umi, index=adata.obs_names, columns=names)


@pytest.fixture
def cells(cohort):
    adata, frame = cohort
    adata = adata.copy()
    adata.obsm["prot"] = frame.copy()
    return adata


def modality(frame, **change):
    protein = ad.AnnData(sp.csr_matrix(frame.to_numpy()), obs=pd.DataFrame(index=frame.index))
    protein.var_names = frame.columns
    for name, value in change.items():
        setattr(protein, name, value)
    return protein


def calls(adata):
    names = (k.CELL_TYPE, k.PDC_CALL, k.BREG_KIND, k.BREG_EVIDENCE)
    return adata.obs[list(names)].astype(str)


@pytest.fixture(scope="module")
def done(cohort):
    adata, frame = cohort
    adata = adata.copy()
    adata.obsm["prot"] = frame.copy()
    scifn.tl.annotate(adata, protein="prot")
    return adata


# --- what it does -------------------------------------------------------------
def test_calls_with_proteins(done):
    truth = done.obs["truth_cell_type"].astype(str).to_numpy()
    pdc = (done.obs[k.PDC_CALL] == "pDC").to_numpy()
    assert (pdc & (truth == "pDC")).sum() >= 0.95 * (truth == "pDC").sum()
    assert (pdc & (truth != "pDC")).sum() == 0
    assert (done.obs[k.CELL_TYPE] == "pDC").equals(done.obs[k.PDC_CALL] == "pDC")
    kind = done.obs[k.BREG_KIND].astype(str).to_numpy()
    mine = kind == "transitional_like"
    assert (mine & (truth == "B transitional")).sum() >= 0.8 * (truth == "B transitional").sum()
    assert (mine & (truth == "B naive")).sum() <= 0.02 * (truth == "B naive").sum()


def test_kind_of_every_b_cell_rests_on_one_modality(done):
    obs = done.obs
    b_cell = (obs[k.LINEAGE] == "B") & ~obs[k.CELL_TYPE].isin(["Plasmablast", "Plasma"])
    told = b_cell & (obs[k.BREG_KIND] != "NA")
    assert (obs.loc[told, k.BREG_EVIDENCE] == "protein").all()
    assert (obs.loc[~told, k.BREG_EVIDENCE] == "none").all()
    assert (obs.loc[~b_cell, k.BREG_KIND] == "none").all()
    scifn.tl.donors(done, donor="donor", condition="condition", overwrite=True)
    table = scifn.get.donors(done)
    assert set(table["breg_modality"]) == {"protein"}
    like = (obs[k.BREG_KIND] == "transitional_like").groupby(obs["donor"].astype(str)).sum()
    assert dict(zip(table["donor"], table["n_breg_like"], strict=True)) == like.to_dict()


def test_types_of_b_cells_stay_those_of_the_transcripts(done, cohort):
    plain = cohort[0].copy()
    scifn.tl.annotate(plain)
    b_cell = (plain.obs[k.LINEAGE] == "B").to_numpy()
    with_, without = (a.obs[k.CELL_TYPE].astype(str).to_numpy()[b_cell] for a in (done, plain))
    np.testing.assert_array_equal(with_, without)


def test_what_is_stored(done):
    record = done.uns["scifn"]["annotate"]
    assert record["protein"] == "obsm['prot']"
    assert record["surface"]["markers"]["CD303"] == "CD303_TotalSeqB"
    assert record["surface"]["n_stained"] == done.n_obs
    assert record["surface_calls"]["n_cells"].sum() == done.n_obs
    gates = done.uns["scifn"][k.GATES]
    assert tuple(gates.columns) == k.GATES_COLUMNS
    values = done.obsm[k.PROTEIN]
    assert set(values.columns) == set(record["surface"]["markers"])
    assert {"CD123", "CD303", "CD19", "CD24", "CD38", "CD27"} <= set(values.columns)
    assert {str(kind) for kind in values.dtypes} == {"float32"}
    changed = done.obs[k.CONFIDENCE].isna()
    assert (done.obs.loc[~changed, k.CONFIDENCE] <= 1).all()


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_it_writes_and_reads_back(done, tmp_path, kind):
    small = ad.AnnData(obs=done.obs[[k.PDC_CALL]].copy())
    small.obsm[k.PROTEIN] = done.obsm[k.PROTEIN]
    small.uns["scifn"] = {name: done.uns["scifn"][name] for name in (k.GATES, "annotate")}
    path = tmp_path / f"cells.{kind}"
    small.write_h5ad(path) if kind == "h5ad" else small.write_zarr(path)
    back = ad.read_h5ad(path) if kind == "h5ad" else ad.read_zarr(path)
    gates = back.uns["scifn"][k.GATES].reset_index(drop=True)
    pd.testing.assert_frame_equal(gates, done.uns["scifn"][k.GATES], check_dtype=False)
    pd.testing.assert_frame_equal(back.obsm[k.PROTEIN], done.obsm[k.PROTEIN], check_names=False)
    compared = back.uns["scifn"]["annotate"]["surface_calls"]["n_cells"]
    assert compared.sum() == done.n_obs
    assert isinstance(scifn.pl.gates(back), mpl.figure.Figure)
    plt.close("all")


def test_a_later_call_without_proteins_leaves_no_gates(cells):
    scifn.tl.annotate(cells, protein="prot")
    with pytest.raises(OverwriteError, match=r"obsm\['scifn_protein'\]"):
        scifn.tl.annotate(cells, protein="prot")
    scifn.tl.annotate(cells, overwrite=True)
    assert k.PROTEIN not in cells.obsm
    assert k.GATES not in cells.uns["scifn"]
    assert "protein" not in set(cells.obs[k.BREG_EVIDENCE])


def test_run_takes_proteins(cells, done):
    given = {"donor": "donor", "condition": "condition", "reference": "control"}
    scifn.run(cells, **given, n_permutations=100, protein="prot")
    pd.testing.assert_frame_equal(calls(cells), calls(done))
    assert k.GATES in cells.uns["scifn"]
    assert k.PROTEIN in cells.obsm


# --- where the counts come from -----------------------------------------------
def shuffled(frame):
    return frame.sample(frac=1.0, random_state=1)


def with_counts_layer(frame):
    protein = modality(np.log1p(frame))
    protein.layers["counts"] = sp.csr_matrix(frame.to_numpy())
    return protein


def with_raw(frame):
    protein = modality(frame)
    protein.raw = protein.copy()
    protein.X = np.log1p(frame.to_numpy())
    return protein


def with_genes(frame):
    genes = pd.DataFrame(1.0, index=frame.index, columns=[f"GENE{i}" for i in range(5)])
    both = modality(pd.concat([genes, frame], axis=1))
    both.var["feature_types"] = ["Gene Expression"] * 5 + ["Antibody Capture"] * frame.shape[1]
    return both


@pytest.mark.parametrize(
    "make",
    [
        modality,
        lambda frame: modality(shuffled(frame)),
        lambda frame: modality(frame, X=frame.to_numpy()),
        lambda frame: modality(frame, X=sp.csc_matrix(frame.to_numpy())),
        lambda frame: modality(frame, X=sp.csr_array(frame.to_numpy().astype(np.int32))),
        with_counts_layer,
        with_raw,
        with_genes,
    ],
    ids=["csr", "shuffled", "dense", "csc", "integers", "layer", "raw", "with genes"],
)
def test_every_way_of_giving_counts_gives_the_same(cohort, make):
    adata, frame = cohort
    adt = _protein.read(adata, make(frame))
    np.testing.assert_array_equal(adt.umi, frame.to_numpy())
    assert adt.names == tuple(frame.columns)
    assert adt.stained.all()


def test_backed_and_dask_proteins(cohort, tmp_path):
    adata, frame = cohort
    path = tmp_path / "prot.h5ad"
    modality(frame).write_h5ad(path)
    backed = ad.read_h5ad(path, backed="r")
    np.testing.assert_array_equal(_protein.read(adata, backed).umi, frame.to_numpy())
    backed.file.close()
    dask = pytest.importorskip("dask.array")
    lazy = modality(frame, X=dask.from_array(frame.to_numpy(), chunks=(700, 5)))
    np.testing.assert_array_equal(_protein.read(adata, lazy).umi, frame.to_numpy())


def test_an_array_needs_names(cells, cohort):
    frame = cohort[1]
    cells.obsm["prot"] = frame.to_numpy()
    with pytest.raises(ArgumentError, match=r"11 columns have no names.*DataFrame.*prot_names"):
        scifn.tl.annotate(cells, protein="prot")
    cells.uns["prot_names"] = np.array(frame.columns, dtype=object)
    assert _protein.read(cells, "prot").names == tuple(frame.columns)
    cells.obsm["prot"] = sp.csr_matrix(frame.to_numpy())
    np.testing.assert_array_equal(_protein.read(cells, "prot").umi, frame.to_numpy())


def test_cells_without_protein_counts_are_not_judged_by_them(cells, cohort, done):
    frame = cohort[1]
    part = frame.iloc[::2]
    scifn.tl.annotate(cells, protein=modality(part))
    lacking = ~cells.obs_names.isin(part.index)
    values = cells.obsm[k.PROTEIN]
    assert values[lacking].isna().all(axis=None)
    assert values[~lacking].notna().all(axis=None)
    assert cells.uns["scifn"]["annotate"]["surface"]["n_stained"] == len(part)
    b_cell = (cells.obs[k.LINEAGE] == "B") & ~cells.obs[k.CELL_TYPE].isin(["Plasmablast", "Plasma"])
    assert set(cells.obs.loc[b_cell & lacking, k.BREG_KIND].astype(str)) == {"NA"}
    plain = cohort[0].copy()
    scifn.tl.annotate(plain)
    np.testing.assert_array_equal(
        cells.obs.loc[lacking, k.PDC_CALL].astype(str),
        plain.obs.loc[lacking, k.PDC_CALL].astype(str),
    )
    holes = frame.copy()
    holes.iloc[1::2] = np.nan
    cells.obsm["prot"] = holes
    again = calls(cells)
    scifn.tl.annotate(cells, protein="prot", overwrite=True)
    pd.testing.assert_frame_equal(calls(cells), again)


def test_mistakes_are_named(cells, cohort):
    frame = cohort[1]

    def give(protein):
        scifn.tl.annotate(cells, protein=protein)

    with pytest.raises(MissingKeyError, match=r"obsm has no such key. Keys here: 'prot'"):
        give("proteins")
    with pytest.raises(ArgumentError, match="a list; a key of obsm or an AnnData"):
        give([1, 2])
    with pytest.raises(ScaleError, match=r"no raw counts: X .*raw UMI counts"):
        give(modality(np.log1p(frame)))
    with pytest.raises(ScaleError, match=r"no raw counts: X holds negative values"):
        give(modality(frame - 3.0))
    for wrong, said in ((frame - 3.0, "negative values"), (frame + 0.5, "not integers")):
        cells.obsm["prot"] = wrong
        with pytest.raises(ScaleError, match=f"{said}.*transformed already"):
            give("prot")
    cells.obsm["prot"] = frame.assign(note="x")
    with pytest.raises(ScaleError, match="columns that are not numbers"):
        give("prot")
    other = frame.rename(index=lambda name: f"other-{name}")
    with pytest.raises(MissingKeyError, match=r"no cell of protein= \(such as 'other-"):
        give(modality(other))
    twice = pd.concat([frame.iloc[:10], frame.iloc[:10]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata says it too
        repeated = modality(twice)
    with pytest.raises(ArgumentError, match="obs_names of protein= are not unique"):
        give(repeated)
    wide = ad.AnnData(np.ones((5, 2_000), dtype=np.float32))
    with pytest.raises(ArgumentError, match="2,000 features, more than any panel"):
        give(wide)
    genes = with_genes(frame)
    genes.var["feature_types"] = "Gene Expression"
    with pytest.raises(ArgumentError, match=r"holds no antibodies: var\['feature_types'\]"):
        give(genes)
    assert not [name for name in cells.obs if name.startswith(k.PREFIX)]


def test_of_a_mudata_the_modality_is_given(cells, cohort):
    mudata = pytest.importorskip("mudata")
    both = mudata.MuData({"rna": cells.copy(), "prot": modality(cohort[1])})
    with pytest.raises(ArgumentError, match=r"protein= is a MuData.*'rna', 'prot'"):
        scifn.tl.annotate(cells, protein=both)
    assert _protein.read(cells, both["prot"]).stained.all()


def test_gates_are_of_human_cells():
    genes = ["Isg15", "Ifi27", "Ms4a1", "Cd79a", "Cd3e", "Siglech", "H2-Aa", "H2-Ab1"]
    umi = np.random.default_rng(0).poisson(3.0, (20, 8)).astype(np.float32)
    mouse = ad.AnnData(umi, var=pd.DataFrame(index=genes))
    mouse.obsm["prot"] = pd.DataFrame(umi[:, :2], index=mouse.obs_names, columns=["CD19", "CD3"])
    with pytest.raises(ArgumentError, match="human surface markers, and the species is mouse"):
        scifn.tl.annotate(mouse, protein="prot")


# --- agreement, case by case --------------------------------------------------
TYPES = ("pDC", "AS-DC", "T/NK", "B naive")


def one_cell(call, cell_type, posterior, *, types=TYPES):
    """An annotation of one cell."""
    lineage = np.array([k.LINEAGE_OF[cell_type]], dtype=object)

    def text(value):
        return np.array([value], dtype=object)

    number = np.array([0.5])
    return Annotation(
        text(cell_type), lineage, np.array([0.9], dtype=np.float32), text(call), number,
        text("none"), number, text("none"), number, types, np.array([posterior]), [],
        {"measurable": ["T/NK"]},
    )  # fmt: skip


def surface_of(pdc="NA", breg="NA", *, pdc_measurable=True, breg_measurable=False):
    arrays = [np.array([value], dtype=object) for value in (pdc, breg)]
    values = np.zeros((1, 1), dtype=np.float32)
    return Surface(*arrays, pdc_measurable, breg_measurable, ("CD123",), values, [], {})


SURE, SMALL, NONE = (1.0, 0, 0, 0), (0.02, 0, 0.98, 0), (0.001, 0, 0.999, 0)


@pytest.mark.parametrize(
    ("surface", "rna", "cell_type", "posterior", "call", "becomes"),
    [
        ("pDC", "pDC", "pDC", SURE, "pDC", "pDC"),
        ("pDC", "pDC_ambiguous", "DC unresolved", SURE, "pDC", "pDC"),
        ("pDC", "not_pDC", "T/NK", SMALL, "pDC", "pDC"),
        ("pDC", "not_pDC", "T/NK", NONE, "pDC_ambiguous", "T/NK"),
        ("pDC", "not_pDC", "Unassigned", NONE, "pDC", "pDC"),
        ("pDC", "AS-DC", "AS-DC", (0.4, 0.6, 0, 0), "AS-DC", "AS-DC"),
        ("pDC", "pDC_doublet", "Doublet", NONE, "pDC_doublet", "Doublet"),
        ("pDC", "not_pDC", "Doublet", SMALL, "not_pDC", "Doublet"),
        ("AS-DC", "pDC", "pDC", SURE, "pDC_ambiguous", "DC unresolved"),
        ("AS-DC", "pDC_ambiguous", "DC unresolved", SURE, "AS-DC", "AS-DC"),
        ("AS-DC", "AS-DC", "AS-DC", SURE, "AS-DC", "AS-DC"),
        ("AS-DC", "not_pDC", "T/NK", NONE, "not_pDC", "T/NK"),
        ("doublet", "pDC", "pDC", SURE, "pDC_doublet", "Doublet"),
        ("doublet", "not_pDC", "T/NK", NONE, "not_pDC", "T/NK"),
        ("CD123 only", "pDC", "pDC", SURE, "pDC", "pDC"),
        ("CD123 only", "pDC_ambiguous", "DC unresolved", SURE, "pDC_ambiguous", "DC unresolved"),
        ("not_pDC", "pDC", "pDC", SURE, "pDC_ambiguous", "DC unresolved"),
        ("not_pDC", "pDC_ambiguous", "DC unresolved", SURE, "not_pDC", "DC unresolved"),
        ("not_pDC", "not_pDC", "T/NK", NONE, "not_pDC", "T/NK"),
        ("not_pDC", "AS-DC", "AS-DC", SURE, "AS-DC", "AS-DC"),
        ("NA", "pDC", "pDC", SURE, "pDC", "pDC"),
        ("NA", "not_pDC", "T/NK", NONE, "not_pDC", "T/NK"),
    ],
)
def test_one_call_of_two(surface, rna, cell_type, posterior, call, becomes):
    before = one_cell(rna, cell_type, posterior)
    out, table = combine(before, surface_of(surface))
    assert out.pdc_call[0] == call
    assert out.cell_type[0] == becomes
    assert out.lineage[0] == k.LINEAGE_OF[becomes]
    assert np.isnan(out.confidence[0]) == (becomes != cell_type)
    assert before.cell_type[0] == cell_type, "the input is left as it was"
    rows = [] if surface == "NA" else [[rna, surface, call, 1]]
    assert table.to_numpy().tolist() == rows
    assert out.record["measurable"] == ["T/NK", "pDC"]


def test_where_transcripts_cannot_tell_pdc():
    types, nothing = ("T/NK", "B naive"), (0.0, 0.0)
    for kind, call, becomes in [("DC unresolved", "pDC", "pDC"), ("T/NK", "pDC_ambiguous", "T/NK")]:
        out, _ = combine(one_cell("NA", kind, nothing, types=types), surface_of("pDC"))
        assert (out.pdc_call[0], out.cell_type[0]) == (call, becomes)
    for surface, call in [("not_pDC", "not_pDC"), ("CD123 only", "pDC_ambiguous")]:
        out, _ = combine(one_cell("NA", "DC unresolved", nothing, types=types), surface_of(surface))
        assert out.pdc_call[0] == call


def test_labels_of_the_user_bind_the_surface_too():
    rna = one_cell("not_pDC", "Unassigned", (0.0, 0, 0, 0))
    out, _ = combine(rna, surface_of("pDC"), may_be_pdc=np.array([False]))
    assert (out.pdc_call[0], out.cell_type[0]) == ("pDC_ambiguous", "Unassigned")


def test_without_a_pdc_gate_transcripts_decide():
    out, _ = combine(one_cell("pDC", "pDC", SURE), surface_of("NA", pdc_measurable=False))
    assert out.pdc_call[0] == "pDC"
    assert out.record["measurable"] == ["T/NK"]


@pytest.mark.parametrize(
    ("measurable", "breg", "cell_type", "expected"),
    [
        (True, "transitional_like", "B naive", ("transitional_like", "protein")),
        (True, "none", "B naive", ("none", "protein")),
        (True, "NA", "B naive", ("NA", "none")),
        (True, "b10_like", "T/NK", ("none", "none")),
        (True, "b10_like", "Plasmablast", ("none", "none")),
        (False, "NA", "B naive", ("none", "none")),
    ],
)
def test_kind_of_b_cells(measurable, breg, cell_type, expected):
    rna = one_cell("not_pDC", cell_type, NONE)
    out, _ = combine(rna, surface_of("not_pDC", breg, breg_measurable=measurable))
    assert (out.breg_kind[0], out.breg_evidence[0]) == expected


# --- the plot -----------------------------------------------------------------
def test_the_plot_shows_the_gates_that_are_stored(done):
    figure = scifn.pl.gates(done)
    table = done.uns["scifn"][k.GATES]
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "CD123 (UMI)",
        "CD24 (UMI)",
        "CD24 (UMI)",
    ]
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "CD303 (UMI)",
        "CD38 (UMI)",
        "CD27 (UMI)",
    ]
    for axes, population in zip(figure.axes, ("pDC", "transitional_like", "b10_like"), strict=True):
        mine = table[table["population"] == population]
        at = dict(zip(mine["protein"], mine["threshold"], strict=True))
        x, y = (label.split()[0] for label in (axes.get_xlabel(), axes.get_ylabel()))
        assert axes.lines[0].get_xdata()[0] == pytest.approx(at[x])
        assert axes.lines[1].get_ydata()[0] == pytest.approx(at[y])
        row = mine[mine["protein"] == ""].iloc[0]
        drawn = axes.collections[1].get_offsets()
        assert len(drawn) == row["n_positive"]
        assert f"{row['n_positive']:,.0f} of {row['of']:,.0f}" in axes.texts[0].get_text()
    plt.close(figure)


def test_cells_of_the_figure_are_those_of_the_gates(done):
    table, values = done.uns["scifn"][k.GATES], done.obsm[k.PROTEIN]
    compared = done.uns["scifn"]["annotate"]["surface_calls"]
    for surface, asdc in (("pDC", False), ("AS-DC", True)):
        n = compared.loc[compared["surface"] == surface, "n_cells"].sum()
        assert _gates.inside(values, table, "pDC", asdc=asdc).sum() == n


def test_the_plot_within_axes_of_ones_own(done):
    figure, axes = plt.subplots()
    assert scifn.pl.gates(done, ax=axes) is figure
    assert len(axes.child_axes) == 3
    plt.close(figure)


def test_the_plot_says_what_was_not_measurable(cells):
    cells.obsm["prot"] = cells.obsm["prot"].drop(columns="CD38_TotalSeqB")
    scifn.tl.annotate(cells, protein="prot")
    figure = scifn.pl.gates(cells)
    texts = [text.get_text().replace("\n", " ") for axes in figure.axes for text in axes.texts]
    assert texts.count("not measurable: CD38 is not among the proteins") == 2
    assert "protein" not in set(cells.obs[k.BREG_EVIDENCE])
    plt.close(figure)


def test_the_plot_needs_gates(cohort):
    with pytest.raises(MissingKeyError, match=r"call scifn.tl.annotate\(adata, protein=...\)"):
        scifn.pl.gates(cohort[0])
