"""How each published interferon score is computed from y = log2 expression of its genes.

Research analogues of whole-blood assays: neither their cut-offs nor their units carry over.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def _mean(y: FloatArray, _: BoolArray) -> FloatArray:
    return np.asarray(y.mean(axis=1))


def _median_fold(y: FloatArray, control: BoolArray) -> FloatArray:
    return np.asarray(np.median(y - y[control].mean(axis=0), axis=1))


def _median_ratio(y: FloatArray, control: BoolArray) -> FloatArray:
    return np.asarray(np.median(y - np.median(y[control], axis=0), axis=1))


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


Formula = Callable[[FloatArray, BoolArray], FloatArray]

#: Gene set -> its formula and what that is, in words.
FORMULAS: Final[dict[str, tuple[Formula, str]]] = {
    "ifngs4_like": (_mean, "mean of log2 expression"),
    "ism3_like": (_mean, "mean of log2 expression"),
    "raterman8_like": (_mean, "mean of log2 expression"),
    "medimmune21_like": (_median_fold, "median over genes of log2 fold of the controls' mean"),
    "higgs5_like": (_median_fold, "median over genes of log2 fold of the controls' mean"),
    "rice6_like": (_median_ratio, "median over genes of log2 ratio to the controls' median"),
    "kirou3_like": (_sum_z, "sum over genes of z against the controls"),
    "feng5_like": (_sum_z, "sum over genes of z against the controls"),
    "bodewes_ifn1_like": (_mean_z, "mean over genes of z against the controls"),
    "bodewes_m34_like": (_mean_z, "mean over genes of z against the controls"),
    "bodewes_m512_like": (_mean_z, "mean over genes of z against the controls"),
}
