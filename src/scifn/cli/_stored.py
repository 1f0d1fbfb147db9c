"""h5ad files and zarr stores: loaded, or left on disk, and what reading them may take."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scifn._errors import ArgumentError, InputFileError
from scifn._matrix._files import open_store
from scifn.cli import _memory, _open
from scifn.cli._progress import note

if TYPE_CHECKING:
    from anndata import AnnData

#: Bytes a cell that are kept of a matrix: its totals and places, and three a value of the panel,
#: which is about an eighth of a transcriptome and at most all of a smaller one.
KEPT_A_CELL: Final = 120
KEPT_A_VALUE: Final = 3
PANEL_VALUES: Final = 160


@dataclass(frozen=True)
class Plan:
    """How a file is opened.

    Attributes
    ----------
    memory
        What reading the matrix may add to memory, in bytes; None leaves it to the file's size.
    obsm
        Keys of obsm that a step reads.
    stay
        Whether matrices are left in the file whatever their size.
    """

    memory: int | None = None
    obsm: tuple[str, ...] = ()
    stay: bool = False


def stored(path: Path, plan: Plan, whole: Callable[[], AnnData]) -> AnnData:
    """Load a small file as a ``whole``; leave the matrices of a large one where they are."""
    store = open_store(path)
    usual = _open.is_usual(store)
    size = sum(map(_open.decoded_bytes, _open.matrices(store).values() if usual else [store]))
    room = min(_memory.LOADED_BELOW, _memory.available() // _memory.SHARE)
    bound = plan.memory is not None or plan.stay
    if not bound and (size <= room or not usual):
        _close(store)
        if size:
            note(f"{path.name}: its matrices ({_memory.in_words(size)}) are loaded.")
        return whole()
    if not usual:
        _close(store)
        msg = (
            f"{path}: written by an old anndata, so that its matrix cannot be read part by part, "
            "as --memory and --scheduler do. Write it anew: "
            "anndata.read_h5ad(...).write_h5ad(...)."
        )
        raise InputFileError(msg)
    _memory.give_back()
    adata = _open.lazily(store, obsm=plan.obsm)
    if size and not plan.stay:
        held = _memory.in_words(size)
        note(f"{path.name}: its matrices ({held} in memory) stay on disk and are read in blocks.")
    return adata


def budget(adata: AnnData, memory: int | None) -> int | None:
    """What blocks of the matrix may take of ``memory``, beside what is kept of every cell.

    Raises
    ------
    ArgumentError
        If that is too little.
    """
    if memory is None:
        return None
    from scifn import _matrix

    found = [adata.X, *adata.layers.values(), None if adata.raw is None else adata.raw.X]
    found = [matrix for matrix in found if matrix is not None]
    widest = max((_open.values_of(matrix) for matrix in found), default=0)
    values = min(widest / adata.n_obs, PANEL_VALUES)
    loaded = sum(map(_open.loaded_bytes, found))
    kept = int(adata.n_obs * (KEPT_A_CELL + KEPT_A_VALUE * values)) + loaded
    if memory - kept < _matrix.LEAST_BYTES:
        needed = _memory.in_words(1.1 * (kept + _matrix.LEAST_BYTES))
        least = _memory.in_words(_matrix.LEAST_BYTES)
        why = (
            "a file of 10x is loaded as a whole"
            if loaded
            else f"{least} for the smallest blocks, the rest is kept of the cells"
        )
        msg = (
            f"--memory {_memory.in_words(memory)}: {adata.n_obs:,} cells need {needed} ({why}). "
            "Give at least that"
            + (", or save the file as h5ad, which is read in blocks." if loaded else ".")
        )
        raise ArgumentError(msg)
    return memory - kept


def _close(store: Any) -> None:
    if hasattr(store, "close"):
        store.close()
