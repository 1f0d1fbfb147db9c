"""Which of the package's cell types each cell counts as, and which types could be seen at all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn._donors._labels import IntArray, read_labels, text
from scifn._errors import ArgumentError

#: What a label that names only a lineage counts as.
_OF_LINEAGE = {
    "B": k.B_UNRESOLVED,
    "DC": k.DC_UNRESOLVED,
    "Mono": k.MONOCYTE,
    "T/NK": k.T_NK,
    "Other": k.OTHER,
    "Unassigned": k.UNASSIGNED,
}
#: B lineage without plasmablasts and plasma cells: the denominator of Breg readouts.
B_CELLS = tuple(
    t for t, line in k.LINEAGE_OF.items() if line == "B" and t not in (k.PLASMABLAST, k.PLASMA)
)
_POSITION = {name: i for i, name in enumerate(k.CELL_TYPES)}


def codes_of(names: tuple[str, ...]) -> IntArray:
    """Positions of some cell types in ``_keys.CELL_TYPES``."""
    return np.array([_POSITION[n] for n in names], dtype=np.int64)


def resolve_types(
    labels: pd.Series, mapping: Mapping[str, str] | None = None
) -> tuple[IntArray, frozenset[str]]:
    """Turn labels into positions in ``_keys.CELL_TYPES``.

    Parameters
    ----------
    labels
        A label a cell. One that is a cell type or lineage of this package needs no mapping;
        a cell without a label counts as Unassigned.
    mapping
        {label: cell type or lineage}.

    Returns
    -------
    codes, vocabulary
        Positions, (n_cells,), and the cell types that the labels are able to name.

    Raises
    ------
    ArgumentError
        A label that no one can place, or a mapping to a type that does not exist.
    """
    given = {text(label): target for label, target in (mapping or {}).items()}
    known = dict(zip(k.CELL_TYPES, k.CELL_TYPES, strict=True)) | _OF_LINEAGE
    wrong = sorted({str(t) for t in given.values() if t not in known})
    if wrong:
        raise ArgumentError(
            f"mapping leads to {', '.join(map(repr, wrong))}, which is no cell type or lineage "
            f"here. Use one of {', '.join(known)}."
        )
    found = read_labels(labels, missing=("", "nan"))
    lost = [x for x in found.levels if x not in given and x not in known]
    if lost:
        raise ArgumentError(
            f"Column {labels.name!r} holds labels with no known cell type: "
            f"{', '.join(map(repr, lost[:20]))}{' ...' if len(lost) > 20 else ''}. "
            "Give mapping={label: cell type or lineage} for each of them; "
            f"cell types and lineages are {', '.join(known)}."
        )
    types = [known[given.get(x, x)] for x in found.levels]
    positions = np.array([_POSITION[t] for t in types] + [_POSITION[k.UNASSIGNED]], dtype=np.int64)
    vocabulary = frozenset(types) | {known[t] for t in given.values()}
    return positions[found.codes], vocabulary
