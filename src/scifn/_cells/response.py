"""Response to interferon: the rate of stimulated genes against control cells of the same type.

A score is a weighted sum of UMI over the UMI of the cell. The weights are
``1 / sqrt(rate)`` at fixed rates of resting blood, which for counts is the
inverse of the noise of each gene. Against controls it is the excess over their
mean in units of that mean: 0 is a typical control cell of the type, 1 is twice
as much. It is linear in the counts, so depth moves its noise, never its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from scifn import _keys as k
from scifn._cells import reference
from scifn._cells.sums import above_zero, rates_of, side_by_side
from scifn._view import PanelView
from scifn.genesets import _coverage, _ids, _sets

Floats = NDArray[np.float64]

#: Score -> gene set.
SETS: Final = {"type1": "isg_sc_pan", "type2_leaning": "isg_type2_leaning"}
ABSOLUTE: Final = (
    "absolute: weighted UMI per 10,000, of an object without controls; comparable between cells "
    "of one type in one study only"
)
RELATIVE: Final = "excess over the mean of control cells of the same type, in units of that mean"
#: Cells that a sum over cells needs for a response.
MIN_SUMMED: Final = 10
NOT_SEPARABLE: Final = "type I IFN response (ligand not identifiable)"


@dataclass(frozen=True)
class Response:
    """Scores of each cell, the reference they are held against, and the record."""

    type1: Floats
    type2_leaning: Floats
    reference: pd.DataFrame
    coverage: list[dict[str, Any]]
    record: dict[str, Any]

    @property
    def balance(self) -> Floats:
        """Type I minus type II leaning, in the units of both."""
        return self.type1 - self.type2_leaning


@lru_cache(maxsize=1)
def rates() -> dict[str, float]:
    """Fixed rates of resting blood, UMI per 10,000."""
    text = files("scifn._cells").joinpath("data/response_reference.csv").read_text("utf-8")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    return {gene: float(rate) for gene, rate, _ in rows}


def panel_genes(species: str = "human") -> list[str]:
    """Every gene that the step reads."""
    return sorted({gene for name in SETS.values() for gene in _sets.for_species(name, species)})


def absolute(view: PanelView, name: str) -> Floats:
    """Weighted rate of one score in every cell; NaN where too few of its genes are measured."""
    return _absolute(view, (name,))[name]


def _absolute(view: PanelView, names: Sequence[str]) -> dict[str, Floats]:
    """:func:`absolute` of several scores, from one look at the panel."""
    each = {name: _weights(view, name) for name in names}
    found = rates_of(view, [each[name] for name in names])
    return dict(zip(names, found, strict=True))


def _weights(view: PanelView, name: str) -> dict[str, float]:
    """Weights of the genes of a score; none where too few are measured."""
    genes = _sets.for_species(SETS[name], view.species)
    found = view.found(genes)
    if _coverage.status_of(len(found), len(genes)) not in {"ok", "partial"}:
        return {}
    known = rates()
    human = {(_ids.ortholog(gene) or gene): rate for gene, rate in known.items()}
    table = known if view.species == "human" else human
    return {gene: float(1 / np.sqrt(table.get(gene, 1.0))) for gene in found}


def respond(
    view: PanelView,
    types: Any,
    *,
    controls: NDArray[np.bool_] | None,
    stored: pd.DataFrame | None = None,
) -> Response:
    """Score every cell.

    Parameters
    ----------
    view
        Panel genes and totals.
    types
        Cell type of each cell.
    controls
        Which cells are of controls; None leaves the scores absolute.
    stored
        Reference of an earlier run, used instead of the controls.
    """
    scores = _absolute(view, tuple(SETS))
    table: pd.DataFrame
    if stored is not None:
        table = stored
    elif controls is not None:
        table = reference.measure(scores, types, controls)
    else:
        table = pd.DataFrame(columns=list(reference.COLUMNS))
    # from here on scores are relative, in their own place
    relative = stored is not None or controls is not None
    if relative:
        codes, names = reference.coded(types)
        means = {name: reference.of_types(table, name, names)[0] for name in SETS}

        def fill(rows: slice) -> None:
            at = codes[rows].astype(np.intp)
            for name, mean in means.items():
                mine = scores[name][rows]
                mine /= above_zero(mean)[at]
                mine -= 1.0

        side_by_side(fill, view.n_cells)
    sets = {name: _sets.for_species(name, view.species) for name in SETS.values()}
    rows = _coverage.coverage({name: genes for name, genes in sets.items() if genes}, view)
    return Response(
        type1=scores["type1"],
        type2_leaning=scores["type2_leaning"],
        reference=table,
        coverage=rows,
        record={
            "meaning": RELATIVE if relative else ABSOLUTE,
            "wording": NOT_SEPARABLE,
            "sets": list(SETS.values()),
        },
    )


def of_sums(sums: pd.DataFrame, species: str, stored: pd.DataFrame | None) -> pd.DataFrame:
    """Response of summed cells: the scores of cells, of a donor's cells of one type as if one.

    Parameters
    ----------
    sums
        Pseudobulk table: ``cell_type, n_cells, total_umi`` and a column a gene, a row a group.
    species
        Whose genes they are.
    stored
        Stored reference of the cells' scores; None for absolute rates.

    Returns
    -------
    Columns ``response_type1, response_type2_leaning, response_balance``; NaN below
    :data:`MIN_SUMMED` cells. A deep cell weighs more than in a mean over cells.
    """
    genes = [gene for gene in panel_genes(species) if gene in sums]
    view = PanelView(
        genes=tuple(genes),
        values=sparse.csr_array(sums[genes].to_numpy(dtype=np.float64)),
        total=sums["total_umi"].to_numpy(dtype=np.float64),
        n_genes=np.zeros(len(sums), dtype=np.int64),
        is_counts=True,
        species=species,
        n_features=len(genes),
        record={},
    )
    types = sums["cell_type"].to_numpy(dtype=object)
    found = respond(view, types, controls=None, stored=stored)
    enough = sums["n_cells"].to_numpy() >= MIN_SUMMED
    columns = {
        k.RESPONSE_TYPE1: found.type1,
        k.RESPONSE_TYPE2: found.type2_leaning,
        k.RESPONSE_BALANCE: found.balance,
    }
    return pd.DataFrame(
        {name.removeprefix(k.PREFIX): np.where(enough, x, np.nan) for name, x in columns.items()},
        index=sums.index,
    )
