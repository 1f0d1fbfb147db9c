"""Checks: what is in an object, and what it can tell. They look, and change nothing."""

from __future__ import annotations

from scifn.pp._check import check

__all__ = ["check"]


def __dir__() -> list[str]:
    return sorted(__all__)
