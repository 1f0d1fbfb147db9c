"""One interferon profile a donor: the cohort as a heat map, and a page for each donor."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scifn import _keys as k
from scifn.pl import _profile
from scifn.report import _format as f
from scifn.report import _wording as w
from scifn.report._blocks import Absent, Block, Details, Facts, Note, Pages, Section, Text
from scifn.report._figures import figure

if TYPE_CHECKING:
    import pandas as pd

    from scifn.report._material import Material

#: Counts of the donor table, what they are of, and what a reader calls the two.
_COUNTED = (
    ("n_pdc", "n_total", "pDC", "counted cells"),
    ("n_breg_like", "n_b", "Breg-like", "B cells"),
    # plasmablasts and plasma cells are no part of n_b
    ("n_b_effector", "n_total", "effector B", "counted cells"),
)
_STEPS = (("ligand", "Ligand"), ("sensor", "Sensors"), ("receptor", "Receptor"))


def profiles(m: Material) -> Section:
    """The cohort, then donor by donor."""
    title = "Interferon profiles of donors"
    if m.profiles is None:
        return Section("profiles", title, [Absent(m.absent["profiles"])])
    blocks: list[Block] = [
        Text(
            "Each part of a profile answers a question of its own, and none is added to another. "
            "A z is the distance from the study’s controls in units in which a further control "
            "would vary; a control is held against the others."
        ),
        figure(
            _profile.draw,
            m.profiles,
            reference=m.reference,
            caption="Profiles of the donors, a row each, the strongest response first. Colors are "
            "z against the controls; hatched is not measurable, which is not 0. “Points at” names "
            "a step only where it alone stands out in an IFN-high donor and the two others could "
            "be looked at.",
            alt="Heat map of profiles; the pages of the donors below hold the numbers.",
        ),
        Note(f"{w.RESEARCH_ONLY} Strata and profiles are {w.RESEARCH}."),
    ]
    counts = _counts(m)
    responses = _responses(m)
    pages = []
    for row in m.profiles.to_dict("records"):
        key = (str(row["donor"]), str(row["condition"]))
        facts = [*_facts(row), *counts.get(key, []), *responses.get(key, []), *_rule(row)]
        head = f"{key[0]} · {key[1]} · {_short(row)}"
        pages.append(Details(head, [Facts(facts), Text(str(row["statement"]))]))
    blocks.append(Pages("Profile of each donor", pages, many=len(pages) > _profile.MOST_NAMES))
    return Section("profiles", title, blocks)


def _short(row: Mapping[Hashable, Any]) -> str:
    stratum = str(row["stratum"])
    return "stratum not computable" if stratum == k.STRATA[-1] else f"IFN {stratum}"


def _facts(row: Mapping[Hashable, Any]) -> list[tuple[str, str]]:
    """What a donor's row says, each with its uncertainty."""
    score = f.words(row["stratum"])
    if np.isfinite(row["score"]):
        score += (
            f"; score {f.effect(row['score'])}, cut-off {f.effect(row['cutoff'])} "
            f"({f.interval(row['cutoff_low'], row['cutoff_high'])})"
        )
    balance = f.words(row["balance_kind"])
    if np.isfinite(row["response_balance"]):
        balance += (
            f"; {f.effect(row['response_balance'])} "
            f"({f.interval(row['balance_low'], row['balance_high'])} over cells)"
        )
    capacity = f.words(row["capacity_leading"])
    if np.isfinite(row["capacity_residual"]):
        capacity += f", {f.effect(row['capacity_residual'])} SD of control cells"
    return [
        ("Stratum", score),
        ("Response against the controls", f"z {f.effect(row['response_z'])}"),
        ("Type I against type II", balance),
        ("Response beyond the controls’, strongest in", f.words(row["leading_cell_type"])),
        ("Interferon transcripts", f.words(row["ligand_evidence"])),
        ("Pathway components beyond the controls’", capacity),
        ("Young LINE-1 RNA", f.words(row["l1_status"])),
        ("pDC against the controls", _z(row, "pdc")),
        ("Breg-like against the controls", _z(row, "breg")),
    ]


def _z(row: Mapping[Hashable, Any], name: str) -> str:
    if not np.isfinite(row[f"{name}_z"]):
        return "not measurable"
    span = f.interval(row[f"{name}_z_low"], row[f"{name}_z_high"])
    return f"z {f.effect(row[f'{name}_z'])} ({span} by counting)"


def _rule(row: Mapping[Hashable, Any]) -> list[tuple[str, str]]:
    """The three steps, and which one leads."""
    steps = "; ".join(f"{name} {f.words(row[step])}" for step, name in _STEPS)
    return [("Steps of the pathway", steps), ("Points at", f.words(row["leading_evidence"]))]


def _of_donor(table: pd.DataFrame) -> list[tuple[tuple[str, str], Mapping[Hashable, Any]]]:
    return [((str(r["donor"]), str(r["condition"])), r) for r in table.to_dict("records")]


def _counts(m: Material) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Counts behind the fractions, a line a visit where there are several."""
    out: dict[tuple[str, str], list[tuple[str, str]]] = {}
    if m.donors is None:
        return out
    for key, row in _of_donor(m.donors):
        said = ", ".join(
            f"{f.count(row[part])} {name} of {f.count(row[whole])} {of}"
            for part, whole, name, of in _COUNTED
            if np.isfinite(row[part])
        )
        visit = str(row.get("visit", ""))
        out.setdefault(key, []).append((f"Cells{f', {visit}' if visit else ''}", said or "–"))
        if row.get("serum_class"):
            out[key].append(("Serum against response", f.words(row["serum_class"])))
    return out


def _responses(m: Material) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Response of each lineage as log2 fold of the controls."""
    out: dict[tuple[str, str], list[tuple[str, str]]] = {}
    if m.donors is None:
        return out
    prefix = "response_type1:"
    names = [c for c in map(str, m.donors.columns) if c.startswith(prefix) and c[-3:] != "_se"]
    for key, row in _of_donor(m.donors):
        said = ", ".join(
            f"{name.removeprefix(prefix).replace('T_NK', 'T/NK')} {_with_error(row, name)}"
            for name in names
            if np.isfinite(row[name])
        )
        if said:
            out.setdefault(key, []).append(("Log2 response by lineage (SE over cells)", said))
    return out


def _with_error(row: Mapping[Hashable, Any], name: str) -> str:
    """``1.93 (0.09)``: the value, and its standard error where there is one."""
    error = float(row.get(f"{name}_se", np.nan))
    return f.effect(row[name]) + (f" ({f.effect(error)})" if np.isfinite(error) else "")
