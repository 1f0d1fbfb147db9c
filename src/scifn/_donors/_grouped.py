"""Mean of cells by group with its standard error: of donors, or of a donor's cells of one type."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scifn._donors._labels import IntArray

FloatArray = NDArray[np.float64]


def mean_of_cells(
    values: FloatArray, at: IntArray, n_groups: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Cells, mean and standard error of the mean of each group, (n_groups,) each.

    The mean of no cell and the standard error of a single one are NaN.

    >>> [x.tolist() for x in mean_of_cells(np.array([1.0, 3, 5]), np.array([0, 0, 1]), 2)]
    [[2.0, 1.0], [2.0, 5.0], [1.0, nan]]
    """
    n = np.bincount(at, minlength=n_groups).astype(np.float64)
    unknown = np.full(n_groups, np.nan)
    total = np.bincount(at, weights=values, minlength=n_groups)
    mean = np.divide(total, n, out=unknown.copy(), where=n > 0)
    squares = np.bincount(at, weights=(values - mean[at]) ** 2, minlength=n_groups)
    return n, mean, np.sqrt(np.divide(squares, n * (n - 1), out=unknown, where=n > 1))
