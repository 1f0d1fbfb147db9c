"""Sections on associations across donors; each is there only if its step was run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scifn import _keys as k
from scifn.pl._imbalance import label
from scifn.report import _format as f
from scifn.report._blocks import Block, Items, Note, Section, Table, Text

if TYPE_CHECKING:
    from scifn.report._material import Material


def sections(m: Material) -> list[Section]:
    """What the tables of associations allow to be shown."""
    return [
        section(m, table) for key, section in _SECTIONS if (table := _table(m, key)) is not None
    ]


def _table(m: Material, key: str) -> pd.DataFrame | None:
    found = m.store.get(key)
    return found.reset_index(drop=True) if isinstance(found, pd.DataFrame) and len(found) else None


def _crosstalk(m: Material, table: pd.DataFrame) -> Section:
    """Correlations of pDC and B cells."""
    del m
    pairs = [[_pair(str(name))] for name in table["pair"]]
    blocks = [
        Text(
            "Partial Spearman correlations between donors: each readout less what the conditions "
            "explain, ranked within each condition. A donor counts once."
        ),
        *_associations(table, ["Pair"], pairs, "pDC and B cells across donors."),
    ]
    return Section("crosstalk", "pDC and B cells across donors", blocks)


def _line1(m: Material, table: pd.DataFrame) -> Section:
    """LINE-1 of donors, and what they are associated with."""
    blocks: list[Block] = [Text(_LINE1), *_counted(m)]
    if not table[["l1_young_umi", "l1_old_umi"]].notna().to_numpy().any():
        # nothing was counted, and why is said: tables of dashes would say no more
        return Section("line1", "LINE-1 retroelements", blocks)
    blocks.append(_ratios(table))
    found = _table(m, k.L1_ASSOCIATION)
    if found is not None:
        first = [
            [str(r["cell_type"]), label(str(r["readout"])), _MEASURES.get(str(r["measure"]), "")]
            for _, r in found.iterrows()
        ]
        heads = ["Cell type", "Readout", "LINE-1"]
        blocks += _associations(found, heads, first, "LINE-1 beside other readouts, across donors.")
    return Section("line1", "LINE-1 retroelements", blocks)


_LINE1 = (
    "Young LINE-1 (L1HS, L1PA2 to L1PA4) against old (L1M*, L1PB*, HAL1), of the UMI summed over a "
    "donor’s cells of a type: nuclear RNA holds both, and falls out of the ratio. Features of "
    "elements come from outside; a gene matrix cannot tell LINE-1."
)
_MEASURES = {"l1_young_ratio": "young : old", "l1_old_cpm": "old (control)"}


def _counted(m: Material) -> list[Block]:
    """Which features were counted, or why none was."""
    record = m.record(f"{k.L1}_parameters")
    notes = [str(record.get("reason", "")), *str(record.get("notes", "")).split("\n")]
    lines = [note for note in notes if note]
    return [Items([f"{line[0].upper()}{line[1:]}." for line in lines])] if lines else []


def _median(column: pd.Series) -> float:
    """Median of what is known, NaN of nothing."""
    known = column.dropna()
    return float(known.median()) if len(known) else float("nan")


def _ratios(table: pd.DataFrame) -> Block:
    """Donors with a ratio, by cell type and condition."""
    rows = []
    for (kind, condition), part in table.groupby(["cell_type", "condition"], sort=False):
        ratio = part["l1_young_ratio"].dropna()
        rows.append(
            [str(kind), str(condition), f"{len(ratio)} of {len(part)}",
             f.count(_median(part["l1_young_umi"])), f.count(_median(part["l1_old_umi"])),
             f.effect(_median(ratio)), f.interval(ratio.quantile(0.25), ratio.quantile(0.75)),
             f.effect(_median(part["l1_restriction_chromatin"])),
             f.effect(_median(part["l1_restriction_isg"]))]
        )  # fmt: skip
    heads = ["Cell type", "Condition", "Donors with a ratio", "Young UMI", "Old UMI", "log2 ratio",
             "Quartiles", "Restriction, chromatin", "Restriction, interferon-induced"]  # fmt: skip
    caption = (
        "Medians over donors. Under 20 UMI of young and old there is no ratio; a dash is not "
        "measurable, which is not zero. Restriction is mean log2 CPM of the genes."
    )
    return Table(caption, heads, rows, frozenset({0, 1}))


def _pair(text: str) -> str:
    """Names of a pair in words."""
    return " ~ ".join(label(name) for name in text.split(" ~ "))


def _associations(
    table: pd.DataFrame, heads: list[str], first: list[list[str]], caption: str
) -> list[Block]:
    """A table of correlations; what every row says stands once, before it."""
    shared, notes = f.apart(table["statement"].astype(str).tolist())
    rows = [
        [*names, f.count(r["n_donors"]), f.effect(r["rho"]), f.interval(r["ci_low"], r["ci_high"]),
         f.p_value(r["p_value"]), f.p_value(r.get("p_adj", float("nan"))),
         str(r["adjusted_for"]) or "nothing", note or f.MISSING]
        for names, note, (_, r) in zip(first, notes, table.iterrows(), strict=True)
    ]  # fmt: skip
    heads = [*heads, "Donors", "rho", "95 % CI", "p", "Adjusted p", "Adjusted for", "Note"]
    left = frozenset({*range(len(first[0])), len(heads) - 2, len(heads) - 1})
    blocks: list[Block] = []
    if shared:
        text = "; ".join(shared)
        blocks.append(Note(f"{text[0].upper()}{text[1:]}."))
    return [*blocks, Table(caption, heads, rows, left)]


_SECTIONS = ((k.CROSSTALK, _crosstalk), (k.L1, _line1))
