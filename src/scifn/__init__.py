"""scifn: type I interferon, pDC and Breg-like cells in single-cell data of patients and controls.

Importing this package imports nothing heavy: every public name below is loaded
when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scifn import datasets, genesets, get, pl, pp, tl
    from scifn._run import run
    from scifn.report import report

__all__ = ["__version__", "datasets", "genesets", "get", "pl", "pp", "report", "run", "tl"]

__version__ = "0.1.0"

_MODULES = ("datasets", "genesets", "get", "pl", "pp", "tl")
_FUNCTIONS = {"run": "scifn._run", "report": "scifn.report"}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"scifn.{name}")
    if name in _FUNCTIONS:
        value = getattr(import_module(_FUNCTIONS[name]), name)
        globals()[name] = value
        return value
    msg = f"module 'scifn' has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted(__all__)
