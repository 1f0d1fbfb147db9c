"""Concordance of a measurement of the donor, serum IFN-alpha say, with the response of its cells.

Both are signs of interferon and neither says where it came from. They disagree in many patients: a
response without the protein may be to another interferon, or have outlived it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats._words import counted
from scifn._stats.censored import floored, upper_limit
from scifn._stats.partial import MIN_DONORS, Partial, partial_spearman

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Values above the detection limit (or below it) without which nothing can go together.
MIN_EITHER = 3
ALL, PATIENTS = "all donors", "patients"
STRATUM: Final = "stratum"
#: pDC with evidence of IFN-alpha transcription, held against serum as a share of the pDC.
EVIDENCE: Final = "pdc_ifna_positive"
CONCORDANCE: Final = "concordance only"
ZERO: Final = "zero transcripts do not exclude secretion, nor a source outside of these cells"
KITS: Final = "assays of IFN-alpha2 and of all IFN-alpha are not interchangeable"
NOT_ALPHA: Final = (
    "may not be IFN-alpha driven (another type I interferon, IFN-gamma, or a response that "
    "outlives the protein)"
)


class Serum(NamedTuple):
    """Associations, the class of each row of the donor table, and how classes were made."""

    table: pd.DataFrame
    classes: list[str]
    record: dict[str, str | float]


def serum(
    donors: pd.DataFrame,
    strata: pd.DataFrame,
    *,
    limits: Mapping[str, float],
    reference: str,
    min_controls: int = 5,
) -> Serum:
    """Rank association of each measurement with response, and classes of discordance.

    Parameters
    ----------
    donors
        Donor table, a row a donor x condition (visits together).
    strata
        Strata of the same donors.
    limits
        Measurement (a column of ``donors``) -> detection limit, -inf where there is none. Classes
        are those of the first that has one.
    reference
        Condition of the controls.
    min_controls
        Controls that a limit of the serum needs; with fewer it is the detection limit.

    Returns
    -------
    Serum
        Values at or below the detection limit are tied at the lowest rank. rho is Spearman's
        within patients, and within conditions for all donors; p is that of donors exchanged
        within conditions.
    """
    at = pd.MultiIndex.from_frame(donors[["donor", "condition"]].astype(str))
    own = strata.set_index([strata["donor"].astype(str), strata["condition"].astype(str)])
    own = own.reindex(at)
    stratum = own["stratum"].fillna(k.STRATA[-1]).astype(str).to_numpy(dtype=object)
    readouts = _readouts(donors, own, stratum)
    patient = donors["condition"].astype(str).to_numpy() != reference
    rows: list[dict[str, object]] = []
    chosen = next((name for name, lod in limits.items() if np.isfinite(lod)), "")
    classes = [k.SERUM_CLASSES[-1]] * len(donors)
    record: dict[str, str | float] = {"serum": chosen}
    for name, lod in limits.items():
        values = floored(donors[name].to_numpy(dtype=np.float64), lod)
        limit = np.nan
        if name == chosen:
            known = np.isfinite(values) & ~patient
            limit, how = upper_limit(values[known], lod, min_controls)
            classes = _classes(values, limit, stratum)
            record |= {"serum_limit": limit, "serum_limit_is": how}
        scopes = {PATIENTS: patient, ALL: np.ones(len(donors), dtype=np.bool_)}
        if not (np.isfinite(values) & ~patient).any():
            del scopes[ALL]
        for among, part in scopes.items():
            words: dict[str, str] = {}
            if name == chosen:
                words = _words(classes, values, limit, readouts, part)
            for readout, levels in readouts.items():
                use = part & np.isfinite(values) & np.isfinite(levels)
                row = _row(donors[use], values[use], levels[use], lod)
                said = [row.pop("statement"), words.get(readout, ""), KITS]
                head = {"measurement": name, "readout": readout, "among": among}
                rows.append(head | row | {"statement": "; ".join(str(x) for x in said if x)})
    return Serum(pd.DataFrame(rows, columns=list(k.SERUM_COLUMNS)), classes, record)


def _words(
    classes: list[str],
    values: FloatArray,
    limit: float,
    readouts: Mapping[str, FloatArray],
    part: BoolArray,
) -> dict[str, str]:
    """What the counts say of the donors of one scope: patients, or all."""
    said = {STRATUM: _counted([x for x, yes in zip(classes, part, strict=True) if yes])}
    if EVIDENCE in readouts:
        share = readouts[EVIDENCE][part]
        said[EVIDENCE] = _beside_evidence(values[part] > limit, share, values[part])
    return said


def _readouts(
    donors: pd.DataFrame, own: pd.DataFrame, stratum: NDArray[np.object_]
) -> dict[str, FloatArray]:
    """What a measurement is held against: responses, score, stratum, and evidence of IFNA."""
    found = {
        name: donors[name].to_numpy(dtype=np.float64)
        for name in map(str, donors.columns)
        if name.startswith(k.RESPONSE_OF) and not name.endswith("_se")
    }
    known = own["signature"].dropna()
    if len(known):
        found[str(known.iloc[0])] = own["score"].to_numpy(dtype=np.float64)
    high, low = (stratum == name for name in k.STRATA[:2])
    found[STRATUM] = np.where(high, 1.0, np.where(low, 0.0, np.nan))
    if EVIDENCE in donors:
        n, positive = (donors[c].to_numpy(dtype=np.float64) for c in ("n_pdc", EVIDENCE))
        found[EVIDENCE] = np.where(n > 0, positive / np.where(n > 0, n, 1.0), np.nan)
    return found


def _row(donors: pd.DataFrame, x: FloatArray, y: FloatArray, lod: float) -> dict[str, object]:
    """One association of donors that have both."""
    # where all are below the detection limit, say, nothing can go together: no part of rho
    group = donors["condition"].astype(str).to_numpy(dtype=object)
    alike = [
        c for c in dict.fromkeys(group) if min(map(np.ptp, (x[group == c], y[group == c]))) == 0
    ]
    use = ~np.isin(group, alike) if len(alike) < len(set(group)) else np.ones(len(x), np.bool_)
    x, y = x[use], y[use]
    who = [str(name) for name in donors["donor"][use]]
    condition = [str(name) for name in group[use]]
    n, n_censored = len(set(who)), int((x <= lod).sum())
    several = len(set(condition)) > 1
    why = _why_not(n, x, y)
    found = Partial(n, 0, *[float("nan")] * 4)
    if not why:
        found = partial_spearman(x, y, conditions=condition, donors=who)
    said = [CONCORDANCE, "ranked within conditions" if several else "", why]
    if not use.all():
        said.append(f"without {', '.join(alike)}, whose donors are all alike")
    if n_censored:
        said.append(f"{n_censored} of {len(x)} at or below the detection limit, tied")
    if n < len(x):
        said.append("rows of one donor count once")
    return {
        "n_donors": n,
        "n_censored": n_censored,
        "rho": found.rho,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p_value": found.p_value,
        "adjusted_for": "condition" if several else "",
        "statement": "; ".join(x for x in said if x),
    }


def _why_not(n: int, x: FloatArray, y: FloatArray) -> str:
    if n < MIN_DONORS:
        return f"{counted(n, 'donor')} with both, {MIN_DONORS} needed"
    for values, name in ((x, "measurement"), (y, "readout")):
        # donors that differ from the most frequent value: the tied ones tell nothing among them
        if len(values) - np.unique(values, return_counts=True)[1].max() < MIN_EITHER:
            return f"the {name} hardly differs between these donors"
    return ""


def _classes(values: FloatArray, limit: float, stratum: NDArray[np.object_]) -> list[str]:
    """Raised or not, beside high or low."""
    both_high, both_low, serum_only, response_only, unclear, none = k.SERUM_CLASSES
    high, low, indeterminate, _ = k.STRATA
    named = {
        (True, high): both_high,
        (False, low): both_low,
        (True, low): serum_only,
        (False, high): response_only,
    }
    out = []
    for value, s in zip(values, stratum, strict=True):
        if not np.isfinite(value) or not np.isfinite(limit):
            out.append(none)
        elif s == indeterminate:
            out.append(unclear)
        else:
            out.append(named.get((bool(value > limit), str(s)), none))
    return out


def _beside_evidence(raised: BoolArray, share: FloatArray, values: FloatArray) -> str:
    """Donors with raised serum, with transcripts, with both."""
    known = np.isfinite(values) & np.isfinite(share)
    seen = share > 0
    n = {
        (a, b): int((known & (raised == a) & (seen == b)).sum())
        for a in (True, False)
        for b in (True, False)
    }
    return (
        f"serum raised in {n[True, True] + n[True, False]} of "
        f"{counted(int(known.sum()), 'donor')}, with IFNA transcripts in pDC of {n[True, True]} of "
        f"these, and in pDC of {n[False, True]} of the others: {ZERO}"
    )


def _counted(classes: list[str]) -> str:
    """How many donors of each class, with what a discordant one may mean."""
    both_high, both_low, serum_only, response_only, *_ = k.SERUM_CLASSES
    n = {name: classes.count(name) for name in k.SERUM_CLASSES}
    if not any(n[name] for name in (both_high, both_low, serum_only, response_only)):
        return "no donor has both classes, so none is counted as concordant or not"
    said = [
        f"{counted(n[both_high] + n[both_low], 'donor')} concordant",
        f"{n[serum_only]} with serum raised and response low",
        f"{n[response_only]} with response high and serum not raised",
    ]
    return ", ".join(said) + (f": {NOT_ALPHA}" if n[response_only] else "")
