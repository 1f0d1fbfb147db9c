"""Parameter texts that several docstrings share, filled in by :func:`shared`.

Written once here, so that the same argument reads the same in every function.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

PARAMETERS: Final[dict[str, str]] = {
    "adata": (
        "adata\n"
        "    Annotated data: in memory, backed, a view or dask-backed. Of a MuData, pass the\n"
        "    modality. A view becomes a copy of its own when it is written to."
    ),
    "matrix": (
        "layer\n"
        "    Matrix to read: a name in ``layers``, ``'X'`` or ``'raw'``. None chooses:\n"
        "    ``layers['counts']``, integer raw, integer X, then a normalized matrix.\n"
        "gene_symbols\n"
        "    Column of var that holds gene symbols. None looks for them.\n"
        "species\n"
        "    ``'human'`` or ``'mouse'`` (experimental). None detects it from the identifiers."
    ),
    "overwrite": (
        "overwrite\n"
        "    Replace output of an earlier call, and drop what later steps computed from it; if\n"
        "    False, output in the way is an error."
    ),
    "reference": (
        "condition\n"
        "    Column of obs with the condition of each cell.\n"
        "reference\n"
        "    Value of ``condition`` that marks controls. Give both or neither."
    ),
    "model": (
        "model\n"
        "    ``uns['scifn']`` of an earlier run, or the path of its h5ad: its reference values\n"
        "    are used instead of this object's, so that a cell gets the number it got then."
    ),
}


def shared(function: F) -> F:
    """Replace ``%(name)s`` lines of a docstring by the shared text of that name."""
    lines = []
    for line in (function.__doc__ or "").splitlines():
        name = line.strip().removeprefix("%(").removesuffix(")s")
        if line.strip() == f"%({name})s" and name in PARAMETERS:
            indent = line[: len(line) - len(line.lstrip())]
            lines += [indent + text for text in PARAMETERS[name].splitlines()]
        else:
            lines.append(line)
    function.__doc__ = "\n".join(lines)
    return function
