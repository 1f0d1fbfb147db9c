"""Files larger than memory: matrices stay on disk, are read once, and give the same numbers."""

from __future__ import annotations

import hashlib
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import scifn
from scifn import _keys as k
from scifn import _matrix, _view
from scifn._errors import ArgumentError, InputFileError, MatrixError
from scifn._matrix import _files, _hdf5, _pass, _rows, _storage
from scifn._matrix._memory import Lender
from scifn.cli import _memory, _open, _progress, _read

GENES = ("IFNA1", "IFNA2", "MX1", "ISG15", "CD19", "CD3E", "LYZ", "CD14", "TLR7", "IRF7")


@pytest.fixture(scope="module")
def counted():
    """UMI counts of a few hundred cells with all kinds of rows."""
    made = np.random.default_rng(4).poisson(0.6, (300, 40)).astype("float32")
    made[[7, 299]] = 0
    return made


@pytest.fixture(scope="module")
def adata(counted):
    n_cells, n_features = counted.shape
    names = [*GENES, *(f"ENSG{i:011d}" for i in range(n_features - len(GENES)))]
    obs = pd.DataFrame(
        {"donor": pd.Categorical(np.arange(n_cells) // 50), "word": ["a", "b", "c"] * 100,
         "own": [f"only {i}" for i in range(n_cells)], "age": np.arange(n_cells) / 7},
        index=[f"cell{i}-1" for i in range(n_cells)],
    )  # fmt: skip
    found = ad.AnnData(sp.csr_matrix(counted), obs=obs, var=pd.DataFrame(index=names))
    found.obsm["X_pca"] = np.ones((n_cells, 5))
    found.obsm["adt"] = pd.DataFrame({"CD123": np.arange(n_cells)}, index=obs.index)
    found.uns["note"] = "kept"
    return found


def logs(counts):
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return np.log1p(counts / totals * 1e4).astype("float32")


def int64(matrix):
    matrix = matrix.copy()
    matrix.indices, matrix.indptr = matrix.indices.astype("int64"), matrix.indptr.astype("int64")
    return matrix


#: What a file may hold -> how the AnnData of the counts is changed to hold it.
CONTENTS = {
    "csr": lambda a, x: None,
    "csr of int64": lambda a, x: setattr(a, "X", int64(sp.csr_matrix(x))),
    "csc": lambda a, x: setattr(a, "X", sp.csc_matrix(x)),
    "dense": lambda a, x: setattr(a, "X", x),
    "logarithms": lambda a, x: setattr(a, "X", sp.csr_matrix(logs(x))),
    "csc of logarithms": lambda a, x: setattr(a, "X", sp.csc_matrix(logs(x))),
    "counts in a layer": lambda a, x: (
        a.layers.update(counts=sp.csr_matrix(x), other=sp.csr_matrix(x)),
        setattr(a, "X", logs(x)),
    ),
    "counts in raw": lambda a, x: (
        setattr(a, "raw", a.copy()),
        setattr(a, "X", logs(x) - 1),
    ),
}
WAYS = {
    "h5ad": lambda a, path: a.write_h5ad(path),
    "gzip": lambda a, path: a.write_h5ad(path, compression="gzip"),
    "zarr 2": lambda a, path: to_zarr(a, path, 2),
    "zarr 3": lambda a, path: to_zarr(a, path, 3),
    "zarr 3 shards": lambda a, path: to_zarr(a, path, 3, shards=True),
}


def to_zarr(adata, path, version, *, shards=False):
    zarr = pytest.importorskip("zarr")
    if version == 3 and int(zarr.__version__.split(".")[0]) < 3:
        pytest.skip("this zarr writes version 2 only")
    asked = {"zarr_write_format": version, "auto_shard_zarr_v3": shards}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that version 2 is old, and that version 3 is young
        known = {name: value for name, value in asked.items() if hasattr(ad.settings, name)}
        with ad.settings.override(**known):
            adata.write_zarr(path)


def write(adata, counted, content, way, folder):
    made = adata.copy()
    CONTENTS[content](made, counted)
    path = folder / ("x.zarr" if way.startswith("zarr") else "x.h5ad")
    WAYS[way](made, path)
    return made, path


def bounded(budget=20_000):
    """Blocks of a few hundred values."""
    return _matrix.within(budget)


@pytest.fixture(params=["scipy", "compiled"])
def kernels(request, monkeypatch):
    if request.param == "compiled":
        monkeypatch.setattr(_pass, "COMPILED", 0)


def assert_same_view(found, want):
    assert found.genes == want.genes
    assert (found.dense(found.genes) == want.dense(want.genes)).all()
    assert (found.total == want.total).all()
    assert (found.n_genes == want.n_genes).all()
    told = {name: value for name, value in found.record.items() if name != "storage"}
    assert told == {name: value for name, value in want.record.items() if name != "storage"}


#: All that a file may hold, and of the other kinds of file what is read in another way.
FILES = [(content, "h5ad", cells) for content in CONTENTS for cells in ("few", "many")] + [
    (content, way, "many") for way in WAYS if way != "h5ad" for content in ("csr", "csc", "dense")
]


@pytest.mark.parametrize(("content", "way", "cells"), FILES)
def test_out_of_core_gives_the_numbers_of_memory(
    adata, counted, content, way, cells, tmp_path, monkeypatch
):
    if cells == "many":
        monkeypatch.setattr(_pass, "COMPILED", 0)
    made, path = write(adata, counted, content, way, tmp_path)
    monkeypatch.setattr("anndata.abc.CSRDataset.to_memory", forbidden, raising=False)
    monkeypatch.setattr("anndata.abc.CSCDataset.to_memory", forbidden, raising=False)
    opened = _read.read(path, plan=_read.Plan(10**9))
    with bounded():
        found = _view.read(opened, GENES)
    assert_same_view(found, _view.read(made, GENES))


def forbidden(*_):
    raise AssertionError("a matrix was loaded")


def test_a_lazy_object_is_the_file(adata, counted, tmp_path):
    made, path = write(adata, counted, "counts in a layer", "h5ad", tmp_path)
    found = _read.read(path, plan=_read.Plan(10**9, obsm=("X_pca",)))
    whole = ad.io.read_h5ad(path)
    assert list(found.obs_names) == list(made.obs_names)
    assert list(found.var_names) == list(made.var_names)
    assert found.uns["note"] == "kept"
    assert isinstance(found.obsm["X_pca"], np.ndarray)
    assert found.obsm["adt"].equals(whole.obsm["adt"])
    for name in made.obs:
        assert list(found.obs[name]) == list(whole.obs[name])
    # words that repeat take a few bytes a cell, those of each cell alone stay as they are
    assert isinstance(found.obs["word"].dtype, pd.CategoricalDtype)
    assert not isinstance(found.obs["own"].dtype, pd.CategoricalDtype)


def reads_of(monkeypatch):
    """Name -> values read, of every dataset of HDF5 from now on."""
    seen, get, into = {}, h5py.Dataset.__getitem__, _hdf5.Chunks.into

    def watched(self, key, *args, **options):
        found = get(self, key, *args, **options)
        seen[self.name] = seen.get(self.name, 0) + int(np.size(found))
        return found

    def past(self, out, *args):
        seen[self._array.name] = seen.get(self._array.name, 0) + out.size
        into(self, out, *args)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    monkeypatch.setattr(_hdf5.Chunks, "into", past)
    return seen


@pytest.mark.parametrize("way", ["h5ad", "gzip"])
def test_what_is_needed_is_read_once_and_nothing_else(adata, counted, way, tmp_path, monkeypatch):
    made, path = write(adata, counted, "counts in a layer", way, tmp_path)
    monkeypatch.setattr(_view, "SAMPLED_ROWS", 16)
    opened = _read.read(path, plan=_read.Plan(10**9))
    seen = reads_of(monkeypatch)
    with bounded():
        _view.read(opened, GENES)
    nnz = made.layers["counts"].nnz
    assert nnz < seen["/layers/counts/data"] < 1.2 * nnz  # once, and the rows looked at first
    assert nnz < seen["/layers/counts/indices"] < 1.2 * nnz
    assert seen["/X"] < 0.2 * counted.size
    assert not [name for name in seen if "other" in name or "obsm" in name]


def test_blocks_are_as_small_as_the_memory(adata, counted, tmp_path):
    made, path = write(adata, counted, "csr", "h5ad", tmp_path)
    matrix = _read.read(path, plan=_read.Plan(10**9)).X
    with bounded(10_000):
        small = [block.matrix.nnz for block in _matrix.blocks(matrix)]
    # a block takes 8 bytes a value thrice, and the work on it 64 beside
    assert max(small) <= 10_000 // (3 * 8 + 64)
    assert sum(small) == made.X.nnz
    assert len(list(_matrix.blocks(matrix))) == 1


def test_a_run_is_the_same_and_the_input_untouched(tmp_path, monkeypatch):
    cohort = scifn.datasets.cohort(n_patients=3, n_controls=3, cells_per_donor=120, rng=2)
    path = tmp_path / "in.h5ad"
    cohort.write_h5ad(path)
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    asked = {"donor": "donor", "condition": "condition", "reference": "control"}
    scifn.run(cohort, **asked, n_permutations=20)
    opened = _read.read(path, plan=_read.Plan(10**9))
    monkeypatch.setattr("anndata.abc.CSRDataset.to_memory", forbidden, raising=False)
    with bounded(2_000_000):
        scifn.run(opened, **asked, n_permutations=20)
    for name in (name for name in cohort.obs if name.startswith(k.PREFIX)):
        pd.testing.assert_series_equal(opened.obs[name], cohort.obs[name])
    for table in ("donors", "imbalance", "bounds", "strata"):
        get = getattr(scifn.get, table)
        pd.testing.assert_frame_equal(get(opened), get(cohort))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


# --- more than 2^31 values ------------------------------------------------------
class Numbers:
    """An array of three thousand million numbers that are made when they are read."""

    shape = (3_000_000_000,)

    def __init__(self, dtype, made):
        self.dtype, self._made, self.read = np.dtype(dtype), made, []

    def __getitem__(self, part):
        self.read.append((part.start, part.stop))
        return self._made(np.arange(part.start, part.stop, dtype=np.int64)).astype(self.dtype)


class Group(dict):
    name = "/X"


class Huge:
    """A sparse matrix in a file as anndata opens it; its rows begin beyond 2^31."""

    __module__ = "anndata.of.this.test"
    FIRST, A_ROW, ROWS = 2**31 + 77, 13, 9_000

    def __init__(self, dtype="int32", axis="csr"):
        self.format, self.dtype = axis, np.dtype("float32")
        self.shape = (self.ROWS, self.A_ROW) if axis == "csr" else (self.A_ROW, self.ROWS)
        ends = self.FIRST + self.A_ROW * np.arange(self.ROWS + 1, dtype=np.int64)
        self.group = Group(
            data=Numbers("float32", lambda at: (at - self.FIRST) % 5 + 1),
            indices=Numbers(dtype, lambda at: (at - self.FIRST) % self.A_ROW),
            indptr=ends,
        )


def held():
    """The matrix of :class:`Huge`, dense."""
    size = Huge.ROWS * Huge.A_ROW
    return (np.arange(size) % 5 + 1.0).reshape(Huge.ROWS, Huge.A_ROW)


@pytest.mark.parametrize("dtype", ["int32", "int64", "uint32"])
@pytest.mark.parametrize("axis", ["csr", "csc"])
def test_places_beyond_32_bits(dtype, axis, kernels):
    huge, want = Huge(dtype, axis), held() if axis == "csr" else held().T
    everything = np.ones(want.shape[1], dtype=bool)
    with bounded(1_000_000):
        panel = _matrix.one_pass(huge, ((3,), (0, 12)), everything, "counts")
    assert (panel.total == want.sum(axis=1)).all()
    assert (panel.n_genes == (want > 0).sum(axis=1)).all()
    picked = np.stack([want[:, 3], want[:, 0] + want[:, 12]], axis=1)
    assert (panel.values.toarray() == picked).all()
    parts = sorted(set(huge.group["data"].read))
    assert len(parts) > 5
    assert parts[0][0] == Huge.FIRST
    assert parts[-1][1] == Huge.FIRST + Huge.A_ROW * Huge.ROWS
    assert all(end == start for (_, end), (start, _) in pairwise(parts))


def test_rows_of_a_matrix_in_memory_beyond_32_bits():
    """Three thousand million values that are one number in memory."""
    n_values, n_rows = 3_000_000_000, 3_000
    matrix = sp.csr_array((n_rows, 1_000_000), dtype="float32")
    matrix.data = np.broadcast_to(np.float32(2), (n_values,))
    matrix.indices = np.broadcast_to(np.int32(5), (n_values,))
    matrix.indptr = np.arange(n_rows + 1, dtype=np.int64) * 1_000_000
    slices = list(_storage._row_slices(matrix.shape, matrix.nnz))
    assert [slices[0].start, slices[-1].stop] == [0, n_rows]
    assert {part.stop - part.start for part in slices} == {4}
    last = _rows.view_rows(matrix, slice(2_990, 3_000))
    assert last.nnz == 10_000_000
    assert last.indptr[-1] == 10_000_000
    assert np.shares_memory(last.data, matrix.data)


def test_cells_times_features_do_not_overflow():
    """1.2 million x 33,000 places, and sizes in 32 bits: no product may wrap."""
    shape = (np.int32(1_200_000), np.int32(33_000))
    nnz = np.int64(1_200_000) * 1_240
    assert (
        sum(part.stop - part.start for part in _storage._row_slices(shape, int(nnz))) == 1_200_000
    )
    sizes = [part.stop - part.start for part in _storage._row_slices(shape, None)]
    assert max(sizes) == _files.BLOCK_NNZ // 33_000


def test_cuts_follow_the_values_of_each_row():
    indptr = np.cumsum([0, 5, 0, 0, 9, 1, 1, 1]).astype(np.int64)
    parts = list(_files.cuts(indptr, 5))
    assert [(part.start, part.stop) for part in parts] == [(0, 3), (3, 4), (4, 7)]


@pytest.mark.parametrize("together", [0, 10, 140])
@pytest.mark.parametrize("step", [1, 3, 64, 1000])
def test_a_chunk_is_decoded_once(step, together, monkeypatch):
    read, values = [], np.arange(200)

    class Chunked:
        shape, dtype = values.shape, values.dtype

        def __getitem__(self, part):
            read.append((part.start, part.stop))
            return values[part]

    monkeypatch.setattr(_files, "chunk_rows", lambda array: step)
    with ThreadPoolExecutor(1) as pool:
        forward = _files.Forward(Chunked(), Lender(2), pool, together)
    ends = [0, 1, 1, 50, 64, 65, 130, 200]
    for start, stop in pairwise(ends):
        assert (forward.read(start, stop) == values[start:stop]).all()
    asked = [part for part in read if part[1] > part[0]]
    assert all(end == 200 or end % max(step, together // step * step) == 0 for _, end in asked
               if step > 1)  # fmt: skip
    assert asked[0][0] == 0
    assert asked[-1][1] == 200
    assert all(end == start for (_, end), (start, _) in pairwise(asked))
    for start, stop in ((10, 20), (22, 30), (22, 90), (5, 6)):  # from anywhere, if it must be
        assert (forward.read(start, stop) == values[start:stop]).all()


def test_a_damaged_file_is_named(adata, counted, tmp_path):
    _, path = write(adata, counted, "csr", "h5ad", tmp_path)
    with h5py.File(path, "r+") as file:
        file["X/indptr"][5] = 10**7
    opened = _read.read(path, plan=_read.Plan(10**9))
    with pytest.raises(MatrixError, match=r"'/X' is damaged: its indptr .* Write the file anew"):
        list(_matrix.blocks(opened.X))


def test_a_fault_while_reading_is_told():
    def items():
        yield 1
        raise OSError("the disk is gone")

    found = _files.ahead(items())
    assert next(found) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(found)


# --- how much memory ------------------------------------------------------------
@pytest.mark.parametrize(
    ("word", "size"),
    [("500MB", 500_000_000), ("1GB", 10**9), ("1GiB", 2**30), ("2G", 2 * 10**9), ("1.5 gb", 1.5e9)],
)
def test_sizes(word, size):
    assert _memory.parse(word) == size


@pytest.mark.parametrize("word", ["much", "8", "-1GB", "0MB", "1 parsec", "", "GB", "1..5GB"])
def test_no_sizes(word):
    with pytest.raises(ArgumentError, match=r"--memory .*: a size with its unit was needed, such"):
        _memory.parse(word)


def test_too_little_memory(adata, counted, tmp_path, capsys):
    _, path = write(adata, counted, "csr", "h5ad", tmp_path)
    opened = _read.read(path, plan=_read.Plan(10**9))
    assert _read.budget(opened, None) is None
    assert 0.99e9 < _read.budget(opened, 10**9) < 10**9
    with pytest.raises(ArgumentError, match=r"--memory 5 MB: 300 cells need .* Give at least that"):
        _read.budget(opened, 5_000_000)
    loaded = ad.io.read_h5ad(path)
    loaded.X = sp.csr_matrix(np.ones((300, 40_000), dtype="float32"))[:, :40].copy()
    assert _read.budget(loaded, 10**9) < _read.budget(opened, 10**9)


def test_small_files_are_loaded_and_large_ones_are_not(
    adata, counted, tmp_path, monkeypatch, capsys
):
    _, path = write(adata, counted, "csr", "h5ad", tmp_path)
    assert sp.issparse(_read.read(path).X)
    assert re.fullmatch(
        r"note: x.h5ad: its matrices \(\d+ kB\) are loaded.\n", capsys.readouterr().err
    )
    monkeypatch.setattr(_memory, "available", lambda: 4 * 1000)
    assert not sp.issparse(_read.read(path).X)
    monkeypatch.setattr(_memory, "available", lambda: 4 * 10**9)
    monkeypatch.setattr(_memory, "LOADED_BELOW", 1000)
    assert not sp.issparse(_read.read(path).X)


def test_memory_that_is_free():
    assert 2**20 < _memory.available() < 2**50


def test_files_of_an_old_anndata(adata, counted, tmp_path, capsys):
    _, path = write(adata, counted, "csr", "h5ad", tmp_path)
    with h5py.File(path, "r+") as file:
        file["raw.X"] = np.ones(3)
    assert not _open.is_usual(_files.open_store(path))
    with pytest.raises(
        InputFileError, match=r"written by an old anndata, so that .* Write it anew"
    ):
        _read.read(path, plan=_read.Plan(10**9))


# --- progress --------------------------------------------------------------------
class Clock:
    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(_progress.time, "monotonic", lambda: self.now)


def test_lines_of_a_log(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    lines = _progress.Lines()
    for done in range(0, 1_200_001, 12_000):
        lines.progress(done, 1_200_000, "cells")
        clock.now += 0.6
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 10  # a line each tenth
    assert said[0] == "  120,000 of 1,200,000 cells (10%), 20,000 cells/s, 54 s left"
    assert said[-1] == "  1,200,000 of 1,200,000 cells (100%), 20,000 cells/s"
    lines.stage("donors")
    assert capsys.readouterr().err == "  donors\n"


def test_a_short_reading_says_nothing_and_a_slow_one_something(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    lines = _progress.Lines()
    for done in range(0, 101, 10):
        lines.progress(done, 100, "cells")
        clock.now += 0.1
    lines.stage("donors")
    assert capsys.readouterr().err == ""
    for done in range(5):
        lines.progress(done, 1000, "genes")
        clock.now += 40
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 4
    assert said[0] == "  1 of 1,000 genes (0%), 0.025 genes/s, 666 min left"


@pytest.mark.parametrize("content", ["csr", "csc", "dense"])
@pytest.mark.parametrize("lazy", [True, False])
def test_every_reading_is_told(adata, counted, content, lazy, tmp_path, monkeypatch):
    made, path = write(adata, counted, content, "h5ad", tmp_path)
    matrix = _read.read(path, plan=_read.Plan(10**9)).X if lazy else made.X
    monkeypatch.setattr(_storage, "BLOCK_NNZ", 1_000)
    told = []

    class Watcher:
        def progress(self, done, total, unit):
            told.append((done, total, unit))

        def note(self, text):
            told.append(text)

    with _matrix.watch(Watcher()):
        list(_matrix.blocks(matrix))
    told = [one for one in told if not isinstance(one, str)]
    n, unit = (40, "genes") if content == "csc" else (300, "cells")
    assert told[0] == (0, n, unit)
    assert told[-1] == (n, n, unit)
    assert len(told) > 4
    assert told == sorted(told)


@pytest.mark.parametrize(
    ("content", "way", "budget", "said"),
    [
        ("csr", "h5ad", 10**4, []),
        ("csr", "gzip", 10**6, ["X is compressed (gzip): unpacking it is what takes the time"]),
        ("dense", "gzip", 10**6, ["X is compressed (gzip)"]),
        ("csc", "h5ad", 10**6, ["X is stored by columns (CSC)"]),
        ("counts in a layer", "zarr 2", 10**4, ["layers/counts is stored in chunks of 0 MB"]),
    ],
)
def test_what_makes_reading_slow_is_told_once(
    adata, counted, content, way, budget, said, tmp_path, capsys
):
    _, path = write(adata, counted, content, way, tmp_path)
    opened = _read.read(path, plan=_read.Plan(10**9))
    capsys.readouterr()
    with _matrix.watch(_progress.Lines()), _matrix.within(budget):
        _view.read(opened, GENES)
        _view.read(opened, GENES)
    found = capsys.readouterr().err.splitlines()
    assert len(found) == len(said)
    assert all(line.startswith(f"note: {text}") for line, text in zip(found, said, strict=True))


def test_columns_of_many_cells_are_read_in_stripes(adata, counted, tmp_path, monkeypatch, capsys):
    made, path = write(adata, counted, "csc", "h5ad", tmp_path)
    matrix = _read.read(path, plan=_read.Plan(10**9)).X
    capsys.readouterr()
    seen = reads_of(monkeypatch)
    with _matrix.watch(_progress.Lines()), _matrix.within(40 * made.X.nnz // 4):
        stripes = list(_rows.row_blocks(matrix))
    assert len(stripes) == 5  # four, and the rest
    assert (sp.vstack([one.matrix for one in stripes]).toarray() == counted).all()
    assert seen["/X/data"] == 5 * made.X.nnz
    said = capsys.readouterr().err
    assert "note: X is stored by columns (CSC), which is slow to read cell by cell." in said
    assert "so that it is read 5 times; with more memory fewer times." in said


def test_a_terminal_gets_a_bar(monkeypatch):
    from rich.console import Console

    console = Console(file=open("/dev/null", "w"), force_terminal=True)  # noqa: SIM115
    with _progress._bar(console) as bar:
        task = bar.add_task("Reading", total=None, told="")
        watcher = _progress.Bar(bar, task, "Reading")
        watcher.progress(0, 10, "cells")
        watcher.progress(10, 10, "cells")
        assert bar.tasks[0].finished
        assert bar.tasks[0].fields["told"].startswith("10 of 10 cells (100%)")
        watcher.stage("donors")
        assert bar.tasks[0].description == "Reading: donors"
    console.file.close()
