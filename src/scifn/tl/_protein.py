"""Raw counts of surface proteins, from wherever a user keeps them.

Only looks: everything is checked here (names, cells in common, raw counts), and what comes out
is arrays in the order of the cells of the RNA.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn import _matrix
from scifn._errors import ArgumentError, MissingKeyError, ScaleError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anndata import AnnData

ANTIBODY: Final = ("antibody capture", "antibody", "protein", "prot", "adt", "ab")
#: More features than any antibody panel has.
TOO_MANY: Final = 1_000
REMEDY: Final = (
    "Give the raw UMI counts of the antibodies (of 10x data those of feature type 'Antibody "
    "Capture'); scifn does its own normalization."
)


@dataclass(frozen=True)
class Adt:
    """Counts, a row a cell of the RNA; zeros in cells without protein counts.

    ``stained`` marks the cells that have them.
    """

    umi: NDArray[np.float32]
    names: tuple[str, ...]
    stained: NDArray[np.bool_]
    source: str


def read(adata: AnnData, protein: str | AnnData | Adt) -> Adt:
    """Protein counts for the cells of ``adata``.

    Parameters
    ----------
    adata
        The object with the RNA.
    protein
        Key of its obsm, or an AnnData with the proteins (cells are matched by name).

    Raises
    ------
    MissingKeyError
        No such key, or no cell in common.
    ArgumentError
        It is neither, names are missing, or they are not unique.
    ScaleError
        The values are no raw counts.
    """
    if isinstance(protein, Adt):
        return protein
    if isinstance(protein, str):
        return _from_obsm(adata, protein)
    if hasattr(protein, "mod"):
        names = ", ".join(map(repr, protein.mod))
        msg = f"protein= is a MuData; pass its protein modality, mdata.mod[...] of {names}."
        raise ArgumentError(msg)
    if not hasattr(protein, "obs_names") or not hasattr(protein, "var_names"):
        msg = (
            f"protein= is a {type(protein).__name__}; a key of obsm or an AnnData with raw counts "
            "of surface proteins was needed."
        )
        raise ArgumentError(msg)
    return _from_anndata(adata, protein)


# --- obsm ---------------------------------------------------------------------
def _from_obsm(adata: AnnData, key: str) -> Adt:
    if key not in adata.obsm:
        there = ", ".join(map(repr, adata.obsm)) or "none"
        msg = f"protein={key!r}: obsm has no such key. Keys here: {there}."
        raise MissingKeyError(msg)
    value, where = adata.obsm[key], f"obsm[{key!r}]"
    if isinstance(value, pd.DataFrame):
        names = [str(name) for name in value.columns]
        if any(not pd.api.types.is_numeric_dtype(kind) for kind in value.dtypes):
            msg = f"{where} has columns that are not numbers. {REMEDY}"
            raise ScaleError(msg)
    else:
        names = _names_in_uns(adata, key, int(value.shape[1]))
    umi = np.asarray(value.todense() if sp.issparse(value) else value, dtype=np.float32)
    stained = np.asarray(np.isfinite(umi).all(axis=1), dtype=bool)
    umi = np.where(stained[:, None], umi, np.float32(0.0))
    if (umi < 0).any() or (umi != np.floor(umi)).any():
        what = "negative values" if (umi < 0).any() else "values that are not integers"
        msg = f"{where} holds {what}: transformed already. {REMEDY}"
        raise ScaleError(msg)
    return Adt(umi, tuple(names), stained & (umi.sum(axis=1) > 0), where)


def _names_in_uns(adata: AnnData, key: str, n: int) -> list[str]:
    """Names of an array's columns, which an array does not carry."""
    for place in (f"{key}_names", "protein_names"):
        if place in adata.uns and len(adata.uns[place]) == n:
            return [str(name) for name in adata.uns[place]]
    msg = (
        f"obsm[{key!r}] is an array, and its {n} columns have no names. Make it a DataFrame "
        f"(pandas.DataFrame(array, index=adata.obs_names, columns=names)), or put the names into "
        f"uns['{key}_names']."
    )
    raise ArgumentError(msg)


# --- AnnData ------------------------------------------------------------------
def _from_anndata(adata: AnnData, protein: Any) -> Adt:
    columns = _antibodies(protein)
    where, matrix, var = _counts(protein)
    if len(var) != len(protein.var):  # raw may hold other features than var
        columns = np.flatnonzero(np.isin(var.index, protein.var_names[columns]))
    rows = _rows(adata, protein)
    everything = np.ones(matrix.shape[1], dtype=bool)
    panel = _matrix.one_pass(matrix, [(int(i),) for i in columns], everything, "counts")
    if not panel.exact.all():
        msg = f"protein=: {where} holds values that are not integers. {REMEDY}"
        raise ScaleError(msg)
    counts = panel.held().toarray()
    umi = np.zeros((adata.n_obs, counts.shape[1]), dtype=np.float32)
    umi[rows >= 0] = counts[rows[rows >= 0]]
    names = tuple(str(var.index[i]) for i in columns)
    return Adt(umi, names, np.asarray(umi.sum(axis=1) > 0), f"AnnData {where}")


def _antibodies(protein: Any) -> NDArray[np.int64]:
    """Which features are antibodies: by feature type, or all of a small panel."""
    for name in ("feature_types", "feature_type"):
        if name in protein.var:
            kinds = protein.var[name].astype(str).str.lower()
            mine = kinds.isin(ANTIBODY).to_numpy()
            if not mine.any():
                shown = ", ".join(map(repr, kinds.unique()[:4]))
                msg = f"protein= holds no antibodies: var[{name!r}] says {shown}. {REMEDY}"
                raise ArgumentError(msg)
            return np.asarray(np.flatnonzero(mine))
    if protein.n_vars > TOO_MANY:
        msg = (
            f"protein= has {protein.n_vars:,} features, more than any panel of antibodies: this "
            f"looks like RNA. {REMEDY}"
        )
        raise ArgumentError(msg)
    return np.arange(protein.n_vars)


def _counts(protein: Any) -> tuple[str, Any, pd.DataFrame]:
    """The first matrix that holds counts."""
    said = []
    for where, matrix, var in _candidates(protein):
        scale = _matrix.sniff(_matrix.sample_rows(matrix, 512))
        if scale.kind == "counts":
            return where, matrix, var
        said.append(f"{where} {scale.reason}")
    found = "; ".join(said) or "it has no matrix"
    msg = f"protein= holds no raw counts: {found}. {REMEDY}"
    raise ScaleError(msg)


def _candidates(protein: Any) -> Iterator[tuple[str, Any, pd.DataFrame]]:
    if "counts" in protein.layers:
        yield "layers['counts']", protein.layers["counts"], protein.var
    if protein.X is not None:
        yield "X", protein.X, protein.var
    if protein.raw is not None:
        yield "raw", protein.raw.X, protein.raw.var


def _rows(adata: AnnData, protein: Any) -> NDArray[np.int64]:
    """Row of each cell in ``protein``; -1 where it is not there."""
    if adata.obs_names.equals(protein.obs_names):
        return np.arange(adata.n_obs)
    for name, index in (("adata", adata.obs_names), ("protein=", protein.obs_names)):
        if not index.is_unique:
            msg = (
                f"cells are matched by name, and obs_names of {name} are not unique. Make them "
                "unique, or give both objects the same cells in the same order."
            )
            raise ArgumentError(msg)
    rows = protein.obs_names.get_indexer(adata.obs_names)
    if (rows < 0).all():
        msg = (
            f"no cell of protein= (such as {str(protein.obs_names[0])!r}) is among those of adata "
            f"(such as {str(adata.obs_names[0])!r}): obs_names must be the same in both."
        )
        raise MissingKeyError(msg)
    return np.asarray(rows, dtype=np.int64)
