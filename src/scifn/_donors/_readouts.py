"""Counts of a donor -> log ratios with standard errors, behind their validity gates.

Half a cell is added to every count inside a logarithm (Haldane and Anscombe 1956), the standard
error is the delta method's, sqrt(1/(a+.5) + 1/(b+.5)). The balance of three parts is an isometric
log ratio (Egozcue 2003, doi:10.1023/A:1023818214614): it does not move when all other cells of the
blood become scarce.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k

FloatArray = NDArray[np.float64]

#: Cells a donor needs (n_total) for readouts with pDC, and the number that is advised.
MIN_CELLS = 500
ADVISED_CELLS = 2000
#: B cells a donor needs (n_b) for readouts with Breg-like cells.
MIN_B = 50
#: Share of B lineage or of pDC in n_total from which on a library is taken for a sorted one.
SORTED_B, SORTED_PDC = 0.98, 0.5

_PDC_READOUTS = ("logit_pdc", "lr_pdc_breg", "ilr_1")
_BREG_READOUTS = ("logit_breg_of_b", "lr_breg_effector", "lr_pdc_breg", "ilr_1", "ilr_2")
#: Counts without which a readout has no meaning.
_NEEDS = {
    "logit_pdc": ("n_pdc",),
    "logit_breg_of_b": ("n_breg_like", "n_b"),
    "lr_breg_effector": ("n_breg_like", "n_b_effector"),
    "lr_pdc_breg": ("n_pdc", "n_breg_like"),
    "ilr_1": ("n_pdc", "n_breg_like", "n_b_effector"),
    "ilr_2": ("n_breg_like", "n_b_effector"),
}
_SAID = {
    "n_pdc": "pDC",
    "n_b": "B cells",
    "n_breg_like": "Breg-like B cells",
    "n_b_effector": "effector B cells",
}


def log_ratio(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """ln((a+.5)/(b+.5)) and its standard error.

    >>> value, se = log_ratio(np.array([3.0]), np.array([996.0]))
    >>> round(float(value[0]), 4), round(float(se[0]), 4)
    (-5.6515, 0.5355)
    """
    value = np.log((a + 0.5) / (b + 0.5))
    return value, np.sqrt(1 / (a + 0.5) + 1 / (b + 0.5))


def _balances(pdc: FloatArray, breg: FloatArray, eff: FloatArray) -> dict[str, FloatArray]:
    """Three-part isometric log ratios of pDC : Breg-like : effector B."""
    p, b, e = pdc + 0.5, breg + 0.5, eff + 0.5
    return {
        "ilr_1": np.sqrt(2 / 3) * (np.log(p) - (np.log(b) + np.log(e)) / 2),
        "ilr_1_se": np.sqrt(2 / 3) * np.sqrt(1 / p + (1 / b + 1 / e) / 4),
        "ilr_2": np.sqrt(1 / 2) * np.log(b / e),
        "ilr_2_se": np.sqrt(1 / 2) * np.sqrt(1 / b + 1 / e),
    }


def readouts(counts: pd.DataFrame) -> tuple[dict[str, FloatArray], list[str], list[str]]:
    """Readouts of donors from their counts.

    Parameters
    ----------
    counts
        A row a donor with the columns ``n_total, n_pdc, n_b, n_breg_like, n_plasmablast,
        n_plasma, n_b_atypical, n_b_effector``; NaN where a type could not be measured.

    Returns
    -------
    values, status, note
        Each readout and its ``_se`` by name, (n_rows,); NaN where a gate is not passed. A status a
        row: ``ok``; ``low_cells`` (fewer than 500 counted cells); ``low_b_cells`` (fewer than 50 B
        cells); ``partial`` (enough cells, yet some readout has no value); ``not_measurable``
        (none of the types could be measured). A note a row, "" if there is nothing to say.
    """
    n = {c: counts[c].to_numpy(dtype=np.float64) for c in k.DONOR_COUNTS if c in counts}
    total, pdc, b, breg, eff = (
        n[c] for c in ("n_total", "n_pdc", "n_b", "n_breg_like", "n_b_effector")
    )
    values: dict[str, FloatArray] = {}
    for name, (above, below) in {
        "logit_pdc": (pdc, total - pdc),
        "logit_breg_of_b": (breg, b - breg),
        "lr_breg_effector": (breg, eff),
        "lr_pdc_breg": (pdc, breg),
    }.items():
        values[name], values[f"{name}_se"] = log_ratio(above, below)
    values |= _balances(pdc, breg, eff)
    one_sort = _sorted(n)
    closed = {
        _PDC_READOUTS: (total < MIN_CELLS) | one_sort,
        # a comparison with NaN is False: not measurable is no failed gate
        _BREG_READOUTS: b < MIN_B,
    }
    for names, shut in closed.items():
        for name in names:
            values[name] = np.where(shut, np.nan, values[name])
            values[f"{name}_se"] = np.where(shut, np.nan, values[f"{name}_se"])
    finite = np.column_stack([np.isfinite(values[r]) for r in k.READOUTS])
    status, note = [], []
    for i in range(len(total)):
        row = {name: float(x[i]) for name, x in n.items()}
        status.append(_status(row, bool(finite[i].any()), bool(finite[i].all())))
        note.append(_note(row, one_sort=bool(one_sort[i])))
    return values, status, note


def _sorted(n: dict[str, FloatArray]) -> NDArray[np.bool_]:
    """Libraries that hold (nearly) one sort of cell: a fraction of them says nothing of blood."""
    lineage = sum(np.nan_to_num(n[c]) for c in ("n_b", "n_plasmablast", "n_plasma"))
    return np.asarray(
        (n["n_total"] > 0)
        & ((lineage >= SORTED_B * n["n_total"]) | (n["n_pdc"] >= SORTED_PDC * n["n_total"]))
    )


def _status(row: dict[str, float], some: bool, every: bool) -> str:
    if every:
        return "ok"
    measured = any(all(np.isfinite(row[c]) for c in needed) for needed in _NEEDS.values())
    if not measured:
        return "not_measurable"
    if row["n_total"] < MIN_CELLS:
        return "low_cells"
    if row["n_b"] < MIN_B and not np.isnan(row["n_breg_like"]):
        return "low_b_cells"
    return "partial"


def _note(row: dict[str, float], *, one_sort: bool) -> str:
    """What a reader must know of one donor's readouts."""
    said = []
    lost = [word for c, word in _SAID.items() if np.isnan(row[c])]
    if lost:
        said.append(f"not measurable: {', '.join(lost)}")
    effector = ("n_plasmablast", "n_plasma", "n_b_atypical")
    gone = [c[2:].replace("b_atypical", "atypical B") for c in effector if np.isnan(row[c])]
    if gone and not np.isnan(row["n_b_effector"]):
        said.append(f"effector B cells without {' and '.join(gone)}: not measurable")
    if not np.isnan(row["n_pdc"]):
        if row["n_total"] < MIN_CELLS:
            said.append(f"{row['n_total']:,.0f} counted cells, {MIN_CELLS} needed for pDC readouts")
        elif one_sort:
            said.append("nearly one sort of cell: a sorted or enriched library has no pDC fraction")
        elif row["n_total"] < ADVISED_CELLS:
            said.append(f"{row['n_total']:,.0f} counted cells, {ADVISED_CELLS:,} advised for pDC")
    if row["n_b"] < MIN_B and not np.isnan(row["n_breg_like"]):
        said.append(f"{row['n_b']:,.0f} B cells, {MIN_B} needed for Breg readouts")
    return "; ".join(said)
