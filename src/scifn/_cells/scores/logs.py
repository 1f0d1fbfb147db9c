"""log1p CP10k of a block, in fixed point: sums of it are exact, so no order changes a score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn import _matrix
from scifn._errors import ScaleError

TARGET: Final = 1e4
#: Values are whole multiples of 1/UNIT. Sums of a cell stay below 2**53, so they are exact.
UNIT: Final = 2.0**32
#: A target sum this close to 10,000 is 10,000.
_CLOSE: Final = 1e-3
#: Matrices with fewer genes are panels: their totals say nothing about a cell's depth.
WHOLE_TRANSCRIPTOME: Final = 5_000


@dataclass(frozen=True)
class Logs:
    """How a block of a matrix becomes log1p CP10k.

    Attributes
    ----------
    kind
        Scale of the matrix, as :func:`scifn._matrix.sniff` names it.
    normalize
        Whether each cell is divided by its total; a matrix whose cells have been is left so.
    genes
        Which features are genes.
    merged
        Features x genes: genes that are the sum of several features, which get columns of
        their own behind the features; None where there are none.
    """

    kind: str
    normalize: bool
    genes: NDArray[np.bool_]
    merged: Any = None

    @property
    def n_columns(self) -> int:
        """Features, and summed genes behind them."""
        return self.genes.size + (0 if self.merged is None else int(self.merged.shape[1]))

    @property
    def native(self) -> bool:
        """Whether stored values are read as they are: counts, or logarithms of CP10k."""
        plain = self.kind == "counts" or (self.kind == "log1p" and not self.normalize)
        return plain and self.merged is None

    def checked(self, block: Any) -> Any:
        """A CSR block with its values as they are stored, in double precision.

        Raises
        ------
        Unreadable
            A value is NaN, infinite or negative.
        NotCounts
            A value of counts is not an integer.
        """
        data = np.asarray(block.data, dtype=np.float64)
        if (~np.isfinite(data) | (data < 0)).any():
            raise _matrix.Unreadable("some cells hold NaN, infinite or negative values")
        if self.kind == "counts" and (data != np.floor(data)).any():
            raise NotCounts
        return _like(block, data)

    def part(self, block: Any) -> Any:
        """Linear values of a CSR block of any features; refuses what :meth:`checked` does."""
        checked = self.checked(block)
        return _like(block, _matrix.LINEARIZE[self.kind](checked.data))

    def linear(self, block: Any) -> Any:
        """Linear values of all features of a CSR block, summed genes behind them."""
        linear = self.part(block)
        if self.merged is None:
            return linear
        return sp.csr_array(sp.hstack([linear, linear @ self.merged], format="csr"))

    def log(self, linear: Any, total: NDArray[np.float64], stored: Any = None) -> Any:
        """log1p CP10k of linear values in units of 1/UNIT, given the totals of the cells.

        ``stored`` are the values that ``linear`` was made of, which are taken as they are where
        they are such logarithms already.
        """
        if self.kind == "log1p" and not self.normalize and stored is not None:
            values = np.asarray(stored.data, dtype=np.float64)
        elif self.normalize:
            factor = TARGET / np.where(total > 0, total, 1.0)
            values = np.log1p(linear.data * np.repeat(factor, np.diff(linear.indptr)))
        else:
            values = np.log1p(linear.data)
        return _like(linear, np.rint(values * UNIT))

    def of(self, block: Any) -> tuple[Any, NDArray[np.bool_]]:
        """log1p CP10k of whole rows, in units of 1/UNIT, and which of the cells are empty."""
        linear = self.linear(block)
        mask = np.zeros(self.n_columns)
        mask[: self.genes.size] = self.genes
        total = linear @ mask
        stored = block if self.merged is None else None
        return self.log(linear, total, stored), total <= 0


class NotCounts(ScaleError):  # noqa: N818  (never seen by a user: the step says which matrix)
    """A value of a matrix that looked like counts is not an integer."""


def _like(block: Any, data: NDArray[np.float64]) -> Any:
    """The block with other values; its places are shared."""
    return sp.csr_array((data, block.indices, block.indptr), shape=block.shape, copy=False)


def needs_normalizing(scale: _matrix.Scale, n_genes: int) -> bool:
    """Whether cells are brought to a sum of 10,000.

    Counts are, and values whose cells all have another sum. Linear values without a common sum
    that are a whole transcriptome are counts from which somebody took something (ambient RNA,
    shares of reads with several places), and as deep as their cells. Values of fewer genes are
    a part of a normalized matrix: their own total is not that of the cell. Logarithms without a
    common sum were normalized by a size factor of another kind, and stay as they are.
    """
    if scale.kind in ("counts", _matrix.FRACTIONAL):
        return True
    if np.isfinite(scale.target_sum):
        return bool(abs(scale.target_sum - TARGET) > _CLOSE * TARGET)
    return scale.kind == "normalized" and n_genes >= WHOLE_TRANSCRIPTOME


def merged_selector(groups: Sequence[tuple[int, ...]], n_features: int) -> Any:
    """Features x genes, ones; None where there is no group."""
    if not groups:
        return None
    rows = np.concatenate([np.asarray(group, dtype=np.int64) for group in groups])
    columns = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    shape = (n_features, len(groups))
    return sp.csr_array((np.ones(rows.size), (rows, columns)), shape=shape)
