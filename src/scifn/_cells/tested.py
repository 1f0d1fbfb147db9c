"""The test of a ligand in the cells of samples: p, its adjustment, label, and posterior of IFNA.

Few cells hold any transcript of a ligand. What all others hold is no evidence, so that only those
few are gone through, those of all samples together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import evidence, producers
from scifn._cells.lanes import Lanes
from scifn._cells.ligands import Ligand, group_of

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]

#: Strong calls among T cells above which a sample is withheld.
NULL_FAIL: Final = 1e-4
MIN_NULL_FAIL: Final = 2


@dataclass(frozen=True)
class Tested:
    """Of the cells that hold any transcript: p, adjusted p, and codes of labels."""

    p: Floats
    adjusted: Floats
    label: Codes


def tested(
    umi: Floats,
    n_genes: NDArray[np.uint8],
    seen: NDArray[np.int64],
    lanes: Lanes,
    null: evidence.Null,
    ligand: Ligand,
) -> Tested:
    """Test, adjustment and label of the cells of samples that hold any transcript.

    Parameters
    ----------
    umi, n_genes
        UMI of the ligand in each of them, and its genes that are seen.
    seen
        Which cells they are.
    lanes
        The samples; all have a background.
    null
        Of each of the cells that hold any.
    ligand
        What is tested.
    """
    p = null.p_value(umi, lanes.total[seen])
    adjusted = _adjusted(p, seen, lanes, ligand)
    label = np.full(seen.size, evidence.LABEL["not_measurable"], dtype=np.int8)
    some = np.flatnonzero(lanes.tested[seen])
    label[some] = evidence.label(umi[some], n_genes[some], adjusted[some])
    return Tested(p, adjusted, label)


def labels_of(found: Tested, seen: NDArray[np.int64], lanes: Lanes) -> Codes:
    """Codes of the labels of all cells."""
    none, untold = (np.int8(evidence.LABEL[name]) for name in ("none", "not_measurable"))
    out = np.where(lanes.tested, none, untold)
    out[seen] = found.label
    return out


def columns_of(
    found: Tested,
    umi: Floats,
    seen: NDArray[np.int64],
    lanes: Lanes,
    null: evidence.Null,
    *,
    compiled: bool,
) -> dict[str, Floats]:
    """Columns of IFNA of all cells, with the posterior.

    Parameters
    ----------
    found, seen
        What was found in the cells that hold any transcript, and which they are.
    umi, null
        Of all cells.
    lanes
        The samples; all have a background.
    compiled
        Whether a compiled kernel does the posterior: these cells are part of many.
    """
    deep = lanes.total > 0
    expected = null.expected(lanes.total)
    alone = null.log_pmf(umi, lanes.total)
    posterior = producers.posterior(
        umi, expected, lanes.total, alone, lanes.groups(), lanes.of, compiled=compiled
    )
    p_value = np.where(deep, 1.0, np.nan)
    p_adj = np.where(lanes.tested, 1.0, np.nan)
    p_value[seen], p_adj[seen] = found.p, found.adjusted
    return {
        "ifna_background": expected,
        "ifna_p_value": p_value,
        "ifna_p_adj": p_adj,
        "ifna_posterior": np.where(deep, posterior, np.nan),
    }


def _adjusted(p: Floats, seen: NDArray[np.int64], lanes: Lanes, ligand: Ligand) -> Floats:
    """Adjusted p of cells that hold any, by sample; NaN of cells that are not tested.

    Over the types that can make the ligand, by kind, and apart over the others.
    """
    names = sorted({group_of(name) for name in lanes.kinds})
    kind = np.array([names.index(group_of(name)) for name in lanes.kinds], dtype=np.int64)
    candidate = lanes.which(ligand.candidates)
    of = lanes.types[seen]
    out = np.full(p.size, np.nan)
    for those, group in ((candidate, kind), (~candidate, np.zeros_like(kind))):
        member = np.zeros((kind.size, len(names)))
        member[those, group[those]] = 1.0
        sizes = lanes.n_tested @ member
        mine = np.flatnonzero(lanes.tested[seen] & those[of])
        out[mine] = evidence.adjusted(p[mine], group[of[mine]], sizes, lanes.of[seen[mine]])
    return out


def null_fails(
    found: Tested, seen: NDArray[np.int64], lanes: Lanes, ligand: Ligand
) -> NDArray[np.bool_]:
    """Samples in which T cells, which make none, are not as quiet as the null says."""
    if not ligand.t_cells_are_null:
        return np.zeros(len(lanes.names), dtype=bool)
    lymphoid = lanes.which((k.T_NK,))
    strong = lanes.sums(
        lymphoid[lanes.types[seen]] & (found.label == evidence.LABEL["strong"]), seen
    )
    n = lanes.n_cells[:, lymphoid].sum(axis=1)
    return np.asarray((strong >= MIN_NULL_FAIL) & (strong > NULL_FAIL * n))
