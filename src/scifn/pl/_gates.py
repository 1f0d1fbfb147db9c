"""The gates on surface proteins, drawn on the cells that they were set on."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn import _slots
from scifn._errors import MissingKeyError
from scifn.pl import _style

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRANSITIONAL, B10 = k.BREG_KINDS[:2]
B_CELL: Final = "B cell"
NAMES: Final = {k.PDC: "pDC", TRANSITIONAL: "Transitional-like", B10: "B10-like"}
COLORS: Final = {
    k.PDC: _style.TYPE_COLORS[k.PDC],
    k.ASDC: _style.INK,
    TRANSITIONAL: _style.TYPE_COLORS[k.B_TRANSITIONAL],
    B10: _style.TYPE_COLORS[k.B_MEMORY],
}
#: Cells outside of every gate that are drawn; those inside all are.
MOST: Final = 20_000
TICKS: Final = (0, 5, 20, 100, 500, 2_000, 10_000, 50_000)
LOW_TICKS: Final = (0, 2, 5, 10, 20, 50)
#: Markers that tell AS-DC from pDC.
ASDC_MARKERS: Final = ("CD33", "CD5", "CD327")
_SIZE: Final = 2.75
_BINS: Final = 60


def gates(adata: AnnData, *, ax: Axes | None = None) -> Figure:
    """The gates on surface proteins over the cells that they were set on.

    One panel a gate: CD123 against CD303 (and CD304) of all cells, CD24 against CD38 and CD24
    against CD27 of B cells (CD19+ CD3-). Cells inside are colored. A pDC must pass the gates on
    other lineages too, so that not every cell beyond the two lines is one.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate` with ``protein``.
    ax
        Axes whose place the panels take; a new figure where None.

    Returns
    -------
    The Figure. Axes are asinh(UMI / 5) after the background of each cell was divided out, with
    UMI written at the ticks. A population that was not measurable says why.

    Raises
    ------
    scifn._errors.MissingKeyError
        If no gates are stored, or not the values of the proteins.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> row = {"population": "pDC", "protein": "", "note": "not measurable: no CD123"}
    >>> adata = ad.AnnData(uns={"scifn": {"gates": pd.DataFrame([row])}}, shape=(3, 0))
    >>> scifn.pl.gates(adata).axes[0].texts[0].get_text()
    'not measurable: no CD123'
    """
    table = _slots.table(adata, k.GATES, "scifn.tl.annotate(adata, protein=...)")
    values = adata.obsm.get(k.PROTEIN, pd.DataFrame())
    if not drawable(values, table):
        msg = (
            f"obsm[{k.PROTEIN!r}] does not hold the proteins that were gated: call "
            "scifn.tl.annotate(adata, protein=..., overwrite=True) again."
        )
        raise MissingKeyError(msg)
    return draw(values, table, ax=ax)


def drawable(values: pd.DataFrame, table: pd.DataFrame) -> bool:
    """Whether the values of every gated protein are there.

    >>> import pandas as pd
    >>> drawable(pd.DataFrame(), pd.DataFrame({"protein": ["CD19", ""]}))
    False
    """
    gated = {str(name) for name in table["protein"]} - {""}
    return gated <= set(map(str, values.columns))


def draw(values: pd.DataFrame, table: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw the gates of ``table`` on ``values``, a row a cell and a column a marker."""
    with _style.style():
        panels = _panels(table)
        n = len(panels)
        axes = _style.new_row(ax, n, width=0.35 + _SIZE * n, height=_SIZE + 0.45)
        for place, (population, x, y) in zip(axes, panels, strict=True):
            if x:
                _panel(place, values, table, population, x, y)
            else:
                _untold(place, table, population)
        figure: Figure = axes[0].get_figure(root=True)  # type: ignore[assignment]
    return figure


def _panels(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Population, x and y of each panel; no axes where it could not be gated."""
    out = []
    for population, x, choices in (
        (k.PDC, "CD123", ("CD303", "CD304")),
        (TRANSITIONAL, "CD24", ("CD38",)),
        (B10, "CD24", ("CD27",)),
    ):
        mine = table[table["population"] == population]
        gated = [y for y in choices if (mine["protein"] == y).any()]
        if gated:
            out += [(population, x, y) for y in gated]
        elif len(mine):
            out.append((population, "", ""))
    return out


# --- one panel ----------------------------------------------------------------
def _panel(
    ax: Axes, values: pd.DataFrame, table: pd.DataFrame, population: str, x: str, y: str
) -> None:
    stained = values.notna().all(axis=1).to_numpy()
    base = stained if population == k.PDC else inside(values, table, B_CELL)
    groups = {population: inside(values, table, population) & base}
    if population == B10:  # a cell in both gates is transitional-like
        groups[B10] &= ~inside(values, table, TRANSITIONAL)
    if population == k.PDC and (table["population"] == k.ASDC).any():
        groups[k.ASDC] = inside(values, table, k.PDC, asdc=True)
    shown = values[[x, y]].to_numpy(dtype=np.float64)
    colored = np.any(list(groups.values()), axis=0)
    _cloud(ax, shown[base & ~colored])
    for name, mine in groups.items():
        at = shown[mine]
        marker = "D" if name == k.ASDC else "o"
        ax.scatter(at[:, 0], at[:, 1], s=9, marker=marker, color=COLORS[name], zorder=4,
                   edgecolors="white", linewidths=0.3, rasterized=True)  # fmt: skip
    _lines(ax, table, population, x, y)
    _scale(ax, shown[base], x, y)
    _title(ax, table, population, groups)


def inside(
    values: pd.DataFrame, table: pd.DataFrame, population: str, *, asdc: bool = False
) -> np.ndarray:
    """Cells that pass every gate of a population; with ``asdc`` those that fail only AS-DC's."""
    rows = table[(table["population"] == population) & (table["protein"] != "")]
    passed = values.notna().all(axis=1).to_numpy()
    either, marked = np.zeros(len(values), dtype=bool), np.zeros(len(values), dtype=bool)
    for marker, side, at in rows[["protein", "side", "threshold"]].itertuples(index=False):
        above = values[marker].to_numpy() > at
        if side == "one above":
            either |= above
        elif marker in ASDC_MARKERS:
            marked |= above
        else:
            passed = passed & (above if side == "above" else ~above)
    if (rows["side"] == "one above").any():
        passed = passed & either
    return np.asarray(passed & (marked if asdc else ~marked))


def _untold(ax: Axes, table: pd.DataFrame, population: str) -> None:
    """Say why a population was not measurable."""
    note = str(table.loc[table["population"] == population, "note"].iloc[0])
    ax.set_axis_off()
    ax.set_title(NAMES[population], color=_style.MUTED, pad=16)
    ax.text(0, 0.98, textwrap.fill(note, 34), transform=ax.transAxes, va="top",
            color=_style.MUTED, fontsize=8)  # fmt: skip


def _cloud(ax: Axes, points: np.ndarray) -> None:
    """Cells outside of the gate, darker where there are many.

    A count is spread over half a UMI to both sides, so that equal ones do not hide each other.
    """
    if len(points) == 0:
        return
    points = points[:: max(1, -(-len(points) // MOST))]
    spread = np.random.default_rng(0).uniform(-0.1, 0.1, points.shape)
    points = np.arcsinh(np.sinh(points) + spread)
    low, high = points.min(axis=0), points.max(axis=0)
    bins = np.minimum((_BINS * (points - low) / (high - low + 1e-9)).astype(int), _BINS - 1)
    flat = np.bincount(bins[:, 0] * _BINS + bins[:, 1], minlength=_BINS**2)
    density = np.log1p(_blur(flat.reshape(_BINS, _BINS))[bins[:, 0], bins[:, 1]])
    order = np.argsort(density, kind="stable")
    shade = 0.35 + 0.5 * density / max(float(density.max()), 1e-9)
    ax.scatter(points[order, 0], points[order, 1], s=3.5, c=shade[order], cmap="Greys", vmin=0,
               vmax=1, linewidths=0, zorder=2, rasterized=True)  # fmt: skip


def _blur(counts: np.ndarray) -> np.ndarray:
    kernel = np.array([1.0, 4.0, 6.0, 4.0, 1.0]) / 16.0
    for axis in (0, 1):
        counts = np.apply_along_axis(np.convolve, axis, counts, kernel, mode="same")
    return np.asarray(counts)


def _lines(ax: Axes, table: pd.DataFrame, population: str, x: str, y: str) -> None:
    rows = table[table["population"] == population].set_index("protein")["threshold"]
    for draw_line, marker in ((ax.axvline, x), (ax.axhline, y)):
        draw_line(float(rows[marker]), color=_style.INK, lw=0.8, ls=(0, (4, 2)), zorder=3)


def _scale(ax: Axes, shown: np.ndarray, x: str, y: str) -> None:
    """Ticks in UMI, a little room around the cells."""
    for axis, marker, column in ((ax.xaxis, x, 0), (ax.yaxis, y, 1)):
        top = float(np.max(shown[:, column], initial=2.5))
        choice = LOW_TICKS if top < np.arcsinh(100 / 5) else TICKS
        ticks = [t for t in choice if np.arcsinh(t / 5) <= top]
        axis.set_ticks([float(np.arcsinh(t / 5)) for t in ticks])
        axis.set_ticklabels([_style.thousands(t) for t in ticks])
        axis.set_label_text(f"{marker} (UMI)")
        room = (-0.25, top + 0.3)
        ax.set_xlim(room) if column == 0 else ax.set_ylim(room)


def _title(ax: Axes, table: pd.DataFrame, population: str, groups: dict[str, np.ndarray]) -> None:
    """Name and share of the population, from the table, and AS-DC beside it."""
    row = table[(table["population"] == population) & (table["protein"] == "")].iloc[0]
    of = "cells" if population == k.PDC else "B cells"
    ax.set_title(NAMES[population], color=COLORS[population], pad=16)
    said = (
        f"{_style.thousands(row['n_positive'])} of {_style.thousands(row['of'])} {of} "
        f"({_style.percent(row['percent'] / 100)})"
    )
    ax.text(0, 1.02, said, transform=ax.transAxes, va="bottom", fontsize=7.5)
    if k.ASDC in groups:
        n = _style.thousands(int(groups[k.ASDC].sum()))
        ax.annotate(f"◆ {n} AS-DC-like", (1, 1), xytext=(0, 16), xycoords="axes fraction",
                    textcoords="offset points", ha="right", fontsize=7.5,
                    color=COLORS[k.ASDC])  # fmt: skip
