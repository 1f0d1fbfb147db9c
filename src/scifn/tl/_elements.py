"""Counts of transposable elements, from wherever a user keeps them: var, or an obsm key.

Only looks. Fractions of UMI are taken from obsm, for tools that share reads out between copies
(IRescue, TElocal) write such; normalized values are refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import scipy.sparse as sp

from scifn import _matrix
from scifn._donors import Elements
from scifn._errors import ArgumentError, MissingKeyError, ScaleError
from scifn.genesets import _repeats

if TYPE_CHECKING:
    from anndata import AnnData

    from scifn._view import PanelView

VAR: Final = "var"
#: Share of whole numbers among counts that were shared out; normalized values have next to none.
_WHOLE: Final = 0.02
NO_MATRIX: Final = "this object has no matrix, so no features: LINE-1 cannot be counted"
_NO_TOTAL: Final = "UMI of the genes are not known, so there is no CPM"


def of_view(view: PanelView | None, n_cells: int) -> Elements:
    """LINE-1 among the features of the matrix that was read."""
    if view is None:
        return nothing(n_cells, NO_MATRIX)
    if view.repeats is None:
        return nothing(n_cells, _repeats.NONE_FOUND)
    choice = view.repeats.choice
    if choice.reason:
        return nothing(n_cells, choice.reason)
    view.need_counts("counting LINE-1")
    every = np.ones(n_cells, dtype=np.bool_)
    return Elements(view.repeats.umi, view.total + view.repeats.apart, every, "", choice.notes)


def nothing(n_cells: int, reason: str) -> Elements:
    """No LINE-1, and why."""
    blank = np.full(n_cells, np.nan)
    return Elements({}, blank, np.ones(n_cells, dtype=np.bool_), reason, ())


def of_obsm(adata: AnnData, key: str, view: PanelView | None) -> Elements:
    """LINE-1 among the columns of an obsm key; rows of NaN are cells without a count.

    Raises
    ------
    MissingKeyError
        No such key.
    ArgumentError
        The columns have no names.
    ScaleError
        The values are no counts.
    """
    if key not in adata.obsm:
        there = ", ".join(map(repr, adata.obsm)) or "none"
        msg = f"features={key!r}: neither 'var' nor a key of obsm. Keys here: {there}."
        raise MissingKeyError(msg)
    value, where = adata.obsm[key], f"obsm[{key!r}]"
    names = _names(adata, key, value)
    matrix, known = _counts(value, where)
    choice = _repeats.choose(names)
    if choice.reason:
        return nothing(adata.n_obs, choice.reason)
    counted = choice.every or tuple(range(len(names)))
    columns = [*choice.columns.values(), counted]
    sums = np.asarray((matrix @ _matrix_of(columns, len(names))).todense(), dtype=np.float64)
    umi = dict(zip(choice.columns, sums.T, strict=False))
    notes = choice.notes
    total = np.full(adata.n_obs, np.nan)
    if view is not None and view.is_counts:
        total = view.total + sums[:, -1]
    else:
        notes = (*notes, _NO_TOTAL)
    if not known.all():
        notes = (*notes, f"{int((~known).sum()):,} cells have no count of elements in {where}")
    return Elements(umi, total, known, "", notes)


def _matrix_of(columns: list[tuple[int, ...]], n: int) -> Any:
    at = np.array([i for some in columns for i in some], dtype=np.int64)
    to = np.repeat(np.arange(len(columns)), [len(some) for some in columns])
    return sp.csr_array((np.ones(at.size), (at, to)), shape=(n, len(columns)))


def _names(adata: AnnData, key: str, value: Any) -> list[str]:
    """Names of the columns, of an array those in uns."""
    if isinstance(value, pd.DataFrame):
        return [str(name) for name in value.columns]
    place = f"{key}_names"
    if place in adata.uns and len(adata.uns[place]) == value.shape[1]:
        return [str(name) for name in adata.uns[place]]
    msg = (
        f"obsm[{key!r}] is an array, and its {value.shape[1]} columns have no names. Make it a "
        "DataFrame (pandas.DataFrame(array, index=adata.obs_names, columns=names)), or put the "
        f"names into uns['{place}']."
    )
    raise ArgumentError(msg)


def _counts(value: Any, where: str) -> tuple[Any, Any]:
    """The values as CSR, and which cells have any."""
    if isinstance(value, pd.DataFrame):
        if any(not pd.api.types.is_numeric_dtype(kind) for kind in value.dtypes):
            raise ScaleError(f"{where} has columns that are not numbers. {_REMEDY}")
        value = value.to_numpy(dtype=np.float64)
    known = np.ones(value.shape[0], dtype=np.bool_)
    if not sp.issparse(value):
        value = np.asarray(value, dtype=np.float64)
        known = ~np.isnan(value).any(axis=1)
        value = np.where(known[:, None], value, 0.0)
    matrix = sp.csr_array(value).astype(np.float64)
    seen = matrix.data[matrix.data != 0]
    if _matrix.unreadable_rows(matrix).size:
        raise ScaleError(f"{where} holds negative, infinite or NaN values. {_REMEDY}")
    if seen.size and np.mean(seen == np.floor(seen)) < _WHOLE:
        raise ScaleError(f"{where} holds hardly any whole number: normalized already. {_REMEDY}")
    return matrix, known


_REMEDY: Final = "Give the counts as the tool wrote them (IRescue's may be fractions of a UMI)."
