"""Parts of the section on interferon: the three columns, and the bounds of every ligand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scifn import _keys as k
from scifn.pl import _production, _triad
from scifn.pl._style import condition_order, type_order
from scifn.report import _format as f
from scifn.report._blocks import Block, Items, Note, Table
from scifn.report._figures import figure

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

_TRIAD: Final = (
    "Evidence, capacity and response of each cell type: three different things, side by side and "
    "never added up. A: share of cells with transcripts of each interferon above ambient RNA (dot) "
    "to its 95 % upper bound; where none was detected, any share from 0 to the bound is possible. "
    "B: expression of the machinery against controls, filled with all genes of a module, hollow "
    "without those that interferon moves. C: type I response, a dot a donor. Hatched: not "
    "measurable, which is not 0. A and B pool the cells of all donors, which is descriptive."
)


def triad(m: Material) -> list[Block]:
    """The figure with all three, where any of them is there."""
    if m.triad is None or all(table is None or table.empty for table in m.triad[:3]):
        return []
    return [
        figure(
            _triad.draw,
            m.triad,
            reference=m.reference,
            caption=_TRIAD,
            alt="Three panels with a row a cell type; the tables below hold the numbers.",
        )
    ]


def bounds(m: Material, table: pd.DataFrame) -> list[Block]:
    """Every ligand that was tested: figure, table, and the sentences that limit it."""
    pooled = table["pooled"].to_numpy(dtype=bool)
    rows = table[pooled] if pooled.any() else table
    rows = rows[~rows["cell_type"].astype(str).isin(k.NOT_COUNTED).to_numpy()]
    if not (rows["n_cells"].to_numpy(dtype=float) > 0).any():
        return [
            Note("No bound can be given: interferon transcripts are not measurable in any cell.")
        ]
    return [
        figure(
            _production.draw,
            table,
            reference=m.reference,
            caption="Cells with evidence of each ligand (weak or strong) and the 95 % upper bound, "
            "donors pooled (descriptive). A dotted line from 0 without a dot: none was found, and "
            "every share up to the bound is possible. Ligands of which none was found in the same "
            "cells share a line, for they share the bound.",
            alt="Upper bounds on detectable producers by cell type; the table holds the numbers.",
        ),
        _table(rows, m.reference),
        *_statements(rows, m.reference),
    ]


def _table(rows: pd.DataFrame, reference: str | None) -> Table:
    """A row a type and condition, a column a ligand."""
    ligands = [name for name in k.LIGANDS.values() if (rows["ligand"] == name).any()]
    lines = []
    for kind, condition, mine in _groups(rows, reference):
        by = {str(row["ligand"]): row for row in mine.to_dict("records")}
        tested = max(float(row["n_cells"]) for row in by.values())
        if tested > 0:
            cells = [_cell(by[name], tested) if name in by else f.MISSING for name in ligands]
            lines.append([kind, condition or "all", f.count(tested), *cells])
    return Table(
        "Of the cells tested, those with evidence (of these strong), and the 95 % upper bound on "
        "detectable producers, donors pooled (descriptive). 0, ≤ 5 %: none was found, and up to "
        "5 % are possible. A dash is not measurable, which is not zero.",
        ["Cell type", "Condition", "Cells", *(name.replace("/", "/ ") for name in ligands)],
        lines,
        frozenset({0, 1}),
    )


def _cell(row: dict[Any, Any], tested: float) -> str:
    """``0, ≤ 5.9 %``, or how many; the number tested where it is another one.

    >>> _cell({"n_cells": 9, "n_weak": 0, "n_strong": 0, "upper95": 0.283}, 9)
    '0, ≤ 28 %'
    """
    n, weak, strong = (float(row[c]) for c in ("n_cells", "n_weak", "n_strong"))
    if not (n > 0 and np.isfinite(weak + strong)):
        return f.MISSING
    found = f"{f.count(weak + strong)} ({f.count(strong)})" if weak + strong > 0 else "0"
    of = f" of {f.count(n)}" if n != tested else ""
    return f"{found}{of}, ≤ {f.percent(row['upper95'])}"


def _statements(rows: pd.DataFrame, reference: str | None) -> list[Block]:
    """The required sentences: of pDC all, of other types where there is evidence."""
    is_pdc = (rows["cell_type"].astype(str) == k.PDC).to_numpy()
    found = (rows["n_weak"] + rows["n_strong"]).to_numpy(dtype=float) > 0
    first = rows[is_pdc] if is_pdc.any() else rows[(rows["cell_type"] == rows["cell_type"].iloc[0])]
    notes: list[Block] = [Note(text) for text in _said(first, reference)]
    others = _said(rows[found & ~rows.index.isin(first.index)], reference)
    return [*notes, Items(others)] if others else notes


def _said(rows: pd.DataFrame, reference: str | None) -> list[str]:
    """Statements of the table, those of ligands that differ in nothing but the name as one."""
    out = []
    for _, condition, mine in _groups(rows, reference):
        same: dict[str, list[str]] = {}
        for row in mine.to_dict("records"):
            name, text = str(row["ligand"]), str(row["statement"])
            if text:
                same.setdefault(text.removeprefix(name), []).append(
                    name if text.startswith(name) else ""
                )
        begin = f"In {condition}: " if condition else ""
        out += [
            f"{begin}{f.listed([*filter(None, names)])}{rest.rstrip('.')}."
            for rest, names in same.items()
        ]
    return out


def _groups(rows: pd.DataFrame, reference: str | None) -> list[tuple[str, str, pd.DataFrame]]:
    """Type, condition and rows, in the order of all tables and plots."""
    conditions = [*condition_order(rows["condition"], reference), ""]
    pairs = [(kind, c) for kind in type_order(rows["cell_type"]) for c in conditions]
    parts = [
        (kind, c, rows[((rows["cell_type"] == kind) & (rows["condition"] == c)).to_numpy()])
        for kind, c in pairs
    ]
    return [part for part in parts if len(part[2])]
