"""How much memory reading may take: the option ``--memory``, and what is done without it."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path
from typing import Final

from scifn._errors import ArgumentError

#: A file whose matrices take more than this, or a quarter of the memory that is free, stays there.
LOADED_BELOW: Final = 2 * 1024**3
SHARE: Final = 4
#: Arrays from this size on are given back as soon as they are freed; and glibc's name for that.
LARGE: Final = 2**20
_M_MMAP_THRESHOLD: Final = -3
_UNITS: Final = {
    "k": 1e3, "kb": 1e3, "kib": 2**10, "m": 1e6, "mb": 1e6, "mib": 2**20,
    "g": 1e9, "gb": 1e9, "gib": 2**30, "t": 1e12, "tb": 1e12, "tib": 2**40,
}  # fmt: skip


def parse(word: str) -> int:
    """Bytes of a size in words.

    >>> parse("500MB"), parse("1GiB"), parse("1.5 G")
    (500000000, 1073741824, 1500000000)

    Raises
    ------
    ArgumentError
        If it is no size above zero with a unit.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]+)\s*", word)
    unit = _UNITS.get(found[2].lower()) if found else None
    if found is None or unit is None or float(found[1]) * unit < 1:
        msg = f"--memory {word!r}: a size with its unit was needed, such as 500MB, 1GB or 2GiB."
        raise ArgumentError(msg)
    return int(float(found[1]) * unit)


def in_words(size: float) -> str:
    """A size as one reads it.

    >>> in_words(740_000_000), in_words(11_813_465_368)
    ('740 MB', '11.8 GB')
    """
    if size >= 1e9:
        return f"{size / 1e9:.1f} GB"
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


def available() -> int:
    """Memory in bytes that this process may still take, as far as the system tells."""
    found = [_free(), *_of_group()]
    return int(min(size for size in found if size > 0)) if any(found) else LOADED_BELOW * SHARE


def give_back() -> None:
    """Let memory of freed arrays go back to the system at once, where the C library can.

    glibc else keeps ever larger pieces for itself, between which what stays is scattered: a
    quarter of the memory of a run on a million cells.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)
    except (OSError, AttributeError, TypeError):  # another C library
        return


def _free() -> int:
    try:
        told = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.M)
    except OSError:
        told = None
    if told is not None:
        return int(told[1]) * 1024
    try:  # half of what is built in, where the system does not say how much is free
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 0


def _of_group() -> list[int]:
    """What the control group of a container or a batch system leaves."""
    for limit, used in (
        ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
        (
            "/sys/fs/cgroup/memory/memory.limit_in_bytes",
            "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        ),
    ):
        try:
            return [max(int(Path(limit).read_text()) - int(Path(used).read_text()), 1)]
        except (OSError, ValueError):  # not there, or "max"
            continue
    return []
