"""Numbers of things in words."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "donor"), counted(0, "donor"), counted(1200, "further sample")
    ('1 donor', '0 donors', '1,200 further samples')
    """
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
