"""What the report says of calls: confidence, labels, surface proteins, and what a file holds."""

from __future__ import annotations

import re

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scifn
from scifn import _keys as k
from scifn._errors import MissingKeyError
from scifn.report import _held, _wording
from scifn.report._write import render


def text_of(adata):
    html = render(adata)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.replace("&#39;", "'")))


def called(**counts):
    """Cells of each type, with a confidence."""
    names = {key.replace("_", " "): n for key, n in counts.items()}
    types = [name for name, n in names.items() for _ in range(n)]
    types = ["T/NK" if name == "T NK" else name for name in types]
    obs = pd.DataFrame({k.CELL_TYPE: pd.Categorical(types)}).rename(index=str)
    obs[k.CONFIDENCE] = np.linspace(0.5, 1, len(obs)).astype("float32")
    adata = ad.AnnData(obs=obs)
    adata.uns[k.UNS] = {"annotate": {"confidence": "how sure the model is.", "labels": ""}}
    return adata


def gates():
    row = {
        "scale": "asinh(UMI / 5)", "threshold": 2.0, "umi": 18.1, "method": "valley",
        "of": 4.0, "note": "",
    }  # fmt: skip
    end = {"protein": "", "side": "", "threshold": np.nan, "umi": np.nan, "method": ""}
    rows = [
        row | {"population": k.PDC, "protein": "CD123", "side": "above", "n_positive": 2.0},
        row | {"population": k.PDC, "protein": "CD303", "side": "one above", "n_positive": 1.0},
        row | end | {"population": k.PDC, "n_positive": 1.0},
        row | end | {"population": k.ASDC, "n_positive": 0.0},
        row | end | {"population": "b10_like", "n_positive": np.nan, "of": np.nan,
                     "note": "not measurable: CD27 is not among the proteins"},
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    table["percent"] = 100 * table["n_positive"] / table["of"]
    return table[list(k.GATES_COLUMNS)]


# --- what the file holds ------------------------------------------------------------------
@pytest.mark.parametrize(
    ("counts", "name", "reason"),
    [
        ({"T NK": 60, "Monocyte": 30, "B naive": 10}, "PBMC", ""),
        ({"B naive": 97, "Plasma": 2, "T NK": 1}, "B cells", "99 % of the typed cells are B cells"),
        ({"T NK": 100}, "T/NK cells", "100 % of the typed cells are T/NK cells"),
        ({"Monocyte": 90, "pDC": 8, "T NK": 2}, "cells", "2 % of the typed cells are T/NK cells"),
        ({"T NK": 60, "Monocyte": 30, "Keratinocyte": 10}, "cells", "10 % of the cells are of a"),
        ({"T NK": 40, "Unassigned": 60}, "cells", "most cells have no type"),
    ],
)
def test_fractions_are_of_what_the_file_holds(counts, name, reason):
    adata = called(**counts)
    text = text_of(adata)
    assert f"Each is a fraction of profiled {name}." in text
    assert ("fraction of profiled PBMC" in text) == (name == "PBMC")
    assert ("Fractions of PBMC: " in text) == bool(reason)
    assert reason in text


def test_doublets_and_unassigned_cells_do_not_hide_what_was_sorted():
    cells = pd.DataFrame({"lineage": ["B"] * 60 + ["Unassigned"] * 40, "cell_type": "x"})
    assert _held.what(cells)[0] == "B cells"
    assert _held.fraction(cells) == _wording.FRACTION.replace("PBMC", "B cells")


# --- confidence ---------------------------------------------------------------------------
def test_confidence_is_drawn_with_its_meaning():
    html = render(called(pDC=3, T_NK=30))
    assert "Confidence of the calls (how sure the model is). Dot: median" in html
    without = called(pDC=3, T_NK=30)
    without.obs[k.CONFIDENCE] = np.float32(np.nan)
    assert "Confidence of the calls" not in render(without)


# --- Breg-like ----------------------------------------------------------------------------
def test_breg_like_kinds_stand_side_by_side():
    adata = called(B_naive=10, T_NK=30, Plasma=5)
    b_cell = adata.obs[k.CELL_TYPE].eq("B naive").to_numpy()
    adata.obs[k.BREG_KIND] = "none"
    adata.obs.loc[b_cell, k.BREG_KIND] = ["transitional_like"] * 2 + ["b10_like"] + ["none"] * 7
    adata.obs[k.BREG_EVIDENCE] = np.where(adata.obs[k.BREG_KIND] == "none", "none", "transcript")
    adata.obs[k.IL10_UMI] = np.float32(1.0)  # also in cells that are no B cells
    text = text_of(adata)
    assert "Transitional-like transcript 2 20 % B10-like transcript 1 10 % neither none 7" in text
    assert "IL10 transcript detected in 10 of 10 B cells; not an estimate of competence." in text
    adata.obs[k.IL10_UMI] = np.float32(np.nan)
    assert "IL10 was not measured." in text_of(adata)


# --- labels -------------------------------------------------------------------------------
def with_labels(rows):
    adata = called(pDC=3, T_NK=30)
    table = pd.DataFrame(rows, columns=["label", "cell_type", "n_cells", "status"])
    adata.uns[k.UNS]["annotate"] |= {"labels": "my_label", "label_disagreement": table}
    return adata


def test_labels_without_a_place_are_listed():
    text = text_of(
        with_labels(
            [
                ("blob", "T/NK", 20, "no place"),
                ("blob", "pDC", 3, "no place"),
                ("T/NK", "T/NK", 9, "agrees"),
                ("T/NK", "Doublet", 1, "differs"),
            ]
        )
    )
    assert "Labels that bound nothing" in text
    assert "blob 23 T/NK 20, pDC 3" in text
    assert "1 of 33 cells (3 %) were called something else than their label says" in text
    assert "T/NK Doublet 1" in text
    assert "Rows: my_label" not in text  # letters of a figure are outlines


def test_labels_that_all_have_a_place_need_no_table():
    text = text_of(with_labels([("T/NK", "T/NK", 33, "agrees")]))
    assert "0 of 33 cells (0 %)" in text
    assert "Labels that bound nothing" not in text
    assert "Calls that differ" not in text


def test_rare_differences_are_counted_not_listed():
    rows = [(f"l{i:02d}", "T/NK", 100 - i, "differs") for i in range(17)]
    text = text_of(with_labels(rows))
    assert "2 rarer pairs not shown" in text
    assert "l14" in text
    assert "l15" not in text


def test_without_labels_nothing_is_said_of_them():
    assert "something else than their label" not in text_of(called(pDC=3, T_NK=30))


# --- surface proteins ---------------------------------------------------------------------
def test_gates_are_drawn_and_listed():
    adata = called(pDC=1, T_NK=3)
    adata.uns[k.UNS] |= {k.GATES: gates()}
    adata.uns[k.UNS]["annotate"] |= {
        "surface": {"breg_measurable": False},
        "surface_calls": pd.DataFrame(
            {"transcripts": ["not_pDC"], "surface": ["CD123 only"], "call": ["not_pDC"],
             "n_cells": [4]}
        ),
    }  # fmt: skip
    adata.obsm[k.PROTEIN] = pd.DataFrame(
        {"CD123": [3.0, 3, 0, 0], "CD303": [3.0, 0, 0, 0]}, index=adata.obs_names
    )
    html, text = render(adata), text_of(adata)
    assert html.count("<img") == 3  # types, confidence, gates
    assert "pDC CD123 above 18.1 valley 2 (50 %)" in text
    assert "pDC CD303 above, or another 18.1 valley 1 (25 %)" in text
    assert "pDC all of them – 1 (25 %)" in text
    assert "AS-DC as pDC, but CD33, CD5 or CD327 above – 0 (0 %)" in text
    assert "B10-like: not measurable: CD27 is not among the proteins" in text
    assert "Breg-like kinds of all B cells here rest on transcripts" in text
    assert "not pDC CD123 only not pDC 4" in text


def test_kinds_that_rest_on_proteins_say_so():
    adata = called(B_naive=1, T_NK=3)
    adata.uns[k.UNS] |= {k.GATES: gates()}
    adata.uns[k.UNS]["annotate"] |= {"surface": {"breg_measurable": True}}
    adata.obsm[k.PROTEIN] = pd.DataFrame(
        {"CD123": [3.0, 3, 0, 0], "CD303": [3.0, 0, 0, 0]}, index=adata.obs_names
    )
    assert "of all B cells here rest on surface proteins" in text_of(adata)


def test_without_proteins_nothing_is_said_of_gates():
    assert "Gates on surface proteins" not in text_of(called(pDC=1, T_NK=3))


def test_gates_without_their_values_are_listed_and_not_drawn():
    adata = called(pDC=1, T_NK=3)
    adata.uns[k.UNS] |= {k.GATES: gates()}
    html = render(adata)
    assert html.count("<img") == 2
    assert "Gates on surface proteins, the cells above each" in html
    with pytest.raises(MissingKeyError, match="does not hold the proteins that were gated"):
        scifn.pl.gates(adata)
