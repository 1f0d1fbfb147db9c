"""Gathers what the resolver has to tell, and puts it into sentences."""

from __future__ import annotations

from dataclasses import dataclass, field

from scifn.genesets._names import Features, examples

__all__ = ["Log"]


@dataclass(slots=True)
class Log:
    """What has to be told, gathered by kind."""

    wanted: dict[str, str] = field(default_factory=dict)
    alias: dict[str, str] = field(default_factory=dict)
    ambiguous: dict[str, str] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    summed: dict[str, int] = field(default_factory=dict)
    foreign: list[str] = field(default_factory=list)

    def sentences(self, features: Features) -> list[str]:
        """The notes, in a fixed order."""
        found = []
        if features.versioned:
            found.append("Version suffixes of the Ensembl IDs were left out.")
        if self.wanted:
            found.append(f"Names in the gene lists: {_readings(self.wanted)}.")
        if self.foreign:
            found.append(
                f"Symbols of another species in the gene lists ({examples(self.foreign)}) were "
                "not read as genes of these features: give the symbols of their species."
            )
        if self.alias:
            found.append(f"Older or other names among the features: {_readings(self.alias)}.")
        if self.ambiguous:
            found.append(
                f"Ambiguous names, which other genes have been called too, were used because "
                f"nothing better is there: {_readings(self.ambiguous)}. Check them."
            )
        if self.renamed:
            found.append(
                f"Characters that R or Seurat replaces were put back: {_readings(self.renamed)}."
            )
        if self.summed:
            many = ", ".join(f"{gene} ({n})" for gene, n in sorted(self.summed.items()))
            found.append(f"Genes with several features, which are summed: {many}.")
        if features.dates:
            found.append(
                f"Names that a spreadsheet has turned into dates ({examples(features.dates)}) "
                "were genes of the MARCH, SEPT or DEC families: not guessed, so such genes "
                "count as missing."
            )
        return found


def _readings(pairs: dict[str, str]) -> str:
    return ", ".join(f"{name} read as {gene}" for name, gene in sorted(pairs.items()))
