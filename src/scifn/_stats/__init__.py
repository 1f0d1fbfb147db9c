"""Statistics of donors: a donor table goes in, a tidy table comes out, one test a file.

Nothing here accepts cells. In simulations with no difference between groups, tests on cells call
one at p < 0.05 in 44 to 49 of 100 cohorts.
"""

from __future__ import annotations

from scifn._stats.bounds import clopper_pearson, upper_bound, zero_bound
from scifn._stats.composition import standardized
from scifn._stats.crosstalk import GENES as CROSSTALK_GENES
from scifn._stats.crosstalk import crosstalk
from scifn._stats.crosstalk import expression as crosstalk_expression
from scifn._stats.imbalance import imbalance
from scifn._stats.partial import METHOD as PARTIAL_METHOD
from scifn._stats.partial import MIN_DONORS as MIN_ASSOCIATED
from scifn._stats.profiles import LEVEL as PROFILE_LEVEL
from scifn._stats.profiles import MIN_RESIDUAL, profiles
from scifn._stats.profiles import Tables as ProfileTables
from scifn._stats.retroelements import LEAKAGE, l1_association
from scifn._stats.retroelements import residual as l1_residual
from scifn._stats.stratify import formula_of, stratify

__all__ = [
    "CROSSTALK_GENES",
    "LEAKAGE",
    "MIN_ASSOCIATED",
    "MIN_RESIDUAL",
    "PARTIAL_METHOD",
    "PROFILE_LEVEL",
    "ProfileTables",
    "clopper_pearson",
    "crosstalk",
    "crosstalk_expression",
    "formula_of",
    "imbalance",
    "l1_association",
    "l1_residual",
    "profiles",
    "standardized",
    "stratify",
    "upper_bound",
    "zero_bound",
]
