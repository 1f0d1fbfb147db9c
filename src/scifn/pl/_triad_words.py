"""Headings, units and legends of :func:`scifn.pl.triad`: what is what, and what it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scifn.pl import _style, _triad_panels
from scifn.pl._triad_panels import Rows
from scifn.pl._triad_tables import MIN_CELLS, Triad, empty_panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Places a line of a legend and returns its height.
Entry = Callable[[float, float, str], float]
#: Height of a line of a legend, in inches.
LINE: Final = 0.135
TITLES: Final = {
    "evidence": ("A  Evidence", "transcripts of interferon itself"),
    "capacity": ("B  Capacity", "machinery that could make it"),
    "response": ("C  Response", "genes it induces"),
}
CAPTION: Final = (
    "Three different things, side by side and never added up. Zero does not exclude secretion; "
    "expression of pathway components is not\ntheir activity; a response is to type I interferon "
    "(ligand not identifiable), whoever made it. Donors are the unit of every comparison."
)


def words(
    page: Axes, found: Triad, edges: dict[str, tuple[float, float]], height: float, bottom: float
) -> None:
    top = height - 0.06
    for panel, (left, right) in edges.items():
        head, below = TITLES[panel]
        page.text(left, top, head, fontsize=9, fontweight="bold", va="top")
        page.text(left, top - 0.17, below, fontsize=6.6, va="top", color=_style.MUTED)
        page.plot([left, right], [top - 0.33] * 2, color=_style.INK, lw=0.6)
    relative, against = found.against_controls
    units = {
        "evidence": "% of cells",
        "capacity": "mean z v controls" if against else "mean z v all cells",
        "response": "fold of controls" if relative else "weighted rate",
    }
    for panel in set(units) - set(empty_panels(found)):
        page.text(sum(edges[panel]) / 2, bottom - 0.17, units[panel], fontsize=6.6, ha="center",
                  va="top")  # fmt: skip
    page.text(0.05, 0.04, CAPTION, fontsize=6.4, va="bottom", color=_style.INK, linespacing=1.25)


def legend(
    page: Axes,
    found: Triad,
    rows: Rows,
    edges: dict[str, tuple[float, float]],
    bottom: float,
) -> None:
    y0 = bottom - 0.42

    def entry(left: float, i: float, text: str) -> float:
        y = y0 - i * LINE
        page.text(left + 0.27, y, text, fontsize=6.2, va="center")
        return y

    if len(rows.conditions) > 1:
        for i, condition in enumerate(rows.conditions):
            color, marker = rows.looks[condition]
            y = entry(0.05, i, _short(condition) or "(none)")
            page.plot([0.17], [y], marker=marker, ms=4, color=color, ls="")
    empty = empty_panels(found)
    if found.evidence is not None:
        _legend_evidence(page, found.evidence, edges["evidence"][0], entry)
    if "capacity" not in empty:
        _legend_capacity(page, edges["capacity"][0], entry)
    if found.response is not None:
        _legend_response(page, found.response, edges["response"][0], entry)


def _legend_evidence(page: Axes, table: pd.DataFrame, left: float, entry: Entry) -> None:
    ink = _style.INK
    y = entry(left, 0, "cells with evidence, to the 95 % upper bound")
    page.plot([left + 0.04, left + 0.2], [y, y], color=ink, lw=1.1)
    page.plot([left + 0.04], [y], marker="o", ms=3.8, color=ink)
    page.plot([left + 0.2], [y], marker="|", ms=4.2, mew=1.1, color=ink)
    y = entry(left, 1, "none detected: any share from 0 to the bound")
    page.plot([left + 0.02, left + 0.2], [y, y], color=ink, lw=0.9, ls=_triad_panels.NONE)
    page.plot([left + 0.2], [y], marker="|", ms=4.2, mew=1.1, color=ink)
    y = entry(left, 2, "not measurable, which is not 0")
    _box(page, left, y, _triad_panels.HATCHED)
    if np.isfinite(table["n_donors"].to_numpy(dtype=float)).any():
        y = entry(left, 3, "donors with evidence / donors with such cells")
        page.text(left + 0.11, y, "2/8", fontsize=5.4, ha="center", va="center")


def _legend_capacity(page: Axes, left: float, entry: Entry) -> None:
    entries = ((0.0, _style.INK, "all genes of the module"),
               (1.35, "white", "without genes that\ninterferon moves"))  # fmt: skip
    for i, face, text in entries:
        y = entry(left, i, text)
        page.plot([left + 0.11], [y], marker="o", ms=3.6, color=_style.INK, mfc=face, mew=0.8)
    y = entry(left, 2.7, f"fewer than {MIN_CELLS} cells")
    _box(page, left, y, _triad_panels.FEW)


def _legend_response(page: Axes, table: pd.DataFrame, left: float, entry: Entry) -> None:
    ink = _style.INK
    donors = bool((table["donor"].astype(str) != "").any())
    if donors:
        y = entry(left, 0, "donor; median")
        page.plot([left + 0.06], [y], marker="o", ms=2.6, color=ink, alpha=0.75)
        page.plot([left + 0.17] * 2, [y - 0.05, y + 0.05], color=ink, lw=1.5)
    y = entry(left, int(donors), "cells pooled")
    page.plot([left + 0.11], [y], marker="o", ms=3.8, color=ink, mfc="white", mew=0.9)


def _box(page: Axes, left: float, y: float, look: dict[str, Any]) -> None:
    page.fill_between([left + 0.02, left + 0.2], y - 0.045, y + 0.045, **look)


def _short(name: str) -> str:
    """A condition's name that leaves the next legend alone.

    >>> _short("systemic lupus, untreated")
    'systemic lupus, u…'
    """
    return name if len(name) <= 18 else f"{name[:17]}…"
