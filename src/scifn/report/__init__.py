"""The report: what a file can tell about interferon, pDC and Breg-like cells, on one page.

Tables and figures become one HTML file that needs nothing from outside itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from scifn.report._write import report

if TYPE_CHECKING:
    from anndata import AnnData

__all__ = ["report"]


class _Callable(ModuleType):
    """``scifn.report`` is the function, also for those who imported this package by its name.

    Python binds a package's name to its module when the module is imported; without this,
    ``import scifn.report`` would hide the function.
    """

    def __call__(self, adata: AnnData, path: str | Path, *, title: str | None = None) -> Path:
        return report(adata, path, title=title)


sys.modules[__name__].__class__ = _Callable
