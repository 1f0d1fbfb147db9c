"""Public step: one interferon profile a donor."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scifn import _donors, _slots, _stats
from scifn import _keys as k
from scifn._errors import DesignError, MissingKeyError
from scifn._view import check_object

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

#: Record of the parameters of this step.
_RECORD = "profiles_parameters"
#: Genes of the type I receptor.
_RECEPTOR = ("IFNAR1", "IFNAR2")
_FIRST = "scifn.tl.donors(adata, donor=..., condition=...)"


def profiles(adata: AnnData, *, overwrite: bool = False) -> None:
    """Put each donor's interferon profile together, for research use only.

    Stratum, balance of the response, the cell types it is strongest in, transcripts of the
    interferons with their bound, machinery, LINE-1, pDC and Breg-like cells: each held against the
    controls of the study, each with its own uncertainty, none added to another.

    Parameters
    ----------
    adata
        After :func:`scifn.tl.donors` and :func:`scifn.tl.stratify` (or
        :func:`scifn.tl.imbalance`), which say who the controls are. What other steps left is used
        where it is there; its X may be None.
    overwrite
        Replace the table of an earlier call.

    Raises
    ------
    scifn._errors.MissingKeyError
        There is no donor table yet, or no step has named the reference.
    scifn._errors.DesignError
        The reference is no condition of the donor table.
    scifn._errors.OverwriteError
        The table is there already.

    Notes
    -----
    A z is (value - mean of the controls) / (SD sqrt(1 + 1/n)), so that a further control's is
    distributed as t with n - 1 degrees of freedom; a control is held against the others. Five
    controls with a value are needed.

    ``leading_evidence`` is asked in IFN-high donors only. *ligand*: cells with strong
    evidence of a type I interferon that at most one in twenty controls shows. *sensor*: in some
    lineage the response-adjusted residual of a sensor module is above, or of the brakes below, the
    controls' range (5 % over all looks), and by at least 0.25 SD at the near end of its
    interval. *receptor*: the mean of IFNAR1 and IFNAR2 is above their range by at least 0.5 log2.
    A step leads if it stands out and the two others could be looked at and do not; otherwise
    ``not_resolvable``. The ligand counts as looked at where the bound on IFNA-positive pDC is at
    most 10 % (29 pDC or more with none). Expression is not activity.

    Sets the following fields
    -------------------------
    ``.uns["scifn"]["profiles"]`` : :class:`pandas.DataFrame`
        A row a donor x condition, visits together.
    ``.uns["scifn"]["profiles_parameters"]`` : :class:`dict`
        How it was made.

    References
    ----------
    Psarras A et al. Nat Commun 2020, doi:10.1038/s41467-020-19918-z (cells other than pDC).
    Bodewes ILA et al. Rheumatology 2018, doi:10.1093/rheumatology/kex490 (type I and II).

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=6, n_controls=6, cells_per_donor=600, rng=1)
    >>> scifn.run(adata, donor="donor", condition="condition", reference="control")
    >>> scifn.tl.profiles(adata, overwrite=True)
    >>> len(scifn.get.profiles(adata))  # a row a donor
    12
    """
    check_object(adata)
    _slots.guard(adata, tables=(k.PROFILES,), overwrite=overwrite)
    _apply(adata)


def _apply(adata: AnnData) -> None:
    donors = _donors.collapse_visits(_slots.table(adata, k.DONORS, _FIRST))
    reference = _reference(adata)
    found = sorted(set(donors["condition"].astype(str)))
    if reference not in found:
        raise DesignError(
            f"The reference {reference!r} of an earlier step is no condition of the donor table, "
            f"which has: {', '.join(map(repr, found))}. Repeat scifn.tl.stratify(adata, "
            "reference=..., overwrite=True)."
        )
    ours = adata.uns[k.UNS]
    tables = _stats.ProfileTables(
        donors=donors,
        reference=reference,
        means=ours.get(k.TYPE_MEANS),
        strata=ours.get(k.STRATA_TABLE),
        bounds=ours.get(k.BOUNDS),
        receptors=_receptors(_slots.pseudobulk(adata, _RECEPTOR), reference),
        l1=ours.get(k.L1),
    )
    table = _stats.profiles(tables)
    slot = _slots.store(adata)
    slot[k.PROFILES] = table
    slot[_RECORD] = {
        "reference": reference,
        "wording": "research use only",
        "level": _stats.PROFILE_LEVEL,
        "minimum_residual": _stats.MIN_RESIDUAL,
    }


def _reference(adata: AnnData) -> str:
    """The condition of the controls, as an earlier step was told."""
    ours = adata.uns[k.UNS]
    for record in ("strata_parameters", "imbalance_parameters"):
        if record in ours:
            return str(ours[record]["reference"])
    raise MissingKeyError(
        "A profile is held against controls, and no step has named them: call "
        "scifn.tl.stratify(adata, reference=...) (or scifn.tl.imbalance) first."
    )


def _receptors(sums: pd.DataFrame | None, reference: str) -> pd.DataFrame | None:
    """Expression of the receptor at the composition of the controls; None if not all is there."""
    if sums is None or any(gene not in sums.columns for gene in _RECEPTOR):
        return None
    if not (sums["condition"].astype(str) == reference).any():
        return None
    return _stats.standardized(sums, _RECEPTOR, reference)[0]
