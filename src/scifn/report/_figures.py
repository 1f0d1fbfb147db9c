"""Figures as SVG inside the page: sharp at any size, and no file beside it."""

from __future__ import annotations

import base64
from collections.abc import Callable
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl

from scifn.pl import _style
from scifn.report._blocks import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

#: Pixels an inch: a little more than the usual 96, so that labels are as large as the text's.
SCALE: Final = 116
#: Dots an inch of what is too many marks for outlines: clouds of single cells.
POINTS: Final = 220


def figure(
    draw: Callable[..., Axes | Drawing], *tables: Any, caption: str, alt: str, **options: Any
) -> Figure:
    """Draw without pyplot and keep the drawing as a data URI.

    Letters become outlines, so that the figure looks the same on every machine.
    """
    with _style.offscreen():
        drawn = draw(*tables, **options).get_figure(root=True)
    if drawn is None:  # an Axes that was taken out of its figure; ours are not
        msg = "the drawing has no figure"
        raise RuntimeError(msg)
    target = BytesIO()
    settings: dict[Any, Any] = {"svg.fonttype": "path", "svg.hashsalt": "scifn"}
    with mpl.rc_context(settings):
        # the layout holds everything already; cropping would draw it all once more
        drawn.savefig(target, format="svg", dpi=POINTS, metadata={"Date": None})
    width = float(drawn.get_size_inches()[0])
    encoded = base64.b64encode(target.getvalue()).decode("ascii")
    return Figure(f"data:image/svg+xml;base64,{encoded}", caption, alt, round(SCALE * width))
