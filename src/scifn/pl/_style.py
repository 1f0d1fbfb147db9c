"""The look that all figures share: colors, type sizes, axes without boxes.

Nothing here changes matplotlib's global settings: a figure is drawn inside
:func:`style`, which is undone when the drawing ends.

Hues are those of Okabe and Ito, told apart with any color vision; a condition also
has a marker of its own, so that no reading depends on color alone.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib import colors
from matplotlib.transforms import ScaledTranslation

from scifn import _keys as k

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.axes import Axes

INK: Final = "#1b1f24"
MUTED: Final = "#6b7480"
RULE: Final = "#d5dae0"
NEUTRAL: Final = "#8a93a0"

#: One hue a lineage; the types of a lineage are its shades.
LINEAGE_COLORS: Final[dict[str, str]] = {
    "B": "#0072B2",
    "DC": "#D55E00",
    "Mono": "#E69F00",
    "T/NK": "#009E73",
    "Other": "#7A7F87",
    "Unassigned": "#B4BAC2",
}
TYPE_COLORS: Final[dict[str, str]] = {
    k.PDC: "#D55E00",
    k.ASDC: "#E98C4F",
    k.CDC: "#A64400",
    k.DC_UNRESOLVED: "#F1BF9D",
    k.MONOCYTE: "#E69F00",
    k.T_NK: "#009E73",
    k.B_TRANSITIONAL: "#00406B",
    k.B_NAIVE: "#0072B2",
    k.B_MEMORY: "#3D97CC",
    k.B_ATYPICAL: "#7DBBE0",
    k.B_UNRESOLVED: "#B5D8EC",
    k.PLASMABLAST: "#CC79A7",
    k.PLASMA: "#8F4A70",
    k.HSPC: "#4F545B",
    k.BASO_MAST: "#63686F",
    k.PLATELET: "#777C84",
    k.ERYTHROCYTE: "#8B9098",
    k.KERATINOCYTE: "#6F6650",
    k.FIBROBLAST: "#857B62",
    k.ENDOTHELIUM: "#9B9076",
    k.EPITHELIUM: "#B0A68C",
    k.DOUBLET: "#C3C8CF",
    k.OTHER: "#9FA4AC",
    k.UNASSIGNED: "#D3D7DC",
}
#: The first is the reference's.
CONDITION_COLORS: Final = (
    "#5B6572", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9",
)  # fmt: skip
CONDITION_MARKERS: Final = ("o", "D", "s", "^", "v", "P", "X")
#: Coverage of a set: usable, usable with a warning, not usable.
STATUS_COLORS: Final[dict[str, str]] = {
    "ok": "#0072B2",
    "partial": "#E69F00",
    "insufficient": "#9AA3AE",
    "absent": "#C9CFD6",
}

_RC: Final[dict[Any, Any]] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8.5,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 8.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": "#9aa3ae",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8.5,
    "xtick.color": "#9aa3ae",
    "ytick.color": "#9aa3ae",
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.minor.visible": False,
    "ytick.minor.visible": False,
    "text.color": INK,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.solid_capstyle": "butt",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "axes.grid": False,
}

_offscreen: ContextVar[bool] = ContextVar("offscreen", default=False)


@contextmanager
def style() -> Iterator[None]:
    """Settings for one drawing, undone at the end of the ``with`` block.

    Only our own: the first figure of a notebook switches matplotlib to interactive inside
    the block, and undoing that too (as ``matplotlib.rc_context`` does) would hide all others.
    """
    before = {name: mpl.rcParams[name] for name in _RC}
    mpl.rcParams.update(_RC)
    try:
        yield
    finally:
        mpl.rcParams.update(before)


@contextmanager
def offscreen() -> Iterator[None]:
    """Within it new figures are made without pyplot, so that no window or state is left."""
    token = _offscreen.set(True)
    try:
        yield
    finally:
        _offscreen.reset(token)


def is_offscreen() -> bool:
    """Whether new figures are made without pyplot here."""
    return _offscreen.get()


def new_axes(ax: Axes | None, *, width: float, height: float) -> Axes:
    """``ax``, or a new figure's only Axes where there is none.

    Must be called inside :func:`style`: a figure takes its settings when it is made.
    """
    if ax is not None:
        despine(ax)
        return ax
    if _offscreen.get():
        from matplotlib.figure import Figure

        return Figure(figsize=(width, height), layout="constrained").subplots()
    import matplotlib.pyplot as plt

    _, made = plt.subplots(figsize=(width, height), layout="constrained")
    return made


def new_page(ax: Axes | None, *, width: float, height: float) -> Axes:
    """``ax``, or Axes that cover a new figure: what is placed by the inch needs no layout.

    Must be called inside :func:`style`.
    """
    if ax is not None:
        return ax
    if _offscreen.get():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(width, height))
    else:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(width, height))
    return figure.add_axes((0.0, 0.0, 1.0, 1.0))


def new_row(ax: Axes | None, n: int, *, width: float, height: float) -> list[Axes]:
    """``n`` Axes side by side, in a new figure or within the place of ``ax``.

    Must be called inside :func:`style`.
    """
    if ax is not None:
        ax.set_axis_off()
        share = 1.0 / (n + 0.28 * (n - 1))
        return [ax.inset_axes((1.28 * share * i, 0.0, share, 1.0)) for i in range(n)]
    options: dict[str, Any] = {"figsize": (width, height), "layout": "constrained"}
    if _offscreen.get():
        from matplotlib.figure import Figure

        return list(Figure(**options).subplots(1, n, squeeze=False)[0])
    import matplotlib.pyplot as plt

    return list(plt.subplots(1, n, squeeze=False, **options)[1][0])


def type_rows(ax: Axes, types: Sequence[str], labels: Sequence[str] | None = None) -> None:
    """Name the rows after cell types, each with a mark of its color, the same in all plots.

    The first stands at the top; a thin line parts lineages.
    """
    ax.set_ylim(len(types) - 0.4, -0.6)
    ax.set_yticks(range(len(types)), list(labels or types))
    ax.tick_params(axis="y", length=0, pad=13)
    ax.spines["left"].set_visible(False)
    marks = ax.get_yaxis_transform() + ScaledTranslation(
        -7 / 72, 0, ax.get_figure(root=True).dpi_scale_trans  # type: ignore[union-attr]
    )  # fmt: skip
    ax.scatter(
        [0.0] * len(types), range(len(types)), s=34, marker="s", transform=marks, clip_on=False,
        color=[TYPE_COLORS.get(name, NEUTRAL) for name in types], linewidths=0,
    )  # fmt: skip
    lineages = [k.LINEAGE_OF.get(name, "") for name in types]
    for row in range(1, len(types)):
        if lineages[row] != lineages[row - 1]:
            ax.axhline(row - 0.5, color=RULE, lw=0.6, zorder=0)


def despine(ax: Axes) -> None:
    """Take the box away, also from Axes that were made elsewhere."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def condition_order(values: Iterable[object], reference: str | None = None) -> list[str]:
    """Each condition once, sorted by name, the reference first.

    >>> condition_order(["sle", "healthy", "sle"], reference="healthy")
    ['healthy', 'sle']
    """
    found = sorted({str(v) for v in set(values)} - {""})
    return sorted(found, key=lambda name: name != reference)


def condition_looks(order: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Color and marker of each condition, in the given order.

    >>> condition_looks(["healthy", "sle"])["healthy"]
    ('#5B6572', 'o')
    """
    n_c, n_m = len(CONDITION_COLORS), len(CONDITION_MARKERS)
    return {
        name: (CONDITION_COLORS[i % n_c], CONDITION_MARKERS[i % n_m])
        for i, name in enumerate(order)
    }


def type_order(values: Iterable[object]) -> list[str]:
    """Cell types in the order of the package's list, unknown ones last, by name.

    >>> type_order(["T/NK", "pDC", "my own type"])
    ['pDC', 'T/NK', 'my own type']
    """
    rank = {name: i for i, name in enumerate(k.CELL_TYPES)}
    return sorted({str(v) for v in set(values)}, key=lambda name: (rank.get(name, len(rank)), name))


def darker(color: str) -> str:
    """A color dark enough to be read as text on white.

    >>> darker("#ffffff"), darker("#000000")
    ('#737373', '#000000')
    """
    red, green, blue = colors.to_rgb(color)
    light = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    factor = min(1.0, 0.45 / light) if light else 1.0
    return colors.to_hex((red * factor, green * factor, blue * factor))


def empty(ax: Axes, text: str) -> Axes:
    """Say on the Axes why there is nothing on it, rather than draw zeros."""
    ax.set_axis_off()
    ax.text(
        0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=MUTED, wrap=True
    )
    return ax


def thousands(value: float) -> str:
    """``12345.0`` -> ``12,345``.

    >>> thousands(12345.0)
    '12,345'
    """
    return f"{value:,.0f}"


def percent(value: float) -> str:
    """A fraction as a percentage of two significant digits.

    >>> percent(0.0123), percent(0.26), percent(0.99999)
    ('1.2 %', '26 %', '100 %')
    """
    shown = float(f"{100 * value:.2g}")
    return f"{shown:.10g} %"
