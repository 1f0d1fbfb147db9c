"""The figure of strata, and what the report says beside it."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scifn
from scifn.pl import _strata
from scifn.report import _sections_strata
from scifn.report._blocks import Figure, Table, Text
from scifn.report._material import gather

GENES = ["IFI27", "IFI44", "IFI44L", "RSAD2"]


@pytest.fixture(scope="module")
def bulk():
    """Twenty controls, one of them high, and 35 patients in two groups."""
    rng = np.random.default_rng(0)
    level = np.r_[rng.normal(6, 0.5, 20), rng.normal(6, 0.5, 15), rng.normal(11, 0.5, 20)]
    level[4] = 12.0
    y = level[:, None] + rng.normal(0, 0.2, (55, 4))
    obs = pd.DataFrame({"group": ["hc"] * 20 + ["sle"] * 35}, index=[f"D{i}" for i in range(55)])
    adata = ad.AnnData(y, obs, pd.DataFrame(index=GENES))
    scifn.tl.stratify(adata, condition="group", reference="hc", bulk=True)
    return adata


def test_every_donor_is_drawn_and_the_cutoff_is_the_tables(bulk):
    table = scifn.get.strata(bulk)
    axes = scifn.pl.strata(bulk)
    drawn = np.vstack([points.get_offsets() for points in axes.collections[:-2]])
    left_out = axes.collections[4].get_offsets()
    assert len(drawn) >= 55
    assert left_out.shape == (1, 2)
    assert left_out[0, 1] == table["score"][4]
    line = next(line for line in axes.lines if line.get_label() == "cut-off")
    assert line.get_ydata()[0] == table["cutoff"][0]
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "control left out of the cut-off (1)" in labels
    assert f"high ({(table['stratum'] == 'high').sum()})" in labels
    assert "research use only" in [text.get_text() for text in axes.texts]


def test_strata_differ_without_color():
    looks = list(_strata._LOOKS.values())
    assert len({marker for _, marker, _ in looks}) == len(looks)


def test_donors_of_one_score_stand_side_by_side():
    places = _strata.spread(np.zeros(17), 1.0)
    assert len(set(places)) == 17
    assert np.abs(places).max() == 1
    assert _strata.spread(np.arange(5.0), 1.0).tolist() == [0] * 5


def test_no_cutoff_and_no_score_are_said(bulk):
    few = bulk[[*range(4), *range(40, 55)]].copy()
    few.uns.clear()
    scifn.tl.stratify(few, condition="group", reference="hc", bulk=True)
    axes = scifn.pl.strata(few)
    assert axes.get_title(loc="right").startswith("No cut-off")
    assert axes.get_xticklabels()[0].get_text() == "hc\n4 donors, no strata"
    none = scifn.get.strata(few).assign(score=np.nan)
    note = {"note": "research use only; too few genes of the signature are measured"}
    assert "too few genes" in _strata.draw(none, record=note).texts[0].get_text()


def test_report_says_how_the_cutoff_was_made(bulk):
    blocks = _sections_strata.strata(gather(bulk), scifn.get.strata(bulk))
    assert [type(block) for block in blocks[:3]] == [Figure, Text, Table]
    said = blocks[1].text
    assert said.startswith("Mean and 2.16 standard deviations of 19 controls, which 2.5 % of")
    assert "left out as too high for a control: D4" in said
    assert "two groups of patients: BIC difference" in said
    assert "research use only" in said
