"""Which counts a readout is made of, and the values of it that are permuted."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn._stats._design import Design
from scifn._stats.shrinkage import BALANCES, RATIO, shrunken

FloatArray = NDArray[np.float64]

#: Readout -> cells that are counted, and all that they are counted among.
SHARES: Final[dict[str, tuple[str, str]]] = {
    "logit_pdc": ("n_pdc", "n_total"),
    "logit_breg_of_b": ("n_breg_like", "n_b"),
}
#: Readout -> cells of one kind, and of the other.
RATIOS: Final[dict[str, tuple[str, str]]] = {
    "lr_breg_effector": ("n_breg_like", "n_b_effector"),
    "lr_pdc_breg": ("n_pdc", "n_breg_like"),
    "ilr_2": ("n_breg_like", "n_b_effector"),
}
#: Parts of the balance, in the order of its coordinates ilr_1 and ilr_2.
PARTS: Final = ("n_pdc", "n_breg_like", "n_b_effector")
COORDINATES: Final = ("ilr_1", "ilr_2")


def two_parts(donors: pd.DataFrame, readout: str) -> FloatArray | None:
    """Counts on both sides of a log ratio, (n_donors, 2); None for what is no ratio of two."""
    if readout not in SHARES and readout not in RATIOS:
        return None
    first, second = SHARES.get(readout) or RATIOS[readout]
    if first not in donors or second not in donors:
        return None
    a, b = (donors[c].to_numpy(dtype=np.float64) for c in (first, second))
    return np.column_stack([a, np.maximum(b - a, 0.0) if readout in SHARES else b])


def held(donors: pd.DataFrame, part: Design, readout: str, y: FloatArray) -> FloatArray:
    """What is permuted for a readout, (n,).

    Log ratios of an unpaired design are held to the other donors as far as their counts are few
    (:mod:`shrinkage`); differences of pairs and responses are permuted as they are (``y``).
    """
    if part.paired:
        return y
    if readout == COORDINATES[0]:
        both = held_balances(donors, part)
        return y if both is None else both[:, 0]
    counts = two_parts(donors, readout)
    if counts is None:
        return y
    return shrunken(counts[part.rows], RATIO, part.nuisance)[:, 0]


def held_balances(donors: pd.DataFrame, part: Design) -> FloatArray | None:
    """Both coordinates of the balance, held to the other donors; None for pairs."""
    if part.paired or not set(PARTS) <= set(donors.columns):
        return None
    counts = donors[list(PARTS)].to_numpy(dtype=np.float64)[part.rows]
    return shrunken(counts, BALANCES, part.nuisance)
