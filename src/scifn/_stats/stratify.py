"""Interferon-high and interferon-low donors, by what the study's own controls would give next.

The cut-off is a prediction limit: with n controls, their mean plus t(0.975; n - 1) sqrt(1 + 1/n)
standard deviations, which 2.5 % of further healthy donors exceed whatever n is. ("Mean + 2 SD" of
five controls flags 7.1 %.) The limit is itself an estimate; donors inside its 90 % interval are
indeterminate.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from scifn import _keys as k
from scifn._errors import ArgumentError, DesignError
from scifn._stats.signatures import FORMULAS, Formula

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Level of the test for outlying controls.
OUTLIER_LEVEL = 0.01


@dataclass(frozen=True)
class Cutoff:
    """Prediction limit of the controls and its 90 % interval; NaN with too few of them."""

    value: float
    low: float
    high: float
    factor: float
    n_controls: int
    left_out: BoolArray


def factor(n: int) -> float:
    """Standard deviations above the mean of n controls that 2.5 % of further ones exceed.

    >>> [round(factor(n), 2) for n in (5, 8, 10, 15, 20, 29)]
    [3.04, 2.51, 2.37, 2.22, 2.14, 2.08]
    """
    return float(stats.t.ppf(0.975, n - 1) * np.sqrt(1 + 1 / n))


def outliers(scores: FloatArray) -> BoolArray:
    """Controls that lie too high to belong to the others, by the generalised ESD test, one-sided.

    Rosner 1983, doi:10.1080/00401706.1983.10487848. A healthy donor with a raised interferon
    response (an infection, say) would widen the spread and hide patients. At most a tenth of the
    controls, and one of few, are looked at.
    """
    n = len(scores)
    left = np.ones(n, dtype=np.bool_)
    marked = np.zeros(n, dtype=np.bool_)
    last = 0
    order = []
    for i in range(1, max(1, n // 10) + 1):
        rest = scores[left]
        spread = rest.std(ddof=1) if len(rest) > 2 else 0.0
        if spread <= 0:
            break
        top = int(np.flatnonzero(left)[rest.argmax()])
        order.append(top)
        t = stats.t.ppf(1 - OUTLIER_LEVEL / (n - i + 1), n - i - 1)
        critical = (n - i) * t / np.sqrt((n - i - 1 + t**2) * (n - i + 1))
        if (scores[top] - rest.mean()) / spread > critical:
            last = i
        left[top] = False
    marked[order[:last]] = True
    return marked


def cutoff_of(controls: FloatArray, min_controls: int) -> Cutoff:
    """Cut-off from the scores of the controls."""
    marked = outliers(controls) if len(controls) >= min_controls else np.zeros(len(controls), bool)
    used = controls[~marked]
    n = len(used)
    nan = float("nan")
    if n < min_controls or used.std(ddof=1) == 0:
        return Cutoff(nan, nan, nan, nan, n, marked)
    f, s = factor(n), float(used.std(ddof=1))
    value = float(used.mean()) + f * s
    # variance of mean + f * sd, with that of the sd to first order
    half = float(stats.t.ppf(0.95, n - 1)) * s * np.sqrt(1 / n + f**2 / (2 * (n - 1)))
    return Cutoff(value, value - half, value + half, f, n, marked)


def stratify(
    expression: pd.DataFrame,
    *,
    genes: Sequence[str],
    signature: str,
    reference: str,
    min_controls: int = 5,
) -> tuple[pd.DataFrame, dict[str, str | int | float]]:
    """Put donors into strata.

    Parameters
    ----------
    expression
        ``donor, condition`` and a column a gene, log2; a row a donor x condition.
    genes
        Measured genes of the signature; none if its coverage is too low.
    signature
        Which score, a key of ``FORMULAS``.
    reference
        Condition of the controls.
    min_controls
        With fewer controls there is a score and no stratum.

    Returns
    -------
    Table with ``_keys.STRATA_COLUMNS``, and how the cut-off was made. ``stability`` is the share of
    genes each of which can be left out without a change of the donor's stratum.
    """
    formula, words = formula_of(signature)
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
    control = known & (condition == reference)
    score, cut, stratum = _strata(y, known, control, formula, min_controls)
    agree = np.full(len(y), np.nan)
    if len(genes) > 1 and np.isfinite(cut.value):
        same = [
            _strata(np.delete(y, j, axis=1), known, control, formula, min_controls)[2] == stratum
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
    names = np.array(table["donor"], dtype=object)[control][cut.left_out]
    record: dict[str, str | int | float] = {
        "formula": words,
        "factor": cut.factor,
        "n_controls": cut.n_controls,
        "outlying_controls": ", ".join(names),
        "note": _note(cut, len(genes), int((~known).sum()), min_controls),
    }
    return table, record


def formula_of(signature: str) -> tuple[Formula, str]:
    """Formula of a signature, or an error that lists those that have one."""
    if signature not in FORMULAS:
        raise ArgumentError(
            f"signature={signature!r} has no donor score. Signatures: {', '.join(FORMULAS)}."
        )
    return FORMULAS[signature]


def _strata(
    y: FloatArray, known: BoolArray, control: BoolArray, formula: Formula, min_controls: int
) -> tuple[FloatArray, Cutoff, NDArray[np.str_]]:
    score = np.full(len(y), np.nan)
    if known.any() and control.sum() >= 2:
        score[known] = formula(y[known], control[known])
    cut = cutoff_of(score[control], min_controls)
    high, low, indeterminate, none = k.STRATA
    stratum = np.select(
        [~np.isfinite(score - cut.value), score > cut.high, score < cut.low],
        [none, high, low],
        indeterminate,
    )
    return score, cut, stratum


def _note(cut: Cutoff, n_genes: int, n_unknown: int, min_controls: int) -> str:
    said = ["research use only"]
    if not n_genes:
        said.append("too few genes of the signature are measured")
    elif cut.n_controls < min_controls:
        said.append(f"{cut.n_controls} controls, {min_controls} needed: scores without strata")
    if n_genes and n_unknown:
        said.append(f"{n_unknown} donors without enough cells of the main compartments")
    return "; ".join(said)
