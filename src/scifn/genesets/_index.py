"""Positions of the features of a matrix by gene and by name, for the resolver."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Final

from scifn.genesets._ids import Ids
from scifn.genesets._names import Features
from scifn.genesets._species import Decision

__all__ = ["Index"]

#: What make_unique of anndata ("-1") and of R (".1") appends to the second of two equal names.
_COPY: Final = re.compile(r"^(.+)[-.]\d{1,2}$")


@dataclass(slots=True)
class Index:
    """Positions of the features by gene (from Ensembl IDs) and by name."""

    by_gene: dict[str, list[int]]
    by_id: dict[str, list[int]]  # Ensembl IDs of genes that the table does not know
    by_name: dict[str, list[int]]
    copies: dict[str, list[int]]  # name -> positions of its "name-1", "name.1"
    folded: dict[str, list[int]]  # name in capitals; empty unless the case is folded
    owner: dict[int, str]
    features: Features
    notes: tuple[str, ...]
    capitals: defaultdict[str, set[str]] | None = None  # made when first asked for

    @classmethod
    def build(cls, features: Features, table: Ids, decision: Decision) -> Index:
        """Index the features of the chosen species."""
        by_gene, by_id, by_name, folded = (defaultdict(list) for _ in range(4))
        owner: dict[int, str] = {}
        disagree = 0
        rows = zip(features.symbols, features.ensembl, features.genome, strict=True)
        for i, (symbol, id_, genome) in enumerate(rows):
            marked = ("mouse" if id_.startswith("ENSMUS") else "human") if id_ else genome
            if marked and marked != decision.species:
                continue
            if (gene := table.by_ensembl.get(id_)) is not None:
                by_gene[gene].append(i)
                owner[i] = gene
                disagree += symbol != gene and symbol in table.other_names
            elif id_:
                by_id[id_].append(i)
            if symbol:
                by_name[symbol].append(i)
                if decision.fold:
                    folded[symbol.upper()].append(i)
        notes: tuple[str, ...] = ()
        if disagree:
            notes = (
                f"{disagree} features carry the symbol of one gene and the Ensembl ID of another: "
                "the ID was followed.",
            )
        copies = _copies(by_name, table)
        return cls(
            dict(by_gene), dict(by_id), dict(by_name), copies, dict(folded), owner, features, notes
        )

    def named(self, name: str, gene: str) -> list[int]:
        """Positions of a name and its copies, less those whose ID says another gene."""
        at = self.by_name.get(name)
        if at is None:
            return []
        return [i for i in at + self.copies.get(name, []) if self.owner.get(i, gene) == gene]

    def named_folded(self, name: str, gene: str) -> list[int]:
        """Positions of a name in any case."""
        return [i for i in self.folded.get(name.upper(), ()) if self.owner.get(i, gene) == gene]

    def renamed(self, name: str, gene: str) -> list[int]:
        """Positions of an alias or previous symbol.

        A feature with an Ensembl ID that is not of this gene is left alone: its name is more
        likely the current one of another gene (MUM1 is PWWP3A, and was a name of IRF4).
        """
        at = self.named(name, gene) or self.named_folded(name, gene)
        return [i for i in at if not self.features.ensembl[i]]

    def any_case(self, name: str) -> list[int]:
        """Positions of the one feature name that differs by case only, if it is one."""
        if self.capitals is None:
            capitals: defaultdict[str, set[str]] = defaultdict(set)
            for known in self.by_name:
                capitals[known.upper()].add(known)
            self.capitals = capitals  # at once: others may ask the same index
        hits = self.capitals.get(name.upper(), set())
        return self.by_name[next(iter(hits))] if len(hits) == 1 else []


def _copies(by_name: dict[str, list[int]], table: Ids) -> dict[str, list[int]]:
    """Features named by make_unique: their base is there and they are no gene of their own."""
    found: defaultdict[str, list[int]] = defaultdict(list)
    for name, at in by_name.items():
        if not name[-1].isdigit() or name in table.other_names or name in table.read_as:
            continue
        hit = _COPY.match(name)
        if hit and hit[1] in by_name:
            found[hit[1]] += at
    return dict(found)
