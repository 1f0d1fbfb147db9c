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
from scifn.datasets._profiles import Profiles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

CAPTURE_LOG_SD = 0.35
RESPONSE_CELL_SD = 0.25  # of a cell's response relative to its donor's
BURST_SHAPE = 1.5  # gamma shape of the interferon transcripts of one producing cell
CHUNK = 1000  # cells at a time: bounds memory; part of the stream, so not to be changed lightly
LARGE = 8.0  # above that expectation numpy's own Poisson sampler is the faster one


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

    state: Ints
    producer: NDArray[np.bool_]
    level: Floats
    size: Floats
    capture: Floats
    doublet: Ints  # droplets that hold a second cell


def draw_cells(profiles: Profiles, donor: Donor, n: int) -> Cells:
    """Draw one donor's droplets; depends on the donor's own seed only."""
    from scipy.sparse import vstack

    rng = np.random.default_rng(donor.seed)
    plan = _plan(profiles, donor, n, rng)
    soup_umi = _soup_umi(profiles, donor, plan, n)
    parts: list[csr_matrix] = []
    for start in range(0, n, CHUNK):
        stop = min(start + CHUNK, n)
        mean = _expected(profiles, donor, plan, start, stop, n, rng)
        mean += (plan.capture[start:stop, None] * soup_umi) * donor.soup
        _add_ambient_ifna(profiles, donor, mean, plan.capture[start:stop] * soup_umi)
        parts.append(_poisson(mean, rng))
    cell_type, producer = _truth(profiles, plan, n)
    names, sizes = np.unique(cell_type, return_counts=True)
    own = float((plan.size * plan.capture).sum())
    soup = float(plan.capture[:n].sum() * soup_umi)
    return Cells(
        counts=vstack(parts, format="csr", dtype=np.float32),
        cell_type=cell_type,
        producer=producer,
        ambient=soup / (soup + own),
        fractions=dict(zip(names.tolist(), (sizes / n).tolist(), strict=True)),
    )


def _plan(profiles: Profiles, donor: Donor, n: int, rng: np.random.Generator) -> _Plan:
    """States, responses and sizes of the cells."""
    n_doublets = int(np.floor(donor.doublets * n + 0.5))
    doublet = np.sort(rng.permutation(n)[:n_doublets])
    total = n + n_doublets
    state = np.searchsorted(np.cumsum(donor.shares)[:-1], rng.random(total), side="right")
    is_pdc = state == profiles.state(_keys.PDC)
    producer = is_pdc & (rng.random(total) < donor.producer_fraction)
    noise = rng.standard_normal(total)
    level = donor.response / profiles.full_response * (1.0 + RESPONSE_CELL_SD * noise)
    capture = np.exp(CAPTURE_LOG_SD * rng.standard_normal(total) - CAPTURE_LOG_SD**2 / 2)
    # two cells of one droplet share its capture efficiency
    capture[n:] = capture[doublet]
    size = donor.depth * (1.0 - donor.ambient) * profiles.rna[state]
    return _Plan(state, producer, level, size, capture, doublet)


def _soup_umi(profiles: Profiles, donor: Donor, plan: _Plan, n: int) -> float:
    """UMI of soup in a droplet of capture 1, such that the donor's share is as planted."""
    own = float((plan.size * plan.capture).sum())
    return donor.ambient / (1.0 - donor.ambient) * own / float(plan.capture[:n].sum())


def _expected(
    profiles: Profiles, donor: Donor, plan: _Plan, start: int, stop: int, n: int,
    rng: np.random.Generator,
) -> Floats:  # fmt: skip
    """Expected UMI of the cells in droplets start..stop."""
    first, last = np.searchsorted(plan.doublet, [start, stop])
    rows = np.concatenate([np.arange(start, stop), np.arange(n + first, n + last)])
    mean = _transcripts(profiles, donor, plan, rows, rng)
    n_own = stop - start
    mean[plan.doublet[first:last] - start] += mean[n_own:]
    return mean[:n_own]


def _transcripts(
    profiles: Profiles, donor: Donor, plan: _Plan, rows: Ints, rng: np.random.Generator
) -> Floats:
    """Expected UMI of single cells: state by state, since a state shares profile and response."""
    mean = np.empty((len(rows), len(profiles.genes)))
    noisy = np.flatnonzero(profiles.cv)
    cv = profiles.cv[noisy]
    shape = 1.0 / cv**2
    factor = rng.standard_gamma(shape, size=(len(rows), len(noisy))) * cv**2
    burst = rng.standard_gamma(BURST_SHAPE, size=len(rows)) / BURST_SHAPE
    state = plan.state[rows]
    for number in np.unique(state):
        members = np.flatnonzero(state == number)
        profile = profiles.base[number] * donor.gene_factor
        fold = profiles.response[number]
        moved = np.flatnonzero(fold)
        block = np.repeat(profile[None, :], len(members), axis=0)
        block[:, moved] *= np.exp2(plan.level[rows[members], None] * fold[moved])
        mean[members] = block
    made = np.flatnonzero(plan.producer[rows])
    mean[made] = profiles.producing * donor.gene_factor
    mean[:, noisy] *= factor
    mean /= mean.sum(axis=1, keepdims=True)
    mean[made] += burst[made, None] * profiles.producing_ligands
    mean *= (plan.size[rows] * plan.capture[rows])[:, None]
    return mean


def _add_ambient_ifna(profiles: Profiles, donor: Donor, mean: Floats, soup: Floats) -> None:
    """Interferon transcripts of the soup, in the proportions of the paralogs (in place)."""
    ifna = [i for i, g in enumerate(profiles.genes) if g.startswith("IFNA") and g[4:].isdigit()]
    share = profiles.producing_ligands[ifna]
    mean[:, ifna] += donor.soup_ifna * soup[:, None] * (share / share.sum())


def _poisson(mean: Floats, rng: np.random.Generator) -> csr_matrix:
    """Poisson counts by inversion: one uniform number an entry, work only where it is not zero.

    P(X >= 1) = 1 - exp(-m) <= m, so that entries with u >= m are zero without a look.
    """
    from scipy.sparse import csr_matrix

    uniform = rng.random(mean.shape)
    flat = np.flatnonzero(uniform < mean)
    m, u = mean.ravel()[flat], uniform.ravel()[flat]
    counts = np.zeros(len(flat), dtype=np.float32)
    # an entry with m >= 1 is always looked at, so its uniform number tells nothing: draw anew
    large = m > LARGE
    counts[large] = rng.poisson(m[large])
    _invert(m, u, np.flatnonzero(~large), counts)
    keep = counts > 0
    rows, columns = np.divmod(flat[keep], mean.shape[1])
    indptr = np.zeros(mean.shape[0] + 1, dtype=np.int64)
    np.cumsum(np.bincount(rows, minlength=mean.shape[0]), out=indptr[1:])
    return csr_matrix((counts[keep], columns.astype(np.int32), indptr), shape=mean.shape)


def _invert(m: Floats, u: Floats, index: Ints, counts: NDArray[np.float32]) -> None:
    """Count k where the upper tails P(X >= k) > u >= P(X >= k + 1) (in place)."""
    m, u = m[index], u[index]
    term, tail = np.exp(-m), -np.expm1(-m)
    k = 0
    while len(index):
        alive = u < tail
        index, m, u, term, tail = index[alive], m[alive], u[alive], term[alive], tail[alive]
        k += 1
        counts[index] = k
        term = term * m / k
        tail = tail - term


def _truth(profiles: Profiles, plan: _Plan, n: int) -> tuple[NDArray[np.str_], NDArray[np.bool_]]:
    """Truth label and producer flag of the droplets."""
    kinds = np.array(profiles.cell_types)[plan.state]
    cell_type, producer = kinds[:n].astype("<U16"), plan.producer[:n].copy()
    cell_type[plan.doublet[kinds[plan.doublet] != kinds[n:]]] = _keys.DOUBLET
    producer[plan.doublet] |= plan.producer[n:]
    return cell_type, producer
