"""What is drawn is what the table holds: artists are read back."""

from __future__ import annotations

import anndata as ad
import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

import scifn
from scifn import _keys as k
from scifn._errors import MissingKeyError
from scifn.pl import (
    _cell_types,
    _composition,
    _coverage,
    _imbalance,
    _production,
    _response,
    _source,
    _style,
)


@pytest.fixture(autouse=True)
def _no_figures_left():
    yield
    plt.close("all")


def counts():
    return pd.DataFrame(
        {
            "cell_type": ["T/NK", "pDC", "T/NK"],
            "condition": ["sle", "healthy", "healthy"],
            "n_cells": [1500, 12, 900],
        }
    )


def donors(n=4):
    patient, control = [f"P{i}" for i in range(n)], [f"C{i}" for i in range(n)]
    return pd.DataFrame(
        {
            "donor": [*patient, *control],
            "condition": ["sle"] * n + ["healthy"] * n,
            "n_total": np.full(2 * n, 1000.0),
            "n_pdc": [0.0, 2, 3, 5, 4, 6, 7, np.nan],
            "n_b": np.full(2 * n, 100.0),
            "n_breg_like": np.arange(2.0 * n),
            "response_type1:B": np.linspace(0, 1, 2 * n),
            "response_type1:T_NK": np.full(2 * n, np.nan),
        }
    )


def effects(**first):
    rows = [
        {"readout": "logit_pdc", "family": "primary", "effect": -0.5, "ci_low": -1.0,
         "ci_high": 0.0, "p_permutation": 0.04, "status": "ok"},
        {"readout": "lr_pdc_breg", "family": "primary", "effect": np.nan, "ci_low": np.nan,
         "ci_high": np.nan, "p_permutation": np.nan, "status": "not_measurable"},
        {"readout": "response_type1:T_NK", "family": "response", "effect": 1.5, "ci_low": np.nan,
         "ci_high": np.nan, "p_permutation": np.nan, "status": "too_few_donors"},
    ]  # fmt: skip
    rows[0] |= first
    table = pd.DataFrame(rows)
    table["group"], table["reference"] = "sle", "healthy"
    table["n_group"], table["n_reference"] = 4, 4
    return table


def bounds():
    return pd.DataFrame(
        {
            "donor": ["", "", "", "P1"],
            "condition": ["sle", "healthy", "sle", "sle"],
            "cell_type": ["pDC", "pDC", "Monocyte", "pDC"],
            "ligand": ["IFNA"] * 4,
            "n_cells": [100.0, 50.0, 4000.0, 20.0],
            "n_weak": [0.0, np.nan, 1, 0],
            "n_strong": [0.0, np.nan, 4.0, 0],
            "rate": [0.0, np.nan, 0.001, 0],
            "upper95": [0.0295, np.nan, 0.0023, 0.14],
            "pooled": [True, True, True, False],
        }
    )


def coverage():
    return pd.DataFrame(
        {
            "set": ["isg", "pdc", "ifna"],
            "n_genes": [14, 10, 13],
            "n_found": [14, 7, 0],
            "status": ["ok", "partial", "absent"],
        }
    )


def texts(axes):
    return [t.get_text() for t in axes.texts]


def labels(axes):
    return [t.get_text() for t in axes.get_yticklabels()]


def dots(axes):
    """Positions of all single markers."""
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in axes.lines
        if len(line.get_xdata()) == 1
    ]


def blank(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].min() > 200


DRAWINGS = {
    "cell_types": lambda **o: _cell_types.draw(counts(), **o),
    "composition": lambda **o: _composition.draw(donors(), **o),
    "imbalance": lambda **o: _imbalance.draw(effects(), **o),
    "production": lambda **o: _production.draw(bounds(), **o),
    "response": lambda **o: _response.draw(
        pd.DataFrame({"lineage": ["B"] * 9, "condition": ["sle"] * 9, "response": np.arange(9.0)}),
        **o,
    ),
    "coverage": lambda **o: _coverage.draw(coverage(), **o),
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_draws_something_and_returns_its_axes(name):
    axes = DRAWINGS[name]()
    assert isinstance(axes, mpl.axes.Axes)
    assert not blank(axes.figure)


@pytest.mark.parametrize("name", DRAWINGS)
def test_draws_on_given_axes_and_opens_nothing(name):
    given = Figure().subplots()
    before = plt.get_fignums()
    assert DRAWINGS[name](ax=given) is given
    assert plt.get_fignums() == before
    assert not given.spines["top"].get_visible()


@pytest.mark.parametrize("name", DRAWINGS)
def test_leaves_global_settings_alone(name):
    before = dict(mpl.rcParams)
    DRAWINGS[name]()
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("name", DRAWINGS)
def test_offscreen_leaves_pyplot_alone(name):
    with _style.offscreen():
        axes = DRAWINGS[name]()
    assert plt.get_fignums() == []
    assert not blank(axes.figure)


def test_cell_types_shows_every_count_and_writes_zero():
    axes = _cell_types.draw(counts(), reference="healthy", not_measurable=("B naive",))
    assert labels(axes) == ["pDC", "T/NK", "B naive"]
    assert sorted(x for x, _ in dots(axes)) == [12, 900, 1500]
    assert sorted(texts(axes)) == ["0", "1,500", "12", "900", "not measurable"]
    assert axes.get_xscale() == "log"
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["healthy", "sle"]


def test_composition_has_a_point_a_donor_and_the_median():
    table = _composition.fractions(donors())
    pdc = table[table["population"].str.startswith("pDC")]
    assert pdc["percent"].tolist() == [0.05, 0.2, 0.3, 0.5, 0.4, 0.6, 0.7]  # none: half a cell
    assert pdc["none"].tolist() == [True, *[False] * 6]
    axes = _composition.draw(donors(), reference="healthy")
    drawn = sorted(y for c in axes.collections for y in c.get_offsets()[:, 1])
    assert drawn == pytest.approx(sorted(table["percent"]))
    medians = {float(line.get_ydata()[0]) for line in axes.lines if len(line.get_xdata()) == 2}
    assert {0.25, 0.6} <= {round(m, 6) for m in medians}  # sle and healthy pDC
    hollow = [c for c in axes.collections for f in c.get_facecolors() if to_hex(f) == "#ffffff"]
    assert len(hollow) == 2  # the donors without pDC and without Breg-like cells


def test_composition_leaves_out_donors_with_too_few_cells():
    table = donors()
    table.loc[1, "n_total"] = 499.0
    found = _composition.fractions(table, {"n_total": 500, "n_b": 101})
    assert set(found["population"].str.partition("\n")[0]) == {"pDC", "B"}
    assert "P1" not in set(found["donor"])
    assert len(found[found["population"].str.startswith("B\n")]) == 7


def test_forest_is_the_table():
    axes = _imbalance.draw(effects())
    assert [x for x, _ in dots(axes)] == [-0.5, 1.5]
    spans = [tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2]
    assert (-1.0, 0.0) in spans
    written = texts(axes)
    assert "−0.50 [−1.00, 0.00]" in written
    assert "0.040" in written
    assert "not measurable" in written
    assert "too few donors" in written
    assert "1.50 [no interval]" in written
    assert "primary" in written
    assert labels(axes)[-1] == "Type I response, T/NK (log2)"


def test_forest_names_groups_where_there_are_several():
    both = pd.concat([effects(), effects().assign(group="sjs")])
    axes = _imbalance.draw(both)
    heads = [text.get_text() for text in axes.texts]
    assert [head for head in heads if " against " in head] == [
        "sle against healthy",
        "sjs against healthy",
    ]
    assert labels(axes)[0] == "pDC of all cells (log odds)"


def test_production_draws_bounds_and_never_zero():
    axes = _production.draw(bounds(), reference="healthy")
    assert labels(axes) == ["pDC, healthy", "pDC, sle", "Monocyte, sle"]
    found = dots(axes)
    assert (2.95, 1.0) in [(round(x, 6), y) for x, y in found]  # bound of the second row
    assert (0.1, 2.0) in [(round(x, 6), y) for x, y in found]  # rate of the third
    assert all(y != 0 for _, y in found)  # nothing is drawn where nothing is measurable
    assert texts(axes)[0] == "IFNA: not measurable"
    assert texts(axes)[1] == "IFNA: none found in 100, ≤ 2.9 %"
    # weak and strong: what the rate is of; and in how many of the donors
    assert texts(axes)[2] == "IFNA: 5 of 4,000 (4 strong), ≤ 0.23 %"
    begins = {tuple(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2}
    assert (0, 2.95) in {tuple(np.round(span, 6)) for span in begins}  # none: from zero


def test_production_shows_every_ligand_and_groups_those_that_say_the_same():
    tables = [bounds().iloc[[0, 2, 3]].assign(ligand=name) for name in ("IFNB1", "IL10", "IFNL")]
    tables[2][["n_cells", "n_weak", "n_strong", "rate", "upper95"]] = np.nan
    tables[1].loc[2, ["n_weak", "n_strong", "rate", "upper95"]] = [0, 0, 0.0, 0.0007]
    axes = _production.draw(pd.concat([bounds().iloc[[0, 2, 3]], *tables]))
    assert axes.get_title(loc="left") == "IFNL: not measurable in any cell, which is not 0"
    assert texts(axes) == [
        "all three: none found in 100, ≤ 2.9 %",
        "IFNA: 5 of 4,000 (4 strong), ≤ 0.23 %",
        "IFNB1: 5 of 4,000 (4 strong), ≤ 0.23 %",
        "IL10: none found in 4,000, ≤ 0.07 %",
    ]
    assert labels(axes) == ["pDC, sle", "Monocyte, sle"]
    assert "not an estimate of competence" in axes.get_xlabel()
    ends = [x for x, _ in dots(axes)]
    assert ends == pytest.approx([2.95, 0.23, 0.1, 0.23, 0.1, 0.07])


def test_production_counts_the_donors():
    each = [bounds().iloc[[3]].assign(donor=f"P{i}", n_strong=float(i > 1)) for i in range(3)]
    whole = bounds().iloc[[0]].assign(n_strong=1.0, rate=0.01)
    assert texts(_production.draw(pd.concat([whole, *each]))) == [
        "IFNA: 1 of 100 (1 strong; 1 of 3 donors), ≤ 2.9 %"
    ]


def test_response_boxes_hold_the_quartiles():
    values = np.arange(101.0)
    cells = pd.DataFrame({"lineage": "B", "condition": "sle", "response": values})
    cells = pd.concat([cells, cells.assign(condition="healthy", response=np.nan)])
    axes = _response.draw(cells, donors=_source.responses_of(donors()), reference="healthy")
    box = axes.patches[0].get_path().vertices[:, 1]
    assert (box.min(), box.max()) == (25, 75)
    shown = sorted(y for c in axes.collections for y in c.get_offsets()[:, 1])
    assert shown == pytest.approx(
        2 ** np.linspace(0, 1, 8)[:4] - 1
    )  # healthy has no cells to stand on
    assert [t.get_text() for t in axes.get_xticklabels()] == ["B"]


def test_response_without_conditions_or_controls_is_drawn_as_a_rate():
    cells = pd.DataFrame({"lineage": "B", "condition": "", "response": np.arange(101.0)})
    axes = _response.draw(cells, relative=False)
    box = axes.patches[0].get_path().vertices[:, 1]
    assert (box.min(), box.max()) == (25, 75)
    assert "per 10,000" in axes.get_ylabel()


def test_coverage_bars_are_shares():
    axes = _coverage.draw(coverage())
    widths = [p.get_width() for p in axes.patches]
    assert widths[:3] == [100, 100, 100]  # the ground of each bar
    assert sorted(widths[3:]) == [0, 70, 100]
    assert texts(axes) == ["14 of 14", "7 of 10", "0 of 13"]


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: _cell_types.draw(counts().iloc[:0]), "No cells"),
        (lambda: _composition.draw(donors()[["donor", "condition"]]), "No donor has enough cells"),
        (lambda: _imbalance.draw(effects().iloc[:0]), "No readout"),
        (lambda: _production.draw(bounds().assign(n_cells=0.0)), "not measurable"),
        (
            lambda: _response.draw(
                pd.DataFrame({"lineage": ["B"], "condition": ["a"], "response": [np.nan]})
            ),
            "not measurable",
        ),
        (lambda: _coverage.draw(coverage().iloc[:0]), "No gene set"),
    ],
)
def test_nothing_to_draw_is_said(draw, said):
    axes = draw()
    assert said in texts(axes)[0]
    assert not axes.axison


def test_every_cell_type_and_lineage_has_its_color():
    assert set(_style.TYPE_COLORS) == set(k.CELL_TYPES)
    assert set(_style.LINEAGE_COLORS) == set(k.LINEAGES)
    assert len(set(_style.TYPE_COLORS.values())) == len(k.CELL_TYPES)


def test_many_conditions_get_looks():
    looks = _style.condition_looks([f"c{i}" for i in range(30)])
    assert len(looks) == 30
    assert len({looks[f"c{i}"] for i in range(7)}) == 7


@pytest.mark.parametrize("name", scifn.pl.__all__)
def test_missing_step_is_named(name):
    with pytest.raises(MissingKeyError, match="call scifn"):
        getattr(scifn.pl, name)(ad.AnnData(shape=(3, 0)))


def test_public_plots_read_the_object():
    obs = pd.DataFrame(
        {
            k.CELL_TYPE: ["pDC", "T/NK", "B naive"],
            k.RESPONSE_TYPE1: [0.0, 1.0, 2.0],
            "disease": ["sle", "sle", "healthy"],
        }
    ).rename(index=str)
    adata = ad.AnnData(obs=obs)
    adata.uns[k.UNS] = {
        "donors_parameters": {"donor": "d", "condition": "disease"},
        "imbalance_parameters": {"reference": "sle"},
        k.DONORS: donors(),
        k.IMBALANCE: effects(),
        k.BOUNDS: bounds(),
        k.COVERAGE: coverage(),
    }
    axes = scifn.pl.cell_types(adata)
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["sle", "healthy"]
    for name in DRAWINGS:
        assert not blank(getattr(scifn.pl, name)(adata).figure)
