"""The identifier tables: which names and Ensembl IDs a gene goes by, per species.

They cover the genes of all sets plus common genes that help to recognize a
species. ``benchmarks/make_gene_ids.py`` makes them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

__all__ = ["SPECIES", "Ids", "approved", "ids", "ortholog"]

SPECIES: Final = ("human", "mouse")
#: Column of the table -> what a name from it is called, in the order in which names are tried.
TIERS: Final = {"aliases": "alias", "previous": "previous", "ambiguous": "ambiguous alias"}


@dataclass(frozen=True, slots=True)
class Ids:
    """Names of one species' genes."""

    species: str
    #: Ensembl ID without version -> approved symbol.
    by_ensembl: dict[str, str]
    #: Approved symbol -> other names as (tier, name), in the order in which they are tried.
    other_names: dict[str, tuple[tuple[str, str], ...]]
    #: Alias or previous symbol -> approved symbol; ambiguous names are left out.
    read_as: dict[str, str]
    #: Approved symbols and the names in ``read_as``.
    names: frozenset[str]
    #: Symbol in capitals -> approved symbol.
    folded: dict[str, str]
    #: Symbols in capitals that the other species has no gene for.
    species_only: frozenset[str]
    #: Ensembl IDs of each gene.
    ensembl: dict[str, tuple[str, ...]]
    #: 1:1 counterpart in humans (mouse table only).
    human: dict[str, str]


@lru_cache(maxsize=2)
def ids(species: str) -> Ids:
    """Table of a species, read once; callers must not change its dicts."""
    path = files("scifn.genesets").joinpath("data", f"ids_{species}.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    other_names = {
        row["symbol"]: tuple(
            (tier, name) for column, tier in TIERS.items() for name in _split(row[column])
        )
        for row in rows
    }
    read_as = {
        name: symbol
        for symbol, names in other_names.items()
        for tier, name in names
        if tier != TIERS["ambiguous"]
    }
    return Ids(
        species=species,
        by_ensembl={id_: row["symbol"] for row in rows for id_ in _split(row["ensembl"])},
        other_names=other_names,
        read_as=read_as,
        names=frozenset(other_names) | frozenset(read_as),
        folded={symbol.upper(): symbol for symbol in other_names},
        species_only=frozenset(r["symbol"].upper() for r in rows if r["species_only"] == "1"),
        ensembl={row["symbol"]: tuple(_split(row["ensembl"])) for row in rows},
        human={row["symbol"]: row["human"] for row in rows if row.get("human")},
    )


def approved(names: Iterable[str], species: str = "human") -> dict[str, str]:
    """Name -> approved symbol, for the names of a user's list.

    Aliases and previous symbols are replaced, case is folded for genes that the table
    knows, any other name stays as it is. Ambiguous aliases stay as they are too.

    >>> approved(["IGJ", "cd19", "MS4A1", "XYZ1"])
    {'IGJ': 'JCHAIN', 'cd19': 'CD19', 'MS4A1': 'MS4A1', 'XYZ1': 'XYZ1'}
    """
    table = ids(species)
    found = {}
    for name in names:
        known = name in table.other_names
        folded = table.folded.get(name.upper(), name)
        found[name] = name if known else table.read_as.get(name, folded)
    return found


def ortholog(symbol: str) -> str | None:
    """Mouse gene that is the 1:1 counterpart of a human panel gene, or None.

    None also where a pair exists on paper but does not mean the same (the IFNA family,
    OAS1, MX1, APOBEC3, LILRA4, CLEC4C, IFI27, IFI44L, SIGLEC1 and others).

    >>> ortholog("CD24"), ortholog("ISG15"), ortholog("IFNA1")
    ('Cd24a', 'Isg15', None)
    """
    return _orthologs().get(symbol)


@lru_cache(maxsize=1)
def _orthologs() -> dict[str, str]:
    return {human: mouse for mouse, human in ids("mouse").human.items()}


def _split(cell: str) -> list[str]:
    return [part for part in cell.split(";") if part]
