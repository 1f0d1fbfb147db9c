"""What a sample holds of a ligand that its cells do not make: its soup, or reads of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn._cells import evidence
from scifn._cells.lanes import Lanes
from scifn._cells.ligands import Ligand

Floats = NDArray[np.float64]

#: Cells of types that cannot make a ligand below which they say nothing of the soup.
MIN_ABSENT: Final = 50
#: UMI of a gene in the T cells of a sample below which it says nothing of the width.
MIN_SOUP: Final = 20
#: Genes of other types that T cells hold as soup only; they teach the size of the null.
SOUP_GENES: Final = ("S100A8", "S100A9", "LYZ", "PPBP", "PF4", "HBB", "HBA1", "CD74", "IGHM")
DEFAULT_CONTAMINATION: Final = 0.05


@dataclass(frozen=True)
class Soup:
    """What the soup holds, from empty droplets: UMI of each ligand (by name), and of all genes."""

    umi: Mapping[str, float]
    total: float


@dataclass(frozen=True)
class Given:
    """What a user says of the background; of libraries the same of reads of others."""

    soup: Soup | None = None
    contamination: Floats | None = None


@dataclass(frozen=True)
class Background:
    """Null of every cell, and of each sample its mean rate and where it was read from.

    A sample without one has a rate of NaN and no source.

    Attributes
    ----------
    null, at
        Nulls (of samples, or of libraries), and which of them is that of each cell.
    """

    null: evidence.Null
    at: NDArray[np.int64]
    rates: Floats
    sources: tuple[str, ...]

    def of(self, cells: NDArray[np.int64] | slice) -> evidence.Null:
        """Null of some cells."""
        return self.null.of(self.at[cells])

    def only(self, cells: NDArray[np.int64]) -> Background:
        """The same where there are some cells only."""
        return replace(self, at=self.at[cells])


def background(
    umi: Floats, seen: NDArray[np.int64], lanes: Lanes, ligand: Ligand, given: Given
) -> Background:
    """Null of samples: from empty droplets, else from cells that cannot make the ligand.

    ``seen`` are the cells that hold any, and ``umi`` what they hold.
    """
    if lanes.libraries:
        every = np.zeros(lanes.at.size)
        every[seen] = umi
        return _of_libraries(every, lanes, given, ligand)
    if given.soup is not None:
        rates, sources = _of_droplets(lanes, ligand, given.soup, given.contamination)
    else:
        absent = lanes.which(ligand.absent)
        n, depth = (values[:, absent].sum(axis=1) for values in (lanes.n_cells, lanes.depth))
        held = lanes.sums(umi * absent[lanes.types[seen]], seen)
        rates = np.where(n >= MIN_ABSENT, evidence.from_absent(held, depth), np.nan)
        phrase = ligand.phrase
        sources = tuple(f"{int(x):,} {phrase}" if x >= MIN_ABSENT else "" for x in n)
    return Background(evidence.Null(rates, lanes.size), lanes.of, rates, sources)


def _of_droplets(
    lanes: Lanes, ligand: Ligand, soup: Soup, contamination: Floats | None
) -> tuple[Floats, tuple[str, ...]]:
    shares = np.full(len(lanes.names), DEFAULT_CONTAMINATION)
    if contamination is not None:
        pieces = np.split(
            contamination[lanes.at], np.searchsorted(lanes.of, np.arange(1, len(shares)))
        )
        shares = np.array([np.median(piece) for piece in pieces])
    rates = evidence.from_soup(soup.umi[ligand.name], soup.total, shares)
    assumed = " (assumed)" if contamination is None else ""
    sources = tuple(f"empty droplets, contamination {share:.3g}{assumed}" for share in shares)
    return rates, sources


def _of_libraries(umi: Floats, lanes: Lanes, given: Given, ligand: Ligand) -> Background:
    """Null of purified libraries: reads of the others of their run."""
    swapped = np.full(umi.size, evidence.SWAPPED)
    if given.contamination is not None:
        swapped = given.contamination[lanes.at]
    soup = given.soup
    pool = None if soup is None else (soup.umi[ligand.name], soup.total)
    rate, sources = np.full(umi.size, np.nan), []
    means = np.full(len(lanes.names), np.nan)
    for sample in range(len(lanes.names)):
        mine = np.flatnonzero(lanes.of == sample)
        found = evidence.from_libraries(umi[mine], lanes.total[mine], swapped[mine], pool)
        if found is None:
            sources.append("")
            continue
        rate[mine], means[sample] = found, np.mean(found)
        which, share = "the pool" if pool else "the other libraries", np.median(swapped[mine])
        assumed = " (assumed)" if given.contamination is None else ""
        sources.append(f"reads of {which}, {share:.3g} of each library{assumed}")
    size = np.full(umi.size, evidence.SWAPPED_SIZE)
    null = evidence.Null(rate, size, tail=evidence.SWAPPED_TAIL)
    return Background(null, np.arange(umi.size), means, tuple(sources))


class SoupMoments:
    """Sums over the T cells of each sample, which hold soup of :data:`SOUP_GENES` only.

    They teach how wide the null is: :meth:`sizes`. Cells are added run after run.

    Parameters
    ----------
    n_samples, n_genes
        Samples, and genes that mark absent types.
    """

    def __init__(self, n_samples: int, n_genes: int) -> None:
        self._shape = n_samples, n_genes
        self._umi, self._squares, self._by_depth = (np.zeros(n_samples * n_genes) for _ in "123")
        self._depth, self._depth_squares = np.zeros(n_samples), np.zeros(n_samples)

    def add(
        self, counts: Any, total: Floats, samples: NDArray[np.integer[Any]], first: int = 0
    ) -> None:
        """Add T cells: UMI (CSR, cells x genes), all their UMI, and their samples.

        Cells of sample -1 are no T cells; genes are the columns from ``first`` on.
        """
        n, n_genes = self._shape
        known = np.flatnonzero(samples >= 0)
        depth = total[known]
        self._depth += np.bincount(samples[known], depth, minlength=n)
        self._depth_squares += np.bincount(samples[known], depth**2, minlength=n)
        of = np.repeat(samples, np.diff(counts.indptr))
        held = np.flatnonzero((counts.indices >= first) & (of >= 0))
        key = of[held] * n_genes + (counts.indices[held] - first)
        umi = counts.data[held].astype(np.float64)
        by_depth = umi * np.repeat(total, np.diff(counts.indptr))[held]
        for sums, values in (
            (self._umi, umi), (self._squares, umi**2), (self._by_depth, by_depth),
        ):  # fmt: skip
            sums += np.bincount(key, values, minlength=sums.size)

    def merge(self, other: SoupMoments) -> None:
        """Add the T cells of another run."""
        self._umi += other._umi
        self._squares += other._squares
        self._by_depth += other._by_depth
        self._depth += other._depth
        self._depth_squares += other._depth_squares

    def sizes(self) -> Floats:
        """Size of each sample's negative binomial, by moments over the genes.

        Infinite (Poisson) where the counts are no wider than Poisson or say too little.
        """
        umi, squares, by_depth = (
            sums.reshape(self._shape) for sums in (self._umi, self._squares, self._by_depth)
        )
        depth, depth_squares = self._depth[:, None], self._depth_squares[:, None]
        rate = np.divide(umi, depth, out=np.zeros_like(umi), where=depth > 0)
        rate[umi < MIN_SOUP] = 0.0
        # sum of (umi - mean)^2 - mean, and of mean^2, over cells and genes that say enough
        spread = squares - 2 * rate * by_depth + rate**2 * depth_squares - rate * depth
        extra = np.where(rate > 0, spread, 0.0).sum(axis=1)
        mean_squares = (rate**2 * depth_squares).sum(axis=1)
        out = np.full(len(extra), np.inf)
        wide = extra > 0
        out[wide] = mean_squares[wide] / extra[wide]
        return out
