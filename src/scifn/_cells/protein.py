"""Gates on surface proteins: pDC and the two Breg-like phenotypes of B cells.

- pDC: CD123+ and (CD303+ or CD304+), HLA-DR+, CD11c-, and none of CD3, CD19, CD20, CD14, CD16,
  CD56. Cells that pass all of this and carry CD33, CD5 or CD327 are AS-DC-like (Villani 2017,
  doi:10.1126/science.aah4573; See 2017, doi:10.1126/science.aag3009). What is not among the
  proteins is not asked for, except CD123 and one of CD303 and CD304.
- B cell: CD19+ CD3-.
- transitional-like: CD24hi CD38hi B cell (Blair 2010, doi:10.1016/j.immuni.2009.11.009).
- B10-like: CD24hi CD27+ B cell (Iwata 2011, doi:10.1182/blood-2010-07-294249). The two are never
  merged; a cell in both gates counts as transitional-like.

"hi" is above what mature naive B cells show (CD24int CD38int): their median and :data:`HI_SPREADS`
robust standard deviations, naive-like being CD27- IgD+ B cells as far as those are measured. A
gate that cannot be set makes its population not measurable, never negative.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import adt
from scifn._cells.antibodies import resolve
from scifn._cells.markers import RELATIVE, Panel, measure

Bools = NDArray[np.bool_]
Labels = NDArray[np.object_]

LINEAGE: Final = ("CD3", "CD19", "CD20", "CD14", "CD16", "CD56")
ASDC: Final = ("CD33", "CD5", "CD327")
#: Robust standard deviations above naive B cells from which CD24 and CD38 are "hi".
HI_SPREADS: Final = 1.5
#: Fewest naive-like B cells that "hi" is taken from.
MIN_NAIVE: Final = 50
#: "hi" must begin at a UMI at least: below, noise alone decides.
MIN_HI_UMI: Final = 1.0

#: What the pDC gate says of a cell beside "pDC", "AS-DC" and "NA".
DOUBLET: Final = "doublet"  # the surface of a pDC and a marker of another lineage
CD123_ONLY: Final = "CD123 only"  # as a pDC, without CD303 and CD304
NOT_PDC: Final = "not_pDC"
#: Populations of the gates table; the last two are kinds of Breg-like cells too.
B_CELL: Final = "B cell"
TRANSITIONAL, B10 = k.BREG_KINDS[:2]


@dataclass(frozen=True)
class Surface:
    """What the gates say; arrays have a row a cell.

    ``pdc`` is one of "pDC", "AS-DC", "doublet", "CD123 only", "not_pDC", "NA" and ``breg`` one of
    "transitional_like", "b10_like", "none", "NA" (no B cell on the surface, or not stained).
    ``values`` holds the markers that were found, on the scale of the gates, NaN where not stained.
    """

    pdc: Labels
    breg: Labels
    pdc_measurable: bool
    breg_measurable: bool
    markers: tuple[str, ...]
    values: NDArray[np.float32]
    gates: list[dict[str, Any]]
    record: dict[str, Any]


def gate_cells(umi: NDArray[np.float32], names: Sequence[str], stained: Bools) -> Surface:
    """Gate every cell on its surface proteins.

    Parameters
    ----------
    umi
        Raw counts, cells x antibodies; zeros where ``stained`` is False.
    names
        Name of each antibody.
    stained
        Cells that have protein counts at all.

    Returns
    -------
    Calls, the values of the markers and the gates with their counts.
    """
    found = resolve(names)
    panel = measure(umi, found, stained)
    pdc, pdc_measurable = _pdc(panel)
    breg, breg_measurable = _breg(panel)
    markers = tuple(panel.values)
    values = np.full((umi.shape[0], len(markers)), np.nan, dtype=np.float32)
    for i, marker in enumerate(markers):
        values[panel.stained, i] = panel.values[marker][panel.stained]
    record = {
        "markers": {m: ";".join(names[i] for i in where) for m, where in found.columns.items()},
        "isotype_controls": ";".join(names[i] for i in found.isotypes),
        "n_antibodies": len(names),
        "n_stained": int(panel.stained.sum()),
        "scale": adt.SCALE,
    }
    return Surface(
        pdc, breg, pdc_measurable, breg_measurable, markers, values, panel.rows, record
    )  # fmt: skip


def _pdc(panel: Panel) -> tuple[Labels, bool]:
    """What the pDC gate says of each cell, and whether there is one."""
    calls = np.full(panel.stained.size, "NA", dtype=object)
    either = [marker for marker in ("CD303", "CD304") if panel.can(marker)]
    if not panel.can("CD123") or not either:
        panel.untold(k.PDC, ["CD123", *([] if either else ["CD303", "CD304"])])
        return calls, False
    sides = dict.fromkeys(LINEAGE, "below") | {"HLA-DR": "above", "CD11c": "below"}
    sides |= {"CD123": "above"} | dict.fromkeys(either, "one above") | dict.fromkeys(ASDC, "below")
    for marker, side in sides.items():
        if panel.can(marker):
            panel.row(k.PDC, panel.stained, marker, side, panel.gates[marker])
    held = panel.above("CD123") & panel.positive("HLA-DR")
    lineage, bright, asdc = (panel.any_of(m) for m in (LINEAGE, either, ASDC))
    clean = held & ~lineage & ~panel.any_of(["CD11c"])
    calls[panel.stained] = NOT_PDC
    calls[held & lineage & bright] = DOUBLET
    calls[clean & ~bright & ~asdc] = CD123_ONLY
    calls[clean & bright & asdc] = k.ASDC
    calls[clean & bright & ~asdc] = k.PDC
    panel.result(k.PDC, panel.stained, calls == k.PDC)
    if any(panel.can(marker) for marker in ASDC):
        panel.result(k.ASDC, panel.stained, calls == k.ASDC)
    return calls, True


def _breg(panel: Panel) -> tuple[Labels, bool]:
    """The Breg-like kind of each cell, and whether it can be told."""
    kinds = np.full(panel.stained.size, "NA", dtype=object)
    needed = ("CD19", *RELATIVE)
    if all(panel.can(marker) for marker in needed):
        b_cells = _b_cells(panel)
        _set_hi(panel, b_cells & ~panel.any_of(["CD27"]) & panel.positive("IgD"))
    if all(panel.can(marker) for marker in needed):
        kinds[b_cells] = "none"
        _kinds(panel, b_cells, kinds)
        return kinds, True
    for population in (TRANSITIONAL, B10):
        panel.untold(population, needed)
    return kinds, False


def _set_hi(panel: Panel, naive: Bools) -> None:
    """Put the gates of CD24hi and CD38hi in place, or take them away with the reason."""
    for marker in RELATIVE:
        gate = _hi(panel.values[marker][naive]) if naive.sum() >= MIN_NAIVE else None
        if gate is not None and adt.to_umi(gate.threshold) >= MIN_HI_UMI:
            panel.gates[marker] = gate
            continue
        del panel.gates[marker]
        panel.why[marker] = (
            f"fewer than {MIN_NAIVE} naive B cells to tell CD24hi and CD38hi by"
            if gate is None
            else f"{marker} has too few counts: hi would begin below one UMI"
        )


def _b_cells(panel: Panel) -> Bools:
    """CD19+ cells that are no doublet with a T cell."""
    panel.row(B_CELL, panel.stained, "CD19", "above", panel.gates["CD19"])
    if panel.can("CD3"):
        panel.row(B_CELL, panel.stained, "CD3", "below", panel.gates["CD3"])
    b_cells = panel.above("CD19") & ~panel.any_of(["CD3"])
    panel.result(B_CELL, panel.stained, b_cells)
    return b_cells


def _kinds(panel: Panel, b_cells: Bools, kinds: Labels) -> None:
    """Put the two kinds into ``kinds`` and their gates into the table."""
    cd24, cd38 = panel.above("CD24"), panel.above("CD38")
    gated = {TRANSITIONAL: ("CD24", "CD38")}
    if panel.can("CD27"):
        gated[B10] = ("CD24", "CD27")
        kinds[b_cells & cd24 & panel.above("CD27")] = B10
    kinds[b_cells & cd24 & cd38] = TRANSITIONAL
    for population, markers in gated.items():
        for marker in markers:
            panel.row(population, b_cells, marker, "above", panel.gates[marker])
        panel.result(population, b_cells, kinds == population)
    if B10 not in gated:
        panel.untold(B10, ["CD27"])


def _hi(naive: NDArray[np.float32]) -> adt.Gate:
    """Above naive B cells: their median and some median absolute deviations."""
    center = float(np.median(naive))
    spread = max(1.4826 * float(np.median(np.abs(naive - center))), adt.MIN_SPREAD)
    return adt.Gate(center + HI_SPREADS * spread, f"naive B cells + {HI_SPREADS:g} SD")
