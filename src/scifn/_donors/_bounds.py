"""How many cells of each type carry each interferon, and what seeing none still allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn._donors._labels import IntArray
from scifn._stats.bounds import upper_bound

ZERO = (
    "{ligand} transcript evidence: none. Zero does not exclude secretion; with n={n} {kind} the "
    "95 % upper bound on detectable producers is {bound}"
)
SOME = (
    "{ligand} transcript evidence: {weak} weak, {strong} strong. Zero in the others does not "
    "exclude secretion; with n={n} {kind} the 95 % upper bound on detectable producers is {bound}"
)
#: IL10 is an induced, transient state: a transcript says nothing of what a cell could make.
IL10 = (
    "IL10 transcript detected above background in {some} of {n} {kind}; not an estimate of "
    "competence. The 95 % upper bound on detectable producers is {bound}"
)
UNTOLD = "{ligand} transcripts are not measurable in these {kind}; this is not 0"


def bounds(
    obs: pd.DataFrame,
    rows: IntArray,
    types: IntArray,
    table: pd.DataFrame,
    others: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """A row a ligand, donor (and condition) and cell type, and rows that pool donors.

    Parameters
    ----------
    obs
        With the evidence labels of the cells for IFNA.
    rows, types
        Row of the donor table and type of each cell, of :class:`DonorTable`.
    table
        The donor table.
    others
        Evidence labels of the other ligands, a column each; None where there are none.

    Returns
    -------
    Columns of :data:`scifn._keys.BOUNDS_COLUMNS`, IFNA first. ``n_cells`` are those that could be
    tested, ``rate`` the share of weak and strong ones, ``upper95`` its one-sided Clopper-Pearson
    bound (all NaN where nothing could be tested). Pooled rows are descriptive: cells are not
    donors.
    """
    used = rows >= 0
    cells = pd.DataFrame(
        {
            "donor": table["donor"].to_numpy()[rows[used]],
            "condition": table["condition"].to_numpy()[rows[used]],
            "type": types[used],
        }
    )
    labels = {k.LIGANDS["ifna"]: obs[k.IFNA_EVIDENCE]}
    if others is not None:
        labels |= {k.LIGANDS[name]: others[name] for name in k.LIGANDS if name in others}
    parts = [
        _of_ligand(cells.assign(evidence=values.astype(str).to_numpy()[used]), ligand)
        for ligand, values in labels.items()
    ]
    return pd.concat(parts, ignore_index=True)[list(k.BOUNDS_COLUMNS)]


def _of_ligand(cells: pd.DataFrame, ligand: str) -> pd.DataFrame:
    each = _count(cells, ["donor", "condition", "type"]).assign(pooled=False)
    pooled = _count(cells, ["condition", "type"]).assign(pooled=True, donor="")
    out = pd.concat([pooled, each], ignore_index=True)
    out["cell_type"] = np.array(k.CELL_TYPES, dtype=object)[out["type"]]
    out["ligand"] = ligand
    positive = out["n_weak"] + out["n_strong"]
    tested = out["n_cells"].to_numpy(dtype=np.float64)
    out["rate"] = np.divide(positive, tested, out=np.full(len(out), np.nan), where=tested > 0)
    out["upper95"] = upper_bound(positive.to_numpy(dtype=np.float64), tested)
    for name in ("n_weak", "n_strong"):
        out[name] = out[name].where(tested > 0)
    out["statement"] = [_statement(row) for row in out.to_dict("records")]
    return out


def _count(cells: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    flags = cells.assign(
        n_weak=cells["evidence"] == "weak",
        n_strong=cells["evidence"] == "strong",
        n_cells=cells["evidence"] != "not_measurable",
    )
    sums = flags.groupby(by, sort=True)[["n_cells", "n_weak", "n_strong"]].sum()
    return sums.astype(np.float64).reset_index()


def _statement(row: dict[Any, Any]) -> str:
    said = {"ligand": str(row["ligand"]), "kind": str(row["cell_type"]), "n": int(row["n_cells"])}
    if said["n"] == 0:
        return UNTOLD.format(**said)
    bound = _percent(float(row["upper95"]))
    weak, strong = int(row["n_weak"]), int(row["n_strong"])
    if said["ligand"] == k.LIGANDS["il10"]:
        return IL10.format(some=weak + strong, bound=bound, **said)
    if weak + strong == 0:
        return ZERO.format(bound=bound, **said)
    return SOME.format(weak=weak, strong=strong, bound=bound, **said)


def _percent(share: float) -> str:
    """Two digits, never an exponent: 0.0295 -> "3.0 %", 0.259 -> "26 %", 1.0 -> "100 %"."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:#.2g} %"
