"""The waist of the house: cells go in, a row a donor x condition x visit comes out.

Everything that compares groups starts from this table and never sees a cell, so
that no one can take cells for independent observations by accident.
"""

from __future__ import annotations

from scifn._donors._again import cells_of, written
from scifn._donors._bounds import bounds
from scifn._donors._columns import detection_limits
from scifn._donors._labels import MISSING, Labels, read_labels
from scifn._donors._means import type_means
from scifn._donors._pseudobulk import pseudobulk
from scifn._donors._readouts import MIN_B, MIN_CELLS, readouts
from scifn._donors._response import composition
from scifn._donors._retroelements import MIN_L1_UMI, Elements, l1_table
from scifn._donors._table import DonorTable, donor_table
from scifn._donors._types import resolve_types
from scifn._donors._visits import collapse_visits

__all__ = [
    "MIN_B",
    "MIN_CELLS",
    "MIN_L1_UMI",
    "MISSING",
    "DonorTable",
    "Elements",
    "Labels",
    "bounds",
    "cells_of",
    "collapse_visits",
    "composition",
    "detection_limits",
    "donor_table",
    "l1_table",
    "pseudobulk",
    "read_labels",
    "readouts",
    "resolve_types",
    "type_means",
    "written",
]
