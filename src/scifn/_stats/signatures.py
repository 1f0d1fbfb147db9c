"""How each published interferon score is computed from y = log2 expression of its genes.

Research analogues of the published assays: neither their cut-offs nor their units carry over, and
every cut-off is made anew from the study's own controls. Scores that the original gives as a ratio
are its logarithm here, the scale on which a prediction limit from few controls holds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats.cutoff import LEVEL

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
#: (donors x genes, which donors are controls) -> a score a donor.
Formula = Callable[[FloatArray, BoolArray], FloatArray]

#: Standard deviations of the controls above which a gene of a module counts as raised.
RAISED = 2.0


@dataclass(frozen=True)
class Signature:
    """Formula of a score, what it is in words, and what sets it apart from the others."""

    formula: Formula
    words: str
    #: Share of healthy donors below the cut-off.
    level: float = LEVEL
    #: Cell type that it is computed on; "" for the whole sample.
    cells: str = ""
    note: str = ""
    #: By what outlying controls are told; None: the score.
    judged: Formula | None = None


def _mean(y: FloatArray, _: BoolArray) -> FloatArray:
    return np.asarray(y.mean(axis=1))


def _median_fold(y: FloatArray, control: BoolArray) -> FloatArray:
    return np.asarray(np.median(y - y[control].mean(axis=0), axis=1))


def _log_median_ratio(y: FloatArray, control: BoolArray) -> FloatArray:
    # of six genes the median is a mean of two ratios, not of their logarithms
    return np.asarray(np.log2(np.median(np.exp2(y - np.median(y[control], axis=0)), axis=1)))


def _log_mean_fold(y: FloatArray, control: BoolArray) -> FloatArray:
    return np.asarray(np.log2(np.exp2(y - y[control].mean(axis=0)).mean(axis=1)))


def _z(y: FloatArray, control: BoolArray) -> FloatArray:
    """Deviations from the controls; genes on which the controls do not differ are left out."""
    spread = np.asarray(y[control].std(axis=0, ddof=1))
    use = spread > 0
    if not use.any():
        return np.full((len(y), 1), np.nan)
    return np.asarray((y[:, use] - y[control][:, use].mean(axis=0)) / spread[use])


def _sum_z(y: FloatArray, control: BoolArray) -> FloatArray:
    return np.asarray(_z(y, control).sum(axis=1))


def _mean_z(y: FloatArray, control: BoolArray) -> FloatArray:
    return np.asarray(_z(y, control).mean(axis=1))


def _percent_raised(y: FloatArray, control: BoolArray) -> FloatArray:
    """Percent of genes with z above 2, a control against the other controls.

    Against a mean and a spread that it is part of, a control could not even reach 2 where there
    are few (at most (n - 1) / sqrt(n)), and the limit would be too low for any other donor.
    """
    out = 100 * (_z(y, control) > RAISED).mean(axis=1)
    for i in np.flatnonzero(control):
        others = control.copy()
        others[i] = False
        if others.sum() >= 2:
            out[i] = 100 * (_z(y, others)[i] > RAISED).mean()
    return np.asarray(out)


_MEAN = "mean of log2 expression"
_FOLD = "median over genes of log2 fold of the controls' mean"
_SUM_Z = "sum over genes of z against the controls"
_MEAN_Z = "mean over genes of z against the controls"
_PERCENT = "percent of genes with z above 2 against the controls"
_OTHERS = "a control is held against the other controls"
_RA = "rituximab in rheumatoid arthritis, not lupus"

#: Gene set -> its score.
SIGNATURES: Final[dict[str, Signature]] = {
    "ifngs4_like": Signature(_mean, _MEAN),
    # its paper divides at the 95th centile of healthy donors
    "ism3_like": Signature(_mean, _MEAN, level=0.95),
    "raterman8_like": Signature(_mean, _MEAN, note=_RA),
    "kim28_like": Signature(_mean, f"{_MEAN} (log2 of the geometric mean)"),
    "medimmune21_like": Signature(_median_fold, _FOLD),
    "higgs5_like": Signature(_median_fold, _FOLD),
    "rice6_like": Signature(
        _log_median_ratio, "log2 of the median over genes of the ratio to the controls' median"
    ),
    "kirou3_like": Signature(_sum_z, _SUM_Z),
    "feng5_like": Signature(_sum_z, _SUM_Z),
    "brkic5_pss_like": Signature(
        _log_mean_fold,
        "log2 of the mean over genes of the fold of the controls' mean",
        cells=k.MONOCYTE,
        note="made for purified CD14+ monocytes",
    ),
    "bodewes_ifn1_like": Signature(_mean_z, _MEAN_Z),
    "bodewes_m34_like": Signature(_mean_z, _MEAN_Z),
    "bodewes_m512_like": Signature(_mean_z, _MEAN_Z),
    # percentages of healthy donors are mostly near 0: a test for outliers of normal values would
    # take the usual ones for outlying
    "mod_M1_2": Signature(_percent_raised, _PERCENT, note=_OTHERS, judged=_mean),
    "mod_M3_4": Signature(_percent_raised, _PERCENT, note=_OTHERS, judged=_mean),
    "mod_M5_12": Signature(_percent_raised, _PERCENT, note=_OTHERS, judged=_mean),
}
