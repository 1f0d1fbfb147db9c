"""What a user may ask of a simulated cohort, and the defaults.

Sources of the defaults: disease effects and spreads are those of the published cohorts that the
project's method notes list (IFN-low patients 30 %, IFN-high controls 3 %; transitional B cells
expanded, Wehr 2004; plasmablasts threefold, Arce 2001; pDC fraction conflicting, x0.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Final

import numpy as np

from scifn import _keys
from scifn._errors import ArgumentError
from scifn.datasets._profiles import Profiles

#: Fold of the fraction in patients.
DEFAULT_FOLDS: Final[Mapping[str, float]] = MappingProxyType(
    {
        _keys.PDC: 0.8,
        _keys.B_TRANSITIONAL: 1.5,
        _keys.B_ATYPICAL: 2.5,
        _keys.PLASMABLAST: 3.0,
        _keys.PLASMA: 3.0,
    }
)
#: name -> (default, lowest, highest allowed, meaning)
PARAMETERS: Final[Mapping[str, tuple[float, float, float, str]]] = MappingProxyType(
    {
        "response": (2.0, 0.0, 5.0, "log2 shift of the response genes in IFN-high donors"),
        "ifn_low_patients": (0.30, 0.0, 1.0, "share of patients that are IFN-low"),
        "ifn_high_controls": (0.03, 0.0, 1.0, "share of controls that are IFN-high"),
        "producer_fraction": (0.03, 0.0, 1.0, "share of a patient's pDC that transcribe IFNA"),
        "ambient": (0.05, 0.0, 0.5, "mean share of ambient RNA among the UMI"),
        "doublets": (0.06, 0.0, 0.4, "mean share of droplets with two cells"),
        "batch": (0.10, 0.0, 1.0, "log SD of a gene between batches"),
        "depth": (2500.0, 100.0, 100_000.0, "mean UMI of a cell"),
    }
)
#: All defaults in one dict, the form that ``cohort(effects=...)`` takes.
DEFAULT_EFFECTS: Final[Mapping[str, float]] = MappingProxyType(
    {**DEFAULT_FOLDS, **{name: entry[0] for name, entry in PARAMETERS.items()}}
)


@dataclass(frozen=True)
class Effects:
    """Checked effects."""

    folds: dict[str, float]
    response: float
    ifn_low_patients: float
    ifn_high_controls: float
    producer_fraction: float
    ambient: float
    doublets: float
    batch: float
    depth: float

    def as_dict(self) -> dict[str, float]:
        """Every effect, cell types under names that files can hold."""
        folds = {_keys.column(name): fold for name, fold in self.folds.items()}
        return {**folds, **{name: float(getattr(self, name)) for name in PARAMETERS}}


def resolve(effects: Mapping[str, float] | None, profiles: Profiles) -> Effects:
    """Check what the user asked for and fill in the rest."""
    known = [t for t in _keys.CELL_TYPES if t in profiles.cell_types]
    if effects is not None and not isinstance(effects, Mapping):
        msg = f"effects is a {type(effects).__name__}; pass a dict such as {{'pDC': 0.5}}."
        raise ArgumentError(msg)
    asked = DEFAULT_EFFECTS if effects is None else effects
    for name, value in asked.items():
        _check(name, value, known)
    folds = {name: float(asked.get(name, 1.0)) for name in known}
    fold_shares(profiles, folds)
    chosen = {name: float(asked.get(name, entry[0])) for name, entry in PARAMETERS.items()}
    return Effects(folds=folds, **chosen)


def _check(name: str, value: object, known: list[str]) -> None:
    if name not in known and name not in PARAMETERS:
        msg = (
            f"effects has the key {name!r}. Known are the cell types {', '.join(known)} and "
            f"{', '.join(PARAMETERS)}."
        )
        raise ArgumentError(msg)
    low, high = PARAMETERS[name][1:3] if name in PARAMETERS else (0.0, np.inf)
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"effects[{name!r}] is {value!r}; it must be a number."
        raise ArgumentError(msg)
    number = float(value)
    if not np.isfinite(number) or not low <= number <= high:
        limits = f"from {low:g} to {high:g}" if np.isfinite(high) else "0 or more, and finite"
        msg = f"effects[{name!r}] is {number:g}; it must be {limits}."
        raise ArgumentError(msg)


def fold_shares(profiles: Profiles, folds: Mapping[str, float]) -> np.ndarray:
    """Shares of the states in patients: the named types times their folds, the rest rescaled."""
    fold = np.array([folds[t] for t in profiles.cell_types])
    named = fold != 1.0
    shares = np.where(named, profiles.share * fold, profiles.share)
    taken, rest = shares[named].sum(), profiles.share[~named].sum()
    if taken >= 1.0 or rest == 0.0:
        msg = (
            f"The folds in effects make the named cell types {taken:.0%} of all cells; they must "
            "leave room for the others. Use smaller folds."
        )
        raise ArgumentError(msg)
    shares[~named] *= (1.0 - taken) / rest
    return shares
