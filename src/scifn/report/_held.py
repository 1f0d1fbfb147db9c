"""What kind of cells a file holds: whether a fraction of its cells is one of PBMC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from scifn import _keys as k
from scifn.report import _format as f
from scifn.report import _wording as w

if TYPE_CHECKING:
    import pandas as pd

#: A lineage with this share of the typed cells was sorted, or cut out of a larger file.
NEARLY_ALL: Final = 0.95
#: Blood without this share of T and NK cells is no unsorted PBMC.
LEAST_T: Final = 0.05
#: Fewer typed cells than this share say nothing of the file.
LEAST_TYPED: Final = 0.5
TISSUE: Final = (k.KERATINOCYTE, k.FIBROBLAST, k.ENDOTHELIUM, k.EPITHELIUM)
MOST_TISSUE: Final = 0.02
NAMES: Final = {"B": "B cells", "DC": "dendritic cells", "Mono": "monocytes", "T/NK": "T/NK cells"}


def what(cells: pd.DataFrame | None) -> tuple[str, str]:
    """What fractions of this file are of, and why that is not PBMC ("" where it is).

    >>> import pandas as pd
    >>> lineages = ["B"] * 99 + ["T/NK"]
    >>> what(pd.DataFrame({"cell_type": lineages, "lineage": lineages}))
    ('B cells', '99 % of the typed cells are B cells')
    """
    if cells is None or cells.empty:
        return "cells", "no cell has a type"
    lineage = cells["lineage"].astype(str)
    typed = lineage != "Unassigned"
    if typed.mean() < LEAST_TYPED:
        return "cells", "most cells have no type"
    share = lineage[typed].value_counts(normalize=True)
    first = str(share.index[0])
    if share.iloc[0] >= NEARLY_ALL and first in NAMES:
        name = NAMES[first]
        return name, f"{f.percent(share.iloc[0])} of the typed cells are {name}"
    tissue = float(cells["cell_type"].astype(str).isin(TISSUE).mean())
    if tissue > MOST_TISSUE:
        return "cells", f"{f.percent(tissue)} of the cells are of a tissue"
    t_cells = float(share.get("T/NK", 0.0))
    if t_cells < LEAST_T:
        return "cells", f"{f.percent(t_cells)} of the typed cells are T/NK cells"
    return "PBMC", ""


def fraction(cells: pd.DataFrame | None) -> str:
    """Required wording of a fraction, with PBMC only where the file holds PBMC.

    >>> fraction(None)
    'fraction of profiled cells'
    """
    return w.FRACTION.replace("PBMC", what(cells)[0])
