"""Which row and type each cell had when the donor table was made, for steps that sum later."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
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
        missing=_missing(str(record["missing"])),
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


def written(mapping: Mapping[str, str] | None, missing: Sequence[object]) -> dict[str, str]:
    """Mapping and words for a missing value as a record holds them, in JSON.

    >>> written({"CD4, naive": "T/NK"}, ("", "NA"))
    {'mapping': '{"CD4, naive": "T/NK"}', 'missing': '["", "NA"]'}
    """
    given = {str(label): str(target) for label, target in (mapping or {}).items()}
    return {"mapping": json.dumps(given), "missing": json.dumps(list(missing), default=str)}


def _read(text: str) -> object:
    """What a text in JSON says; None of a text of an older version."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def _missing(text: str) -> tuple[str, ...]:
    """The words for a missing value that the record tells.

    >>> _missing('["", "NA"]'), _missing("'', 'NA'")
    (('', 'NA'), ('', 'NA'))
    """
    found = _read(text)
    if isinstance(found, list):
        return tuple(found)
    return ast.literal_eval(f"({text},)") if text else ()


def _mapping(text: str, labels: tuple[str, ...]) -> dict[str, str]:
    """The mapping that the record tells, of the labels that there are.

    >>> _mapping('{"CD4, naive": "T/NK", "Mo": "Monocyte"}', ("Mo", "pDC"))
    {'Mo': 'Monocyte'}

    An older record is text that was made to be read.

    >>> _mapping("CD4, naive -> T/NK, Mo -> Monocyte", ("CD4, naive", "Mo", "pDC"))
    {'CD4, naive': 'T/NK', 'Mo': 'Monocyte'}
    """
    found = _read(text)
    if isinstance(found, dict):
        return {label: found[label] for label in labels if label in found}
    targets = (*k.CELL_TYPES, *_OF_LINEAGE)
    padded = f", {text}, "
    return {
        label: target
        for label in labels
        for target in targets
        if f", {label} -> {target}, " in padded
    }
