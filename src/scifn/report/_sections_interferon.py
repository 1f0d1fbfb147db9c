"""Sections on interferon: evidence and bounds, capacity, response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scifn import _keys as k
from scifn.pl import _response
from scifn.pl._source import responses_of
from scifn.pl._style import condition_order, type_order
from scifn.report import _evidence as _ev
from scifn.report import _format as f
from scifn.report import _wording as w
from scifn.report._blocks import Absent, Block, Note, Section, Table, Text
from scifn.report._brief import measurable
from scifn.report._figures import figure

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

_LIGANDS = (
    (k.IFNA_UMI, "IFNA"),
    (k.IFNB1_UMI, "IFNB1"),
    (k.IFNK_UMI, "IFNK"),
    (k.IFN1_OTHER_UMI, "other type I"),
    (k.IFNL_UMI, "IFNL"),
)
_MODULES = {
    "tlr79": "TLR7/9",
    "tlr3": "TLR3",
    "rlr": "RIG-I/MDA5",
    "cgas_sting": "cGAS-STING",
    "brakes": "brakes",
}


def interferon(m: Material) -> Section:
    """Evidence and capacity: with response, three quantities that are never summed."""
    blocks: list[Block] = [
        Text(
            "Three quantities are kept apart and never summed: transcripts of interferon itself "
            "(evidence), expression of the machinery that could make it (capacity) and expression "
            "of the genes that it induces (response, next section)."
        )
    ]
    blocks += _ev.triad(m)
    if m.evidence is None:
        blocks.append(Absent(m.absent["evidence"]))
    else:
        blocks += _evidence(m, m.evidence)
    if m.bounds is None:
        blocks.append(Absent(m.absent["bounds"]))
    else:
        blocks += _ev.bounds(m, m.bounds)
    blocks += _capacity(m)
    return Section("interferon", "Evidence of interferon transcription, and its bounds", blocks)


def _evidence(m: Material, table: pd.DataFrame) -> list[Block]:
    ligands = [(column, name) for column, name in _LIGANDS if column in table]
    by: Any = table.set_index("cell_type")
    rows = [
        [name, *(f.count(by.loc[name, e]) for e in k.EVIDENCES),
         *(f.count(by.loc[name, column]) for column, _ in ligands)]
        for name in type_order(by.index)
    ]  # fmt: skip
    heads = ["Cell type", *(f.words(e) for e in k.EVIDENCES), *(f"{n} UMI" for _, n in ligands)]
    positive = [
        name for name in type_order(by.index) if by.loc[name, "strong"] + by.loc[name, "weak"] > 0
    ]
    said = w.filled_source(positive) if measurable(m) else w.SOURCE.replace("..", "not measurable")
    reason = [] if measurable(m) else [Note(text) for text in [_why(m, "production")] if text]
    return [
        *reason,
        Table("Cells by strength of IFNA transcript evidence, and UMIs of each ligand. A dash is "
              "not measurable, which is not zero.", heads, rows),
        Note(said[0].upper() + said[1:] + "."),
    ]  # fmt: skip


def _capacity(m: Material) -> list[Block]:
    if m.capacity is None:
        return [Absent(m.absent["capacity"])]
    modules = [name for name in k.CAPACITY_MODULES if name in m.capacity]
    finite = np.isfinite(m.capacity[modules].to_numpy(dtype=float)).any(axis=1)
    called = ~m.capacity["cell_type"].isin([k.DOUBLET, k.UNASSIGNED]).to_numpy()
    if not (finite & called).any():
        return [Note("Expression of pathway components: not measurable in any cell type.")]
    # the cells that others are held against are zero by construction: no news in a table
    zero = (np.abs(m.capacity[modules].to_numpy(dtype=float)) < 0.005).all(axis=1)
    zero &= (m.capacity["condition"] == m.reference).to_numpy()
    shown = _in_order(m.capacity[finite & called & ~zero])
    rows = [
        [str(r["cell_type"]), str(r["condition"]) or "all", f.count(r["n_cells"]),
         *(_with_residual(r, name) for name in modules)]
        for _, r in shown.iterrows()
    ]  # fmt: skip
    heads = ["Cell type", "Condition", "Cells", *(_MODULES[name] for name in modules)]
    against = f", held against {held}" if (held := m.record("capacity").get("against")) else ""
    return [
        Table(f"Capacity: expression of pathway components, mean over cells{against}; in "
              "parentheses from the genes that interferon is not known to move. Types with "
              "fewer than 20 reference cells are held against their lineage. Groups of fewer than "
              "10 cells are left out.",
              heads, rows, frozenset({0, 1})),
        Note("Expression of pathway components, not pathway activity."),
    ]  # fmt: skip


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    """Rows by cell type, in the order of all tables and plots."""
    rank = {name: i for i, name in enumerate(type_order(table["cell_type"]))}
    return table.sort_values("cell_type", key=lambda s: s.astype(str).map(rank), kind="stable")


def _with_residual(row: pd.Series, name: str) -> str:
    adjusted = row.get(f"{name}_resid", np.nan)
    return f"{f.effect(row[name])} ({f.effect(adjusted)})"


def _why(m: Material, step: str) -> str:
    """The reason that a step gave for what it could not measure."""
    reason = str(m.record(step).get("reason", "")).strip()
    return f"{reason[0].upper()}{reason[1:].rstrip('.')}." if reason else ""


def response(m: Material) -> Section:
    """Response by type and condition."""
    title = "Response to interferon by type and condition"
    if m.cells is None or "response" not in m.cells:
        text = m.absent.get("cells") or (
            f"obs[{k.RESPONSE_TYPE1!r}] is not there: call scifn.tl.response(adata) first."
        )
        return Section("response", title, [Absent(text)])
    if not m.has_response:
        said = "The response was not measurable in any cell."
        return Section("response", title, [Note(f"{said} {_why(m, 'response')}".strip())])
    donors = None if m.donors is None else responses_of(m.donors)
    conditions = condition_order(m.cells["condition"], m.reference)
    called = ~m.cells["cell_type"].isin([k.DOUBLET, k.UNASSIGNED])
    finite = m.cells[called & np.isfinite(m.cells["response"])]
    grouped = finite.groupby(["cell_type", "condition"], observed=True)["response"]
    middle, size = grouped.median(), grouped.size()
    rows = []
    for name in type_order(finite["cell_type"]):
        row = [name]
        for c in conditions or [""]:
            enough = size.get((name, c), 0) > 0
            row += [f.count(size.get((name, c), 0)),
                    f.effect(middle.get((name, c))) if enough else f.MISSING]  # fmt: skip
        rows.append(row)
    heads = ["Cell type"]
    for c in conditions or [""]:
        heads += [f"{c} cells".strip(), "median"]
    means = m.record("response").get("meaning")
    meaning = f": {means}" if means else ""
    blocks: list[Block] = [
        figure(
            _response.draw,
            m.cells,
            donors=donors,
            reference=m.reference,
            relative=not str(means or "").startswith("absolute"),
            caption=f"Type I response{meaning}. Boxes: cells (middle half; whiskers 5th to 95th "
            "percentile). "
            "Points: donors, the unit of every comparison.",
            alt="Boxes of the response by lineage and condition; the table holds the medians.",
        ),
        Table("Type I response, median over cells (descriptive).", heads, rows),
        Note(f"{w.RESPONSE[0].upper()}{w.RESPONSE[1:]}. A response is not production: whose "
             "interferon it was, and when, it does not say."),
    ]  # fmt: skip
    return Section("response", title, blocks)
