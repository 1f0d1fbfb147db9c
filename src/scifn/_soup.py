"""What a user says of ambient RNA: empty droplets, and the contamination of cells."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _slots, _view
from scifn._cells.background import Soup
from scifn._cells.ligands import LIGANDS
from scifn._errors import ArgumentError, InputFileError
from scifn.genesets import _ids

if TYPE_CHECKING:
    from anndata import AnnData

#: Droplets below this hold no cell.
EMPTY_BELOW = 100
MIN_EMPTY_UMI = 1_000


def soup_of(ambient: AnnData | pd.Series | str | None, adata: AnnData, species: str) -> Soup | None:
    """UMI of each ligand and all UMI of the soup; None where the user gives none.

    Raises
    ------
    ArgumentError
        If there are too few empty droplets, or ``ambient`` is of another kind.
    """
    if ambient is None:
        return None
    genes = {ligand.name: ligand.genes(species) for ligand in LIGANDS}
    every = sorted({gene for names in genes.values() for gene in names})
    if isinstance(ambient, pd.Series):
        return _of_series(ambient, genes, species)
    droplets: Any = _read(Path(ambient)) if isinstance(ambient, str | Path) else ambient
    if not hasattr(droplets, "obs_names"):
        msg = f"ambient= is a {type(ambient).__name__}; needed: an AnnData, a path or a Series."
        raise ArgumentError(msg)
    view = _view.read(droplets, every, species=species)
    view.need_counts("ambient=")
    empty = (view.total < EMPTY_BELOW) & ~droplets.obs_names.isin(adata.obs_names)
    total = float(view.total[empty].sum())
    if total < MIN_EMPTY_UMI:
        msg = (
            f"ambient= holds {total:,.0f} UMI in droplets below {EMPTY_BELOW} UMI that are no "
            f"cells here; at least {MIN_EMPTY_UMI:,} are needed. Give the raw (unfiltered) matrix."
        )
        raise ArgumentError(msg)
    sums = {name: float(view.sum(view.found(mine))[empty].sum()) for name, mine in genes.items()}
    return Soup(sums, total)


def _of_series(counts: pd.Series, genes: dict[str, tuple[str, ...]], species: str) -> Soup:
    if (counts < 0).any() or counts.sum() < MIN_EMPTY_UMI:
        msg = (
            f"ambient= sums to {counts.sum():,.0f}; needed: UMI counts of empty droplets (at least "
            f"{MIN_EMPTY_UMI:,}) with gene symbols as index, not shares."
        )
        raise ArgumentError(msg)
    names = _ids.approved([str(name) for name in counts.index], species)
    approved = np.array([names.get(str(name), str(name)) for name in counts.index])
    values = counts.to_numpy(dtype=np.float64)
    sums = {name: float(values[np.isin(approved, mine)].sum()) for name, mine in genes.items()}
    return Soup(sums, float(values.sum()))


def _read(path: Path) -> Any:
    import anndata as ad

    if not path.is_file():
        raise InputFileError(f"ambient={str(path)!r}: there is no such file.")
    return ad.read_h5ad(path)


def contamination_of(
    contamination: str | float | None, adata: AnnData
) -> NDArray[np.float64] | None:
    """Share of each cell's UMI that is ambient; None where the user gives none.

    Raises
    ------
    ArgumentError
        If a share is not between 0 and 1.
    """
    if contamination is None:
        return None
    if isinstance(contamination, str):
        values = _slots.column(adata, contamination, "contamination").to_numpy(dtype=np.float64)
    else:
        values = np.full(adata.n_obs, float(contamination))
    if not ((values >= 0) & (values <= 1)).all():
        raise ArgumentError("contamination= must lie between 0 and 1: a share of each cell's UMI.")
    return values
