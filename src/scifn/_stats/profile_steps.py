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


def ligands(bounds: pd.DataFrame | None, keys: Keys, control: BoolArray) -> Ligands:
    """Which interferons' transcripts a donor's cells carry, and what seeing none still allows.

    The step stands out where cells have strong evidence of a type I interferon that at most one in
    twenty controls shows as strongly.
    """
    n = len(keys)
    if bounds is None:
        return Ligands([NOT_MEASURABLE] * n, Told.unknown(n))
    rows = bounds[~bounds["pooled"].astype(bool) & bounds["ligand"].isin(_IFN)]
    tested = rows[rows["n_cells"] > 0]
    of = dict(list(tested.groupby(["donor", "condition"])))
    strong = np.zeros((n, len(TYPE_I)), dtype=np.bool_)
    for i, key in enumerate(keys):
        if key in of:
            found = of[key][of[key]["n_strong"] > 0]["ligand"]
            strong[i] = [name in set(found) for name in TYPE_I]
    there = np.array([key in of and (of[key]["ligand"] == TYPE_I[0]).any() for key in keys])
    usual = strong[control & there]
    common = usual.mean(axis=0) > MAX_CONTROLS if len(usual) else np.ones(len(TYPE_I), bool)
    met = (strong & ~common).any(axis=1)
    enough = there & (int((control & there).sum()) >= MIN_CONTROLS)
    text = [_seen(of[key]) if key in of else NOT_MEASURABLE for key in keys]
    few = np.array([key not in of or _bound(of[key]) > MAX_BOUND for key in keys])
    return Ligands(text, Told(met & enough, enough, few))


def _bound(rows: pd.DataFrame) -> float:
    """Upper bound of IFNA-positive pDC; 1 where there are none to look at."""
    pdc = rows[(rows["ligand"] == TYPE_I[0]) & (rows["cell_type"] == k.PDC)]
    return float(pdc["upper95"].iloc[0]) if len(pdc) else 1.0


def _seen(rows: pd.DataFrame) -> str:
    """Evidence by ligand and type; where there is none, the bound in pDC, or in another maker."""
    some = rows[(rows["n_strong"] + rows["n_weak"]) > 0]
    if len(some):
        said: dict[str, list[str]] = {str(ligand): [] for ligand in rows["ligand"]}
        for row in some.to_dict("records"):
            counts = f"{int(row['n_strong'])} strong, {int(row['n_weak'])} weak"
            said[row["ligand"]].append(f"{counts} of {int(row['n_cells'])} {row['cell_type']}")
        return "; ".join(f"{name}: {'; '.join(each)}" for name, each in said.items() if each)
    first = rows[rows["ligand"] == rows["ligand"].iloc[0]]
    pdc = first[first["cell_type"] == k.PDC]
    able = first[first["cell_type"].isin(k.CANDIDATE_PRODUCERS)]
    others = (able if len(able) else first).sort_values("n_cells", ascending=False, kind="stable")
    row = (pdc if len(pdc) else others).iloc[0]
    return (
        f"none; {row['ligand']} in at most {100 * row['upper95']:.2g} % of "
        f"{int(row['n_cells'])} {row['cell_type']}{'' if len(pdc) else '; no pDC'}"
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
    by = table.groupby(["donor", "condition", "cell_type"])["l1_young_ratio"].mean()
    for kind in dict.fromkeys(table["cell_type"]):
        values = np.array([float(by.get((*key, kind), np.nan)) for key in keys])
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
