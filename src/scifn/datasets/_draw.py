"""Donors of a simulated cohort: who they are and what is planted in each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from scifn import _keys
from scifn.datasets._effects import Effects, fold_shares
from scifn.datasets._profiles import Profiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

PATIENT = "patient"
CONTROL = "control"

#: Between-donor spread of the interferon response (log2): of those that are IFN-high, and of all.
RESPONSE_SD_HIGH = 0.8
RESPONSE_SD = 0.3
DEPTH_LOG_SD = 0.15
DEPTH_BATCH_LOG_SD = 0.10
GENE_LOG_SD = 0.12
AMBIENT_LOG_SD = 0.6
AMBIENT_RANGE = (0.2, 4.0)  # of the mean: 1 % to 20 % where the mean is 5 %
DOUBLET_RANGE = (2 / 3, 4 / 3)  # of the mean: 4 % to 8 % where the mean is 6 %
#: Share of the soup that is no average of the donor's cells but lysed neutrophils, red cells,
#: platelets and plasma cells.
SOUP_EXTRA = 0.25
SOUP_LYSED = (6.0, 0.5, 1.5, 1.0)  # Dirichlet weights: monocytes, red cells, platelets, plasma
#: Mean share of IFNA transcripts in the soup.
SOUP_IFNA = 3e-6
FEMALE = 0.85  # lupus is a disease of women; controls are matched
Y_GENES = ("RPS4Y1", "DDX3Y", "KDM5D", "UTY", "EIF1AY")


@dataclass(frozen=True)
class Donor:
    """One donor: everything that its cells are drawn from."""

    name: str
    condition: str
    batch: str
    sex: str
    age: int
    ifn_high: bool
    response: float  # log2 of the response genes
    shares: Floats  # of the states, droplets with one cell
    depth: float  # mean UMI of a cell at the reference composition
    ambient: float
    doublets: float
    producer_fraction: float
    gene_factor: Floats  # of batch, donor and sex
    soup: Floats  # profile of the ambient RNA, sums to 1
    soup_ifna: float
    seed: np.random.SeedSequence


def draw_donors(
    profiles: Profiles, effects: Effects, n_patients: int, n_controls: int, rng: np.random.Generator
) -> list[Donor]:
    """Draw the donors of a cohort; each gets its own stream of random numbers."""
    root = np.random.SeedSequence(rng.integers(0, 2**32, size=4, dtype=np.uint32).tolist())
    cohort_seed, *seeds = root.spawn(1 + n_patients + n_controls)
    cohort = np.random.default_rng(cohort_seed)
    batches = _batches(profiles, effects, n_patients, n_controls, cohort)
    high = {
        PATIENT: _pick(cohort, n_patients, 1.0 - effects.ifn_low_patients),
        CONTROL: _pick(cohort, n_controls, effects.ifn_high_controls),
    }
    donors = []
    for number, seed in enumerate(seeds):
        condition = PATIENT if number < n_patients else CONTROL
        index = number if number < n_patients else number - n_patients
        batch = batches[index % len(batches)]
        name = f"D{number + 1:02d}"
        donors.append(
            _draw_donor(
                profiles, effects, name, condition, batch, bool(high[condition][index]), seed
            )
        )
    return donors


def _batches(
    profiles: Profiles, effects: Effects, n_patients: int, n_controls: int, rng: Any
) -> list[tuple[str, Floats, float]]:
    """Name, gene factors and depth factor of each batch. Every batch holds both conditions."""
    smaller = min(n_patients, n_controls)
    n = 1 if smaller < 2 else 2 if smaller < 6 else 3
    out = []
    for number in range(n):
        noise = rng.standard_normal(len(profiles.genes))
        depth = float(np.exp(DEPTH_BATCH_LOG_SD * rng.standard_normal()))
        used = effects.batch > 0
        out.append((f"batch{number + 1}", np.exp(effects.batch * noise), depth if used else 1.0))
    return out


def _pick(rng: np.random.Generator, n: int, share: float) -> NDArray[np.bool_]:
    """Which of n donors: the nearest whole number of them, at random places."""
    chosen = np.zeros(n, dtype=bool)
    chosen[: int(np.floor(n * share + 0.5))] = True
    return rng.permutation(chosen)


def _draw_donor(
    profiles: Profiles, effects: Effects, name: str, condition: str,
    batch: tuple[str, Floats, float], ifn_high: bool, seed: np.random.SeedSequence,
) -> Donor:  # fmt: skip
    traits, seed_cells = seed.spawn(2)
    rng = np.random.default_rng(traits)
    # Every number is drawn whatever the effects are, so that two cohorts of one seed differ
    # in nothing but what was asked.
    sex = "female" if rng.random() < FEMALE else "male"
    age = int(np.clip(np.rint(rng.normal(42.0, 12.0)), 18, 80))
    z_high, z_all, z_depth, z_ambient, z_ifna = rng.standard_normal(5)
    u_doublets = rng.random()
    shares = _shares(profiles, effects, condition, rng)
    genes = batch[1] * np.exp(GENE_LOG_SD * rng.standard_normal(len(profiles.genes)))
    _apply_sex(profiles, genes, sex)
    low, high = DOUBLET_RANGE
    response = RESPONSE_SD * z_all * (effects.response > 0)
    if ifn_high:
        response += max(effects.response / 2, effects.response + RESPONSE_SD_HIGH * z_high)
    ambient = np.exp(AMBIENT_LOG_SD * z_ambient - AMBIENT_LOG_SD**2 / 2)
    soup_ifna = float(SOUP_IFNA * np.exp(0.5 * z_ifna - 0.125))
    soup = _soup(profiles, shares, genes, soup_ifna, rng)
    return Donor(
        name=name,
        condition=condition,
        batch=batch[0],
        sex=sex,
        age=age,
        ifn_high=ifn_high,
        response=float(response if effects.response > 0 else 0.0),
        shares=shares,
        depth=float(effects.depth * batch[2] * np.exp(DEPTH_LOG_SD * z_depth)),
        ambient=float(effects.ambient * np.clip(ambient, *AMBIENT_RANGE)),
        doublets=float(effects.doublets * (low + (high - low) * u_doublets)),
        producer_fraction=effects.producer_fraction if condition == PATIENT else 0.0,
        gene_factor=genes,
        soup=soup,
        soup_ifna=soup_ifna,
        seed=seed_cells,
    )


def _shares(profiles: Profiles, effects: Effects, condition: str, rng: Any) -> Floats:
    """Shares of the states of one donor; on average those of its condition."""
    noise = rng.standard_normal(len(profiles.states))
    folds = effects.folds if condition == PATIENT else dict.fromkeys(effects.folds, 1.0)
    mean = fold_shares(profiles, folds)
    shares = mean * np.exp(profiles.log_sd * noise - profiles.log_sd**2 / 2)
    return np.asarray(shares / shares.sum())


def _apply_sex(profiles: Profiles, genes: Floats, sex: str) -> None:
    """XIST in women and genes of the Y chromosome in men only (in place)."""
    absent = Y_GENES if sex == "female" else ("XIST",)
    genes[[profiles.gene(gene) for gene in absent]] = 0.0


def _soup(
    profiles: Profiles, shares: Floats, genes: Floats, ifna_share: float, rng: np.random.Generator
) -> Floats:
    """Ambient profile: the donor's mean cell, cells that lyse easily, and a trace of IFNA."""
    mean = (shares * profiles.rna) @ profiles.base
    lysed = [
        profiles.state(s) for s in ("CD14 Mono", _keys.ERYTHROCYTE, _keys.PLATELET, _keys.PLASMA)
    ]
    mix = rng.dirichlet(SOUP_LYSED) @ profiles.base[lysed]
    soup = ((1.0 - SOUP_EXTRA) * mean / mean.sum() + SOUP_EXTRA * mix) * genes
    soup /= soup.sum()
    ifna = np.array([g.startswith("IFNA") and g[4:].isdigit() for g in profiles.genes])
    paralogs = np.where(ifna, profiles.ligands, 0.0)
    soup = np.where(profiles.ligands > 0, 0.0, soup) + ifna_share * paralogs / paralogs.sum()
    return np.asarray(soup / soup.sum())
