"""Expression of a donor as if all donors had blood of the same composition.

Monocytes respond to interferon most, so that the response of a whole sample follows their share
(Catalina 2019, doi:10.1038/s42003-019-0382-x). Each donor's expression is therefore taken by
compartment and put together with the same weights, those of the pooled controls.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k

FloatArray = NDArray[np.float64]

#: Cells of a compartment that a donor needs for it; share of the controls' UMI from which on a
#: compartment counts; share that a donor's compartments must make up together.
MIN_CELLS, MIN_SHARE, MIN_COVERED = 10, 0.02, 0.8
#: Types that make antibodies: a compartment of their own.
ANTIBODY = (k.PLASMABLAST, k.PLASMA)


def standardized(
    sums: pd.DataFrame, genes: Sequence[str], reference: str, cells: str = ""
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Log2 of (CPM + 1) at the composition of the controls.

    Parameters
    ----------
    sums
        Pseudobulk table: ``donor, condition, cell_type, n_cells, total_umi`` and genes.
    genes
        Columns of ``sums``.
    reference
        Condition of the controls.
    cells
        The only cell type to take; "" for all that count.

    Returns
    -------
    expression, weights
        ``donor, condition`` and the genes, a row a donor x condition (visits summed); NaN where a
        donor lacks too many compartments. Weight of each compartment, summing to 1.
    """
    counted = sums[~sums["cell_type"].isin(k.NOT_COUNTED)]
    donors = counted[["donor", "condition"]].drop_duplicates(ignore_index=True)
    if cells:
        counted = counted[counted["cell_type"] == cells]
    part = [compartment(str(t)) for t in counted["cell_type"]]
    columns = ["n_cells", "total_umi", *genes]
    by = counted[columns].groupby(
        [counted["donor"], counted["condition"], np.array(part, dtype=object)], sort=False
    )
    table = by.sum().reset_index(names=["donor", "condition", "part"])
    pooled = table[table["condition"] == reference].groupby("part")["total_umi"].sum()
    share = pooled / pooled.sum() if pooled.sum() > 0 else pooled
    share = share[share >= MIN_SHARE]
    weights = {str(name): float(x) for name, x in (share / share.sum()).items()}
    place = {
        (d, c): i for i, (d, c) in enumerate(zip(donors["donor"], donors["condition"], strict=True))
    }
    total = np.zeros((len(donors), len(genes)))
    covered = np.zeros(len(donors))
    umi = table["total_umi"].to_numpy(dtype=np.float64)
    cpm = (
        1e6
        * table[list(genes)].to_numpy(dtype=np.float64)
        / np.where(umi > 0, umi, np.nan)[:, None]
    )
    pairs = zip(table["donor"], table["condition"], strict=True)
    row = np.array([place[pair] for pair in pairs], dtype=np.intp)
    weight = np.array([weights.get(name, 0.0) for name in table["part"]], dtype=np.float64)
    used = (weight > 0) & (table["n_cells"].to_numpy() >= MIN_CELLS) & (umi > 0)
    np.add.at(total, row[used], weight[used, None] * cpm[used])
    np.add.at(covered, row[used], weight[used])
    enough = np.where(covered >= MIN_COVERED, covered, np.nan)
    y = np.log2(total / enough[:, None] + 1)
    return pd.concat([donors, pd.DataFrame(y, columns=list(genes))], axis=1), weights


def compartment(cell_type: str) -> str:
    """Lineage, with plasmablasts and plasma cells apart from B cells; "" of what is not counted.

    >>> compartment("B naive"), compartment("Plasmablast"), compartment("Platelet")
    ('B', 'Plasma', '')
    """
    if cell_type in k.NOT_COUNTED:
        return ""
    return k.PLASMA if cell_type in ANTIBODY else k.LINEAGE_OF.get(cell_type, k.OTHER)
