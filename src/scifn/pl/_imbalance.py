"""Differences between groups of donors with their intervals: a forest plot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scifn.pl import _style

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

LABELS: Final[dict[str, str]] = {
    "logit_pdc": "pDC of all cells (log odds)",
    "logit_breg_of_b": "Breg-like of B (log odds)",
    "lr_breg_effector": "Breg-like : effector B (log ratio)",
    "lr_pdc_breg": "pDC : Breg-like (log ratio)",
    "ilr_1": "ILR 1, pDC against both B parts",
    "ilr_2": "ILR 2, Breg-like against effector B",
    "ilr_joint": "ILR 1 and 2 together",
    "response_type1": "Type I response (log2)",
    "pdc_ifna_positive": "Share of pDC with IFNA transcripts",
}

#: Status in words, where its name could be read as a result: "no significance" was not tested.
STATUS_WORDS: Final = {"no_significance": "too few donors"}
_COLUMNS: Final = (10, 56, 150)  # points right of the axis: n, effect, p or status


def imbalance(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Effect of each readout with its 95 % interval, the number of donors and the status.

    Effects are differences of the donors' means: natural-log units for fractions and
    ratios, log2 for responses. The p-value written is that of the permutation
    test; where the design allows none, the status stands in its place.

    Parameters
    ----------
    adata
        With the table of :func:`scifn.tl.imbalance`.
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
    >>> import pandas as pd
    >>> import scifn
    >>> labels = ["T/NK"] * 600 + ["B naive"] * 90 + ["B transitional"] * 9 + ["pDC"] * 3
    >>> obs = pd.DataFrame(
    ...     [(d, d[0], x) for d in ("P1", "P2", "P3", "C1", "C2", "C3") for x in labels],
    ...     columns=["donor", "group", "label"],
    ... ).rename(index=str)
    >>> adata = ad.AnnData(obs=obs)
    >>> scifn.tl.donors(adata, donor="donor", condition="group", cell_type="label")
    >>> scifn.tl.imbalance(adata, reference="C")
    >>> scifn.pl.imbalance(adata).get_yticklabels()[0].get_text()
    'pDC of all cells (log odds)'
    """
    from scifn import get

    return draw(get.imbalance(adata), ax=ax)


def label(readout: str) -> str:
    """Words for a readout's name.

    >>> label("response_type1:T_NK")
    'Type I response, T/NK (log2)'
    """
    stem, _, lineage = readout.partition(":")
    words = LABELS.get(stem, stem)
    stem, _, unit = words.partition(" (")
    unit = f" ({unit}" if unit else ""
    return f"{stem}, {lineage.replace('T_NK', 'T/NK')}{unit}" if lineage else words


def draw(table: pd.DataFrame, *, ax: Axes | None = None) -> Axes:
    """Draw rows of an imbalance table, in its order, a heading before each family."""
    lines = _lines(table)
    with _style.style():
        axes = _style.new_axes(ax, width=8.6, height=0.95 + 0.27 * max(len(lines), 1))
        if not lines:
            return _style.empty(axes, "No readout could be compared")
        for y, line in enumerate(lines):
            if isinstance(line, str):
                _heading(axes, y, line)
            else:
                _row(axes, y, table.iloc[line])
        axes.axvline(0, color=_style.MUTED, lw=0.8, zorder=0)
        ticks = {y: line for y, line in enumerate(lines) if not isinstance(line, str)}
        names = [label(str(table["readout"].iloc[line])) for line in ticks.values()]
        axes.set_yticks(list(ticks), names)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_ylim(len(lines) - 0.4, -1.2)
        _limits(axes, table)
        for column, head in enumerate(("n", "effect [95 % CI]", "p (permutation)")):
            _beside(axes, -0.85, column, head, _style.MUTED)
        pairs = sorted({f"{g} − {r}" for g, r in zip(table["group"], table["reference"],
                                                     strict=True)})  # fmt: skip
        axes.set_xlabel(f"Effect ({', '.join(pairs)})" if len(pairs) <= 2 else "Effect")
    return axes


#: What a heading of a pair of groups starts with.
_PAIR = "\N{BULLET} "


def _lines(table: pd.DataFrame) -> list[int | str]:
    """Row numbers of the table, with headings: the pair where there are several, the family."""
    families = [str(f) for f in table["family"]]
    pairs = [f"{_PAIR}{g} against {r}" for g, r in zip(table["group"], table["reference"],
                                                       strict=True)]  # fmt: skip
    lines: list[int | str] = []
    for i, (pair, family) in enumerate(zip(pairs, families, strict=True)):
        new = i == 0 or pair != pairs[i - 1]
        if len(set(pairs)) > 1 and new:
            lines.append(pair)
        if len(set(families)) > 1 and (new or family != families[i - 1]):
            lines.append(family)
        lines.append(i)
    return lines


def _heading(axes: Axes, y: float, words: str) -> None:
    of_pair = words.startswith(_PAIR)
    axes.text(
        -0.01, y, words.removeprefix(_PAIR), transform=axes.get_yaxis_transform(), ha="right",
        va="center", fontsize=8.5 if of_pair else 8, color=_style.INK if of_pair else _style.MUTED,
        style="normal" if of_pair else "italic", weight="bold" if of_pair else "normal",
    )  # fmt: skip
    if of_pair and y > 0:
        axes.axhline(y - 0.5, color=_style.RULE, lw=0.6, zorder=0)


def _row(axes: Axes, y: int, row: Any) -> None:
    effect, low, high = (_float(row[c]) for c in ("effect", "ci_low", "ci_high"))
    p = _float(row["p_permutation"])
    if np.isfinite(effect):
        whole = np.isfinite(low) and np.isfinite(high)
        if whole:
            axes.plot([low, high], [y, y], color=_style.CONDITION_COLORS[2], lw=1.6, zorder=2)
        axes.plot([effect], [y], marker="s", ms=5.5, ls="", zorder=3,
                  color=_style.CONDITION_COLORS[2],
                  markerfacecolor=_style.CONDITION_COLORS[2] if whole else "white")  # fmt: skip
    status = STATUS_WORDS.get(str(row["status"]), str(row["status"]).replace("_", " "))
    words = p_value(p) if np.isfinite(p) else status
    if np.isfinite(p) and status not in ("ok", ""):
        words = f"{words} ({status})"
    _beside(axes, y, 0, f"{_count(row['n_group'])} v {_count(row['n_reference'])}")
    _beside(axes, y, 1, interval(effect, low, high))
    _beside(axes, y, 2, words, _style.INK if np.isfinite(p) else _style.MUTED)


def _beside(axes: Axes, y: float, column: int, words: str, color: str = _style.INK) -> None:
    """Write into one of the columns right of the plot, at a fixed distance in points."""
    axes.annotate(
        words, (1, y), xycoords=axes.get_yaxis_transform(), xytext=(_COLUMNS[column], 0),
        textcoords="offset points", va="center", fontsize=7.5, color=color,
        annotation_clip=False,
    )  # fmt: skip


def interval(effect: float, low: float, high: float) -> str:
    """``-0.42 [-0.9, 0.1]``; what is missing is a dash.

    >>> interval(-0.42, -0.9, 0.1), interval(0.5, float("nan"), float("nan"))
    ('−0.42 [−0.90, 0.10]', '0.50 [no interval]')
    """
    if not np.isfinite(effect):
        return "–"
    if not (np.isfinite(low) and np.isfinite(high)):
        return f"{effect:.2f} [no interval]".replace("-", "−")
    return f"{effect:.2f} [{low:.2f}, {high:.2f}]".replace("-", "−")


def p_value(p: float) -> str:
    """A p-value for a reader: two digits, never "0".

    >>> p_value(0.0123), p_value(0.0004), p_value(0.5)
    ('0.012', '<0.001', '0.50')
    """
    if p < 0.001:
        return "<0.001"
    return f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def _limits(axes: Axes, table: pd.DataFrame) -> None:
    values = table[["effect", "ci_low", "ci_high"]].to_numpy(dtype=np.float64).ravel()
    values = np.append(values[np.isfinite(values)], 0.0)
    pad = 0.08 * max(float(np.ptp(values)), 0.5)
    axes.set_xlim(float(values.min()) - pad, float(values.max()) + pad)


def _float(value: Any) -> float:
    return float(value)


def _count(value: Any) -> str:
    number = _float(value)
    return f"{number:.0f}" if np.isfinite(number) else "–"
