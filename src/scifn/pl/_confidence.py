"""How sure the calls are, type by type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from scifn import _keys as k
from scifn._errors import MissingKeyError
from scifn.pl import _style
from scifn.pl._source import cell_table

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

#: Calls below this are counted at the right.
LIMIT: Final = 0.9
TICKS: Final = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
#: What is closer to certain is drawn here.
HIGHEST: Final = 0.9995
#: Up to this many cells, each is drawn.
MOST_POINTS: Final = 60
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def confidence(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Confidence of the calls by cell type, with the share of unsure ones.

    The dot is the median, the thick bar the middle half of the cells, the thin one 90 % of them;
    of types of few cells every one is drawn. The axis is logarithmic in the distance from
    certainty, since most calls are close to it.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate`.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes. A type whose cells have no confidence (surface proteins decided) says so.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the cells are not annotated yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> obs = pd.DataFrame({"scifn_cell_type": ["pDC"] * 4, "scifn_confidence": [0.7, 1, 1, 1.0]})
    >>> axes = scifn.pl.confidence(ad.AnnData(obs=obs.rename(index=str)))
    >>> axes.texts[0].get_text()
    '25 %'
    """
    cells = cell_table(adata)
    if "confidence" not in cells:
        msg = f"obs[{k.CONFIDENCE!r}] is not there: call scifn.tl.annotate(adata) first."
        raise MissingKeyError(msg)
    return draw(cells, ax=ax)


def draw(cells: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw ``cell_type, confidence``, a row a cell."""
    types = [name for name in _style.type_order(cells["cell_type"]) if name != k.UNASSIGNED]
    with _style.style():
        axes = _style.new_axes(ax, width=6.4, height=1.05 + 0.25 * max(len(types), 1))
        if not types:
            return _style.empty(axes, "No cell has a call")
        by = cells["confidence"].groupby(cells["cell_type"], observed=True)
        size = by.size()
        for row, name in enumerate(types):
            values = by.get_group(name).to_numpy(dtype=np.float64)
            _row(axes, row, values[np.isfinite(values)], _style.TYPE_COLORS.get(name, "#8a93a0"))
        sizes = [_style.thousands(size[name]) for name in types]
        labels = [f"{name} ({n})" for name, n in zip(types, sizes, strict=True)]
        _style.type_rows(axes, types, labels)
        end = float(position(np.fmax(cells["confidence"].max(), 0.95))) + 0.06
        ticks = [t for t in TICKS if position(t) <= end]
        axes.set_xlim(-0.04, end)
        axes.set_xticks([float(position(t)) for t in ticks], [f"{t:g}" for t in ticks])
        axes.axvline(float(position(LIMIT)), color=_style.INK, lw=0.8, ls=(0, (4, 2)), zorder=1)
        axes.grid(axis="x", color=_style.RULE, lw=0.5)
        axes.set_xlabel("Confidence of the call")
        axes.annotate(f"under {LIMIT:g}", (1, 1), xytext=(8, 4), xycoords="axes fraction",
                      textcoords="offset points", fontsize=7.5, color=_style.MUTED)  # fmt: skip
    return axes


def position(value: float | np.ndarray) -> np.ndarray:
    """Place on the axis: how many times the doubt is ten times smaller.

    >>> position(np.array([0.5, 0.9, 0.99])).round(2).tolist()
    [0.3, 1.0, 2.0]
    """
    return np.asarray(-np.log10(1.0 - np.clip(value, 0.0, HIGHEST)))


def _row(axes: Axes, row: int, values: np.ndarray, color: str) -> None:
    """One type: its distribution, and the share of unsure calls at the right."""
    place = axes.get_yaxis_transform()
    if values.size == 0:
        axes.text(0.01, row, "no confidence: surface proteins decided", transform=place,
                  va="center", fontsize=7.5, style="italic", color=_style.MUTED)  # fmt: skip
        return
    at = position(values)
    if values.size <= MOST_POINTS:
        order = np.argsort(np.argsort(at, kind="stable"), kind="stable")
        spread = np.array([0.0, 0.2, -0.2, 0.1, -0.1])[order % 5]
        axes.scatter(at, row + spread, s=11, color=color, alpha=0.85, linewidths=0, zorder=3)
    else:
        low, first, middle, third, high = np.quantile(at, QUANTILES)
        axes.plot([low, high], [row, row], color=color, lw=1.6, zorder=2)
        axes.plot([first, third], [row, row], color=color, lw=5.0, zorder=3)
        axes.plot([middle], [row], marker="o", color=color, ms=8, mec="white", mew=1.1, zorder=4)
    axes.annotate(
        _style.percent(float((values < LIMIT).mean())), (1, row), xytext=(8, 0), xycoords=place,
        textcoords="offset points", va="center", fontsize=7.5,
    )  # fmt: skip
