"""How many cells of each type carry each interferon, and what seeing none still allows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._labels import IntArray, looked_up
from scifn._stats.bounds import upper_bound

FloatArray = NDArray[np.float64]

#: Number of each label; those that say nothing come last.
_EVIDENCE = {"weak": 1, "strong": 2, "not_measurable": 3}


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
    names = list(zip(table["donor"].astype(str), table["condition"].astype(str), strict=True))
    pairs = sorted(set(names))
    place = {pair: i for i, pair in enumerate(pairs)}
    of_row = np.array([place[name] for name in names], dtype=np.int64)
    found = _counted(list(labels.values()), of_row, len(pairs), rows, types)
    conditions = sorted({condition for _, condition in pairs})
    of_pair = np.array([condition for _, condition in pairs])
    pooled = [found[:, of_pair == condition].sum(axis=1) for condition in conditions]
    who = [*(("", condition) for condition in conditions), *pairs]
    every = np.concatenate([np.stack(pooled, axis=1), found], axis=1)
    return _table(every, [*labels], who, len(conditions))[list(k.BOUNDS_COLUMNS)]


def _counted(
    labels: list[pd.Series], of_row: IntArray, n_pairs: int, rows: IntArray, types: IntArray
) -> IntArray:
    """Cells of each ligand, donor and condition, type and label."""
    shape = (n_pairs, len(k.CELL_TYPES), 4)
    used = rows >= 0
    at = (of_row[rows] * len(k.CELL_TYPES) + types) * 4
    size = int(np.prod(shape))
    n = np.bincount(at if used.all() else at[used], minlength=size).reshape(shape)
    out = np.empty((len(labels), *shape), dtype=np.int64)
    for i, values in enumerate(labels):
        # most cells show nothing, and are what is left of all
        evidence = looked_up(values, _EVIDENCE, 0)
        some = np.flatnonzero((evidence != 0) & used)
        out[i] = np.bincount(at[some] + evidence[some], minlength=size).reshape(shape)
        out[i, ..., 0] = n[..., 0] - out[i].sum(axis=-1)
    return out


def _table(
    found: IntArray, ligands: list[str], who: list[tuple[str, str]], n_pooled: int
) -> pd.DataFrame:
    """Rows of each ligand, of those (of ``who``, of which the first are pooled) that have cells."""
    # every cell has a label of every ligand: the same rows for each
    at, kind = np.nonzero(found[0].sum(axis=2))
    n = len(ligands)
    none, weak, strong, _ = np.moveaxis(found[:, at, kind], 2, 0).reshape(4, -1).astype(np.float64)
    tested, positive = none + weak + strong, weak + strong
    upper, percent = _upper(positive, tested)
    some = tested > 0
    of = np.tile(np.arange(at.size), n)
    each = _texts(ligands)[np.repeat(np.arange(n), at.size)]
    types = _texts(k.CELL_TYPES)[kind]
    donors, conditions = (_texts([pair[i] for pair in who])[at] for i in range(2))
    counts = (x.astype(np.int64) for x in (tested, weak, strong))
    told = zip(*(x.tolist() for x in (each, types[of], *counts, percent)), strict=True)
    return pd.DataFrame(
        {
            "ligand": each,
            "donor": donors[of],
            "condition": conditions[of],
            "cell_type": types[of],
            "n_cells": tested,
            "n_weak": np.where(some, weak, np.nan),
            "n_strong": np.where(some, strong, np.nan),
            "rate": np.divide(positive, tested, out=np.full(tested.size, np.nan), where=some),
            "upper95": upper,
            "pooled": np.tile(at < n_pooled, n),
            "statement": [_statement(*row) for row in told],
        }
    )


def _texts(words: Sequence[str]) -> NDArray[np.object_]:
    return np.array(words, dtype=object)


def _upper(positive: FloatArray, tested: FloatArray) -> tuple[FloatArray, NDArray[np.object_]]:
    """Upper bounds and their texts; each pair of numbers once, for most rows share theirs."""
    width = positive.max(initial=0) + 1
    pairs, of = np.unique(tested * width + positive, return_inverse=True)
    n, seen = np.divmod(pairs, width)
    bounds = upper_bound(seen, n)
    return bounds[of.ravel()], _texts([_percent(x) for x in bounds.tolist()])[of.ravel()]


def _statement(ligand: str, kind: str, n: int, weak: int, strong: int, upper: str) -> str:
    """What the numbers of a row say: seeing none is no proof of none."""
    if n == 0:
        return f"{ligand} transcripts are not measurable in these {kind}; this is not 0"
    bound = f"95 % upper bound on detectable producers is {upper}"
    if ligand == k.LIGANDS["il10"]:
        # an induced, transient state: a transcript says nothing of what a cell could make
        return (
            f"IL10 transcript detected above background in {weak + strong} of {n} {kind}; "
            f"not an estimate of competence. The {bound}"
        )
    if weak + strong == 0:
        seen = "none. Zero does"
    else:
        seen = f"{weak} weak, {strong} strong. Zero in the others does"
    return (
        f"{ligand} transcript evidence: {seen} not exclude secretion; with n={n} {kind} the {bound}"
    )


def _percent(share: float) -> str:
    """Two digits, never an exponent: 0.0295 -> "3.0 %", 0.259 -> "26 %", 1.0 -> "100 %"."""
    return f"{100 * share:.0f} %" if share >= 0.0995 else f"{100 * share:#.2g} %"
