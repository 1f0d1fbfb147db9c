"""Multiplicity: Benjamini and Hochberg 1995, doi:10.1111/j.2517-6161.1995.tb02031.x, by family."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scifn import _keys as k

FloatArray = NDArray[np.float64]


def family_of(readout: str) -> str:
    """Family in which a readout is adjusted: primary, joint, balance, response or exploratory.

    The joint test of both balances is a family of its own: it contains ``ilr_1``, a margin of it,
    whose adjusted p is never below that of the joint test (:func:`closed`).

    >>> [family_of(x) for x in ("logit_pdc", "ilr_joint", "ilr_1", "response_type1:B")]
    ['primary', 'joint', 'balance', 'response']
    """
    if readout in k.PRIMARY_FAMILY:
        return "primary"
    if readout == k.JOINT:
        return "joint"
    if readout in k.READOUTS:
        return "balance"
    return "response" if readout.startswith("response_type1:") else "exploratory"


def benjamini_hochberg(p: ArrayLike) -> FloatArray:
    """Adjusted p-values; a NaN stays NaN and counts for nothing.

    >>> benjamini_hochberg([0.01, 0.04, np.nan, 0.03])
    array([0.03, 0.04,  nan, 0.04])
    """
    given = np.asarray(p, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    known = np.flatnonzero(~np.isnan(given))
    if known.size:
        order = known[np.argsort(given[known])[::-1]]
        rank = np.arange(known.size, 0, -1)
        out[order] = np.minimum(np.minimum.accumulate(given[order] * known.size / rank), 1.0)
    return out


def by_family(p: ArrayLike, families: Sequence[str]) -> FloatArray:
    """Benjamini-Hochberg within each family, over all contrasts of the table."""
    given = np.asarray(p, dtype=np.float64)
    labels = np.asarray(families)
    out = np.full(given.shape, np.nan)
    for family in dict.fromkeys(families):
        out[labels == family] = benjamini_hochberg(given[labels == family])
    return out


def closed(
    p: FloatArray, readouts: Sequence[str], groups: Sequence[str], margin: str, joint: str
) -> FloatArray:
    """Adjusted p of a margin, at least that of the joint test of the same group.

    Closed testing (Marcus, Peritz and Gabriel 1976, doi:10.1093/biomet/63.3.655): a part is
    rejected only where the whole is. Without a joint test the margin stays as it is.

    >>> closed(np.array([0.046, 0.077, 0.01]), ["part", "all", "part"], list("aab"), "part", "all")
    array([0.077, 0.077, 0.01 ])
    """
    whole = {g: x for x, r, g in zip(p, readouts, groups, strict=True) if r == joint}
    least = [
        whole.get(g, np.nan) if r == margin else np.nan
        for r, g in zip(readouts, groups, strict=True)
    ]
    return np.where(np.isnan(p), p, np.fmax(p, np.array(least, dtype=np.float64)))
