"""Mean and spread of values by group, which can be put together for larger groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Singles = NDArray[np.float32]

#: Values that are looked at together: few enough to stay near the processor.
RUN: Final = 32_768


class Moments(NamedTuple):
    """Of each group, (n_groups,) each; of its values that are finite."""

    n: FloatArray
    #: Mean, and the sum of squares about it; 0 without a value.
    mean: FloatArray
    squares: FloatArray

    def together(self, axis: int) -> Moments:
        """Of all groups along an axis."""
        n = self.n.sum(axis=axis)
        mean = (self.n * self.mean).sum(axis=axis) / np.maximum(n, 1)
        away = self.mean - np.expand_dims(mean, axis)
        return Moments(n, mean, (self.squares + self.n * away**2).sum(axis=axis))

    def with_sd(self) -> tuple[FloatArray, FloatArray]:
        """Mean and SD: NaN of no value, and of fewer than two."""
        mean = np.where(self.n > 0, self.mean, np.nan)
        return mean, np.sqrt(self.squares / np.where(self.n > 1, self.n - 1, np.nan))

    def with_error(self) -> tuple[FloatArray, FloatArray]:
        """Mean and its standard error: NaN of no value, and of fewer than two."""
        mean = np.where(self.n > 0, self.mean, np.nan)
        several = np.where(self.n > 1, self.n * (self.n - 1), np.nan)
        return mean, np.sqrt(self.squares / several)


def moments(values: FloatArray | Singles, at: IntArray, n_groups: int) -> Moments:
    """Moments of the finite values of each group; those in group ``n_groups`` belong to none.

    >>> values, at = np.array([1.0, 3, 5, 7, np.nan]), np.array([0, 0, 1, 2, 1])
    >>> mean, error = moments(values, at, 2).with_error()
    >>> mean.tolist(), error.tolist()
    ([2.0, 5.0], [1.0, nan])
    """
    # twice through the values, for squares about the mean of a group are exact where all are alike
    size = max(RUN, 4 * n_groups)
    runs = [slice(start, start + size) for start in range(0, len(at), size)]
    n, total, squares = np.zeros((3, n_groups + 1))
    for run in runs:
        found, place = _finite(values[run], at[run])
        n += np.bincount(place, minlength=n.size)
        total += np.bincount(place, weights=found, minlength=n.size)
    mean = total / np.maximum(n, 1)
    for run in runs:
        found, place = _finite(values[run], at[run])
        away = found - mean[place]
        squares += np.bincount(place, weights=away * away, minlength=n.size)
    return Moments(n[:-1], mean[:-1], squares[:-1])


def moments_of_each(
    columns: Iterable[FloatArray | Singles], at: IntArray, n_groups: int
) -> Iterator[Moments]:
    """:func:`moments` of several columns: which values a group has is laid out once for all.

    >>> columns = [np.array([1.0, 3, 5]), np.array([1.0, np.nan, 2])]
    >>> [found.mean.tolist() for found in moments_of_each(columns, np.array([0, 0, 1]), 2)]
    [[2.0, 5.0], [1.0, 2.0]]
    """
    place = (at.astype(np.int32), np.arange(at.size, dtype=np.int32))
    members = sparse.coo_array((np.ones(at.size), place), shape=(n_groups + 1, at.size)).tocsr()
    for column in columns:
        values, lost = column.astype(np.float64), ~np.isfinite(column)
        some = bool(lost.any())
        values[lost] = 0.0
        n = (members @ ~lost if some else np.diff(members.indptr)).astype(np.float64)
        mean = (members @ values) / np.maximum(n, 1)
        values -= mean.take(at)
        values[lost] = 0.0
        values *= values
        yield Moments(n[:-1], mean[:-1], (members @ values)[:-1])


def _finite(values: FloatArray | Singles, at: IntArray) -> tuple[FloatArray | Singles, IntArray]:
    known = np.isfinite(values)
    return (values, at) if known.all() else (values[known], at[known])
