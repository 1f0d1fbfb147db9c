"""Which species the features are of, and whether their case has been changed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from scifn._errors import ArgumentError, GenesError
from scifn.genesets._ids import SPECIES, Ids, ids
from scifn.genesets._names import Features, examples

__all__ = ["Decision", "check_species", "decide_species"]


@dataclass(frozen=True, slots=True)
class Decision:
    """Species, whether symbols must be compared in capitals, and how many genes were known."""

    species: str
    fold: bool
    n_known: int
    notes: tuple[str, ...]


def check_species(species: object) -> None:
    """Refuse a species that is not known.

    Raises
    ------
    ArgumentError
        ``species`` is neither human nor mouse, nor None.
    """
    if species is not None and species not in SPECIES:
        msg = f'species={species!r}: scifn knows "human" and "mouse".'
        raise ArgumentError(msg)


def decide_species(found: Features, species: str | None) -> Decision:
    """Decide by Ensembl IDs and genome prefixes, else by exact symbols, else by folded ones.

    ``species`` is one that :func:`check_species` lets pass.

    Raises
    ------
    GenesError
        The features are plainly of the other species.
    """
    marked = _marked(found)
    if marked.total():
        return _by_marks(found, species, marked)
    return _by_symbols(found, species)


def _marked(found: Features) -> Counter[str]:
    """Features of each species by Ensembl ID or genome prefix."""
    return Counter(
        ("mouse" if id_.startswith("ENSMUS") else "human") if id_ else genome
        for id_, genome in zip(found.ensembl, found.genome, strict=True)
        if id_ or genome
    )


def _by_marks(found: Features, species: str | None, marked: Counter[str]) -> Decision:
    chosen = species or max(SPECIES, key=lambda name: marked[name])  # a tie is human
    other = "mouse" if chosen == "human" else "human"
    if not marked[chosen]:
        raise _wrong_species(chosen, other, f"{marked[other]} features carry {other} IDs")
    notes = []
    if marked[other]:
        notes.append(
            f"Features of two genomes: the {marked[chosen]} of {chosen} are used, the "
            f"{marked[other]} of {other} are not."
        )
    table = ids(chosen)
    names = set(found.named())
    fold, _, _ = _case(names, {name.upper() for name in names}, table)
    return Decision(chosen, fold, marked[chosen], tuple(notes))


def _by_symbols(found: Features, species: str | None) -> Decision:
    names = set(found.named())
    capitals = {name.upper() for name in names}
    exact = {name: len(names & ids(name).names) for name in SPECIES}
    only = {name: len(capitals & ids(name).species_only) for name in SPECIES}
    if only["human"] != only["mouse"]:
        # Names that the other species does not have decide whatever the case: HLA-A, H2-Aa.
        likely = max(SPECIES, key=lambda name: only[name])
    else:
        likely = max(SPECIES, key=lambda name: exact[name])  # a tie is human
    chosen = species or likely
    other = "mouse" if chosen == "human" else "human"
    if chosen != likely and exact[other] > exact[chosen] and only[other] >= only[chosen]:
        seen = examples(sorted(names & ids(other).names))
        raise _wrong_species(chosen, other, f"the symbols are of {other}: {seen}")
    fold, n_exact, n_folded = _case(names, capitals, ids(chosen))
    notes = []
    if fold:
        notes.append(
            f"Symbols are not in the usual case of {chosen} ({examples(sorted(names))}): compared "
            "without regard to case."
        )
    return Decision(chosen, fold, max(n_exact, n_folded if fold else 0), tuple(notes))


def _case(names: set[str], capitals: set[str], table: Ids) -> tuple[bool, int, int]:
    """Whether to fold the case, and how many names are known exactly and folded."""
    exact = len(names & table.names)
    folded = len(capitals & table.folded.keys())
    return exact < folded / 2, exact, folded


def _wrong_species(chosen: str, other: str, why: str) -> GenesError:
    msg = (
        f'species="{chosen}" was asked for, but {why}. Give species="{other}" or leave species '
        f"out; for {chosen} data, restore the usual case of the {chosen} symbols."
    )
    return GenesError(msg)
