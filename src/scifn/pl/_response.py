"""Response to type I interferon by lineage and condition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scifn import _keys as k
from scifn.pl import _style
from scifn.pl._source import cell_table, donor_responses, reference_of
from scifn.pl._spread import MANY, beside
from scifn.pl._triad_tables import against_controls

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes


def response(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Type I response: boxes show cells, points show donors.

    A box spans the middle half of the cells, its whiskers the 5th to the 95th
    percentile. The points are the donors' values of the donor table: they, not the
    cells, are what groups are compared on.

    Parameters
    ----------
    adata
        Scored by :func:`scifn.tl.response`.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the response was not scored yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> obs = pd.DataFrame(
    ...     {"scifn_cell_type": ["pDC"] * 3, "scifn_response_type1": [0.0, 1.0, 2.0]}
    ... ).rename(index=str)
    >>> scifn.pl.response(ad.AnnData(obs=obs)).get_xticklabels()[0].get_text()
    'DC'
    """
    return draw(
        cell_table(adata, needs=k.RESPONSE_TYPE1),
        donors=donor_responses(adata),
        ax=ax,
        reference=reference_of(adata),
        relative=against_controls(adata, "response"),
    )


def draw(
    cells: pd.DataFrame,
    *,
    donors: pd.DataFrame | None = None,
    ax: Axes | None = None,
    reference: str | None = None,
    relative: bool = True,
) -> Axes:
    """Draw ``lineage, condition, response`` of cells; donors have the same columns.

    ``relative`` says whether the response is an excess over controls, or a rate.
    """
    cells = cells[np.isfinite(cells["response"].to_numpy(dtype=np.float64))]
    present = {str(name) for name in cells["lineage"].unique()} - {"Unassigned"}
    lineages = [name for name in k.LINEAGES if name in present]
    conditions = _style.condition_order(cells["condition"], reference) or [""]
    looks = _style.condition_looks(conditions)
    of_cells, of_donors = _by_group(cells), _by_group(donors)
    with _style.style():
        axes = _style.new_axes(ax, width=6.8, height=3.4)
        if not lineages:
            return _style.empty(axes, "The response was not measurable in any cell")
        step = 0.76 / max(len(conditions), 1)
        if relative:
            axes.axhline(0, color=_style.RULE, lw=0.8, zorder=0)
        for position, lineage in enumerate(lineages):
            for i, condition in enumerate(conditions):
                x = position + (i - (len(conditions) - 1) / 2) * step
                key = (lineage, condition)
                if key in of_cells:
                    _box(axes, x, step, of_cells[key], looks[condition][0])
                if key in of_donors:
                    _points(axes, x, step, of_donors[key], looks[condition])
        for condition in conditions:
            color, marker = looks[condition]
            axes.plot([], [], marker=marker, color=color, ls="", ms=5,
                      label=condition or "cells")  # fmt: skip
        axes.set_xlim(-0.6, len(lineages) - 0.4)
        axes.set_xticks(range(len(lineages)), lineages)
        axes.tick_params(axis="x", length=0)
        unit = "excess over the reference" if relative else "weighted UMI per 10,000"
        axes.set_ylabel(f"Type I interferon response\n({unit})")
        if len(conditions) > 1:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2,
                        handletextpad=0.2, columnspacing=1.4)  # fmt: skip
    return axes


def _by_group(table: pd.DataFrame | None) -> dict[tuple[str, str], np.ndarray]:
    """Known responses of each lineage and condition."""
    if table is None:
        return {}
    groups = table.groupby(["lineage", "condition"], observed=True)["response"]
    found = {(str(a), str(b)): np.asarray(part, np.float64) for (a, b), part in groups}
    return {key: values[np.isfinite(values)] for key, values in found.items()}


def _box(axes: Axes, x: float, step: float, values: np.ndarray, color: str) -> None:
    if values.size == 0:
        return
    axes.boxplot(
        values, positions=[x], widths=step * 0.7, whis=(5, 95), showfliers=False,
        patch_artist=True, manage_ticks=False,
        boxprops={"facecolor": color, "alpha": 0.28, "edgecolor": color, "linewidth": 0.9},
        whiskerprops={"color": color, "linewidth": 0.9},
        capprops={"color": color, "linewidth": 0.9},
        medianprops={"color": color, "linewidth": 1.8},
    )  # fmt: skip


def _points(axes: Axes, x: float, step: float, values: np.ndarray, look: tuple[str, str]) -> None:
    color, marker = look
    width = step * (0.42 if len(values) > MANY else 0.25)
    axes.scatter(x + beside(values) * width, values, s=14, marker=marker, color=color,
                 edgecolors="white", linewidths=0.5, zorder=4)  # fmt: skip
