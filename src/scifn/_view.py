"""PanelView: the checked panel genes of an AnnData, the start of every step.

:func:`choose` decides which matrix is read and on which scale it is,
:func:`read` passes over it once. Both only look: nothing is written to the
AnnData, and the decision with its reason travels in :attr:`PanelView.record`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn import _matrix
from scifn._errors import ArgumentError, MatrixError, MissingKeyError, ScaleError
from scifn.genesets import _repeats, _resolve

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

#: Rows that are looked at to tell the scale.
SAMPLED_ROWS = 512
#: Columns of var in which symbols and Ensembl IDs are looked for, in this order.
SYMBOL_COLUMNS = (
    "gene_symbols", "gene_symbol", "gene_name", "gene_names", "symbol", "symbols", "feature_name",
    "gene_short_name", "hgnc_symbol", "external_gene_name", "SYMBOL", "name",
)  # fmt: skip
ENSEMBL_COLUMNS = (
    "gene_ids", "gene_id", "ensembl", "ensembl_id", "ensembl_ids", "ensembl_gene_id",
    "feature_id", "ENSEMBL",
)  # fmt: skip
SPECIES = ("human", "mouse")
#: Kind of scale of a matrix with NaN or infinite values.
NOT_FINITE = "not finite"
#: Cells that a message names.
SHOWN = 3
REMEDY = (
    "Give the raw UMI counts, for instance adata.layers['counts'] or adata.raw, and name the "
    "layer with layer=; scifn never uses scaled or corrected values."
)


@dataclass(frozen=True)
class Source:
    """One matrix of an AnnData and what its values are."""

    where: str
    matrix: Any
    var: pd.DataFrame
    scale: _matrix.Scale


@dataclass(frozen=True)
class Repeats:
    """UMI of transposable elements in each cell, from the same pass.

    Attributes
    ----------
    choice
        Which features were counted as LINE-1, and why none was.
    umi
        UMI a cell by group of LINE-1.
    apart
        UMI a cell of the elements that are no part of :attr:`PanelView.total`.
    """

    choice: _repeats.Choice
    umi: dict[str, NDArray[np.float64]]
    apart: NDArray[np.float64]


@dataclass(frozen=True)
class PanelView:
    """Panel genes and totals of every cell, from one pass.

    Attributes
    ----------
    genes
        Approved symbols that were found, one a column of ``values``.
    values
        Cells x genes (further columns may follow), a CSR matrix or what the pass kept: UMI if
        ``is_counts``, else linear values of the normalized matrix in units of the smallest value
        of the cell.
    total
        Sum of all features of each cell in the units of ``values``, float64.
    n_genes
        Features above zero in each cell.
    is_counts
        Whether ``values`` are UMI counts (as stored or exactly recovered).
    species, n_features, record
        As detected; ``record`` is stored at ``uns["scifn"]["input"]``.
    repeats
        Transposable elements among the features; None where no name is one of LINE-1.
    beside
        Whether the work of a :class:`Beside` is done, so that only the genes it keeps are here.
    """

    genes: tuple[str, ...]
    values: _matrix.Held
    total: NDArray[np.float64]
    n_genes: NDArray[np.int64]
    is_counts: bool
    species: str
    n_features: int
    record: dict[str, Any]
    repeats: Repeats | None = None
    beside: bool = False
    _position: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.values, _matrix.Held):
            object.__setattr__(self, "values", _matrix.Plain(self.values))
        object.__setattr__(self, "_position", {gene: i for i, gene in enumerate(self.genes)})

    def __contains__(self, gene: object) -> bool:
        return gene in self._position

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.values.shape[0])

    @property
    def is_fractional(self) -> bool:
        """Whether reads with several places were shared out, so that counts hold fractions."""
        return bool(self.record.get("scale") == _matrix.FRACTIONAL)

    def found(self, genes: Iterable[str]) -> list[str]:
        """Those of ``genes`` that are measured, in the order given."""
        return [gene for gene in genes if gene in self._position]

    def csr(self, genes: Sequence[str], rows: slice | NDArray[np.int64] | None = None) -> Any:
        """Columns of ``genes`` (all must be measured) of all or of some cells, CSR."""
        return self.values.select([self._position[gene] for gene in genes], rows)

    def part(self, rows: slice) -> PanelView:
        """The same view of some successive cells, without transposable elements."""
        return replace(
            self,
            values=self.values.part(rows),
            total=self.total[rows],
            n_genes=self.n_genes[rows],
            repeats=None,
        )

    def dense(self, genes: Sequence[str]) -> NDArray[np.float64]:
        """As :meth:`csr`, dense float64."""
        return np.asarray(self.csr(genes).todense(), dtype=np.float64)

    def sum(self, genes: Iterable[str]) -> NDArray[np.float64]:
        """Sum over those of ``genes`` that are measured; zeros if none is."""
        return self.sums([self.found(genes)])[:, 0]

    def sums(self, groups: Sequence[Sequence[str]]) -> NDArray[np.float64]:
        """Sum over the genes of each group (all must be measured), cells x groups."""
        ones = [dict.fromkeys(genes, 1.0) for genes in groups]
        return self.values.dot(self._weights(ones))

    def weighed(self, columns: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
        """Weighted sum of the genes of each column (all must be measured), cells x columns."""
        return self.values.dot(self._weights(columns))

    def _weights(self, columns: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
        weights = np.zeros((self.values.shape[1], len(columns)))
        for j, column in enumerate(columns):
            weights[[self._position[gene] for gene in column], j] = list(column.values())
        return weights

    def by_group(
        self, genes: Sequence[str], groups: NDArray[np.int64], n_groups: int
    ) -> NDArray[np.float64]:
        """Sums of ``genes`` over the cells of each group (-1 for none), groups x genes."""
        return self.values.by_group([self._position[gene] for gene in genes], groups, n_groups)

    def need_counts(self, purpose: str) -> None:
        """Refuse a matrix whose counts are unknown.

        Raises
        ------
        ScaleError
            If the values are not counts.
        """
        if not self.is_counts:
            where = str(self.record["matrix"])
            found = str(self.record["reason"]).removeprefix(f"{where}: ")
            msg = f"{purpose} needs UMI counts; {where} holds {found}. {REMEDY}"
            raise ScaleError(msg)


@dataclass(frozen=True)
class Beside:
    """Work on cells while others are still being read.

    Attributes
    ----------
    work
        Takes some successive cells and which of all they are; it is called in threads.
    keep
        Genes that are needed after it; the values of all others are let go of.
    """

    work: Callable[[PanelView, slice], None]
    keep: frozenset[str]

    def of(self, view: PanelView, more: int) -> _matrix.Beside:
        """The same on the columns of a pass: the genes of ``view``, then so many that are kept."""

        def work(values: _matrix.Held, total: Any, n_genes: Any, rows: slice) -> None:
            self.work(replace(view, values=values, total=total, n_genes=n_genes), rows)

        kept = [gene in self.keep for gene in view.genes]
        return _matrix.Beside(work, np.array([*kept, *(True for _ in range(more))], dtype=bool))


def check_object(adata: Any) -> None:
    """Refuse what is not an AnnData with cells.

    Raises
    ------
    ArgumentError
        If ``adata`` is something else (of a MuData, pass the modality) or holds no cell.
    """
    if not hasattr(adata, "obs") or not hasattr(adata, "uns"):
        msg = f"an AnnData was needed, a {type(adata).__name__} was given."
        raise ArgumentError(msg)
    if hasattr(adata, "mod"):
        names = ", ".join(map(repr, adata.mod))
        msg = f"a MuData was given; pass its RNA modality, for instance mdata.mod[...] of {names}."
        raise ArgumentError(msg)
    if adata.n_obs == 0:
        raise ArgumentError("the AnnData holds no cells (n_obs is 0); nothing can be computed.")
    for name in ("obs", "var"):
        if hasattr(getattr(adata, name, None), "to_memory"):  # as anndata reads it lazily
            msg = (
                f"{name} was read lazily, and scifn needs it as a table in memory: "
                f"adata.{name} = adata.{name}.to_memory(). The matrix may stay lazy."
            )
            raise ArgumentError(msg)


def has_matrix(adata: AnnData) -> bool:
    """Whether there is any expression to read."""
    return bool(
        (adata.X is not None and adata.n_vars > 0) or len(adata.layers) or adata.raw is not None
    )


def _candidates(adata: AnnData) -> Iterator[tuple[str, Any, pd.DataFrame]]:
    """Matrices in the order in which they are preferred while their scales are equal."""
    if "counts" in adata.layers:
        yield "layers['counts']", adata.layers["counts"], adata.var
    if adata.raw is not None:
        yield "raw", adata.raw.X, adata.raw.var
    if adata.X is not None and adata.n_vars > 0:
        yield "X", adata.X, adata.var


def _named(adata: AnnData, layer: str) -> tuple[str, Any, pd.DataFrame]:
    if layer == "raw":
        if adata.raw is None:
            raise MissingKeyError("layer='raw': this AnnData has no .raw.")
        return "raw", adata.raw.X, adata.raw.var
    if layer == "X":
        return "X", adata.X, adata.var
    if layer not in adata.layers:
        there = ", ".join(map(repr, adata.layers)) or "none"
        msg = (
            f"layer={layer!r}: no such layer. Layers here: {there}; 'X' and 'raw' may be given too."
        )
        raise MissingKeyError(msg)
    return f"layers[{layer!r}]", adata.layers[layer], adata.var


def _source(where: str, matrix: Any, var: pd.DataFrame) -> Source:
    sample = _matrix.sample_rows(matrix, SAMPLED_ROWS)
    scale = _matrix.sniff(sample)
    return Source(where, matrix, var, scale)


def choose(adata: AnnData, layer: str | None = None) -> tuple[Source, list[str]]:
    """Which matrix is read, and notes on those that were passed over.

    The order is: the layer given; ``layers["counts"]``; integer raw; integer X; a normalized
    matrix whose counts can be recovered; another normalized one. Where two would do equally,
    the one with more features is read. Scaled or corrected values are never used.

    Raises
    ------
    MatrixError
        If there is nothing that can be read.
    MissingKeyError
        If ``layer`` is not there.
    """
    if layer is not None:
        where, matrix, var = _named(adata, layer)
        if matrix is None:
            raise MatrixError(f"layer={layer!r}: the AnnData has no X. {REMEDY}")
        source = _source(where, matrix, var)
        if source.scale.kind == NOT_FINITE:
            raise MatrixError(f"{bad_cells(adata, source)}. {REMEDY}")
        if source.scale.kind not in _matrix.USABLE:
            raise ScaleError(f"{where} {source.scale.reason}. {REMEDY}")
        return source, []
    sources = [_source(*candidate) for candidate in _candidates(adata)]
    usable = [source for source in sources if source.scale.kind in _matrix.USABLE]
    if not usable:
        raise MatrixError(_nothing_to_read(adata, sources))
    chosen = min(usable, key=_preference)
    passed = [f"{s.where} not used: {s.scale.reason}" for s in sources if s is not chosen]
    return chosen, passed


def _preference(source: Source) -> tuple[int, int, bool]:
    kind, recoverable = source.scale.kind, source.scale.recoverable
    tier = 2 if recoverable else 3
    if kind == "counts":
        tier = 0 if source.where.startswith("layers") else 1
        # integer raw comes before integer X, whatever their widths
        return tier, 0, source.where != "raw"
    return tier, -int(source.matrix.shape[1]), source.where == "raw"


def _nothing_to_read(adata: AnnData, sources: list[Source]) -> str:
    if not sources:
        layers = ", ".join(map(repr, adata.layers)) or "none"
        return (
            f"this AnnData has no X, no raw and no layer 'counts' (layers: {layers}). {REMEDY} "
            "With cell labels only, scifn.tl.donors(adata, ..., cell_type=) and later steps work."
        )
    found = "; ".join(
        bad_cells(adata, source)
        if source.scale.kind == NOT_FINITE
        else f"{source.where} {source.scale.reason}"
        for source in sources
    )
    return f"no matrix here can be read as expression: {found}. {REMEDY}"


def bad_cells(adata: AnnData, source: Source) -> str:
    """Which cells hold values that are not expression (reads the matrix again, to name them)."""
    rows = _matrix.unreadable_rows(source.matrix)
    shown = ", ".join(repr(str(adata.obs_names[row])) for row in rows[:SHOWN])
    return (
        f"{source.where}: {rows.size:,} of {adata.n_obs:,} cells hold NaN, infinite or negative "
        f"values ({shown}{', ...' if rows.size > SHOWN else ''})"
    )


def gene_features(var: pd.DataFrame) -> NDArray[np.bool_]:
    """Which features are genes (antibodies and other feature types are left out)."""
    for name in ("feature_types", "feature_type"):
        if name in var:
            kinds = var[name].astype(str).str.lower()
            genes = kinds.isin(["gene expression", "gene", "rna", "gex"]).to_numpy()
            if genes.any():
                return np.asarray(genes, dtype=bool)
    return np.ones(len(var), dtype=bool)


def _identifiers(
    var: pd.DataFrame, gene_symbols: str | None, table: str = "var"
) -> tuple[list[str], list[str] | None, str]:
    """Names to resolve, Ensembl IDs beside them, and where both were found."""
    names = [str(name) for name in var.index]
    where = "var_names"
    if gene_symbols is not None:
        if gene_symbols not in var:
            there = ", ".join(map(str, var.columns)) or "none"
            msg = f"gene_symbols={gene_symbols!r}: {table} has no such column. It has: {there}."
            raise MissingKeyError(msg)
        names, where = [str(name) for name in var[gene_symbols]], f"var[{gene_symbols!r}]"
    ensembl = None
    looks_ensembl = _looks_ensembl(names)
    if looks_ensembl and gene_symbols is None:
        symbols = next((c for c in SYMBOL_COLUMNS if c in var), None)
        if symbols is not None:
            ensembl, names = names, [str(name) for name in var[symbols]]
            where = f"var_names (Ensembl) and var[{symbols!r}]"
    elif not looks_ensembl:
        ids = next((c for c in ENSEMBL_COLUMNS if c in var and _looks_ensembl(var[c])), None)
        if ids is not None:
            ensembl, where = [str(name) for name in var[ids]], f"{where} and var[{ids!r}]"
    return names, ensembl, where


def _looks_ensembl(names: Iterable[Any]) -> bool:
    some = [str(name) for _, name in zip(range(2000), names, strict=False)]
    return sum(name.startswith("ENS") for name in some) > 0.5 * len(some)


def read(
    adata: AnnData,
    genes: Callable[[str], Iterable[str]] | Iterable[str],
    *,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
    beside: Callable[[PanelView, int], Beside] | None = None,
) -> PanelView:
    """One pass over the matrix of ``adata``: ``genes`` and the totals of every cell.

    Parameters
    ----------
    adata
        In memory, backed or dask-backed.
    genes
        Approved symbols of all sets that are used: a function of the species, or a list.
    layer, gene_symbols, species
        As every function of :mod:`scifn.tl` takes them.
    beside
        Given what is measured (a view without cells) and the number of cells, says what is done
        with those that have been read. It is asked of counts only, and the view says whether it
        was done: not of few cells, nor where they are not read whole.

    Raises
    ------
    MatrixError, ScaleError, GenesError, MissingKeyError, ArgumentError
        If the object, the matrix or the identifiers cannot be used; the message says what to do.
    """
    at = locate(adata, genes, layer=layer, gene_symbols=gene_symbols, species=species)
    source, is_gene, resolution, notes = at.source, at.is_gene, at.resolution, [*at.notes]
    more = _of_repeats(at)
    if beside is not None and source.scale.kind == "counts":
        empty = _empty(at)
        mine = beside(empty, source.matrix.shape[0])
        work, keep = mine.of(empty, len(more)), mine.keep
    else:
        work, keep = None, frozenset()
    panel = _pass(adata, source, (*resolution.columns, *more), is_gene, work)
    is_counts = _verify(source, panel)
    values, total = _in_umi(panel, source.scale.kind)
    kept = resolution.genes
    if panel.beside:
        kept = tuple(gene for gene in kept if gene in keep)
    repeats = _repeats_in(values, len(kept), at)
    notes += _notes(adata, source, panel, is_gene, is_counts)
    record = _record(source, resolution, at.where, is_counts, [*notes, *resolution.notes])
    return PanelView(
        genes=kept,
        values=values,
        total=total,
        n_genes=panel.n_genes,
        is_counts=is_counts,
        species=resolution.species,
        n_features=int(is_gene.sum()),
        record=record,
        repeats=repeats,
        beside=panel.beside,
    )


def _empty(at: Located) -> PanelView:
    """What is measured, of no cell: counts of the genes that were found."""
    genes = at.resolution.genes
    return PanelView(
        genes=genes,
        values=_matrix.Plain(sp.csr_array((0, len(genes)), dtype=np.float32)),
        total=np.empty(0),
        n_genes=np.empty(0, dtype=np.int64),
        is_counts=True,
        species=at.resolution.species,
        n_features=int(at.is_gene.sum()),
        record={},
    )


def _of_repeats(at: Located) -> list[tuple[int, ...]]:
    """Features of each group of LINE-1, and the chosen elements that are no part of the total."""
    groups = at.repeats.columns
    if not groups:
        return []
    chosen = {*at.repeats.every, *(i for some in groups.values() for i in some)}
    return [*groups.values(), tuple(sorted(i for i in chosen if not at.is_gene[i]))]


def _repeats_in(values: _matrix.Held, first: int, at: Located) -> Repeats | None:
    """What the columns of :func:`_of_repeats`, from ``first`` on, hold."""
    choice = at.repeats
    if not choice.columns:
        nothing = np.zeros(values.shape[0])
        return Repeats(choice, {}, nothing) if choice.reason != _repeats.NONE_FOUND else None
    n = values.shape[1] - first
    dense = values.dot(np.eye(first + n, n, k=-first))
    return Repeats(choice, dict(zip(choice.columns, dense.T, strict=False)), dense[:, -1])


@dataclass(frozen=True)
class Located:
    """Which matrix is read, and where genes are among its features: all but the reading.

    ``names`` are what the features are called, found in ``where``; ``notes`` tell of matrices
    that were passed over.
    """

    source: Source
    is_gene: NDArray[np.bool_]
    names: list[str]
    where: str
    resolution: _resolve.Resolution
    repeats: _repeats.Choice
    notes: list[str]


def locate(
    adata: AnnData,
    genes: Callable[[str], Iterable[str]] | Iterable[str],
    *,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> Located:
    """Choose the matrix and find ``genes`` among its features; as :func:`read`, without a pass."""
    check_object(adata)
    source, notes = choose(adata, layer)
    is_gene = gene_features(source.var).copy()  # pandas hands out arrays that are not to be written
    names, ensembl, where = _identifiers(
        source.var, gene_symbols, "raw.var" if source.where == "raw" else "var"
    )
    # elements are no genes, and of several levels of them each would be counted again
    repeats = _repeats.choose(names)
    is_gene[list(repeats.elements)] = False
    resolution = _resolve_genes(names, ensembl, genes, species, is_gene)
    return Located(source, is_gene, names, where, resolution, repeats, notes)


def _pass(
    adata: AnnData,
    source: Source,
    columns: Sequence[tuple[int, ...]],
    is_gene: NDArray[np.bool_],
    beside: _matrix.Beside | None = None,
) -> _matrix.Panel:
    """The one reading of the matrix; a value that no one can read is told by its cell."""
    scale = source.scale
    try:
        return _matrix.one_pass(
            source.matrix, columns, is_gene, scale.kind, recover=scale.recoverable, beside=beside
        )
    except _matrix.Unreadable as error:
        raise MatrixError(f"{bad_cells(adata, source)}. {REMEDY}") from error


def _resolve_genes(
    names: list[str],
    ensembl: list[str] | None,
    genes: Callable[[str], Iterable[str]] | Iterable[str],
    species: str | None,
    is_gene: NDArray[np.bool_],
) -> _resolve.Resolution:
    """Resolve; features that are not genes get a name that resolves to nothing."""
    names = [name if keep else "" for name, keep in zip(names, is_gene, strict=True)]
    if ensembl is not None:
        ensembl = [name if keep else "" for name, keep in zip(ensembl, is_gene, strict=True)]
    wanted = {name: genes(name) for name in SPECIES} if callable(genes) else genes
    return _resolve.resolve(names, wanted, ensembl=ensembl, species=species)


def _verify(source: Source, panel: _matrix.Panel) -> bool:
    """Whether all cells hold counts; the sample said so, the pass has seen every value."""
    off = int((~panel.exact).sum())
    if source.scale.kind == "counts" and off:
        msg = (
            f"{source.where} looked like counts, but {off:,} of {panel.exact.size:,} cells hold "
            f"values that are not integers. {REMEDY}"
        )
        raise ScaleError(msg)
    return source.scale.recoverable and off == 0


def _in_umi(panel: _matrix.Panel, kind: str) -> tuple[_matrix.Held, NDArray[np.float64]]:
    """Values and totals in UMI: divided by the value of one UMI, rounded where that is exact."""
    if kind in ("counts", _matrix.FRACTIONAL):
        return panel.held(), panel.total
    one = np.where(np.isfinite(panel.one), panel.one, 1.0)
    whole, total = bool(panel.exact.all()), panel.total / one
    return panel.held(one, whole=whole), np.rint(total) if whole else total


def _notes(
    adata: AnnData,
    source: Source,
    panel: _matrix.Panel,
    is_gene: NDArray[np.bool_],
    is_counts: bool,
) -> list[str]:
    notes = []
    empty = int((panel.total <= 0).sum())
    if empty:
        notes.append(f"{empty:,} cells hold no count at all: Unassigned, their scores are NaN")
    if source.scale.kind != "counts" and source.scale.recoverable and not is_counts:
        off = int((~panel.exact).sum())
        notes.append(f"counts could not be recovered in {off:,} cells, so they are used in none")
    return notes + _notes_before(adata, source, is_gene, "counts" if is_counts else "")


def _notes_before(
    adata: AnnData, source: Source, is_gene: NDArray[np.bool_], kind: str
) -> list[str]:
    """What can be said of a matrix before it is read."""
    notes = []
    if not is_gene.all():
        notes.append(f"{int((~is_gene).sum()):,} features that are not genes are left out")
    if source.scale.kind == "log1p of log1p":
        notes.append("the matrix was log-transformed twice; both logarithms are undone")
    if str(source.matrix.dtype) == "bool":
        notes.append("boolean matrix: detection is read as one UMI, so depth and levels are lost")
    if str(source.matrix.dtype) == "float16":
        lost = "values above 2,048 are rounded" if kind == "counts" else "it rounds its counts away"
        notes.append(f"half precision: {lost}")
    if not adata.obs_names.is_unique:
        notes.append("obs_names are not unique")
    return notes


def describe(
    adata: AnnData, at: Located, n_empty: int, notes: Sequence[str] = ()
) -> dict[str, Any]:
    """As :attr:`PanelView.record`, for a step that reads all genes and keeps no panel.

    Parameters
    ----------
    adata, at
        The object, and what is read of it.
    n_empty
        Cells without any count.
    notes
        What else should be said.
    """
    told = [*at.notes, *_notes_before(adata, at.source, at.is_gene, at.source.scale.kind)]
    if n_empty:
        told.insert(0, f"{n_empty:,} cells hold no count at all: their scores are NaN")
    told += [*notes, *at.resolution.notes]
    is_counts = at.source.scale.kind == "counts"
    return _record(at.source, at.resolution, at.where, is_counts, told)


def _record(
    source: Source,
    resolution: _resolve.Resolution,
    where: str,
    is_counts: bool,
    notes: list[str],
) -> dict[str, Any]:
    """What ``uns["scifn"]["input"]`` says, in strings and numbers, which are stored as they are."""
    scale = source.scale
    counts = "as stored" if scale.kind == "counts" else "recovered" if is_counts else "unknown"
    counts = "with fractions" if scale.kind == _matrix.FRACTIONAL else counts
    return {
        "matrix": source.where,
        "storage": _matrix.storage_name(source.matrix),
        "scale": scale.kind,
        "target_sum": float(scale.target_sum),
        "counts": counts,
        "identifiers": f"{resolution.identifiers} in {where}",
        "species": resolution.species,
        "n_cells": int(source.matrix.shape[0]),
        "n_features": int(source.matrix.shape[1]),
        "n_panel_genes": len(resolution.genes),
        "reason": f"{source.where}: {scale.reason}",
        "notes": "\n".join(notes),
    }
