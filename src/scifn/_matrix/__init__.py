"""The only code that knows how a matrix is stored.

Two questions are asked of a matrix: what scale its values are on
(:func:`~scifn._matrix._scale.sniff`, on a few rows), and, in one pass over all
of it, what its panel genes and the totals of each cell are
(:func:`~scifn._matrix._pass.one_pass`). Everything after that is small. What needs
all genes of a cell maps a function over blocks of rows (:func:`~scifn._matrix._rows.map_rows`).
"""

from __future__ import annotations

from scifn._matrix._files import LEAST_BYTES, within
from scifn._matrix._panel import Held, Plain
from scifn._matrix._pass import COMPILED, Beside, Panel, Unreadable, one_pass, unreadable_rows
from scifn._matrix._progress import stage, watch
from scifn._matrix._rows import map_rows, reads_by_column, split_rows
from scifn._matrix._scale import FRACTIONAL, LINEARIZE, USABLE, Scale, sniff
from scifn._matrix._storage import blocks, sample_rows, storage_name
from scifn._matrix._threads import mapped, n_processors

__all__ = [
    "COMPILED",
    "FRACTIONAL",
    "LEAST_BYTES",
    "LINEARIZE",
    "USABLE",
    "Beside",
    "Held",
    "Panel",
    "Plain",
    "Scale",
    "Unreadable",
    "blocks",
    "map_rows",
    "mapped",
    "n_processors",
    "one_pass",
    "reads_by_column",
    "sample_rows",
    "sniff",
    "split_rows",
    "stage",
    "storage_name",
    "unreadable_rows",
    "watch",
    "within",
]
