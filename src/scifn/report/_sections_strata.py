"""Strata of donors, and serum beside them: a part of the section on donors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scifn import _keys as k
from scifn.pl import _strata
from scifn.pl._imbalance import label
from scifn.report import _format as f
from scifn.report import _wording as w
from scifn.report._blocks import Block, Note, Table, Text
from scifn.report._figures import figure

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

_CONCORDANCE = "concordance only"


def strata(m: Material, table: pd.DataFrame) -> list[Block]:
    """Groups of donors by their response, with the cut-off that each was held against."""
    record = m.record(f"{k.STRATA_TABLE}_parameters")
    rows = [
        [str(r["donor"]), str(r["condition"]), str(r["signature"]), f.effect(r["score"]),
         f.effect(r["cutoff"]), f.interval(r["cutoff_low"], r["cutoff_high"]),
         f.words(r["stratum"]), f.count(r["n_genes"]), f.percent(r["stability"])]
        for _, r in table.iterrows()
    ]  # fmt: skip
    unit = "sample" if record.get("bulk") else "donor"
    several = " Samples of one person are counted each." if record.get("bulk") else ""
    heads = [unit.capitalize(), "Condition", "Signature", "Score", "Cut-off", "90 % interval",
             "Stratum", "Genes", "Stability"]  # fmt: skip
    blocks: list[Block] = [
        figure(
            _strata.draw, table, record=record, reference=m.reference,
            caption=f"Score of each {unit}, with the cut-off from the controls and its 90 % "
            f"interval, in which a {unit} is indeterminate.{several}",
            alt=f"Scores of the {unit}s by condition; the table below holds every number.",
        ),
        Text(_said(record), "Cut-off"),
        Table(f"Strata of {unit}s. {w.IFNGS}.", heads, rows, frozenset({0, 1, 2, 6})),
        Note(f"{w.RESEARCH_ONLY} Strata are {w.RESEARCH}."),
    ]  # fmt: skip
    serum = m.store.get(k.SERUM)
    return blocks if serum is None else [*blocks, *_serum(m, serum, record)]


def _said(record: Mapping[str, Any]) -> str:
    """How the cut-off was made and what else was found, in sentences."""
    said = []
    n, factor = float(record.get("n_controls", 0)), float(record.get("factor", np.nan))
    if np.isfinite(factor):
        beyond = f.percent(1 - float(record.get("level", 0.975)))
        said.append(
            f"Mean and {factor:.2f} standard deviations of {f.plural(n, 'control')}, which "
            f"{beyond} of further controls would exceed"
        )
    else:
        said.append("There is none")
    if record.get("outlying_controls"):
        said.append(f"left out as too high for a control: {record['outlying_controls']}")
    said += [str(record[name]) for name in ("note", "modules") if record.get(name)]
    if record.get("order_of_activation"):
        said.append(f"order of the modules: {record['order_of_activation']}")
    if record.get("bimodality"):
        said.append(str(record["bimodality"]))
    return f"{'; '.join(said)}."


def _serum(m: Material, table: pd.DataFrame, record: Mapping[str, Any]) -> list[Block]:
    """Measurements beside response, and whom they disagree in."""
    shown = table[table["n_donors"] > 0]
    rows = [
        [str(r["measurement"]), _readout(str(r["readout"])), str(r["among"]),
         f.count(r["n_donors"]), f.count(r["n_censored"]), f.effect(r["rho"]),
         f.interval(r["ci_low"], r["ci_high"]), f.p_value(r["p_value"]), str(r["statement"])]
        for _, r in shown.iterrows()
    ]  # fmt: skip
    shared, own = f.apart([row[-1] for row in rows])
    for row, said in zip(rows, own, strict=True):
        row[-1] = said
    heads = ["Measurement", "Readout", "Among", "Donors", "Below limit", "Rank correlation",
             "95 % CI", "p", "Statement"]  # fmt: skip
    words = "; ".join(shared) or _CONCORDANCE
    blocks: list[Block] = [
        Table(f"Measurements of the donors beside their response: {words}.", heads, rows,
              frozenset({0, 1, 2, 8}))
    ]  # fmt: skip
    if m.donors is not None and k.SERUM_CLASS in m.donors:
        blocks.append(_classes(m.donors, record))
    return blocks


def _classes(donors: pd.DataFrame, record: Mapping[str, Any]) -> Block:
    counts = donors.groupby([k.SERUM_CLASS, "condition"]).size().unstack(fill_value=0)
    counts = counts.reindex([name for name in k.SERUM_CLASSES if name in counts.index])
    rows = [[f.words(name), *map(f.count, row)] for name, row in counts.T.items()]
    limit = f.number(record.get("serum_limit", np.nan))
    return Table(
        f"Serum ({record.get('serum', '')}) beside stratum. Serum is high above {limit} "
        f"({record.get('serum_limit_is', '')}). A high response without it may not be IFN-alpha "
        "driven.",
        ["Class", *map(str, counts)],
        rows,
        frozenset({0}),
    )


def _readout(name: str) -> str:
    return label(name) if name.startswith(k.RESPONSE_OF) else name
