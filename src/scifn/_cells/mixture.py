"""What the counts say of each cell: a mixture of expected expression.

The posterior of each component comes from the counts of identity genes, none of which is in a list
of interferon-stimulated genes, with ambient RNA in every mean (:func:`type_posterior`). What a
posterior alone must not decide is left to the rules of :mod:`scifn._cells.identity`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells.likelihood import Tables, log_likelihood, normalized
from scifn._cells.profiles import Components

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]

#: Share of a cell's UMI that is ambient RNA (typical of droplets; Young 2020).
AMBIENT: Final = 0.05
#: Share at which any gene may appear by error.
ERROR: Final = 1e-6
#: Size of the negative binomial over donors, states and chemistries.
SIZE: Final = 1.0
#: The same between subsets of B cells: what is wrong with the expectation of a B cell in this
#: chemistry or state is wrong for all of them, so that counts say more about which of them it is.
#: What is left is how much naive, or memory, B cells differ among themselves: 2.2 to 3.0 by maximum
#: likelihood, in those of childhood lupus that ``benchmarks/make_identity.py`` reads.
SIZE_WITHIN: Final = 3.0
B_SUBSETS: Final = (k.B_NAIVE, k.B_MEMORY, k.B_TRANSITIONAL, k.B_ATYPICAL)
#: Identity UMI below which nothing is called.
MIN_UMI: Final = 10
#: Matrices with fewer genes are panels: their totals say nothing about a cell's depth.
WHOLE_TRANSCRIPTOME: Final = 5_000


@dataclass(frozen=True)
class Evidence:
    """Posterior of the types and what the rules need beside it.

    ``types`` names the columns of ``posterior``; ``log_odds_pdc`` is the log likelihood ratio
    of pDC against the best other component; ``pdc_half`` marks cells whose best doublet holds
    a pDC; ``breg_log_odds`` is transitional against the better of naive and memory B.
    """

    types: tuple[str, ...]
    posterior: Floats
    log_odds_pdc: Floats
    pdc_half: Bools
    breg_log_odds: Floats
    enough: Bools

    @cached_property
    def lineages(self) -> tuple[tuple[str, ...], Floats]:
        """Lineages, and the posterior of each; doublets are a column of their own."""
        names, of_lineage = lineages_of(self.types)
        # a lineage's cells side by side, as those of a type: what follows looks along them
        return names, np.asarray((of_lineage.T @ self.posterior.T).T)


@dataclass(frozen=True)
class Shown:
    """Cells that show two genes of a type, and those in which it is more than ambient RNA."""

    two_genes: Bools
    beyond_ambient: Bools


@dataclass(frozen=True)
class Likelihoods:
    """Log likelihood of each component in each cell, whatever a user allows.

    ``found`` (cells x columns) holds those of the subsets of B cells, with their own size, then
    those of all components; ``umi`` are the identity UMI. The first ``n_columns`` of a cell are
    known; it is nothing else (doublets are the last).
    """

    found: Floats
    n_within: int
    umi: Floats
    n_columns: Ints

    @property
    def within(self) -> Floats:
        """Of the subsets of B cells among themselves."""
        return self.found[:, : self.n_within]

    @property
    def all(self) -> Floats:
        """Of all components."""
        return self.found[:, self.n_within :]


def subsets_of(model: Components) -> list[int]:
    """Components that are subsets of B cells."""
    return [i for i, name in enumerate(model.types) if name in B_SUBSETS]


def tables(model: Components, *, whole: bool) -> Tables:
    """What :func:`likelihoods` takes of many cells."""
    rates, subsets = expected(model, whole=whole), subsets_of(model)
    sizes = np.repeat([SIZE_WITHIN, SIZE], [len(subsets), rates.shape[1]])
    return Tables(np.concatenate([rates[:, subsets], rates], axis=1), sizes)


def likelihoods(
    values: Any,
    total: Floats,
    model: Components,
    *,
    whole: bool,
    umi: Floats | None = None,
    tables: Tables | None = None,
    shown: dict[str, Shown] | None = None,
) -> Likelihoods:
    """Log likelihoods of cells; see :func:`type_posterior`.

    Columns of ``values`` beyond the genes of the model are left out.
    ``umi`` are the identity UMI, where they are known; ``tables`` those of the model, for cells
    that are part of many. With tables and ``shown`` (as :func:`evidence_of` takes it), those of
    doublets are looked up only in cells that may be one.
    """
    if umi is None:
        umi = np.asarray(values.sum(axis=1), dtype=np.float64).ravel()
    depth, subsets = total if whole else umi, subsets_of(model)
    n_columns = np.full(depth.size, len(subsets) + len(model.names), dtype=np.int64)
    if tables is not None:
        singlets = sum(not pair for pair in model.pairs)
        if shown is not None and not any(model.pairs[:singlets]):
            n_columns[~_may_be_two(model, shown)] = len(subsets) + singlets
        return Likelihoods(tables(values, depth, n_columns), len(subsets), umi, n_columns)
    values, rates = values[:, : len(model.genes)], expected(model, whole=whole)
    within = log_likelihood(values, depth, rates[:, subsets], SIZE_WITHIN)
    every = log_likelihood(values, depth, rates, SIZE)
    return Likelihoods(np.concatenate([within, every], axis=1), len(subsets), umi, n_columns)


def _may_be_two(model: Components, shown: dict[str, Shown]) -> Bools:
    """Cells that show both halves of any doublet."""
    out: Bools = np.zeros(len(next(iter(shown.values())).two_genes), dtype=bool)
    for pair in filter(None, model.pairs):
        one, two = (_half(model, shown, half, pair) for half in pair)
        out |= one & two
    return out


def _half(model: Components, shown: dict[str, Shown], half: str, pair: tuple[str, ...]) -> Bools:
    """Cells that show a half of a doublet as it must be shown."""
    found = shown[model.types[model.names.index(half)]]
    return found.two_genes if k.PDC in pair else found.beyond_ambient


def type_posterior(
    values: Any,
    total: Floats,
    model: Components,
    *,
    whole: bool,
    shown: dict[str, Shown] | None = None,
    own: dict[str, Bools] | None = None,
    allowed: Bools | None = None,
    report: Mapping[str, str] | None = None,
) -> Evidence:
    """Posterior of each cell type from UMI of identity genes.

    Parameters
    ----------
    values
        Cells x genes (``model.genes``), CSR, UMI.
    total
        UMI of each cell over all genes.
    model
        Components. All of blood belong here, whether the panel can tell them or not: a cell of
        a type that is left out would be forced into another.
    whole
        Whether the matrix holds the whole transcriptome; if not, the depth of a cell is judged
        by the identity genes alone.
    shown, own, allowed, report
        As :func:`evidence_of` takes them.
    """
    found = likelihoods(values, total, model, whole=whole)
    return evidence_of(found, model, shown=shown, own=own, allowed=allowed, report=report)


def evidence_of(
    found: Likelihoods,
    model: Components,
    *,
    shown: dict[str, Shown] | None = None,
    own: dict[str, Bools] | None = None,
    allowed: Bools | None = None,
    report: Mapping[str, str] | None = None,
    compiled: bool = False,
) -> Evidence:
    """Posterior of each cell type from the likelihoods of the components.

    Parameters
    ----------
    found
        From :func:`likelihoods`.
    model
        The components.
    shown
        For each cell type that doublets are made of, the cells that show its genes. A doublet must
        show both of its halves, in more UMI than ambient RNA explains: a likelihood alone takes
        any cell in an unusual state for a mixture. With a pDC in it two genes are enough: a pDC
        that is half another cell costs more than one that is missed.
    own
        For rare cell types, the cells that show genes of their own; no other cell is one.
    allowed
        Cells x types (of the model, in its order) that the user's labels allow.
    report
        {type: what it is called}, for types that the panel cannot tell.
    compiled
        Whether a compiled kernel does it: these cells are part of many.
    """
    called = [(report or {}).get(name, name) for name in model.types]
    types = tuple(dict.fromkeys(called))
    asked = list(_asked(model, shown, own, allowed))
    type_of = np.array([types.index(name) for name in called], dtype=np.int64)
    posterior, pdc_half = (_judged if compiled else _judged_plainly)(found, model, asked, type_of)
    return Evidence(
        types=types,
        posterior=posterior,
        log_odds_pdc=_against_rest(found.all, model.types, k.PDC),
        pdc_half=pdc_half,
        breg_log_odds=_breg(found.within, [model.types[i] for i in subsets_of(model)]),
        enough=found.umi >= MIN_UMI,
    )


def expected(model: Components, *, whole: bool = True) -> Floats:
    """Expected share of each gene in a cell of each component, ambient RNA and errors in it.

    Of all UMI of the cell, or, if the matrix is not the whole transcriptome, of its identity UMI.
    """
    rates = np.asarray((1 - AMBIENT) * model.rates + AMBIENT * model.blood()[:, None] + ERROR)
    return rates if whole else np.asarray(rates / rates.sum(axis=0))


def _masked(likelihood: Floats, priors: Floats, asked: Sequence[tuple[int, Bools]]) -> Floats:
    """Posterior of each component; see :func:`_asked`.

    Restricted before it is normalized: what is left may be hundreds of units below the best.
    """
    joint = likelihood + np.log(priors)
    for i, cells in asked:
        joint[~cells, i] = -np.inf
    return normalized(joint)


def _judged_plainly(
    found: Likelihoods, model: Components, asked: Sequence[tuple[int, Bools]], type_of: Ints
) -> tuple[Floats, Bools]:
    """Posterior of each type, and cells whose likeliest doublet holds a pDC."""
    subsets = subsets_of(model)
    per_component = _masked(found.all, model.priors, asked)
    if subsets:
        mine = [(subsets.index(i), cells) for i, cells in asked if i in subsets]
        share = _masked(found.within, model.priors[subsets], mine)
        per_component[:, subsets] = per_component[:, subsets].sum(axis=1, keepdims=True) * share
    member = np.zeros((type_of.size, int(type_of.max()) + 1))
    member[np.arange(type_of.size), type_of] = 1.0
    doubles, has_pdc = _doubles(model)
    half = np.zeros(len(per_component), dtype=bool)
    if doubles.size:
        half = has_pdc[per_component[:, doubles].argmax(axis=1)]
    return per_component @ member, half


def _doubles(model: Components) -> tuple[Ints, Bools]:
    """Components that are doublets, and which of them hold a pDC."""
    pairs = [(i, k.PDC in pair) for i, pair in enumerate(model.pairs) if pair]
    return np.array([i for i, _ in pairs], dtype=np.int64), np.array([x for _, x in pairs], bool)


def _judged(
    found: Likelihoods, model: Components, asked: Sequence[tuple[int, Bools]], type_of: Ints
) -> tuple[Floats, Bools]:
    """:func:`_judged_plainly` of cells that are part of many."""
    from scifn._cells._compiled import judge

    subsets = subsets_of(model)
    mine = [(subsets.index(i), at) for at, (i, _) in enumerate(asked) if i in subsets]
    mine += [(len(subsets) + i, at) for at, (i, _) in enumerate(asked)]
    of, at = np.array(mine, dtype=np.int64).reshape(-1, 2).T
    order = np.argsort(of, kind="stable")
    priors = np.log(np.concatenate([model.priors[subsets], model.priors]))
    starts = np.searchsorted(of[order], np.arange(priors.size + 1))
    n = len(found.umi)
    holds = np.array([cells for _, cells in asked], dtype=bool).reshape(len(asked), n)
    doubles, has_pdc = _doubles(model)
    posterior, best = np.empty((int(type_of.max()) + 1, n)), np.zeros(n, dtype=np.int64)
    share = np.empty(found.found.shape[1])
    judge(
        found.found, found.n_columns, priors, starts, at[order], holds,
        np.array(subsets, dtype=np.int64), type_of, doubles, share, posterior, best,
    )  # fmt: skip
    return posterior.T, has_pdc[best] if doubles.size else np.zeros(n, dtype=bool)


def _asked(
    model: Components,
    shown: dict[str, Shown] | None,
    own: dict[str, Bools] | None,
    allowed: Bools | None,
) -> Iterator[tuple[int, Bools]]:
    """Components that not every cell may be, and the cells that may."""
    for i, pair in enumerate(model.pairs if shown is not None else ()):
        for half in pair:
            yield i, _half(model, shown or {}, half, pair)
    order = list(dict.fromkeys(model.types))
    for i, name in enumerate(model.types):
        if own is not None and name in own:
            yield i, own[name]
        if allowed is not None:
            yield i, allowed[:, order.index(name)]


def _against_rest(likelihood: Floats, types: tuple[str, ...], name: str) -> Floats:
    """Log likelihood ratio of ``name`` against the best other singlet; AS-DC are no rival.

    Whether a pDC-like cell is an AS-DC is decided by the AS-DC genes, in :func:`pdc_calls`.
    """
    mine = [i for i, kind in enumerate(types) if kind == name]
    rest = [i for i, kind in enumerate(types) if kind not in {name, k.ASDC, k.DOUBLET}]
    if not mine or not rest:
        return np.full(likelihood.shape[0], np.nan)
    return np.asarray(likelihood[:, mine].max(axis=1) - likelihood[:, rest].max(axis=1))


def _breg(likelihood: Floats, types: list[str]) -> Floats:
    wanted = (k.B_TRANSITIONAL, k.B_NAIVE, k.B_MEMORY)
    if any(name not in types for name in wanted):
        return np.full(likelihood.shape[0], np.nan)
    transitional, naive, memory = (likelihood[:, types.index(name)] for name in wanted)
    return np.asarray(transitional - np.maximum(naive, memory))


def lineages_of(types: tuple[str, ...]) -> tuple[tuple[str, ...], Floats]:
    """Lineages of the types, and types x lineages: one where the type is of the lineage."""
    groups = [group_of(name) for name in types]
    names = tuple(dict.fromkeys(groups))
    return names, np.array([[group == name for name in names] for group in groups], dtype=float)


def group_of(name: str) -> str:
    """Lineage of a type; doublets are a group of their own."""
    return k.DOUBLET if name == k.DOUBLET else k.LINEAGE_OF[name]
