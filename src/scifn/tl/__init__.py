"""Steps: each computes from the matrix or from earlier output, and writes into AnnData."""

from __future__ import annotations

from scifn.tl._annotate import annotate
from scifn.tl._capacity import capacity
from scifn.tl._crosstalk import crosstalk
from scifn.tl._donors import donors
from scifn.tl._imbalance import imbalance
from scifn.tl._production import production
from scifn.tl._profiles import profiles
from scifn.tl._response import response
from scifn.tl._retroelements import retroelements
from scifn.tl._score import score
from scifn.tl._stratify import stratify

__all__ = [
    "annotate",
    "capacity",
    "crosstalk",
    "donors",
    "imbalance",
    "production",
    "profiles",
    "response",
    "retroelements",
    "score",
    "stratify",
]


def __dir__() -> list[str]:
    return sorted(__all__)
