"""How far a donor lies from the controls, in the units in which a further control would lie.

A donor who is a control is held against the other controls, so that a control looks no more usual
than a patient with the same value.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Controls with a value without which there is no range of controls.
MIN_CONTROLS = 5


class Range(NamedTuple):
    """Where each donor stands in the range of the controls, arrays (n,), or (n, k) of k values."""

    #: (value - mean) / (SD sqrt(1 + 1/n)): t with n - 1 degrees of freedom for a further control.
    z: FloatArray
    #: One standard deviation of the prediction, in units of the value.
    unit: FloatArray
    #: Degrees of freedom, NaN where there is no range.
    df: FloatArray

    def beyond(self, level: float) -> FloatArray:
        """z that a further control exceeds with probability ``level`` (one-sided)."""
        # donors have few different degrees of freedom, and a quantile of t takes long
        df, which = np.unique(np.where(np.isfinite(self.df), self.df, 1.0), return_inverse=True)
        limit = stats.t.isf(level, df)[which].reshape(self.df.shape)
        return np.where(np.isfinite(self.df), limit, np.nan)


def against(values: FloatArray, control: BoolArray, usual: BoolArray | None = None) -> Range:
    """Place each donor in the range of the controls.

    Parameters
    ----------
    values
        A value a donor, (n,); NaN where it was not measured.
    control
        Which donors are controls, (n,).
    usual
        Controls that the range is made of, where some were set aside as outlying, (n,).

    Returns
    -------
    Range
        NaN where there are fewer than five controls (a control needs four others), or they do not
        differ.

    Examples
    --------
    >>> found = against(np.array([1.0, 2, 3, 4, 5, 9]), np.arange(6) < 5)
    >>> round(float(found.z[-1]), 3), float(found.df[-1])
    (3.464, 4.0)
    """
    used = np.isfinite(values) & control & (True if usual is None else usual)
    n = float(used.sum()) - used
    nothing = Range(*(np.full(len(values), np.nan) for _ in range(3)))
    if used.sum() < MIN_CONTROLS:
        return nothing
    center = values[used].mean()
    x = np.where(np.isfinite(values), values - center, np.nan)
    total, square = -np.where(used, x, 0.0), np.where(used, -(x**2), 0.0) + (x[used] ** 2).sum()
    mean = total / n
    # what rounding leaves of controls that are all alike is no spread
    noise = 1e-12 * max(float(np.abs(values[used]).max()), 1e-300)
    spread = np.sqrt(np.maximum((square - n * mean**2) / (n - 1), 0.0))
    spread = np.where(spread > noise, spread, np.nan)
    unit = spread * np.sqrt(1 + 1 / n)
    z = (x - mean) / unit
    return Range(z, unit, np.where(np.isfinite(unit), n - 1, np.nan))
