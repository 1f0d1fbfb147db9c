"""Plots: each takes an annotated object and draws one of its tables.

The drawing itself is a private function from a tidy table to Axes, so that a figure
can show nothing that a table does not hold.
"""

from __future__ import annotations

from scifn.pl._agreement import agreement
from scifn.pl._cell_types import cell_types
from scifn.pl._composition import composition
from scifn.pl._confidence import confidence
from scifn.pl._coverage import coverage
from scifn.pl._gates import gates
from scifn.pl._imbalance import imbalance
from scifn.pl._markers import markers
from scifn.pl._pdc_evidence import pdc_evidence
from scifn.pl._production import production
from scifn.pl._profile import profile
from scifn.pl._response import response
from scifn.pl._strata import strata
from scifn.pl._triad import triad

__all__ = [
    "agreement",
    "cell_types",
    "composition",
    "confidence",
    "coverage",
    "gates",
    "imbalance",
    "markers",
    "pdc_evidence",
    "production",
    "profile",
    "response",
    "strata",
    "triad",
]


def __dir__() -> list[str]:
    return sorted(__all__)
