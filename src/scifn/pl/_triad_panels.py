"""The small axes of :func:`scifn.pl.triad`: one ligand, one module, or the response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import NullLocator

from scifn.pl import _style
from scifn.pl._triad_tables import MIN_CELLS, RESPONSE, modules_and_residuals, pool

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Half the height that the conditions of a type share, in rows.
SPREAD: Final = 0.24
#: Part of the axis, in decades, between 0 and where it becomes logarithmic.
LINEAR: Final = 0.6
SMALL: Final = 5.6
#: Dots: an interval without a dot in it.
NONE: Final = (0, (1, 1.3))
#: What is not measurable, and what too few cells show: never a mark, never at 0.
HATCHED: Final[dict[str, Any]] = {
    "facecolor": "#eceff2",
    "edgecolor": "#aab3be",
    "hatch": "//////",
    "lw": 0,
}
FEW: Final[dict[str, Any]] = {"facecolor": "#f1f3f5", "edgecolor": "none", "lw": 0}


@dataclass(frozen=True)
class Rows:
    """Cell types from top to bottom, and the conditions of each, the reference first."""

    types: list[str]
    conditions: list[str]
    reference: str | None
    looks: dict[str, tuple[str, str]] = field(default_factory=dict)

    def y(self, cell_type: str, condition: str) -> float:
        """Height of a condition within its type."""
        n = len(self.conditions)
        offset = np.linspace(-SPREAD, SPREAD, n)[self.conditions.index(condition)] if n > 1 else 0.0
        return float(self.types.index(cell_type) + offset)

    @property
    def half(self) -> float:
        """Half the height of one condition."""
        return 0.42 if len(self.conditions) < 2 else SPREAD / (len(self.conditions) - 1)


def ground(ax: Axes, rows: Rows, *, name: str = "") -> None:
    """Rows without names, a line between types, the heading."""
    ax.set_ylim(len(rows.types) - 0.5, -0.5)
    ax.yaxis.set_major_locator(NullLocator())
    ax.yaxis.set_minor_locator(NullLocator())
    for side in ("left", "top", "right"):
        ax.spines[side].set_visible(False)
    for row in range(1, len(rows.types)):
        ax.axhline(row - 0.5, color=_style.RULE, lw=0.4, zorder=0)
    ax.tick_params(axis="x", labelsize=SMALL, length=2, pad=1.5)
    ax.text(0.5, 1.0, name, transform=ax.transAxes, ha="center", va="bottom", fontsize=6.4,
            linespacing=0.95)  # fmt: skip


def fill(ax: Axes, rows: Rows, y: float, *, measurable: bool) -> None:
    """Ground of a row that has no value."""
    look = FEW if measurable else HATCHED
    ax.fill_between([0, 1], y - 0.85 * rows.half, y + 0.85 * rows.half,
                    transform=ax.get_yaxis_transform(),
                    zorder=0.5, **look)  # fmt: skip


# --- evidence -----------------------------------------------------------------
def ligand(ax: Axes, table: pd.DataFrame, rows: Rows, *, title: str, edge: float) -> None:
    """Share of cells with evidence of one ligand, to the upper bound; from 0 where none was."""
    ground(ax, rows, name=title)
    ax.set_xscale("symlog", linthresh=edge, linscale=LINEAR)
    ax.set_xlim(0, 100)
    ax.axvline(0, color=_style.NEUTRAL, lw=0.6, zorder=1)
    lines: Any = table.itertuples(index=False)
    for row in lines:
        y = rows.y(str(row.cell_type), str(row.condition))
        color, marker = rows.looks[str(row.condition)]
        if not (row.n_cells > 0 and np.isfinite(row.n_found)):
            fill(ax, rows, y, measurable=False)
            continue
        start, end = 100 * float(row.rate), 100 * float(row.upper95)
        found = row.n_found > 0
        ax.plot([start, end], [y, y], color=color, lw=1.1 if found else 0.9, zorder=2,
                ls="-" if found else NONE)  # fmt: skip
        ax.plot([end], [y], marker="|", ms=4.2, mew=1.1, color=color, ls="", zorder=3,
                clip_on=False)  # fmt: skip
        if found:
            ax.plot([start], [y], marker=marker, ms=3.8, color=color, ls="", zorder=4,
                    clip_on=False)  # fmt: skip
            if np.isfinite(row.n_donors):
                ax.annotate(f"{row.n_donors_found:.0f}/{row.n_donors:.0f}", (start, y),
                            xytext=(-3.5, 0), textcoords="offset points", ha="right", va="center",
                            fontsize=5.2, color=_style.darker(color))  # fmt: skip


def axis_edge(upper: pd.Series) -> float:
    """Percent at which the axis turns logarithmic: the decade of the smallest bound.

    >>> import pandas as pd
    >>> axis_edge(pd.Series([0.5, 0.0003, float("nan")]))
    0.01
    """
    values = 100 * upper.to_numpy(dtype=float)
    values = values[np.isfinite(values) & (values > 0)]
    if not values.size:
        return 0.1
    return float(10.0 ** np.clip(np.floor(np.log10(values.min())), -4, 0))


# --- capacity -----------------------------------------------------------------
def module(
    ax: Axes, table: pd.DataFrame, rows: Rows, name: str, *, title: str, limits: tuple[float, float]
) -> None:
    """Mean z of one module: filled as it is, hollow from genes that interferon does not move."""
    ground(ax, rows, name=title)
    ax.axvline(0, color=_style.MUTED, lw=0.6, zorder=1)
    ax.set_xlim(*limits)
    whole = next(t for t in (50, 20, 10, 5, 2, 1) if t <= limits[1])
    ax.set_xticks([-1, 0, 1] if whole == 1 else [0, whole])
    for kind, condition, mine in _groups(table):
        y = rows.y(kind, condition)
        color, marker = rows.looks[condition]
        cells, value = pool(mine, name)
        _, rest = pool(mine, f"{name}_resid")
        if cells < MIN_CELLS or not np.isfinite(value):
            fill(ax, rows, y, measurable=cells < MIN_CELLS)
            continue
        at = [float(np.clip(v, *limits)) for v in (value, rest)]
        if np.isfinite(rest):
            ax.plot(at, [y, y], color=color, lw=0.7, zorder=2)
        ax.plot(at[:1], [y], marker=marker, ms=3.6, color=color, ls="", zorder=3, clip_on=False)
        if np.isfinite(rest):
            ax.plot(at[1:], [y], marker=marker, ms=3.4, color=color, mfc="white", mew=0.8, ls="",
                    zorder=4, clip_on=False)  # fmt: skip


def z_limits(table: pd.DataFrame) -> tuple[float, float]:
    """One axis for all modules, from at least -1 to 1."""
    names = modules_and_residuals()
    found = [pool(mine, name) for _, _, mine in _groups(table) for name in names]
    values = [value for n, value in found if n >= MIN_CELLS and np.isfinite(value)]
    low, high = min([-1.0, *values]), max([1.0, *values])
    room = 0.08 * (high - low)
    return low - room, high + room


# --- response -----------------------------------------------------------------
def response(ax: Axes, table: pd.DataFrame, rows: Rows, *, relative: bool) -> None:
    """A dot a donor with their median; all cells together where no donor has enough."""
    ground(ax, rows)
    if relative:
        ax.axvline(0, color=_style.MUTED, lw=0.6, zorder=1)
    drawn = []
    for kind, condition, mine in _groups(table):
        y = rows.y(kind, condition)
        color, marker = rows.looks[condition]
        donors = _scale(mine.loc[_enough(mine), RESPONSE].to_numpy(dtype=float), relative=relative)
        cells, mean = pool(mine, RESPONSE)
        if cells < MIN_CELLS or not np.isfinite(mean):
            fill(ax, rows, y, measurable=cells < MIN_CELLS)
            continue
        ax.scatter(donors, y + _scatter(donors) * rows.half, s=7, marker=marker, color=color,
                   alpha=0.75, linewidths=0, zorder=4)  # fmt: skip
        if donors.size > 1:
            ax.plot(np.full(2, np.median(donors)), [y - 0.8 * rows.half, y + 0.8 * rows.half],
                    color=color, lw=1.5, zorder=3)  # fmt: skip
        else:
            at = _scale(np.array([mean]), relative=relative)
            ax.plot(at, [y], marker=marker, ms=3.8, color=color, mfc="white", mew=0.9, ls="",
                    zorder=5)  # fmt: skip
            drawn += at.tolist()
        drawn += donors.tolist()
    _response_axis(ax, drawn, relative=relative)


def _groups(table: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """Cell type, condition, and their rows."""
    by = table.groupby(["cell_type", "condition"], sort=False, observed=True)
    return [(str(kind), str(condition), mine) for (kind, condition), mine in by]


def _enough(mine: pd.DataFrame) -> np.ndarray:
    """Donors with enough cells for a dot."""
    named = (mine["donor"].astype(str) != "").to_numpy()
    n = mine["n_cells"].to_numpy(dtype=float)
    return np.asarray(named & (n >= MIN_CELLS) & np.isfinite(mine[RESPONSE].to_numpy(dtype=float)))


def _scale(values: np.ndarray, *, relative: bool) -> np.ndarray:
    """log2 of the fold of control cells; rates without controls as they are."""
    return np.log2(np.maximum(1.0 + values, 0.01)) if relative else values


def _scatter(values: np.ndarray) -> np.ndarray:
    """Small offsets, the same at every drawing, so that equal values do not hide each other."""
    order = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.array([0.0, 0.5, -0.5, 0.25, -0.25])[order % 5]


def _response_axis(ax: Axes, drawn: list[float], *, relative: bool) -> None:
    if not relative:
        ax.set_xlim(0, 1.1 * max([*drawn, 0.1]))
        return
    low, high = min([*drawn, -0.5]), max([*drawn, 1.2])
    ax.set_xlim(low - 0.2, high + 0.2)
    step = max(1, int(np.ceil((high - low) / 4)))
    ticks = [t for t in range(-10, 11) if t % step == 0 and low - 0.2 <= t <= high + 0.2]
    ax.set_xticks(ticks, [f"{2.0**t:g}" for t in ticks])
