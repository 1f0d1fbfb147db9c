"""Which columns of a block make a score: genes of each list, bins and single control genes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from scifn._cells.scores import bins as bins_
from scifn._cells.scores.sets import FoundSet
from scifn.genesets._resolve import Resolution

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """One list of genes: all of an unsigned set, or the up or down list of a signed one.

    ``columns`` are those of its genes, ``parts`` the features they are made of (the same, but
    for genes that are the sum of several features), ``n_missing`` its genes that were not found.
    """

    name: str
    genes: tuple[str, ...]
    columns: Ints
    parts: Ints
    n_missing: int


@dataclass(frozen=True)
class Layout:
    """Lists of all sets that can be scored, and the columns behind the features.

    ``pairs`` holds for each set the positions of its up and down list, -1 for none. ``groups``
    are the features of each summed gene, ``summed`` its name.
    """

    arms: tuple[Arm, ...]
    pairs: tuple[tuple[int, int], ...]
    groups: tuple[tuple[int, ...], ...]
    summed: tuple[str, ...]


def lay_out(sets: Sequence[FoundSet], resolution: Resolution, n_features: int) -> Layout:
    """Columns of the genes of each list."""
    at = dict(zip(resolution.genes, resolution.columns, strict=True))
    used = {gene for one in sets for gene in (*one.up, *one.down)}
    summed = [gene for gene in sorted(used) if len(at[gene]) > 1]
    behind = {gene: n_features + i for i, gene in enumerate(summed)}
    arms: list[Arm] = []
    pairs = []
    for one in sets:
        pair = []
        for genes, missing, kind in zip(
            (one.up, one.down), one.n_missing, ("up", "down"), strict=True
        ):
            if not genes:
                pair.append(-1)
                continue
            columns = [behind[gene] if gene in behind else at[gene][0] for gene in genes]
            parts = [feature for gene in genes for feature in at[gene]]
            pair.append(len(arms))
            arms.append(Arm(f"{one.name}:{kind}", genes, _ints(columns), _ints(parts), missing))
        pairs.append((pair[0], pair[1]))
    return Layout(tuple(arms), tuple(pairs), tuple(at[gene] for gene in summed), tuple(summed))


@dataclass(frozen=True)
class Weights:
    """A score of each list: mean of its genes less the mean of its control genes.

    The sum over the control genes is that of whole bins (``bin_of`` gives each column its bin or
    -1, ``use`` is bins x lists) and of ``controls`` (columns x lists, 1 or -1).
    """

    bin_of: NDArray[np.int32]
    use: Floats
    members: Any
    controls: Any
    n_genes: Floats
    n_controls: Floats
    controlled: bool

    @property
    def matrix(self) -> Any:
        """Columns x (bins, members, controls): one product gives all sums."""
        kept = np.flatnonzero(self.bin_of >= 0)
        shape = (self.bin_of.size, self.use.shape[0])
        one_hot = sp.csr_array((np.ones(kept.size), (kept, self.bin_of[kept])), shape=shape)
        return sp.csr_array(sp.hstack([one_hot, self.members, self.controls], format="csr"))

    def split(self, sums: Floats) -> tuple[Floats, Floats]:
        """Sums over genes and over control genes, from a product with :attr:`matrix`."""
        n_bins, n_arms = self.use.shape
        own = sums[:, n_bins : n_bins + n_arms]
        # a sparse product: BLAS would wait for its threads longer than this takes
        return own, sums[:, :n_bins] @ sp.csr_array(self.use) + sums[:, n_bins + n_arms :]

    def score(self, own: Floats, control: Floats) -> Floats:
        """Scores of each list from the sums over its genes and its control genes."""
        scores = own / self.n_genes
        if self.controlled:
            with np.errstate(invalid="ignore", divide="ignore"):
                scores = scores - np.where(self.n_controls > 0, control / self.n_controls, np.nan)
        return np.asarray(scores, dtype=np.float64)


def without_controls(arms: Sequence[Arm], n_columns: int) -> Weights:
    """Plain means."""
    members, n_genes = _members(arms, n_columns)
    return Weights(
        bin_of=np.full(n_columns, -1, dtype=np.int32),
        use=np.zeros((0, len(arms))),
        members=members,
        controls=sp.csr_array(members.shape),
        n_genes=n_genes,
        n_controls=np.zeros(len(arms)),
        controlled=False,
    )


def whole_bins(
    arms: Sequence[Arm], n_columns: int, pool: Ints, bins: Ints, own: Sequence[Ints]
) -> Weights:
    """Controls are all genes of the bins of the list's genes, but these genes themselves.

    Parameters
    ----------
    arms, n_columns
        Lists, and columns of a block.
    pool, bins
        Features that are in bins, and their bins.
    own
        Bins of the genes of each list.
    """
    members, n_genes = _members(arms, n_columns)
    used = np.unique(np.concatenate([*own, np.empty(0, dtype=np.int64)]))
    new = {int(one): i for i, one in enumerate(used)}
    bin_of = np.full(n_columns, -1, dtype=np.int32)
    bin_of[pool] = [new.get(int(one), -1) for one in bins]
    sizes = np.bincount(bin_of[bin_of >= 0], minlength=used.size).astype(np.float64)
    use = np.zeros((used.size, len(arms)))
    leave = []
    for i, (arm, mine) in enumerate(zip(arms, own, strict=True)):
        use[[new[int(one)] for one in set(mine.tolist())], i] = 1.0
        inside = arm.parts[bin_of[arm.parts] >= 0]
        leave.append(inside[use[bin_of[inside], i] > 0])
    return Weights(
        bin_of=bin_of,
        use=use,
        members=members,
        controls=-_indicator(leave, n_columns),
        n_genes=n_genes,
        n_controls=sizes @ use - np.array([one.size for one in leave], dtype=np.float64),
        controlled=True,
    )


def listed(arms: Sequence[Arm], n_columns: int, controls: Sequence[Ints]) -> Weights:
    """Controls are the features given for each list."""
    members, n_genes = _members(arms, n_columns)
    return Weights(
        bin_of=np.full(n_columns, -1, dtype=np.int32),
        use=np.zeros((0, len(arms))),
        members=members,
        controls=_indicator(controls, n_columns),
        n_genes=n_genes,
        n_controls=np.array([one.size for one in controls], dtype=np.float64),
        controlled=True,
    )


def own_bins(arms: Sequence[Arm], of_column: Ints) -> list[Ints]:
    """Bins of the genes of each list, from the bin of every column (-1: in none)."""
    found = [of_column[arm.columns] for arm in arms]
    return [np.unique(mine[mine >= 0]) for mine in found]


def bins_of_columns(sums: Ints, pool: Ints, n_features: int) -> Ints:
    """Bin of every column from its sum over the cells; -1 for features that are no genes."""
    out = np.full(sums.size, -1, dtype=np.int64)
    out[pool] = bins_.of_pool(sums[pool])
    out[n_features:] = bins_.of_others(sums[n_features:], sums[pool])
    return out


def _members(arms: Sequence[Arm], n_columns: int) -> tuple[Any, Floats]:
    members = _indicator([arm.columns for arm in arms], n_columns)
    return members, np.array([arm.columns.size for arm in arms], dtype=np.float64)


def _indicator(columns: Sequence[Ints], n_columns: int) -> Any:
    """Columns x lists, 1 where a column is in the list."""
    rows = np.concatenate([*columns, np.empty(0, dtype=np.int64)])
    lists = np.repeat(np.arange(len(columns)), [one.size for one in columns])
    shape = (n_columns, len(columns))
    return sp.csr_array((np.ones(rows.size), (rows, lists)), shape=shape)


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)
