"""How much of each gene set the features of a matrix hold."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

from scifn import _keys
from scifn.genesets._sets import all_sets

__all__ = ["STATUSES", "coverage", "status_of"]

#: Best first. A score is computed from "ok" and, with a warning, from "partial".
STATUSES: Final = ("ok", "partial", "insufficient", "absent")
_OK, _PARTIAL, _MIN_GENES = 0.8, 0.5, 3


def status_of(n_found: int, n_genes: int) -> str:
    """Judge a set by the number of its genes that were found.

    A set with fewer than three genes is usable only when it is whole.

    >>> [status_of(n, 10) for n in (10, 8, 7, 5, 4, 0)]
    ['ok', 'ok', 'partial', 'partial', 'insufficient', 'absent']
    >>> status_of(1, 1), status_of(1, 2), status_of(2, 4)
    ('ok', 'insufficient', 'insufficient')
    """
    if n_found == 0:
        return "absent"
    enough = n_found >= min(_MIN_GENES, n_genes)
    if not enough or n_found < _PARTIAL * n_genes:
        return "insufficient"
    return "ok" if n_found >= _OK * n_genes else "partial"


def coverage(sets: Mapping[str, Sequence[str]], found: Container[str]) -> list[dict[str, Any]]:
    """One row a set with the columns of the coverage table.

    Parameters
    ----------
    sets
        Name -> approved symbols. The reference is filled in for the shipped sets.
    found
        Approved symbols that are among the features.

    Returns
    -------
    Rows for a DataFrame; ``missing`` is joined by ";".

    Examples
    --------
    >>> coverage({"ifn_type2": ["IFNG"]}, set())[0]["status"]
    'absent'
    """
    known = all_sets()
    rows = []
    for name, genes in sets.items():
        missing = [gene for gene in genes if gene not in found]
        n_found = len(genes) - len(missing)
        values = (
            name,
            known[name].reference if name in known else "",
            len(genes),
            n_found,
            ";".join(missing),
            status_of(n_found, len(genes)),
        )
        rows.append(dict(zip(_keys.COVERAGE_COLUMNS, values, strict=True)))
    return rows
