"""Sections on associations across donors; each is there only if its step was run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from scifn import _keys as k
from scifn.pl._imbalance import label
from scifn.report import _format as f
from scifn.report._blocks import Block, Note, Section, Table, Text

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
         f.p_value(r["p_value"]), str(r["adjusted_for"]) or "nothing", note or f.MISSING]
        for names, note, (_, r) in zip(first, notes, table.iterrows(), strict=True)
    ]  # fmt: skip
    heads = [*heads, "Donors", "rho", "95 % CI", "p", "Adjusted for", "Note"]
    left = frozenset({*range(len(first[0])), len(heads) - 2, len(heads) - 1})
    blocks: list[Block] = []
    if shared:
        text = "; ".join(shared)
        blocks.append(Note(f"{text[0].upper()}{text[1:]}."))
    return [*blocks, Table(caption, heads, rows, left)]


_SECTIONS = ((k.CROSSTALK, _crosstalk),)
