"""The arithmetic of benchmarks/identity.py: verdicts, calibration, listings. Not its figures."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

pytest.importorskip("pyucell")


@pytest.fixture
def scripts(monkeypatch):
    """The modules of the script, which stand beside it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("_shared", "_calls", "identity_checks")
    return SimpleNamespace(**{name.strip("_"): importlib.import_module(name) for name in names})


@pytest.mark.parametrize(
    ("limits", "target", "met"),
    [
        ({"least": 12}, ">= 12", True),
        ({"least": 12.5}, ">= 12.5", False),
        ({"above": 12}, "> 12", False),
        ({"most": 12}, "<= 12", True),
        ({"most": 11}, "<= 11", False),
        ({}, "", None),
    ],
)
def test_verdict_is_that_of_the_table_made_without_the_data(scripts, limits, target, met):
    sheet = scripts.shared.Sheet()
    pair = scripts.calls.Pair(held_out=12, shipped=99)
    scripts.calls.figure(sheet, "cells", pair, lambda n: n, **limits)
    (row,) = sheet.rows
    assert (row["value"], row["shipped"]) == (12, 99)
    assert (row["target"], row["met"]) == (target, met)


def test_figures_as_json(scripts, tmp_path):
    sheet = scripts.shared.Sheet()
    sheet.start("part one")
    sheet.row("share", np.float64(0.25), "> 0.9", False)
    sheet.row("unknown", float("nan"))
    path = tmp_path / "figures.json"
    sheet.write_json(path, table="abc")
    content = json.loads(path.read_text())
    assert content["table"] == "abc"
    assert "scifn" in content["versions"]
    first, second = content["figures"]
    assert first == {
        "part": "part one", "what": "share", "value": 0.25, "shipped": "",
        "target": "> 0.9", "met": False,
    }  # fmt: skip
    assert second["value"] is None


def test_bins_of_confidence_and_calibration_error(scripts):
    checks = scripts.identity_checks
    confidence = np.array([0.5, 0.55, 0.97, 1.0, 1.0])
    right = np.array([True, False, True, True, False])
    bins = checks._bins(confidence, right)
    assert bins["n"].to_dict() == {"0.5 to 0.6": 2, "0.95 to 0.99": 1, "0.99 to 1": 2}
    assert bins.loc["0.5 to 0.6", "confidence"] == pytest.approx(0.525)
    assert bins.loc["0.99 to 1", "right"] == pytest.approx(0.5)
    # (2 x |0.525 - 0.5| + 1 x |0.97 - 1| + 2 x |1 - 0.5|) / 5
    assert checks._error(bins) == pytest.approx((0.05 + 0.03 + 1.0) / 5)
    assert np.isnan(checks._error(bins.iloc[:0]))


@pytest.mark.parametrize(
    ("before", "after", "beyond"), [(0, 1, 0), (100, 103, 0), (100, 104, 1), (50, 47, 1)]
)
def test_counts_may_move_by_one_cell_and_two_percent(scripts, before, after, beyond):
    assert scripts.identity_checks._beyond(before, after) == pytest.approx(beyond)


def test_lineages_of_the_labels(scripts):
    labels = ["pDC", "DC", "B Activated", "CD16 Mono", "NK", "CD8 T", "Mk", "Eryth"]
    lineages = [scripts.identity_checks.lineage_of(label) for label in labels]
    assert lineages == ["DC", "DC", "B", "Mono", "T/NK", "T/NK", "", ""]


def test_marker_counts_name_what_a_cell_shows(scripts):
    genes = ["CD14", "LYZ", "MS4A1"]
    counts = sp.csc_array(np.array([[2, 5, 0], [0, 0, 0]], dtype=np.float32))
    view = SimpleNamespace(
        found=lambda wanted: [gene for gene in wanted if gene in genes],
        sparse=lambda wanted: counts[:, [genes.index(gene) for gene in wanted]],
    )
    groups = {"Mono": ["CD14", "LYZ", "VCAN"], "B": ["MS4A1"]}
    lines = scripts.calls.marker_counts(view, np.array([0, 1]), groups)
    assert lines == ["Mono 2: CD14 2 LYZ 5 | B 0", "Mono 0 | B 0"]


def test_the_highest_set_is_told_by_z_scores(scripts):
    scores = pd.DataFrame({"a": [0.0, 1.0, 2.0], "b": [30.0, 20.0, 10.0]})
    assert scripts.shared.highest_set(scores).tolist() == ["b", "a", "a"]
