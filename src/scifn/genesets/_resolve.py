"""Finds genes among the features of a matrix, whatever they are called there.

Order of trust: Ensembl ID, approved symbol, alias, previous symbol. A name further down the
list is used only where everything above it is absent, so an alias is never added to a gene
that is there under its own name. Features that are the same gene are summed by the caller:
each gene comes with all its positions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from scifn.genesets._ids import Ids, ids
from scifn.genesets._index import Index
from scifn.genesets._log import Log
from scifn.genesets._names import (
    Features,
    ensembl_id,
    refuse_no_genes,
    take_apart,
    unrecognized,
)
from scifn.genesets._species import Decision, check_species, decide_species

__all__ = ["Resolution", "resolve"]

_NOT_IN_R_NAMES: Final = re.compile(r"[^A-Za-z0-9._]")


@dataclass(frozen=True, slots=True)
class Resolution:
    """Which wanted genes are among the features, where, and how they were found."""

    #: Approved symbols that were found, sorted.
    genes: tuple[str, ...]
    #: Positions of the features of each gene, to be summed.
    columns: tuple[tuple[int, ...], ...]
    #: Approved symbols of the wanted genes that were not found, sorted.
    missing: tuple[str, ...]
    #: "human" or "mouse".
    species: str
    #: What the features are called by, in words.
    identifiers: str
    #: Plain sentences on everything that was not an exact match.
    notes: tuple[str, ...]
    #: Gene -> "ensembl", "symbol", "alias", "previous", "ambiguous alias", "make.names" or
    #: "case folded".
    how: dict[str, str]
    #: Wanted name -> approved symbol that it was read as, where they differ.
    read_as: dict[str, str] = field(default_factory=dict)


def resolve(
    names: Sequence[str],
    wanted: Iterable[str] | Mapping[str, Iterable[str]],
    *,
    ensembl: Sequence[str] | None = None,
    species: str | None = None,
) -> Resolution:
    """Find genes among feature names.

    Parameters
    ----------
    names
        Feature names as they are in the file: symbols, Ensembl IDs or both in one.
    wanted
        Genes to find; aliases and previous symbols are read as their approved symbol. A mapping
        holds the genes of each species, and those of the species found are looked for.
    ensembl
        Ensembl ID of each feature where the file has them in a column of their own.
    species
        ``"human"`` or ``"mouse"``; detected if None.

    Returns
    -------
    The genes found with the positions of their features, and the story of how. It does not
    depend on the order of the features, but for the positions.

    Raises
    ------
    GenesError
        No name is a known gene, the names are integers or cell barcodes, or they are of the
        other species than asked for.
    ArgumentError
        ``species`` is unknown, or ``ensembl`` has another length than ``names``.

    Examples
    --------
    >>> found = resolve(["IGJ", "CD19", "CD19", "TCF7L2"], ["JCHAIN", "CD19", "TCF4"])
    >>> found.genes, found.columns, found.missing
    (('CD19', 'JCHAIN'), ((1, 2), (0,)), ('TCF4',))
    >>> found.how["JCHAIN"]
    'previous'
    """
    check_species(species)
    index, decision = _indexed(tuple(names), None if ensembl is None else tuple(ensembl), species)
    features, table, log = index.features, ids(decision.species), Log()
    mine = wanted.get(decision.species, ()) if isinstance(wanted, Mapping) else wanted
    genes = sorted({_approved(str(gene), index, table, log) for gene in mine})
    found = {gene: hit for gene in genes if (hit := _locate(gene, index, table, log))}
    if not found and not decision.n_known:
        raise unrecognized(features, species)
    return Resolution(
        genes=tuple(found),
        columns=tuple(positions for positions, _ in found.values()),
        missing=tuple(gene for gene in genes if gene not in found),
        species=decision.species,
        identifiers=_identifiers(features, decision, log, given=ensembl is not None),
        notes=(*decision.notes, *index.notes, *log.sentences(features)),
        how={gene: how for gene, (_, how) in found.items()},
        read_as=dict(log.wanted),
    )


@lru_cache(maxsize=2)
def _indexed(
    names: tuple[str, ...], ensembl: tuple[str, ...] | None, species: str | None
) -> tuple[Index, Decision]:
    """Features by gene and name, and their species.

    Kept, because the steps of an analysis ask one after another for the features of one matrix.
    """
    features = take_apart(names, ensembl)
    refuse_no_genes(features)
    decision = decide_species(features, species)
    return Index.build(features, ids(decision.species), decision), decision


def _approved(gene: str, index: Index, table: Ids, log: Log) -> str:
    """Approved symbol of a wanted gene; a gene outside the table stays as it is."""
    if gene in table.other_names:
        return gene
    if gene not in table.read_as and gene in index.by_name:
        return gene
    if "ENS" in gene.upper() and (id_ := ensembl_id(gene)):
        return _of_id(gene, id_, index, table, log)
    dashed = gene.replace(".", "-")  # HLA.DRA, as R's make.names writes it
    if dashed != gene and (dashed in table.names or dashed in index.by_name):
        log.wanted[gene] = table.read_as.get(dashed, dashed)
        return log.wanted[gene]
    other = "human" if table.species == "mouse" else "mouse"
    if gene in ids(other).other_names:  # a list for the other species is not folded into this one
        log.foreign.append(gene)
        return gene
    read = table.read_as.get(gene) or table.folded.get(gene.upper())
    if read is None:
        return gene
    log.wanted[gene] = read
    return read


def _of_id(gene: str, id_: str, index: Index, table: Ids, log: Log) -> str:
    """Symbol of a gene that is wanted by its Ensembl ID; the ID where no symbol is known."""
    at = index.by_id.get(id_, [])
    symbols = [index.features.symbols[i] for i in at if index.features.symbols[i]]
    read = table.by_ensembl.get(id_) or (symbols[0] if len(set(symbols)) == 1 else id_)
    if read != gene:
        log.wanted[gene] = read
    return read


def _locate(gene: str, index: Index, table: Ids, log: Log) -> tuple[tuple[int, ...], str] | None:
    """Positions of a gene by the most trusted name that is there."""
    at = index.by_gene.get(gene) or index.by_id.get(gene, [])
    how = "ensembl" if at else "symbol"
    at = at + index.named(gene, gene)
    if not at:
        at, how = _by_other_name(gene, index, table, log)
    if not at:
        return None
    positions = tuple(sorted(set(at)))
    if len(positions) > 1:
        log.summed[gene] = len(positions)
    return positions, how


def _by_other_name(gene: str, index: Index, table: Ids, log: Log) -> tuple[list[int], str]:
    """Positions by a rewritten symbol, an alias, a previous symbol, or the symbol in any case."""
    for variant in _rewritten(gene):
        if variant not in table.other_names and (at := index.named(variant, gene)):
            log.renamed[variant] = gene
            return at, "make.names"
    if at := index.named_folded(gene, gene):
        return at, "case folded"
    for tier, name in table.other_names.get(gene, ()):
        for form in (name, *_rewritten(name)):
            if at := index.renamed(form, gene):
                seen = index.features.symbols[at[0]]
                (log.ambiguous if tier == "ambiguous alias" else log.alias)[seen] = gene
                return at, tier
    known = gene in table.other_names or gene in log.foreign
    if not known and (at := index.any_case(gene)):
        log.alias[index.features.symbols[at[0]]] = gene
        return at, "case folded"
    return [], ""


def _rewritten(name: str) -> list[str]:
    """A name as R's make.names and as Seurat would write it, where that differs."""
    in_r = _NOT_IN_R_NAMES.sub(".", name)
    in_r = f"X{in_r}" if in_r[:1].isdigit() else in_r
    forms = (in_r, name.replace("-", "_"), name.replace("_", "-"))
    return [form for form in dict.fromkeys(forms) if form != name]


def _identifiers(features: Features, decision: Decision, log: Log, *, given: bool) -> str:
    """What the features are called by, in words."""
    n_ids = sum(map(bool, features.ensembl))
    if given and n_ids and features.named():
        return "symbols and Ensembl IDs"
    if n_ids > len(features.symbols) / 2:
        both = " with symbols" if any(features.symbols) and not given else ""
        version = " with version" if features.versioned else ""
        return f"Ensembl IDs{version}{both}"
    if decision.fold:
        return "symbols (case folded)"
    if any("." in name for name in log.renamed):
        return "R make.names symbols"
    return "symbols"
