"""Chunks read past the HDF5 library, and memory that is lent again, give what the library gives."""

from __future__ import annotations

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from scifn import _matrix
from scifn._matrix import _files, _hdf5, _memory, _pass
from scifn._matrix._memory import Lender

N = 1000
#: What is read past the library: how the dataset is made.
PAST = {
    "in one piece": {"chunks": None},
    "one chunk": {"chunks": (N,)},
    "chunks": {"chunks": (64,)},
    "chunks of one": {"chunks": (1,)},
    "gzip": {"chunks": (64,), "compression": "gzip"},
    "gzip, one chunk": {"chunks": (N,), "compression": "gzip"},
    "gzip 9, shuffled": {"chunks": (96,), "compression": "gzip", "compression_opts": 9,
                         "shuffle": True},
}  # fmt: skip
#: What is left to it.
LEFT = {
    "lzf": {"chunks": (64,), "compression": "lzf"},
    "shuffled only": {"chunks": (64,), "shuffle": True},
    "checksums": {"chunks": (64,), "fletcher32": True},
    "gzip and checksums": {"chunks": (64,), "compression": "gzip", "fletcher32": True},
    "fewer digits": {"chunks": (64,), "scaleoffset": 0},
    "never written": {"chunks": (64,)},
    "no values": {"chunks": (64,), "maxshape": (None,)},
}


def made(dtype="float32", n=N):
    return np.random.default_rng(3).integers(0, 200, n).astype(dtype)


def written(path: Path, values, **how):
    opened = {key: how.pop(key) for key in ("userblock_size", "libver") if key in how}
    with h5py.File(path, "w", **opened) as file:
        file.create_dataset("other", data=np.arange(77))
        file.create_dataset("x", data=values, **how)
        file.create_dataset("more", data=np.arange(77))
    return path


def everything(chunks, values, pool=None):
    """Read in parts of many sizes, from anywhere."""
    for start in (0, 1, 63, 64, 500, N - 1):
        for n in (0, 1, 2, 63, 64, 65, 400, N):
            stop = min(start + n, N)
            out = np.full(stop - start, 111, dtype=values.dtype)
            chunks.into(out, start, stop, pool)
            np.testing.assert_array_equal(out, values[start:stop])


@pytest.fixture
def library(monkeypatch):
    """Whether the library is asked for values is noted down."""
    asked, usual = [], h5py.Dataset.__getitem__

    def watched(self, args, **more):
        asked.append(args)
        return usual(self, args, **more)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    return asked


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", "<f2", "<i4", "<i8", ">i4", "u1", "<u2"])
@pytest.mark.parametrize("how", PAST)
def test_values_are_those_of_the_library(how, dtype, tmp_path, library):
    values = made(dtype)
    with h5py.File(written(tmp_path / "x.h5", values, **PAST[how])) as file:
        chunks = _hdf5.chunks_of(file["x"])
        assert chunks is not None
        assert chunks.packed == ("gzip" in how)
        everything(chunks, values)
        with ThreadPoolExecutor(3) as pool:
            everything(chunks, values, pool)
    assert library == []


@pytest.mark.parametrize("how", LEFT)
def test_what_is_stored_otherwise_is_left_to_the_library(how, tmp_path):
    values = made("int32", 0 if how == "no values" else N)
    path = written(tmp_path / "x.h5", values, **LEFT[how])
    if how == "never written":
        with h5py.File(path, "a") as file:
            file.create_dataset("y", (N,), dtype="int32", chunks=(64,))[:100] = values[:100]
            file.move("x", "z")
            file.move("y", "x")
        values = np.where(np.arange(N) < 100, values, 0)
    with h5py.File(path) as file:
        assert _hdf5.chunks_of(file["x"]) is None
        with ThreadPoolExecutor(2) as pool:
            read = _files.Forward(file["x"], Lender(2), pool).read
            found = [read(start, min(start + 300, len(values))) for start in range(0, N, 300)]
        np.testing.assert_array_equal(np.concatenate(found)[: len(values)], values)


@pytest.mark.parametrize(
    "kind", ["r+", "core", "userblock", "swmr", "dense", "bool", "text", "zarr"]
)
def test_other_files_and_values_are_left_to_the_library(kind, tmp_path):
    values = {"dense": made().reshape(10, -1), "bool": made() > 9, "text": ["a", "b"]}
    how = {"userblock": {"userblock_size": 512}, "swmr": {"libver": "latest"}}.get(kind, {})
    path = written(tmp_path / "x.h5", values.get(kind, made()), **how)
    opened = {"r+": {"mode": "r+"}, "core": {"driver": "core"}, "swmr": {"swmr": True}}
    opened = opened.get(kind, {})
    with h5py.File(path, **opened) as file:
        assert _hdf5.chunks_of(values if kind == "zarr" else file["x"]) is None


def test_chunks_without_a_filter_among_others(tmp_path):
    """A writer may leave single chunks unpacked, and says so with each."""
    values = made("<i4", 128)
    path = written(tmp_path / "x.h5", values, chunks=(64,), compression="gzip")
    with h5py.File(path, "a") as file:
        file["x"].id.write_direct_chunk((64,), values[64:][::-1].tobytes(), filter_mask=1)
    with h5py.File(path) as file:
        assert _hdf5.chunks_of(file["x"]) is None
        assert file["x"][64] == values[-1]


def test_short_answers_of_the_system_are_followed_up(tmp_path, monkeypatch, library):
    usual = os.preadv
    monkeypatch.setattr(os, "preadv", lambda fd, into, at: usual(fd, [into[0][:5]], at))
    for how in ("in one piece", "chunks", "gzip"):
        values = made()
        with h5py.File(written(tmp_path / "x.h5", values, **PAST[how])) as file:
            everything(_hdf5.chunks_of(file["x"]), values)
    assert library == []


@pytest.mark.parametrize("what", ["end", "error", "packed"])
def test_the_library_is_asked_where_something_is_wrong(what, tmp_path, monkeypatch, library):
    def end(*_):
        return 0

    def error(*_):
        raise OSError(5, "no")

    values = made()
    with h5py.File(written(tmp_path / "x.h5", values, **PAST["gzip"])) as file:
        chunks = _hdf5.chunks_of(file["x"])
        if what == "packed":
            monkeypatch.setattr(_hdf5.zlib, "decompress", lambda packed, bufsize: b"few")
        else:
            monkeypatch.setattr(os, "preadv", {"end": end, "error": error}[what])
        with ThreadPoolExecutor(2) as pool:
            everything(chunks, values, pool)
    assert library


def test_a_damaged_chunk_is_the_error_of_the_library(tmp_path):
    path = written(tmp_path / "x.h5", made(), **PAST["gzip"])
    with h5py.File(path) as file:
        first = file["x"].id.get_chunk_info(3)
    with path.open("r+b") as raw:
        raw.seek(first.byte_offset + 4)
        raw.write(bytes(first.size - 4))
    with h5py.File(path) as file:
        out = np.empty(N, dtype="float32")
        with pytest.raises(OSError, match="read"):
            _hdf5.chunks_of(file["x"]).into(out, 0, N)


def test_without_reading_at_a_place_the_library_reads(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "preadv")
    with h5py.File(written(tmp_path / "x.h5", made())) as file:
        assert _hdf5.chunks_of(file["x"]) is None


def test_a_file_that_is_closed_is_not_locked(tmp_path):
    """Whoever holds on to a reading that failed must not keep others from writing."""
    path = written(tmp_path / "x.h5", made())
    with h5py.File(path) as file:
        chunks = _hdf5.chunks_of(file["x"])
    with h5py.File(path, "r+") as file:
        file["x"][0] = 5
    assert chunks is not None


def test_a_name_that_leads_to_another_file_by_now(tmp_path):
    path = written(tmp_path / "x.h5", made())
    with h5py.File(path) as file:
        written(tmp_path / "y.h5", made() + 1).replace(path)
        assert _hdf5.chunks_of(file["x"]) is None
        path.unlink()
        assert _hdf5.chunks_of(file["x"]) is None


def test_nothing_is_written_after_a_failure(tmp_path, monkeypatch):
    values, slow = made(), Event()
    with h5py.File(written(tmp_path / "x.h5", values, **PAST["gzip"])) as file:
        chunks, usual = _hdf5.chunks_of(file["x"]), _hdf5.Chunks._unpacked

        def unpacked(self, chunk):
            if chunk == 0:
                raise EOFError
            slow.wait(0.05)
            return usual(self, chunk)

        monkeypatch.setattr(_hdf5.Chunks, "_unpacked", unpacked)
        monkeypatch.setattr(_hdf5, "n_processors", lambda: 4)
        out = np.empty(N, dtype="float32")
        with ThreadPoolExecutor(4) as pool:
            chunks.into(out, 0, N, pool)
            np.testing.assert_array_equal(out, values)
            out[:] = -1
        assert (out == -1).all()


def test_places_that_nothing_is_read_to_hold_what_the_library_says(tmp_path):
    """A dataset may leave them unwritten; memory that is lent again holds something else."""
    from scifn._matrix import _lazy

    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((64,))
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["full"] = np.full(N, 77.0)
        space = h5py.h5s.create_simple((N,))
        h5py.h5d.create(file.id, b"x", h5py.h5t.IEEE_F64LE, space, plan)
        file["x"][:64] = 1
    with h5py.File(tmp_path / "x.h5") as file:
        room = _lazy._Room()
        assert (room.read(file["full"], slice(0, N)) == 77).all()
        assert room.read(file["x"], slice(0, N)).tolist() == [1.0] * 64 + [0.0] * (N - 64)


def test_a_handle_is_our_own_and_given_back(tmp_path):
    values = made()
    with h5py.File(written(tmp_path / "x.h5", values)) as file:
        chunks = _hdf5.chunks_of(file["x"])
    written(tmp_path / "y.h5", values + 1)
    with h5py.File(tmp_path / "y.h5"):  # may get the number that the first file had
        everything(chunks, values)
    handle = chunks._handle
    os.fstat(handle)
    del chunks
    gc.collect()
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(handle)


# --- memory that is lent --------------------------------------------------------------
def test_memory_is_lent_again_when_nobody_holds_it():
    lender, kind = Lender(2), np.dtype("int32")
    first = lender.of(10, kind)
    place = first.ctypes.data
    first[:] = 7
    part = first[3:5].view("uint8")
    del first
    second = lender.of(10, kind)
    second[:] = 8
    assert second.ctypes.data != place
    assert (part.view("int32") == 7).all()
    del part
    assert lender.of(5, np.dtype("float64")).ctypes.data == place


def test_what_is_held_by_many_is_left_to_them():
    lender = Lender(2)
    held = [lender.of(100, np.dtype("int64")) for _ in range(9)]
    for i, array in enumerate(held):
        array[:] = i
    assert [set(array) for array in held] == [{i} for i in range(9)]
    assert len(lender._pieces) == 2
    assert lender.of(0, np.dtype("int8")).size == 0


def test_memory_that_is_too_small_makes_room():
    lender, kind = Lender(1), np.dtype("int8")
    lender.of(10, kind)
    large = lender.of(3 << 20, kind)
    assert large.size == 3 << 20
    assert len(lender._pieces) == 1
    place = large.ctypes.data
    del large
    assert lender.of(1 << 20, kind).ctypes.data == place


@pytest.fixture(params=["h5ad", "gzip", "zarr"])
def stored(request, tmp_path):
    """A CSR matrix of 400 cells in a file, and what it holds."""
    matrix = sp.random(400, 90, 0.3, format="csr", random_state=1, dtype="float32")
    matrix.data = np.ceil(matrix.data * 6)
    path = tmp_path / ("x.zarr" if request.param == "zarr" else "x.h5ad")
    whole = ad.AnnData(matrix)
    if request.param == "zarr":
        pytest.importorskip("zarr")
        whole.write_zarr(path)
    else:
        whole.write_h5ad(path, compression="gzip" if request.param == "gzip" else None)
    from anndata.io import sparse_dataset

    root = _files.open_store(path)
    yield sparse_dataset(root["X"]), matrix
    if hasattr(root, "close"):
        root.close()


@pytest.mark.parametrize("size", [1, 300, 10**6])
def test_blocks_that_are_kept_stay_as_they_are(stored, size, monkeypatch):
    monkeypatch.setattr(_files, "FILE_NNZ", size)
    backed, matrix = stored
    found = [block for _, block in _files.compressed(backed, 10**6)]
    assert len(found) == {1: 400, 300: -(-matrix.nnz // 300), 10**6: 1}[size] or size == 300
    assert (sp.vstack(found) != matrix).nnz == 0
    assert all(block.indices.dtype == block.indptr.dtype for block in found)


def test_memory_of_blocks_is_lent_again(stored, monkeypatch):
    monkeypatch.setattr(_files, "FILE_NNZ", 300)
    backed, _ = stored
    pieces, lent, usual = {}, [], _memory._Lent.__init__

    def watched(self, memory):
        pieces[id(memory)] = memory  # kept, so that no other gets its number
        lent.append(memory)
        usual(self, memory)

    monkeypatch.setattr(_memory._Lent, "__init__", watched)
    for _ in _matrix.map_rows(backed, lambda block: block.nnz, threads=2):
        pass
    if lent:  # a store has memory of its own
        assert len(lent) >= 8
        assert len(pieces) == 4  # one block is worked on, one is ready
    else:
        assert not isinstance(backed.group, h5py.Group)


def test_a_reading_that_is_left_gives_its_handles_back(stored, monkeypatch):
    monkeypatch.setattr(_files, "FILE_NNZ", 300)
    closed, usual = [], _hdf5.Chunks.__init__

    def watched(self, *args):
        usual(self, *args)
        closed.append(self.close)

    monkeypatch.setattr(_hdf5.Chunks, "__init__", watched)
    backed, _ = stored
    reading = _files.compressed(backed, 10**6)
    next(reading)
    assert all(one.alive for one in closed)
    reading.close()
    del reading
    gc.collect()
    assert not any(one.alive for one in closed)
    assert bool(closed) == isinstance(backed.group, h5py.Group)


@pytest.mark.parametrize("indices", ["<i4", ">i4", "<i8", "<u2"])
@pytest.mark.parametrize("data", ["<f4", ">f4", ">f8", "<f2", ">i4", "<u2", "<i8"])
def test_numbers_of_any_kind_and_order_of_bytes(data, indices, tmp_path, monkeypatch):
    from anndata.io import sparse_dataset

    monkeypatch.setattr(_pass, "COMPILED", 0)
    matrix = sp.random(60, 40, 0.3, format="csr", random_state=1)
    matrix.data = np.ceil(matrix.data * 6)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("X")
        group.attrs.update(
            {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": matrix.shape}
        )
        group["data"] = matrix.data.astype(data)
        group["indices"] = matrix.indices.astype(indices)
        group["indptr"] = matrix.indptr
    with h5py.File(tmp_path / "x.h5") as file:
        panel = _matrix.one_pass(
            sparse_dataset(file["X"]), ((1,), (2, 3)), np.ones(40, dtype=bool), "counts"
        )
    dense = matrix.toarray()
    want = np.stack([dense[:, 1], dense[:, 2] + dense[:, 3]], axis=1)
    np.testing.assert_array_equal(panel.held().toarray(), want)
    np.testing.assert_array_equal(panel.total, dense.sum(axis=1))
