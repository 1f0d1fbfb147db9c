"""Interferon-high and interferon-low donors, by what the study's own controls would give next.

Donors above the 90 % interval of the cut-off are high, below it low, inside it indeterminate.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._errors import ArgumentError, DesignError
from scifn._stats._words import counted
from scifn._stats.bimodality import test as two_groups
from scifn._stats.cutoff import Cutoff, cutoff_of
from scifn._stats.cutoff import outliers as outliers
from scifn._stats.signatures import SIGNATURES, Signature
from scifn.genesets import _sets

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Record = dict[str, str | int | float]


def stratify(
    expression: pd.DataFrame,
    *,
    genes: Sequence[str],
    signature: str,
    reference: str,
    min_controls: int = 5,
    why_unknown: Sequence[str] = (),
) -> tuple[pd.DataFrame, Record]:
    """Put donors into strata.

    Parameters
    ----------
    expression
        ``donor, condition`` and a column a gene, log2; a row a donor x condition. A column
        ``person`` says whose a row is, where several can be of one: the first row of a control
        counts, and a patient counts once where patients are counted.
    genes
        Measured genes of the signature; none if its coverage is too low.
    signature
        Which score, a key of ``SIGNATURES``.
    reference
        Condition of the controls.
    min_controls
        With fewer controls there is a score and no stratum.
    why_unknown
        Why a row has no expression, "" where that is for want of cells of the main compartments.

    Returns
    -------
    Table with ``_keys.STRATA_COLUMNS``, and how the cut-off was made. ``stability`` is the share of
    genes each of which can be left out without a change of the donor's stratum.
    """
    scored = formula_of(signature)
    if min_controls < 3:
        raise ArgumentError(f"min_controls={min_controls}: a spread needs at least 3 controls.")
    condition = np.array([str(c) for c in expression["condition"]], dtype=object)
    if reference not in condition:
        raise DesignError(
            f"reference={reference!r} is no condition here. "
            f"Found: {', '.join(map(repr, dict.fromkeys(condition)))}."
        )
    y = expression[list(genes)].to_numpy(dtype=np.float64)
    known = np.isfinite(y).all(axis=1) & (len(genes) > 0)
    person = np.array([str(p) for p in expression.get("person", expression["donor"])], dtype=object)
    controls = known & (condition == reference)
    again = controls.copy()
    again[controls] = pd.Series(person[controls]).duplicated().to_numpy()
    control = controls & ~again
    score, cut, stratum = _strata(y, known, control, scored, min_controls)
    agree = np.full(len(y), np.nan)
    if len(genes) > 1 and np.isfinite(cut.value):
        same = [
            _strata(np.delete(y, j, axis=1), known, control, scored, min_controls)[2] == stratum
            for j in range(len(genes))
        ]
        agree = np.where(known, np.mean(same, axis=0), np.nan)
    # a NaN that pandas repeats itself makes a column of objects, which h5ad cannot hold
    table = pd.DataFrame(
        {
            "donor": [str(d) for d in expression["donor"]],
            "condition": [str(c) for c in condition],
            "signature": signature,
            "score": score,
            "cutoff": np.full(len(score), cut.value),
            "cutoff_low": np.full(len(score), cut.low),
            "cutoff_high": np.full(len(score), cut.high),
            "stratum": [str(s) for s in stratum],
            "n_genes": len(genes),
            "stability": agree,
        },
        columns=list(k.STRATA_COLUMNS),
    )
    why = "too few genes of the signature are measured"
    if len(genes):
        n_reference = len(set(person[condition == reference]))
        why = _why_none(score, control, n_reference, cut, min_controls)
    named = np.array([*why_unknown] or [""] * len(y), dtype=object)
    lacks = _unknown(named[~known]) if len(genes) else []
    names = np.array(table["donor"], dtype=object)[control][cut.left_out]
    record: Record = {
        "formula": scored.words,
        "level": scored.level,
        "factor": cut.factor,
        "n_controls": cut.n_controls,
        "outlying_controls": ", ".join(names),
        "note": "; ".join(x for x in ("research use only", scored.note, why, *lacks) if x),
        "without_strata": "; ".join([why, *lacks]) if why else "",
    }
    if again.any():
        record["note"] = f"{record['note']}; {_repeated(int(again.sum()))}"
    # a patient counts once: two conditions of the same donors are no two groups of patients
    patients = known & ~controls
    each = pd.Series(score[patients]).groupby(person[patients], sort=False)
    return table, record | two_groups(each.mean().to_numpy(dtype=np.float64))


def formula_of(signature: str) -> Signature:
    """Formula of a signature, or an error that lists those that have one."""
    if signature in SIGNATURES:
        return SIGNATURES[signature]
    shipped = _sets.all_sets().get(signature)
    why = "has no donor score"
    if shipped is not None and not shipped.enabled:
        why = f"is not offered: {shipped.disabled_because[0].lower()}{shipped.disabled_because[1:]}"
    raise ArgumentError(
        f"signature={signature!r} {why.rstrip('.')}. Signatures: {', '.join(SIGNATURES)}."
    )


def _strata(
    y: FloatArray, known: BoolArray, control: BoolArray, scored: Signature, min_controls: int
) -> tuple[FloatArray, Cutoff, NDArray[np.str_]]:
    score = np.full(len(y), np.nan)
    if known.any() and control.sum() >= 2:
        score[known] = scored.formula(y[known], control[known])
    judged = None
    if scored.judged is not None and control.sum() >= 2:
        judged = scored.judged(y[known], control[known])[control[known]]
    cut = cutoff_of(score[control], min_controls, scored.level, judged)
    high, low, indeterminate, none = k.STRATA
    stratum = np.select(
        [~np.isfinite(score - cut.value), score > cut.high, score < cut.low],
        [none, high, low],
        indeterminate,
    )
    return score, cut, stratum


def _repeated(n: int) -> str:
    """What is done with further samples of controls."""
    verb = "has" if n == 1 else "have"
    return f"{counted(n, 'further sample')} of controls {verb} a stratum and no part in the cut-off"


def _why_none(
    score: FloatArray, control: BoolArray, n_reference: int, cut: Cutoff, min_controls: int
) -> str:
    """Why there are no strata; "" where there are."""
    n = int(control.sum())
    left = "scores without strata" if np.isfinite(score).any() else "no strata"
    if cut.n_controls >= min_controls:
        alike = "the controls do not differ from each other"
        return "" if np.isfinite(cut.value) else f"{alike}: {left}"
    many = counted(cut.n_controls, "control")
    if n < n_reference:
        have = f"{n:,}" if n else "none"
        many = f"{have} of {counted(n_reference, 'control')} {'have' if n > 1 else 'has'} a score"
    return f"{many}, {min_controls} needed: {left}"


def _unknown(why: NDArray[np.object_]) -> list[str]:
    """Donors without a score, counted by reason."""
    reasons = [str(x) or "without enough cells of the main compartments" for x in why]
    return [f"{counted(reasons.count(x), 'donor')} {x}" for x in dict.fromkeys(reasons)]
