"""How many runs of cells are worked on side by side, by kernels that let go of the interpreter."""

from __future__ import annotations

from typing import Final

from scifn import _matrix

#: Cells from which on compiling pays.
COMPILED_FROM: Final = _matrix.COMPILED


def threads_for(n_cells: int) -> int:
    """How many runs are worked on at once; one of few cells, which are left to numpy."""
    return 1 if n_cells < COMPILED_FROM else _matrix.n_processors()
