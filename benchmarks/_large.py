"""Write or make a large data set of simulated cells, to measure time and memory with.

It is for timing, not for statistics. 60,000 cells of 40 donors are simulated with
:func:`scifn.datasets.cohort` (5,387 features) and drawn from again and again: each of the 260
donors takes its cells, with replacement, from one of the 40, at a depth of its own (counts are
thinned binomially, so that no two cells and no two donors are copies). The features are filled up
to 33,000 with made-up ones that hold mostly ones, about 1,240 values a cell in all. The order of
the features is mixed, so that panel genes stand anywhere in a row, as they do in real files.

A donor is made at a time, so that a file may be larger than the memory. It is written as anndata
writes it: CSR, float32 values, int32 indices, int64 indptr, chunks of h5py's choice (or of zarr's).

Run: ``python benchmarks/_large.py --cells 1200000 --out FILE.h5ad [--compression gzip]``
or ``python benchmarks/_large.py --convert FILE.h5ad --out FILE.zarr`` (zarr v3).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numba
import numpy as np
import pandas as pd
from scipy import sparse

from scifn import datasets

FEATURES = 33_000
DONORS = 260
BASE_DONORS = 40
BASE_CELLS = 1_500
#: Molecules of made-up features in a cell of average depth.
FILLER = 412
#: Share of a cell's molecules that a donor keeps: lowest and highest.
KEPT = (0.7, 1.0)
#: Values that are copied at once into a zarr store.
COPIED = 1 << 25
OBS = ("batch", "sex", "age", "truth_cell_type", "truth_ifn_producer")


@numba.njit(cache=True, nogil=True)
def _cells(indptr, indices, data, rows, position, kept, table, fillers, mean, rng):  # type: ignore[no-untyped-def]
    """Values, columns and row ends of one donor's cells: thinned ones, and filler between them."""
    total = 0
    for row in rows:
        total += indptr[row + 1] - indptr[row]
    room = total + int(len(rows) * fillers * 4) + 1000
    values, columns = np.empty(room, np.float32), np.empty(room, np.int32)
    ends = np.zeros(len(rows) + 1, np.int64)
    at = 0
    for i in range(len(rows)):
        start, stop = indptr[rows[i]], indptr[rows[i] + 1]
        n = rng.poisson(fillers * (stop - start) / mean)
        drawn = np.empty(n, np.int32)
        for j in range(n):
            drawn[j] = table[rng.integers(0, len(table))]
        drawn.sort()
        j = 0
        for p in range(start, stop + 1):
            column = position[indices[p]] if p < stop else np.int32(2**31 - 1)
            while j < n and drawn[j] < column:  # equal ones are neighbors: a count above one
                count = 1
                while j + count < n and drawn[j + count] == drawn[j]:
                    count += 1
                values[at], columns[at] = count, drawn[j]
                at += 1
                j += count
            if p < stop:
                left = 0
                for _ in range(int(data[p])):
                    left += rng.random() < kept
                if left:
                    values[at], columns[at] = left, column
                    at += 1
        ends[i + 1] = at
    return values[:at], columns[:at], ends


@dataclass(frozen=True)
class Part:
    """Cells of one donor."""

    donor: str
    condition: str
    matrix: Any
    obs: pd.DataFrame


class Simulated:
    """Cells of ``n_donors`` donors, half of them patients, donor by donor."""

    def __init__(self, n_cells: int, n_donors: int = DONORS, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        half = BASE_DONORS // 2
        base = datasets.cohort(
            n_patients=half, n_controls=half, cells_per_donor=BASE_CELLS, rng=rng
        )
        base.X.sort_indices()
        self.seed, self.n_cells, self.base, self.obs = seed, n_cells, base.X, base.obs
        self.uns = {"scifn_simulated": base.uns["scifn_simulated"]}
        place = rng.permutation(FEATURES)
        self.position = np.sort(place[: base.n_vars]).astype(np.int32)
        made_up = np.setdiff1d(np.arange(FEATURES), self.position)
        names = np.array([f"AC{100000 + i}.1" for i in range(FEATURES)], dtype=object)
        names[self.position] = base.var_names
        self.var = pd.DataFrame(index=pd.Index(names, dtype=str))
        self.table = _popular(made_up, rng)
        size = rng.lognormal(0.0, 0.3, n_donors)
        ends = np.rint(np.cumsum(size) / size.sum() * n_cells).astype(np.int64)
        self.sizes = np.diff(ends, prepend=0)
        self.depths = rng.uniform(*KEPT, n_donors)

    def parts(self) -> Iterator[Part]:
        """One donor after another."""
        mean = self.base.nnz / self.base.shape[0]
        for i, (size, kept) in enumerate(zip(self.sizes, self.depths, strict=True)):
            rng = np.random.default_rng([self.seed, i])
            half = BASE_DONORS // 2
            source = i % 2 * half + i // 2 % half  # patients come first in the base
            rows = source * BASE_CELLS + np.sort(rng.integers(0, BASE_CELLS, size))
            values, columns, ends = _cells(
                self.base.indptr, self.base.indices, self.base.data, rows, self.position, kept,
                self.table, FILLER, mean, rng,
            )  # fmt: skip
            matrix = sparse.csr_matrix((values, columns, ends), shape=(size, FEATURES))
            obs = self.obs.iloc[rows]
            yield Part(f"D{i + 1:03d}", str(obs["condition"].iloc[0]), matrix, obs[list(OBS)])

    def frame(self, parts: list[Part]) -> pd.DataFrame:
        """Table of the cells, of parts whose matrices may be gone."""
        sizes = [len(part.obs) for part in parts]
        obs = pd.concat([part.obs for part in parts])
        donors = [part.donor for part in parts]
        obs.insert(0, "donor", pd.Categorical(np.repeat(donors, sizes), categories=donors))
        conditions = np.repeat([part.condition for part in parts], sizes)
        obs.insert(1, "condition", pd.Categorical(conditions, ["patient", "control"]))
        obs.index = pd.Index([f"c{i:07d}" for i in range(len(obs))], dtype=str)
        return obs

    def in_memory(self) -> ad.AnnData:
        """All cells at once, with 32-bit indices where they suffice."""
        parts = list(self.parts())
        matrix = sparse.vstack([part.matrix for part in parts], format="csr")
        return ad.AnnData(matrix, self.frame(parts), self.var, uns=dict(self.uns))


def _popular(features: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Table whose uniformly drawn entries are features by how common they are."""
    weight = 1.0 / (np.arange(features.size) + 300.0)
    weight = rng.permutation(weight / weight.sum())
    ends = np.rint(np.cumsum(weight) * (1 << 19)).astype(np.int64)
    return np.repeat(features.astype(np.int32), np.diff(ends, prepend=0))


def write_h5ad(data: Simulated, path: Path, compression: str | None = None) -> int:
    """Write ``data`` as AnnData does, a donor at a time; returns the number of values."""
    options = {"compression": compression, "chunks": True, "maxshape": (None,)}
    about = int(data.n_cells * 1240)
    kept: list[Part] = []
    with h5py.File(path, "w") as file:
        group = file.create_group("X")
        # of about the final size at first: the size of a chunk follows from it
        values = group.create_dataset("data", (about,), np.float32, **options)
        columns = group.create_dataset("indices", (about,), np.int32, **options)
        ends, at = [np.zeros(1, np.int64)], 0
        for part in data.parts():
            matrix = part.matrix
            stop = at + matrix.nnz
            for stored in (values, columns):
                if stop > stored.shape[0]:
                    stored.resize((stop,))
            values[at:stop], columns[at:stop] = matrix.data, matrix.indices
            ends.append(matrix.indptr[1:].astype(np.int64) + at)
            at = stop
            kept.append(Part(part.donor, part.condition, None, part.obs))
        values.resize((at,))
        columns.resize((at,))
        group.create_dataset("indptr", data=np.concatenate(ends), **options)
        shape = np.array([data.n_cells, FEATURES])
        _tell(group, {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
        _rest(file, data, data.frame(kept))
    return at


def _tell(group: h5py.Group, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        group.attrs[name] = value


def _rest(file: h5py.Group, data: Simulated, obs: pd.DataFrame) -> None:
    """All of the file but its matrix."""
    _tell(file, {"encoding-type": "anndata", "encoding-version": "0.1.0"})
    for name, value in {"obs": obs, "var": data.var, "uns": data.uns}.items():
        ad.io.write_elem(file, name, value)
    for name in ("layers", "obsm", "obsp", "varm", "varp"):
        ad.io.write_elem(file, name, {})


def to_zarr(source: Path, path: Path) -> None:
    """Copy an h5ad file into a zarr v3 store with AnnData's own chunks and codecs."""
    import zarr

    with h5py.File(source, "r") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        root = zarr.open_group(path, mode="w", zarr_format=3)
        root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        for name in ("obs", "var", "uns"):
            ad.io.write_elem(root, name, ad.io.read_elem(file[name]))
        for name in ("layers", "obsm", "obsp", "varm", "varp"):
            ad.io.write_elem(root, name, {})
        group = root.create_group("X")
        shape = [int(n) for n in file["X"].attrs["shape"]]
        group.attrs.update(
            {"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape}
        )
        for name in ("data", "indices", "indptr"):
            stored = file["X"][name]
            copy = group.create_array(name, shape=stored.shape, dtype=stored.dtype)
            step = copy.chunks[0] * max(1, COPIED // copy.chunks[0])
            for start in range(0, stored.shape[0], step):
                copy[start : start + step] = stored[start : start + step]


def recompress(source: Path, path: Path, compression: str) -> None:
    """Copy an h5ad file with its values and indices compressed."""
    with h5py.File(source, "r") as file, h5py.File(path, "w") as out:
        _tell(out, dict(file.attrs))
        for name in file:
            if name != "X":
                file.copy(name, out)
        group = out.create_group("X")
        _tell(group, dict(file["X"].attrs))
        for name in ("data", "indices", "indptr"):
            stored = file["X"][name]
            copy = group.create_dataset(
                name, stored.shape, stored.dtype, chunks=stored.chunks, maxshape=(None,),
                compression=compression,
            )  # fmt: skip
            step = stored.chunks[0] * max(1, COPIED // stored.chunks[0])
            for start in range(0, stored.shape[0], step):
                copy[start : start + step] = stored[start : start + step]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--donors", type=int, default=DONORS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="FILE.h5ad or FILE.zarr")
    parser.add_argument("--convert", type=Path, help="an h5ad file to copy instead of new cells")
    parser.add_argument("--compression", help="gzip, of h5ad")
    options = parser.parse_args()
    start = time.perf_counter()
    if options.out.suffix == ".zarr":
        if options.convert is None:
            parser.error("a zarr store is made from an h5ad file: --convert FILE.h5ad")
        to_zarr(options.convert, options.out)
        told = f"copy of {options.convert.name}"
    elif options.convert is not None:
        recompress(options.convert, options.out, options.compression or "gzip")
        told = f"copy of {options.convert.name}"
    else:
        data = Simulated(options.cells, options.donors, options.seed)
        n = write_h5ad(data, options.out, options.compression)
        told = f"{options.cells:,} cells, {n:,} values, {n / options.cells:,.0f} a cell"
    print(f"{options.out.name}: {told}, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
