"""Public step: scores of the user's own gene sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scifn import _keys as k
from scifn import _matrix, _reference, _slots, _view
from scifn._cells import scores as model_
from scifn._docs import shared
from scifn._errors import ArgumentError, CoverageError, MatrixError, OverwriteError, ScaleError

if TYPE_CHECKING:
    from anndata import AnnData

_SHOWN = 5


@shared
def score(
    adata: AnnData,
    sets: Mapping[str, Any],
    *,
    method: str = "matched",
    key_added: str | None = None,
    model: Mapping[str, Any] | str | Path | None = None,
    rng: int | np.random.Generator = 0,
    overwrite: bool = False,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> None:
    """Score every cell for gene sets of your own, many at once.

    Values are log1p of counts per 10,000, made from counts where there are any. Genes are found
    by symbol, alias or Ensembl ID; features of one gene are summed. A set of which less than
    half, or fewer than three genes, is found gets NaN and a reason; the others are scored.

    Parameters
    ----------
    %(adata)s
    sets
        ``{name: [genes]}``, or ``{name: {"up": [genes], "down": [genes]}}`` for signed sets,
        whose score is that of ``up`` minus that of ``down``.
    method
        ``"matched"``: mean of the set's genes minus the mean of all other genes of the
        expression bins that they are in. It is the definition of :func:`scanpy.tl.score_genes`
        without its draw, so nothing is left to chance.
        ``"seurat"``: :func:`scanpy.tl.score_genes` itself, 50 control genes drawn from each bin;
        equal seeds draw what scanpy draws. It depends on the order of the genes, as there.
        ``"mean"``: mean of the set's genes.
        ``"rank"``: UCell's U statistic, from the ranks of the genes within the cell. Genes that
        were not found count as lowest; the score of a signed set is not below 0.
    key_added
        Prefix of the columns: ``"mine"`` writes ``obs["mine_<set>"]``. None writes
        ``obs["scifn_<set>"]``. ``/`` in the name of a set is written ``_``.
    %(model)s
    rng
        Seed of ``"seurat"``, as ``random_state`` of scanpy: each set is drawn with it afresh.
        A Generator gives the seed.
    overwrite
        Replace columns that an earlier call of this function wrote; other columns never are.
    %(matrix)s

    Raises
    ------
    scifn._errors.ArgumentError
        A set is empty or no list of genes, ``method`` is unknown, or a name is reserved: one of
        the columns that other steps write.
    scifn._errors.CoverageError
        Too little of every set is among the features.
    scifn._errors.OverwriteError
        A column is there already.
    scifn._errors.MissingKeyError
        ``model`` holds no such scores.

    Notes
    -----
    Sets the following fields
    -------------------------
    ``.obs["scifn_<set>"]`` : float64
        A score for each set; NaN in cells without any count and for sets that are refused.
    ``.uns["scifn"]["score"]`` : :class:`dict`
        ``sets``, a table with a row a column: method, status (ok, partial, insufficient, absent,
        not_expressed, no_controls, too_many_genes), reason, genes found; ``bins``, the expression
        bins of method matched; ``input``, the matrix that was read.
    ``.uns["scifn"]["coverage"]`` : :class:`pandas.DataFrame`
        A row a set (``<set>:up``, ``<set>:down`` of signed sets).

    A score of "matched" or "seurat" depends on the cells that the bins were made of; with
    ``model=`` it does not. "mean" and "rank" depend on the cell alone.

    References
    ----------
    Tirosh I et al. Science 2016, doi:10.1126/science.aad0501 (scores with controls from
    expression bins); Wolf FA et al. Genome Biol 2018, doi:10.1186/s13059-017-1382-0 (scanpy).
    Andreatta M, Carmona SJ. Comput Struct Biotechnol J 2021, doi:10.1016/j.csbj.2021.06.043
    (UCell).

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=200, rng=1)
    >>> isg = scifn.genesets.load("isg_sc_pan")
    >>> b_not_t = {"up": ["CD19", "MS4A1", "CD79A"], "down": ["CD3D", "CD3E", "TRAC"]}
    >>> scifn.tl.score(adata, {"isg": isg, "b_not_t": b_not_t})
    >>> adata.obs[["scifn_isg", "scifn_b_not_t"]].notna().all().tolist()
    [True, True]
    >>> scifn.tl.score(adata, {"isg": isg}, method="rank", key_added="ucell")
    >>> bool(adata.obs["ucell_isg"].between(0, 1).all())
    True
    """
    _view.check_object(adata)
    parsed = model_.parse(sets)
    if method not in model_.METHODS:
        raise ArgumentError(f"method={method!r}: one of {', '.join(map(repr, model_.METHODS))}.")
    _need_ups(parsed, method)
    columns = _columns(adata, [one.name for one in parsed], key_added, overwrite=overwrite)
    seed = _seed(rng)
    earlier = _reference.record(model, k.SCORE)
    at = _view.locate(
        adata, model_.wanted(parsed), layer=layer, gene_symbols=gene_symbols, species=species
    )
    found = model_.find(parsed, at.resolution, ranked=method == "rank")
    _need_one(found)
    asked = model_.Request(
        matrix=at.source.matrix,
        scale=at.source.scale,
        genes=at.is_gene,
        names=at.names,
        sets=found,
        resolution=at.resolution,
        method=method,
        seed=seed,
        model=earlier,
    )
    result = _scored(adata, at, asked)
    cleaning = [note for one in parsed for note in one.notes]
    _write(adata, columns, result, _view.describe(adata, at, result.n_empty, cleaning))
    _slots.add_coverage(adata, [row for one in found for row in one.coverage])


def _need_ups(sets: Sequence[model_.GeneSet], method: str) -> None:
    """UCell's score has its floor at 0, where a set that only goes down always is."""
    only_down = [one.name for one in sets if not one.up]
    if method == "rank" and only_down:
        msg = (
            f"method='rank': {', '.join(map(repr, only_down))} holds no 'up' genes, and a score "
            "of rank is never below 0. Give them as 'up', or use another method."
        )
        raise ArgumentError(msg)


def _columns(
    adata: AnnData, names: Sequence[str], prefix: str | None, *, overwrite: bool
) -> list[str]:
    """Column of each set; refuses names of other steps, and columns that are not ours."""
    if prefix is not None and (not isinstance(prefix, str) or not prefix.strip()):
        raise ArgumentError(f"key_added={prefix!r}: a non-empty string is needed, or None.")
    start = k.PREFIX if prefix is None else f"{k.column(prefix)}_"
    columns = [start + k.column(name.strip()) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column in k.owned():
            msg = (
                f"the gene set {name!r} would be written to obs[{column!r}], a name that scifn "
                "reserves for a step of its own. Rename the set, or give key_added=."
            )
            raise ArgumentError(msg)
        if columns.count(column) > 1:
            raise ArgumentError(f"two gene sets would be written to obs[{column!r}]; rename one.")
    ours = adata.uns.get(k.UNS, {}).get(k.SCORE, {})
    written = set(ours[k.SCORE_SETS]["column"].astype(str)) if ours else set()
    theirs = [name for name in columns if name in adata.obs and name not in written]
    if theirs:
        msg = (
            f"{', '.join(f'obs[{name!r}]' for name in theirs)} was not written by tl.score, so it "
            "is not replaced. Give another key_added=, or remove the column."
        )
        raise OverwriteError(msg)
    _slots.guard(adata, obs=columns, overwrite=overwrite)
    return columns


def _seed(rng: Any) -> int:
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**32))
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and 0 <= int(rng) < 2**32:
        return int(rng)
    raise ArgumentError(f"rng={rng!r}: a whole number from 0 to 2**32 - 1, or a Generator.")


def _need_one(found: Sequence[model_.FoundSet]) -> None:
    """Refuse where no set can be scored, naming what was found of each."""
    if any(one.usable for one in found):
        return
    told = "; ".join(f"{one.name!r}: {one.reason.rstrip('.')}" for one in found[:_SHOWN])
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    msg = (
        f"no gene set can be scored. {told}{more}. Check that the names are symbols or Ensembl "
        "IDs of this species, and that the matrix is not cut to a few genes (raw, layer=)."
    )
    raise CoverageError(msg)


def _scored(adata: AnnData, at: _view.Located, asked: model_.Request) -> model_.Result:
    try:
        return model_.score(asked)
    except _matrix.Unreadable as error:
        raise MatrixError(f"{_view.bad_cells(adata, at.source)}. {_view.REMEDY}") from error
    except model_.NotCounts as error:
        msg = (
            f"{at.source.where} looked like counts, but holds values that are not integers. "
            f"{_view.REMEDY}"
        )
        raise ScaleError(msg) from error


def _write(
    adata: AnnData, columns: list[str], result: model_.Result, described: dict[str, Any]
) -> None:
    """Columns, and the record beside those of earlier calls."""
    scores = pd.DataFrame(result.scores, columns=columns, index=adata.obs.index)
    kept = adata.obs.drop(columns=[name for name in columns if name in adata.obs])
    table = result.table.assign(column=columns)
    slot = _slots.store(adata)
    ours = slot.get(k.SCORE, {})
    bins = dict(ours.get(k.SCORE_BINS, {}))
    if result.bins is not None:
        table["bins"] = _named(bins, result.bins)
    if ours:
        old = ours[k.SCORE_SETS]
        old = old[~old["column"].astype(str).isin(columns)]
        table = pd.concat([old, table], ignore_index=True)
    used = set(table["bins"].astype(str))
    # one assignment: many columns put in one by one are slow in pandas
    adata.obs = pd.concat([kept, scores], axis=1)
    slot = _slots.store(adata)
    slot.setdefault(k.INPUT, described)
    slot[k.SCORE] = {
        k.SCORE_SETS: table,
        k.SCORE_BINS: {name: one for name, one in bins.items() if name in used},
        k.INPUT: described,
    }


def _named(bins: dict[str, pd.DataFrame], mine: pd.DataFrame) -> str:
    """Name under which the bins are stored: that of equal ones, or a new one."""
    for name, other in bins.items():
        if len(other) == len(mine) and all(
            np.array_equal(other[column].to_numpy(), mine[column].to_numpy()) for column in mine
        ):
            return name
    number = 1 + max([0, *(int(name.rpartition("_")[2]) for name in bins)])
    bins[f"bins_{number}"] = mine
    return f"bins_{number}"
