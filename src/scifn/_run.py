"""Every step that the data support, from one pass over the matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from scifn import _keys as k
from scifn import _matrix, _slots, _view
from scifn._cells import annotate as identity_
from scifn._cells import capacity as capacity_
from scifn._cells import production as production_
from scifn._cells import response as response_
from scifn._donors import MISSING, Elements
from scifn._errors import ArgumentError, DesignError, ScaleError
from scifn.genesets import _sets
from scifn.tl import (
    _annotate,
    _capacity,
    _crosstalk,
    _donors,
    _imbalance,
    _production,
    _profiles,
    _protein,
    _response,
    _retroelements,
    _stratify,
)

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

STATUS = "steps"
#: What uns may hold without a step having run: the user's own scores, and what they were read from.
_NOT_OF_STEPS = (k.SCORE, k.COVERAGE, k.INPUT, k.VERSION)


def run(
    adata: AnnData,
    *,
    donor: str,
    condition: str,
    reference: str,
    sample: str | None = None,
    visit: str | None = None,
    labels: str | None = None,
    mapping: Mapping[str, str] | None = None,
    clusters: str | None = None,
    protein: str | AnnData | None = None,
    doublets: str | None = None,
    ambient: AnnData | pd.Series | str | None = None,
    contamination: str | float | None = None,
    bulk: bool = False,
    model: Mapping[str, Any] | str | Path | None = None,
    cell_type: str = k.CELL_TYPE,
    covariates: str | Sequence[str] = (),
    measurements: Mapping[str, Mapping[str, float] | None] | None = None,
    cells_per_ul: str | None = None,
    missing: str | Sequence[str] = MISSING,
    contrasts: str | Sequence[str] | None = None,
    block: str | None = None,
    paired: str | None = None,
    n_permutations: int = 10_000,
    signature: str = "ifngs4_like",
    min_controls: int = 5,
    features: str = "var",
    intronic: str | None = None,
    rng: int | np.random.Generator = 0,
    overwrite: bool = False,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> None:
    """Do every step that the data support, reading the matrix once.

    Identity, evidence of production, capacity, response, donor table, comparison of conditions
    and strata. What the data cannot tell is said with its reason and never a number. ``adata`` is
    left as it was when anything fails.

    Parameters
    ----------
    adata
        Annotated data: in memory, backed, or dask-backed.
    donor, condition, reference
        Columns of obs with donor and condition, and the condition that others are compared with.
    sample
        Column of obs with the sample (10x lane); the background of a sample is its own. None
        takes a donor in a condition for a sample.
    labels, mapping, clusters, protein, doublets
        As :func:`scifn.tl.annotate` takes them.
    ambient, contamination, bulk
        As :func:`scifn.tl.production` takes them.
    model
        As :func:`scifn.tl.response` takes it.
    visit, cell_type, covariates, measurements, cells_per_ul, missing
        As :func:`scifn.tl.donors` takes them; ``covariates`` enter the comparison too.
    contrasts, block, paired, n_permutations
        As :func:`scifn.tl.imbalance` takes them.
    signature, min_controls
        As :func:`scifn.tl.stratify` takes them.
    features, intronic
        As :func:`scifn.tl.retroelements` takes them; that step is done where there are names of
        LINE-1.
    rng
        Seed or Generator of the permutations.
    overwrite
        Replace output of an earlier call; if False, output in the way is an error.
    layer, gene_symbols, species
        As :func:`scifn.pp.check` takes them.

    Raises
    ------
    scifn._errors.ScifnError
        The matrix, a column or the design cannot be used; the message says what to do.

    Notes
    -----
    Sets the following fields
    -------------------------
    Everything that the steps set, and ``.uns["scifn"]["steps"]`` : :class:`dict`
        For each step "done", or why it was not.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=4, n_controls=4, cells_per_donor=300, rng=1)
    >>> scifn.run(adata, donor="donor", condition="condition", reference="control")
    >>> adata.uns["scifn"]["steps"]["imbalance"]
    'done'
    """
    _view.check_object(adata)
    for name, argument in ((donor, "donor"), (condition, "condition")):
        _slots.column(adata, name, argument)
    for given, argument in ((paired, "paired"), (block, "block"), (intronic, "intronic")):
        if given is not None:
            _slots.column(adata, given, argument)
    if mapping and labels is None and cell_type == k.CELL_TYPE:
        raise ArgumentError("mapping= places labels: give labels= (or cell_type=) with it.")
    _guard(adata, overwrite)
    # read from the user's object: the scratch one has no uns, where names of proteins may stand
    surface = None if protein is None else _protein.read(adata, protein)
    scratch = _scratch(adata)
    identity = _annotate.Asked(
        scratch, sample=sample, labels=labels,
        mapping=mapping if labels else None, clusters=clusters, protein=surface, doublets=doublets,
    )  # fmt: skip
    view = _view.read(
        adata, _genes, layer=layer, gene_symbols=gene_symbols, species=species,
        beside=identity.beside(_after_identity),
    )  # fmt: skip
    elements, lacking = _elements(adata, view, features)
    steps: dict[str, str] = {}
    _matrix.stage("cell identity")
    identity.apply(scratch, view)
    del identity  # the tables that cells were called with
    steps["annotate"] = "done"
    _matrix.stage("evidence of production")
    lanes = sample if sample is not None else _lanes(scratch, donor, condition)
    try:
        _production._apply(
            scratch, view, sample=lanes, ambient=ambient, contamination=contamination, bulk=bulk
        )
        steps["production"] = _told(scratch.uns[k.UNS]["production"])
        if sample is None:
            scratch.uns[k.UNS]["production"]["sample"] = f"{donor} / {condition}"
    except ScaleError as error:
        steps["production"] = f"not_measurable: {error}"
    for step, part in (("capacity", _capacity), ("response", _response)):
        _matrix.stage(step)
        part._apply(scratch, view, condition=condition, reference=reference, model=model)
        steps[step] = "done"
    _matrix.stage("donors")
    _donors._apply(
        scratch, view, donor=donor, condition=condition, visit=visit, cell_type=cell_type,
        mapping=mapping if cell_type != k.CELL_TYPE else None,
        covariates=_with(covariates, block, paired), measurements=measurements,
        cells_per_ul=cells_per_ul, missing=missing,
    )  # fmt: skip
    steps["donors"] = "done"
    del view  # what was kept of the cells is most of the memory, and not needed any more
    _matrix.stage("comparisons of donors")
    _imbalance._apply(
        scratch, reference=reference, contrasts=contrasts, covariates=covariates, block=block,
        paired=paired, n_permutations=n_permutations, rng=rng,
    )  # fmt: skip
    steps["imbalance"] = "done"
    _crosstalk._apply(scratch)
    steps["crosstalk"] = "done"
    if elements is not None:
        _retroelements._apply(scratch, elements, features=features, intronic=intronic)
    if elements is not None or lacking:
        steps["retroelements"] = lacking or "done"
    steps["stratify"] = _strata(scratch, reference, signature, min_controls)
    _profiles._apply(scratch)
    steps["profiles"] = "done"
    _slots.store(scratch)[STATUS] = steps
    _commit(adata, scratch)


def _genes(species: str) -> list[str]:
    """Panel of all steps."""
    return sorted(_after_identity(species) | {*identity_.panel_genes(species)})


def _after_identity(species: str) -> set[str]:
    """Panel of the steps that need to know what each cell is."""
    genes = {*_sets.panel(species)}
    for part in (production_, capacity_, response_):
        genes |= {*part.panel_genes(species)}
    return genes


def _guard(adata: AnnData, overwrite: bool) -> None:
    ours = [name for name in adata.obs if name in k.owned()]
    arrays = [name for name in adata.obsm if name in k.owned()]
    tables = [name for name in adata.uns.get(k.UNS, {}) if name not in _NOT_OF_STEPS][:3]
    _slots.guard(adata, obs=ours, obsm=arrays, tables=tables, overwrite=overwrite)


@dataclass
class _Cells:
    """What steps read and write of an AnnData, without its checks.

    An AnnData looks for duplicates among the names of its cells whenever one is made, which takes
    as long as a step; those of the user's have been looked through.
    """

    obs: pd.DataFrame
    obsm: dict[str, Any]
    uns: dict[str, Any]

    @property
    def obs_names(self) -> pd.Index:
        return self.obs.index

    @property
    def n_obs(self) -> int:
        return len(self.obs)


def _scratch(adata: AnnData) -> AnnData:
    """The cells of ``adata`` without a matrix: steps write here until all have succeeded."""
    theirs = [name for name in adata.obs if name not in k.owned()]
    obs = adata.obs[theirs].copy(deep=False)  # columns are added, none written
    obsm = {name: adata.obsm[name] for name in adata.obsm if name not in k.owned()}
    return cast("AnnData", _Cells(obs, obsm, {}))


def _lanes(scratch: AnnData, donor: str, condition: str) -> str:
    """A sample column where the user named none: one background a donor in a condition."""
    name = f"{k.PREFIX}sample"
    scratch.obs[name] = _slots.joined(scratch.obs[donor], scratch.obs[condition], " / ")
    return name


def _told(record: Mapping[str, Any]) -> str:
    if record["status"] == "ok":
        return "done"
    return f"not_measurable: {record['reason'] or record['notes']}"


def _elements(adata: AnnData, view: _view.PanelView, features: str) -> tuple[Elements | None, str]:
    """Counts of LINE-1, or why there are none; neither for a file of genes, where none is due."""
    if features == _retroelements.VAR and view.repeats is None:
        return None, ""
    try:
        found = _retroelements.read(adata, view, features)
    except ScaleError as error:
        if features != _retroelements.VAR:
            raise
        return None, f"not_measurable: {error}"
    return (None, f"not_measurable: {found.reason}") if found.reason else (found, "")


def _with(covariates: str | Sequence[str], *more: str | None) -> list[str]:
    """Columns that the donor table must carry: covariates, block and pairs."""
    names = [covariates] if isinstance(covariates, str) else [*covariates]
    return list(dict.fromkeys([*names, *(name for name in more if name is not None)]))


def _strata(scratch: AnnData, reference: str, signature: str, min_controls: int) -> str:
    if k.PSEUDOBULK not in scratch.uns[k.UNS]:
        return "not_measurable: no counts, so no pseudobulk"
    try:
        _stratify._apply(
            scratch, reference=reference, condition=None, signature=signature,
            min_controls=min_controls, bulk=False,
        )  # fmt: skip
    except DesignError as error:
        return f"not_computable: {error}"
    return "done"


def _commit(adata: AnnData, scratch: AnnData) -> None:
    """Put everything into the user's object at once; the user's scores stay where they are."""
    _slots.keep_scores(adata, scratch)
    for name in [name for name in adata.obs if name in k.owned()]:
        del adata.obs[name]
    for name in [name for name in adata.obsm if name in k.owned()]:
        del adata.obsm[name]
    # moved, so that no column of a million cells is there twice
    for name in [name for name in scratch.obs if name in k.owned()]:
        adata.obs[name] = scratch.obs.pop(name).array
    for name in [name for name in scratch.obsm if name in k.owned()]:
        adata.obsm[name] = scratch.obsm.pop(name)
    adata.uns[k.UNS] = scratch.uns[k.UNS]
