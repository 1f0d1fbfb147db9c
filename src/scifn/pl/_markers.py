"""Marker genes by called type: what the calls rest on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from scifn._docs import shared
from scifn.pl import _style

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection

#: Types of fewer cells set no gene's highest mean: one cell would.
MIN_CELLS: Final = 5
_MAP: Final = LinearSegmentedColormap.from_list(
    "scifn", ["#dfe5ec", "#7fa3c4", "#1d5a93", "#0a2747"]
)
_LETTER: Final = 0.36  # width of a letter, in columns
_LARGEST: Final = 78.0  # area in points of a gene that every cell shows


@shared
def markers(
    adata: AnnData,
    *,
    genes: Mapping[str, Sequence[str]] | None = None,
    ax: Axes | None = None,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> Axes:
    """Dot plot of marker genes by called cell type.

    The area of a dot is the fraction of the type's cells that show the gene, its shade the mean
    of log1p CP10k relative to the type where it is highest (of at least five cells; types of
    fewer are drawn pale). Genes that are not among the features are gray and have no dots.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate`, with its matrix.
    genes
        {what they are markers of: gene symbols}; None takes the package's own.
    ax
        Axes to draw on; a new figure where None.
    %(matrix)s

    Returns
    -------
    The Axes. :func:`scifn.get.markers` returns the table.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the cells are not annotated yet.
    scifn._errors.MatrixError
        If there is no matrix to read: the plot needs expression.
    scifn._errors.ArgumentError
        If ``genes`` is no mapping to lists of genes.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> axes = scifn.pl.markers(adata, genes={"T cell": ["CD3D", "CD3E"]})
    >>> [label.get_text() for label in axes.get_xticklabels()]
    ['CD3D', 'CD3E']
    """
    from scifn import get

    table = get.markers(adata, genes=genes, layer=layer, gene_symbols=gene_symbols, species=species)
    return draw(table, ax=ax)


def draw(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw ``cell_type, n_cells, marker_of, gene, found, mean, fraction``."""
    types = _style.type_order(table["cell_type"])
    columns = list(dict.fromkeys(zip(table["marker_of"], table["gene"], strict=True)))
    groups = [what for what, _ in columns]
    # a little room between groups
    before = [groups[0], *groups[:-1]]
    steps = [1.0 + 0.55 * (a != b) for a, b in zip(groups, before, strict=True)]
    at = dict(zip(columns, np.cumsum(steps) - 1.0, strict=True))
    size = table.drop_duplicates("cell_type").set_index("cell_type")["n_cells"]
    with _style.style():
        last = max(at.values())
        axes = _style.new_axes(ax, width=2.9 + 0.185 * (last + 1), height=1.5 + 0.235 * len(types))
        shades = _dots(axes, table, types, at)
        axes.set_xlim(-0.7, last + 0.7)
        axes.set_xticks(list(at.values()), [gene for _, gene in columns], rotation=90, fontsize=7.5,
                        style="italic")  # fmt: skip
        axes.tick_params(axis="x", length=0, pad=1)
        _style.type_rows(
            axes, types, [f"{name} ({_style.thousands(size[name])})" for name in types]
        )
        _gray(axes, table, columns)
        _brackets(axes, at)
        _keys(axes, shades)
    return axes


def _dots(
    axes: Axes, table: pd.DataFrame, types: Sequence[str], at: Mapping[tuple[str, str], float]
) -> PathCollection:
    """Every gene of every type; those of few cells pale, since one cell makes a large dot."""
    table = table.assign(shade=relative(table), y=table["cell_type"].map(list(types).index))
    keys = zip(table["marker_of"], table["gene"], strict=True)
    table["x"] = [at[key] for key in keys]
    shown = table[table["fraction"].to_numpy(dtype=np.float64) > 0]
    few = shown["n_cells"] < MIN_CELLS
    for part, alpha in ((shown[few], 0.3), (shown[~few], 1.0)):
        drawn = axes.scatter(
            part["x"], part["y"], s=_LARGEST * part["fraction"], c=part["shade"], cmap=_MAP,
            vmin=0, vmax=1, linewidths=0, zorder=3, alpha=alpha,
        )  # fmt: skip
    return drawn


def relative(table: pd.DataFrame) -> pd.Series:
    """Mean of each gene over that of the type where it is highest, among types of enough cells.

    >>> import pandas as pd
    >>> row = {"gene": "A", "marker_of": "x", "n_cells": [9, 9, 1], "mean": [1.0, 2.0, 8.0]}
    >>> relative(pd.DataFrame(row)).tolist()
    [0.5, 1.0, 1.0]
    """
    counted = table["mean"].where(table["n_cells"] >= MIN_CELLS)
    by = [table["marker_of"], table["gene"]]
    highest = counted.groupby(by).transform("max")
    # a gene that only types of few cells show is held against those
    highest = highest.where(highest > 0, table["mean"].groupby(by).transform("max"))
    return (table["mean"] / highest.where(highest > 0)).clip(upper=1.0)


def _gray(axes: Axes, table: pd.DataFrame, columns: list[tuple[str, str]]) -> None:
    """Genes that are not measured look like it."""
    missing = set(table.loc[~table["found"].astype(bool), "gene"])
    for label, (_, gene) in zip(axes.get_xticklabels(), columns, strict=True):
        if gene in missing:
            label.set_color("#aab2bc")
            label.set_text(gene)
    if missing:
        axes.annotate(
            "gray: not among\nthe features", (1, 0), xytext=(12, -4), xycoords="axes fraction",
            textcoords="offset points", va="top", fontsize=7.5, color=_style.MUTED,
        )  # fmt: skip


def _brackets(axes: Axes, at: Mapping[tuple[str, str], float]) -> None:
    """What a group of genes is known for, above them; upright where every name has the room."""
    places = axes.get_xaxis_transform()
    ends = {}
    for what in dict.fromkeys(name for name, _ in at):
        mine = [x for (name, _), x in at.items() if name == what]
        ends[what] = (min(mine) - 0.35, max(mine) + 0.35)
    fit = all(high - low + 0.4 > _LETTER * len(what) for what, (low, high) in ends.items())
    turn: dict[str, Any] = {"ha": "center"} if fit else {"rotation": 45, "ha": "left"}
    for what, (low, high) in ends.items():
        axes.plot([low, high], [1.012, 1.012], transform=places, color=_style.MUTED, lw=1.0,
                  clip_on=False)  # fmt: skip
        axes.text((low + high) / 2, 1.03, what, transform=places, va="bottom",
                  rotation_mode="anchor", fontsize=8, **turn)  # fmt: skip


def _keys(axes: Axes, shades: PathCollection) -> None:
    """What area and shade mean, beside the plot."""
    for share in (0.1, 0.5, 1.0):
        axes.scatter([], [], s=_LARGEST * share, color=_style.NEUTRAL, linewidths=0,
                     label=_style.percent(share))  # fmt: skip
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), title="Cells with it",
                title_fontsize=8, labelspacing=0.7, alignment="left")  # fmt: skip
    column = 1.0 / np.ptp(axes.get_xlim())
    bar = axes.inset_axes((1.0 + 0.9 * column, 0.06, 0.7 * column, 0.34))
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.colorbar(shades, cax=bar, ticks=[0, 1], format=lambda v, _: f"{100 * v:.0f} %")
    bar.set_title("Mean, of its\nhighest", fontsize=8, fontweight="normal", loc="left", pad=9)
    bar.tick_params(length=0)
    for spine in bar.spines.values():
        spine.set_visible(False)
