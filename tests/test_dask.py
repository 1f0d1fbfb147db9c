"""Matrices as dask arrays: by path, in any chunks, on a cluster, and what goes wrong there.

The cluster is started by the commands of the README, and shared by all tests.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import scifn
from scifn import _matrix
from scifn import _view as views
from scifn._errors import ArgumentError, ClusterError, InputFileError, MatrixError
from scifn._matrix import _dask, _lazy, _results
from scifn.cli import _cluster, main

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")
cloudpickle = pytest.importorskip("cloudpickle")
pytest.importorskip("zarr")

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## From a laptop to a cluster")[2].partition("\n## ")[0]
COMMANDS = [
    line.partition("  #")[0].split()
    for block in re.findall(r"^```bash\n(.*?)^```", SECTION, flags=re.MULTILINE | re.DOTALL)
    for line in block.replace("\\\n", " ").splitlines()
    if line and not line.startswith("#")
]
DESIGN = {"donor": "donor", "condition": "condition", "reference": "control"}
# libraries beside scifn: sockets that a test's cluster leaves to the garbage collector
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cohort():
    return scifn.datasets.cohort(n_patients=3, n_controls=3, cells_per_donor=100, rng=5)


@pytest.fixture(scope="module")
def files(cohort, tmp_path_factory):
    """The same cells by kind of file."""
    folder = tmp_path_factory.mktemp("files")
    for name, make in (("csr", sp.csr_matrix), ("csc", sp.csc_matrix)):
        stored = cohort.copy()
        stored.X = make(stored.X)
        stored.write_h5ad(folder / f"{name}.h5ad")
        stored.write_zarr(folder / f"{name}.zarr")
    stored.X = stored.X.toarray()
    stored.write_h5ad(folder / "dense.h5ad", compression="gzip")
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def seen(cohort):
    return view(cohort)


def view(adata):
    return views.read(adata, ["IFI6", "ISG15", "MX1", "IFNA1", "IFNA2", "MS4A1", "LILRA4"])


def assert_same_view(found, wanted):
    assert found.genes == wanted.genes
    np.testing.assert_array_equal(found.dense(found.genes), wanted.dense(wanted.genes))
    np.testing.assert_array_equal(found.total, wanted.total)
    np.testing.assert_array_equal(found.n_genes, wanted.n_genes)


def with_x(cohort, matrix):
    return ad.AnnData(matrix, obs=cohort.obs.copy(), var=cohort.var)


# --- matrices by path, in any chunks ---------------------------------------------------
@pytest.mark.parametrize("name", ["csr.h5ad", "csr.zarr", "csc.h5ad", "csc.zarr", "dense.h5ad"])
def test_a_file_opened_by_path_gives_what_memory_gives(name, files, cohort, seen):
    lazy = _lazy.lazily(files[name], "X", most=40_000)
    assert max(lazy.numblocks) > 5, "chunks of a bounded size"
    assert min(lazy.numblocks) == 1
    with dask_config(scheduler="synchronous"):
        found = view(with_x(cohort, lazy))
    assert_same_view(found, seen)
    kind = {"csr": sp.csr_array, "csc": sp.csc_array, "den": np.ndarray}[name[:3]]
    assert isinstance(lazy.blocks[0, 0].compute(), kind)


def dask_config(**options):
    import dask

    return dask.config.set(**options)


@pytest.mark.parametrize("name", ["csr.h5ad", "csc.h5ad", "csr.zarr"])
def test_the_way_of_anndata(name, files, cohort, seen):
    import h5py
    import zarr
    from anndata import experimental

    read = getattr(experimental, "read_elem_lazy", None) or experimental.read_elem_as_dask
    path = files[name]
    store = zarr.open_group(path, mode="r") if path.is_dir() else h5py.File(path)
    chunks = (-1, 500) if name.startswith("csc") else (130, -1)
    lazy = read(store["X"], chunks=chunks)
    if not path.is_dir():
        store.close()
    assert_same_view(view(with_x(cohort, lazy)), seen)


@pytest.mark.parametrize("chunks", [(100, -1), (250, 2_000), (-1, 900)])
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csr_array, sp.csc_matrix, sp.csc_array, None])
def test_chunks_of_any_form(form, chunks, cohort, seen):
    lazy = da.from_array(cohort.X.toarray(), chunks=chunks)
    if form is not None:
        lazy = lazy.map_blocks(form, dtype=lazy.dtype, meta=form((0, 0), dtype=lazy.dtype))
    assert_same_view(view(with_x(cohort, lazy)), seen)


def test_chunks_too_large_to_stand_side_by_side(cohort, seen, monkeypatch):
    """Then each is worked on alone, and what is kept of them is joined."""
    lazy = da.from_array(cohort.X.toarray(), chunks=(250, 2_000)).map_blocks(sp.csr_array)
    monkeypatch.setattr(_dask, "WHOLE_PLACES", 0)
    assert_same_view(view(with_x(cohort, lazy)), seen)


def test_layers_and_raw(cohort, seen):
    lazy = da.from_array(cohort.X.toarray(), chunks=(200, -1)).map_blocks(sp.csr_matrix)
    logs = with_x(cohort, sp.csr_matrix(np.log1p(cohort.X.toarray() / 3)))
    layered = logs.copy()
    layered.layers["counts"] = lazy
    assert_same_view(view(layered), seen)
    assert_same_view(view(layered[:]), seen)
    below = logs.copy()
    below.raw = with_x(cohort, lazy)
    assert_same_view(view(below), seen)


def test_the_array_of_the_caller_is_left_as_it_is():
    made = np.arange(60.0).reshape(12, 5)
    whole = da.from_array(made, chunks=(4, 5))
    unknown = whole[whole.sum(axis=1) >= 0]
    found = _matrix.one_pass(unknown, [(0,), (1, 2)], np.ones(5, dtype=bool), "counts")
    np.testing.assert_array_equal(found.total, made.sum(axis=1))
    assert np.isnan(unknown.shape[0])


def test_rows_are_sampled_from_some_chunks_only(cohort):
    computed = []

    def look(block, block_id):
        computed.append(block_id)
        return sp.csr_array(block)

    dense = cohort.X.toarray()
    dense[:150] = 0  # the first chunk holds nothing
    lazy = da.from_array(dense, chunks=(10, -1))
    watched = lazy.map_blocks(look, dtype=lazy.dtype, meta=sp.csr_array((0, 0)))
    sample = _matrix.sample_rows(watched, 21)
    assert set(computed) == {(0, 0), (20, 0), (40, 0)}
    np.testing.assert_array_equal(
        sample.toarray(), np.vstack([dense[start : start + 7] for start in (0, 200, 400)])
    )
    dense[:] = 0
    assert _matrix.sample_rows(da.from_array(dense, chunks=(100, -1)), 21).nnz == 0


def test_of_columns_that_are_whole_numbers_the_first_are_sample_enough(cohort):
    computed = []

    def look(block, block_id):
        computed.append(block_id)
        return block

    lazy = da.from_array(cohort.X.toarray(), chunks=(-1, 1_000))
    watched = lazy.map_blocks(look, dtype=lazy.dtype, meta=np.empty((0, 0)))
    assert _matrix.sample_rows(watched, 50).shape == (50, 1_000)
    assert computed == [(0, 0)]


def test_large_arguments_are_sent_once(cohort):
    """What every chunk needs is one task of the graph and stands in none of the others."""
    from dask.local import get_sync

    lazy = da.from_array(cohort.X.toarray()[:, :50], chunks=(100, -1))
    sizes = []

    def get(graph, keys, **_):
        graph = dict(graph.__dask_graph__() if hasattr(graph, "__dask_graph__") else graph)
        sizes.extend(len(cloudpickle.dumps(task)) for task in graph.values())
        return get_sync(graph, keys)

    weights = np.ones(1_000_000)
    with dask_config(scheduler=get):
        found = list(_dask.map_dask(lazy, _Weighted(weights)))
    assert len(found) == 6
    assert sum(size > 1_000_000 for size in sizes) == 1


class _Weighted:
    def __init__(self, weights):
        self.weights = weights

    def __call__(self, rows):
        return float(rows.sum())


# --- on a cluster ---------------------------------------------------------------------------
def start(words, **options):
    """One of the commands that the README gives for a shell."""
    program = [sys.executable, "-m", *words]
    return subprocess.Popen(
        program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options
    )


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """Scheduler and workers, from the commands of the README."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folder = tmp_path_factory.mktemp("cluster")
    words = [word.replace("host:8786", f"127.0.0.1:{port}").replace("8786", port)
             for word in COMMANDS[1]]  # fmt: skip
    running = [start(words, cwd=folder)]
    words = [word.replace("host:8786", f"127.0.0.1:{port}") for word in COMMANDS[2]]
    running.append(start(words, cwd=folder))
    yield f"tcp://127.0.0.1:{port}"
    for process in reversed(running):
        process.send_signal(signal.SIGINT)
    for process in running:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def client(address):
    with distributed.Client(address, timeout=60) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


def test_a_cluster_gives_what_memory_gives(client, files, cohort, seen, tmp_path):
    """Also with column chunks, and what a step computes of all genes."""
    sets = {"mine": ["MX1", "ISG15", "IFI6", "IFI44L"]}
    here = cohort.copy()
    scifn.tl.score(here, sets)
    for name in ("csr.h5ad", "csc.zarr"):
        there = with_x(cohort, _lazy.lazily(files[name], "X", most=100_000))
        assert_same_view(view(there), seen)
        scifn.tl.score(there, sets)
        np.testing.assert_array_equal(there.obs["scifn_mine"], here.obs["scifn_mine"])


@pytest.fixture(params=["the README's", "our own processes"])
def any_client(request):
    """A cluster that was started apart, and what ``--scheduler 2`` starts (it asks directly)."""
    if request.param == "the README's":
        yield request.getfixturevalue("client")
        return
    with _cluster.processes(2) as own, own.as_current():
        yield own


def test_a_worker_that_is_killed_is_made_up_for(any_client, files, cohort, seen):
    client = any_client

    def slowly(block):  # in here, so that it is sent as it is: workers cannot import this file
        time.sleep(0.05)
        return block

    lazy = _lazy.lazily(files["csr.h5ad"], "X", most=10_000)
    lazy = lazy.map_blocks(slowly, dtype=lazy.dtype, meta=lazy._meta)
    before = client.run(os.getpid)
    victim = min(before.values())
    told = []

    class Watcher:
        def progress(self, done, total, unit):
            told.append((done, total, unit))
            if done >= 100 and len(killed) == 0:
                killed.append(victim)
                os.kill(victim, signal.SIGKILL)

    killed: list[int] = []
    from scifn._matrix import _progress

    with _progress.watch(Watcher()):
        found = view(with_x(cohort, lazy))
    assert killed == [victim]
    assert_same_view(found, seen)
    assert told[0] == (0, 600, "cells")
    assert told[-1] == (600, 600, "cells")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    client.wait_for_workers(2, timeout=60)
    assert set(client.run(os.getpid).values()) != set(before.values())


@pytest.mark.parametrize("kind", ["csr", "csc"])
def test_chunks_stand_in_the_same_memory_when_nobody_holds_the_one_before(files, cohort, kind):
    path = files[f"{kind}.h5ad"]
    lazy = _lazy.lazily(path, "X", most=10_000)
    parts = _dask._slices(lazy.chunks[kind == "csc"])
    assert len(parts) > 3

    def read(i):
        rows, columns = (slice(0, n) for n in cohort.shape)
        rows, columns = (parts[i], columns) if kind == "csr" else (rows, parts[i])
        info = {None: {"array-location": [(part.start, part.stop) for part in (rows, columns)]}}
        chunk = _lazy._chunk(str(path), "X", f"{kind}_matrix", info)
        return chunk, cohort.X[rows, columns].toarray()

    def where(chunk):
        return chunk.data.ctypes.data, chunk.indices.ctypes.data

    chunk, want = read(0)
    np.testing.assert_array_equal(chunk.toarray(), want)
    place = where(chunk)
    del chunk
    second, want = read(0)
    assert where(second) == place
    third, other = read(2)
    assert not set(where(third)) & set(place)
    np.testing.assert_array_equal(second.toarray(), want)
    np.testing.assert_array_equal(third.toarray(), other)
    # an array of it is enough to hold it
    values, want = third.data[1:], third.data[1:].copy()
    del third
    fourth, _ = read(3)
    assert not np.shares_memory(fourth.data, values)
    np.testing.assert_array_equal(values, want)


def test_a_value_that_no_one_can_read_is_told_by_its_cell(client, files, cohort):
    def spoil(block, block_info):
        start, stop = block_info[0]["array-location"][0]
        block = block.tolil()
        if start <= 321 < stop:
            block[321 - start, 7] = -1
        return block.tocsr()

    lazy = _lazy.lazily(files["csr.h5ad"], "X", most=100_000)
    lazy = with_x(cohort, lazy.map_blocks(spoil, dtype=lazy.dtype, meta=lazy._meta))
    with pytest.raises(MatrixError, match=f"1 of 600 cells .*{cohort.obs_names[321]}"):
        view(lazy)
    assert not [name for name in lazy.obs if name.startswith("scifn_")]


def test_workers_that_are_lost_one_after_another(client):
    def die(block):
        raise distributed.KilledWorker("task", SimpleNamespace(address="tcp://a:1"), 3)

    lazy = da.zeros((10, 10), chunks=(5, 10))
    lazy = lazy.map_blocks(die, dtype=lazy.dtype, meta=np.empty((0, 0)))
    with pytest.raises(ClusterError, match="run out of memory"):
        _matrix.sample_rows(lazy, 5)


def program(*args):
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code or 0


def tables(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.csv")}


def test_the_commands_of_the_readme_run(
    address, client, files, tmp_path, monkeypatch, capsys, drawn_once
):
    """Those that start the cluster have run already."""
    assert [words[:2] for words in COMMANDS] == [
        ["scifn", "run"], ["dask", "scheduler"], ["dask", "worker"], ["scifn", "run"]
    ]  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("cells.h5ad").symlink_to(files["csr.h5ad"])
    Path("cells.zarr").symlink_to(files["csr.zarr"])
    alone = tmp_path / "alone"
    words = [word for name, word in DESIGN.items() for word in (f"--{name}", word)]
    assert program("run", "cells.h5ad", *words, "-o", alone) == 0
    for words in (COMMANDS[0], COMMANDS[3]):
        words = [address if word.startswith("tcp:") else word for word in words[1:]]
        assert program(*words) == 0, capsys.readouterr().err
        assert tables(tmp_path / words[words.index("-o") + 1]) == tables(alone)
    psutil = pytest.importorskip("psutil")
    left = [" ".join(process.cmdline()) for process in psutil.Process().children()]
    assert not [words for words in left if "spawn_main" in words], "of the cluster on this machine"


# --- what goes wrong before anything is computed -------------------------------------------
@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(_cluster, "PATIENCE", 1)


def scheduled(path, where, out):
    words = [word for name, word in DESIGN.items() for word in (f"--{name}", word)]
    return program("run", path, *words, "-o", out, "--scheduler", where)


def test_nobody_answers(impatient, files, tmp_path, capsys):
    with socket.socket() as free:  # a port where nobody listens
        free.bind(("127.0.0.1", 0))
        where = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    assert scheduled(files["csr.h5ad"], where, tmp_path / "out") == 2
    assert time.monotonic() - started < 10
    assert f"--scheduler {where}: nobody answers there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_another_server_answers(impatient, files, tmp_path, capsys):
    def answer(server):
        talk, _ = server.accept()
        talk.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)
        time.sleep(0.2)
        talk.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer, args=(server,), daemon=True).start()
        where = f"127.0.0.1:{server.getsockname()[1]}"
        assert scheduled(files["csr.h5ad"], where, tmp_path / "out") == 2
    assert "no Dask scheduler of this version" in capsys.readouterr().err


class Lonely:
    """A client whose scheduler answers, but has no worker."""

    scheduler = SimpleNamespace(address="tcp://a:1")

    def __init__(self, **_):
        self.status = "running"

    def wait_for_workers(self, n, timeout):
        raise TimeoutError

    def close(self):
        self.status = "closed"


def test_a_scheduler_without_workers(impatient, files, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(distributed, "Client", Lonely)
    assert scheduled(files["csr.h5ad"], "tcp://a:1", tmp_path / "out") == 2
    assert "has no worker. Start some with 'dask worker tcp://a:1'" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["here", "0", ""])
def test_a_place_that_is_none(where, files, tmp_path, capsys):
    assert scheduled(files["csr.h5ad"], where, tmp_path / "out") == 2
    assert "the address of a scheduler, such as tcp://host:8786" in capsys.readouterr().err


def test_dask_is_not_installed(files, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert scheduled(files["csr.h5ad"], "local", tmp_path / "out") == 2
    assert "pip install 'scifn[dask]'" in capsys.readouterr().err


def test_what_workers_cannot_read_a_part_of(cohort):
    with pytest.raises(InputFileError, match="h5ad file or a zarr store; this one is csr_matrix"):
        _cluster.spread(cohort, Path("cells.h5"))


class Workers:
    """A client whose workers answer as they are told to."""

    def __init__(self, answers=()):
        self.answers = dict(answers)

    def run_on_scheduler(self, function, *args):
        found = self.answers.get(("scheduler", *args), "as here")
        if isinstance(found, Exception):
            raise found
        return function(*args) if found == "as here" else found

    def run(self, function, *args, on_error):
        assert on_error == "return"
        found = self.answers.get(args[0] if args else "python", "as here")
        here = function(*args)
        return {"tcp://a:1": here, "tcp://b:2": here if found == "as here" else found}


def test_workers_of_other_versions():
    _cluster._check_versions(Workers(), "tcp://x:1")
    for name, answer, said in (
        ("python", "3.8.1", "Python 3.8.1 (needed: 3."),
        ("scifn", "0.0.0", "scifn 0.0.0 (needed: "),
        ("scifn", ModuleNotFoundError("scifn"), "scifn none (needed: "),
        ("dask", "2020.1", "dask 2020.1 (needed: "),
    ):
        with pytest.raises(ClusterError, match="not the same as here") as error:
            _cluster._check_versions(Workers({name: answer}), "tcp://x:1")
        assert f"tcp://b:2: {said}" in str(error.value)
        assert "pip install 'scifn[dask]==" in str(error.value)
    bare = Workers({("scheduler", "scifn"): ModuleNotFoundError()})
    with pytest.raises(ClusterError, match=r"The scheduler: scifn none \(needed: "):
        _cluster._check_versions(bare, "tcp://x:1")


def test_workers_that_do_not_see_the_file(files):
    path = files["csr.h5ad"]
    _cluster._check_file(Workers(), path)
    for answer, said in ((FileNotFoundError(), "is not there"), (5, "is another file")):
        with pytest.raises(InputFileError, match="under the same path") as error:
            _cluster._check_file(Workers({str(path): answer}), path)
        assert f"{path}: {said} for 1 of 2 workers (such as tcp://b:2)" in str(error.value)
    store = files["csr.zarr"]
    with pytest.raises(InputFileError, match="is not there for 1 of 2"):
        _cluster._check_file(Workers({str(store): False}), store)


def test_tables_read_lazily_are_asked_for_in_memory(files):
    pytest.importorskip("xarray")
    from anndata import experimental

    lazy = experimental.read_lazy(files["csr.h5ad"])
    with pytest.raises(ArgumentError, match=r"adata.obs = adata.obs.to_memory\(\)"):
        view(lazy)
    lazy.obs = lazy.obs.to_memory()
    lazy.var = lazy.var.to_memory()
    assert view(lazy).n_cells == 600


class Gone:
    """A client, and what it computes, of which nothing comes any more."""

    def __init__(self, status):
        self.status = status

    def scheduler_info(self):
        return {"workers": {}}

    def has_ready(self):
        return False


@pytest.mark.parametrize(
    ("status", "said"), [("closed", "scheduler .* is gone"), ("running", "no worker is left")]
)
def test_a_cluster_that_is_gone_is_given_up(status, said, monkeypatch):
    monkeypatch.setattr(_results, "GIVE_UP", 0.02)
    monkeypatch.setattr(_results, "LOOK", 0.01)
    with pytest.raises(ClusterError, match=said):
        _results._wait(Gone(status), Gone(status))


def test_examples_of_the_documentation_run(client, address, files, tmp_path, monkeypatch):
    text = (ROOT / "docs" / "inputs.md").read_text(encoding="utf-8")
    text = text.partition("## Lazy matrices")[2].partition("\n## ")[0]
    examples = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    monkeypatch.chdir(tmp_path)
    Path("cells.h5ad").symlink_to(files["csr.h5ad"])
    names: dict[str, object] = {}
    for example in examples:
        example = example.replace("tcp://host:8786", address)
        exec(compile(example, "inputs.md", "exec"), names)
    adata = names["adata"]
    assert isinstance(adata.X, da.Array)
    assert len(scifn.get.imbalance(adata))
    assert "scifn_my_set" in adata.obs
