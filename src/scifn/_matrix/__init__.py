"""The only code that knows how a matrix is stored.

Two questions are asked of a matrix: what scale its values are on
(:func:`~scifn._matrix._scale.sniff`, on a few rows), and, in one pass over all
of it, what its panel genes and the totals of each cell are
(:func:`~scifn._matrix._pass.one_pass`). Everything after that is small.
"""

from __future__ import annotations

from scifn._matrix._pass import Panel, Unreadable, one_pass, unreadable_rows
from scifn._matrix._scale import USABLE, Scale, sniff
from scifn._matrix._storage import sample_rows, storage_name

__all__ = [
    "USABLE",
    "Panel",
    "Scale",
    "Unreadable",
    "one_pass",
    "sample_rows",
    "sniff",
    "storage_name",
    "unreadable_rows",
]
