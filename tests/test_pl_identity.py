"""Plots of what calls rest on, and the tables that they draw."""

from __future__ import annotations

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import scifn
from scifn import _keys as k
from scifn import genesets
from scifn._errors import ArgumentError, MatrixError, MissingKeyError
from scifn.get import _markers as found
from scifn.pl import _agreement, _cell_types, _confidence, _markers, _pdc_evidence, _style

GENES = ["LILRA4", "CLEC4C", "IL3RA", "AXL", "CD3E", "S100A8", "MS4A1", "ACTB"]
COUNTS = np.array(
    [
        # LILRA4 CLEC4C IL3RA AXL CD3E S100A8 MS4A1 ACTB
        [4, 1, 2, 0, 0, 1, 0, 92],
        [2, 0, 0, 1, 0, 0, 1, 46],
        [0, 0, 0, 0, 3, 2, 0, 95],
        [0, 0, 0, 0, 0, 0, 0, 100],
    ],
    dtype="float32",
)


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    plt.close("all")


@pytest.fixture
def called():
    """Four cells with calls and counts."""
    obs = pd.DataFrame(
        {
            k.CELL_TYPE: ["pDC", "pDC", "T/NK", "T/NK"],
            k.PDC_CALL: ["pDC", "pDC_ambiguous", "not_pDC", "not_pDC"],
            k.PDC_SCORE: [12.0, 1.0, -9.0, -30.0],
            k.CONFIDENCE: np.array([0.99, 0.6, 0.95, np.nan], dtype="float32"),
            "mine": ["p", "t", "t", "t"],
        }
    ).rename(index=str)
    return ad.AnnData(sp.csr_matrix(COUNTS), obs=obs, var=pd.DataFrame(index=GENES))


def blank(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].min() > 200


def texts(axes):
    return [text.get_text() for text in axes.texts]


# --- the tables ---------------------------------------------------------------------------
def test_markers_by_hand(called):
    table = scifn.get.markers(called, genes={"pDC": ["LILRA4"], "T": ["CD3E", "CD3D"]})
    assert tuple(table.columns) == found.MARKER_COLUMNS
    row = table.set_index(["cell_type", "gene"])
    # LILRA4: 4 of 100 and 2 of 50 UMI, both 400 in 10,000
    assert row.loc[("pDC", "LILRA4"), "mean"] == pytest.approx(np.log1p(400))
    assert row.loc[("pDC", "LILRA4"), "fraction"] == 1
    assert row.loc[("T/NK", "CD3E"), "mean"] == pytest.approx(np.log1p(300) / 2)
    assert row.loc[("T/NK", "CD3E"), ["fraction", "n_cells"]].tolist() == [0.5, 2]
    assert row.loc[("pDC", "CD3E"), "mean"] == 0
    # a gene that is not measured is not zero
    missing = row.loc[("T/NK", "CD3D")]
    assert not missing["found"]
    assert np.isnan(missing["mean"])
    assert np.isnan(missing["fraction"])


def test_own_markers_stand_in_the_sets_that_they_name():
    for name, genes in found.MARKERS.values():
        assert set(genes) <= set(genesets.load(name)), name
    shown = [gene for _, genes in found.MARKERS.values() for gene in genes]
    assert len(shown) == len(set(shown))
    # what interferon moves, and what plasma cells share, is no evidence for a pDC
    assert not set(found.MARKERS["pDC"][1]) & set(genesets.load("pdc_excluded_isg"))
    assert not set(found.MARKERS["pDC"][1]) & set(genesets.load("pdc_plasma_shared"))


def test_markers_of_mice_are_their_orthologs(called):
    mouse = called[:, [GENES.index(g) for g in ("CD3E", "MS4A1", "S100A8", "ACTB")]].copy()
    mouse.var_names = ["Cd3e", "Ms4a1", "S100a8", "Actb"]
    table = scifn.get.markers(mouse, species="mouse")
    assert set(table.loc[table["found"], "gene"]) == {"Cd3e", "Ms4a1"}


def test_pdc_evidence_by_hand(called):
    table = scifn.get.pdc_evidence(called)
    assert table.index.equals(called.obs_names)
    assert table["umi"].tolist() == [100, 50, 100, 100]
    assert table["n_core"].tolist() == [2, 1, 0, 0]
    assert table["n_support"].tolist() == [1, 0, 0, 0]
    assert table["n_asdc"].tolist() == [0, 1, 0, 0]
    assert table["n_against"].tolist() == [0, 1, 1, 0]  # S100A8 is ambient
    assert table["core"].tolist() == ["LILRA4, CLEC4C", "LILRA4", "", ""]
    assert table["asdc"].tolist() == ["", "AXL", "", ""]
    assert table["against"].tolist() == ["", "MS4A1", "CD3E", ""]


def test_pdc_evidence_that_is_not_measured_is_no_zero(called):
    table = scifn.get.pdc_evidence(called[:, ["CD3E", "MS4A1", "ACTB"]].copy())
    assert np.isnan(table["n_core"]).all()
    assert table["n_against"].tolist() == [0, 1, 1, 0]


def test_nothing_is_written(called):
    before = called.copy()
    scifn.get.markers(called)
    scifn.get.pdc_evidence(called)
    pd.testing.assert_frame_equal(called.obs, before.obs)
    assert list(called.uns) == list(before.uns)


@pytest.mark.parametrize("module", [scifn.get, scifn.pl])
@pytest.mark.parametrize("name", ["markers", "pdc_evidence"])
def test_without_a_matrix_the_remedy_is_named(called, module, name):
    with pytest.raises(MatrixError, match="no X, no raw and no layer 'counts'"):
        getattr(module, name)(ad.AnnData(obs=called.obs))


@pytest.mark.parametrize("name", ["markers", "pdc_evidence"])
def test_without_calls_the_step_is_named(called, name):
    bare = ad.AnnData(called.X, var=called.var)
    with pytest.raises(MissingKeyError, match=r"call scifn\.tl\.annotate"):
        getattr(scifn.get, name)(bare)


@pytest.mark.parametrize("genes", [["CD3E"], {"T": "CD3E"}, {}, {"T": []}])
def test_genes_must_be_named_lists(called, genes):
    with pytest.raises(ArgumentError, match="genes="):
        scifn.get.markers(called, genes=genes)


# --- the drawings -------------------------------------------------------------------------
def test_markers_dots_are_the_table(called):
    axes = scifn.pl.markers(called, genes={"pDC": ["LILRA4"], "T": ["CD3E", "CD3D"]})
    dots = axes.collections[0]
    drawn = [(y, size) for (_, y), size in zip(dots.get_offsets(), dots.get_sizes(), strict=True)]
    assert drawn == [(0, 78.0), (1, 39.0)]  # all pDC show LILRA4, half of the T cells CD3E
    assert [t.get_text() for t in axes.get_yticklabels()] == ["pDC (2)", "T/NK (2)"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["LILRA4", "CD3E", "CD3D"]
    assert to_hex(axes.get_xticklabels()[2].get_color()) != _style.INK
    assert "gray: not among\nthe features" in texts(axes)
    assert {"pDC", "T"} <= set(texts(axes))


def test_confidence_axis_and_shares(called):
    axes = scifn.pl.confidence(called)
    assert texts(axes)[:2] == ["50 %", "0 %"]  # one of two under 0.9; the NaN is no call
    assert [t.get_text() for t in axes.get_yticklabels()] == ["pDC (2)", "T/NK (2)"]
    points = sorted(x for c in axes.collections[:1] for x in c.get_offsets()[:, 0])
    assert points == pytest.approx([-np.log10(0.4), 2.0], abs=1e-5)
    called.obs[k.CONFIDENCE] = np.float32(np.nan)
    assert "surface proteins decided" in texts(scifn.pl.confidence(called))[0]


def test_confidence_of_many_cells_is_quantiles():
    cells = pd.DataFrame({"cell_type": "pDC", "confidence": 1 - np.logspace(-3, 0, 101)})
    axes = _confidence.draw(cells)
    spans = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert any(span == pytest.approx((0.75, 2.25), abs=1e-6) for span in spans)
    assert any(span == pytest.approx((0.15, 2.85), abs=1e-6) for span in spans)


def test_agreement_counts_and_shades(called):
    axes = scifn.pl.agreement(called, labels="mine")
    assert sorted(texts(axes)) == ["1", "1", "2"]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["p (1)", "t (3)"]
    shares = np.asarray(axes.collections[0].get_array()).ravel()
    np.testing.assert_allclose(shares, [1, 0, 1 / 3, 2 / 3])
    called.uns[k.UNS] = {"annotate": {"labels": "mine"}}
    assert texts(scifn.pl.agreement(called)) == texts(axes)
    with pytest.raises(MissingKeyError, match="labels='no'"):
        scifn.pl.agreement(called, labels="no")
    with pytest.raises(ArgumentError, match="name the column of obs"):
        scifn.pl.agreement(ad.AnnData(obs=called.obs))


def test_agreement_of_many_labels_shows_the_largest():
    table = pd.DataFrame({"label": [f"l{i}" for i in range(70)], "cell_type": "pDC"})
    axes = _agreement.draw(table.assign(n_cells=range(1, 71)), name="mine")
    assert len(axes.get_yticklabels()) == _agreement.MOST
    assert "l69 (70)" in [t.get_text() for t in axes.get_yticklabels()]
    assert axes.get_xlabel().startswith("Rows: mine, 60 of 70 labels.")


def test_pdc_evidence_has_every_cell_twice(called):
    figure = scifn.pl.pdc_evidence(called)
    left, right = figure.axes
    for axes, values in ((left, None), (right, {100, 50})):
        offsets = np.concatenate(
            [c.get_offsets() for c in axes.collections if len(c.get_offsets())]
        )
        assert sorted(offsets[:, 1]) == [-30, -9, 1, 12]
        assert values is None or set(offsets[:, 0]) == values
    assert {t.get_text() for t in left.get_legend().get_texts()} == {
        "pDC (1)", "pDC ambiguous (1)", "not pDC (2)",
    }  # fmt: skip
    called.obs[k.PDC_SCORE] = np.nan
    assert "cannot be told" in texts(scifn.pl.pdc_evidence(called).axes[0])[0]


def test_pdc_evidence_of_normalized_values_has_one_panel(called):
    table = found.pdc_evidence(called).assign(umi=np.nan)
    assert len(_pdc_evidence.draw(table).axes) == 1


def test_cells_without_conditions_are_drawn_in_the_colors_of_their_types(called):
    axes = scifn.pl.cell_types(called)
    drawn = {line.get_color() for line in axes.lines if len(line.get_xdata()) == 1}
    assert drawn == {_style.TYPE_COLORS["pDC"], _style.TYPE_COLORS["T/NK"]}
    assert texts(axes) == ["2", "2"]
    assert axes.get_legend() is None


@pytest.mark.parametrize("name", ["markers", "confidence", "pdc_evidence", "cell_types"])
def test_draws_on_given_axes_and_leaves_settings_alone(called, name):
    given = Figure().subplots()
    before = dict(mpl.rcParams)
    drawn = getattr(scifn.pl, name)(called, ax=given)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []
    assert drawn is (given.figure if name == "pdc_evidence" else given)
    assert not blank(given.figure)


def test_types_keep_their_color_and_order_in_every_plot(called):
    table = pd.DataFrame({"cell_type": ["T/NK", "pDC"], "condition": "", "n_cells": [3, 4]})
    plots = [scifn.pl.confidence(called), _cell_types.draw(table),
             _markers.draw(scifn.get.markers(called))]  # fmt: skip
    for axes in plots:
        marks = [c for c in axes.collections if len(c.get_offsets()) == 2][-1:]
        shown = [to_hex(color) for color in marks[0].get_facecolors()]
        assert shown == [_style.TYPE_COLORS["pDC"].lower(), _style.TYPE_COLORS["T/NK"].lower()]


def test_nothing_to_draw_is_said():
    none = pd.DataFrame({"cell_type": [k.UNASSIGNED], "confidence": [0.1]})
    assert "No cell has a call" in texts(_confidence.draw(none))[0]
    empty = pd.DataFrame({"label": [], "cell_type": [], "n_cells": []})
    assert "No cell has a label" in texts(_agreement.draw(empty))[0]
