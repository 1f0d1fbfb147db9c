"""The one place that compiles. Imported only where there is enough data for it to pay."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """``function`` compiled when it is first called, and kept on disk where that is possible.

    It lets go of the interpreter while it runs, so that threads work side by side.
    """
    try:
        return numba.njit(cache=True, nogil=True, **options)(function)
    except RuntimeError:  # no folder that can be written to: compiled anew in each process
        return numba.njit(nogil=True, **options)(function)
