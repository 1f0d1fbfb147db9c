"""Log2 fold of a mean rate over the controls', the scale on which donors are compared."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Lowest rate over controls that a logarithm shows: no count at all is not minus infinity.
FLOOR: Final = 0.01


def log2_fold(mean: FloatArray, se: FloatArray) -> tuple[FloatArray, FloatArray]:
    """log2(1 + mean) of an excess over the controls, and its standard error (delta method).

    >>> log2_fold(np.array([3.0, -1.0]), np.array([0.4, 0.0]))[0].round(2).tolist()
    [2.0, -6.64]
    """
    fold = np.maximum(1.0 + mean, FLOOR)
    return np.log2(fold), se / (fold * np.log(2))
