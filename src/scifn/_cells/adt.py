"""Noise of antibody-derived tags: what is background, and where a protein begins.

Two sources of noise are handled, those of Mulè 2022 (doi:10.1038/s41467-022-29356-8):

- each cell catches more or less of everything. Its background factor is the sum of the proteins
  that are at background in it (isotype controls among them) over what such cells have on
  average, shrunk towards 1;
- each antibody has a background of its own. Its center is the lowest mode of the protein over
  all cells and its spread the median absolute deviation of the values below that mode, which
  positive cells cannot widen however many they are (below one UMI: the ratio of ones to zeros).

Where the positive cells form a mode of their own the gate is the valley before it; where they do
not (rare or dim ones) it stands :data:`SPREADS` robust standard deviations above the background.
Values are asinh(UMI / 5), the scale of mass cytometry (Bendall 2011,
doi:10.1126/science.1198704): linear where counts are few and logarithmic above.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

COFACTOR: Final = 5.0
SCALE: Final = "asinh(UMI / 5)"
#: Robust standard deviations above the background at which a gate stands without a valley.
SPREADS: Final = 5.0
#: A cell at fewer than this is at background in that protein.
AT_BACKGROUND: Final = 3.0
#: Lowest valley, so that the shoulder of the background is not cut.
LOWEST_VALLEY: Final = 2.5
#: Least spread: half a UMI.
MIN_SPREAD: Final = 0.1
#: Pseudo-UMI of a factor of 1, and the most that one protein tells of the factor (NB variance).
PRIOR_UMI: Final = 20.0
DISPERSION: Final = 0.25
#: A cell with less than this share of the background that it should have was not stained.
MIN_BACKGROUND: Final = 0.1
#: No background is seen where the lowest mode is this high, in UMI and over the panel's median.
HIGH_UMI: Final = 20.0
HIGH_FOLD: Final = 10.0
#: Fewest cells that a background is taken from.
MIN_CELLS: Final = 100

_WIDTH: Final = 0.01
_BANDWIDTH: Final = 0.15
_WINDOW: Final = 0.25
_ROUNDS: Final = 3
_TELLING: Final = 10.0
_FAR_BELOW: Final = 10.0
_DIP_Z: Final = 3.0
_MIN_PEAK: Final = 10.0
#: A count stands for its interval: it is spread over it, so that ties make no modes.
_OFFSETS: Final = (-0.375, -0.125, 0.125, 0.375)


@dataclass(frozen=True)
class Background:
    """Center and spread of a protein's background, on the scale of :func:`transform`."""

    center: float
    spread: float

    def at(self, spreads: float) -> float:
        """The value that many spreads above the center."""
        return self.center + spreads * self.spread


@dataclass(frozen=True)
class Gate:
    """Where a protein begins, and how that was found; NaN where it cannot be told."""

    threshold: float
    method: str

    @property
    def usable(self) -> bool:
        """Whether there is a threshold."""
        return bool(np.isfinite(self.threshold))


def transform(umi: Floats, factor: Floats | float = 1.0) -> Floats:
    """asinh(UMI / 5), of UMI over the background factor of their cell."""
    return np.asarray(np.arcsinh(umi / factor / COFACTOR), dtype=np.float64)


def to_umi(value: float) -> float:
    """UMI of a value, in a cell of ordinary background."""
    return float(COFACTOR * np.sinh(value))


class Density:
    """Histogram of one protein with every count spread over its interval."""

    def __init__(self, umi: Floats, factor: Floats | float = 1.0, weights: Floats | None = None):
        highest = float(np.max(transform(umi, factor), initial=0.0)) + 0.5
        n_bins = int(np.ceil((highest + 0.5) / _WIDTH))
        self.edges = np.linspace(-0.5, highest, n_bins + 1)
        self.mass = np.zeros(n_bins)
        for offset in _OFFSETS:
            at = transform(umi + offset, factor)
            self.mass += np.histogram(at, bins=self.edges, weights=weights)[0]
        self.mass /= len(_OFFSETS)
        self.centers = (self.edges[1:] + self.edges[:-1]) / 2
        reach = np.arange(-4 * _BANDWIDTH, 4 * _BANDWIDTH + _WIDTH / 2, _WIDTH)
        kernel = np.exp(-0.5 * (reach / _BANDWIDTH) ** 2)
        self.smooth = np.convolve(self.mass, kernel / kernel.sum(), mode="full")
        cut = (kernel.size - 1) // 2
        self.smooth = self.smooth[cut : cut + n_bins]

    def peaks(self, share: float) -> NDArray[np.int64]:
        """Local maxima at ``share`` of the highest or more, in ascending order."""
        d = self.smooth
        up = np.r_[True, d[1:] > d[:-1]]
        down = np.r_[d[:-1] >= d[1:], True]
        return np.asarray(np.flatnonzero(up & down & (d > share * d.max())))

    def main(self) -> float:
        """The highest mode."""
        return float(self.centers[int(np.argmax(self.smooth))])

    def count(self, at: int) -> float:
        """Cells in a window around a bin."""
        near = np.abs(self.centers - self.centers[at]) <= _WINDOW
        return float(self.mass[near].sum())

    def median(self, end: int) -> float:
        """Median of the cells in the bins before ``end``."""
        below = np.cumsum(self.mass[:end])
        return float(self.centers[int(np.searchsorted(below, below[-1] / 2))])

    def between(self, low: float, high: float) -> float:
        """Cells from ``low`` to ``high`` UMI."""
        at = (self.centers >= np.arcsinh(low / COFACTOR)) & (
            self.centers < np.arcsinh(high / COFACTOR)
        )
        return float(self.mass[at].sum())

    def dips(self, start: int, beyond: float) -> list[int]:
        """Valleys, in ascending order, before modes above ``beyond`` that are no ripples."""
        found = []
        for peak in self.peaks(0.0):
            if peak <= start or self.centers[peak] < beyond:
                continue
            at = start + _lowest(self.smooth[start:peak])
            high, low = self.count(int(peak)), self.count(at)
            if high >= _MIN_PEAK and high - low > _DIP_Z * np.sqrt(high + low):
                found.append(at)
                start = int(peak)
        return found


def background(density: Density, usual_umi: float = 0.0) -> Background:
    """Center and spread of the lowest mode that can be background.

    Parameters
    ----------
    density
        Of the protein.
    usual_umi
        Main mode of an ordinary protein of the panel. A mode at a tenth of it or less is not
        background but cells that were not stained.
    """
    peaks = density.peaks(0.05)
    umi = np.array([to_umi(density.centers[i]) for i in peaks])
    fit = np.flatnonzero(_FAR_BELOW * (umi + 1.0) >= usual_umi + 1.0)
    mode = int(peaks[fit[0] if fit.size else -1])
    center = float(density.centers[mode])
    spread = 1.4826 * (center - density.median(mode + 1))
    if to_umi(center) < 1.0:  # hardly anything lies below, but ones and zeros tell
        spread = max(spread, _spread_of_few(density))
    return Background(center, max(spread, MIN_SPREAD))


def _spread_of_few(density: Density) -> float:
    """Spread of a background of less than one UMI, from how many ones there are to the zeros.

    In a negative binomial that ratio is mean / (1 + dispersion * mean); positive cells, which
    have more than one, are not in it.
    """
    zeros, ones = density.between(-0.5, 0.5), density.between(0.5, 1.5)
    ratio = min(ones / max(zeros, 1.0), 1.0)
    mean = ratio / (1.0 - DISPERSION * ratio)
    return float(np.sqrt((mean + DISPERSION * mean**2) / (COFACTOR**2 + mean**2)))


@dataclass(frozen=True)
class Noise:
    """Background of the cells of an object.

    ``factor`` is that of each cell over an ordinary one, ``stained`` is False in cells that lack
    a background where they should have one, and ``usual_umi`` is the main mode of an ordinary
    protein.
    """

    factor: Floats
    stained: Bools
    usual_umi: float


def hides(fit: Background, usual_umi: float) -> bool:
    """Whether the lowest mode is too high to be background: all cells carry the protein."""
    umi = to_umi(fit.center)
    return umi > HIGH_UMI and umi > HIGH_FOLD * max(usual_umi, 0.5)


def noise(umi: NDArray[np.float32], proteins: Sequence[int]) -> Noise:
    """Background factor of each cell, from the proteins that are at background in it.

    Parameters
    ----------
    umi
        Cells x antibodies.
    proteins
        Columns of antibodies against proteins and of isotype controls.
    """
    densities = {i: _of_counts(umi[:, i]) for i in proteins}
    usual = float(np.median([to_umi(density.main()) for density in densities.values()]))
    fits = {i: background(density, usual) for i, density in densities.items()}
    limits = {i: to_umi(f.at(AT_BACKGROUND)) for i, f in fits.items() if not hides(f, usual)}
    factor = np.ones(umi.shape[0])
    for _ in range(_ROUNDS):  # what is background in a deep cell depends on how deep it is
        seen, expected = _background_umi(umi, limits, factor)
        factor = (seen + PRIOR_UMI) / (expected + PRIOR_UMI)
    stained = (expected < _TELLING) | (seen >= MIN_BACKGROUND * expected)
    return Noise(factor, stained, usual)


def _background_umi(
    umi: NDArray[np.float32], limits: Mapping[int, float], factor: Floats
) -> tuple[Floats, Floats]:
    """Weighted UMI of what is at background in each cell, and what an ordinary cell has."""
    seen, expected = np.zeros(umi.shape[0]), np.zeros(umi.shape[0])
    for i, limit in limits.items():
        low = umi[:, i] <= limit * factor
        mean = float(umi[low, i].sum(dtype=np.float64) / max(factor[low].sum(), 1e-9))
        weight = 1.0 / (1.0 + DISPERSION * mean)
        seen[low] += weight * umi[low, i]
        expected[low] += weight * mean
    return seen, expected


def _of_counts(column: NDArray[np.float32]) -> Density:
    counts = np.bincount(column.astype(np.int64))
    seen = np.flatnonzero(counts)
    return Density(seen.astype(np.float64), weights=counts[seen].astype(np.float64))


def gate(
    density: Density, fit: Background, *, valley: str = "first", spreads: float = SPREADS
) -> Gate:
    """Where positive cells begin.

    Parameters
    ----------
    density, fit
        Of the protein.
    valley
        "first": the one after the background. "last": the one before the brightest mode. "none":
        a protein whose dim cells are many and whose bright cells are rare has none that can be
        relied on.
    spreads
        Where the gate stands without a valley.
    """
    start = int(np.searchsorted(density.centers, fit.at(LOWEST_VALLEY)))
    dips = density.dips(start, fit.at(AT_BACKGROUND))
    if valley == "none" or not dips:
        return Gate(fit.at(spreads), f"background + {spreads:g} SD")
    return Gate(float(density.centers[dips[0 if valley == "first" else -1]]), "valley")


def _lowest(d: Floats) -> int:
    """Middle of the lowest stretch."""
    low = np.flatnonzero(d <= d.min() * 1.05 + 1e-9)
    return int(low[low.size // 2])
