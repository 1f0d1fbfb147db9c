"""Evidence of interferon transcription by cell type, with what zero still allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from scifn import _keys as k
from scifn.pl import _style
from scifn.pl._source import reference_of
from scifn.pl._triad_panels import LINEAR, NONE, axis_edge

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

_NUMBERS: Final = {3: "three", 4: "four", 5: "five", 6: "six"}
_KEYS: Final = ["cell_type", "condition", "ligand"]
#: What a zero is not, of the interferons and of IL10.
LIMIT: Final = "Zero does not exclude secretion."
LIMIT_IL10: Final = "IL10: not an estimate of competence."


class Line(NamedTuple):
    """One line of the figure: ligands of a type and condition that say the same."""

    cell_type: str
    condition: str
    ligands: tuple[str, ...]
    n_cells: float
    n_found: float
    n_strong: float
    rate: float
    upper95: float
    #: ``2 of 9 donors``, or "" where donors are not told apart.
    donors: str = ""

    @property
    def measurable(self) -> bool:
        """Whether cells could be tested; if not, nothing is drawn."""
        return self.n_cells > 0 and bool(np.isfinite(self.n_found))


def production(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Share of cells with transcript evidence of each interferon, to its 95 % upper bound.

    Each ligand that was found in a type has a line with a dot; those of which none was found in
    the same cells share one, for their bound is the same: it begins at 0, has no dot, and
    "none found, <= x %" is written. Zero does not exclude secretion.

    Parameters
    ----------
    adata
        With the evidence of :func:`scifn.tl.production`. Conditions and donors are told apart
        after :func:`scifn.tl.donors` (or :func:`scifn.run`).
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes, its horizontal axis in percent of a type's cells: linear next to 0, logarithmic
    above. Evidence is weak or strong. Cells of all donors are pooled, which is descriptive.

    Raises
    ------
    scifn._errors.MissingKeyError
        If there is no evidence yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> row = {"donor": "", "condition": "SLE", "cell_type": "pDC", "ligand": "IFNA", "n_weak": 0.0}
    >>> row |= {"n_cells": 100.0, "n_strong": 0.0, "rate": 0.0, "upper95": 0.0256, "pooled": True}
    >>> adata = ad.AnnData(uns={"scifn": {"bounds": pd.DataFrame([row])}}, shape=(100, 0))
    >>> scifn.pl.production(adata).texts[0].get_text()
    'IFNA: none found in 100, ≤ 2.6 %'
    """
    from scifn import get

    return draw(get.bounds(adata), ax=ax, reference=reference_of(adata))


def draw(table: pd.DataFrame, *, ax: Axes | None = None, reference: str | None = None) -> Axes:
    """Draw the pooled rows of a bounds table (all rows where none is pooled)."""
    lines, never = lines_of(table, reference)
    with _style.style():
        axes = _style.new_axes(ax, width=7.2, height=1.15 + 0.19 * max(len(lines), 2))
        if not lines:
            return _style.empty(axes, "Interferon transcripts were not measurable in any cell type")
        conditions = _style.condition_order((line.condition for line in lines), reference)
        looks = _style.condition_looks([*conditions, ""])
        every = len(table["ligand"].unique()) - len(never)
        _scale(axes, table)
        for y, line in enumerate(lines):
            _line(axes, y, line, looks[line.condition], every)
        _names(axes, lines)
        said = f"Tested: {', '.join(_ligands(table, never))}."
        if never:
            axes.set_title(f"{', '.join(never)}: not measurable in any cell, which is not 0",
                           fontsize=8, fontweight="normal", color=_style.MUTED)  # fmt: skip
        il10 = f" {LIMIT_IL10}" if k.LIGANDS["il10"] in _ligands(table, never) else ""
        axes.set_xlabel("% of cells with evidence (dot), to the 95 % upper bound (bar end); dotted "
                        f"from 0: none found\n{said}\n{LIMIT}{il10}", fontsize=7.5,
                        linespacing=1.35)  # fmt: skip
    return axes


# --- from the table to lines ----------------------------------------------------
def lines_of(table: pd.DataFrame, reference: str | None) -> tuple[list[Line], list[str]]:
    """Lines from top to bottom, and ligands that were measurable in no cell."""
    pooled = table["pooled"].to_numpy(dtype=bool)
    rows = table[pooled] if pooled.any() else table
    rows = rows[~rows["cell_type"].astype(str).isin(k.NOT_COUNTED).to_numpy()]
    known = rows["n_cells"].to_numpy(dtype=float) > 0
    known &= np.isfinite(rows["n_strong"].to_numpy(dtype=float))
    measured = set(rows.loc[known, "ligand"].astype(str))
    never = [name for name in _ligands(rows, []) if name not in measured]
    rows = rows[rows["ligand"].isin(sorted(measured)).to_numpy()]
    donors = _donors(table) if pooled.any() else {}
    conditions = [*_style.condition_order(rows["condition"], reference), ""]
    lines = []
    for kind in _style.type_order(rows["cell_type"]):
        for condition in conditions:
            mine = rows[((rows["cell_type"] == kind) & (rows["condition"] == condition)).to_numpy()]
            lines += _of_group(kind, condition, mine, donors)
    return lines, never


def _ligands(table: pd.DataFrame, without: list[str]) -> list[str]:
    there = {str(name) for name in table["ligand"]} - set(without)
    return [name for name in k.LIGANDS.values() if name in there]


def _of_group(
    kind: str, condition: str, mine: pd.DataFrame, donors: dict[tuple[str, str, str], str]
) -> list[Line]:
    """Ligands with evidence one by one, the others by the number of cells tested."""
    found: list[Line] = []
    rest: dict[float, Line] = {}
    records = {str(row["ligand"]): row for row in mine.to_dict("records")}
    for name in (name for name in k.LIGANDS.values() if name in records):
        row = records[name]
        n, strong, rate, upper = (float(row[c]) for c in ("n_cells", "n_strong", "rate", "upper95"))
        positive = strong + float(row["n_weak"])
        line = Line(kind, condition, (name,), n, positive, strong, rate, upper)
        if line.measurable and positive > 0:
            found.append(line._replace(donors=donors.get((kind, condition, name), "")))
        else:
            size = n if line.measurable else -1.0
            same = rest.get(size, line._replace(ligands=()))
            rest[size] = same._replace(ligands=(*same.ligands, name))
    return [*found, *(rest[size] for size in sorted(rest, reverse=True))]


def _donors(table: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """How many of the donors show a ligand, in words."""
    each = table[~table["pooled"].to_numpy(dtype=bool)]
    each = each[each["n_cells"].to_numpy(dtype=float) > 0]
    some = each.assign(some=(each["n_weak"] + each["n_strong"] > 0))
    by = some.groupby(_KEYS, observed=True)["some"].agg(["sum", "size"]).reset_index()
    return {
        (str(row["cell_type"]), str(row["condition"]), str(row["ligand"])): (
            f"{row['sum']} of {row['size']} donors"
        )
        for row in by.to_dict("records")
    }


def words(line: Line, every: int = 0) -> str:
    """What one line says; ``every`` is how many ligands there are.

    >>> words(Line("pDC", "", ("IFNA",), 100.0, 0.0, 0.0, 0.0, 0.026))
    'IFNA: none found in 100, ≤ 2.6 %'
    >>> words(Line("pDC", "", ("IFNA",), 36.0, 2.0, 1.0, 2 / 36, 0.17, "2 of 9 donors"))
    'IFNA: 2 of 36 (1 strong; 2 of 9 donors), ≤ 17 %'
    """
    names = _said(line.ligands, every)
    if not line.measurable:
        return f"{names}: not measurable"
    n = _style.thousands(line.n_cells)
    bound = f"≤ {_style.percent(line.upper95)}" if np.isfinite(line.upper95) else "no bound"
    if line.n_found == 0:
        return f"{names}: none found in {n}, {bound}"
    more = "; ".join([f"{_style.thousands(line.n_strong)} strong", *filter(None, [line.donors])])
    return f"{names}: {_style.thousands(line.n_found)} of {n} ({more}), {bound}"


def _said(ligands: tuple[str, ...], every: int) -> str:
    """Names of few ligands, or that it is all of them.

    >>> _said(("IFNA", "IFNB1", "IFNK"), 3), _said(("IFNB1", "IFNK"), 3)
    ('all three', 'IFNB1, IFNK')
    """
    if len(ligands) == every and every in _NUMBERS:
        return f"all {_NUMBERS[every]}"
    if len(ligands) == every - 1 and len(ligands) in _NUMBERS:
        return f"the other {_NUMBERS[len(ligands)]}"
    return ", ".join(ligands)


# --- drawing --------------------------------------------------------------------
def _line(axes: Axes, y: int, line: Line, look: tuple[str, str], every: int) -> None:
    color, marker = look
    if line.measurable:
        found = line.n_found > 0
        ends = [100 * line.rate, 100 * line.upper95]
        axes.plot(ends, [y, y], color=color, lw=1.2, ls="-" if found else NONE, zorder=2)
        axes.plot(ends[1:], [y], marker="|", ms=7, mew=1.5, color=color, ls="", zorder=3,
                  clip_on=False)  # fmt: skip
        if found:
            axes.plot(ends[:1], [y], marker=marker, ms=4.5, color=color, ls="", zorder=4,
                      clip_on=False)  # fmt: skip
    strong = line.measurable and line.n_found > 0
    axes.text(1.03, y, words(line, every), transform=axes.get_yaxis_transform(), va="center",
              fontsize=7, fontweight="bold" if strong else "normal",
              color=_style.INK if line.measurable else _style.MUTED)  # fmt: skip


def _names(axes: Axes, lines: list[Line]) -> None:
    """A name a type and condition, at its first line; a thin line between types."""
    ticks, names = [], []
    for y, line in enumerate(lines):
        before = lines[y - 1] if y else None
        if before is None or line[:2] != before[:2]:
            ticks.append(y)
            names.append(line.cell_type + (f", {line.condition}" if line.condition else ""))
        if before is not None and line.cell_type != before.cell_type:
            axes.axhline(y - 0.5, color=_style.RULE, lw=0.5, zorder=0)
    axes.set_ylim(len(lines) - 0.4, -0.6)
    axes.set_yticks(ticks, names)
    axes.tick_params(axis="y", length=0, labelsize=8)
    axes.spines["left"].set_visible(False)


def _scale(axes: Axes, table: pd.DataFrame) -> None:
    edge = axis_edge(table["upper95"])
    axes.set_xscale("symlog", linthresh=edge, linscale=LINEAR)
    axes.set_xlim(0, 100)
    axes.axvline(0, color=_style.NEUTRAL, lw=0.7, zorder=1)
    decades = [10.0**power for power in range(int(np.log10(edge)), 3)]
    axes.set_xticks([0.0, *decades], [f"{t:.10g} %" for t in (0.0, *decades)])
    axes.minorticks_off()
