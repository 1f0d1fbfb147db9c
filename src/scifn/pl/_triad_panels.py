"""The small axes of :func:`scifn.pl.triad`: one ligand, one module, or the response."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.ticker import NullLocator

from scifn.pl import _style
from scifn.pl._spread import MANY, beside
from scifn.pl._triad_tables import MIN_CELLS, RESPONSE, modules_and_residuals, pool

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: Of each type and condition: cells, and the mean of each module.
Means = dict[tuple[str, str], tuple[float, dict[str, float]]]
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
    between = np.arange(1, len(rows.types)) - 0.5
    ax.hlines(between, 0, 1, transform=ax.get_yaxis_transform(), color=_style.RULE, lw=0.4,
              zorder=0)  # fmt: skip
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
    n, found = (table[c].to_numpy(dtype=float) for c in ("n_cells", "n_found"))
    y = np.array([rows.y(str(t), str(c)) for t, c in zip(table["cell_type"], table["condition"],
                                                         strict=True)])  # fmt: skip
    known = (n > 0) & np.isfinite(found)
    for at in y[~known]:
        fill(ax, rows, at, measurable=False)
    start, end = (100 * table[c].to_numpy(dtype=float) for c in ("rate", "upper95"))
    for condition in rows.conditions:
        mine = known & (table["condition"].astype(str) == condition).to_numpy()
        if not mine.any():
            continue
        color, marker = rows.looks[condition]
        looks = ((mine & (found > 0), 1.1, "-"), (mine & (found == 0), 0.9, NONE))
        for some, width, dashes in looks:
            if some.any():
                ax.hlines(y[some], start[some], end[some], color=color, lw=width, ls=dashes,
                          zorder=2)  # fmt: skip
        ax.plot(end[mine], y[mine], marker="|", ms=4.2, mew=1.1, color=color, ls="", zorder=3,
                clip_on=False)  # fmt: skip
        some = mine & (found > 0)
        if some.any():
            ax.plot(start[some], y[some], marker=marker, ms=3.8, color=color, ls="", zorder=4,
                    clip_on=False)  # fmt: skip
        for i in np.flatnonzero(some):
            _donors(ax, table.iloc[i], start[i], y[i], color)


def _donors(ax: Axes, row: pd.Series, x: float, y: float, color: str) -> None:
    """``2/8`` left of a dot: donors with evidence, of those with such cells."""
    if np.isfinite(row["n_donors"]):
        ax.annotate(f"{row['n_donors_found']:.0f}/{row['n_donors']:.0f}", (x, y), xytext=(-3.5, 0),
                    textcoords="offset points", ha="right", va="center", fontsize=5.2,
                    color=_style.darker(color))  # fmt: skip


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
    ax: Axes, means: Means, rows: Rows, name: str, *, title: str, limits: tuple[float, float]
) -> None:
    """Mean z of one module: filled as it is, hollow from genes that interferon does not move."""
    ground(ax, rows, name=title)
    ax.axvline(0, color=_style.MUTED, lw=0.6, zorder=1)
    ax.set_xlim(*limits)
    whole = next(t for t in (50, 20, 10, 5, 2, 1) if t <= limits[1])
    ax.set_xticks([-1, 0, 1] if whole == 1 else [0, whole])
    drawn: dict[str, list[tuple[float, float, float]]] = {name: [] for name in rows.conditions}
    for (kind, condition), (cells, found) in means.items():
        y, value, rest = rows.y(kind, condition), found[name], found[f"{name}_resid"]
        if cells < MIN_CELLS or not np.isfinite(value):
            fill(ax, rows, y, measurable=cells < MIN_CELLS)
        else:
            drawn[condition].append((y, value, rest))
    for condition, values in drawn.items():
        if values:
            y, value, rest = np.array(values).T
            color, marker = rows.looks[condition]
            ax.hlines(y, value, rest, color=color, lw=0.7, zorder=2)
            ax.plot(value, y, marker=marker, ms=3.6, color=color, ls="", zorder=3)
            ax.plot(rest, y, marker=marker, ms=3.4, color=color, mfc="white", mew=0.8, ls="",
                    zorder=4)  # fmt: skip


def means_of(table: pd.DataFrame) -> Means:
    """Cells of each type and condition, and the mean of each module over them."""
    names = modules_and_residuals()
    return {
        (kind, condition): (
            float(mine["n_cells"].sum()),
            {name: pool(mine, name)[1] for name in names},
        )
        for kind, condition, mine in _groups(table)
    }


def z_limits(means: Means) -> tuple[float, float]:
    """One axis for all modules, from at least -1 to 1."""
    values = [
        value
        for cells, found in means.values()
        for value in found.values()
        if cells >= MIN_CELLS and np.isfinite(value)
    ]
    low, high = min([-1.0, *values]), max([1.0, *values])
    room = 0.14 * (high - low)  # the axes are narrow: half a mark must fit beside the ends
    return low - room, high + room


# --- response -----------------------------------------------------------------
def response(ax: Axes, table: pd.DataFrame, rows: Rows, *, relative: bool) -> None:
    """A dot a donor with their median; all cells together where no donor has enough."""
    ground(ax, rows)
    if relative:
        ax.axvline(0, color=_style.MUTED, lw=0.6, zorder=1)
    drawn: list[float] = []
    dots: dict[str, list[list[np.ndarray]]] = {name: [[], [], []] for name in rows.conditions}
    for kind, condition, mine in _groups(table):
        y = rows.y(kind, condition)
        donors = _scale(mine.loc[_enough(mine), RESPONSE].to_numpy(dtype=float), relative=relative)
        cells, mean = pool(mine, RESPONSE)
        if cells < MIN_CELLS or not np.isfinite(mean):
            fill(ax, rows, y, measurable=cells < MIN_CELLS)
            continue
        each, middle, pooled = dots[condition]
        each.append(np.column_stack([donors, y + _places(donors) * rows.half]))
        # one donor or none: all cells together
        one = np.median(donors) if donors.size > 1 else _scale(np.array(mean), relative=relative)
        (middle if donors.size > 1 else pooled).append(np.array([[one, y]]))
        drawn += [float(one), *donors.tolist()]
    for condition, (each, middle, pooled) in dots.items():
        color, marker = rows.looks[condition]
        if each:
            x, y_ = np.vstack(each).T
            ax.scatter(x, y_, s=7, marker=marker, color=color, alpha=0.75,
                       linewidths=0, zorder=4)  # fmt: skip
        if middle:
            x, y_ = np.vstack(middle).T
            ax.vlines(x, y_ - 0.8 * rows.half, y_ + 0.8 * rows.half, color=color, lw=1.5, zorder=3)
        if pooled:
            ax.plot(*np.vstack(pooled).T, marker=marker, ms=3.8, color=color, mfc="white", mew=0.9,
                    ls="", zorder=5)  # fmt: skip
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


def _places(values: np.ndarray) -> np.ndarray:
    """Small offsets, the same at every drawing, so that equal values do not hide each other."""
    return beside(values) * (0.9 if len(values) > MANY else 0.5)


def _response_axis(ax: Axes, drawn: list[float], *, relative: bool) -> None:
    if not relative:
        ax.set_xlim(0, 1.1 * max([*drawn, 0.1]))
        return
    low, high = min([*drawn, -0.5]), max([*drawn, 1.2])
    edge = max(0.2, 0.06 * (high - low))  # a mark at the end is drawn whole
    ax.set_xlim(low - edge, high + edge)
    step = max(1, int(np.ceil((high - low) / 4)))
    ticks = [t for t in range(-10, 11) if t % step == 0 and low - 0.2 <= t <= high + 0.2]
    ax.set_xticks(ticks, [f"{2.0**t:g}" for t in ticks])
