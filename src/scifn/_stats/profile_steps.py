"""What tables of other steps say of a donor: transcripts of the ligands, LINE-1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats.controls import MIN_CONTROLS, against
from scifn._stats.leading import NOT_MEASURABLE, Told

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Keys = Sequence[tuple[str, str]]

#: Ligands of the type I receptor, as tables name them.
TYPE_I = tuple(k.LIGANDS[name] for name in ("ifna", "ifnb1", "ifnk", "ifn1_other"))
_IFN = (*TYPE_I, k.LIGANDS["ifnl"])
#: Upper bound of IFNA-positive pDC up to which seeing none says that the ligand is not there.
MAX_BOUND = 0.1
#: Share of controls that may show a ligand that a donor's evidence still counts for.
MAX_CONTROLS = 0.05


class Ligands(NamedTuple):
    """Text a donor, and whether the ligand stands out there."""

    text: list[str]
    told: Told


class _Bound(NamedTuple):
    """What the cells of one type of a donor show of one ligand."""

    ligand: str
    cell_type: str
    n_cells: float
    n_weak: float
    n_strong: float
    upper95: float


def ligands(bounds: pd.DataFrame | None, keys: Keys, control: BoolArray) -> Ligands:
    """Which interferons' transcripts a donor's cells carry, and what seeing none still allows.

    The step stands out where cells have strong evidence of a type I interferon that at most one in
    twenty controls shows as strongly.
    """
    n = len(keys)
    if bounds is None:
        return Ligands([NOT_MEASURABLE] * n, Told.unknown(n))
    tested = _tested(bounds)
    of = [tested.get(key, []) for key in keys]
    shown = [{row.ligand for row in rows if row.n_strong > 0} for rows in of]
    strong = np.array([[name in each for each in shown] for name in TYPE_I], dtype=np.bool_).T
    there = np.array([any(row.ligand == TYPE_I[0] for row in rows) for rows in of], dtype=np.bool_)
    usual = strong[control & there]
    common = usual.mean(axis=0) > MAX_CONTROLS if len(usual) else np.ones(len(TYPE_I), bool)
    met = (strong & ~common).any(axis=1)
    enough = there & (int((control & there).sum()) >= MIN_CONTROLS)
    text = [_seen(rows) if rows else NOT_MEASURABLE for rows in of]
    few = np.array([_bound(rows) > MAX_BOUND for rows in of], dtype=np.bool_)
    return Ligands(text, Told(met & enough, enough, few))


def _tested(bounds: pd.DataFrame) -> dict[tuple[str, str], list[_Bound]]:
    """Rows of each donor and condition that has cells of the type, in the order of the table.

    IFNA comes first; of the others those that show something are enough, where there is IFNA.
    """
    rows = bounds[["donor", "condition", *_Bound._fields]]
    rows = rows[~bounds["pooled"].astype(bool) & (rows["n_cells"] > 0) & rows["ligand"].isin(_IFN)]
    keys = list(zip(rows["donor"].tolist(), rows["condition"].tolist(), strict=True))
    columns = [rows[name].tolist() for name in _Bound._fields]
    ifna = (rows["ligand"] == TYPE_I[0]).to_numpy()
    told = ifna | (rows["n_weak"] + rows["n_strong"] > 0).to_numpy()
    with_ifna = {keys[i] for i in np.flatnonzero(ifna)}
    of: dict[tuple[str, str], list[_Bound]] = {}
    for i, key in enumerate(keys):
        if told[i] or key not in with_ifna:
            of.setdefault(key, []).append(_Bound(*(column[i] for column in columns)))
    return of


def _bound(rows: list[_Bound]) -> float:
    """Upper bound of IFNA-positive pDC; 1 where there are none to look at."""
    pdc = [row for row in rows if row.ligand == TYPE_I[0] and row.cell_type == k.PDC]
    return pdc[0].upper95 if pdc else 1.0


def _seen(rows: list[_Bound]) -> str:
    """Evidence by ligand and type; where there is none, the bound in pDC, or in another maker."""
    said: dict[str, list[str]] = {row.ligand: [] for row in rows}
    for row in rows:
        if row.n_strong + row.n_weak > 0:
            counts = f"{int(row.n_strong)} strong, {int(row.n_weak)} weak"
            said[row.ligand].append(f"{counts} of {int(row.n_cells)} {row.cell_type}")
    if any(said.values()):
        return "; ".join(f"{name}: {'; '.join(each)}" for name, each in said.items() if each)
    first = [row for row in rows if row.ligand == rows[0].ligand]
    pdc = [row for row in first if row.cell_type == k.PDC]
    able = [row for row in first if row.cell_type in k.CANDIDATE_PRODUCERS]
    row = pdc[0] if pdc else max(able or first, key=lambda each: each.n_cells)
    return (
        f"none; {row.ligand} in at most {100 * row.upper95:.2g} % of "
        f"{int(row.n_cells)} {row.cell_type}{'' if pdc else '; no pDC'}"
    )


def l1(
    table: pd.DataFrame | None, keys: Keys, control: BoolArray, level: float
) -> tuple[list[str], FloatArray]:
    """Young-to-old LINE-1 ratio of each donor against the controls, by cell type.

    Returns
    -------
    Status a donor, and the z of largest size.
    """
    n = len(keys)
    best = np.zeros(n)
    status = [NOT_MEASURABLE] * n
    if table is None or not len(table):
        return status, np.full(n, np.nan)
    places = {}
    by = table.groupby(["donor", "condition", "cell_type"])["l1_young_ratio"].mean().to_dict()
    for kind in dict.fromkeys(table["cell_type"]):
        values = np.array([by.get((*key, kind), np.nan) for key in keys], dtype=np.float64)
        places[str(kind)] = against(values, control)
    looks = np.sum([np.isfinite(place.z) for place in places.values()], axis=0)
    for i in np.flatnonzero(looks):
        status[i] = "within the controls' range"
        for kind, place in places.items():
            z = place.z[i]
            if not np.isfinite(z):
                continue
            limit = place.beyond(level / 2 / int(looks[i]))[i]
            if abs(z) > limit and (abs(z) > abs(best[i]) or status[i].startswith("within")):
                status[i] = f"{'raised' if z > 0 else 'lowered'} in {kind}"
                best[i] = z
            elif status[i].startswith("within") and abs(z) > abs(best[i]):
                best[i] = z
    return status, np.where(looks > 0, best, np.nan)
