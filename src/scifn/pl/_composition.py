"""Fractions of the populations of interest, a point a donor."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from scifn.pl import _style
from scifn.pl._source import limits_of, reference_of
from scifn.pl._spread import MANY, beside

if TYPE_CHECKING:
    from collections.abc import Mapping

    from anndata import AnnData
    from matplotlib.axes import Axes

#: Label, numerator, denominator: columns of the donor table.
FRACTIONS: Final = (
    ("pDC\nof all cells", "n_pdc", "n_total"),
    ("AS-DC\nof all cells", "n_asdc", "n_total"),
    ("B\nof all cells", "n_b", "n_total"),
    ("Breg-like\nof B", "n_breg_like", "n_b"),
    ("B atypical\nof B", "n_b_atypical", "n_b"),
    ("Plasmablast\nof all cells", "n_plasmablast", "n_total"),
    ("Plasma\nof all cells", "n_plasma", "n_total"),
)


def composition(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Fraction of each population in each donor, by condition, with the median.

    A donor with none of a population is drawn hollow, at the height of half a cell:
    how low the fraction is, is not known. Donors with too few cells for a fraction are left
    out, as in every comparison.

    Parameters
    ----------
    adata
        With the donor table of :func:`scifn.tl.donors`.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes, its vertical axis logarithmic, in percent.

    Raises
    ------
    scifn._errors.MissingKeyError
        If there is no donor table yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> labels = ["pDC"] * 3 + ["B"] * 100 + ["Mono"] * 897
    >>> obs = pd.DataFrame({"label": labels, "donor": "d1", "disease": "SLE"}).rename(index=str)
    >>> adata = ad.AnnData(obs=obs)
    >>> scifn.tl.donors(adata, donor="donor", condition="disease", cell_type="label")
    >>> scifn.pl.composition(adata).get_yscale()
    'log'
    """
    from scifn import get

    return draw(get.donors(adata), ax=ax, reference=reference_of(adata), needed=limits_of(adata))


def fractions(
    donors: pd.DataFrame, needed: Mapping[str, float] = MappingProxyType({})
) -> pd.DataFrame:
    """Long table ``population, donor, condition, percent, none`` of a donor table.

    Rows whose numerator is not measurable, or whose denominator is zero or below what is
    ``needed`` of it, are left out.

    >>> import pandas as pd
    >>> one = pd.DataFrame({"donor": ["d"], "condition": ["c"], "n_pdc": [5.0], "n_total": [1e3]})
    >>> fractions(one)[["donor", "percent", "none"]].values.tolist()
    [['d', 0.5, False]]
    """
    parts = []
    for label, part, whole in FRACTIONS:
        if part not in donors or whole not in donors:
            continue
        n = donors[part].to_numpy(dtype=np.float64)
        total = donors[whole].to_numpy(dtype=np.float64)
        keep = np.isfinite(n) & (total >= max(needed.get(whole, 1.0), 1.0))
        parts.append(
            pd.DataFrame(
                {
                    "population": label,
                    "donor": donors["donor"].astype(str).to_numpy()[keep],
                    "condition": donors["condition"].astype(str).to_numpy()[keep],
                    "percent": 100 * np.where(n == 0, 0.5, n)[keep] / total[keep],
                    "none": (n == 0)[keep],
                }
            )
        )
    columns = ["population", "donor", "condition", "percent", "none"]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=columns)


def draw(
    donors: pd.DataFrame,
    *,
    ax: Axes | None = None,
    reference: str | None = None,
    needed: Mapping[str, float] = MappingProxyType({}),
) -> Axes:
    """Draw the donor table's fractions."""
    table = fractions(donors, needed)
    conditions = _style.condition_order(donors["condition"], reference)
    looks = _style.condition_looks(conditions)
    shown = list(dict.fromkeys(table["population"]))
    with _style.style():
        axes = _style.new_axes(ax, width=max(4.2, 1.1 * len(shown) + 0.8), height=3.5)
        if not shown:
            return _style.empty(axes, "No donor has enough cells for a fraction")
        step = min(0.3, 0.8 / max(len(conditions), 1))
        for position, population in enumerate(shown):
            for i, condition in enumerate(conditions):
                rows = table[
                    (table["population"] == population) & (table["condition"] == condition)
                ]
                x = position + (i - (len(conditions) - 1) / 2) * step
                _group(axes, x, step, rows, looks[condition])
        for condition in conditions:
            color, marker = looks[condition]
            n = int((donors["condition"].astype(str) == condition).sum())
            axes.plot([], [], marker=marker, color=color, ls="", ms=5,
                      label=f"{condition} (n = {n})")  # fmt: skip
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:.10g} %")
        axes.set_xlim(-0.6, len(shown) - 0.4)
        axes.set_xticks(range(len(shown)), shown)
        axes.tick_params(axis="x", length=0)
        axes.grid(axis="y", color=_style.RULE, lw=0.6)
        axes.set_ylabel("Fraction in a donor (log axis)")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2,
                    handletextpad=0.2, columnspacing=1.4)  # fmt: skip
    return axes


def _group(axes: Axes, x: float, step: float, rows: pd.DataFrame, look: tuple[str, str]) -> None:
    """The donors of one condition, spread so that none hides another, and their median."""
    if rows.empty:
        return
    color, marker = look
    values = rows["percent"].to_numpy(dtype=np.float64)
    none = rows["none"].to_numpy(dtype=bool)
    many = len(values) > MANY
    places = beside(np.log10(values)) * step * (0.46 if many else 0.341)
    axes.scatter(x + places, values, s=9 if many else 17, marker=marker,
                 facecolors=np.where(none, "white", color), edgecolors=color,
                 linewidths=0.5 if many else 0.8, alpha=0.9, zorder=3)  # fmt: skip
    median = float(np.median(values))
    axes.plot([x - step * 0.4, x + step * 0.4], [median, median], color=_style.INK, lw=1.6,
              zorder=4)  # fmt: skip
