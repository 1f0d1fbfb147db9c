"""The cells of samples, those of a sample side by side, so that many samples are tested at once.

The background is one sample's. With some hundred samples a function called once for each would
cost more than the test, so sums of samples are taken of all of them together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells.reference import coded

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Lanes:
    """Samples, and their cells sample after sample.

    Attributes
    ----------
    names
        Of the samples.
    at
        Place of each cell in the data.
    of
        Sample of each cell, 0 to n - 1, rising.
    total
        UMI of each cell.
    types, kinds
        Type of each cell, as codes of which ``kinds`` are the names.
    size
        Size of each sample's null; NaN until it is learnt.
    libraries
        Whether the rows are libraries of purified cells, which are taken for pDC.
    """

    names: tuple[str, ...]
    at: Ints
    of: Ints
    total: Floats
    types: Ints
    kinds: tuple[str, ...]
    size: Floats
    libraries: bool

    @cached_property
    def tested(self) -> Bools:
        """Cells that can be attributed: not two cells, nor none that we know."""
        untold = self.which((k.DOUBLET, k.UNASSIGNED))
        return np.asarray((self.total > 0) & ~untold[self.types])

    @cached_property
    def place(self) -> Ints | slice:
        """As ``at``, a slice where the cells lie side by side, of which nothing need be copied."""
        first = int(self.at[0]) if self.at.size else 0
        whole = slice(first, first + self.at.size)
        return whole if np.array_equal(self.at, np.arange(whole.start, whole.stop)) else self.at

    def which(self, types: Sequence[str]) -> Bools:
        """Which of ``kinds`` are among some types."""
        return np.array([name in types for name in self.kinds], dtype=bool)

    @cached_property
    def n_cells(self) -> Floats:
        """Cells of each type (columns) in each sample (rows)."""
        return self._counted(np.ones(self.at.size, dtype=bool))

    @cached_property
    def n_tested(self) -> Floats:
        """Those of them that are tested."""
        return self._counted(self.tested)

    @cached_property
    def depth(self) -> Floats:
        """UMI of all of them."""
        return self._counted(self.total)

    def _counted(self, values: Floats | Bools) -> Floats:
        shape = len(self.names), len(self.kinds)
        found = np.bincount(self._key, values, minlength=shape[0] * shape[1])
        return found.astype(np.float64).reshape(shape)

    @cached_property
    def _key(self) -> Ints:
        return self.of * len(self.kinds) + self.types

    def sums(self, values: Floats | Bools, cells: Ints) -> Floats:
        """Sum of ``values`` of some cells over each sample."""
        found = np.bincount(self.of[cells], values, minlength=len(self.names))
        return found.astype(np.float64)

    def groups(self) -> Ints:
        """Cells of a type in a sample, numbered from 0; there is no group without a cell."""
        number = np.cumsum(self.n_cells.ravel() > 0) - 1
        return np.asarray(number[self._key], dtype=np.int64)

    def runs(self, n_cells: int) -> Iterator[Lanes]:
        """Successive samples that together hold ``n_cells`` or a little more."""
        ends = np.cumsum(np.bincount(self.of, minlength=len(self.names)))
        first = 0
        while first < len(self.names):
            begin = int(ends[first - 1]) if first else 0
            last = min(int(np.searchsorted(ends, begin + n_cells)) + 1, len(self.names))
            yield self._part(slice(first, last), slice(begin, int(ends[last - 1])))
            first = last

    def _part(self, samples: slice, cells: slice) -> Lanes:
        return replace(
            self,
            names=self.names[samples],
            at=self.at[cells],
            of=self.of[cells] - samples.start,
            total=self.total[cells],
            types=self.types[cells],
            size=self.size[samples],
        )

    def only(self, samples: Bools) -> Lanes:
        """Some of the samples."""
        cells = samples[self.of]
        return replace(
            self,
            names=tuple(name for name, kept in zip(self.names, samples, strict=True) if kept),
            at=self.at[cells],
            of=(np.cumsum(samples) - 1)[self.of[cells]],
            total=self.total[cells],
            types=self.types[cells],
            size=self.size[samples],
        )


def lanes_of(samples: Any, types: Any | None, total: Floats) -> Lanes:
    """The cells of each sample, in order of appearance; ``types`` is None of libraries.

    >>> samples, types = np.array(["b", "a", "b"]), np.array(["pDC", "cDC", "cDC"])
    >>> lanes = lanes_of(samples, types, np.array([7.0, 5.0, 9.0]))
    >>> lanes.names, lanes.at.tolist(), lanes.depth.tolist()  # of pDC and cDC
    (('b', 'a'), [0, 2, 1], [[7.0, 9.0], [0.0, 5.0]])
    """
    # missing samples are one of their own
    codes, names = pd.factorize(samples, use_na_sentinel=False)
    order = np.argsort(codes, kind="stable")
    kinds, found = np.zeros(order.size, dtype=np.int64), [k.PDC]
    if types is not None:
        kinds, found = coded(types)
    return Lanes(
        names=tuple(str(name) for name in names),
        at=order,
        of=codes[order].astype(np.int64),
        total=total[order],
        types=kinds[order].astype(np.int64),
        kinds=tuple(found),
        size=np.full(len(names), np.nan),
        libraries=types is None,
    )
