"""Cells' obs -> donor table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors import _columns as col
from scifn._donors._cells import counts_of, ifna_of
from scifn._donors._grouped import groups_of
from scifn._donors._labels import MISSING, IntArray, Labels, read_labels
from scifn._donors._readouts import MIN_CELLS, readouts
from scifn._donors._response import response_of
from scifn._donors._types import resolve_types
from scifn._errors import ArgumentError, DesignError


class DonorTable(NamedTuple):
    """The donor table and how cells map onto it."""

    #: A row a donor x condition x visit.
    table: pd.DataFrame
    #: What was left out, in words.
    notes: tuple[str, ...]
    #: Row of the table that each cell belongs to, (n_cells,); -1 if left out.
    rows: IntArray
    #: Position in ``_keys.CELL_TYPES`` of each cell, (n_cells,).
    types: IntArray


def donor_table(
    obs: pd.DataFrame,
    *,
    donor: str,
    condition: str,
    visit: str | None = None,
    cell_type: str = k.CELL_TYPE,
    mapping: Mapping[str, str] | None = None,
    covariates: Sequence[str] = (),
    measurements: Mapping[str, Mapping[str, float] | None] | None = None,
    cells_per_ul: str | None = None,
    missing: Sequence[str] = MISSING,
    measurable: Mapping[str, bool] | None = None,
    composition: Mapping[str, float] | None = None,
) -> DonorTable:
    """Count cells per donor, condition and visit.

    Parameters
    ----------
    obs
        A row a cell.
    donor, condition, visit
        Columns of obs. Cells without a donor or condition are left out and counted in the notes;
        a cell without a visit belongs to the visit "".
    cell_type, mapping
        Column of cell types, and {label: cell type or lineage} where they are the user's own.
    covariates
        Columns with one value a donor, condition and visit.
    measurements
        {column: {"lod": detection limit}}, values of the donor.
    cells_per_ul
        Column with the concentration of the counted cells.
    missing
        Words that stand for no value, in any case.
    measurable
        {cell type, or "B" for the lineage: whether it could be told at all}. What is not in it is
        measurable if the labels can name it. Counts of what is not measurable are NaN.
    composition
        Share of each compartment among the control cells, for the standardized response.

    Returns
    -------
    DonorTable

    Raises
    ------
    MissingKeyError
        A column is not there.
    DesignError
        No cell has a donor and a condition, or a covariate varies inside a row.
    ArgumentError
        Labels without a cell type, or names that collide.
    """
    types, vocabulary = resolve_types(col.need_column(obs, cell_type, "cell_type"), mapping)
    rows, keys, notes = _rows(obs, donor, condition, visit, missing)
    names = [f"donor {d!r} ({', '.join(x for x in (c, v) if x)})" for d, c, v in keys]
    can = {t: t in vocabulary for t in k.CELL_TYPES}
    can["B"] = any(can[t] for t, line in k.LINEAGE_OF.items() if line == "B")
    can |= dict(measurable or {})

    parts: dict[str, col.Column | list[str]] = {
        name: [key[i] for key in keys] for i, name in enumerate(("donor", "condition", "visit"))
    }
    for name in dict.fromkeys(covariates):
        column = col.need_column(obs, name, "covariates")
        values = col.per_row(column, rows, names, argument="covariates", missing=missing)
        _add(parts, k.column(name), values)
    counts = counts_of(obs, rows, types, len(keys), can, own=cell_type != k.CELL_TYPE)
    for name in counts.columns:
        _add(parts, name, counts[name].to_numpy() if name != "breg_modality" else [*counts[name]])
    numbers, status, note = readouts(counts)
    more: dict[str, col.Column] = {}
    for name in k.READOUTS:
        more |= {x: numbers[x] for x in (name, f"{name}_se")}
    more |= response_of(obs, rows, types, len(keys), composition)
    more |= ifna_of(obs, rows, types, len(keys), can)
    if cells_per_ul is not None:
        more |= col.absolute(obs, cells_per_ul, rows, names, counts, MIN_CELLS)
    more |= col.measured(obs, measurements or {}, rows, names, missing)
    for name, column_ in more.items():
        _add(parts, name, column_)
    parts["status"], parts["note"] = status, note
    return DonorTable(pd.DataFrame(parts), notes, rows, types)


def _add(parts: dict[str, col.Column | list[str]], name: str, values: col.Column) -> None:
    if name in parts or name in ("status", "note"):
        raise ArgumentError(
            f"{name!r} would be a column of the donor table twice. Rename the column of obs."
        )
    parts[name] = values


def _rows(
    obs: pd.DataFrame, donor: str, condition: str, visit: str | None, missing: Sequence[str]
) -> tuple[IntArray, list[tuple[str, str, str]], tuple[str, ...]]:
    """Row of each cell, the rows' (donor, condition, visit), and notes on what is left out."""
    donors = read_labels(col.need_column(obs, donor, "donor"), missing)
    conditions = read_labels(col.need_column(obs, condition, "condition"), missing)
    visits = None
    if visit is not None:
        found = read_labels(col.need_column(obs, visit, "visit"), missing)
        visits = Labels(found.codes + 1, ("", *found.levels))
    keep: NDArray[np.bool_] = donors.present & conditions.present
    notes = []
    for word, lost in (("donor", ~donors.present), ("condition", donors.present & ~keep)):
        if lost.any():
            notes.append(f"{lost.sum():,} of {len(obs):,} cells have no {word} and are left out")
    if not keep.any():
        raise DesignError(
            f"No cell has both a donor (column {donor!r}) and a condition (column {condition!r})"
            f"{': ' + '; '.join(notes) if notes else ''}. Words that stand for no value: "
            f"{', '.join(map(repr, missing))} (missing=)."
        )
    of_visit = ("",) if visits is None else visits.levels
    shape = (len(donors.levels), len(conditions.levels), len(of_visit))
    flat = donors.codes * shape[1]
    flat += conditions.codes
    if visits is not None:
        flat *= shape[2]
        flat += visits.codes
    n = int(np.prod(shape))
    flat[~keep] = n
    unique, rows = groups_of(flat, n + 1)
    rows[~keep] = -1
    keys = [
        (donors.levels[d], conditions.levels[c], of_visit[v])
        for d, c, v in zip(*np.unravel_index(unique[unique < n], shape), strict=True)
    ]
    return rows, keys, tuple(notes)
