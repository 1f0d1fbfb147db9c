"""Simulated cohorts whose truth is known, drawn from measured expression.

They are for demonstration and for tests: every statement that the package makes about cells and
donors can be compared with what was planted. They are no data about patients.
"""

from __future__ import annotations

from scifn.datasets._effects import DEFAULT_EFFECTS
from scifn.datasets._simulate import cohort, demo

__all__ = ["DEFAULT_EFFECTS", "cohort", "demo"]
