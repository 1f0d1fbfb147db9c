"""Which counts a readout is made of, and the values of it that are permuted."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
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
#: Donors that must have a cell of each kind: without, the half cell that is added to every count
#: makes the log ratio follow the number of cells that were counted, and nothing else.
MIN_SEEN: Final = 4
_WORDS: Final = {
    "n_pdc": "pDC",
    "n_breg_like": "Breg-like B cells",
    "n_b_effector": "effector B cells",
}


def two_parts(donors: pd.DataFrame, readout: str) -> FloatArray | None:
    """Counts on both sides of a log ratio, (n_donors, 2); None for what is no ratio of two."""
    if readout not in SHARES and readout not in RATIOS:
        return None
    first, second = SHARES.get(readout) or RATIOS[readout]
    if first not in donors or second not in donors:
        return None
    a, b = (donors[c].to_numpy(dtype=np.float64) for c in (first, second))
    return np.column_stack([a, np.maximum(b - a, 0.0) if readout in SHARES else b])


def unseen(donors: pd.DataFrame, part: Design, readout: str) -> str:
    """Which cells of a log ratio hardly any donor of a comparison has, in words; "" if none."""
    if readout in SHARES:
        kinds: tuple[str, ...] = SHARES[readout][:1]
    else:
        kinds = PARTS if readout in (COORDINATES[0], k.JOINT) else RATIOS.get(readout, ())
    for name in kinds:
        if name not in donors:
            continue
        some = donors[name].to_numpy(dtype=np.float64)[part.rows] > 0
        n = int((some.any(axis=1) if part.paired else some).sum())
        if n < min(MIN_SEEN, len(part.rows)):
            unit = "pairs" if part.paired else "donors"
            return (
                f"{_WORDS[name]} in {n} of {len(part.rows)} {unit}, {MIN_SEEN} needed: "
                "the log ratio would follow the number of cells counted"
            )
    return ""


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
