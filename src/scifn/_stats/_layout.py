"""What is exchanged in a permutation test, and in how many ways: what all of them take."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Layout:
    """Regressor and nuisance columns of some rows, and which rows change places."""

    #: 1 and 0 by group, (n,); ones for pairs.
    regressor: FloatArray
    #: (n, k); holds the intercept unless ``paired``.
    nuisance: FloatArray
    #: Rows are exchanged within these, codes from 0, (n,).
    block: IntArray
    #: Signs are flipped instead.
    paired: bool = False

    @classmethod
    def of(
        cls,
        regressor: FloatArray,
        nuisance: FloatArray,
        block: IntArray | None = None,
        *,
        paired: bool = False,
    ) -> Layout:
        """All rows in one block unless blocks are given."""
        one = np.zeros(len(regressor), dtype=np.int64)
        return cls(regressor, nuisance, one if block is None else block, paired)

    def labels_only(self) -> bool:
        """Whether exchanging labels is all there is: no nuisance column varies within a block."""
        for code in np.unique(self.block):
            part = self.nuisance[self.block == code]
            if np.any(np.abs(part - part[0]) > 1e-12):
                return False
        return True

    def count(self) -> int:
        """How many arrangements there are: signs, labels within blocks, or orders of residuals.

        >>> Layout.of(np.array([1.0, 1, 0, 0]), np.ones((4, 1))).count()
        6
        """
        if self.paired:
            return int(2 ** len(self.regressor))
        sizes = np.bincount(self.block)
        if not self.labels_only():
            return math.prod(math.factorial(int(n)) for n in sizes)
        hits = np.bincount(self.block, weights=self.regressor).astype(int)
        return math.prod(math.comb(int(n), int(h)) for n, h in zip(sizes, hits, strict=True))

    def is_mirrored(self) -> bool:
        """Whether the arrangement with the group and the reference exchanged is one of them."""
        if self.paired or not self.labels_only():
            return self.paired
        hits = np.bincount(self.block, weights=self.regressor)
        return bool((2 * hits == np.bincount(self.block)).all())
