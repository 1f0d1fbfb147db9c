"""Public step: interferon-high and interferon-low donors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scifn import _donors, _slots, _stats, _view
from scifn import _keys as k
from scifn._errors import ArgumentError, MissingKeyError, ScaleError
from scifn._stats import modules
from scifn.genesets import _coverage, _resolve, _sets
from scifn.tl import _serum

if TYPE_CHECKING:
    from anndata import AnnData

#: Record of the parameters of this step.
_RECORD = "strata_parameters"
_CALL = (
    "scifn.tl.donors(adata, donor=..., condition=...) on an AnnData with UMI counts, or "
    "give bulk=True where a row of adata is a sample"
)
#: Column of obs of bulk samples that says whose they are; and what the record says without it.
_PERSON = "donor"
_UNKNOWN = "each sample is taken for a person: none are told by a column 'donor' of obs"
#: log2 expression does not go higher; what does is not on that scale.
_MAX_LOG2 = 40.0


def stratify(
    adata: AnnData,
    *,
    reference: str,
    condition: str | None = None,
    signature: str = "ifngs4_like",
    min_controls: int = 5,
    bulk: bool = False,
    overwrite: bool = False,
) -> None:
    """Tell interferon-high from interferon-low donors, for research use only.

    A donor's score is that of a published signature on its cells' summed expression, put together
    at the controls' composition, so that more monocytes are not more interferon. The cut-off
    comes from this study's controls: the limit that 2.5 % of further healthy donors
    would exceed. Donors inside the 90 % interval of the limit are indeterminate. Where donors have
    measurements (of serum interferon, say), these are held against response and stratum.

    Parameters
    ----------
    adata
        With the pseudobulk of :func:`scifn.tl.donors`; or, for ``bulk``, samples in rows.
    reference
        Condition of the controls.
    condition
        Column of obs with the condition, for ``bulk`` only.
    signature
        Gene set; its name ends in ``_like``, for it is an analogue of the assay and neither its
        units nor its cut-off. ``ism3_like`` is cut where 5 % of healthy donors would exceed it, as
        its assay is; ``brkic5_pss_like`` is of monocytes only. Or an interferon module of
        blood (``mod_M1_2``, ``mod_M3_4``, ``mod_M5_12``), whose score is the percentage of raised
        genes; the record then says which are active, and whether in the known order.
    min_controls
        With fewer controls there are scores and no strata.
    bulk
        A row of adata is a sample, its name the donor, X is log2 expression. Where several
        are of one person, name persons in a column ``donor`` of obs: of a control the first sample
        makes the cut-off. Without it each sample is taken for a person, and the record says so.
    overwrite
        Replace the table of an earlier call.

    Raises
    ------
    scifn._errors.MissingKeyError
        There is no pseudobulk yet, or no such column.
    scifn._errors.ArgumentError
        Unknown signature, or ``condition`` without ``bulk`` or the reverse.
    scifn._errors.DesignError
        No donor has the reference condition.
    scifn._errors.ScaleError
        Bulk expression is not on a log2 scale.
    scifn._errors.OverwriteError
        The table is there already.

    Notes
    -----
    Controls that lie too high to belong to the others (generalised ESD test at 1 %) are left out of
    the cut-off and named in the record. A signature of which fewer than half of the genes are
    measured gives ``not_computable``, as does a donor of fewer than 500 counted cells, who is no
    control of others either. Strata are for research, not for decisions on treatment.

    Whether the patients fall into two groups is asked of 30 or more: two Gaussians against one
    (difference of BIC above 6) and a dip test (p below 0.05) must agree. It moves no cut-off.

    Sets the following fields
    -------------------------
    ``.uns["scifn"]["strata"]`` : :class:`pandas.DataFrame`
        A row a donor x condition.
    ``.uns["scifn"]["strata_parameters"]`` : :class:`dict`
        Formula, controls, cut-off and weights; two groups or not.
    ``.uns["scifn"]["serum"]`` : :class:`pandas.DataFrame`
        Where :func:`scifn.tl.donors` was given measurements: a row a measurement, readout and set
        of donors. Concordance only.
    ``.uns["scifn"]["donors"]["serum_class"]``
        Of the first measurement with a detection limit: serum beside stratum.

    References
    ----------
    Rice GI et al. J Clin Immunol 2017, doi:10.1007/s10875-016-0359-1 (control-referenced cut-off).
    Catalina MD et al. Commun Biol 2019, doi:10.1038/s42003-019-0382-x (monocyte content).
    Rosner B. Technometrics 1983, doi:10.1080/00401706.1983.10487848 (outliers).
    Hartigan JA, Hartigan PM. Ann Stat 1985, doi:10.1214/aos/1176346577 (dip test).
    Chiche L et al. Arthritis Rheumatol 2014, 66:1583 (modules and their order).

    Examples
    --------
    >>> import anndata as ad
    >>> import numpy as np
    >>> import pandas as pd
    >>> import scifn
    >>> genes = ["IFI27", "IFI44", "IFI44L", "RSAD2", "ACTB", "GAPDH"]
    >>> y = 6 + np.random.default_rng(0).normal(0, 0.5, (30, 6))
    >>> y[20:, :4] += 5
    >>> obs = pd.DataFrame({"group": ["healthy"] * 15 + ["SLE"] * 15}, index=map(str, range(30)))
    >>> adata = ad.AnnData(y, obs, pd.DataFrame(index=genes))
    >>> scifn.tl.stratify(adata, condition="group", reference="healthy", bulk=True)
    >>> scifn.get.strata(adata).query("condition == 'SLE'")["stratum"].value_counts().to_dict()
    {'high': 10, 'low': 5}
    """
    _view.check_object(adata)
    _slots.guard(adata, tables=(k.STRATA_TABLE, k.SERUM), overwrite=overwrite)
    again = k.STRATA_TABLE in adata.uns.get(k.UNS, {})
    _apply(
        adata,
        reference=reference,
        condition=condition,
        signature=signature,
        min_controls=min_controls,
        bulk=bulk,
    )
    if again:
        _slots.outdate(adata, "stratify")


def _apply(
    adata: AnnData,
    *,
    reference: str,
    condition: str | None,
    signature: str,
    min_controls: int,
    bulk: bool,
) -> None:
    scored = _stats.formula_of(signature)
    sets = {name: _sets.all_sets()[name].genes for name in _beside(signature)}
    wanted = sorted({gene for genes in sets.values() for gene in genes})
    weights: dict[str, float] = {}
    why_unknown: list[str] = []
    if bulk:
        expression = _bulk(adata, condition, wanted)
    else:
        if condition is not None:
            raise ArgumentError(
                "condition= is for bulk=True; single cells have theirs from scifn.tl.donors."
            )
        sums = _slots.table(adata, k.PSEUDOBULK, _CALL, genes=wanted)
        genes = [g for g in wanted if g in sums.columns]
        expression, weights = _stats.standardized(sums, genes, reference, scored.cells)
        expression, why_unknown = _enough(expression, _slots.table(adata, k.DONORS, _CALL))
    measured = {name: _measured(genes, expression) for name, genes in sets.items()}
    table, record = _stats.stratify(
        expression,
        genes=measured[signature],
        signature=signature,
        reference=reference,
        min_controls=min_controls,
        why_unknown=why_unknown,
    )
    if signature in modules.MODULES:
        record |= modules.activation(
            expression, genes=measured, reference=reference, min_controls=min_controls
        )
    slot = _slots.store(adata)
    slot[k.STRATA_TABLE] = table
    parameters: dict[str, Any] = {
        "signature": signature,
        "reference": reference,
        "min_controls": int(min_controls),
        "bulk": bool(bulk),
        "genes": ", ".join(measured[signature]),
        "weights": ", ".join(f"{name} {w:.4f}" for name, w in weights.items()),
    }
    if not bulk:
        record |= _serum.write(adata, table, reference=reference, min_controls=min_controls)
    else:
        parameters["persons"] = "obs['donor']" if _PERSON in adata.obs else _UNKNOWN
    slot[_RECORD] = parameters | record


def _beside(signature: str) -> tuple[str, ...]:
    """The gene set, or all modules: one of them is judged beside the others."""
    return modules.MODULES if signature in modules.MODULES else (signature,)


def _measured(genes: Sequence[str], expression: pd.DataFrame) -> list[str]:
    """Genes of a set that are there; none if they are too few of it."""
    found = [gene for gene in genes if gene in expression.columns]
    usable = _coverage.status_of(len(found), len(genes)) in ("ok", "partial")
    return found if usable else []


def _enough(expression: pd.DataFrame, donors: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Expression without the donors of too few cells, whose logarithms are noise; who these are."""
    totals = donors.groupby(["donor", "condition"])["n_total"].sum()
    keys = zip(expression["donor"], expression["condition"], strict=True)
    n = [float(totals.get(key, 0.0)) for key in keys]
    out = expression.copy()
    genes = [name for name in out if name not in {"donor", "condition"}]
    few = np.array(n) < _donors.MIN_CELLS
    out.loc[few, genes] = np.nan
    return out, [f"of fewer than {_donors.MIN_CELLS} counted cells" if x else "" for x in few]


def _bulk(adata: AnnData, condition: str | None, wanted: Sequence[str]) -> pd.DataFrame:
    """Log2 expression of the wanted genes, read as it is; probes of a gene are averaged."""
    if condition is None:
        raise ArgumentError("bulk=True needs condition=, the column of obs with the condition.")
    labels = _donors.read_labels(_slots.column(adata, condition, "condition"))
    if adata.X is None:
        raise MissingKeyError("bulk=True reads X, and this AnnData has none.")
    names, ensembl, _ = _view._identifiers(adata.var, None)
    found = _resolve.resolve(names, wanted, ensembl=ensembl)
    rows = np.flatnonzero(labels.present)
    columns = {
        "donor": [str(adata.obs_names[i]) for i in rows],
        "condition": [labels.levels[labels.codes[i]] for i in rows],
    }
    if _PERSON in adata.obs:
        who = _donors.read_labels(adata.obs[_PERSON])
        columns["person"] = [
            who.levels[who.codes[i]] if who.present[i] else str(adata.obs_names[i]) for i in rows
        ]
    genes = {}
    for gene, places in zip(found.genes, found.columns, strict=True):
        probes = adata[:, list(places)].X
        dense = np.asarray(probes.toarray() if hasattr(probes, "toarray") else probes)
        genes[gene] = dense.astype(np.float64)[rows].mean(axis=1)
    for gene, y in genes.items():
        if not np.isfinite(y).all() or (y > _MAX_LOG2).any():
            raise ScaleError(
                f"bulk=True needs finite log2 expression in X; {gene} goes up to {y.max():,.4g}. "
                "Give log2(CPM + 1), log2(TPM + 1) or normalized array intensities."
            )
    return pd.DataFrame(columns | genes)
