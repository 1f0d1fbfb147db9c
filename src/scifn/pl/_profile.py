"""The interferon profiles of a cohort: a row a donor, each part in a column of its own."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
from matplotlib import colors
from matplotlib.collections import PatchCollection
from matplotlib.patches import Rectangle

from scifn import _keys as k
from scifn.pl import _style
from scifn.pl._source import reference_of

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

#: Columns with a z, in blocks that belong together.
BLOCKS: Final = (
    ("Response", (("response_z", "type I"), ("balance_z", "I against II"))),
    (
        "Capacity, adjusted",
        tuple(
            (f"{module}_z", name)
            for module, name in zip(
                k.CAPACITY_MODULES, ("TLR7/9", "TLR3", "RIG-I", "cGAS-STING", "brakes"), strict=True
            )
        ),
    ),
    ("Receptor", (("receptor_z", "IFNAR1/2"),)),
    ("L1", (("l1_z", "young"),)),
    ("Cells", (("pdc_z", "pDC"), ("breg_z", "Breg-like"))),
)
#: z at which the color is full.
FULL: Final = 6.0
#: Beyond so many donors their names would overlap.
MOST_NAMES: Final = 60
_STRATUM: Final = {
    "high": ("#D55E00", "H", "white"),
    "low": ("#DCE3EA", "L", _style.INK),
    "indeterminate": ("#F1D9B8", "?", _style.INK),
}
_GAP: Final = 0.45


def profile(adata: AnnData, *, ax: Axes | None = None) -> Axes:
    """Heat map of the interferon profiles, a row a donor, for research use only.

    Columns stand apart because they are answers to different questions: whether a donor is
    IFN-high, how it responds, what it could make, which transcripts were seen, how many pDC and
    Breg-like cells it has. Colors are z against the controls of the study; hatched is not
    measurable, which is not 0.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.profiles`.
    ax
        Axes to draw on; a new figure where None.

    Returns
    -------
    The Axes, a row a donor; conditions apart, the reference last.

    Raises
    ------
    scifn._errors.MissingKeyError
        If there is no table of profiles.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=5, n_controls=5, cells_per_donor=500, rng=1)
    >>> scifn.run(adata, donor="donor", condition="condition", reference="control")
    >>> len(scifn.pl.profile(adata).get_yticks())
    10
    """
    from scifn import get

    return draw(get.profiles(adata), reference=reference_of(adata), ax=ax)


def draw(table: pd.DataFrame, *, reference: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw the table of :func:`scifn.get.profiles`."""
    rows = _order(table, reference)
    height = 1.5 + (0.2 if len(rows) <= MOST_NAMES else 12.0 / len(rows)) * len(rows)
    with _style.style():
        ax = _style.new_axes(ax, width=7.4, height=min(height, 14.0))
        if rows.empty:
            return _style.empty(ax, "No donors.")
        norm, cmap = colors.Normalize(-FULL, FULL), _colors()
        x, heads, ticks = 0.0, [], []
        _strata(ax, rows["stratum"].tolist(), x)
        ticks.append((x, "stratum"))
        x += 1 + _GAP
        for title, columns in BLOCKS:
            heads.append((x - 0.5, x + len(columns) - 0.5, title))
            for column, name in columns:
                values = rows[column].to_numpy(dtype=np.float64)
                _cells(ax, x, values, norm, cmap)
                ticks.append((x, name))
                x += 1
            x += _GAP
        _ligand(ax, rows, x)
        ticks.append((x, "IFN transcripts"))
        x += 1 + _GAP
        _leading(ax, rows["leading_evidence"].tolist(), x)
        ticks.append((x + 0.4, "points at"))
        _frame(ax, rows, ticks, heads, x + 1.6)
        _scale(ax, norm, cmap, many=len(rows) > MOST_NAMES)
        return ax


def _order(table: pd.DataFrame, reference: str | None) -> pd.DataFrame:
    """Donors by condition, the reference last, the strongest response first."""
    order = _style.condition_order(table["condition"], reference)
    rank = {name: i for i, name in enumerate([*order[1:], *order[:1]])}
    keys = table.assign(
        _condition=[rank[str(c)] for c in table["condition"]],
        _score=-table["response_z"].fillna(-np.inf),
    )
    return keys.sort_values(["_condition", "_score", "donor"], ignore_index=True)


def _colors() -> colors.LinearSegmentedColormap:
    """Blue below the controls, orange above: told apart with any color vision."""
    return colors.LinearSegmentedColormap.from_list(
        "controls", ["#0B4F87", "#7FB2DA", "#F7F7F7", "#F2A66B", "#A63F00"]
    )


def _boxes(ax: Axes, x: float, rows: Sequence[int], **looks: Any) -> None:
    """Boxes of one column in one drawing: hundreds of donors are drawn as fast as ten."""
    boxes = [Rectangle((x - 0.5, row - 0.5), 1, 1) for row in rows]
    ax.add_collection(PatchCollection(boxes, **looks), autolim=False)


def _cells(
    ax: Axes, x: float, values: np.ndarray, norm: colors.Normalize, cmap: colors.Colormap
) -> None:
    known = np.flatnonzero(np.isfinite(values))
    faces = cmap(norm(values[known]))
    _boxes(ax, x, known.tolist(), facecolors=faces, **_edge(values))
    _unknown(ax, x, np.flatnonzero(~np.isfinite(values)).tolist())


def _edge(rows: Sized) -> dict[str, Any]:
    """Lines between the boxes; of their own color, so that no seam shows, where there are many."""
    few = len(rows) <= MOST_NAMES
    return {"edgecolors": "white" if few else "face", "linewidths": 0.6}


def _unknown(ax: Axes, x: float, rows: Sequence[int]) -> None:
    """What is not measurable: hatched; neighbors are one box."""
    here = set(rows)
    starts = [row for row in rows if row - 1 not in here]
    ends = [row for row in rows if row + 1 not in here]
    boxes = [Rectangle((x - 0.5, a - 0.5), 1, b - a + 1) for a, b in zip(starts, ends, strict=True)]
    hatched = PatchCollection(
        boxes, facecolors="white", edgecolors=_style.RULE, linewidths=0.6, hatch="//////"
    )
    ax.add_collection(hatched, autolim=False)


def _strata(ax: Axes, strata: list[str], x: float) -> None:
    """Color and letter of each stratum; color alone where letters would overlap."""
    for name, (face, letter, ink) in _STRATUM.items():
        rows = [row for row, found in enumerate(strata) if found == name]
        _boxes(ax, x, rows, facecolors=face, **_edge(strata))
        for row in rows if len(strata) <= MOST_NAMES else ():
            ax.text(x, row, letter, ha="center", va="center", color=ink, fontsize=6.5, clip_on=True)
    _unknown(ax, x, [row for row, found in enumerate(strata) if found not in _STRATUM])


def _ligand(ax: Axes, rows: pd.DataFrame, x: float) -> None:
    """Filled: strong evidence; half-size: weak only; ring: looked for and none; hatch: unknown."""
    seen: dict[str, list[int]] = {name: [] for name in ("unknown", "none", "weak", "strong")}
    for row, text in enumerate(rows["ligand_evidence"].astype(str)):
        if text == "not_measurable":
            seen["unknown"].append(row)
        elif text.startswith("none"):
            seen["none"].append(row)
        else:
            strong = any(part.strip().split(" ")[0] != "0" for part in _strong(text))
            seen["strong" if strong else "weak"].append(row)
    _unknown(ax, x, seen["unknown"])
    small = 1.0 if len(rows) <= MOST_NAMES else 0.5
    for name, size, inside, line, edge in (
        ("none", 4.5, "white", _style.NEUTRAL, 0.8),
        ("weak", 3.0, _style.INK, _style.INK, 1.0),
        ("strong", 5.5, _style.INK, _style.INK, 1.0),
    ):
        ax.plot([x] * len(seen[name]), seen[name], "o", ms=small * size, mfc=inside, mec=line,
                mew=small * edge)  # fmt: skip


def _strong(text: str) -> list[str]:
    """The numbers in front of "strong"."""
    return [part.rpartition(":")[2] for part in text.split(" strong")[:-1]]


def _leading(ax: Axes, leading: list[str], x: float) -> None:
    """The step that stands out; of many donors only where there is one, in small letters."""
    many = len(leading) > MOST_NAMES
    for row, name in enumerate(leading):
        nothing = name == "not_resolvable"
        if nothing and many:
            continue
        ax.text(
            x - 0.4,
            row,
            "–" if nothing else name,
            ha="left",
            va="center",
            color=_style.MUTED if nothing else _style.INK,
            fontsize=4.5 if many else 7.5,
        )


def _frame(
    ax: Axes,
    rows: pd.DataFrame,
    ticks: list[tuple[float, str]],
    heads: list[tuple[float, float, str]],
    right: float,
) -> None:
    """Names of rows, columns and blocks; a line between conditions."""
    n = len(rows)
    ax.set_xlim(-0.6, right)
    ax.set_ylim(n - 0.4, -1.9)
    ax.set_xticks([x for x, _ in ticks], [name for _, name in ticks], rotation=45, ha="right")
    ax.tick_params(axis="both", length=0)
    several = rows["donor"].duplicated().any()
    names = [
        f"{d} ({c})" if several else str(d)
        for d, c in zip(rows["donor"], rows["condition"], strict=True)
    ]
    ax.set_yticks(range(n), names if n <= MOST_NAMES else [""] * n)
    for side in ("left", "bottom"):
        ax.spines[side].set_visible(False)
    for low, high, title in heads:
        ax.plot([low + 0.1, high - 0.1], [-0.75, -0.75], color=_style.MUTED, lw=0.8)
        ax.text((low + high) / 2, -0.95, title, ha="center", va="bottom", fontsize=7.5)
    conditions = rows["condition"].astype(str).tolist()
    starts = [i for i in range(n) if i == 0 or conditions[i] != conditions[i - 1]]
    for start, end in zip(starts, [*starts[1:], n], strict=True):
        if start:
            ax.axhline(start - 0.5, color=_style.INK, lw=0.8)
        ax.text(
            right, (start + end - 1) / 2, conditions[start], rotation=270, ha="center",
            va="center", color=_style.MUTED,
        )  # fmt: skip


def _scale(ax: Axes, norm: colors.Normalize, cmap: colors.Colormap, *, many: bool) -> None:
    from matplotlib.cm import ScalarMappable

    figure = ax.get_figure(root=True)
    if figure is None:
        return
    bar = figure.colorbar(
        ScalarMappable(norm, cmap), ax=ax, orientation="horizontal", shrink=0.32, aspect=28,
        pad=0.02, anchor=(0.0, 0.0), extend="both",
    )  # fmt: skip
    strata = "orange, gray, sand" if many else "H, L, ?"
    bar.set_label(
        f"z against the controls; hatched: not measurable.\n{strata}: IFN high, low, "
        "indeterminate. Filled: strong evidence (small: weak); ring: looked for, none.",
        loc="left",
    )
    bar.outline.set_visible(False)
