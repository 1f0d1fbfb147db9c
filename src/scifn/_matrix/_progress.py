"""How far a reading of the matrix is, told to whoever watches.

What reads (blocks of a file, chunks on a cluster) calls :func:`report`; who wants to know says
so with :func:`watch`. Without a watcher nothing happens, so that no function needs a parameter
for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Protocol, TypeVar

Part = TypeVar("Part")


class Watcher(Protocol):
    """Who is told. Calls come from the thread that works, in the order of the work."""

    def progress(self, done: int, total: int, unit: str) -> None:
        """``done`` of ``total`` cells (or genes: ``unit``) were worked on; 0 when it starts."""

    def note(self, text: str) -> None:
        """Something about the file that explains how long it takes."""

    def stage(self, text: str) -> None:
        """What is done now, after the reading."""


_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watch(watcher: Watcher | None) -> Iterator[None]:
    """Tell ``watcher`` (None: nobody) of all that is read inside of this context."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def report(done: int, total: int, unit: str = "cells") -> None:
    """Say how far a reading is."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher.progress(done, total, unit)


def note(text: str) -> None:
    """Say something about what is read."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher.note(text)


def stage(text: str) -> None:
    """Say what is done now."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher.stage(text)


def counted(parts: Iterable[tuple[int, Part]], total: int, unit: str = "cells") -> Iterator[Part]:
    """Hand on the parts of (end, part), and report each end once its part was worked on.

    >>> class Printer:
    ...     def progress(self, done, total, unit):
    ...         print(f"{done} of {total} {unit}")
    >>> with watch(Printer()):
    ...     list(counted([(3, "a"), (5, "b")], 5))
    0 of 5 cells
    3 of 5 cells
    5 of 5 cells
    ['a', 'b']
    """
    report(0, total, unit)
    for end, part in parts:
        yield part
        report(end, total, unit)
