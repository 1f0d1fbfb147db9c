"""The section on cells: types, how sure they are, Breg-like phenotypes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scifn import _keys as k
from scifn.pl import _cell_types, _confidence, _gates
from scifn.pl._style import condition_order, type_order
from scifn.report import _calls
from scifn.report import _format as f
from scifn.report import _wording as w
from scifn.report._blocks import Absent, Block, Note, Section, Table, Text
from scifn.report._figures import figure

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material


def cells(m: Material) -> Section:
    """Cells by type, and what the calls rest on."""
    title = "Cells by type"
    if m.cells is None:
        return Section("cells", title, [Absent(m.absent["cells"])])
    blocks = [
        *_counts(m, m.cells),
        *_sure(m, m.cells),
        *_breg(m),
        *_calls.labels(m),
        *_calls.proteins(m),
    ]
    return Section("cells", title, blocks)


def _counts(m: Material, cells: pd.DataFrame) -> list[Block]:
    """How many cells of each type."""
    table = (
        cells.groupby(["cell_type", "condition"], observed=True).size().rename("n_cells")
    ).reset_index()
    conditions = condition_order(table["condition"], m.reference)
    wide = table.pivot_table(index="cell_type", columns="condition", values="n_cells", fill_value=0)
    totals = wide.sum()
    untold = [name for name in m.untold if name not in wide.index]
    rows = []
    for name in type_order([*wide.index, *untold]):
        if name in untold:
            told = ["not measurable"] + [f.MISSING] * (2 * max(len(conditions), 1) - 1)
            rows.append([name, k.LINEAGE_OF[name], *told])
            continue
        row = [name, k.LINEAGE_OF.get(name, "Other")]
        for c in conditions or [""]:
            row += [f.count(wide.loc[name, c]), f.percent(wide.loc[name, c] / totals[c])]
        rows.append(row)
    heads = ["Cell type", "Lineage"]
    for c in conditions or [""]:
        heads += [c or "Cells", "of all"]
    blocks: list[Block] = [
        figure(
            _cell_types.draw,
            table,
            reference=m.reference,
            not_measurable=m.untold,
            caption="Cells of each type by condition. Counts of cells describe the file; groups "
            "are compared on donors only.",
            alt="Dots of cell counts by type and condition; the table below holds the numbers.",
        ),
        Table("Cells by type and condition.", heads, rows, frozenset({0, 1})),
        Note(f"{w.BREG}. {w.EFFECTOR[0].upper()}{w.EFFECTOR[1:]}. Each share is a {m.fraction}."),
    ]
    if any(t in (k.DC_UNRESOLVED, k.B_UNRESOLVED) for t in wide.index):
        blocks.append(
            Text("“Unresolved” marks cells whose lineage is known, and whose type these features "
                 "cannot tell.")
        )  # fmt: skip
    return blocks


def _sure(m: Material, cells: pd.DataFrame) -> list[Block]:
    """How sure the calls are."""
    if "confidence" not in cells or not np.isfinite(cells["confidence"]).any():
        return []
    meaning = str(m.record("annotate").get("confidence", "")).rstrip(".")
    said = f" ({meaning})" if meaning else ""
    return [
        figure(
            _confidence.draw,
            cells,
            caption=f"Confidence of the calls{said}. Dot: median; thick line: middle half of the "
            "cells; thin line: 90 % of them; of types of few cells every cell. At the right the "
            f"share of calls under {_confidence.LIMIT:g}.",
            alt="Confidence of calls by cell type, most of them close to one.",
        )
    ]


def _breg(m: Material) -> list[Block]:
    """The two Breg-like phenotypes, side by side and never added up, and IL10."""
    if m.breg is None or m.breg.empty:
        return []
    table = m.breg.set_index("kind")
    n = float(table["n_cells"].sum())
    rows = []
    for kind in k.BREG_KINDS:
        for _, row in table.loc[table.index == kind].iterrows():
            name = _gates.NAMES.get(kind, "not measurable" if kind == "NA" else "neither")
            share = f.percent(row["n_cells"] / n)
            rows.append([name, f.words(row["evidence"]), f.count(row["n_cells"]), share])
    with_il10 = m.breg["n_il10"].sum(min_count=1)
    said = w.IL10.replace("k of n", f"{f.count(with_il10)} of {f.count(n)} B cells")
    said += ". A UMI or more counts here, ambient RNA included; section 3 tests against it"
    return [
        Table(
            "Breg-like phenotypes of B cells (without plasmablasts and plasma cells).",
            ["Phenotype", "Rests on", "Cells", "Of B cells"],
            rows,
            frozenset({0, 1}),
        ),
        Note(
            "CD24hiCD38hi (transitional-like) and CD24hiCD27+ (B10-like) cells are different "
            "cells, and never added up; neither phenotype is a function. "
            + (f"{said}." if np.isfinite(with_il10) else "IL10 was not measured.")
        ),
    ]
