"""Public step: groups of donors against a reference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from scifn import _keys as k
from scifn import _slots
from scifn._view import check_object

if TYPE_CHECKING:
    import numpy as np
    from anndata import AnnData

#: Record of the parameters of this step.
_RECORD = "imbalance_parameters"


def imbalance(
    adata: AnnData,
    *,
    reference: str,
    contrasts: str | Sequence[str] | None = None,
    covariates: str | Sequence[str] = (),
    block: str | None = None,
    paired: str | None = None,
    n_permutations: int = 10_000,
    rng: int | np.random.Generator = 0,
    overwrite: bool = False,
) -> None:
    """Compare groups of donors with a reference: pDC, Breg-like and effector B cells.

    The donor is the unit: visits of a donor in one condition are put together first, and cells
    are never tested. Each readout is regressed on the group beside the covariates (ordinary least
    squares, t, 95 % interval); the p-value to read is that of the permutation test, exact where
    there are at most 20,000 arrangements, by Freedman and Lane's residuals where there are
    covariates, by sign flips where donors are paired. What is permuted is each donor's log ratio
    held to the other donors' as far as its counts are few, so that a donor with 3 pDC weighs less
    than one with 30. Both balances are tested together, too (``ilr_joint``, Hotelling's T2).
    Benjamini and Hochberg's adjustment is taken from the permutation within each family: the four
    primary log ratios, the joint test, its margin, the responses. The margin (``ilr_1``) is
    claimed only with the joint test: its adjusted p is never below that of ``ilr_joint``.

    Parameters
    ----------
    adata
        With the table of :func:`scifn.tl.donors`; its X may be None.
    reference
        Condition that the others are held against.
    contrasts
        Conditions to compare with the reference; None for all others.
    covariates
        Columns of the donor table to adjust for. Texts and categories enter as categories, numbers
        as numbers; donors without a value are left out.
    block
        Column of the donor table, for instance a batch, within which labels are exchanged. It
        is in the model too.
    paired
        Column that pairs rows. None pairs donors where most of the smaller arm stand in both, and
        says so; where fewer do, each of these donors counts once and all are compared unpaired. So
        they are where pairs are fewer than six (no p could be below 0.05) and four donors an
        arm are left when each counts once. Such donors leave the larger arm, and equal arms in
        turn, in the order of their names. "donor" pairs whatever their number.
    n_permutations
        Random permutations, where there are more than 20,000 arrangements.
    rng
        Seed or generator. The p-value of a row does not depend on the other rows.
    overwrite
        Replace the table of an earlier call.

    Raises
    ------
    scifn._errors.MissingKeyError
        There is no donor table yet, or it lacks a column.
    scifn._errors.DesignError
        The donors cannot answer: unknown reference, one condition only, or a covariate or batch
        that determines the condition. The message names it.
    scifn._errors.OverwriteError
        The table is there already.

    Notes
    -----
    Below three donors an arm (or three pairs) a row has its effect and interval with the status
    ``too_few_donors``, with three ``no_significance``; neither has a p-value. Log ratios of cells
    that fewer than four donors have at all are ``too_few_cells``, without an effect: half a cell
    more in every donor makes them follow the number of cells counted. ``p_attainable`` is
    the smallest p that the design could give. Hedges' g and Cliff's delta (with Newcombe's
    interval) are of the raw readouts, covariates play no part in them. ``concordance`` says which
    of t, permutation, rank test, quasi-binomial and beta-binomial regression of the counts have
    p < 0.05; none of them stands in for the permutation. Arms whose median number of cells a
    donor, or of UMI a cell, differ more than threefold get a note.

    Sets the following fields
    -------------------------
    ``.uns["scifn"]["imbalance"]`` : :class:`pandas.DataFrame`
        A row a readout and contrast, and one of both balances together.
    ``.uns["scifn"]["imbalance_parameters"]`` : :class:`dict`
        How it was made.

    References
    ----------
    Freedman D, Lane D. J Bus Econ Stat 1983, doi:10.1080/07350015.1983.10509354.
    Phipson B, Smyth GK. Stat Appl Genet Mol Biol 2010, doi:10.2202/1544-6115.1585.
    Hotelling H. Ann Math Stat 1931, doi:10.1214/aoms/1177732979.
    Newcombe RG. Stat Med 2006, doi:10.1002/sim.2324.
    Squair JW et al. Nat Commun 2021, doi:10.1038/s41467-021-25960-2.

    Examples
    --------
    >>> import anndata as ad
    >>> import pandas as pd
    >>> import scifn
    >>> labels = ["T/NK"] * 600 + ["B naive"] * 90 + ["B transitional"] * 9 + ["pDC"] * 3
    >>> donors = [f"P{i}" for i in range(5)] + [f"C{i}" for i in range(5)]
    >>> obs = pd.DataFrame(
    ...     [(d, "SLE" if d[0] == "P" else "control", x) for d in donors for x in labels],
    ...     columns=["donor", "condition", "label"],
    ... ).rename(index=str)
    >>> adata = ad.AnnData(obs=obs)
    >>> scifn.tl.donors(adata, donor="donor", condition="condition", cell_type="label")
    >>> scifn.tl.imbalance(adata, reference="control")
    >>> scifn.get.imbalance(adata)[["readout", "n_group", "n_reference"]].values.tolist()[0]
    ['logit_pdc', 5, 5]
    """
    check_object(adata)
    _slots.guard(adata, tables=(k.IMBALANCE,), overwrite=overwrite)
    _apply(
        adata,
        reference=reference,
        contrasts=contrasts,
        covariates=covariates,
        block=block,
        paired=paired,
        n_permutations=n_permutations,
        rng=rng,
    )


def _apply(
    adata: AnnData,
    *,
    reference: str,
    contrasts: str | Sequence[str] | None,
    covariates: str | Sequence[str],
    block: str | None,
    paired: str | None,
    n_permutations: int,
    rng: int | np.random.Generator,
) -> None:
    from scifn import _donors, _stats
    from scifn._stats.uneven import depth_of

    donors = _slots.table(adata, k.DONORS, "scifn.tl.donors(adata, donor=..., condition=...)")
    donors = _donors.collapse_visits(donors)
    sums = _slots.pseudobulk(adata, genes=())
    found = _stats.imbalance(
        donors,
        reference=reference,
        contrasts=contrasts,
        covariates=covariates,
        block=block,
        paired=paired,
        n_permutations=n_permutations,
        rng=rng,
        depth=None if sums is None else depth_of(donors, sums),
    )
    slot = _slots.store(adata)
    slot[k.IMBALANCE] = found
    slot[_RECORD] = {
        "reference": str(reference),
        "contrasts": ", ".join(dict.fromkeys(found["group"])),
        "covariates": covariates if isinstance(covariates, str) else ", ".join(covariates),
        "block": block or "",
        "paired": paired or "",
        "n_permutations": int(n_permutations),
        "seed": rng if isinstance(rng, int) else -1,
    }
