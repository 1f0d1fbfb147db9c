"""Fixtures that every test shares."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import scipy.sparse as sp

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter

# Before anything imports pyplot: figures are drawn without a screen.
os.environ["MPLBACKEND"] = "Agg"

ROOT = Path(__file__).resolve().parents[1]
# Processes that test side by side (pytest-xdist) keep what numba compiles apart: it does not lock
# its index, and two that write at once could leave one function under the name of another.
if "PYTEST_XDIST_WORKER" in os.environ:
    apart = ROOT / ".pytest_cache" / "numba" / os.environ["PYTEST_XDIST_WORKER"]
    os.environ.setdefault("NUMBA_CACHE_DIR", str(apart))
ABSENT = "real data absent"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real data; tests that need it skip where it is absent."""
    folder = Path(os.environ.get("SCIFN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"{ABSENT}: {folder} (set SCIFN_DATA)")
    return folder


def _int64_indices(values: np.ndarray) -> Any:
    matrix = sp.csr_array(values)
    matrix.indices = matrix.indices.astype(np.int64)
    matrix.indptr = matrix.indptr.astype(np.int64)
    return matrix


def _dask(values: np.ndarray, rows: int, columns: int, *, sparse: bool) -> Any:
    array = pytest.importorskip("dask.array")
    blocks = array.from_array(values, chunks=(rows, columns))
    return blocks.map_blocks(sp.csr_array, dtype=values.dtype) if sparse else blocks


#: Kind of storage -> (dtype of the values, how a dense matrix is brought into it).
#: A new kind of storage is one line here; all tests of the pass then run on it.
STORAGES: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "dense C float32": ("float32", np.ascontiguousarray),
    "dense C float64": ("float64", np.ascontiguousarray),
    "dense F float32": ("float32", np.asfortranarray),
    "dense F float64": ("float64", np.asfortranarray),
    "dense float16": ("float16", np.ascontiguousarray),
    "dense int32": ("int32", np.ascontiguousarray),
    "dense bool": ("bool", np.ascontiguousarray),
    "csr_matrix": ("float32", sp.csr_matrix),
    "csr_array": ("float32", sp.csr_array),
    "csr_array int32": ("int32", sp.csr_array),
    "csr_array uint8": ("uint8", sp.csr_array),
    "csr_array bool": ("bool", sp.csr_array),
    "csr int64 indices": ("float32", _int64_indices),
    "csc_matrix": ("float32", sp.csc_matrix),
    "csc_array": ("float64", sp.csc_array),
    "dense of another order of bytes": (">f8", np.ascontiguousarray),
    "backed csr": ("float32", sp.csr_matrix),
    "backed csr gzip": ("float32", sp.csr_matrix),
    "backed csc": ("float32", sp.csc_matrix),
    "backed dense": ("float32", np.ascontiguousarray),
    "dask csr": ("float32", lambda values: _dask(values, 7, values.shape[1], sparse=True)),
    "dask dense": ("float32", lambda values: _dask(values, 7, values.shape[1], sparse=False)),
    "dask dense in columns": ("float32", lambda values: _dask(values, 5, 4, sparse=False)),
    "dask csr in columns": ("float64", lambda values: _dask(values, 6, 3, sparse=True)),
}


@dataclass(frozen=True)
class Storage:
    """One kind of storage: ``storage(dense)`` is the matrix, ``held(dense)`` what it then holds."""

    name: str
    dtype: str
    folder: Path
    closing: ExitStack

    def __call__(self, dense: np.ndarray) -> Any:
        """Bring a dense matrix into this storage."""
        matrix = STORAGES[self.name][1](np.asarray(dense).astype(self.dtype))
        return self._from_file(matrix) if self.name.startswith("backed") else matrix

    def held(self, dense: np.ndarray) -> np.ndarray:
        """Values that are left after the storage's type, as float64."""
        return np.asarray(dense).astype(self.dtype).astype(np.float64)

    def _from_file(self, matrix: Any) -> Any:
        import anndata as ad

        path = self.folder / f"{len(list(self.folder.iterdir()))}.h5ad"
        ad.AnnData(matrix).write_h5ad(path, compression="gzip" if "gzip" in self.name else None)
        backed = ad.read_h5ad(path, backed="r")
        self.closing.callback(backed.file.close)
        return backed.X


def _storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    with ExitStack() as closing:
        yield Storage(request.param, STORAGES[request.param][0], tmp_path, closing)


FLOATS = [name for name, (dtype, _) in STORAGES.items() if dtype in ("float32", "float64")]
#: Every kind of storage that a matrix may come in, and those whose type holds log1p values.
storage = pytest.fixture(_storage, params=list(STORAGES), name="storage")
float_storage = pytest.fixture(_storage, params=FLOATS, name="float_storage")


_DRAWN: dict[bytes, Any] = {}


@pytest.fixture
def drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the drawing of the same tables from an earlier test: it is most of a report's time.

    For tests of what stands beside the figures. A figure of other tables is drawn all the same.
    """
    from scifn.report import _figures

    anew = _figures.figure

    def figure(draw: Any, *tables: Any, caption: str, alt: str, **options: Any) -> Any:
        key = pickle.dumps((draw.__module__, draw.__qualname__, tables, options))
        if key not in _DRAWN:
            _DRAWN[key] = anew(draw, *tables, caption=caption, alt=alt, **options)
        return replace(_DRAWN[key], caption=caption, alt=alt)

    parts = [module for name, module in sys.modules.items() if name.startswith("scifn.report.")]
    for part in parts:
        if vars(part).get("figure") is anew and part is not _figures:
            monkeypatch.setattr(part, "figure", figure)


def pytest_terminal_summary(terminalreporter: TerminalReporter) -> None:
    """Say how many tests did not run because the real data are not here."""
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if ABSENT in str(r.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests on real data skipped: {ABSENT}")
