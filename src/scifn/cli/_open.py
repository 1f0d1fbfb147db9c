"""AnnData of an h5ad or zarr file whose matrices stay in the file until they are read.

anndata's own backed mode leaves X in the file but loads raw and all layers, and knows no zarr.
Here obs, var and uns are read as always; X, raw, layers and arrays of obsm stay where they are, and
what no step reads (obsp, varm, varp) is left out. The file is opened for reading only.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

#: Tables of obsm up to this many bytes are read though no step has asked for them.
SMALL: Final = 32 * 1024**2
_SPARSE: Final = ("csr_matrix", "csc_matrix", "csr", "csc")


def is_usual(store: Any) -> bool:
    """Whether this is a layout that :func:`lazily` knows (files of anndata before 0.7 differ)."""
    there = all(name in store and _is_group(store[name]) for name in ("obs", "var"))
    return there and "raw.X" not in store


def lazily(store: Any, *, obsm: Collection[str] = ()) -> AnnData:
    """AnnData of an open file.

    Parameters
    ----------
    store
        From :func:`scifn._matrix._files.open_store`; it stays open while the AnnData is used.
    obsm
        Keys of obsm that are loaded because a step reads them.
    """
    import anndata as ad
    import pandas as pd
    from anndata.io import read_elem

    obs = _table(store["obs"])
    adata = ad.AnnData(
        X=_left(store["X"]) if "X" in store else None,
        obs=obs,
        var=read_elem(store["var"]),
        uns=read_elem(store["uns"]) if "uns" in store else None,
        obsm=_obsm(store["obsm"], obsm) if "obsm" in store else None,
        layers=_parts(store, "layers"),
    )
    raw = _raw(store)
    if raw is not None:
        names = pd.DataFrame(index=obs.index)
        adata.raw = ad.AnnData(X=_left(raw["X"]), obs=names, var=read_elem(raw["var"]))
    return adata


def matrices(store: Any) -> dict[str, Any]:
    """Every matrix of a file, by the name that messages use."""
    found = {"X": store["X"]} if "X" in store else {}
    raw = _raw(store)
    if raw is not None:
        found["raw"] = raw["X"]
    layers = store["layers"] if "layers" in store else {}  # noqa: SIM401  (groups have no get)
    found |= {f"layers[{name!r}]": layers[name] for name in layers}
    return found


def decoded_bytes(element: Any) -> int:
    """Memory that an array, or all arrays of a group, would take."""
    if _is_group(element):
        return sum(decoded_bytes(element[name]) for name in element)
    return int(math.prod(element.shape)) * int(getattr(element.dtype, "itemsize", 8))


def values_of(matrix: Any) -> int:
    """Values that a matrix of an AnnData stores, in memory or in a file."""
    if hasattr(matrix, "group"):
        return int(matrix.group["data"].shape[0])
    return int(matrix.nnz if hasattr(matrix, "nnz") else math.prod(matrix.shape))


def loaded_bytes(matrix: Any) -> int:
    """Memory that a matrix of an AnnData takes; none if it is in a file."""
    if hasattr(matrix, "indptr"):
        return int(matrix.data.nbytes + matrix.indices.nbytes + matrix.indptr.nbytes)
    return int(matrix.nbytes) if isinstance(matrix, np.ndarray) else 0


def _raw(store: Any) -> Any | None:
    """The group of raw; a file without one may hold a mark in its place."""
    raw = store["raw"] if "raw" in store else None  # noqa: SIM401
    return raw if raw is not None and _is_group(raw) and "X" in raw else None


def _is_group(element: Any) -> bool:
    return not hasattr(element, "shape")


def _left(element: Any) -> Any:
    """A matrix as a handle on its place in the file."""
    from anndata.io import read_elem, sparse_dataset

    if not _is_group(element):
        return element
    kind = element.attrs.get("encoding-type", element.attrs.get("h5sparse_format", ""))
    return sparse_dataset(element) if kind in _SPARSE else read_elem(element)


def _parts(store: Any, name: str) -> dict[str, Any] | None:
    return {key: _left(store[name][key]) for key in store[name]} if name in store else None


def _obsm(group: Any, wanted: Collection[str]) -> dict[str, Any]:
    from anndata.io import read_elem

    found = {}
    for key in group:
        element = group[key]
        is_table = _is_group(element) and element.attrs.get("encoding-type") == "dataframe"
        if key in wanted or (is_table and decoded_bytes(element) <= SMALL):
            found[key] = read_elem(element)
        elif not is_table:
            found[key] = _left(element)
    return found


def _table(group: Any) -> pd.DataFrame:
    """Table of the cells; words that repeat become categories, a few bytes a cell."""
    import pandas as pd
    from anndata.io import read_elem

    if group.attrs.get("encoding-version") != "0.2.0":
        old: pd.DataFrame = read_elem(group)
        return old.assign(**{str(name): _short(old[name]) for name in old})
    index = pd.Index(read_elem(group[group.attrs["_index"]]))
    columns = {str(name): _short(read_elem(group[name])) for name in group.attrs["column-order"]}
    named = str(group.attrs["_index"])
    index.name = None if named == "_index" else named  # as anndata does
    return pd.DataFrame(columns, index=index, columns=list(columns))


def _short(column: Any) -> Any:
    """Words that repeat as categories; anything else as it is."""
    import pandas as pd

    if column.dtype == object or isinstance(column.dtype, pd.StringDtype):
        coded = pd.Categorical(column)
        if len(coded.categories) <= len(coded) // 2:
            return coded
    return column
