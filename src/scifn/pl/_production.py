"""Evidence of interferon transcription by cell type, with what zero still allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scifn import _keys as k
from scifn.pl import _style
from scifn.pl._source import reference_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

_FLOOR = 1e-3  # percent; the lowest upper bound that the axis shows without growing


def production(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Share of cells with strong IFNA transcript evidence and its 95 % upper bound.

    A type in which none was found has no dot: only the end of the interval is drawn,
    and "none found, <= x %" is written. Zero does not exclude secretion.

    Parameters
    ----------
    adata
        With the bounds of :func:`scifn.tl.donors` (or of :func:`scifn.run`).
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes, its horizontal axis logarithmic, in percent of a type's cells.

    Raises
    ------
    scifn._errors.MissingKeyError
        If there is no evidence yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> row = {"donor": "", "condition": "SLE", "cell_type": "pDC", "ligand": "IFNA"}
    >>> row |= {"n_cells": 100.0, "n_strong": 0.0, "rate": 0.0, "upper95": 0.0256, "pooled": True}
    >>> adata = ad.AnnData(uns={"scifn": {"bounds": pd.DataFrame([row])}}, shape=(100, 0))
    >>> scifn.pl.production(adata).texts[0].get_text()
    'none found in 100, ≤ 2.6 %'
    """
    from scifn import get

    return draw(get.bounds(adata), ax=ax, reference=reference_of(adata))


def draw(table: pd.DataFrame, *, ax: Axes | None = None, reference: str | None = None) -> Axes:
    """Draw the pooled rows of a bounds table (all rows where none is pooled), IFNA alone."""
    table = table[table["ligand"].astype(str).to_numpy() == k.LIGANDS["ifna"]]
    pooled = table["pooled"].to_numpy(dtype=bool)
    rows = table[pooled] if pooled.any() else table
    rows = rows[
        (rows["n_cells"].to_numpy(dtype=np.float64) > 0)
        & ~rows["cell_type"].astype(str).isin(k.NOT_COUNTED).to_numpy()
    ]
    types = _style.type_order(rows["cell_type"])
    conditions = _style.condition_order(rows["condition"], reference)
    looks = _style.condition_looks(conditions)
    lines = [
        (i, condition, rows.iloc[j])
        for i, name in enumerate(types)
        for condition in conditions
        for j in np.flatnonzero(
            (rows["cell_type"].astype(str) == name) & (rows["condition"].astype(str) == condition)
        )
    ]
    with _style.style():
        axes = _style.new_axes(ax, width=7.2, height=1.0 + 0.24 * max(len(lines), 2))
        if not lines:
            return _style.empty(axes, "IFNA transcripts were not measurable in any cell type")
        for y, (_, condition, row) in enumerate(lines):
            _row(axes, y, row, looks[condition])
        axes.set_xscale("log")
        _limits(axes, rows)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.10g} %")
        axes.set_ylim(len(lines) - 0.4, -0.6)
        names = [
            str(row["cell_type"]) + (f", {condition}" if condition else "")
            for _, condition, row in lines
        ]
        axes.set_yticks(range(len(lines)), names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("Cells with strong evidence (dot) and 95 % upper bound (bar end), log axis")
    return axes


def words(row: Any) -> str:
    """What one row says.

    >>> import pandas as pd
    >>> words(pd.Series({"n_cells": 100.0, "n_strong": 0.0, "upper95": 0.026}))
    'none found in 100, ≤ 2.6 %'
    """
    n, strong, upper = (float(row[c]) for c in ("n_cells", "n_strong", "upper95"))
    if not np.isfinite(strong):
        return "not measurable"
    bound = f"≤ {_style.percent(upper)}" if np.isfinite(upper) else "no bound"
    if strong == 0:
        return f"none found in {_style.thousands(n)}, {bound}"
    return f"{_style.thousands(strong)} of {_style.thousands(n)}, {bound}"


def _row(axes: Axes, y: int, row: Any, look: tuple[str, str]) -> None:
    color, marker = look
    strong, upper, rate = (float(row[c]) for c in ("n_strong", "upper95", "rate"))
    if np.isfinite(upper) and np.isfinite(strong):
        start = 100 * rate if np.isfinite(rate) and rate > 0 else _FLOOR / 10
        axes.plot([start, 100 * upper], [y, y], color=color, lw=1.2,
                  ls="-" if strong > 0 else (0, (1, 1.6)), zorder=2)  # fmt: skip
        axes.plot([100 * upper], [y], marker="|", ms=8, mew=1.6, color=color, ls="", zorder=3)
    if np.isfinite(rate) and rate > 0:
        axes.plot([100 * rate], [y], marker=marker, ms=5, color=color, ls="", zorder=4)
    axes.text(1.02, y, words(row), transform=axes.get_yaxis_transform(), va="center",
              fontsize=7.5, color=_style.INK if np.isfinite(strong) else _style.MUTED)  # fmt: skip


def _limits(axes: Axes, rows: pd.DataFrame) -> None:
    values = 100 * rows[["rate", "upper95"]].to_numpy(dtype=np.float64).ravel()
    values = values[np.isfinite(values) & (values > 0)]
    low = min(values.min() / 3, 1.0) if values.size else _FLOOR
    high = values.max() * 1.5 if values.size else 100.0
    axes.set_xlim(low, min(high, 130.0))
