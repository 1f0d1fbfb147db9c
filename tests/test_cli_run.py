"""The program end to end: from a file to a folder, on simulated and on real data."""

from __future__ import annotations

import hashlib
import json
import re

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest

import scifn
from scifn import _keys as k
from scifn.cli import _write, main

FILES = {
    "bounds.csv", "cells.h5ad", "coverage.csv", "crosstalk.csv", "donors.csv", "imbalance.csv",
    "profiles.csv", "provenance.json", "report.html", "strata.csv",
}  # fmt: skip
ARGS = ("--donor", "donor", "--condition", "condition", "--reference", "control")


def program(*args):
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code or 0


def names(folder):
    return {path.name for path in folder.iterdir()}


@pytest.fixture(scope="module")
def cohort():
    return scifn.datasets.cohort(n_patients=4, n_controls=4, cells_per_donor=150, rng=3)


@pytest.fixture(scope="module")
def results(cohort, tmp_path_factory):
    """Input, its hash before the run, and the folder of results."""
    folder = tmp_path_factory.mktemp("run")
    source = folder / "in.h5ad"
    cohort.write_h5ad(source)
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    out = folder / "out"
    assert program("run", source, *ARGS, "-o", out, "--n-permutations", 50) == 0
    return source, before, out


def test_all_files_are_there_and_the_input_is_untouched(results):
    source, before, out = results
    assert names(out) == FILES
    assert names(out.parent) == {"in.h5ad", "out"}
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before


@pytest.fixture(scope="module")
def cells(results):
    """The cells that were written; not to be written to."""
    return ad.io.read_h5ad(results[2] / "cells.h5ad")


def test_cells_join_on_the_names_of_the_input(results, cells, cohort):
    cells = cells.copy()
    assert cells.X is None
    assert list(cells.obs_names) == list(cohort.obs_names)
    assert {k.CELL_TYPE, k.IFNA_EVIDENCE, k.RESPONSE_TYPE1} <= set(cells.obs)
    # what comes after the matrix can be done again from this file alone
    scifn.tl.imbalance(cells, reference="control", n_permutations=50, overwrite=True)
    again = scifn.get.imbalance(cells)
    pd.testing.assert_frame_equal(
        again[["effect"]], pd.read_csv(results[2] / "imbalance.csv")[["effect"]]
    )


@pytest.mark.parametrize("name", ["donors", "imbalance", "strata", "bounds", "coverage"])
def test_tables_are_those_of_get(results, cells, name):
    table = getattr(scifn.get, name)(cells)
    written = pd.read_csv(results[2] / f"{name}.csv", keep_default_na=False)
    assert list(written.columns) == list(table.columns)
    assert len(written) == len(table)


def test_provenance_says_what_was_done(results):
    source, before, out = results
    known = json.loads((out / "provenance.json").read_text(encoding="utf-8"))
    assert known["source"]["input"] == {
        "name": "in.h5ad", "bytes": source.stat().st_size, "sha256": before,
    }  # fmt: skip
    assert known["simulated"] is True
    assert known["steps"]["imbalance_parameters"]["n_permutations"] == 50
    assert known["steps"]["input"]["species"] == "human"


def test_report_says_that_the_cohort_is_simulated(results):
    html = (results[2] / "report.html").read_text(encoding="utf-8")
    assert html.count("Simulated data: not patients") > 8
    assert not re.search(r"https?://", html)


def test_second_run_needs_overwrite_and_gives_the_same(results, capsys):
    source, _, out = results
    first = {name: (out / name).read_bytes() for name in FILES if name.endswith(".csv")}
    assert program("run", source, *ARGS, "-o", out, "--n-permutations", 50) == 2
    assert "--overwrite replaces it" in capsys.readouterr().err
    args = ("--n-permutations", 50, "--overwrite")
    assert program("run", source, *ARGS, "-o", out, *args) == 0
    assert {name: (out / name).read_bytes() for name in first} == first


def test_demo_ends_with_the_path_of_its_report(tmp_path, capsys, monkeypatch, cohort):
    monkeypatch.setattr(scifn.datasets, "demo", cohort.copy)
    monkeypatch.chdir(tmp_path)
    assert program("demo") == 0
    assert capsys.readouterr().out.splitlines()[-1] == "scifn-demo/report.html"
    assert names(tmp_path / "scifn-demo") == FILES


def test_metadata_apart_from_the_matrix(tmp_path, cohort, capsys):
    bare = ad.AnnData(cohort.X, obs=cohort.obs[[]], var=cohort.var)
    bare.write_h5ad(tmp_path / "bare.h5ad")
    cohort.obs[["donor", "condition"]].iloc[:-10].to_csv(tmp_path / "cells.csv")
    out = tmp_path / "out"
    args = ("--obs", tmp_path / "cells.csv", "--n-permutations", 20)
    assert program("run", tmp_path / "bare.h5ad", *ARGS, "-o", out, *args) == 0
    assert "10 of 1,200 cells have no row in cells.csv" in capsys.readouterr().err
    assert pd.read_csv(out / "donors.csv")["n_cells"].sum() == 1190


def test_paired_donors_without_ifna_features(shared_data, tmp_path):
    """Lupus PBMC with and without interferon beta (GSE96583)."""
    source = shared_data / "kang_ifnb_fullgenes_annot.h5ad"
    args = ("--donor", "donor", "--condition", "condition", "--reference", "ctrl")
    assert program("run", source, *args, "-o", tmp_path / "out") == 0
    table = pd.read_csv(tmp_path / "out" / "imbalance.csv")
    assert table["p_permutation"].isna().all()
    assert (table["status"] != "ok").all()
    html = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "IFNA transcript evidence: not measurable in this file" in html
    assert "cells have no donor and are left out" in html


def test_b_cells_only(shared_data, tmp_path):
    """A panel of B cells of children with SLE and healthy ones (GSE135779)."""
    source = shared_data / "csle_bcells_neharbelaid.h5ad"
    args = ("--donor", "donor", "--condition", "group", "--reference", "cHD")
    assert program("run", source, *args, "-o", tmp_path / "out", "--n-permutations", 99) == 0
    cells = ad.io.read_h5ad(tmp_path / "out" / "cells.h5ad")
    assert cells.obs[k.IFNA_EVIDENCE].eq("not_measurable").all()
    assert cells.obs[k.IFNA_UMI].isna().all()


@pytest.mark.parametrize("name", [None, "barcode"])
def test_names_of_cells_are_written_once_and_read_everywhere(name, tmp_path):
    rng = np.random.default_rng(0)
    obs = pd.DataFrame({"donor": pd.Categorical(["a", "b"] * 20)}, [f"c{i}" for i in range(40)])
    obs.index.name = name
    tables = {
        "scifn_one": pd.DataFrame(rng.normal(size=(40, 2)), obs.index, ["x", "y"]),
        "scifn_two": pd.DataFrame({"kind": pd.Categorical(["weak", "none"] * 20)}, obs.index),
        "scifn_none": pd.DataFrame(index=obs.index),
    }
    array = rng.normal(size=(40, 3))
    cells = ad.AnnData(obs=obs, obsm={**tables, "scifn_array": array}, uns={"scifn": {"a": 1}})
    _write.write_cells(cells, tmp_path / "cells.h5ad")
    again = ad.read_h5ad(tmp_path / "cells.h5ad")
    pd.testing.assert_frame_equal(again.obs, cells.obs)
    assert set(again.obsm) == {*tables, "scifn_array"}
    for key in tables:
        pd.testing.assert_frame_equal(again.obsm[key], cells.obsm[key])
    np.testing.assert_array_equal(again.obsm["scifn_array"], array)
    assert again.uns["scifn"]["a"] == 1
    with h5py.File(tmp_path / "cells.h5ad") as file:
        names = file["obs"][name or "_index"]
        assert all(file["obsm"][key][name or "_index"] == names for key in tables)
