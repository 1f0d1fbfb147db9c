"""What a comparison of two groups of donors rests on: who, beside what, exchanged how.

A design is refused where the donors cannot answer: a condition that a batch or covariate
determines is not adjusted for but named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from scifn._errors import DesignError
from scifn._stats._layout import Layout
from scifn._stats.ols import is_aliased

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

#: Donors an arm (or pairs) below which no p-value is given, and below which no significance is.
MIN_DONORS, MIN_SIGNIFICANCE = 3, 4


@dataclass(frozen=True)
class Design:
    """One comparison; rows are donors, or pairs of rows of one donor."""

    group: str
    reference: str
    #: Rows of the donor table: (n,), or (n, 2) group and reference of each pair.
    rows: IntArray
    #: 1 for the group, 0 for the reference; ones for pairs. (n,)
    regressor: FloatArray
    #: Intercept, blocks and covariates, (n, k); for pairs the differences of the covariates.
    nuisance: FloatArray
    #: Rows are exchanged within these, codes from 0, (n,).
    block: IntArray
    text: str
    notes: tuple[str, ...]

    @property
    def paired(self) -> bool:
        """Whether a row is a pair."""
        return self.rows.ndim == 2

    def arms(self) -> tuple[int, int]:
        """Donors in the group and in the reference."""
        if self.paired:
            return len(self.rows), len(self.rows)
        n1 = int(self.regressor.sum())
        return n1, len(self.rows) - n1

    @property
    def layout(self) -> Layout:
        """What permutation tests take of it."""
        return Layout(self.regressor, self.nuisance, self.block, self.paired)

    def take(self, keep: BoolArray) -> Design:
        """The same comparison with some of its rows."""
        return replace(
            self,
            rows=self.rows[keep],
            regressor=self.regressor[keep],
            nuisance=self.nuisance[keep],
            block=np.unique(self.block[keep], return_inverse=True)[1].astype(np.int64),
        )


def refuse_aliased(design: Design, columns: dict[str, FloatArray]) -> None:
    """Say which column determines the condition, if one does."""
    if not is_aliased(design.regressor, design.nuisance):
        return
    constant = design.nuisance[:, :0] if design.paired else np.ones((len(design.regressor), 1))
    if is_aliased(design.regressor, constant):
        return
    alone = [
        n for n, c in columns.items() if is_aliased(design.regressor, np.hstack([constant, c]))
    ]
    if alone:
        what = " and ".join(map(repr, alone))
        how = "determines" if len(alone) == 1 else "each determine"
    else:
        what, how = " and ".join(map(repr, columns)), "together determine"
    raise DesignError(
        f"{what} {how} the condition: no donors differ in condition ({design.group!r} against "
        f"{design.reference!r}) at the same value, so that their effects cannot be told apart. "
        "Leave the column out of covariates= and block= (the effect is then confounded with it), "
        "leave the group out by contrasts=, or add donors that break the tie."
    )


def status_of(n_group: int, n_reference: int, *, paired: bool) -> tuple[str, str]:
    """Whether a comparison of this size gets p-values, and why not."""
    least = min(n_group, n_reference)
    unit = "pairs" if paired else "donors an arm"
    if least == 0:
        return "not_measurable", ""
    if least < MIN_DONORS:
        return "too_few_donors", f"fewer than {MIN_DONORS} {unit}: no p-value"
    if least < MIN_SIGNIFICANCE:
        return "no_significance", f"fewer than {MIN_SIGNIFICANCE} {unit}: effect and interval only"
    return "ok", ""
