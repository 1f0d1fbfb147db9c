"""Controls and stored reference values: what scores of several steps are held against."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn import _slots
from scifn._errors import ArgumentError, DesignError, MissingKeyError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def controls(
    adata: AnnData, condition: str | None, reference: str | None
) -> NDArray[np.bool_] | None:
    """Which cells are of controls; None where neither argument is given.

    Raises
    ------
    ArgumentError
        If only one of the two is given.
    DesignError
        If no cell has the reference value; the message lists the values found.
    """
    if condition is None and reference is None:
        return None
    if condition is None or reference is None:
        raise ArgumentError("give both condition= and reference=, or neither.")
    codes, names = _slots.coded(_slots.column(adata, condition, "condition"))
    mine = np.array([name == str(reference) for name in names], dtype=bool)[codes]
    if not mine.any():
        there = ", ".join(map(repr, sorted(names)[:20]))
        msg = f"reference={reference!r}: no cell has it in obs[{condition!r}], which holds {there}."
        if len(names) == 1:
            msg += (
                " Without controls nothing can be compared; scifn.tl.annotate, scifn.tl.production "
                "and scifn.tl.response (without condition and reference) work on such cells."
            )
        raise DesignError(msg)
    return np.asarray(mine, dtype=bool)


def cell_types(adata: AnnData) -> pd.Categorical:
    """Cell types that :func:`scifn.tl.annotate` wrote."""
    import pandas as pd

    _slots.need_obs(adata, k.CELL_TYPE, "scifn.tl.annotate(adata)")
    codes, names = _slots.coded(adata.obs[k.CELL_TYPE])
    return pd.Categorical.from_codes(codes, categories=pd.Index(names, dtype=object))


def stored(model: Mapping[str, Any] | str | Path | None, step: str) -> pd.DataFrame | None:
    """Reference table that ``step`` stored in an earlier run.

    Parameters
    ----------
    model
        ``uns["scifn"]`` of the earlier run, or the path of an h5ad that holds it.
    step
        Name of the step.

    Raises
    ------
    MissingKeyError
        If the model has no such step, or the step ran without controls.
    """
    found = record(model, step)
    if found is None:
        return None
    table = found.get("reference")
    if table is None or len(table) == 0:
        msg = f"model= holds no reference values of {step}: it ran without condition and reference."
        raise MissingKeyError(msg)
    frame: pd.DataFrame = table.reset_index(drop=True)
    return frame


def record(model: Mapping[str, Any] | str | Path | None, step: str) -> dict[str, Any] | None:
    """Everything that ``step`` stored in the earlier run ``model``; None without a model."""
    if model is None:
        return None
    uns = _read_uns(Path(model)) if isinstance(model, str | Path) else getattr(model, "uns", model)
    if not isinstance(uns, Mapping):
        msg = f"model= is {type(model).__name__}; needed: uns['scifn'], or the path of an h5ad."
        raise ArgumentError(msg)
    steps: Mapping[str, Any] = uns.get(k.UNS, uns)
    if step not in steps:
        there = ", ".join(map(repr, steps)) or "nothing"
        msg = f"model= has no record of {step}; it holds {there}. Run scifn.tl.{step} there first."
        raise MissingKeyError(msg)
    found: dict[str, Any] = steps[step]
    return found


def _read_uns(path: Path) -> Mapping[str, Any]:
    import anndata as ad

    if not path.is_file():
        raise MissingKeyError(f"model={str(path)!r}: there is no such file.")
    earlier = ad.read_h5ad(path, backed="r")
    uns: Mapping[str, Any] = dict(earlier.uns)
    earlier.file.close()  # left open, the file could not be written again
    return uns
