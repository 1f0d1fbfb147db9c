"""Evidence, capacity and response of every cell type, side by side and never added up."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

import numpy as np

from scifn.pl import _style, _triad_panels, _triad_words
from scifn.pl._source import reference_of
from scifn.pl._triad_panels import SMALL, Rows
from scifn.pl._triad_tables import (
    INTERFERONS,
    Triad,
    empty_panels,
    modules_and_residuals,
    triad_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    #: Makes small axes from left end and width in inches.
    Place = Callable[[float, float], Axes]

#: Inches. The figure is as wide as the text of most journals.
WIDTH: Final = 7.0
_LABELS, _NUMBERS, _GAP, _BETWEEN = 1.04, 0.33, 0.05, 0.18
_IFNA, _LIGAND, _MODULE = 0.84, 0.36, 0.3
_TOP, _BOTTOM = 0.72, 1.24
_NAMES: Final = {"IFNW1/IFNE": "IFNW1/\nIFNE"}
MODULES: Final = {
    "tlr79": "TLR7/9",
    "tlr3": "TLR3",
    "rlr": "RIG-I/\nMDA5",
    "cgas_sting": "cGAS-\nSTING",
    "brakes": "brakes",
}


def triad(adata: AnnData, *, ax: Axes | None = None) -> Figure:
    """Who makes interferon, who could, who responds: a row a cell type, three panels.

    *Evidence*: share of cells with transcripts of each interferon above ambient RNA, to its 95 %
    upper bound. Where none was found only the interval from 0 to the bound is drawn: any share
    within is possible. *Capacity*: expression of the sensors and brakes, filled as measured and
    hollow from genes that interferon is not known to move. *Response*: type I response, a dot a
    donor and their median. What is not measurable is hatched and has no mark.

    Evidence and capacity are of all donors' cells together, which is descriptive; ``2/8`` beside a
    dot are the donors with evidence, of those with such cells. Groups of fewer than ten cells have
    no mean. A panel whose step was not run says so.

    Parameters
    ----------
    adata
        With the output of :func:`scifn.tl.production`, :func:`scifn.tl.capacity` or
        :func:`scifn.tl.response`. Donors are shown after :func:`scifn.tl.donors`.
    ax
        Axes whose place the panels take (7 inches wide, or letters will be too large for it); a
        new figure where None.

    Returns
    -------
    The Figure.

    Raises
    ------
    scifn._errors.MissingKeyError
        If none of the three steps was run.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> row = {"donor": "", "condition": "SLE", "cell_type": "pDC", "ligand": "IFNA", "n_weak": 0.0}
    >>> row |= {"n_cells": 100.0, "n_strong": 0.0, "rate": 0.0, "upper95": 0.0256, "pooled": True}
    >>> adata = ad.AnnData(uns={"scifn": {"bounds": pd.DataFrame([row])}}, shape=(100, 0))
    >>> figure = scifn.pl.triad(adata)
    >>> [text.get_text() for text in figure.axes[0].texts[:1]]
    ['A  Evidence']
    """
    return draw(triad_of(adata), ax=ax, reference=reference_of(adata))


def draw(found: Triad, *, ax: Axes | None = None, reference: str | None = None) -> Figure:
    """Draw the three tables; see :class:`scifn.pl._triad_tables.Triad`."""
    rows = _rows(found, reference)
    step = 0.12 + 0.095 * max(len(rows.conditions), 1)
    bottom = _BOTTOM + _triad_words.LINE * max(len(rows.conditions) - 5, 0)  # a line a condition
    height = _TOP + step * max(len(rows.types), 1) + bottom
    with _style.style():
        page = _style.new_page(ax, width=WIDTH, height=height)
        if not rows.types:
            return _root(_style.empty(page, "No cell type has evidence, capacity or response"))
        page.set_axis_off()
        page.set_xlim(0, WIDTH)
        page.set_ylim(0, height)
        edges = _panels(page, found, rows, height, bottom)
        _triad_words.words(page, found, edges, height, bottom)
        _triad_words.legend(page, found, rows, edges, bottom)
    return _root(page)


def _root(ax: Axes) -> Figure:
    figure: Figure = ax.get_figure(root=True)  # type: ignore[assignment]
    return figure


def _rows(found: Triad, reference: str | None) -> Rows:
    tables = [table for table in found[:3] if table is not None]
    types = _style.type_order(name for table in tables for name in table["cell_type"])
    conditions = _style.condition_order((c for t in tables for c in t["condition"]), reference)
    # conditions are drawn in the order of the legend; cells of none have a row of their own
    if any((table["condition"].astype(str) == "").any() for table in tables):
        conditions.append("")
    return Rows(types, conditions, reference, _style.condition_looks(conditions))


# --- where things stand -------------------------------------------------------
def _panels(
    page: Axes, found: Triad, rows: Rows, height: float, bottom: float
) -> dict[str, tuple[float, float]]:
    """Draw all small axes; left and right end of each panel in inches."""
    tall = height - _TOP - bottom

    def place(left: float, wide: float) -> Axes:
        small = page.inset_axes((left / WIDTH, bottom / height, wide / WIDTH, tall / height))
        _style.despine(small)
        return small

    _numbers(place(_LABELS, _NUMBERS), found, rows)
    edges = _edges()
    empty = empty_panels(found)
    for panel, text in empty.items():
        left, right = edges[panel]
        _absent(place(left, right - left), text, width=int((right - left) * 15))
    if "evidence" not in empty and found.evidence is not None:
        _evidence(place, found.evidence, rows, edges["evidence"][0])
    if "capacity" not in empty and found.capacity is not None:
        _capacity(place, found, rows, edges["capacity"][0])
    if "response" not in empty and found.response is not None:
        left, right = edges["response"]
        _triad_panels.response(place(left, right - left), found.response, rows,
                               relative=found.against_controls[0])  # fmt: skip
    return edges


def _edges() -> dict[str, tuple[float, float]]:
    """Left and right end of each panel in inches."""
    left = _LABELS + _NUMBERS + 0.08
    evidence = (left, left + _IFNA + (len(INTERFERONS) - 1) * (_LIGAND + _GAP))
    left = evidence[1] + _BETWEEN
    capacity = (left, left + len(MODULES) * (_MODULE + _GAP) - _GAP)
    response = (capacity[1] + _BETWEEN, WIDTH - 0.06)
    return {"evidence": evidence, "capacity": capacity, "response": response}


def _evidence(place: Place, table: pd.DataFrame, rows: Rows, left: float) -> None:
    edge = _triad_panels.axis_edge(table["upper95"])
    for name in INTERFERONS:
        mine = table[(table["ligand"] == name).to_numpy()]
        first = name == INTERFERONS[0]
        small = place(left, _IFNA if first else _LIGAND)
        _triad_panels.ligand(small, _whole(mine, table, name), rows,
                             title=_NAMES.get(name, name), edge=edge)  # fmt: skip
        _percent_ticks(small, edge, wide=first)
        left += (_IFNA if first else _LIGAND) + _GAP


def _capacity(place: Place, found: Triad, rows: Rows, left: float) -> None:
    table = found.capacity
    if table is None:
        return
    if found.against_controls[1] and rows.reference is not None:
        # what others are held against is 0 by construction: no news
        others = (table["condition"].astype(str) != rows.reference).to_numpy()
        table = table[others] if others.any() else table
    table = table.assign(**{n: np.nan for n in modules_and_residuals() if n not in table})
    means = _triad_panels.means_of(table)
    limits = _triad_panels.z_limits(means)
    for i, (name, title) in enumerate(MODULES.items()):
        small = place(left + i * (_MODULE + _GAP), _MODULE)
        _triad_panels.module(small, means, rows, name, title=title, limits=limits)


def _whole(mine: pd.DataFrame, table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of a ligand that was not tested at all: not measurable, in every type."""
    if len(mine):
        return mine
    keys = table[["cell_type", "condition"]].drop_duplicates()
    return keys.assign(ligand=name, n_cells=0.0, n_found=np.nan, rate=np.nan, upper95=np.nan,
                       n_donors=np.nan, n_donors_found=np.nan)  # fmt: skip


def _percent_ticks(ax: Axes, edge: float, *, wide: bool) -> None:
    decades = [10.0**power for power in range(int(np.log10(edge)), 3)]
    ticks = [0.0, *decades] if wide else [0.0, 1.0, 100.0]
    shown = {0.0, 0.1, 1.0, 100.0} - {edge} if wide else {0.0, 1.0}
    ax.set_xticks(ticks, [f"{t:g}" if t in shown else "" for t in ticks])
    ax.minorticks_off()
    # those at the ends stay within, or they would touch those of the next axes
    ax.get_xticklabels()[0].set_horizontalalignment("left")
    ax.get_xticklabels()[-1].set_horizontalalignment("right")


def _absent(ax: Axes, text: str, *, width: int) -> None:
    """Say why a panel is empty."""
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set_xticks([])
    ax.set_yticks([])
    ax.text(0, 1, textwrap.fill(text, width), transform=ax.transAxes, va="top", fontsize=6.6,
            color=_style.MUTED, style="italic")  # fmt: skip


def _numbers(ax: Axes, found: Triad, rows: Rows) -> None:
    """Names of the types, and how many cells each condition has."""
    _style.type_rows(ax, rows.types)
    _triad_panels.ground(ax, rows, name="cells")
    ax.set_yticks(range(len(rows.types)), rows.types)
    ax.tick_params(axis="y", length=0, pad=11, labelsize=7.2)
    ax.set_xlim(0, 1)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    for cell_type in rows.types:
        for condition in rows.conditions:
            n = _n_cells(found, cell_type, condition)
            if n > 0:
                color = _style.darker(rows.looks[condition][0])
                ax.text(1.0, rows.y(cell_type, condition), _style.thousands(n), ha="right",
                        va="center", fontsize=SMALL, color=color)  # fmt: skip


def _n_cells(found: Triad, cell_type: str, condition: str) -> float:
    """Cells of a type: those scored, or those tested of the ligand with the most."""
    best = 0.0
    for table in (found.response, found.capacity, found.evidence):
        if table is not None:
            mine = table[((table["cell_type"] == cell_type)
                          & (table["condition"] == condition)).to_numpy()]  # fmt: skip
            n = mine["n_cells"].to_numpy(dtype=float)
            total = n.max(initial=0) if "ligand" in table else n.sum()
            best = max(best, float(total))
    return best
