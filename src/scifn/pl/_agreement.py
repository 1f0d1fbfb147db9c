"""Calls against labels that the data came with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap

from scifn import _keys as k
from scifn import _slots
from scifn._errors import ArgumentError
from scifn.pl import _style

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

_MAP: Final = LinearSegmentedColormap.from_list("white to blue", ["#ffffff", "#9dbfda", "#1d5a93"])
#: Labels that are drawn, those of the most cells.
MOST: Final = 60
#: Shares above this are dark enough for white figures.
_DARK: Final = 0.55


def agreement(adata: AnnData, *, labels: str | None = None, ax: Axes | None = None) -> Axes:
    """Cells of each label by called type: counts, shaded by the share of the label's cells.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate`.
    labels
        Column of obs with labels of your own; None takes the one that ``annotate`` was given.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes, with up to 60 labels, those of the most cells. Labels that bound the calls
    (``labels=`` of :func:`scifn.tl.annotate`) agree with them where they could not do otherwise.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the cells are not annotated yet, or there is no such column.
    scifn._errors.ArgumentError
        If no column is named, and ``annotate`` was given none.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> obs = pd.DataFrame({"scifn_cell_type": ["pDC", "T/NK", "T/NK"], "mine": ["p", "t", "p"]})
    >>> axes = scifn.pl.agreement(ad.AnnData(obs=obs.rename(index=str)), labels="mine")
    >>> [text.get_text() for text in axes.texts]
    ['1', '1', '1']
    """
    _slots.need_obs(adata, k.CELL_TYPE, "scifn.tl.annotate(adata)")
    if labels is None:
        labels = str(adata.uns.get(k.UNS, {}).get("annotate", {}).get("labels", "")) or None
    if labels is None:
        there = ", ".join(map(str, adata.obs.columns[:30]))
        msg = f"name the column of obs to compare with, labels=...; it has: {there}."
        raise ArgumentError(msg)
    values = _slots.words(_slots.column(adata, labels, "labels")).to_numpy()
    pairs = pd.DataFrame(
        {"label": values, "cell_type": adata.obs[k.CELL_TYPE].astype(str).to_numpy()}
    )
    counts = pairs.value_counts(sort=False).rename("n_cells").reset_index()
    return draw(counts, ax=ax, name=labels)


def draw(table: pd.DataFrame, *, ax: Axes | None = None, name: str = "label") -> Axes:
    """Draw ``label, cell_type, n_cells``; ``name`` is the column that the labels are from."""
    counts = table.pivot_table(
        index="label", columns="cell_type", values="n_cells", aggfunc="sum", fill_value=0
    )
    n_labels = len(counts)
    if n_labels > MOST:
        counts = counts.loc[counts.sum(axis=1).nlargest(MOST).index]
    types = _style.type_order(counts.columns)
    with _style.style():
        axes = _style.new_axes(
            ax, width=2.2 + 0.46 * max(len(types), 2), height=1.75 + 0.26 * max(len(counts), 1)
        )
        if not len(counts):
            return _style.empty(axes, "No cell has a label")
        counts = counts[types].loc[order(counts[types])]
        number = counts.to_numpy(dtype=np.float64)
        share = number / number.sum(axis=1, keepdims=True)
        axes.pcolormesh(share, cmap=_MAP, vmin=0, vmax=1, edgecolors="white", linewidth=1.0)
        for row, column in zip(*np.nonzero(number), strict=True):
            axes.text(column + 0.5, row + 0.5, _style.thousands(number[row, column]), ha="center",
                      va="center", fontsize=7,
                      color="white" if share[row, column] > _DARK else _style.INK)  # fmt: skip
        axes.set_ylim(len(counts), 0)
        axes.set_yticks(np.arange(len(counts)) + 0.5,
                        [f"{label} ({_style.thousands(n)})" for label, n in
                         zip(counts.index, number.sum(axis=1), strict=True)])  # fmt: skip
        axes.xaxis.tick_top()
        axes.set_xticks(np.arange(len(types)) + 0.5, types, rotation=45, ha="left",
                        rotation_mode="anchor")  # fmt: skip
        axes.tick_params(length=0)
        for tick, kind in zip(axes.get_xticklabels(), types, strict=True):
            tick.set_color(_style.darker(_style.TYPE_COLORS.get(kind, _style.NEUTRAL)))
        for spine in axes.spines.values():
            spine.set_visible(False)
        rows = f"Rows: {name}" if n_labels <= MOST else f"Rows: {name}, {MOST} of {n_labels} labels"
        axes.set_xlabel(f"{rows}. Columns: calls. Figures: cells; shade: share of the row")
    return axes


def order(counts: pd.DataFrame) -> list[str]:
    """Labels by the type that most of their cells are called, so that agreement is a diagonal.

    >>> import pandas as pd
    >>> counts = pd.DataFrame({"pDC": [0, 9], "T/NK": [5, 1]}, index=["t", "p"])
    >>> order(counts)
    ['p', 't']
    """
    main = counts.to_numpy().argmax(axis=1)
    return [str(counts.index[i]) for i in np.argsort(main, kind="stable")]
