"""Results as tidy tables; nothing here writes."""

from __future__ import annotations

from scifn.get._axis import crosstalk, l1, l1_association
from scifn.get._markers import markers, pdc_evidence
from scifn.get._power import power
from scifn.get._pseudobulk import pseudobulk
from scifn.get._serum import serum
from scifn.get._tables import bounds, cells, coverage, donors, imbalance, profiles, strata

__all__ = [
    "bounds",
    "cells",
    "coverage",
    "crosstalk",
    "donors",
    "imbalance",
    "l1",
    "l1_association",
    "markers",
    "pdc_evidence",
    "power",
    "profiles",
    "pseudobulk",
    "serum",
    "strata",
]


def __dir__() -> list[str]:
    return sorted(__all__)
