"""Words of a profile: the statement of each donor."""

from __future__ import annotations

from typing import Any

import pandas as pd

from scifn import _keys as k
from scifn._stats.leading import NOT_MEASURABLE, NOT_RESOLVABLE


def statements(table: pd.DataFrame) -> list[str]:
    """A few sentences a donor."""
    return [_statement(row) for row in table.to_dict("records")]


def _statement(row: dict[Any, Any]) -> str:
    said = [
        "Research use only; research stratification, not for clinical decisions.",
        _stratum(row),
    ]
    kind = str(row["balance_kind"])
    if row["stratum"] == "high" and kind != NOT_MEASURABLE:
        said.append(f"Response {kind} (ligand not identifiable).")
    leading = str(row["leading_cell_type"])
    if leading not in ("none", NOT_MEASURABLE):
        said.append(f"Strongest in {leading}.")
    said.append(f"Interferon transcripts: {str(row['ligand_evidence']).replace('_', ' ')}.")
    capacity = str(row["capacity_leading"]).replace("_", " ")
    said.append(f"Expression of pathway components beyond the controls': {capacity}.")
    if row["l1_status"] != NOT_MEASURABLE:
        said.append(
            f"Young LINE-1 RNA {row['l1_status']}; direction not identifiable, may be downstream "
            "of IFN."
        )
    said.append(_why(row))
    return " ".join(said)


def _stratum(row: dict[Any, Any]) -> str:
    if row["stratum"] == k.STRATA[-1]:
        return "IFN stratum not computable."
    return (
        f"IFN {row['stratum']}: score {row['score']:.2f}, cut-off {row['cutoff']:.2f} "
        f"({row['cutoff_low']:.2f} to {row['cutoff_high']:.2f})."
    )


def _why(row: dict[Any, Any]) -> str:
    """Why the data point at a step, or at none."""
    steps = {name: str(row[name]) for name in ("ligand", "sensor", "receptor")}
    if row["leading_evidence"] != NOT_RESOLVABLE:
        step = str(row["leading_evidence"])
        limit = "transcripts, not secretion" if step == "ligand" else "expression, not activity"
        said = f"Of ligand, sensor and receptor only the {step} is beyond the controls' range"
        return f"{said}; {limit}."
    if row["stratum"] != "high":
        return "Leading step not resolvable: only asked in IFN-high donors."
    why = []
    for told, said in (("beyond_controls", "beyond the controls' range"),
                       ("not_excluded", "not excluded by so few pDC"),
                       (NOT_MEASURABLE, "not measurable")):  # fmt: skip
        names = [name for name in steps if steps[name] == told]
        if names:
            why.append(f"{' and '.join(names)} {said}")
    reason = "; ".join(why) or "no step is beyond the controls' range"
    return f"Leading step not resolvable: {reason}."
