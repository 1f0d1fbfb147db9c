"""Rows of the imbalance table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats._design import Design
from scifn._stats._tested import LEVEL, TOO_FEW_CELLS, Tested, TestedJointly
from scifn._stats.adjust import family_of
from scifn._stats.effects import cliffs_delta, cliffs_interval, hedges_g

FloatArray = NDArray[np.float64]
Row = dict[str, object]

_TEXTS = ("readout", "family", "group", "reference", "design", "concordance", "status", "note")
COUNTS = ("n_group", "n_reference")
NUMBERS = tuple(c for c in k.IMBALANCE_COLUMNS if c not in (*_TEXTS, *COUNTS))
_FROM_FIT = ("effect", "ci_low", "ci_high", "statistic", "loo_low", "loo_high")


def row_of(
    readout: str, part: Design, group: FloatArray, reference: FloatArray, test: Tested, j: int
) -> Row:
    """One readout; what has no value is NaN."""
    row = _empty(readout, part, test)
    row["mean_group"] = float(group.mean()) if len(group) else np.nan
    row["mean_reference"] = float(reference.mean()) if len(reference) else np.nan
    if test.fit is None:
        return row
    if test.unseen and test.unseen[j]:
        row["note"] = join(row["note"], test.unseen[j])
        if test.status == "ok":
            return row | {"status": TOO_FEW_CELLS}
    row |= {name: float(getattr(test.fit, name)[j]) for name in _FROM_FIT}
    row["df"] = float(test.fit.df)
    row["hedges_g"] = hedges_g(group, reference, paired=part.paired)
    row["cliffs_delta"] = cliffs_delta(group, reference, paired=part.paired)
    row["cliffs_low"], row["cliffs_high"] = cliffs_interval(group, reference, paired=part.paired)
    if readout in k.PRIMARY_FAMILY:
        row["odds_ratio"] = float(np.exp(test.fit.effect[j]))
    if test.fit.df > 0 and np.isnan(test.fit.se[j]):
        row["status"] = "constant"
        row["note"] = join(row["note"], "the readout does not vary: no p-value")
    elif test.p_permutation is not None:
        row["p_value"] = float(test.fit.p_value[j])
        row["p_permutation"] = float(test.p_permutation[j])
        row["concordance"] = test.concordance[j]
        row["note"] = join(row["note"], _torn(test, j))
    return row


def _torn(test: Tested, j: int) -> str:
    """Where the interval, which is of the t, and the permutation do not say the same."""
    if test.fit is None or test.p_permutation is None or test.attainable >= LEVEL:
        return ""
    covers = test.fit.ci_low[j] <= 0 <= test.fit.ci_high[j]
    if bool(test.p_permutation[j] >= LEVEL) == bool(covers):
        return ""
    return (
        f"the 95 % interval, of the t, {'covers' if covers else 'excludes'} 0, "
        f"and p_permutation is {'below' if covers else 'not below'} {LEVEL}: borderline"
    )


def joint_row(part: Design, test: TestedJointly) -> Row:
    """Both balances together: a statistic and p-values, no effect of its own."""
    row = _empty(k.JOINT, part, test)
    if test.joint is not None:
        row["statistic"], row["df"] = test.joint.statistic, float(test.joint.df)
        row["p_value"], row["p_permutation"] = test.joint.p_value, test.p_permutation
        row["concordance"] = test.concordance
    return row


def join(*parts: object) -> str:
    """Remarks in one text."""
    return "; ".join(str(p) for p in parts if p)


def _empty(readout: str, part: Design, test: Tested | TestedJointly) -> Row:
    n_group, n_reference = part.arms()
    return dict.fromkeys(NUMBERS, np.nan) | {
        "readout": readout,
        "family": family_of(readout),
        "group": part.group,
        "reference": part.reference,
        "design": part.text,
        "n_group": n_group,
        "n_reference": n_reference,
        "p_attainable": test.attainable,
        "concordance": "",
        "status": test.status,
        "note": join(*part.notes, test.note),
    }
