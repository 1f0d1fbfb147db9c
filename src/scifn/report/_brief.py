"""The page's first part: what the tables say, in sentences, and what they cannot say."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from scifn import _keys as k
from scifn.pl._imbalance import STATUS_WORDS, label
from scifn.pl._style import condition_order, type_order
from scifn.report import _format as f
from scifn.report import _held
from scifn.report._wording import IFNGS, RESEARCH, RESPONSE

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

NOT_MEASURABLE = "IFNA transcript evidence: not measurable in this file"
NO_ABSENCE = "That is not evidence of absence."
STEPS = {"donors": "donor table", "imbalance": "group comparison", "stratify": "strata of donors"}
#: Statuses of coverage with which a set is used.
USABLE = ("ok", "partial")
#: Set, and what cannot be told without it; in the order in which they matter here.
NEEDED_FOR = (
    ("ifn_alpha", "evidence of IFN-alpha transcription"),
    ("pdc_identity_core", "which cells are pDC"),
    ("b_transitional", "which B cells are transitional (Breg-like)"),
    ("b_abc_dn2", "which B cells are atypical (DN2-like)"),
    ("plasmablast", "which cells are plasmablasts"),
    ("isg_sc_pan", "the response to type I interferon"),
    ("cap_tlr79", "expression of the TLR7/9 pathway"),
)


def brief(material: Material) -> list[tuple[str, str]]:
    """Heading and sentence of each statement that the tables allow."""
    said = [
        ("File", _file(material)),
        ("Donors", _donors(material)),
        ("Cells", _cells(material)),
        ("Evidence", _evidence(material)),
        ("Response", _response(material)),
        ("Imbalance", _imbalance(material)),
        ("Strata", _strata(material)),
    ]
    return [(head, sentence) for head, sentence in said if sentence]


def _file(m: Material) -> str:
    record = m.input
    if m.bulk:
        return f"{f.plural(m.n_cells, 'sample')} (bulk, log2 expression); cells are not told apart."
    if not record:
        return f"{f.plural(m.n_cells, 'cell')}; no expression matrix was read."
    counts = {"as stored": "UMI counts", "recovered": "UMI counts, recovered exactly"}.get(
        str(record.get("counts", "")), f"{record.get('scale', 'expression')} (counts unknown)"
    )
    return (
        f"{f.plural(float(record.get('n_cells', m.n_cells)), 'cell')} and "
        f"{f.plural(float(record.get('n_features', m.n_features)), 'feature')}; {counts} "
        f"({record.get('matrix', 'the matrix')}), {record.get('species', 'unknown species')}."
    )


def _donors(m: Material) -> str:
    if m.donors is None:
        return ""
    conditions = condition_order(m.donors["condition"], m.reference)
    by = m.donors.groupby(m.donors["condition"].astype(str))["donor"].nunique()
    parts = [f"{by[name]} {name}" for name in conditions]
    both = m.donors.groupby("donor")["condition"].nunique()
    paired = int((both > 1).sum())
    text = f"{f.plural(m.donors['donor'].nunique(), 'donor')} ({f.listed(parts)})"
    if paired:
        text += f"; {paired} of them in more than one condition"
    return text + ". Groups are compared on donors, never on cells."


def _cells(m: Material) -> str:
    if m.cells is None:
        return ""
    counts = m.cells["cell_type"].value_counts()
    total = int(counts.sum())
    shown = [name for name in (k.PDC, k.ASDC) if name in counts]
    shown += [name for name in counts.index if name not in (*shown, k.UNASSIGNED)][:4]
    parts = [
        f"{name} {counts[name]:,} ({f.percent(counts[name] / total)})" for name in type_order(shown)
    ]
    unknown = int(counts.get(k.UNASSIGNED, 0))
    tail = f"; {unknown:,} ({f.percent(unknown / total)}) unassigned" if unknown else ""
    # fractions are of what was profiled, not of blood
    share = m.fraction
    return f"{', '.join(parts)}{tail}. Each is a {share}." if parts else f"All{tail[1:]}."


def _evidence(m: Material) -> str:
    if m.evidence is None:
        status, _, reason = m.absent["evidence"].partition("not measurable: ")
        return "" if status else f"{NOT_MEASURABLE}: {reason.rstrip('.')}. {NO_ABSENCE}"
    strong, weak = (int(m.evidence[name].sum()) for name in ("strong", "weak"))
    if not measurable(m):
        reason = str(m.record("production").get("reason", "")).rstrip(".")
        because = f": {reason}" if reason else ""
        return f"{NOT_MEASURABLE}{because}. {NO_ABSENCE}"
    sentence = pdc_statement(m)
    total = f"{f.plural(strong, 'cell')} with strong and {weak:,} with weak IFNA evidence"
    return f"{total}. {sentence}" if sentence else f"{total}. Zero does not exclude secretion."


def measurable(m: Material) -> bool:
    """Whether IFNA evidence was measurable in any cell."""
    if m.evidence is None:
        return False
    return bool(m.evidence[["none", "weak", "strong"]].to_numpy().sum() > 0)


def pdc_statement(m: Material) -> str:
    """The statements on pDC of the bounds table, pooled rows before others."""
    if m.bounds is None:
        return ""
    pooled = m.bounds["pooled"].to_numpy(dtype=bool)
    table = m.bounds[pooled & (m.bounds["ligand"] == k.LIGANDS["ifna"]).to_numpy()]
    conditions = list(dict.fromkeys(table["condition"].astype(str)))
    said = []
    for condition in conditions:
        mine = table[table["condition"].astype(str) == condition]
        where = f"In {condition}" if condition and len(conditions) > 1 else "Donors pooled"
        extra = "donors pooled, descriptive" if where != "Donors pooled" else "descriptive"
        said.append(f"{where} ({extra}): {_of_pdc(mine)}")
    return ". ".join(said) + ("." if said else "")


def _of_pdc(rows: pd.DataFrame) -> str:
    """Statement on pDC; where there are none, that, and the one on the most frequent type."""
    pdc = rows[(rows["cell_type"] == k.PDC) & (rows["n_cells"] > 0)]
    if len(pdc):
        return str(pdc["statement"].iloc[0]).rstrip(".")
    tested = rows[(rows["n_cells"] > 0) & ~rows["cell_type"].isin(k.NOT_COUNTED)]
    if tested.empty:
        return "no cell could be tested"
    # T cells without a transcript of IFNA are no news
    able = tested[tested["cell_type"].isin(k.CANDIDATE_PRODUCERS)]
    chosen = able if len(able) else tested
    most = chosen.sort_values("n_cells", ascending=False, kind="stable").iloc[0]
    return f"no pDC to look at; {str(most['statement']).rstrip('.')}"


def _response(m: Material) -> str:
    """The donors' difference where donors were compared, else medians over cells."""
    if not m.has_response:
        return ""
    words = RESPONSE[0].upper() + RESPONSE[1:]
    if m.imbalance is not None:
        rows = m.imbalance[m.imbalance["readout"].str.startswith("response_type1:")]
        rows = rows[np.isfinite(rows["effect"].to_numpy(dtype=float))]
        several = m.imbalance["group"].nunique() > 1
        if len(rows):
            said = [_one_effect(row, several=several) for _, row in rows.iterrows()]
            text = "; ".join(said).replace("Type I response, ", "").replace(" (log2)", "")
            return f"{words}, difference of the donors’ means (log2): {text}."
    absolute = str(m.record("response").get("meaning", "")).startswith("absolute")
    unit = "weighted UMI per 10,000" if absolute else "excess over the controls’ mean, in its units"
    return f"{words}, median over cells ({unit}): {_medians(m)}."


def _medians(m: Material) -> str:
    if m.cells is None:
        return ""
    # without conditions all cells are of one, whose name is empty
    conditions = condition_order(m.cells["condition"], m.reference) or [""]
    parts = []
    for lineage in k.LINEAGES[:4]:
        chosen = m.cells[m.cells["lineage"] == lineage]
        medians = chosen.groupby("condition")["response"].median()
        shown = [
            f"{f.effect(medians[c])}{f' ({c})' if c else ''}"
            for c in conditions
            if c in medians and np.isfinite(medians[c])
        ]
        if shown:
            parts.append(f"{lineage} {' v '.join(shown)}")
    return "; ".join(parts)


def _imbalance(m: Material) -> str:
    if m.imbalance is None:
        return ""
    rows = m.imbalance[m.imbalance["readout"].isin(k.PRIMARY_FAMILY)]
    several = rows["group"].nunique() > 1
    known = np.isfinite(rows["effect"].to_numpy(dtype=float))
    parts = [_one_effect(row, several=several) for _, row in rows[known].iterrows()]
    names = [label(str(name)).partition(" (")[0] for name in dict.fromkeys(rows[~known]["readout"])]
    if names:
        parts.append(f"{'n' if parts else 'N'}ot comparable: {f.listed(names)}")
    return "; ".join(parts) + "." if parts else "No primary readout could be compared."


_STRATA_WORDS = {
    "high": "IFN-high",
    "indeterminate": "indeterminate",
    "low": "IFN-low",
    "not_computable": "not computable",
}


def _strata(m: Material) -> str:
    if m.strata is None:
        return ""
    called = m.strata[m.strata["stratum"].isin(["high", "low", "indeterminate"])]
    if called.empty:
        why = str(m.record(f"{k.STRATA_TABLE}_parameters").get("without_strata", ""))
        return f"No donor could be called IFN-high or IFN-low{f': {why}' if why else ''}."
    parts = []
    for condition in condition_order(m.strata["condition"], m.reference):
        rows = m.strata.loc[m.strata["condition"] == condition, "stratum"]
        said = [
            f"{int((rows == name).sum())} {words}"
            for name, words in _STRATA_WORDS.items()
            if name in {"high", "low"} or (rows == name).any()
        ]
        parts.append(f"{condition}: {', '.join(said)} of {len(rows)}")
    return f"{'; '.join(parts)}. {IFNGS}; {RESEARCH}."


def _one_effect(row: pd.Series, *, several: bool) -> str:
    name = label(str(row["readout"])) + (f", {row['group']}" if several else "")
    text = f"{name} {f.effect(row['effect'])}"
    ends = f.interval(row["ci_low"], row["ci_high"])
    text += f" (95 % CI {ends}" if ends != f.MISSING else " (no interval"
    if np.isfinite(float(row["p_permutation"])):
        p = f"p = {f.p_value(row['p_permutation'])}".replace("= <", "< ")
        if np.isfinite(float(row["p_adj"])):
            p += f", adjusted {f.p_value(row['p_adj'])}"
        return f"{text}, {p})"
    return f"{text}; {STATUS_WORDS.get(str(row['status']), f.words(row['status']))}, no p-value)"


def not_told(m: Material) -> list[str]:
    """What could not be told from this file, and why."""
    said = [*_sets(m), *_pbmc(m), *_steps(m), *_tables(m), *_left_out(m), *_statuses(m)]
    said.append(
        "Secretion of interferon, suppression by Breg-like cells, absolute cell numbers and the "
        "source of a patient’s interferon: never, from transcripts alone."
    )
    return said


def _unusable(m: Material) -> set[str]:
    """Gene sets of which too few genes are among the features."""
    if m.coverage is None:
        return set()
    return set(m.coverage["set"][~m.coverage["status"].astype(str).isin(USABLE)].astype(str))


def _sets(m: Material) -> list[str]:
    if m.coverage is None:
        return []
    rows = m.coverage.set_index("set")
    said = []
    for name, purpose in NEEDED_FOR:
        if name in _unusable(m):
            found, size = rows.loc[name, "n_found"], rows.loc[name, "n_genes"]
            said.append(
                f"{purpose[0].upper()}{purpose[1:]}: {f.count(found)} of {f.count(size)} genes of "
                f"{name} are among the features ({f.words(rows.loc[name, 'status'])})."
            )
    return said


def _pbmc(m: Material) -> list[str]:
    """Fractions of PBMC, where the file holds something else."""
    name, reason = _held.what(m.cells)
    if m.cells is None or not reason:
        return []
    return [f"Fractions of PBMC: {reason}, so that every fraction is one of the profiled {name}."]


def _steps(m: Material) -> list[str]:
    """Limits that the steps on cells noted themselves."""
    told = [step for step, name in (("production", "ifn_alpha"),) if name in _unusable(m)]
    lines = [
        line.strip().rstrip(".")
        for step in ("annotate", "production", "response", "capacity")
        if step not in told  # its gene set is named above
        for line in str(m.record(step).get("notes", "")).split("\n")
    ]
    # a step that was not done says why; that of production is among its notes already
    for step, outcome in m.record("steps").items():
        status, _, reason = str(outcome).partition(": ")
        if status != "done" and step not in ("annotate", "production", "response", "capacity"):
            lines.append(f"{STEPS.get(step, step)}: {(reason or f.words(status)).rstrip('.')}")
    return [f"{line[0].upper()}{line[1:]}." for line in dict.fromkeys(lines) if line]


def _tables(m: Material) -> list[str]:
    if m.bulk:
        return []
    heads = {
        "cells": "Cell types", "evidence": "Evidence", "donors": "Donor table",
        "imbalance": "Group comparison", "bounds": "Detection bounds",
    }  # fmt: skip
    # without evidence there are no bounds: one sentence says both
    left = [name for name in heads if not (name == "bounds" and "evidence" in m.absent)]
    return [f"{heads[name]}: {m.absent[name]}" for name in left if name in m.absent]


def _left_out(m: Material) -> list[str]:
    """What the donor table left out; notes of one kind once, with the number of donors."""
    if m.donors is None:
        return []
    lines = str(m.record(f"{k.DONORS}_parameters").get("notes", "")).split("\n")
    said = [f"{line[0].upper()}{line[1:]}." for line in lines if line]
    kinds: dict[str, list[float]] = {}
    donors: dict[str, set[str]] = {}
    for donor, note in zip(m.donors["donor"], m.donors["note"].astype(str), strict=True):
        for part in filter(None, note.split("; ")):
            found = re.match(r"([\d,]+) (.*)", part)
            number = float(found[1].replace(",", "")) if found else np.nan
            kind = found[2] if found else part
            kinds.setdefault(kind, []).append(number)
            donors.setdefault(kind, set()).add(str(donor))
    for kind, numbers in kinds.items():
        who = f.plural(len(donors[kind]), "donor")
        low, high = f.count(min(numbers)), f.count(max(numbers))
        if low == f.MISSING:
            said.append(f"{who}: {kind}.")
        else:
            said.append(f"{who} with {low if low == high else f'{low} to {high}'} {kind}.")
    return said


def _statuses(m: Material) -> list[str]:
    """Comparisons without a p-value, those of one reason in one sentence."""
    if m.imbalance is None:
        return []
    shared, notes = f.apart(m.imbalance["note"].astype(str).tolist())
    table = m.imbalance.assign(note=notes)
    without = table[~np.isfinite(table["p_permutation"].to_numpy(dtype=float))]
    said = [f"{part[0].upper()}{part[1:]}." for part in shared]
    for (status, note), rows in without.groupby(["status", "note"], sort=False):
        names = [label(str(name)).partition(" (")[0] for name in dict.fromkeys(rows["readout"])]
        if len(names) > 4:
            names = [*names[:3], f"{len(names) - 3} others"]
        reason = str(note) or f.words(status)
        said.append(f"No p-value for {f.listed(names)}: {reason}.")
    return said
