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

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

_COUNTS = (
    ("n_cells", "cells"),
    ("n_total", "in denominator"),
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
        return Section("donors", title, [Absent(m.absent["donors"])])
    table = m.donors
    blocks: list[Block] = [
        figure(
            _composition.draw,
            table,
            reference=m.reference,
            caption="Fractions, a point a donor, with the median of each condition. Hollow: none "
            "was found; drawn at half a cell.",
            alt="Donors' fractions of each population by condition; the table holds the counts.",
        ),
        _counts(table),
        _readouts(table),
        Note(f"Each share is a {w.FRACTION}; absolute numbers need a blood count. {w.BREG}."),
    ]
    return Section("donors", title, blocks)


def _who(table: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Columns that say which donor a row is."""
    names = ["donor", "condition"]
    if "visit" in table and (table["visit"].astype(str) != "").any():
        names.append("visit")
    return names, table[names].astype(str).to_numpy().tolist()


def _counts(table: pd.DataFrame) -> Table:
    names, rows = _who(table)
    shown = [(column, head) for column, head in _COUNTS if column in table]
    notes = [
        "; ".join(part for part in (f.words(s) if s != "ok" else "", str(n)) if part) or "ok"
        for s, n in zip(table["status"].astype(str), table["note"].astype(str), strict=True)
    ]
    for i, row in enumerate(rows):
        row += [f.count(table[column].iloc[i]) for column, _ in shown]
        row.append(notes[i])
    heads = [*names, *(head for _, head in shown), "status"]
    return Table("Cells of each donor. A dash is not measurable, which is not zero.",
                 [_upper(h) for h in heads], rows,
                 frozenset({*range(len(names)), len(heads) - 1}))  # fmt: skip


def _readouts(table: pd.DataFrame) -> Table:
    names, rows = _who(table)
    shown = [(column, head) for column, head in _READOUTS if column in table]
    shown += [
        (column, f"response {column.partition(':')[2].replace('T_NK', 'T/NK')}")
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
    ratio = table["readout"].isin(k.READOUTS)
    blocks: list[Block] = [Text(_design(table))]
    for rows, what in (
        (table[ratio], "Composition: differences of the donors’ means in natural-log units."),
        (table[~ratio], "Response and other scores: differences of the donors’ means."),
    ):
        if np.isfinite(rows["effect"].to_numpy(dtype=float)).any():
            blocks.append(
                figure(_imbalance.draw, rows.reset_index(drop=True),
                       caption=f"{what} Lines are 95 % intervals; hollow: no interval.",
                       alt="Forest plot of effects; the table below holds every number.")
            )  # fmt: skip
    blocks.append(_effects(table))
    if (table["readout"].isin(["lr_breg_effector", "ilr_2", "logit_breg_of_b"])).any():
        blocks.append(Note(f"{w.EFFECTOR[0].upper()}{w.EFFECTOR[1:]}. {w.BREG}."))
    return Section("imbalance", title, blocks)


def _design(table: pd.DataFrame) -> str:
    designs = [f.words(d) for d in dict.fromkeys(table["design"].astype(str)) if d]
    text = f"Design: {'; '.join(designs)}. " if designs else ""
    return (
        f"{text}p is that of the permutation test on donors; “lowest p” is the smallest that this "
        "many donors could give; p adjusted is Benjamini-Hochberg within the family."
    )


def _effects(table: pd.DataFrame) -> Table:
    rows = []
    for _, r in table.iterrows():
        status = f.words(r["status"])
        note = str(r["note"])
        rows.append(
            [
                label(str(r["readout"])),
                f.words(r["family"]),
                f"{r['group']} v {r['reference']}",
                f"{f.count(r['n_group'])} v {f.count(r['n_reference'])}",
                f.effect(r["effect"]),
                f.interval(r["ci_low"], r["ci_high"]),
                f.number(r["odds_ratio"], 2),
                f.p_value(r["p_permutation"]),
                f.p_value(r["p_attainable"]),
                f.p_value(r["p_adj"]),
                f.effect(r["hedges_g"]),
                f.interval(r["loo_low"], r["loo_high"]),
                f"{status}: {note}" if note else status,
            ]
        )
    heads = ["Readout", "Family", "Groups", "Donors", "Effect", "95 % CI", "Ratio", "p", "Lowest p",
             "p adjusted", "Hedges g", "Leave one out", "Status"]  # fmt: skip
    return Table("Effects. “Ratio” is the odds ratio (or ratio) that the effect is the logarithm "
                 "of; “leave one out” the range of the effect when each donor is left out in turn.",
                 heads, rows, frozenset({0, 1, 2, 12}))  # fmt: skip
