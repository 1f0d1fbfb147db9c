"""The triad: three panels that hold what the tables hold, and no mark where nothing is known."""

from __future__ import annotations

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from scipy import stats

import scifn
from scifn import _keys as k
from scifn._errors import MissingKeyError
from scifn.pl import _style, _triad, _triad_tables

LIGANDS = ("IFNA", "IFNB1", "IFNK", "IFNW1/\nIFNE", "IFNL")


def bounds():
    """IFNA in pDC of two patients; IFNK not measurable; the others none."""
    rows = []
    counts = {("pDC", "sle"): 40, ("pDC", "healthy"): 50, ("T/NK", "sle"): 900}
    for ligand in k.LIGANDS.values():
        for (kind, condition), n in counts.items():
            found = 2 if (ligand, kind, condition) == ("IFNA", "pDC", "sle") else 0
            rows.append(bound("", condition, kind, ligand, n, found))
            for i in range(4):
                mine = 1 if found and i < 2 else 0
                rows.append(bound(f"{condition}{i}", condition, kind, ligand, n / 4, mine))
        rows.append(bound("", "sle", k.DOUBLET, ligand, 5, 0))
    return pd.DataFrame(rows)


def bound(donor, condition, kind, ligand, n, found):
    known = ligand != "IFNK"
    upper = stats.beta.ppf(0.95, found + 1, n - found)
    return {
        "donor": donor, "condition": condition, "cell_type": kind, "ligand": ligand,
        "n_cells": float(n) if known else 0.0, "n_weak": 0.0 if known else np.nan,
        "n_strong": float(found) if known else np.nan, "rate": found / n if known else np.nan,
        "upper95": upper if known else np.nan, "pooled": donor == "", "statement": "",
    }  # fmt: skip


def means():
    """Three donors a condition with T cells, of pDC only one with ten cells."""
    rows = []
    for condition, response in (("healthy", 0.0), ("sle", 3.0)):
        for i in range(3):
            base = {"donor": f"{condition}{i}", "condition": condition, "visit": ""}
            score = dict.fromkeys(_triad_tables.modules_and_residuals(), 0.0)
            score |= {"rlr": response / 2, "tlr3": np.nan, "tlr3_resid": np.nan}
            t_cells = {"cell_type": "T/NK", "n_cells": 300, "response_type1": response + i}
            pdc = {"cell_type": "pDC", "n_cells": 12 if i == 0 else 4, "response_type1": response}
            rows += [base | score | t_cells, base | score | pdc]
    rows.append(rows[0] | {"cell_type": "HSPC", "n_cells": 3, "response_type1": 1.0})
    return pd.DataFrame(rows)


def cells(**uns):
    adata = ad.AnnData(shape=(3, 0))
    adata.uns[k.UNS] = {
        k.BOUNDS: bounds(),
        k.TYPE_MEANS: means(),
        "imbalance_parameters": {"reference": "healthy"},
        "response": {"meaning": "excess over the mean of control cells"},
        "capacity": {"against": "control cells of the same type"},
    } | uns
    return adata


def drawn(adata):
    with _style.offscreen():
        return scifn.pl.triad(adata)


@pytest.fixture(scope="module")
def figure():
    return drawn(cells())


def small(figure, head):
    """The small axes under a heading; the last ones are the response."""
    inside = figure.axes[0].child_axes
    if head == "response":
        return inside[-1]
    return next(ax for ax in inside if ax.texts and ax.texts[0].get_text() == head)


def marks(ax, *styles, hollow=False):
    """Positions of markers of some styles."""
    return [
        (float(x), round(float(y), 2))
        for line in ax.lines
        if line.get_marker() in styles and (line.get_markerfacecolor() == "white") == hollow
        for x, y in zip(*line.get_data(), strict=True)
    ]


def spans(ax):
    """Intervals: both ends, height, whether dotted."""
    return [
        (float(path[0, 0]), float(path[1, 0]), round(float(path[0, 1]), 2), dashes is not None)
        for lines in ax.collections
        if isinstance(lines, LineCollection) and lines.get_zorder() == 2
        for path in lines.get_segments()
        for dashes in [lines.get_linestyle()[0][1]]
    ]


def filled(ax):
    """Heights of rows without a value: hatched, and of too few cells."""
    heights = {True: [], False: []}
    for patch in ax.collections:
        if hasattr(patch, "get_hatch") and patch.get_zorder() == 0.5:
            y = patch.get_paths()[0].vertices[:, 1]
            heights[bool(patch.get_hatch())].append(round(float((y.min() + y.max()) / 2), 2))
    return sorted(heights[True]), sorted(heights[False])


def test_rows_are_the_types_and_both_conditions(figure):
    first = small(figure, "cells")
    assert [t.get_text() for t in first.get_yticklabels()] == ["pDC", "T/NK", "HSPC"]
    shown = [t.get_text() for t in first.texts[1:]]
    assert shown == ["50", "40", "900", "900", "3"]  # healthy above sle
    assert [ax.texts[0].get_text() for ax in figure.axes[0].child_axes[1:6]] == [*LIGANDS]
    words = [t.get_text() for t in figure.axes[0].texts]
    assert {"A  Evidence", "B  Capacity", "C  Response", "healthy", "sle"} <= set(words)
    assert any("never added up" in text and "ligand not identifiable" in text for text in words)


def test_ends_of_intervals_are_the_bounds_of_the_table(figure):
    table = bounds()
    pooled = table[table["pooled"] & ~table["cell_type"].eq(k.DOUBLET)]
    for title, name in zip(LIGANDS, _triad_tables.INTERFERONS, strict=True):
        mine = pooled[(pooled["ligand"] == name) & np.isfinite(pooled["upper95"])]
        ends = sorted(x for x, _ in marks(small(figure, title), "|"))
        assert ends == pytest.approx(sorted(100 * mine["upper95"]))


def test_none_is_an_interval_from_zero_and_has_no_dot(figure):
    ifna = small(figure, "IFNA")
    assert marks(ifna, "o", "D") == [(5.0, 0.24)]  # 2 of 40, sle under healthy
    starts = sorted((start, dotted) for start, _, _, dotted in spans(ifna))
    assert starts == [(0.0, True), (0.0, True), (5.0, False)]
    assert marks(small(figure, "IFNB1"), "o", "D") == []
    assert "2/4" in [t.get_text() for t in ifna.texts]  # donors with evidence
    assert ifna.get_xlim() == (0, 100)
    assert ifna.get_xscale() == "symlog"


def test_not_measurable_is_hatched_and_has_no_mark(figure):
    ifnk = small(figure, "IFNK")
    assert marks(ifnk, "|", "o", "D") == []
    assert spans(ifnk) == []
    assert filled(ifnk) == ([-0.24, 0.24, 1.24], [])
    tlr3 = small(figure, "TLR3")
    assert marks(tlr3, "o", "D") == []
    assert filled(tlr3) == ([0.24, 1.24], [])


def test_a_ligand_that_was_not_tested_is_not_measurable():
    table = bounds()
    figure = drawn(cells(**{k.BOUNDS: table[table["ligand"] == "IFNA"]}))
    assert marks(small(figure, "IFNB1"), "|") == []
    assert len(filled(small(figure, "IFNB1"))[0]) == 3
    assert len(marks(small(figure, "IFNA"), "|")) == 3


def test_capacity_and_what_is_left_of_it_without_moving_genes(figure):
    rlr = small(figure, "RIG-I/\nMDA5")
    # two types of patients; controls are zero by construction
    assert [x for x, _ in marks(rlr, "D")] == [1.5, 1.5]
    assert [x for x, _ in marks(rlr, "D", hollow=True)] == [0, 0]  # what is left
    assert marks(rlr, "o") == []
    assert marks(rlr, "o", hollow=True) == []


def test_a_dot_a_donor_and_few_cells_have_none(figure):
    ax = small(figure, "response")
    dots = np.vstack([c.get_offsets() for c in ax.collections if c.get_zorder() == 4])
    t_cells = dots[np.round(dots[:, 1]) == 1]
    want = [0, 1, np.log2(3), 2, np.log2(5), np.log2(6)]
    assert sorted(t_cells[:, 0]) == pytest.approx(want)
    bars = [c for c in ax.collections if isinstance(c, LineCollection) and c.get_zorder() == 3]
    medians = [path[0, 0] for bar in bars for path in bar.get_segments()]
    assert medians == pytest.approx([1.0, np.log2(5)])
    # one donor with ten pDC: its dot, and the mean of all twenty
    assert len(dots) - len(t_cells) == 2
    assert [x for x, _ in marks(ax, "o", "D", hollow=True)] == pytest.approx([0.0, 2.0])
    assert filled(ax) == ([], [1.76])  # three HSPC


def test_cells_without_donors_are_pooled():
    obs = pd.DataFrame(
        {k.CELL_TYPE: ["T/NK"] * 40 + ["pDC"] * 4, k.RESPONSE_TYPE1: 0.5, "arm": ["a", "b"] * 22}
    ).rename(index=str)
    obs[k.IFNA_EVIDENCE] = pd.Categorical(["none"] * 44, categories=list(k.EVIDENCES))
    adata = ad.AnnData(obs=obs)
    adata.uns[k.UNS] = {"response": {"condition": "arm", "reference_value": "a", "meaning": "x"}}
    found = _triad_tables.triad_of(adata)
    assert found.response["donor"].unique().tolist() == [""]
    assert found.evidence["n_cells"].tolist() == [2, 20, 2, 20]
    assert found.evidence["upper95"].tolist() == pytest.approx(
        [1 - 0.05 ** (1 / n) for n in (2, 20, 2, 20)]
    )
    figure = drawn(adata)
    ax = small(figure, "response")
    assert [x for x, _ in marks(ax, "o", "D", hollow=True)] == pytest.approx([np.log2(1.5)] * 2)
    assert len(filled(ax)[1]) == 2
    words = [t.get_text() for a in figure.axes[0].child_axes for t in a.texts]
    assert any("call scifn.tl.capacity" in text.replace("\n", " ") for text in words)


def test_bounds_without_donors_are_pooled_rows_only():
    obs = pd.DataFrame({k.CELL_TYPE: ["pDC"] * 9 + ["T/NK"]}).rename(index=str)
    obs[k.IFNA_EVIDENCE] = ["weak", "strong", *["none"] * 6, "not_measurable", "not_measurable"]
    table = scifn.get.bounds(ad.AnnData(obs=obs))
    assert table["pooled"].all()
    assert table["condition"].eq("").all()
    assert table[["n_cells", "n_weak", "n_strong"]].iloc[0].tolist() == [8, 1, 1]
    assert table["upper95"].iloc[0] == pytest.approx(stats.beta.ppf(0.95, 3, 6))
    assert np.isnan(table["upper95"].iloc[1])


def test_without_controls_capacity_says_nothing_and_the_rate_is_absolute():
    table = means().query("condition == 'sle'")
    adata = cells(
        **{k.TYPE_MEANS: table, k.BOUNDS: bounds().query("condition == 'sle'")},
        response={"meaning": "absolute: weighted UMI per 10,000"},
        capacity={"against": "all cells"},
    )
    figure = drawn(adata)
    words = " ".join(t.get_text() for a in figure.axes[0].child_axes for t in a.texts)
    assert "0 by construction" in words.replace("\n", " ")
    ax = small(figure, "response")
    assert ax.get_xlim()[0] == 0
    assert "weighted rate" in [t.get_text() for t in figure.axes[0].texts]


def test_one_step_is_enough():
    adata = cells()
    del adata.uns[k.UNS][k.BOUNDS]
    adata.uns[k.UNS][k.TYPE_MEANS] = means().drop(columns=_triad_tables.modules_and_residuals())
    adata.obs[k.RESPONSE_TYPE1] = 0.0  # that the step was run
    assert set(_triad_tables.empty_panels(_triad_tables.triad_of(adata))) == {
        "evidence",
        "capacity",
    }
    figure = drawn(adata)
    said = [t.get_text() for a in figure.axes[0].child_axes for t in a.texts]
    assert sum("not run" in text for text in said) == 2


def test_nothing_at_all_names_the_calls():
    with pytest.raises(MissingKeyError, match=r"call scifn\.run \(or scifn\.tl\.production"):
        scifn.pl.triad(ad.AnnData(shape=(3, 0)))


def test_no_rows_is_said():
    found = _triad_tables.Triad(_triad_tables.evidence_of(bounds().iloc[:0]), None, None)
    assert "No cell type" in _triad.draw(found).axes[0].texts[0].get_text()


def test_fits_into_given_axes_and_leaves_no_state():
    given = Figure(figsize=(7, 5)).subplots()
    before, settings = plt.get_fignums(), dict(mpl.rcParams)
    assert scifn.pl.triad(cells(), ax=given) is given.figure
    assert plt.get_fignums() == before
    assert dict(mpl.rcParams) == settings


def test_everything_stays_within_seven_inches(figure):
    assert figure.get_size_inches()[0] == 7.0
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    box = figure.get_tightbbox(canvas.get_renderer())
    assert box.x0 >= -0.01
    assert box.x1 <= 7.01
