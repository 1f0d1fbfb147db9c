"""How many cells of each type, by condition: the first thing to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scifn.pl import _style
from scifn.pl._source import cell_table, reference_of, untold

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

_FLOOR = 0.7  # left end of the logarithmic axis: one cell stays visible


def cell_types(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Cells of each type by condition, on a logarithmic axis with the counts written.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate`. Conditions are those that
        :func:`scifn.tl.donors` was given; without it all cells are one group.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes. A type that could not be measured is written as "not measurable".

    Raises
    ------
    scifn._errors.MissingKeyError
        If the cells are not annotated yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> obs = pd.DataFrame({"scifn_cell_type": ["pDC", "T/NK", "T/NK"]}).rename(index=str)
    >>> axes = scifn.pl.cell_types(ad.AnnData(obs=obs))
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['pDC', 'T/NK']
    """
    cells = cell_table(adata)
    table = (
        cells.groupby(["cell_type", "condition"], observed=True).size().rename("n_cells")
    ).reset_index()
    return draw(table, ax=ax, reference=reference_of(adata), not_measurable=untold(adata))


def draw(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    reference: str | None = None,
    not_measurable: tuple[str, ...] = (),
) -> Axes:
    """Draw ``cell_type, condition, n_cells``; types of ``not_measurable`` get a word."""
    # cells that the user's own labels placed there are shown all the same
    not_measurable = tuple(set(not_measurable) - set(table["cell_type"].astype(str)))
    types = _style.type_order([*table["cell_type"], *not_measurable])
    conditions = _style.condition_order(table["condition"], reference) or [""]
    looks = _style.condition_looks(conditions)
    count = {
        (str(t), str(c)): float(n)
        for t, c, n in zip(table["cell_type"], table["condition"], table["n_cells"], strict=True)
    }
    with _style.style():
        row = max(0.26, 0.15 * max(len(conditions), 1) + 0.1)
        axes = _style.new_axes(ax, width=6.4, height=0.9 + row * max(len(types), 1))
        if not types:
            return _style.empty(axes, "No cells")
        highest = max([*count.values(), 10.0])
        for position, name in enumerate(types):
            if name in not_measurable:
                axes.text(_FLOOR * 1.15, position, "not measurable", va="center",
                          color=_style.MUTED, style="italic", fontsize=7.5)  # fmt: skip
                continue
            points = [(count.get((name, c), 0.0), *looks[c]) for c in conditions]
            if len(conditions) == 1:  # nothing else needs the color
                points = [(points[0][0], _style.TYPE_COLORS.get(name, _style.NEUTRAL), "o")]
            _row(axes, position, points)
        for condition in conditions:
            color, marker = looks[condition]
            axes.plot([], [], marker=marker, color=color, ls="", ms=5, label=condition)
        axes.set_xscale("log")
        axes.set_xlim(_FLOOR, highest * 4)
        axes.xaxis.set_major_formatter(lambda value, _: _style.thousands(value))
        _style.type_rows(axes, types)
        axes.set_xlabel("Cells (logarithmic axis)")
        if len(conditions) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2,
                        handletextpad=0.2, columnspacing=1.4)  # fmt: skip
    return axes


def _row(axes: Axes, position: int, points: list[tuple[float, str, str]]) -> None:
    """One type: a dot a condition, its count beside it; zero is written, not drawn."""
    offsets = _dodge(len(points), width=0.2 * len(points) if len(points) < 4 else 0.7)
    for (n, color, marker), offset in zip(points, offsets, strict=True):
        y = position + offset
        if n > 0:
            axes.plot([_FLOOR, n], [y, y], color=_style.RULE, lw=1.1, zorder=1)
            axes.plot([n], [y], marker=marker, color=color, ms=5, ls="", zorder=3)
        axes.annotate(
            _style.thousands(n), (max(n, _FLOOR), y), xytext=(6 if n > 0 else 1, 0),
            textcoords="offset points", va="center", fontsize=7, color=_style.INK,
        )  # fmt: skip


def _dodge(n: int, *, width: float) -> list[float]:
    if n < 2:
        return [0.0] * n
    return [float(v) for v in np.linspace(-width / 2, width / 2, n)]
