"""How much of each gene set the data measure: what can and cannot be told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scifn.pl import _style

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes


def coverage(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Share of each gene set's genes that are among the features, colored by status.

    The two thin lines are the limits: under half of its genes (or under three) a set
    is insufficient and not used, under four fifths it is used with a warning.

    Parameters
    ----------
    adata
        With the coverage that any ``scifn.tl`` call stores.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes.

    Raises
    ------
    scifn._errors.MissingKeyError
        If no call stored a coverage yet.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> row = {"set": "ifn_alpha", "n_genes": 13, "n_found": 0, "missing": "", "status": "absent"}
    >>> adata = ad.AnnData(uns={"scifn": {"coverage": pd.DataFrame([row])}}, shape=(3, 0))
    >>> scifn.pl.coverage(adata).texts[0].get_text()
    '0 of 13'
    """
    from scifn import get

    return draw(get.coverage(adata), ax=ax)


def draw(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw ``set, n_genes, n_found, status``, in the order of the table."""
    found = table["n_found"].to_numpy(dtype=np.float64)
    size = table["n_genes"].to_numpy(dtype=np.float64)
    share = 100 * found / np.where(size > 0, size, 1)
    statuses = [str(s) for s in table["status"]]
    with _style.style():
        axes = _style.new_axes(ax, width=6.4, height=0.9 + 0.185 * max(len(table), 1))
        if not len(table):
            return _style.empty(axes, "No gene set was looked for")
        rows = np.arange(len(table))
        axes.barh(rows, np.full(len(table), 100.0), height=0.62, color="#eef1f4", zorder=1)
        for status in sorted(set(statuses), key=_rank):
            chosen = np.array([s == status for s in statuses])
            color = _style.STATUS_COLORS.get(status, _style.NEUTRAL)
            axes.barh(rows[chosen], share[chosen], height=0.62, color=color, zorder=2,
                      label=status.replace("_", " "))  # fmt: skip
        for y, (n, of) in enumerate(zip(found, size, strict=True)):
            axes.text(101.5, y, f"{n:.0f} of {of:.0f}", va="center", fontsize=7)
        for limit in (50, 80):
            axes.axvline(limit, color=_style.INK, lw=0.6, ls=(0, (2, 2)), zorder=3)
        axes.set_ylim(len(table) - 0.4, -0.6)
        axes.set_xlim(0, 112)
        axes.set_xticks([0, 50, 80, 100], ["0 %", "50 %", "80 %", "100 %"])
        axes.set_yticks(rows, [str(name) for name in table["set"]], fontsize=7.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("Genes of the set among the features")
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, borderaxespad=0.2,
                    handlelength=1, handletextpad=0.4, columnspacing=1.4)  # fmt: skip
    return axes


def _rank(status: str) -> tuple[int, str]:
    """Best first; statuses that are not known here last."""
    known = list(_style.STATUS_COLORS)
    return (known.index(status) if status in known else len(known), status)
