"""Sections on donors and on differences between groups of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scifn import _keys as k
from scifn.pl import _composition, _imbalance
from scifn.pl._imbalance import label
from scifn.report import _format as f
from scifn.report import _wording as w
from scifn.report._blocks import Absent, Block, Note, Section, Table, Text
from scifn.report._figures import figure
from scifn.report._sections_strata import strata

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

_COUNTS = (
    ("n_cells", "cells"),
    ("n_total", "counted"),
    ("n_pdc", "pDC"),
    ("n_asdc", "AS-DC"),
    ("n_b", "B"),
    ("n_breg_like", "Breg-like"),
    ("n_plasmablast", "plasmablast"),
    ("n_plasma", "plasma"),
    ("n_b_atypical", "B atypical"),
)
_READOUTS = (
    ("logit_pdc", "logit pDC"),
    ("logit_breg_of_b", "logit Breg-like of B"),
    ("lr_breg_effector", "ln Breg-like : effector"),
    ("lr_pdc_breg", "ln pDC : Breg-like"),
)


def donors(m: Material) -> Section:
    """The donor table, counts and readouts."""
    title = "Donors"
    if m.donors is None:
        found = [] if m.strata is None else strata(m, m.strata)
        # a row of bulk expression is a sample: there are no cells of donors to miss
        missing = [] if m.bulk else [Absent(m.absent["donors"])]
        return Section("donors", "Samples" if m.bulk else title, [*missing, *found])
    table = m.donors
    blocks: list[Block] = [
        _fractions(m, table),
        _counts(table),
        _readouts(table),
        Note(f"Each share is a {m.fraction}; absolute numbers need a blood count. {w.BREG}."),
    ]
    if m.strata is not None:
        blocks += strata(m, m.strata)
    return Section("donors", title, blocks)


def _fractions(m: Material, table: pd.DataFrame) -> Block:
    if _composition.fractions(table, m.limits).empty:
        return Note(f"No donor has enough cells for a fraction.{_limits(m)}")
    return figure(
        _composition.draw,
        table,
        reference=m.reference,
        needed=m.limits,
        caption="Fractions, a point a donor, with the median of each condition. Hollow: none was "
        f"found; drawn at half a cell.{_limits(m)}",
        alt="Donors' fractions of each population by condition; the table holds the counts.",
    )


def _limits(m: Material) -> str:
    cells, b_cells = (f.count(m.limits.get(name)) for name in ("n_total", "n_b"))
    if not m.limits:
        return ""
    return (
        f" Left out: donors with under {cells} counted cells, or {b_cells} B cells for parts of B."
    )


def _note(status: str, note: str) -> str:
    """Status in words, with the notes that do not only repeat a count of the row."""
    parts = [part for part in str(note).split("; ") if part and not part[0].isdigit()]
    said = any(part.startswith(f.words(status)) for part in parts)
    if not said and (status != "ok" or not parts):
        parts = [f.words(status), *parts]
    return "; ".join(parts)


def _who(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Columns that say which donor a row is."""
    names = ["donor", "condition"]
    if "visit" in table and (table["visit"].astype(str) != "").any():
        names.append("visit")
    return names, table[names].astype(str).to_numpy().tolist()


def _counts(table: pd.DataFrame) -> Table:
    names, rows = _who(table)
    shown = [(column, head) for column, head in _COUNTS if column in table]
    notes = [_note(*pair) for pair in zip(table["status"], table["note"], strict=True)]
    for i, row in enumerate(rows):
        row += [f.count(table[column].iloc[i]) for column, _ in shown]
        row.append(notes[i])
    heads = [*names, *(head for _, head in shown), "status"]
    return Table("Cells of each donor; “counted” are those that fractions are of (no platelets, "
                 "erythrocytes, doublets or unassigned). A dash is not measurable, which is not "
                 "zero.",
                 [_upper(h) for h in heads], rows,
                 frozenset({*range(len(names)), len(heads) - 1}))  # fmt: skip


def _readouts(table: pd.DataFrame) -> Table:
    names, rows = _who(table)
    shown = [(column, head) for column, head in _READOUTS if column in table]
    shown += [
        (column, f"log2 response {column.partition(':')[2].replace('T_NK', 'T/NK')}")
        for column in map(str, table.columns)
        if column.startswith("response_type1:") and not column.endswith("_se")
        and np.isfinite(table[column].to_numpy(dtype=float)).any()
    ]  # fmt: skip
    for i, row in enumerate(rows):
        row += [f.effect(table[column].iloc[i]) for column, _ in shown]
    bound = "pdc_ifna_upper95" in table
    if bound:
        for i, row in enumerate(rows):
            row += [f.percent(table["pdc_ifna_upper95"].iloc[i])]
    heads = [*names, *(head for _, head in shown)] + (["pDC with IFNA, upper 95 %"] * bound)
    return Table("Readouts of each donor.", [_upper(h) for h in heads], rows,
                 frozenset(range(len(names))))  # fmt: skip


def _upper(head: str) -> str:
    return head[0].upper() + head[1:] if head[:1].islower() and not head.startswith("pDC") else head


def imbalance(m: Material) -> Section:
    """Differences between groups, with intervals, permutation p-values and statuses."""
    title = "Imbalance between groups of donors"
    if m.imbalance is None:
        return Section("imbalance", title, [Absent(m.absent["imbalance"])])
    table = m.imbalance
    ratio = table["readout"].isin([*k.READOUTS, k.JOINT])
    blocks: list[Block] = [
        Text(
            "The donor is the unit. p is that of the permutation test; adjusted, it is Benjamini "
            "and Hochberg’s within the family. Where the donors allow no p-value, the status says "
            "why."
        )
    ]
    for rows, what in (
        (table[ratio], "Composition: differences of the donors’ means in natural-log units."),
        (table[~ratio], "Response: differences of the donors’ means, log2."),
    ):
        if np.isfinite(rows["effect"].to_numpy(dtype=float)).any():
            blocks.append(
                figure(_imbalance.draw, rows.reset_index(drop=True),
                       caption=f"{what} Lines are 95 % intervals; hollow: no interval.",
                       alt="Forest plot of effects; the table below holds every number.")
            )  # fmt: skip
    shared, _ = f.apart(table["note"].astype(str).tolist())
    if shared:
        text = "; ".join(shared)
        blocks.append(Text(f"{text[0].upper()}{text[1:]}.", "Of all rows"))
    blocks.append(_effects(table))
    told = table[np.isfinite(table["effect"].to_numpy(dtype=float))]
    if len(told):
        blocks.append(_robustness(told))
    if (table["readout"].isin(["lr_breg_effector", "ilr_2", "logit_breg_of_b"])).any():
        blocks.append(Note(f"{w.EFFECTOR[0].upper()}{w.EFFECTOR[1:]}. {w.BREG}."))
    return Section("imbalance", title, blocks)


def _effects(table: pd.DataFrame) -> Table:
    names, rows = _compared(table)
    _, notes = f.apart(table["note"].astype(str).tolist())
    for row, note, (_, r) in zip(rows, notes, table.iterrows(), strict=True):
        status = f.words(r["status"])
        row += [
            f"{f.count(r['n_group'])} v {f.count(r['n_reference'])}",
            f.effect(r["effect"]),
            f.interval(r["ci_low"], r["ci_high"]),
            f.number(r["odds_ratio"], 2),
            f.p_value(r["p_permutation"]),
            f.p_value(r["p_adj"]),
            f"{status}: {note}" if note else status,
        ]
    heads = [*names, "Donors", "Effect", "95 % CI", "Ratio", "p", "p adjusted", "Status"]
    return Table(
        f"Effects{_pair(table)}. “Ratio” is the odds ratio, or ratio, that the effect is the "
        "logarithm of.",
        heads,
        rows,
        frozenset({*range(len(names)), len(heads) - 1}),
    )


def _robustness(table: pd.DataFrame) -> Table:
    names, rows = _compared(table)
    for row, (_, r) in zip(rows, table.iterrows(), strict=True):
        row += [
            f.words(r["family"]),
            f.words(r["design"]),
            f.p_value(r["p_attainable"]),
            f.effect(r["hedges_g"]),
            f.effect(r["cliffs_delta"]),
            f.interval(r.get("cliffs_low"), r.get("cliffs_high")),
            f.interval(r["loo_low"], r["loo_high"]),
            f.words(r["concordance"]),
        ]
    heads = [*names, "Family", "Design", "Lowest p", "Hedges g", "Cliff’s delta", "95 % CI",
             "Leave one out", "Concordance"]  # fmt: skip
    at = len(names)
    return Table(
        "How far the effects can be trusted. “Lowest p” is the smallest that the design allows; "
        "“leave one out” the range of the effect when each donor is left out in turn; "
        "“concordance” which other tests agree.",
        heads,
        rows,
        frozenset({*range(at + 2), len(heads) - 1}),
    )


def _compared(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """The first cells of each row; the groups are named where there are several pairs."""
    rows = [[label(str(name))] for name in table["readout"]]
    if _pair(table):
        return ["Readout"], rows
    for row, group, reference in zip(rows, table["group"], table["reference"], strict=True):
        row.append(f"{group} v {reference}")
    return ["Readout", "Groups"], rows


def _pair(table: pd.DataFrame) -> str:
    """``, sle against healthy`` where that is the only pair."""
    pairs = {f", {g} against {r}" for g, r in zip(table["group"], table["reference"], strict=True)}
    return pairs.pop() if len(pairs) == 1 else ""
