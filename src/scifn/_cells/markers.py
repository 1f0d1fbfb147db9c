"""Values and gates of the surface markers of one object, and the rows of its table of gates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import adt
from scifn._cells.antibodies import ALIASES, Antibodies

Bools = NDArray[np.bool_]
Values = NDArray[np.float32]

#: Which valley a marker is gated at, where not the first. Monocytes and cDC carry some CD123, so
#: that there is none before the few bright cells; pDC carry some CD33 and CD5, AS-DC much.
VALLEY: Final = {"CD123": "none", "CD33": "last", "CD5": "last", "CD327": "last"}
#: Asked for but no proof of identity: without a valley only clear negatives are ruled out.
MILD: Final = ("HLA-DR",)
#: Gated against naive B cells, so that no negative cells are needed.
RELATIVE: Final = ("CD24", "CD38")


@dataclass
class Panel:
    """Values and gates of the markers, and the rows of the table so far."""

    values: dict[str, Values]
    gates: dict[str, adt.Gate]
    stained: Bools
    why: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def can(self, marker: str) -> bool:
        """Whether the marker has a gate."""
        return marker in self.gates

    def above(self, marker: str) -> Bools:
        """Stained cells above the gate of a marker that has one."""
        return np.asarray(self.stained & (self.values[marker] > self.gates[marker].threshold))

    def positive(self, marker: str) -> Bools:
        """As :meth:`above`; every stained cell where the marker has no gate."""
        return self.above(marker) if self.can(marker) else self.stained

    def any_of(self, markers: Sequence[str]) -> Bools:
        """Cells above the gate of one of the markers or more; those without a gate say nothing."""
        out = np.zeros(self.stained.size, dtype=bool)
        for marker in filter(self.can, markers):
            out |= self.above(marker)
        return out

    def row(self, population: str, of: Bools, marker: str, side: str, gate: adt.Gate) -> None:
        """Add a gate to the table."""
        n = int((of & (self.values[marker] > gate.threshold)).sum())
        self.rows.append(_row(population, marker, side, gate, n, int(of.sum())))

    def result(self, population: str, of: Bools, found: Bools) -> None:
        """Add what a population came to."""
        nowhere = adt.Gate(float("nan"), "")
        self.rows.append(_row(population, "", "", nowhere, int(found.sum()), int(of.sum())))

    def untold(self, population: str, needed: Sequence[str]) -> None:
        """Add that a population is not measurable, and why."""
        reasons = [self.why[marker] for marker in needed if not self.can(marker)]
        nowhere = adt.Gate(float("nan"), "")
        row = _row(population, "", "", nowhere, float("nan"), int(self.stained.sum()))
        self.rows.append(row | {"note": "not measurable: " + "; ".join(dict.fromkeys(reasons))})


def _row(
    population: str, marker: str, side: str, gate: adt.Gate, n: float, of: int
) -> dict[str, Any]:
    values = (
        population, marker, side, adt.SCALE if marker else "", gate.threshold,
        adt.to_umi(gate.threshold), gate.method, float(n), float(of),
        100.0 * n / of if of else float("nan"), "",
    )  # fmt: skip
    return dict(zip(k.GATES_COLUMNS, values, strict=True))


def measure(umi: Values, found: Antibodies, stained: Bools) -> Panel:
    """Values of the markers and where each begins."""
    why = {marker: f"{marker} is not among the proteins" for marker in ALIASES}
    if stained.sum() < adt.MIN_CELLS:
        few = f"fewer than {adt.MIN_CELLS} cells have protein counts"
        return Panel({}, {}, stained, dict.fromkeys(why, few))
    noise = adt.noise(umi[stained], found.proteins)
    factor = np.ones(umi.shape[0])
    factor[stained] = noise.factor
    stained = stained.copy()
    stained[stained] = noise.stained
    values: dict[str, Values] = {}
    gates: dict[str, adt.Gate] = {}
    for marker, where in found.columns.items():
        counts = umi[:, list(where)].sum(axis=1, dtype=np.float64)
        if not counts.any():
            why[marker] = f"{marker} has no counts in any cell"
            continue
        density = adt.Density(counts[stained], factor[stained])
        fit = adt.background(density, noise.usual_umi)
        # in the precision in which they are stored, so that a figure of them shows the same cells
        values[marker] = adt.transform(counts, factor).astype(np.float32)
        if adt.hides(fit, noise.usual_umi) and marker not in RELATIVE:
            why[marker] = f"{marker} has no negative cells here to set a gate by"
        else:
            spreads = adt.AT_BACKGROUND if marker in MILD else adt.SPREADS
            valley = VALLEY.get(marker, "first")
            gates[marker] = adt.gate(density, fit, valley=valley, spreads=spreads)
    return Panel(values, gates, stained, why)
