"""Work that is done side by side in threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Item = TypeVar("Item")
Result = TypeVar("Result")


def mapped(
    function: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> Iterator[Result]:
    """``function`` of each item in order, ``threads`` at a time."""
    if threads < 2 or len(items) < 2:
        yield from map(function, items)
        return
    with one_thread_each, ThreadPoolExecutor(min(threads, len(items))) as pool:
        yield from pool.map(function, items)


class _OneThreadEach:
    """No threads of linear algebra beside ours: its small products would wait for them idly.

    The limit is the process's. Who comes first sets it, and who leaves last takes it back, so that
    calls of several threads may overlap.
    """

    def __init__(self) -> None:
        self._lock, self._inside = Lock(), 0
        self._libraries: ThreadpoolController | None = None
        self._limit: Any = None

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._libraries = self._libraries or ThreadpoolController()  # looked up once
                self._limit = self._libraries.limit(limits=1, user_api="blas")

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.restore_original_limits()


one_thread_each = _OneThreadEach()


def n_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
