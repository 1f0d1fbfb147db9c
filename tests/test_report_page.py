"""The page: whole, self-contained, honest about what is missing, and safe from its content."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scifn
from scifn import _keys as k
from scifn._errors import ArgumentError, InputFileError, MissingKeyError
from scifn.report import _format, _wording
from scifn.report._methods import brief_value
from scifn.report._write import render

EVIL = "<script>alert('x')</script>\"&'"
SECTIONS = ("file", "cells", "interferon", "response", "donors", "imbalance", "profiles",
            "methods", "provenance")  # fmt: skip
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Tags in order, with a stack that must be empty at the end."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.tags, self.ids, self.words = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if "style" not in self.stack:
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def cohort(donor="C0", n=5):
    """Cells with labels and scores, through the steps that need no matrix."""
    rng = np.random.default_rng(0)
    kinds = [k.T_NK] * 560 + [k.B_NAIVE] * 60 + [k.B_TRANSITIONAL] * 6 + [k.PDC] * 4
    people = [f"P{i}" for i in range(n)] + [donor, *(f"C{i}" for i in range(1, n))]
    obs = pd.DataFrame(
        [(d, "sle" if i < n else "healthy", t) for i, d in enumerate(people) for t in kinds],
        columns=["donor", "disease", k.CELL_TYPE],
    ).rename(index=str)
    obs[k.CELL_TYPE] = obs[k.CELL_TYPE].astype("category")
    shift = np.where(obs["disease"] == "sle", 2.0, 0.0)
    obs[k.RESPONSE_TYPE1] = (rng.normal(size=len(obs)) + shift).astype("float32")
    obs[k.IFNA_EVIDENCE] = pd.Categorical(["none"] * len(obs), categories=list(k.EVIDENCES))
    obs[k.IFNA_UMI] = np.zeros(len(obs), dtype="float32")
    adata = ad.AnnData(obs=obs)
    adata.obsm[k.CAPACITY] = pd.DataFrame(
        rng.normal(size=(len(obs), 5)), columns=list(k.CAPACITY_MODULES), index=obs.index
    )
    scifn.tl.donors(adata, donor="donor", condition="disease")
    scifn.tl.imbalance(adata, reference="healthy", n_permutations=100)
    store = adata.uns[k.UNS]
    store[k.INPUT] = {
        "matrix": "X",
        "scale": "counts",
        "counts": "as stored",
        "species": "human",
        "n_cells": len(obs),
        "n_features": 20000,
        "notes": "a note on the input",
    }
    store[k.COVERAGE] = pd.DataFrame(
        {
            "set": ["ifn_alpha", "isg_sc_pan", "my_set"],
            "reference": ["HGNC", "", "mine"],
            "n_genes": [13, 14, 4],
            "n_found": [0, 14, 4],
            "missing": ["IFNA1, IFNA2", "", ""],
            "status": ["absent", "ok", "ok"],
        }
    )
    store[k.BOUNDS] = pd.DataFrame(
        {
            "donor": "", "condition": ["sle", "healthy"], "cell_type": k.PDC, "ligand": "IFNA",
            "n_cells": 20.0, "n_weak": 0.0, "n_strong": 0.0, "rate": 0.0, "upper95": 0.139,
            "pooled": True,
            "statement": "IFNA transcript evidence: none. Zero does not exclude secretion; with "
            "n=20 pDC the 95 % upper bound on detectable producers is 14%",
        }
    )  # fmt: skip
    return adata


@pytest.fixture(scope="module")
def html():
    return render(cohort(), title="A title")


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


def test_tags_are_closed_and_ids_are_unique(page):
    assert page.stack == []
    assert len(page.ids) == len(set(page.ids))
    assert set(SECTIONS) <= set(page.ids)


def test_nothing_comes_from_outside(html, page):
    assert not re.search(r"(src|href|srcset|action|data)\s*=\s*[\"']?\s*(https?:)?//", html, re.I)
    assert not re.search(r"@import|url\(", html)
    assert not re.search(r"https?://", html)
    assert page.all("script") == []
    assert page.all("link") == []
    assert all(a["href"].startswith("#") for a in page.all("a"))
    assert {a["href"][1:] for a in page.all("a")} <= set(page.ids)
    for image in page.all("img"):
        drawn = base64.b64decode(image["src"].removeprefix("data:image/svg+xml;base64,"))
        assert drawn.lstrip().startswith(b"<?xml")
        assert not re.search(rb"(href|src)=\"(?!#)", drawn)


def test_readable_without_eyes(page):
    assert page.all("html") == [{"lang": "en"}]
    assert all(len(image["alt"]) > 20 for image in page.all("img"))
    assert len(page.all("img")) >= 5
    assert all("scope" in head for head in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels))
    for table in page.all("table"):
        assert table["aria-labelledby"] in page.ids


def test_says_what_the_tables_say(page):
    text = page.text
    assert "10 donors (5 healthy and 5 sle)" in text
    assert "with n=20 pDC the 95 % upper bound on detectable producers is 14%" in text
    assert "type I IFN response (ligand not identifiable)".capitalize()[:4] in text
    assert "Evidence of IFN-alpha transcription: 0 of 13 genes of ifn_alpha" in text
    assert "a note on the input" in text
    assert "Simulated" not in text


def test_required_wording_is_printed_as_it_stands(page):
    for row in _wording.TABLE:
        for part in row:
            assert part in page.text
    for sentence in (_wording.BREG, _wording.FRACTION, _wording.RESEARCH):
        assert sentence in page.text
    assert "Research use only" in page.text


def test_references_are_those_of_the_sets_used(page):
    table = scifn.genesets.table().set_index("name")
    assert str(table.loc["ifn_alpha", "reference"]) in page.text
    assert "mine" in page.text


@pytest.mark.usefixtures("drawn_once")
def test_simulated_data_says_so_everywhere():
    adata = cohort()
    adata.uns["truth"] = {"donors": pd.DataFrame({"donor": ["a"]})}
    html = render(adata)
    headings = re.findall(r"<h2 id=\"(\w+)\">(.*?)</h2>", html)
    said = {anchor for anchor, inner in headings if _wording.SIMULATED in inner}
    assert said == set(SECTIONS)
    assert f'@top-center {{ content: "{_wording.SIMULATED}"' in html


@pytest.mark.usefixtures("drawn_once")
def test_text_of_the_user_is_only_text():
    adata = cohort(donor=EVIL)
    html = render(adata, title=EVIL)
    assert "<script" not in html
    page = Page(html)
    assert page.all("script") == []
    assert page.text.count("<script>alert('x')</script>") >= 3
    assert not any("alert" in str(attrs) for _, attrs in page.tags)


def test_an_object_without_anything_gets_a_report():
    page = Page(render(ad.AnnData(shape=(3, 0))))
    assert page.stack == []
    assert page.all("img") == []
    for call in ("annotate", "production", "capacity", "donors"):
        assert f"scifn.tl.{call}" in page.text
    assert "3 cells; no expression matrix was read" in page.text


@pytest.mark.usefixtures("drawn_once")
@pytest.mark.parametrize("gone", [k.COVERAGE, k.BOUNDS, k.IMBALANCE, k.DONORS, k.INPUT])
def test_a_missing_table_is_named_and_the_rest_is_there(gone):
    adata = cohort()
    del adata.uns[k.UNS][gone]
    page = Page(render(adata))
    assert page.stack == []
    assert len(page.all("img")) >= 4


@pytest.mark.usefixtures("drawn_once")
def test_not_measurable_is_never_a_zero():
    adata = cohort()
    adata.obs[k.IFNA_EVIDENCE] = "not_measurable"
    adata.obs[k.IFNA_UMI] = np.float32(np.nan)
    adata.obs[k.RESPONSE_TYPE1] = np.float32(np.nan)
    bounds = adata.uns[k.UNS][k.BOUNDS]
    bounds[["n_weak", "n_strong", "rate", "upper95"]] = np.nan
    bounds["statement"] = "not measurable"
    text = Page(render(adata)).text
    assert "IFNA transcript evidence: not measurable in this file" in text
    assert "The response was not measurable in any cell" in text
    assert "transcript-positive cell types: not measurable" in text


@pytest.mark.usefixtures("drawn_once")
def test_a_step_that_could_not_be_done_says_why():
    adata = cohort()
    del adata.obs[k.IFNA_EVIDENCE], adata.uns[k.UNS][k.BOUNDS]
    adata.uns[k.UNS]["steps"] = {"production": "not_measurable: raw holds logarithms"}
    text = Page(render(adata)).text
    assert "IFNA transcript evidence: not measurable in this file: raw holds logarithms" in text
    assert "Not shown. not measurable: raw holds logarithms" in text
    assert "call scifn.tl.production" not in text


@pytest.mark.usefixtures("drawn_once")
def test_notes_on_donors_are_put_together():
    adata = cohort()
    table = adata.uns[k.UNS][k.DONORS]
    table["note"] = [f"{400 + i} counted cells, 500 needed for pDC readouts" for i in range(10)]
    table["donor"] = ["A", "A", *table["donor"][2:]]  # in both conditions
    text = Page(render(adata)).text
    assert "9 donors with 400 to 409 counted cells, 500 needed for pDC readouts." in text


def test_bulk_samples_are_no_cells():
    rng = np.random.default_rng(0)
    genes = ["IFI27", "IFI44", "IFI44L", "RSAD2"]
    obs = pd.DataFrame({"group": ["HC"] * 8 + ["SLE"] * 4}, index=[f"S{i}" for i in range(12)])
    x = np.log2(rng.uniform(90, 110, (12, 4)))
    x[8:] += 4
    adata = ad.AnnData(x, obs=obs, var=pd.DataFrame(index=genes))
    scifn.tl.stratify(adata, condition="group", reference="HC", bulk=True)
    text = Page(render(adata)).text
    assert "12 samples (bulk, log2 expression); cells are not told apart." in text
    assert "Strata of samples" in text
    assert "SLE: 4 IFN-high, 0 IFN-low of 4" in text
    assert "scifn.tl.annotate" not in text


def test_same_object_same_page(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    adata = cohort()
    first = render(adata)
    assert "2023-11-14 22:13 UTC" in first
    assert render(adata) == first


def test_nothing_is_written_to_the_object():
    adata = cohort()
    before = (list(adata.obs), list(adata.obsm), list(adata.uns), sorted(adata.uns[k.UNS]))
    render(adata)
    assert (list(adata.obs), list(adata.obsm), list(adata.uns), sorted(adata.uns[k.UNS])) == before


def test_writes_one_file_and_returns_its_path(tmp_path):
    found = scifn.report(cohort(), str(tmp_path / "r.html"), title="T & T")
    assert found == tmp_path / "r.html"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    text = found.read_text(encoding="utf-8")
    assert "<title>T &amp; T</title>" in text
    assert len(text) < 3_000_000


def test_a_failure_leaves_the_old_page(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    path.write_text("old")

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(OSError, match="no space left"):
        scifn.report(ad.AnnData(shape=(3, 0), uns={"scifn": {}}), path)
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]
    assert path.read_text() == "old"


def test_mistakes_are_named(tmp_path):
    with pytest.raises(ArgumentError, match="an AnnData was needed, a DataFrame was given"):
        scifn.report(pd.DataFrame(), tmp_path / "r.html")
    with pytest.raises(InputFileError, match="is a folder"):
        scifn.report(ad.AnnData(shape=(3, 0), uns={"scifn": {}}), tmp_path)
    with pytest.raises(InputFileError, match="is not there"):
        scifn.report(ad.AnnData(shape=(3, 0), uns={"scifn": {}}), tmp_path / "no" / "r.html")
    with pytest.raises(MissingKeyError, match=r"call scifn\.run"):
        scifn.report(ad.AnnData(shape=(3, 0)), tmp_path / "r.html")


def test_numbers_for_people():
    assert _format.number(1234.5) == "1,234"
    assert _format.number(0.000012) == "1.2e−05"
    assert _format.percent(float("nan")) == "–"
    assert _format.p_value(0.0) == "<0.001"
    assert _format.count("nonsense") == "–"
    assert _format.plural(0, "donor") == "0 donors"


def test_parameters_are_shortened_not_dropped():
    assert brief_value({"a": 1, "b": [2.5]}) == "a: 1, b: 2.5"
    assert brief_value("x" * 500).endswith("(500 characters)")
    assert brief_value(0) == "0"
    assert brief_value(False) == "False"
