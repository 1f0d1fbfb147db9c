"""Interferon profiles: how often the rule names a step, with nothing planted and with one planted.

Tables of donors are drawn (1,000 patients a case, cohorts of 20 controls and 20 IFN-high patients);
means of cells vary between donors as those of the simulated cohort do. One cohort goes through all
of scifn. These are checks of the rule, not of biology: no data say which step leads in a patient.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from _shared import Sheet

import scifn
from scifn import _keys as k
from scifn._stats.profiles import Tables, profiles

N_CONTROLS = N_PATIENTS = 20
COHORTS = 50
#: Types, their cells a donor, SD between donors of a module's mean beyond what counting gives.
TYPES = {"Monocyte": 900, "T/NK": 3200, "B naive": 250, "cDC": 40, "pDC": 40}
BETWEEN = 0.03
#: Step that is planted -> what changes in patients.
PLANTED: dict[str, Mapping[str, float]] = {
    "nothing": {},
    "ligand (3 of 40 pDC strong)": {"ligand": 3},
    "sensor (RIG-I in monocytes + 0.5 SD)": {"sensor": 0.5},
    "receptor (+ 1 log2)": {"receptor": 1.0},
    "ligand and sensor": {"ligand": 3, "sensor": 0.5},
}


def tables(rng: np.random.Generator, planted: Mapping[str, float]) -> Tables:
    """One cohort of donor tables; all patients are IFN-high."""
    names = [f"C{i}" for i in range(N_CONTROLS)] + [f"P{i}" for i in range(N_PATIENTS)]
    conditions = ["control"] * N_CONTROLS + ["patient"] * N_PATIENTS
    n = len(names)
    patient = np.array(conditions) == "patient"
    head = pd.DataFrame({"donor": names, "condition": conditions})
    donors = head.copy()
    for readout, center in (("logit_pdc", -5.8), ("logit_breg_of_b", -3.0)):
        donors[readout] = rng.normal(center, 0.6, n)
        donors[f"{readout}_se"] = 0.25
    strata = head.assign(stratum=np.where(patient, "high", "low"), score=5.0, cutoff=5.0,
                         cutoff_low=4.5, cutoff_high=5.5, stability=1.0)  # fmt: skip
    parts = []
    for name, cells in TYPES.items():
        part = head.assign(visit="", cell_type=name, n_cells=cells)
        part["response_type1"] = rng.normal(0, 0.3, n) + 3.0 * patient
        part["response_balance"] = rng.normal(0, 0.3, n) + 2.0 * patient
        for module in k.CAPACITY_MODULES:
            noise = np.hypot(BETWEEN, 1 / np.sqrt(cells))
            part[f"{module}_resid"] = rng.normal(0, noise, n)
            part[f"{module}_resid_se"] = 1 / np.sqrt(cells)
        if name == "Monocyte":
            part["rlr_resid"] += planted.get("sensor", 0.0) * patient
        for score in ("response_type1", "response_balance"):
            part[f"{score}_se"] = 1 / np.sqrt(cells)
        parts.append(part)
    receptors = head.copy()
    for gene in ("IFNAR1", "IFNAR2"):
        receptors[gene] = rng.normal(6, 0.2, n) + planted.get("receptor", 0.0) * patient
    pdc = float(TYPES["pDC"])
    bounds = head.assign(cell_type="pDC", ligand="IFNA", n_cells=pdc, n_weak=0.0, pooled=False,
                         n_strong=planted.get("ligand", 0.0) * patient, rate=0.0,
                         upper95=1 - 0.05 ** (1 / pdc))  # fmt: skip
    return Tables(donors=donors, reference="control", means=pd.concat(parts), strata=strata,
                  bounds=bounds, receptors=receptors)  # fmt: skip


def rule(sheet: Sheet, cohorts: int) -> None:
    """How often each answer is given."""
    sheet.start("Step that leads: tables of IFN-high donors, drawn",
                f"{cohorts} cohorts of {N_CONTROLS} controls and {N_PATIENTS} patients; "
                f"{int(TYPES['pDC'])} pDC a donor")  # fmt: skip
    for case, planted in PLANTED.items():
        rng = np.random.default_rng(0)
        found = pd.concat([profiles(tables(rng, planted)) for _ in range(cohorts)])
        told = found.loc[found["condition"] == "patient", "leading_evidence"]
        one = len(planted) == 1
        right = next(iter(planted)) if one else "not_resolvable"
        share = float((told == right).mean())
        target = ">= 0.8" if one else ">= 0.9"
        sheet.row(f"{case}: {right}", share, target, share >= float(target[3:]))
        if one:
            wrong = float((~told.isin([right, "not_resolvable"])).mean())
            sheet.row(f"{case}: another step", wrong, "<= 0.05", wrong <= 0.05)


def cohort(sheet: Sheet) -> None:
    """A response of 4 log2 and nothing else, from cells to profiles."""
    sheet.start("Step that leads: simulated cohort, response of 4 log2, no producers",
                "12 v 12 donors, 3,000 cells each, through scifn.run")  # fmt: skip
    adata = scifn.datasets.cohort(
        n_patients=12, n_controls=12, cells_per_donor=3000, rng=0,
        effects={"response": 4.0, "producer_fraction": 0.0, "ifn_low_patients": 0.0},
    )  # fmt: skip
    scifn.run(adata, donor="donor", condition="condition", reference="control")
    table = scifn.get.profiles(adata)
    high = table[table["stratum"] == "high"]
    sheet.row("IFN-high donors", len(high))
    for step in ("ligand", "sensor", "receptor"):
        beyond = int((high[step] == "beyond_controls").sum())
        sheet.row(f"of these, {step} beyond the controls", beyond)
    named = int((high["leading_evidence"] != "not_resolvable").sum())
    sheet.row("of these, a step named", named, "0", named == 0)


def checks(sheet: Sheet, *, quick: bool = False) -> None:
    """All rows; ``quick`` draws fewer cohorts."""
    rule(sheet, 5 if quick else COHORTS)
    if not quick:
        cohort(sheet)


if __name__ == "__main__":
    checks(Sheet())
