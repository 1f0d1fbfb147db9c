"""The score of pDC against what can be counted by eye: core genes, and depth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from scifn import _keys as k
from scifn._docs import shared
from scifn.pl import _style

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Call -> face, edge, marker, size; drawn in this order, the last on top.
_PDC: Final = _style.TYPE_COLORS[k.PDC]
LOOKS: Final = {
    "NA": ("#c9cfd6", "none", "o", 4.0),
    "not_pDC": ("#c3c8cf", "none", "o", 4.0),
    "pDC": (_PDC, "white", "o", 15.0),
    "pDC_doublet": ("#56606c", "white", "X", 26.0),
    "AS-DC": (_style.INK, "white", "D", 15.0),
    "pDC_ambiguous": ("white", _PDC, "o", 16.0),
}
CLOUD: Final = ("NA", "not_pDC")
#: Scores are drawn linearly up to here, logarithmically beyond.
LINEAR: Final = 20.0
#: Cells that are no candidates and are drawn.
MOST: Final = 20_000


@shared
def pdc_evidence(
    adata: AnnData,
    *,
    ax: Axes | None = None,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> Figure:
    """Score of each cell as a pDC against its detected core genes, and against its UMIs.

    Parameters
    ----------
    adata
        Annotated by :func:`scifn.tl.annotate`, with its matrix.
    ax
        Axes whose place the panels take; a new figure where None.
    %(matrix)s

    Returns
    -------
    The Figure. The score is a log likelihood ratio of pDC against the best other type: above
    zero the counts speak for a pDC. :func:`scifn.get.pdc_evidence` returns the table.

    Raises
    ------
    scifn._errors.MissingKeyError
        If the cells are not annotated yet.
    scifn._errors.MatrixError
        If there is no matrix to read: the plot needs expression.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> scifn.tl.annotate(adata)
    >>> len(scifn.pl.pdc_evidence(adata).axes)
    2
    """
    from scifn import get

    table = get.pdc_evidence(adata, layer=layer, gene_symbols=gene_symbols, species=species)
    return draw(table, ax=ax)


def draw(table: pd.DataFrame, *, ax: Axes | None = None) -> Figure:
    """Draw ``pdc_call, pdc_score, n_core, umi``, a row a cell."""
    told = table[np.isfinite(table["pdc_score"].to_numpy(dtype=np.float64))]
    has_umi = bool(np.isfinite(told["umi"]).any())
    with _style.style():
        axes = _style.new_row(ax, 1 + has_umi, width=4.1 * (1 + has_umi), height=3.6)
        figure: Figure = axes[0].get_figure(root=True)  # type: ignore[assignment]
        if told.empty:
            for place in axes:
                _style.empty(place, "pDC cannot be told with these features")
            return figure
        core = told["n_core"].to_numpy(dtype=np.float64)
        # cells of one count side by side; a fixed pattern, so that the figure is reproducible
        spread = np.random.default_rng(0).uniform(-0.3, 0.3, core.size)
        _panel(axes[0], told, np.nan_to_num(core) + spread)
        axes[0].set_xticks(range(int(np.nanmax(core, initial=1.0)) + 1))
        axes[0].tick_params(axis="x", length=0)
        axes[0].set_xlabel("Detected pDC core genes")
        axes[0].set_ylabel("pDC score (log likelihood ratio)")
        if has_umi:
            _panel(axes[1], told, told["umi"].to_numpy(dtype=np.float64))
            axes[1].set_xscale("log")
            axes[1].xaxis.set_major_formatter(lambda value, _: _style.thousands(value))
            axes[1].set_xlabel("UMI of the cell")
        _legend(axes[0], told)
    return figure


def _panel(axes: Axes, told: pd.DataFrame, x: np.ndarray) -> None:
    y = told["pdc_score"].to_numpy(dtype=np.float64)
    calls = told["pdc_call"].astype(str).to_numpy()
    axes.set_yscale("symlog", linthresh=LINEAR)
    axes.set_yticks([-1000, -100, -20, 0, 20, 100], ["−1,000", "−100", "−20", "0", "20", "100"])
    axes.axhline(0, color=_style.INK, lw=0.8, ls=(0, (4, 2)), zorder=2)
    for name, (face, edge, marker, size) in LOOKS.items():
        mine = np.flatnonzero(calls == name)
        if name in CLOUD:
            mine = mine[:: max(1, -(-mine.size // MOST))]
        axes.scatter(x[mine], y[mine], s=size, marker=marker, facecolors=face, edgecolors=edge,
                     linewidths=_edge(edge), zorder=3, rasterized=True)  # fmt: skip


def _edge(color: str) -> float:
    """A white edge only parts neighbors, a colored one is the mark."""
    return {"none": 0.0, "white": 0.4}.get(color, 1.2)


def _legend(axes: Axes, told: pd.DataFrame) -> None:
    count = told["pdc_call"].astype(str).value_counts()
    for name, (face, edge, marker, size) in LOOKS.items():
        if name in count:
            label = f"{name.replace('_', ' ')} ({_style.thousands(count[name])})"
            axes.scatter([], [], s=max(size, 12.0), marker=marker, facecolors=face,
                         edgecolors=edge, linewidths=_edge(edge), label=label)  # fmt: skip
    # few cells with many core genes have low scores: that corner is free
    axes.legend(loc="lower right", handletextpad=0.1, labelspacing=0.35, borderaxespad=0.2)
