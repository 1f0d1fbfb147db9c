"""From an annotated object to the tidy tables that the plots draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn._errors import MissingKeyError

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

#: Types that a call is made for in blood, where the features allow.
OF_BLOOD: Final = (
    k.PDC, k.ASDC, k.CDC, k.MONOCYTE, k.T_NK, k.B_TRANSITIONAL, k.B_NAIVE, k.B_MEMORY,
    k.B_ATYPICAL, k.PLASMABLAST, k.PLASMA, k.HSPC, k.BASO_MAST,
)  # fmt: skip
_RESPONSE_PREFIX = "response_type1:"


def parameter(adata: AnnData, name: str) -> str | None:
    """A parameter that some step was called with, or None.

    Each step stores its parameters as one dict in ``uns["scifn"]``. The comparison and the
    donor table are asked first: other steps may have been called with something else.
    """
    records = adata.uns.get(k.UNS, {})
    first = [key for key in records if str(key).startswith((k.IMBALANCE, k.DONORS))]
    for key in [*sorted(first, reverse=True), *records]:
        record = records[key]
        if isinstance(record, Mapping):
            value = record.get(name, "")
            if isinstance(value, str) and value:
                return value
    return None


def reference_of(adata: AnnData) -> str | None:
    """The condition that others are compared with, where a step was told."""
    # "reference" of the cell steps is a table of values; the word is under another name there
    return parameter(adata, "reference") or parameter(adata, "reference_value")


def limits_of(adata: AnnData) -> dict[str, float]:
    """Fewest cells of each denominator with which the donor table gives a readout."""
    record = adata.uns.get(k.UNS, {}).get(f"{k.DONORS}_parameters", {})
    names = {"n_total": "min_cells", "n_b": "min_b_cells"}
    return {whole: float(record[name]) for whole, name in names.items() if name in record}


def untold(adata: AnnData) -> tuple[str, ...]:
    """Cell types of blood that these features could not tell, as the identity step found."""
    record = adata.uns.get(k.UNS, {}).get("annotate", {})
    measurable = record.get("measurable") if isinstance(record, Mapping) else None
    if measurable is None:
        return ()
    told = {str(name) for name in measurable}
    return tuple(name for name in OF_BLOOD if name not in told)


def cell_table(adata: AnnData, *, needs: str = k.CELL_TYPE) -> pd.DataFrame:
    """``cell_type, lineage, condition, confidence, response`` of every cell, as far as there.

    Raises
    ------
    MissingKeyError
        If the column ``needs`` is not in obs.
    """
    call = "scifn.tl.response(adata)" if needs == k.RESPONSE_TYPE1 else "scifn.tl.annotate(adata)"
    for column in (k.CELL_TYPE, needs):
        if column not in adata.obs:
            msg = f"obs[{column!r}] is not there: call {call} (or scifn.run) first."
            raise MissingKeyError(msg)
    condition = parameter(adata, "condition")
    named = condition is not None and condition in adata.obs
    types, number = _words(adata.obs[k.CELL_TYPE])
    lineages = np.array([k.LINEAGE_OF.get(name, "Other") for name in types], dtype=object)
    table = pd.DataFrame({"cell_type": types[number], "lineage": lineages[number]})
    if named:
        conditions, number = _words(adata.obs[condition])
        table["condition"] = conditions[number]
    else:
        table["condition"] = ""
    for name, column in (("confidence", k.CONFIDENCE), ("response", k.RESPONSE_TYPE1)):
        if column in adata.obs:
            table[name] = adata.obs[column].to_numpy(dtype=float)
    return table


def _words(values: pd.Series) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """The different values as strings, and the place among them of each: quick for many cells.

    >>> words, number = _words(pd.Series(["b", None, "a", "b"], dtype="category"))
    >>> words[number].tolist()
    ['b', 'nan', 'a', 'b']
    """
    number, different = pd.factorize(values, use_na_sentinel=False)
    return np.array([str(value) for value in different], dtype=object), number


def donor_responses(adata: AnnData) -> pd.DataFrame | None:
    """``donor, lineage, condition, response``: a row a donor and lineage; None without donors."""
    donors = adata.uns.get(k.UNS, {}).get(k.DONORS)
    return None if donors is None else responses_of(donors)


def responses_of(donors: pd.DataFrame) -> pd.DataFrame:
    """Long form of a donor table's columns ``response_type1:<lineage>``, on the scale of cells.

    The donor table holds log2 of one plus the mean excess over the reference; cells have the
    excess itself.

    >>> wide = pd.DataFrame({"donor": ["d"], "condition": ["c"], "response_type1:T_NK": [2.0]})
    >>> responses_of(wide).values.tolist()
    [['d', 'T/NK', 'c', 3.0]]
    """
    lineage_of = {k.column(name): name for name in k.LINEAGES}
    parts = [
        pd.DataFrame(
            {
                "donor": donors["donor"].astype(str).to_numpy(),
                "lineage": lineage_of.get(column.removeprefix(_RESPONSE_PREFIX), column),
                "condition": donors["condition"].astype(str).to_numpy(),
                "response": np.exp2(donors[column].to_numpy(dtype=float)) - 1.0,
            }
        )
        for column in map(str, donors.columns)
        if column.startswith(_RESPONSE_PREFIX) and not column.endswith("_se")
    ]
    columns = ["donor", "lineage", "condition", "response"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)
