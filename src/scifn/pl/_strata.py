"""Donors' scores beside the cut-off that they are held against."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scifn import _keys as k
from scifn.pl import _style
from scifn.pl._source import reference_of
from scifn.pl._spread import spread

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

_HIGH, _LOW, _UNCLEAR, _NONE = k.STRATA
#: Color, marker, whether filled; in the order of the legend, told apart without color.
_LOOKS: Final[dict[str, tuple[str, str, bool]]] = {
    _HIGH: ("#D55E00", "^", True),
    _UNCLEAR: ("#7A5C00", "s", False),
    _LOW: ("#0072B2", "o", True),
    _NONE: (_style.NEUTRAL, "x", True),
}
_BAND: Final = "#F3E3C0"
#: How far to either side donors of one score are spread.
_WIDTH: Final = 0.36
_NO_RECORD: Final[Mapping[str, Any]] = MappingProxyType({})


def strata(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    r"""Score of each donor by condition, with the cut-off and its 90 % interval.

    A triangle is a donor above the interval (high), a circle one below it (low), a hollow square
    one inside it (indeterminate), a cross one without a stratum. Controls that were left out of
    the cut-off have a ring.

    Parameters
    ----------
    adata
        With the table of :func:`scifn.tl.stratify`.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes.

    Raises
    ------
    scifn._errors.MissingKeyError
        If there is no such table yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import pandas as pd
    >>> import scifn
    >>> genes = ["IFI27", "IFI44", "IFI44L", "RSAD2"]
    >>> y = 6 + np.random.default_rng(0).normal(0, 0.5, (20, 4))
    >>> y[12:] += 5
    >>> obs = pd.DataFrame({"group": ["healthy"] * 10 + ["SLE"] * 10}, index=map(str, range(20)))
    >>> adata = ad.AnnData(y, obs, pd.DataFrame(index=genes))
    >>> scifn.tl.stratify(adata, condition="group", reference="healthy", bulk=True)
    >>> [label.get_text() for label in scifn.pl.strata(adata).get_xticklabels()]
    ['healthy\n0 of 10 high', 'SLE\n8 of 10 high']
    """
    from scifn import get

    table = get.strata(adata)
    record = adata.uns[k.UNS].get(f"{k.STRATA_TABLE}_parameters", {})
    return draw(table, ax=ax, record=record, reference=reference_of(adata))


def draw(
    table: pd.DataFrame,
    *,
    ax: Axes | None = None,
    record: Mapping[str, Any] = _NO_RECORD,
    reference: str | None = None,
) -> Axes:
    """Draw a table of strata; ``record`` says how the score is made and who was left out."""
    reference = str(record.get("reference", "")) or reference
    conditions = _style.condition_order(table["condition"], reference)
    shown = table[np.isfinite(table["score"].to_numpy(dtype=np.float64))]
    with _style.style():
        axes = _style.new_axes(ax, width=max(4.4, 1.5 * len(conditions) + 2.2), height=3.7)
        if shown.empty:
            return _style.empty(axes, _why(record))
        _cutoff(axes, shown)
        span = float(np.ptp(shown["score"])) or 1.0
        left_out = _left_out(table, record, reference)
        for position, condition in enumerate(conditions):
            rows = shown[shown["condition"].astype(str) == condition]
            _group(axes, position, rows, span, left_out if condition == reference else frozenset())
        axes.set_xticks(range(len(conditions)), [_head(table, name) for name in conditions])
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, len(conditions) - 0.4)
        axes.set_ylabel(_label(table, record))
        _legend(axes, shown, left_out)
        axes.annotate("research use only", (1, 0), xycoords="axes fraction", xytext=(12, 2),
                      textcoords="offset points", fontsize=7.5, color=_style.MUTED)  # fmt: skip
    return axes


def _cutoff(axes: Axes, table: pd.DataFrame) -> None:
    """The line, with its interval behind the donors; said where there is none."""
    value, low, high = (float(table[c].iloc[0]) for c in ("cutoff", "cutoff_low", "cutoff_high"))
    if not np.isfinite(value):
        axes.set_title("No cut-off: too few controls, or all alike", loc="right", fontsize=8,
                       fontweight="normal", color=_style.MUTED)  # fmt: skip
        return
    axes.axhline(value, color=_style.INK, lw=1.1, ls=(0, (5, 2)), zorder=1, label="cut-off")
    axes.axhspan(low, high, color=_BAND, lw=0, zorder=0, label="its 90 % interval")


def _group(
    axes: Axes, position: int, rows: pd.DataFrame, span: float, left_out: frozenset[str]
) -> None:
    """Donors of one condition, beside each other where their scores are close."""
    score = rows["score"].to_numpy(dtype=np.float64)
    x = position + _WIDTH * spread(score, span / 36)
    stratum = rows["stratum"].astype(str).to_numpy()
    for name, (color, marker, filled) in _LOOKS.items():
        here = stratum == name
        inside = color if filled else "white"
        axes.scatter(x[here], score[here], s=22, marker=marker, linewidths=1.0, zorder=3,
                     facecolors=color if marker == "x" else inside,
                     edgecolors=None if marker == "x" else color)  # fmt: skip
    ring = rows["donor"].astype(str).isin(left_out).to_numpy()
    axes.scatter(x[ring], score[ring], s=105, marker="o", facecolors="none",
                 edgecolors=_style.INK, linewidths=0.9, zorder=4)  # fmt: skip


def _head(table: pd.DataFrame, condition: str) -> str:
    """``sle``, and how many of its donors with a stratum are high."""
    stratum = table.loc[table["condition"].astype(str) == condition, "stratum"].astype(str)
    told = stratum != _NONE
    if not told.any():
        return f"{condition}\n{len(stratum)} donors, no strata"
    return f"{condition}\n{(stratum == _HIGH).sum()} of {told.sum()} high"


def _left_out(
    table: pd.DataFrame, record: Mapping[str, Any], reference: str | None
) -> frozenset[str]:
    """Controls that the cut-off was made without."""
    named = {name for name in str(record.get("outlying_controls", "")).split(", ") if name}
    controls = table.loc[table["condition"].astype(str) == str(reference), "donor"].astype(str)
    return frozenset(named & set(controls))


def _legend(axes: Axes, table: pd.DataFrame, left_out: frozenset[str]) -> None:
    counts = table["stratum"].astype(str).value_counts()
    for name, (color, marker, filled) in _LOOKS.items():
        if name in counts:
            axes.plot([], [], ls="", marker=marker, ms=5, color=color,
                      markerfacecolor=color if filled else "white",
                      label=f"{name.replace('_', ' ')} ({counts[name]})")  # fmt: skip
    if left_out:
        axes.plot([], [], ls="", marker="o", ms=8.5, color=_style.INK, markerfacecolor="none",
                  label=f"control left out of the cut-off ({len(left_out)})")  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.4, handlelength=1.6)


def _label(table: pd.DataFrame, record: Mapping[str, Any]) -> str:
    """Name of the signature and what its score is."""
    name = str(table["signature"].iloc[0])
    words = str(record.get("formula", ""))
    return f"{name}\n{textwrap.fill(words, 48)}" if words else name


def _why(record: Mapping[str, Any]) -> str:
    said = str(record.get("note", "")).replace("research use only", "").strip("; ")
    return f"No donor has a score{f': {said}' if said else ''}"
