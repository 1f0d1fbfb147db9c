"""Labels of cells as small numbers, a byte a cell: as text those of a million cells are slow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k

Codes = NDArray[np.int8]
Bools = NDArray[np.bool_]

#: Label -> its place in the vocabulary, which is its code.
TYPE: Final = {name: i for i, name in enumerate(k.CELL_TYPES)}
CALL: Final = {name: i for i, name in enumerate(k.PDC_CALLS)}
KIND: Final = {name: i for i, name in enumerate(k.BREG_KINDS)}
EVIDENCE: Final = {name: i for i, name in enumerate(k.BREG_EVIDENCES)}
#: Code of the lineage of each cell type.
LINEAGE_OF: Final[Codes] = np.array(
    [k.LINEAGES.index(k.LINEAGE_OF[name]) for name in k.CELL_TYPES], dtype=np.int8
)


def of_types(names: Sequence[str]) -> Codes:
    """Codes of cell types.

    >>> [k.CELL_TYPES[i] for i in of_types(["pDC", "T/NK"])]
    ['pDC', 'T/NK']
    """
    return np.array([TYPE[name] for name in names], dtype=np.int8)


def among(codes: Codes, names: Sequence[str]) -> Bools:
    """Cells whose type is one of ``names``.

    >>> among(of_types(["pDC", "T/NK", "cDC"]), ["pDC", "cDC"])
    array([ True, False,  True])
    """
    member = np.zeros(len(k.CELL_TYPES), dtype=bool)
    member[of_types(names)] = True
    return np.asarray(member[codes])


def categories(codes: Codes, names: Sequence[str]) -> Any:
    """The labels themselves: a pandas Categorical over the vocabulary ``names``."""
    import pandas as pd

    return pd.Categorical.from_codes(codes, categories=pd.Index(list(names)))
