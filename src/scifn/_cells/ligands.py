"""The interferons whose transcripts are tested, and IL10: genes, and who could make each.

Who makes a ligand is a result, never an input. The lists say only which cells are tested
together and which hold no more of a transcript than their soup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scifn import _keys as k
from scifn.genesets import _sets

CANDIDATES: Final = k.CANDIDATE_PRODUCERS
#: Types that cannot, so what they hold is soup.
ABSENT: Final = (
    k.T_NK, k.B_NAIVE, k.B_MEMORY, k.B_TRANSITIONAL, k.B_ATYPICAL, k.B_UNRESOLVED,
    k.PLATELET, k.ERYTHROCYTE,
)  # fmt: skip
_B: Final = tuple(name for name, lineage in k.LINEAGE_OF.items() if lineage == "B")


def group_of(cell_type: str) -> str:
    """Candidates that are tested with one share of the error: few groups, and none of leftovers.

    >>> group_of("pDC"), group_of("cDC"), group_of("DC unresolved"), group_of("Keratinocyte")
    ('pDC', 'DC', 'DC', 'Keratinocyte')
    """
    lineage = k.LINEAGE_OF.get(cell_type, "Other")
    return cell_type if cell_type == k.PDC or lineage == "Other" else lineage


@dataclass(frozen=True)
class Ligand:
    """A gene, or a family of genes whose UMI are summed."""

    #: Name of its columns.
    name: str
    candidates: tuple[str, ...] = CANDIDATES
    absent: tuple[str, ...] = ABSENT
    #: Whether T cells cannot make it, so that calls among them prove the background wrong.
    t_cells_are_null: bool = True

    @property
    def title(self) -> str:
        """Its name in tables."""
        return k.LIGANDS[self.name]

    @property
    def phrase(self) -> str:
        """What the background's cells are said to be."""
        can = "cannot make" if self.t_cells_are_null else "make little"
        return f"cells of types that {can} {self.title}"

    def genes(self, species: str) -> tuple[str, ...]:
        """Genes of the ligand in a species."""
        if self.name in _FAMILIES:
            return tuple(_sets.for_species(_FAMILIES[self.name], species))
        return _GENES[self.name][0 if species == "human" else 1]


_FAMILIES: Final = {"ifna": "ifn_alpha", "ifnl": "ifn_type3"}
_GENES: Final = {
    "ifnb1": (("IFNB1",), ("Ifnb1",)),
    "ifnk": (("IFNK",), ("Ifnk",)),
    "ifn1_other": (("IFNW1", "IFNE"), ("Ifne", "Ifnz")),
    "il10": (("IL10",), ("Il10",)),
}
IFNA: Final = Ligand("ifna")
#: T cells can make IL10: their rate bounds the background from above.
IL10: Final = Ligand(
    "il10", candidates=(*CANDIDATES, *_B), absent=(k.T_NK, k.PLATELET, k.ERYTHROCYTE),
    t_cells_are_null=False,
)  # fmt: skip
#: IFNA first: it alone has columns of its own beyond the UMI.
LIGANDS: Final = (
    IFNA, Ligand("ifnb1"), Ligand("ifnk"), Ligand("ifn1_other"), Ligand("ifnl"), IL10,
)  # fmt: skip
OTHERS: Final = LIGANDS[1:]
