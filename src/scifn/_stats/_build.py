"""Donor table -> design of one comparison."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from scifn._stats._design import Design, refuse_aliased
from scifn._stats._factors import coded, column, complete, drop_constant
from scifn._stats._pairs import counted_once, pair_ids, pair_up


def build(
    donors: pd.DataFrame,
    *,
    group: str,
    reference: str,
    covariates: Sequence[str] = (),
    block: str | None = None,
    paired: str | None = None,
) -> Design:
    """Lay out the comparison of ``group`` with ``reference``.

    Parameters
    ----------
    donors
        A row a donor x condition.
    covariates
        Columns to adjust for; texts as categories, numbers as they are.
    block
        Column within which labels are exchanged; it enters the model as categories too.
    paired
        Column that pairs rows. None: rows are paired by donor where most donors of the smaller
        arm stand in both. Where fewer do, or where they make fewer than six pairs and four
        donors an arm are left otherwise, each of these counts once. The notes say which.

    Raises
    ------
    DesignError
        The condition is determined by covariates or blocks, or a pair has several rows in an arm.
    MissingKeyError
        A column is not in the table.
    """
    condition = np.array([str(c) for c in donors["condition"]], dtype=object)
    rows = np.flatnonzero((condition == group) | (condition == reference)).astype(np.int64)
    notes: list[str] = []
    factors = {name: column(donors, name, "covariates") for name in dict.fromkeys(covariates)}
    if block is not None:
        factors[block] = [str(x) for x in column(donors, block, "block")]
    rows = complete(donors, rows, factors, notes)
    treated = condition[rows] == group
    ids = pair_ids(donors, rows, treated, paired, notes)
    inside = {n: [values[i] for i in rows] for n, values in factors.items()}
    if ids is None and paired is None:
        keep = counted_once(donors, rows, treated, (group, reference), notes)
        rows, treated = rows[keep], treated[keep]
        inside = {n: [x for x, yes in zip(v, keep, strict=True) if yes] for n, v in inside.items()}
    columns = {n: coded(v) for n, v in inside.items()}
    if ids is not None:
        by = "donor" if paired is None else paired
        return pair_up(group, reference, rows, treated, ids, columns, block, by, notes)
    blocks = np.zeros(len(rows), dtype=np.int64)
    text = "unpaired"
    if covariates:
        text += f"; adjusted for {', '.join(dict.fromkeys(covariates))}"
    if block is not None:
        blocks = np.unique(np.array(inside[block], dtype=str), return_inverse=True)[1].astype(
            np.int64
        )
        text += f"; permuted within {block}, which is in the model"
    drop_constant(columns, notes)
    nuisance = np.column_stack([np.ones(len(rows)), *columns.values()])
    design = Design(
        group, reference, rows, treated.astype(np.float64), nuisance, blocks, text, tuple(notes)
    )
    if min(design.arms()) > 0:
        refuse_aliased(design, columns)
    return design
