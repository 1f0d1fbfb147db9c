"""The section on the file, and what it lets be measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scifn.pl import _coverage
from scifn.report import _format as f
from scifn.report._blocks import Absent, Block, Facts, Items, Section, Table, Text
from scifn.report._figures import figure

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

_INPUT_WORDS = (
    ("matrix", "Matrix read"),
    ("storage", "Stored as"),
    ("scale", "Scale"),
    ("counts", "UMI counts"),
    ("identifiers", "Identifiers"),
    ("species", "Species"),
    ("n_cells", "Cells"),
    ("n_features", "Features"),
    ("n_panel_genes", "Genes used by scifn"),
    ("reason", "Reason for the choice"),
)


def file(m: Material) -> Section:
    """What was in the file and what could be measured."""
    if m.bulk:
        rows = [("Samples", f.count(m.n_cells)), ("Features", f.count(m.n_features)),
                ("Expression", "bulk, log2 as given"), ("Reference", str(m.reference))]  # fmt: skip
        return Section("file", "What was in the file", [Facts(rows)])
    blocks: list[Block] = []
    facts = [
        (words, f.count(m.input[key]) if key.startswith("n_") else str(m.input[key]))
        for key, words in _INPUT_WORDS
        if m.input.get(key, "") != ""
    ]
    facts += [
        (words, value)
        for words, value in (
            ("Donor column", m.donor),
            ("Condition column", m.condition),
            ("Reference", m.reference),
        )
        if value
    ]
    blocks.append(Facts(facts) if facts else Absent("No step has read a matrix of this object."))
    notes = [line for line in str(m.input.get("notes", "")).split("\n") if line]
    if notes:
        blocks.append(Items(notes))
    if m.coverage is None:
        return Section("file", "What was in the file", [*blocks, Absent(m.absent["coverage"])])
    order = m.coverage.sort_values("set", ignore_index=True)
    blocks.append(
        figure(
            _coverage.draw,
            order,
            caption="Genes of each set among the features. Under 50 % (or under three genes) a set "
            "is insufficient and not used, under 80 % it is used with a warning.",
            alt=f"Bars of coverage for {len(order)} gene sets; the table below holds the numbers.",
        )
    )
    blocks.append(_coverage_table(order))
    return Section("file", "What was in the file, and what could be measured", blocks)


def _coverage_table(table: pd.DataFrame) -> Block:
    """Sets of which genes are missing; that the others are whole is said in the caption."""
    part = table[table["n_found"] < table["n_genes"]]
    whole = len(table) - len(part)
    if part.empty:
        return Text(f"Every gene of all {f.plural(whole, 'set')} is among the features.")
    rows = []
    for _, row in part.iterrows():
        missing = [
            name for name in str(row["missing"]).replace(";", ",").split(",") if name.strip()
        ]
        names = ", ".join(name.strip() for name in missing[:12])
        more = f" and {len(missing) - 12} more" if len(missing) > 12 else ""
        found = f"{f.count(row['n_found'])} of {f.count(row['n_genes'])}"
        rows.append([str(row["set"]), found, f.words(row["status"]), names + more])
    others = f" The other {f.plural(whole, 'set')} are whole." if whole else ""
    return Table(
        f"Gene sets of which genes are missing.{others}",
        ["Set", "Found", "Status", "Missing genes"],
        rows,
        frozenset({0, 2, 3}),
    )
