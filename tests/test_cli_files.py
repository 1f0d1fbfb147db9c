"""What the program reads and writes, without the analysis between."""

from __future__ import annotations

import gzip
import json

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp

import scifn
from scifn import _keys as k
from scifn._errors import ArgumentError, InputFileError, OverwriteError
from scifn.cli import _memory, _options, _read, _write


def small(n=4):
    counts = sp.csr_matrix(np.arange(3.0 * n).reshape(n, 3))
    obs = pd.DataFrame({"donor": ["a"] * n}, index=[f"cell{i}-1" for i in range(n)])
    return ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=["IFNA1", "MX1", "CD19"]))


@pytest.fixture
def h5ad(tmp_path):
    path = tmp_path / "in.h5ad"
    small().write_h5ad(path)
    return path


def mtx_folder(folder):
    folder.mkdir()
    with gzip.open(folder / "matrix.mtx.gz", "wb") as file:
        scipy.io.mmwrite(file, sp.coo_matrix(small().X.T.astype(int)))
    with gzip.open(folder / "barcodes.tsv.gz", "wt") as file:
        file.write("".join(f"cell{i}-1\n" for i in range(4)))
    with gzip.open(folder / "features.tsv.gz", "wt") as file:
        for i, name in enumerate(["IFNA1", "MX1", "CD19"]):
            file.write(f"ENSG0000000000{i}\t{name}\tGene Expression\n")
    return folder


def tenx_h5(path):
    import h5py

    counts = sp.csc_matrix(small().X.T.astype("int32"))
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["data"], group["indices"], group["indptr"] = (
            counts.data, counts.indices.astype("int64"), counts.indptr.astype("int64"),
        )  # fmt: skip
        group["shape"] = np.array(counts.shape, dtype="int32")
        group["barcodes"] = np.array([f"cell{i}-1".encode() for i in range(4)])
        features = group.create_group("features")
        features["id"] = np.array([b"ENSG1", b"ENSG2", b"ENSG3"])
        features["name"] = np.array([b"IFNA1", b"MX1", b"CD19"])
        features["feature_type"] = np.array([b"Gene Expression"] * 3)
        features["genome"] = np.array([b"GRCh38"] * 3)
    return path


@pytest.mark.parametrize("kind", ["h5ad", "zarr", "mtx", "h5"])
def test_every_kind_of_input_is_the_same_object(kind, tmp_path, h5ad):
    path = h5ad
    if kind == "zarr":
        pytest.importorskip("zarr")
        path = tmp_path / "in.zarr"
        small().write_zarr(path)
    elif kind == "mtx":
        path = mtx_folder(tmp_path / "filtered")
    elif kind == "h5":
        path = tenx_h5(tmp_path / "filtered.h5")
    found = _read.read(path)
    assert list(found.obs_names) == list(small().obs_names)
    assert list(found.var_names) == ["IFNA1", "MX1", "CD19"]
    assert np.array_equal(np.asarray(found.X.todense()), np.asarray(small().X.todense()))


def test_large_files_are_not_loaded(h5ad, monkeypatch, capsys):
    monkeypatch.setattr(_memory, "LOADED_BELOW", 10)
    found = _read.read(h5ad)
    assert found.X.group.file.filename == str(h5ad)
    assert found.X.group.file.mode == "r"
    assert "stay on disk" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"donor,condition\n", "it holds text"),
        (b"", "it is empty"),
        (b"<!DOCTYPE html><html>", "it holds HTML"),
        (b"\x1f\x8b\x08\x00", "it is gzipped"),
        (b"PK\x03\x04\x00", "it holds something else"),
    ],
)
@pytest.mark.parametrize("name", ["x.h5ad", "x.h5"])
def test_a_file_that_is_not_what_its_name_says(tmp_path, content, said, name):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputFileError, match=f"not an HDF5 file, though its name says so: {said}"):
        _read.read(tmp_path / name)


def test_other_inputs_are_named(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.rds").write_text("")
    (tmp_path / "matrix.mtx").write_text("")
    for path, said in (
        (tmp_path / "none.h5ad", "no such file or folder"),
        (tmp_path / "empty", "neither zarr nor 10x"),
        (tmp_path / "x.rds", "Save it from R as h5ad"),
        (tmp_path / "matrix.mtx", "give the folder that holds it"),
    ):
        with pytest.raises(InputFileError, match=said):
            _read.read(path)


def test_hdf5_that_is_no_anndata(tmp_path):
    import h5py

    with h5py.File(tmp_path / "x.h5ad", "w") as file:
        file["something"] = [1, 2]
    with pytest.raises(InputFileError, match=r"could not be read as h5ad|holds no cells"):
        _read.read(tmp_path / "x.h5ad")


def test_no_cells(tmp_path):
    ad.AnnData(np.zeros((0, 3), dtype="float32")).write_h5ad(tmp_path / "x.h5ad")
    with pytest.raises(InputFileError, match="holds no cells"):
        _read.read(tmp_path / "x.h5ad")


def test_obs_table_joins_on_barcodes(tmp_path, capsys):
    table = tmp_path / "obs.csv"
    table.write_text("barcode,donor,age/y\ncell2-1,b,50\ncell0-1,c,60\nother-1,d,70\n")
    adata = small()
    _read.join_obs(adata, table)
    assert adata.obs["donor"].fillna("none").tolist() == ["c", "none", "b", "none"]
    assert adata.obs["age_y"].fillna(0).tolist() == [60, 0, 50, 0]
    said = capsys.readouterr().err
    assert "2 of 4 cells have no row in obs.csv (such as cell1-1)" in said
    assert "1 of 3 rows of obs.csv are no cell" in said
    assert "column 'donor' of obs.csv replaces" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("barcode,donor\ncell0,b\n", "none of its 1 barcodes .such as 'cell0'. is a cell"),
        ("barcode,donor\ncell0-1,b\ncell0-1,c\n", "'cell0-1' stands in several rows"),
        ("barcode;donor\ncell0-1;b\n", "no column beside the barcodes"),
        ("", "could not be read as a table"),
    ],
)
def test_mistakes_in_the_obs_table(tmp_path, text, said):
    (tmp_path / "obs.csv").write_text(text)
    with pytest.raises(InputFileError, match=said):
        _read.join_obs(small(), tmp_path / "obs.csv")
    with pytest.raises(InputFileError, match="no such file"):
        _read.join_obs(small(), tmp_path / "none.csv")


def analyzed():
    adata = small()
    adata.obs["mixed"] = pd.Series([1, "a", None, 2.5], index=adata.obs_names, dtype=object)
    adata.obs[k.CELL_TYPE] = pd.Categorical(["pDC"] * 4)
    adata.obsm["X_pca"] = np.zeros((4, 2))
    adata.obsm[k.CAPACITY] = pd.DataFrame({"tlr3": [0.0] * 4}, index=adata.obs_names)
    table = pd.DataFrame({"set": ["a"], "reference": "", "n_genes": 3, "n_found": 3,
                          "missing": "", "status": "ok"})  # fmt: skip
    adata.uns["neighbors"] = {"anything": object()}
    adata.uns[k.UNS] = {
        "version": "0.1.0", k.COVERAGE: table, "x_parameters": {"limit": np.nan, "n": np.int64(3)},
    }  # fmt: skip
    return adata


def test_folder_holds_what_is_there(tmp_path):
    out = tmp_path / "deep" / "out"
    page = _write.write_folder(analyzed(), out, title=None, source={"a": 1}, overwrite=False)
    assert page == out / "report.html"
    assert sorted(p.name for p in out.iterdir()) == [
        "cells.h5ad", "coverage.csv", "provenance.json", "report.html",
    ]  # fmt: skip
    assert [p.name for p in out.parent.iterdir()] == ["out"]
    cells = ad.io.read_h5ad(out / "cells.h5ad")
    assert cells.X is None
    assert list(cells.obs_names) == list(small().obs_names)
    assert list(cells.obsm) == [k.CAPACITY]
    assert cells.obs["mixed"].astype(str).tolist() == ["1", "a", "", "2.5"]
    known = json.loads((out / "provenance.json").read_text())
    assert known["steps"]["x_parameters"] == {"limit": None, "n": 3}
    assert known["source"] == {"a": 1}
    assert known["packages"]["numpy"] == np.__version__


@pytest.mark.parametrize("there", [False, True])
def test_a_failure_in_the_middle_leaves_no_trace(tmp_path, monkeypatch, there):
    out = tmp_path / "out"
    if there:
        _write.write_folder(analyzed(), out, title="old", source={}, overwrite=False)
    before = {p.name: p.read_bytes() for p in out.iterdir()} if there else {}

    def fail(*_args, **_kwargs):
        raise RuntimeError("in the middle")

    monkeypatch.setattr("scifn.cli._write.provenance", fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        _write.write_folder(analyzed(), out, title=None, source={}, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == (["out"] if there else [])
    assert ({p.name: p.read_bytes() for p in out.iterdir()} if there else {}) == before


def test_a_full_disk_is_named(tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("anndata.AnnData.write_h5ad", fail)
    with pytest.raises(InputFileError, match="No space left on device"):
        _write.write_folder(analyzed(), tmp_path / "o", title=None, source={}, overwrite=False)
    assert list(tmp_path.iterdir()) == []


def test_overwrite_replaces_all_of_it(tmp_path):
    out = tmp_path / "out"
    _write.write_folder(analyzed(), out, title="first", source={}, overwrite=False)
    (out / "donors.csv").write_text("left from before")
    with pytest.raises(OverwriteError, match="made meanwhile"):
        _write.write_folder(analyzed(), out, title="second", source={}, overwrite=False)
    _write.write_folder(analyzed(), out, title="second", source={}, overwrite=True)
    assert not (out / "donors.csv").exists()
    assert "second" in (out / "report.html").read_text()
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_targets_that_must_not_be_written(tmp_path, h5ad):
    out = tmp_path / "out"
    _write.check_target(out, inputs=[h5ad], overwrite=False)
    out.mkdir()
    for folder, overwrite, said in (
        (out, False, "the folder is there already"),
        (tmp_path, True, "the input .* is in the way"),
        (h5ad, True, "the input .* is in the way"),
        (h5ad / "x", True, "the input .* is in the way"),
    ):
        with pytest.raises(OverwriteError, match=said):
            _write.check_target(folder, inputs=[h5ad], overwrite=overwrite)
    _write.check_target(out, inputs=[h5ad], overwrite=True)  # an empty folder may go
    (out / "thesis.docx").write_text("")
    with pytest.raises(OverwriteError, match="holds other files than results of scifn"):
        _write.check_target(out, inputs=[h5ad], overwrite=True)
    (out / "thesis.docx").rename(tmp_path / "file")
    with pytest.raises(OverwriteError, match="a file of that name"):
        _write.check_target(tmp_path / "file", inputs=[h5ad], overwrite=True)
    with pytest.raises(InputFileError, match="no folder can be made"):
        _write.check_target(tmp_path / "file" / "out", inputs=[], overwrite=False)


def test_words_become_values(tmp_path):
    table = tmp_path / "map.csv"
    table.write_text("CD14+ Mono,Monocyte\n\n")
    given = {
        "donor": "d", "overwrite": True, "layer": None, "mapping": ["a=b=T/NK", str(table)],
        "measurements": ["crp", "ifn=0.5"], "contamination": "0.1",
        "missing": ["?"], "rng": 0,
    }  # fmt: skip
    assert _options.keywords(given) == {
        "donor": "d", "overwrite": True,
        "mapping": {"a=b": "T/NK", "CD14+ Mono": "Monocyte"},
        "measurements": {"crp": {}, "ifn": {"lod": 0.5}},
        "contamination": 0.1, "missing": ("?",), "rng": 0,
    }  # fmt: skip
    with pytest.raises(ArgumentError, match="LABEL=TYPE was needed"):
        _options.keywords({"mapping": ["nothing"]})
    with pytest.raises(ArgumentError, match="the detection limit was needed"):
        _options.keywords({"measurements": ["ifn=low"]})


def test_ambient_is_any_kind_of_input(tmp_path):
    found = _options.keywords({"ambient": mtx_folder(tmp_path / "raw")})["ambient"]
    assert found.shape == (4, 3)
    with pytest.raises(InputFileError, match="no such file or folder"):
        _options.keywords({"ambient": tmp_path / "none.h5ad"})


def test_model_is_the_output_of_a_run(tmp_path, h5ad):
    _write.write_folder(analyzed(), tmp_path / "o", title=None, source={}, overwrite=False)
    model = _options.keywords({"model": tmp_path / "o" / "cells.h5ad"})["model"]
    assert model["version"] == "0.1.0"
    with pytest.raises(InputFileError, match="no output of scifn in it"):
        _options.keywords({"model": h5ad})


def test_cite_names_what_the_citation_file_names(shared_citation):
    from scifn.cli._commands import CITATION

    assert f'title: "{CITATION.partition(". ")[2].partition(". Version")[0]}"' in shared_citation


@pytest.fixture
def shared_citation():
    from pathlib import Path

    path = Path(scifn.__file__).parents[2] / "CITATION.cff"
    if not path.is_file():
        pytest.skip("not a checkout")
    return path.read_text(encoding="utf-8")
