"""What bound and what decided calls: labels of the user, and surface proteins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn.pl import _agreement, _gates
from scifn.report import _format as f
from scifn.report import _wording as w
from scifn.report._blocks import Block, Items, Note, Table, Text
from scifn.report._figures import figure

if TYPE_CHECKING:
    from scifn.report._material import Material

#: Calls of a label that are named.
NAMED: Final = 4
#: Rows of the table of calls that differ from their label.
MOST_ROWS: Final = 15
#: Sides of the gates table, in words.
ALL: Final = {k.ASDC: f"as pDC, but {f.listed(list(_gates.ASDC_MARKERS), 'or')} above"}
SIDES: Final = {"above": "above", "below": "below", "one above": "above, or another"}


# --- labels of the user -------------------------------------------------------------------
def labels(m: Material) -> list[Block]:
    """Calls against the labels that bound them, and labels that bound nothing."""
    table = m.record("annotate").get("label_disagreement")
    if not isinstance(table, pd.DataFrame) or table.empty:
        return []
    name = str(m.record("annotate").get("labels", "")) or "label"
    n = f.count(table["n_cells"].sum())
    differ = table[table["status"] == "differs"]
    share = f.percent(differ["n_cells"].sum() / table["n_cells"].sum())
    return [
        figure(
            _agreement.draw,
            table,
            name=name,
            caption=f"Cells of each label ({name}) by called type. Labels that stand for a cell "
            "type or lineage bound the calls.",
            alt="Counts of cells by label and called type.",
        ),
        Text(
            f"{f.count(differ['n_cells'].sum())} of {n} cells ({share}) were called something "
            "else than their label says.",
            "Labels",
        ),
        *_differing(differ),
        *_without_place(table[table["status"] == "no place"]),
    ]


def _differing(differ: pd.DataFrame) -> list[Block]:
    if differ.empty:
        return []
    order = differ.sort_values("n_cells", ascending=False, kind="stable")
    rows = [
        [str(row["label"]), str(row["cell_type"]), f.count(row["n_cells"])]
        for _, row in order.head(MOST_ROWS).iterrows()
    ]
    more = len(order) - len(rows)
    tail = f" {f.plural(more, 'rarer pair')} not shown." if more > 0 else ""
    return [
        Table(f"Calls that differ from the label.{tail}", ["Label", "Called", "Cells"], rows,
              frozenset({0, 1}))
    ]  # fmt: skip


def _without_place(table: pd.DataFrame) -> list[Block]:
    """Labels that had no mapping and are no cell type or lineage."""
    rows = []
    for name, part in table.groupby("label", sort=True):
        calls = part.sort_values("n_cells", ascending=False, kind="stable")
        said = [
            f"{row['cell_type']} {f.count(row['n_cells'])}"
            for _, row in calls.head(NAMED).iterrows()
        ]
        more = [f"{len(calls) - NAMED} more types"] if len(calls) > NAMED else []
        rows.append([str(name), f.count(part["n_cells"].sum()), ", ".join([*said, *more])])
    if not rows:
        return []
    return [
        Table("Labels that bound nothing: they are no cell type or lineage, and mapping= gives "
              "them no place.", ["Label", "Cells", "Called"], rows, frozenset({0, 2}))
    ]  # fmt: skip


# --- surface proteins ---------------------------------------------------------------------
def proteins(m: Material) -> list[Block]:
    """The gates, drawn and listed, and how the surface and the transcripts compared."""
    if m.gates is None or m.gates.empty:
        return []
    surface = m.record("annotate").get("surface", {})
    kinds = "surface proteins" if surface.get("breg_measurable") else "transcripts"
    notes = [
        f"{_gates.NAMES.get(str(row['population']), row['population'])}: {row['note']}"
        for _, row in m.gates.iterrows()
        if str(row["note"]) and str(row["protein"]) == ""
    ]
    return [
        *_drawn(pd.DataFrame() if m.protein is None else m.protein, m.gates),
        _thresholds(m.gates),
        *([Items(list(dict.fromkeys(notes)))] if notes else []),
        Note(f"Breg-like kinds of all B cells here rest on {kinds}. {w.BREG}."),
        *_compared(m.record("annotate").get("surface_calls")),
    ]


def _drawn(values: pd.DataFrame, gates: pd.DataFrame) -> list[Block]:
    if not _gates.drawable(values, gates):
        return []
    return [
        figure(
            _gates.draw,
            values,
            gates,
            caption="Gates on surface proteins, on the cells that they were set on (pDC: all "
            "stained cells; Breg-like: B cells, CD19+ CD3−). Axes are UMI of the antibody with "
            "the background of each cell divided out. A pDC must pass the gates on other lineages "
            "too, so that not every cell beyond both lines is one. Gates are shared by all "
            "donors, and CD38 rises with interferon: transitional-like cells of interferon-high "
            "donors can be too many.",
            alt="Scatter plots of surface proteins with the gates; the table holds the thresholds.",
        )
    ]


def _compared(table: pd.DataFrame | None) -> list[Block]:
    """pDC by transcripts and by surface, one row for each combination."""
    if table is None or table.empty:
        return []
    rows = [
        [*(f.words(row[c]) for c in ("transcripts", "surface", "call")), f.count(row["n_cells"])]
        for _, row in table.iterrows()
    ]
    heads = ["By transcripts", "By surface", "Call", "Cells"]
    caption = "pDC by transcripts and by surface proteins."
    return [Table(caption, heads, rows, frozenset({0, 1, 2}))]


def _thresholds(gates: pd.DataFrame) -> Table:
    """Every gate, and under those of a population the cells that pass them all."""
    rows = []
    for population, part in gates.groupby("population", sort=False):
        named = _gates.NAMES.get(str(population), str(population))
        whole = part["protein"].astype(str) == ""
        for _, row in pd.concat([part[~whole], part[whole]]).iterrows():
            if not np.isfinite(float(row["n_positive"])):
                continue
            side, share = str(row["side"]), f.percent(float(row["percent"]) / 100)
            rows.append(
                [
                    named,
                    str(row["protein"]) or ALL.get(str(population), "all of them"),
                    SIDES.get(side, side),
                    f.number(row["umi"]),
                    str(row["method"]),
                    f"{f.count(row['n_positive'])} ({share})",
                ]
            )
    heads = ["Population", "Protein", "Wanted", "UMI", "Set by", "Cells above"]
    caption = "Gates on surface proteins, the cells above each, and those that pass all of them."
    return Table(caption, heads, rows, frozenset({0, 1, 2, 4}))
