"""Results -> a folder that is there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scifn import _keys as k
from scifn._errors import InputFileError, MissingKeyError, OverwriteError

if TYPE_CHECKING:
    from anndata import AnnData

TABLES: Final = ("donors", "imbalance", "strata", "bounds", "coverage")
#: Written where their steps were run.
MORE: Final = ("crosstalk", "l1", "l1_association", "profiles", "serum")
REPORT: Final = "report.html"
PROVENANCE: Final = "provenance.json"
#: Inputs up to this size are hashed.
HASHED_BELOW: Final = 2 * 1024**3


def check_target(folder: Path, *, inputs: Sequence[Path], overwrite: bool) -> None:
    """Refuse a folder that must not be written, before any work is done.

    Raises
    ------
    OverwriteError
        If it is there and may not, or must not, be replaced.
    InputFileError
        If it cannot be made.
    """
    target = folder.resolve()
    for path in inputs:
        source = path.resolve()
        if source == target or target in source.parents or source in target.parents:
            msg = f"-o {folder}: the input {path} is in the way; give a folder of its own."
            raise OverwriteError(msg)
    if folder.exists() or folder.is_symlink():
        if not folder.is_dir():
            raise OverwriteError(f"-o {folder}: there is a file of that name.")
        if not overwrite:
            msg = f"-o {folder}: the folder is there already. --overwrite replaces it."
            raise OverwriteError(msg)
        if any(folder.iterdir()) and not (folder / PROVENANCE).is_file():
            msg = f"-o {folder}: holds other files than results of scifn, so it is not replaced."
            raise OverwriteError(msg)
    parent = next(p for p in target.parents if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputFileError(f"-o {folder}: no folder can be made in {parent}.")


def write_folder(
    adata: AnnData, folder: Path, *, title: str | None, source: Mapping[str, Any], overwrite: bool
) -> Path:
    """Write all results beside ``folder``, then put them in its place; path of the report.

    Raises
    ------
    InputFileError
        If the disk refuses.
    """
    target = folder.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise InputFileError(f"-o {folder}: {error.strerror or error}.") from error
    try:
        _fill(adata, work, title=title, source=source)
        work.chmod(0o755)
        _swap(work, target, overwrite=overwrite)
    except OSError as error:
        raise InputFileError(f"-o {folder}: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder / REPORT


def _swap(work: Path, target: Path, *, overwrite: bool) -> None:
    """Rename into place; an older folder is moved away first and comes back if that fails."""
    if not target.exists():
        work.rename(target)
        return
    if not overwrite:  # made by someone else while we worked
        raise OverwriteError(
            f"-o {target}: the folder was made meanwhile. --overwrite replaces it."
        )
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.rename(old / "kept")
        try:
            work.rename(target)
        except OSError:
            (old / "kept").rename(target)
            raise
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _fill(adata: AnnData, folder: Path, *, title: str | None, source: Mapping[str, Any]) -> None:
    from scifn import get
    from scifn.report import report

    for name in (*TABLES, *MORE):
        try:
            table = getattr(get, name)(adata)
        except MissingKeyError:
            continue
        table.to_csv(folder / f"{name}.csv", index=False)
    cells = small(adata)
    with ThreadPoolExecutor(1) as beside:
        # packing a million cells takes as long as the report, and lets go of the interpreter
        written = beside.submit(write_cells, cells, folder / "cells.h5ad")
        report(adata, folder / REPORT, title=title)
        written.result()
    text = json.dumps(provenance(adata, source), indent=2, ensure_ascii=False, allow_nan=False)
    (folder / PROVENANCE).write_text(text + "\n", encoding="utf-8")


def write_cells(cells: AnnData, path: Path) -> None:
    """Write an h5ad file in which the names of the cells stand once.

    Every table of obsm has them, too, and a million names take longer to write than the table, and
    more room: there they are links to those of obs.
    """
    import anndata
    import h5py
    import pandas as pd

    # harder packing makes the columns of cells no smaller
    packed: dict[str, Any] = {"compression": "gzip", "compression_opts": 1}
    tables = {key: x for key, x in cells.obsm.items() if isinstance(x, pd.DataFrame)}
    rest = anndata.AnnData(
        obs=cells.obs,
        obsm={key: x for key, x in cells.obsm.items() if key not in tables},
        uns=cells.uns,
    )
    rest.write_h5ad(path, **packed)
    with h5py.File(path, "r+") as file:
        names = file["obs"][file["obs"].attrs["_index"]]
        for key, table in tables.items():
            nameless = table.copy(deep=False)
            nameless.index = pd.Index(
                np.zeros(len(table), dtype=np.int8), name=cells.obs.index.name
            )
            anndata.io.write_elem(file["obsm"], key, nameless, dataset_kwargs=packed)
            written = file["obsm"][key]
            index = written.attrs["_index"]
            del written[index]
            written[index] = names


def small(adata: AnnData) -> AnnData:
    """obs, and what scifn wrote to obsm and uns; no expression."""
    import anndata
    import pandas as pd

    obs = adata.obs.copy(deep=False)  # columns are replaced, none is written to
    for name in obs.columns:
        column = obs[name]
        if column.dtype == object and pd.api.types.infer_dtype(column) != "string":
            # columns of mixed kinds cannot be written to h5ad; as text they can
            obs[name] = column.astype(str).where(column.notna(), "").astype("category")
    return anndata.AnnData(
        obs=obs,
        obsm={key: value for key, value in adata.obsm.items() if key.startswith(k.PREFIX)},
        uns={key: adata.uns[key] for key in (k.UNS, k.TRUTH) if key in adata.uns},
    )


def provenance(adata: AnnData, source: Mapping[str, Any]) -> dict[str, Any]:
    """What made the numbers: versions, time, input, parameters."""
    from scifn.report._methods import now, versions

    store = adata.uns.get(k.UNS, {})
    steps = {name: _json(record) for name, record in store.items() if isinstance(record, Mapping)}
    return {
        "scifn": store.get(k.VERSION, ""),
        "written": now(),
        "simulated": k.TRUTH in adata.uns,
        "source": _json(source),
        "packages": versions(),
        "steps": steps,
    }


def fingerprint(path: Path) -> dict[str, Any]:
    """Name and size of an input, and its SHA-256 where it is one file of moderate size."""
    found: dict[str, Any] = {"name": path.name}
    if path.is_file():
        found["bytes"] = path.stat().st_size
        if found["bytes"] <= HASHED_BELOW:
            with path.open("rb") as file:
                found["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _json(value: Any) -> Any:
    """Values as JSON knows them; NaN is null, long arrays are named by their shape."""
    if isinstance(value, Mapping):
        return {str(name): _json(part) for name, part in value.items()}
    if hasattr(value, "shape") and getattr(value, "ndim", 0) > 0:
        if value.ndim > 1 or value.size > 100:
            return f"array of shape {' x '.join(map(str, value.shape))}"
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
