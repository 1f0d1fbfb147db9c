"""Which row and type each cell had when the donor table was made, for steps that sum later."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import pandas as pd

from scifn import _keys as k
from scifn._donors._labels import IntArray, read_labels
from scifn._donors._table import donor_table
from scifn._donors._types import _OF_LINEAGE
from scifn._errors import MissingKeyError

_WHO = ["donor", "condition", "visit", "n_cells"]


def cells_of(
    obs: pd.DataFrame, table: pd.DataFrame, record: Mapping[str, Any]
) -> tuple[IntArray, IntArray]:
    """Row of the donor table (-1 for none) and position in ``_keys.CELL_TYPES`` of each cell.

    Parameters
    ----------
    obs
        A row a cell.
    table
        The stored donor table.
    record
        What the donor step stored about itself.

    Raises
    ------
    MissingKeyError
        obs is not what the table was made of.
    """
    names = {key: str(record[key]) for key in ("donor", "condition", "visit", "cell_type")}
    lost = [name for name in names.values() if name and name not in obs]
    if lost:
        raise MissingKeyError(_changed(f"no column {', '.join(map(repr, lost))}"))
    labels = read_labels(obs[names["cell_type"]], missing=("", "nan")).levels
    found = donor_table(
        obs,
        donor=names["donor"],
        condition=names["condition"],
        visit=names["visit"] or None,
        cell_type=names["cell_type"],
        mapping=_mapping(str(record["mapping"]), labels),
        missing=ast.literal_eval(f"({record['missing']},)") if record["missing"] else (),
    )
    then, now = (t[_WHO].astype(dict.fromkeys(_WHO[:3], str)) for t in (table, found.table))
    if len(then) != len(now) or not (then.to_numpy() == now.to_numpy()).all():
        raise MissingKeyError(_changed("other donors, conditions, visits or numbers of cells"))
    return found.rows, found.types


def _changed(what: str) -> str:
    return (
        f"obs has changed since the donor table was made ({what}): call "
        "scifn.tl.donors(adata, ..., overwrite=True) first."
    )


def _mapping(text: str, labels: tuple[str, ...]) -> dict[str, str]:
    """The mapping that the record tells, of the labels that there are.

    >>> _mapping("CD4, naive -> T/NK, Mo -> Monocyte", ("CD4, naive", "Mo", "pDC"))
    {'CD4, naive': 'T/NK', 'Mo': 'Monocyte'}
    """
    targets = (*k.CELL_TYPES, *_OF_LINEAGE)
    padded = f", {text}, "
    return {
        label: target
        for label in labels
        for target in targets
        if f", {label} -> {target}, " in padded
    }
