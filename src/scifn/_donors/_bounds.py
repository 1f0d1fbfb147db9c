"""How many cells of each type carry each interferon, and what seeing none still allows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._labels import IntArray, looked_up
from scifn._stats.bounds import upper_bound

FloatArray = NDArray[np.float64]

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
#: Number of each label; those that say nothing come last.
_EVIDENCE = {"weak": 1, "strong": 2, "not_measurable": 3}
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
    labels = {k.LIGANDS["ifna"]: obs[k.IFNA_EVIDENCE]}
    if others is not None:
        labels |= {k.LIGANDS[name]: others[name] for name in k.LIGANDS if name in others}
    used = rows >= 0
    names = list(zip(table["donor"].astype(str), table["condition"].astype(str), strict=True))
    pairs = sorted(set(names))
    of_row = np.array([pairs.index(name) for name in names], dtype=np.int64)
    flat = of_row[rows[used]] * len(k.CELL_TYPES) + types[used]
    parts = []
    for ligand, values in labels.items():
        evidence = looked_up(values, _EVIDENCE, 0)[used]
        size = len(pairs) * len(k.CELL_TYPES) * 4
        found = np.bincount(flat * 4 + evidence, minlength=size)
        parts.append(_of_ligand(found.reshape(len(pairs), -1, 4), pairs, ligand))
    return pd.concat(parts, ignore_index=True)[list(k.BOUNDS_COLUMNS)]


def _of_ligand(found: IntArray, pairs: list[tuple[str, str]], ligand: str) -> pd.DataFrame:
    """Rows of one ligand, from the cells of each donor, type and label."""
    conditions = sorted({condition for _, condition in pairs})
    of_pair = [conditions.index(condition) for _, condition in pairs]
    pooled = np.zeros((len(conditions), *found.shape[1:]), dtype=np.int64)
    np.add.at(pooled, of_pair, found)
    out = pd.concat(
        [
            _rows(pooled, [("", condition) for condition in conditions], pooled=True),
            _rows(found, pairs, pooled=False),
        ],
        ignore_index=True,
    )
    out["ligand"] = ligand
    positive = out["n_weak"] + out["n_strong"]
    tested = out["n_cells"].to_numpy(dtype=np.float64)
    out["rate"] = np.divide(positive, tested, out=np.full(len(out), np.nan), where=tested > 0)
    out["upper95"] = _upper(positive.to_numpy(dtype=np.float64), tested)
    for name in ("n_weak", "n_strong"):
        out[name] = out[name].where(tested > 0)
    what = zip(*(out[name].tolist() for name in _SAID), strict=True)
    out["statement"] = [_statement(ligand, *row) for row in what]
    return out


def _rows(found: IntArray, pairs: list[tuple[str, str]], *, pooled: bool) -> pd.DataFrame:
    """A row a donor (or "" for all of them), condition and type that has cells."""
    at, kind = np.nonzero(found.sum(axis=2))
    none, weak, strong, _ = found[at, kind].T.astype(np.float64)
    return pd.DataFrame(
        {
            "donor": [pairs[i][0] for i in at],
            "condition": [pairs[i][1] for i in at],
            "cell_type": [k.CELL_TYPES[i] for i in kind],
            "n_cells": none + weak + strong,
            "n_weak": weak,
            "n_strong": strong,
            "pooled": pooled,
        }
    )


def _upper(positive: FloatArray, tested: FloatArray) -> FloatArray:
    """Upper bounds; each pair of numbers is looked up once, for most rows share theirs."""
    each, of = np.unique(np.stack([positive, tested]), axis=1, return_inverse=True)
    return upper_bound(*each)[of.ravel()]


#: Columns that a statement says something of, in the order of :func:`_statement`.
_SAID = ("cell_type", "n_cells", "n_weak", "n_strong", "upper95")


def _statement(
    ligand: str, kind: str, tested: float, n_weak: float, n_strong: float, upper: float
) -> str:
    said = {"ligand": ligand, "kind": kind, "n": int(tested)}
    if said["n"] == 0:
        return UNTOLD.format(**said)
    bound = _percent(upper)
    weak, strong = int(n_weak), int(n_strong)
    if ligand == k.LIGANDS["il10"]:
        return IL10.format(some=weak + strong, bound=bound, **said)
    if weak + strong == 0:
        return ZERO.format(bound=bound, **said)
    return SOME.format(weak=weak, strong=strong, bound=bound, **said)


def _percent(share: float) -> str:
    """Two digits, never an exponent: 0.0295 -> "3.0 %", 0.259 -> "26 %", 1.0 -> "100 %"."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:#.2g} %"
