"""What a sample holds of a ligand that its cells do not make: its soup, or reads of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import evidence
from scifn._cells.ligands import Ligand
from scifn._view import PanelView

Floats = NDArray[np.float64]

#: Cells of types that cannot make a ligand below which they say nothing of the soup.
MIN_ABSENT: Final = 50
#: Genes of other types that T cells hold as soup only; they teach the size of the null.
SOUP_GENES: Final = ("S100A8", "S100A9", "LYZ", "PPBP", "PF4", "HBB", "HBA1", "CD74", "IGHM")
DEFAULT_CONTAMINATION: Final = 0.05


@dataclass(frozen=True)
class Soup:
    """What the soup holds, from empty droplets: UMI of each ligand (by name), and of all genes."""

    umi: Mapping[str, float]
    total: float


@dataclass(frozen=True)
class Cells:
    """The cells of one sample: their places, types (None of libraries), and null's size.

    ``types`` are codes, of which ``names`` are the types.
    """

    at: NDArray[np.int64]
    types: NDArray[np.int64] | None
    names: tuple[str, ...]
    total: Floats
    size: float

    @property
    def tested(self) -> NDArray[np.bool_]:
        """Cells that can be attributed: not two cells, nor none that we know."""
        some = self.total > 0
        return some if self.types is None else some & ~self.among((k.DOUBLET, k.UNASSIGNED))

    def among(self, types: Sequence[str]) -> NDArray[np.bool_]:
        """Cells of some types; libraries are taken for pDC."""
        if self.types is None:
            return np.full(self.at.size, k.PDC in types)
        return np.array([name in types for name in self.names], dtype=bool)[self.types]


@dataclass(frozen=True)
class Given:
    """What a user says of the background; of libraries the same of reads of others."""

    soup: Soup | None = None
    contamination: Floats | None = None


def split(view: PanelView, samples: Any, types: Any | None) -> dict[str, Cells]:
    """The cells of each sample, in order of appearance; ``types`` is None of libraries."""
    # missing samples are one of their own
    codes, names = pd.factorize(samples, use_na_sentinel=False)
    # each sample's cells in one piece, so that many samples cost one sort and not one pass each
    order = np.argsort(codes, kind="stable")
    pieces = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    if types is None:
        size = evidence.SWAPPED_SIZE
        return {
            str(name): Cells(at, None, (), view.total[at], size)
            for name, at in zip(names, pieces, strict=True)
        }
    kinds, found = pd.factorize(types)
    each = tuple(str(kind) for kind in found)
    genes = view.found(SOUP_GENES)
    counts = view.csr(genes) if genes else None
    out = {}
    for name, at in zip(names, pieces, strict=True):
        lymphoid = at[np.array([kind == k.T_NK for kind in each], dtype=bool)[kinds[at]]]
        size = np.inf
        if counts is not None and lymphoid.size:
            soup = counts[lymphoid].toarray().astype(np.float64)
            size = evidence.learn_size(soup, view.total[lymphoid])
        mine = kinds[at].astype(np.int64)
        out[str(name)] = Cells(at, mine, each, view.total[at], float(size))
    return out


def background(
    umi: Floats, cells: Cells, ligand: Ligand, given: Given
) -> evidence.Background | None:
    """Null of one sample: from empty droplets, else from cells that cannot make the ligand."""
    if cells.types is None:
        return _of_libraries(umi, cells, ligand, given)
    absent = cells.among(ligand.absent)
    if given.soup is not None:
        share = DEFAULT_CONTAMINATION
        if given.contamination is not None:
            share = float(np.median(given.contamination[cells.at]))
        rate = evidence.from_soup(given.soup.umi[ligand.name], given.soup.total, share)
        source = f"empty droplets, contamination {share:.3g}"
        source += " (assumed)" if given.contamination is None else ""
    elif absent.sum() >= MIN_ABSENT:
        rate = evidence.from_absent(umi[absent], cells.total[absent])
        source = f"{int(absent.sum()):,} {ligand.phrase}"
    else:
        return None
    return evidence.Background(rate, cells.size, source)


def _of_libraries(
    umi: Floats, cells: Cells, ligand: Ligand, given: Given
) -> evidence.Background | None:
    """Null of purified libraries: reads of the others of their run."""
    swapped = np.full(umi.size, evidence.SWAPPED)
    if given.contamination is not None:
        swapped = given.contamination[cells.at]
    soup = given.soup
    pool = None if soup is None else (soup.umi[ligand.name], soup.total)
    rate = evidence.from_libraries(umi, cells.total, swapped, pool)
    if rate is None:
        return None
    source = f"reads of {'the pool' if pool else 'the other libraries'}, {np.median(swapped):.3g}"
    source += " of each library" + (" (assumed)" if given.contamination is None else "")
    return evidence.Background(rate, cells.size, source, tail=evidence.SWAPPED_TAIL)
