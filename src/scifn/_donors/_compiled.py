"""The kernel of donors for large data, compiled when it is first called."""

from __future__ import annotations

from typing import Any

import numpy as np

from scifn._matrix._numba import compiled

_U = np.uint64


def _add_groups(data: Any, genes: Any, indptr: Any, groups: Any, out: Any) -> None:
    """Add the rows of a CSR matrix to the rows of ``out`` that they belong to; -1 is left out."""
    for i in range(groups.size):
        if groups[i] < 0:
            continue
        group = _U(groups[i])
        for p in range(_U(indptr[i]), _U(indptr[i + 1])):
            out[group, _U(genes[p])] += data[p]


add_groups = compiled(_add_groups)
