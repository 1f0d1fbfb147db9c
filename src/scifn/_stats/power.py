"""What a design can detect of rare producers of interferon transcripts.

A producer shows one transcript or more with probability p, a cell is a producer with probability
f, and so one of n cells or more is seen positive with probability 1 - (1 - f p)^n.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

#: Probability of detection that a design is asked to reach.
LEVEL = 0.95


def cell_detection(
    copies: ArrayLike, capture: ArrayLike, *, burst_size: ArrayLike = np.inf
) -> Floats:
    """Probability that a cell with transcripts shows at least one UMI of them.

    Parameters
    ----------
    copies
        Transcripts in the cell; the mean of them where they come in bursts.
    capture
        Probability that one of them becomes a UMI: capture x mapping x saturation.
    burst_size
        Size (dispersion) of the negative binomial of the copies; infinite for a fixed number,
        of which each is captured or not.

    Examples
    --------
    >>> cell_detection([1, 5, 20, 100], 0.07).round(2)
    array([0.07, 0.3 , 0.77, 1.  ])
    >>> cell_detection([20], 0.07, burst_size=1).round(3)
    array([0.583])
    """
    m, q, size = (np.asarray(x, dtype=np.float64) for x in (copies, capture, burst_size))
    m, q, size = np.broadcast_arrays(m, q, size)
    with np.errstate(divide="ignore", invalid="ignore"):
        fixed = -np.expm1(m * np.log1p(-q))
        bursty = -np.expm1(-size * np.log1p(m * q / size))
    fixed = np.where(m == 0, 0.0, fixed)  # no copy, no UMI, whatever the capture
    return np.asarray(np.where(np.isinf(size), fixed, bursty))


def at_least_one(share: ArrayLike, n: ArrayLike) -> Floats:
    """Probability that one or more of ``n`` are positive, each with probability ``share``.

    >>> at_least_one(0.01 * 0.5, [30, 100, 300]).round(2)
    array([0.14, 0.39, 0.78])
    """
    share, n = np.asarray(share, dtype=np.float64), np.asarray(n, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = -np.expm1(n * np.log1p(-share))
    return np.asarray(np.where(n == 0, 0.0, found))


def needed(share: ArrayLike, *, level: float = LEVEL) -> Floats:
    """Smallest n of which one or more are positive with probability ``level``; inf at share 0.

    >>> needed([0.005, 0.5, 0.0])
    array([598.,   5.,  inf])
    """
    share = np.asarray(share, dtype=np.float64)
    with np.errstate(divide="ignore"):
        exact = np.log1p(-level) / np.log1p(-share)
    # a whole number may come out a hair above itself
    return np.asarray(np.where(share >= 1, 1.0, np.ceil(exact - 1e-9)))
