"""Runs of cells worked on side by side, by kernels that let go of the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from scifn import _matrix

T = TypeVar("T")
U = TypeVar("U")

#: Cells from which on compiling pays.
COMPILED_FROM: Final = 20_000


def threads_for(n_cells: int) -> int:
    """How many runs are worked on at once; one of few cells, which are left to numpy."""
    return 1 if n_cells < COMPILED_FROM else _matrix.n_processors()


def mapped(function: Callable[[T], U], items: Sequence[T], threads: int) -> Iterator[U]:
    """``function`` of each item in order, ``threads`` at a time."""
    if threads < 2 or len(items) < 2:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(function, items)
