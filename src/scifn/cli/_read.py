"""Files of single-cell data -> AnnData; every mistake named before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scifn._errors import InputFileError, ScifnError
from scifn.cli._progress import note
from scifn.cli._stored import Plan as Plan
from scifn.cli._stored import budget as budget
from scifn.cli._stored import stored

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

ACCEPTED: Final = "a .h5ad file, a .zarr folder, a 10x .h5 file or a 10x folder with matrix.mtx.gz"


def read(path: Path, *, obs: Path | None = None, plan: Plan | None = None) -> AnnData:
    """Open ``path``, whatever of the accepted kinds it is, and join the table ``obs``.

    Matrices that are large, or all if there is a limit of memory, stay in the file.

    Raises
    ------
    InputFileError
        If it is missing, is not what its name says, cannot be read or holds no cell.
    ArgumentError
        If the limit of memory is less than what has to be kept.
    """
    if not path.exists():
        raise InputFileError(f"{path}: no such file or folder. Needed: {ACCEPTED}.")
    adata = _kind(path, plan or Plan())(path)
    if adata.n_obs == 0:
        raise InputFileError(f"{path}: holds no cells ({adata.n_obs} x {adata.n_vars}).")
    if obs is not None:
        join_obs(adata, obs)
    return adata


def _kind(path: Path, plan: Plan) -> Callable[[Path], AnnData]:
    name = path.name.lower()
    if path.is_dir():
        if any((path / mark).exists() for mark in (".zgroup", "zarr.json", ".zattrs")):
            return partial(_zarr, plan=plan)
        if any((path / mark).exists() for mark in ("matrix.mtx.gz", "matrix.mtx")):
            return _mtx
        raise InputFileError(f"{path}: a folder, but neither zarr nor 10x. Needed: {ACCEPTED}.")
    if name.endswith((".h5ad", ".h5")):
        _need_hdf5(path)
        return partial(_h5ad, plan=plan) if name.endswith(".h5ad") else _h5
    if name.endswith((".mtx", ".mtx.gz")):
        raise InputFileError(f"{path}: give the folder that holds it, {path.parent}.")
    remedy = {
        ".rds": " Save it from R as h5ad first.",
        ".loom": " Read it with anndata.io.read_loom and save it as h5ad.",
        ".h5mu": " Save its RNA modality as h5ad: mdata['rna'].write_h5ad(...).",
    }.get(path.suffix.lower(), "")
    raise InputFileError(
        f"{path}: not a kind of file that scifn reads. Needed: {ACCEPTED}.{remedy}"
    )


def _need_hdf5(path: Path) -> None:
    """Refuse what only has the name: a text file, an HTML page of a failed download, nothing."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        return
    import h5py

    if h5py.is_hdf5(path):  # a file may have a user block before its signature
        return
    if not start:
        found = "it is empty"
    elif start.lstrip()[:1] == b"<":
        found = "it holds HTML or XML, as after a failed download"
    elif start.startswith(b"\x1f\x8b"):
        found = "it is gzipped; unpack it first"
    elif all(byte >= 9 and byte != 127 for byte in start):
        found = "it holds text"
    else:
        found = "it holds something else"
    raise InputFileError(f"{path}: not an HDF5 file, though its name says so: {found}.")


def _h5ad(path: Path, plan: Plan) -> AnnData:
    import anndata

    whole = partial(anndata.io.read_h5ad, path)
    return _try(lambda: stored(path, plan, whole), path, "h5ad")


def _zarr(path: Path, plan: Plan) -> AnnData:
    try:
        import zarr  # noqa: F401
    except ImportError:
        msg = f"{path}: reading zarr needs the package zarr: pip install 'scifn[dask]'."
        raise InputFileError(msg) from None
    import anndata

    whole = partial(anndata.io.read_zarr, path)
    return _try(lambda: stored(path, plan, whole), path, "zarr of an AnnData")


def _h5(path: Path) -> AnnData:
    import scanpy as sc

    return _try(lambda: sc.read_10x_h5(path, gex_only=False), path, "10x h5")


def _mtx(path: Path) -> AnnData:
    import scanpy as sc

    return _try(lambda: sc.read_10x_mtx(path, gex_only=False), path, "10x folder")


def _try(load: Callable[[], Any], path: Path, kind: str) -> AnnData:
    """Load; a reader's exception becomes one sentence."""
    try:
        adata: AnnData = load()
    except (MemoryError, KeyboardInterrupt, ScifnError):
        raise
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0][:200]
        msg = f"{path}: could not be read as {kind} ({type(error).__name__}: {first})."
        raise InputFileError(msg) from error
    return adata


def join_obs(adata: AnnData, path: Path) -> None:
    """Add the columns of a table to obs, by the barcodes in its first column.

    Raises
    ------
    InputFileError
        If the table is missing or unreadable, or no barcode of it is a cell here.
    """
    table = _table(path)
    known = adata.obs_names.isin(table.index)
    if not known.any():
        msg = (
            f"{path}: none of its {len(table):,} barcodes (such as {str(table.index[0])!r}) is a "
            f"cell of the matrix (such as {str(adata.obs_names[0])!r}). The first column must "
            "hold the barcodes as the matrix writes them, suffix included."
        )
        raise InputFileError(msg)
    missed = int((~known).sum())
    if missed:
        example = str(adata.obs_names[~known][0])
        note(f"{missed:,} of {adata.n_obs:,} cells have no row in {path.name} (such as {example}).")
    unused = int((~table.index.isin(adata.obs_names)).sum())
    if unused:
        note(f"{unused:,} of {len(table):,} rows of {path.name} are no cell of the matrix.")
    joined = table.reindex(adata.obs_names)
    for column in table.columns:
        if column in adata.obs:
            note(f"column {column!r} of {path.name} replaces that of the file.")
        adata.obs[str(column).replace("/", "_")] = joined[column].to_numpy()


def _table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise InputFileError(f"--obs {path}: no such file.")
    name = path.name.lower()
    separator = "\t" if name.endswith((".tsv", ".txt", ".tsv.gz", ".txt.gz")) else ","
    try:
        table = pd.read_csv(path, sep=separator, index_col=0, encoding="utf-8-sig")
    except (ValueError, UnicodeError, OSError) as error:
        msg = f"--obs {path}: could not be read as a table ({str(error).splitlines()[0]})."
        raise InputFileError(msg) from error
    table.index = table.index.astype(str)
    if not table.index.is_unique:
        twice = table.index[table.index.duplicated()][0]
        msg = f"--obs {path}: barcode {twice!r} stands in several rows; each cell needs one."
        raise InputFileError(msg)
    if table.empty:
        msg = f"--obs {path}: no column beside the barcodes (separated by {separator!r}?)."
        raise InputFileError(msg)
    return table
