"""Kang's stimulated and control cells, typed and scored once for all parts of a benchmark."""

from __future__ import annotations

from functools import cache

import anndata as ad
from _shared import load

from scifn import genesets, tl
from scifn._cells.response import SETS

ISG = genesets.load(SETS["type1"])
#: Cells that a type needs for a figure of its own.
MIN_CELLS = 15


@cache
def kang() -> ad.AnnData:
    """Kang, typed and scored against its control cells."""
    adata = load("kang_ifnb_fullgenes_annot")
    tl.annotate(adata)
    tl.response(adata, condition="condition", reference="ctrl")
    return adata
