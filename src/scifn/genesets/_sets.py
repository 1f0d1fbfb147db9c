"""Reads the TOML files of the gene sets, once, into frozen records."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

__all__ = ["STATUSES", "GeneSet", "all_sets", "for_species", "panel"]

#: How well a list is supported, strongest first.
STATUSES: Final = ("verified", "recalled", "expert", "uncertain")


@dataclass(frozen=True, slots=True)
class GeneSet:
    """One gene set and where it comes from; the fields are the keys of its file."""

    name: str
    description: str
    organism: str
    status: str
    enabled: bool
    reference: str
    doi: str
    note: str
    genes: tuple[str, ...]
    #: Genes of the set that no source supports; empty where the status speaks for all.
    expert_genes: tuple[str, ...] = ()
    disabled_because: str = ""
    #: "genes", or "features" for names that are not genes (repeats).
    kind: str = "genes"


@lru_cache(maxsize=1)
def all_sets() -> dict[str, GeneSet]:
    """Every shipped set by its name; callers must not change the dict."""
    found = {}
    for path in files("scifn.genesets").joinpath("data").iterdir():
        if path.name.endswith(".toml"):
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
            raw["genes"] = tuple(raw["genes"])
            raw["expert_genes"] = tuple(raw.get("expert_genes", ()))
            found[raw["name"]] = GeneSet(**raw)
    return dict(sorted(found.items()))


def for_species(name: str, species: str) -> tuple[str, ...]:
    """Genes of a human set, or of its mouse counterpart; empty where there is none.

    >>> for_species("ifn_type2", "human"), for_species("ifn_type2", "mouse")
    (('IFNG',), ('Ifng',))
    >>> for_species("kim28_like", "mouse")
    ()
    """
    key = f"{name}_mouse" if species == "mouse" else name
    found = all_sets().get(key)
    return found.genes if found is not None and found.enabled else ()


@lru_cache(maxsize=2)
def panel(species: str = "human") -> tuple[str, ...]:
    """All genes of all enabled sets of a species, sorted: what one pass over a matrix reads."""
    return tuple(
        sorted(
            {
                gene
                for found in all_sets().values()
                if found.organism == species and found.enabled and found.kind == "genes"
                for gene in found.genes
            }
        )
    )
