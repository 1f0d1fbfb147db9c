"""What scale a matrix is on, and how counts are recovered from a normalized one.

A normalized matrix keeps its counts: within a cell every value is a multiple of
that of one UMI, which is the smallest value of the cell that is not zero. So
``expm1(x) / min(expm1(x))`` is a vector of integers if the matrix was made by
``normalize_total`` and ``log1p`` from counts, whatever the target sum, and is
not if it was corrected, smoothed or scaled.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Transform that undoes a scale. The order is the order in which they are tried.
LINEARIZE: Final[dict[str, Callable[[Floats], Floats]]] = {
    "counts": lambda x: x,
    "fractional counts": lambda x: x,
    "log1p": np.expm1,
    "normalized": lambda x: x,
    "log2": lambda x: np.exp2(x) - 1.0,
    "log1p of log1p": lambda x: np.expm1(np.expm1(x)),
}
#: Counts of which reads that fit several genes were shared out.
FRACTIONAL: Final = "fractional counts"
#: Share of the values that are whole in such a matrix; of corrected counts hardly any is.
MOSTLY_WHOLE: Final = 0.5
#: No logarithm of a count is larger.
_LARGEST_LOG2: Final = 20.0
#: Scales that are read as logarithms or counts; the others are never used.
USABLE: Final = tuple(LINEARIZE)
#: Largest distance from an integer at which a recovered value still is that integer. Single
#: precision of log1p values leaves an error of about 1e-6 of the value, so 0.02 at 20,000 UMI.
TOLERANCE: Final = 0.05
#: The smallest value of a cell may stand for more than one UMI in a small panel.
MAX_UNIT: Final = 4


@dataclass(frozen=True)
class Scale:
    """What the values of a matrix are.

    ``kind`` is a key of :data:`LINEARIZE`, or "scaled" (negative values), "not finite" or
    "empty". ``recoverable`` says that integers could be recovered in every row looked at.
    """

    kind: str
    target_sum: float
    recoverable: bool
    reason: str


def sniff(sample: Any) -> Scale:
    """Scale of the rows in ``sample`` (CSR)."""
    data = np.asarray(sample.data, dtype=np.float64)
    if not np.isfinite(data).all():
        return Scale("not finite", np.nan, False, "holds NaN or infinite values")
    if not (data != 0).any():
        return Scale("empty", np.nan, False, "holds no value other than zero")
    if data.min() < 0:
        return Scale("scaled", np.nan, False, "holds negative values (scaled or corrected)")
    if (data == np.floor(data)).all():
        return Scale("counts", np.nan, True, "all values are non-negative integers")
    if _fractional(data):
        reason = "counts of which some are fractions (reads with several places, shared out)"
        return Scale(FRACTIONAL, np.nan, False, reason)
    for kind in ("log1p", "normalized", "log2", "log1p of log1p"):
        found = _try_recovery(sample, kind)
        if found is not None:
            return found
    return _unrecoverable(sample, data)


def _fractional(data: Floats) -> bool:
    """Whether most values are whole, and the others no base-2 logarithms of whole ones.

    Asked before any recovery: a half and a third would pass for three and two of one sixth.
    """
    values = data[data > 0]
    parts = values[values != np.floor(values)]
    if 1 - parts.size / values.size < MOSTLY_WHOLE:
        return False
    # log2(x + 1) of counts holds many ones too
    back = np.exp2(np.minimum(parts, _LARGEST_LOG2)) - 1
    logs = (parts < _LARGEST_LOG2) & (np.abs(back - np.rint(back)) < 1e-6 + 1e-5 * back)
    return bool(logs.mean() < MOSTLY_WHOLE)


def _linear(sample: Any, kind: str) -> Any:
    with np.errstate(over="ignore"):
        linear = sample.astype(np.float64)
        linear.data = LINEARIZE[kind](linear.data)
    return linear


def _try_recovery(sample: Any, kind: str) -> Scale | None:
    linear = _linear(sample, kind)
    if not np.isfinite(linear.data).all():
        return None
    sums = np.asarray(linear.sum(axis=1)).ravel()
    smallest = row_minimum(linear)
    _, ok = unit(linear, smallest)
    known = np.isfinite(smallest)
    if not ok[known].all() or not _informative(linear, smallest, known):
        return None
    target = _target(sums[known])
    named = f", target sum {target:g}" if np.isfinite(target) else ""
    reason = f"{kind}{named}; counts are recovered exactly (one UMI is a cell's smallest value)"
    return Scale(kind, target, True, reason)


def _informative(linear: Any, smallest: Floats, known: NDArray[np.bool_]) -> bool:
    """Whether most rows hold several levels, so that integer multiples are no accident."""
    top = np.asarray(linear.max(axis=1).todense()).ravel() if known.any() else smallest
    return bool(np.mean(top[known] > 1.5 * smallest[known]) > 0.2)


def _unrecoverable(sample: Any, data: Floats) -> Scale:
    sums = np.asarray(_linear(sample, "log1p").sum(axis=1)).ravel() if data.max() < 30 else None
    target = _target(sums[sums > 0]) if sums is not None else np.nan
    if sums is None:
        reason = f"non-integer values up to {data.max():g}: normalized, not logarithms"
        return Scale("normalized", _target(np.asarray(sample.sum(axis=1)).ravel()), False, reason)
    reason = "logarithms whose counts cannot be recovered (corrected, smoothed or averaged values)"
    return Scale("log1p", target, False, reason)


def _target(sums: Floats) -> float:
    """The common sum of all rows, or NaN where they differ by more than a thousandth."""
    if sums.size == 0:
        return float("nan")
    middle = float(np.median(sums))
    if np.abs(sums - middle).max() > 1e-3 * middle:
        return float("nan")
    return float(f"{middle:.4g}")


def row_minimum(matrix: Any) -> Floats:
    """Smallest value above zero of each row of a CSR matrix; inf where there is none."""
    out = np.full(matrix.shape[0], np.inf)
    filled = np.flatnonzero(np.diff(matrix.indptr))
    if filled.size:
        positive = np.where(matrix.data > 0, matrix.data, np.inf)
        out[filled] = np.minimum.reduceat(positive, matrix.indptr[:-1][filled])
    return out


def unit(matrix: Any, smallest: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Value of one UMI in each row, and whether all of the row's values are multiples of it."""
    one = smallest.copy()
    ok = np.zeros(matrix.shape[0], dtype=bool)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    for divisor in range(1, MAX_UNIT + 1):
        trial = smallest / divisor
        # smallest is inf in empty rows, which have no entry here
        with np.errstate(invalid="ignore"):
            multiple = matrix.data / trial[rows]
            off = np.abs(multiple - np.rint(multiple)) > np.minimum(
                TOLERANCE, 0.01 + 2e-6 * multiple
            )
        bad = np.bincount(rows[off], minlength=matrix.shape[0]) > 0
        newly = ~bad & ~ok
        one[newly], ok = trial[newly], ok | newly
    return one, ok
