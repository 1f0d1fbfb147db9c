"""UMI counts of one donor's droplets: exact Poisson draws around the planted expectation.

A droplet holds its cell's transcripts (profile of its state, moved along the measured response to
interferon, times the donor's gene factors and a cell-to-cell factor) and the donor's soup. Both
scale with the droplet's capture efficiency, so that a cell with little RNA has a larger share of
soup. A doublet holds the transcripts of two cells of the donor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from scifn import _keys
from scifn.datasets._draw import Donor
from scifn.datasets._profiles import PRODUCING, Profiles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]
    Singles = NDArray[np.float32]
    Ints = NDArray[np.int64]

CAPTURE_LOG_SD = 0.35
RESPONSE_CELL_SD = 0.25  # of a cell's response relative to its donor's
BURST_SHAPE = 1.5  # gamma shape of the interferon transcripts of one producing cell
NOISY_UMI = 0.3  # genes with less in a cell vary as Poisson counts do, to the eye
CHUNK = 256  # cells at a time: keeps the dense block small; part of the random stream
LARGE = 2.0  # above that expectation numpy's own Poisson sampler is the faster one


@dataclass(frozen=True)
class Cells:
    """Droplets of one donor and their truth."""

    counts: csr_matrix
    cell_type: NDArray[np.str_]
    producer: NDArray[np.bool_]
    ambient: float  # share of the UMI that is soup
    fractions: dict[str, float]  # realized, by truth cell type


@dataclass(frozen=True)
class _Plan:
    """Cells before counts: the first n are droplets, the others second cells of doublets."""

    n: int
    state: Ints
    level: Floats  # position along the measured response
    capture: Floats
    doublet: Ints  # droplets that hold a second cell
    umi: Floats  # (states,) of a cell of capture 1
    soup: float  # UMI of soup in a droplet of capture 1


def draw_cells(profiles: Profiles, donor: Donor, n: int) -> Cells:
    """Draw one donor's droplets; depends on the donor's own seed only."""
    from scipy.sparse import vstack

    rng = np.random.Generator(np.random.SFC64(donor.seed))  # the fastest of numpy's
    plan = _plan(profiles, donor, n, rng)
    second = _second_cells(profiles, donor, plan, rng)
    parts, order = [], []
    for state in np.unique(plan.state[:n]):
        members = np.flatnonzero(plan.state[:n] == state)
        for rows in np.split(members, range(CHUNK, len(members), CHUNK)):
            mean = _expected(profiles, donor, plan, int(state), rows, plan.soup, rng)
            here = np.flatnonzero(np.isin(plan.doublet, rows))
            mean[np.searchsorted(rows, plan.doublet[here])] += second[here]
            parts.append(_poisson(mean, rng))
            order.append(rows)
    counts = vstack(parts, format="csr")[np.argsort(np.concatenate(order))]
    return _with_truth(profiles, plan, counts)


def _plan(profiles: Profiles, donor: Donor, n: int, rng: np.random.Generator) -> _Plan:
    """States, responses and sizes of the cells."""
    n_doublets = int(np.floor(donor.doublets * n + 0.5))
    doublet = np.sort(rng.permutation(n)[:n_doublets])
    total = n + n_doublets
    state = np.searchsorted(np.cumsum(donor.shares)[:-1], rng.random(total), side="right")
    producer = rng.random(total) < donor.producer_fraction
    state[producer & (state == profiles.state(_keys.PDC))] = profiles.state(PRODUCING)
    noise = rng.standard_normal(total)
    level = donor.response / profiles.full_response * (1.0 + RESPONSE_CELL_SD * noise)
    capture = np.exp(CAPTURE_LOG_SD * rng.standard_normal(total) - CAPTURE_LOG_SD**2 / 2)
    # two cells of one droplet share its capture efficiency
    capture[n:] = capture[doublet]
    umi = donor.depth * (1.0 - donor.ambient) * profiles.rna
    own = float(umi[state] @ capture)
    # so much soup that its share of the donor's UMI is as planted
    soup = donor.ambient / (1.0 - donor.ambient) * own / float(capture[:n].sum())
    return _Plan(n, state, level, capture, doublet, umi, soup)


def _second_cells(
    profiles: Profiles, donor: Donor, plan: _Plan, rng: np.random.Generator
) -> Singles:
    """Expected UMI of the second cells of doublets (their soup is that of the droplet)."""
    mean = np.empty((len(plan.doublet), len(profiles.genes)), dtype=np.float32)
    state = plan.state[plan.n :]
    for number in np.unique(state):
        rows = np.flatnonzero(state == number)
        mean[rows] = _expected(profiles, donor, plan, int(number), plan.n + rows, 0.0, rng)
    return mean


def _expected(
    profiles: Profiles, donor: Donor, plan: _Plan, state: int, rows: Ints, soup: float,
    rng: np.random.Generator,
) -> Singles:  # fmt: skip
    """Expected UMI of cells of one state and of ``soup`` UMI of soup.

    Only genes that respond, or vary between cells beyond Poisson, differ from cell to cell by
    more than the capture efficiency.
    """
    profile = profiles.base[state] * donor.gene_factor
    profile *= plan.umi[state] / profile.sum()
    floor = (soup * donor.soup).astype(np.float32)
    capture = plan.capture[rows, None].astype(np.float32)
    mean: Singles = capture * (profile.astype(np.float32) + floor)
    fold = profiles.response[state]
    cv = np.where(profile > NOISY_UMI, profiles.cv, 0.0)
    moves = np.flatnonzero((fold != 0.0) | (cv > 0.0))
    level = plan.level[rows, None].astype(np.float32)
    own = profile[moves].astype(np.float32) * np.exp2(level * fold[moves].astype(np.float32))
    varies = np.flatnonzero(cv[moves])
    spread = (cv[moves][varies] ** 2).astype(np.float32)
    size = (len(rows), len(varies))
    own[:, varies] *= rng.standard_gamma(1 / spread, size=size, dtype=np.float32) * spread
    mean[:, moves] = capture * (own + floor[moves])
    if state == profiles.state(PRODUCING):
        burst = rng.standard_gamma(BURST_SHAPE, size=(len(rows), 1)) / BURST_SHAPE
        mean += (capture * burst * plan.umi[state] * profiles.ligands).astype(np.float32)
    return mean


def _with_truth(profiles: Profiles, plan: _Plan, counts: csr_matrix) -> Cells:
    """Label the droplets: two cells of two types are a doublet."""
    n = plan.n
    kinds = np.array(profiles.cell_types)[plan.state]
    cell_type = kinds[:n].astype("<U16")
    cell_type[plan.doublet[kinds[plan.doublet] != kinds[n:]]] = _keys.DOUBLET
    makes = plan.state == profiles.state(PRODUCING)
    producer = makes[:n].copy()
    producer[plan.doublet] |= makes[n:]
    names, sizes = np.unique(cell_type, return_counts=True)
    own = float(plan.umi[plan.state] @ plan.capture)
    soup = plan.soup * float(plan.capture[:n].sum())
    return Cells(
        counts=counts,
        cell_type=cell_type,
        producer=producer,
        ambient=soup / (soup + own),
        fractions=dict(zip(names.tolist(), (sizes / n).tolist(), strict=True)),
    )


def _poisson(mean: Singles, rng: np.random.Generator) -> csr_matrix:
    """Poisson counts by inversion: one uniform number an entry, work only where it is not zero.

    P(X >= 1) = 1 - exp(-m) <= m, so that entries with u >= m are zero without a look.
    """
    from scipy.sparse import csr_matrix

    step = 2.0**-24  # grid of the single precision numbers, refined where it matters
    uniform = rng.random(mean.shape, dtype=np.float32)
    flat = np.flatnonzero(uniform < mean + np.float32(step))
    m = mean.ravel()[flat].astype(np.float64)
    u = uniform.ravel()[flat] + step * rng.random(len(flat))
    counts = np.zeros(len(flat), dtype=np.float32)
    # an entry with m >= 1 is always looked at, so its uniform number tells nothing: draw anew
    large = m > LARGE
    counts[large] = rng.poisson(m[large])
    _invert(m, u, np.flatnonzero(~large), counts)
    keep = counts > 0
    flat = flat[keep]
    n, n_genes = mean.shape
    indptr = np.searchsorted(flat, np.arange(n + 1) * n_genes)
    columns = flat - np.repeat(np.arange(n) * n_genes, np.diff(indptr))
    return csr_matrix((counts[keep], columns.astype(np.int32), indptr), shape=mean.shape)


def _invert(m: Floats, u: Floats, index: Ints, counts: NDArray[np.float32]) -> None:
    """Count k where the upper tails P(X >= k) > u >= P(X >= k + 1) (in place)."""
    m, u = m[index], u[index]
    term = np.exp(-m)
    tail = 1.0 - term
    k = 0
    while len(index):
        alive = np.flatnonzero(u < tail)
        k += 1
        index, m, u = index[alive], m[alive], u[alive]
        counts[index] = k
        term = term[alive] * m / k
        tail = tail[alive] - term
