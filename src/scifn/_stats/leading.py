"""The written rule by which a donor's data point at one step of the pathway, or at none.

Only in donors who are IFN-high. Three steps are looked at, each by what the controls of the study
show: the ligand (transcripts), the nucleic-acid sensors (expression adjusted for the response), the
receptor (expression). One step leads if it stands out and the two others could be looked at and do
not. Transcripts that were not seen in a handful of pDC are not excluded: the ligand counts as
looked at only where its bound says something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolArray = NDArray[np.bool_]

NOT_RESOLVABLE, NOT_MEASURABLE = "not_resolvable", "not_measurable"


@dataclass(frozen=True)
class Told:
    """Whether a step stands out in each donor, and whether it could be looked at, (n,)."""

    met: BoolArray
    measured: BoolArray
    #: Measured, and yet so few cells that not seeing it excludes nothing; None: nowhere.
    open: BoolArray | None = None

    @classmethod
    def unknown(cls, n: int) -> Told:
        """A step that was looked at in no donor."""
        return cls(np.zeros(n, dtype=np.bool_), np.zeros(n, dtype=np.bool_))

    def words(self) -> list[str]:
        """beyond_controls, within_controls, not_excluded or not_measurable."""
        names = np.where(self.met, "beyond_controls", "within_controls")
        if self.open is not None:
            names = np.where(self.open & ~self.met, "not_excluded", names)
        return [str(x) for x in np.where(self.measured, names, NOT_MEASURABLE)]


def leading_evidence(strata: Sequence[str], steps: Mapping[str, Told]) -> list[str]:
    """The step that a donor's data point at, by the rule above.

    >>> yes, no = np.array([True, True]), np.array([False, False])
    >>> told = {"ligand": Told(yes, yes), "sensor": Told(no, yes), "receptor": Told(no, yes)}
    >>> leading_evidence(["high", "low"], told)
    ['ligand', 'not_resolvable']
    """
    words = {name: told.words() for name, told in steps.items()}
    out = []
    for i, stratum in enumerate(strata):
        met = [name for name in words if words[name][i] == "beyond_controls"]
        within = [name for name in words if words[name][i] == "within_controls"]
        alone = stratum == "high" and len(met) == 1 and len(within) == len(words) - 1
        out.append(met[0] if alone else NOT_RESOLVABLE)
    return out
