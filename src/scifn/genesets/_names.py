"""Takes feature names apart: symbols, Ensembl IDs, genome prefixes, what is no gene at all.

Files of this field carry names like ``ENSG00000185291.12_PAR_Y``, ``GRCh38_CD19`` or
``CD19_ENSG00000177455``; behind this module there is a symbol and an ID per feature.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from scifn._errors import ArgumentError, GenesError

__all__ = [
    "Features",
    "ensembl_id",
    "examples",
    "refuse_no_genes",
    "take_apart",
    "unrecognized",
]

_ID = r"ENS(?:MUS)?G\d{11}"
_ID_FIRST: Final = re.compile(rf"^({_ID})(\.\d+)?(?:_PAR_Y)?(?:[_|\-:](.+))?$", re.IGNORECASE)
_ID_LAST: Final = re.compile(rf"^(.+)[_|\-:]({_ID})(\.\d+)?(?:_PAR_Y)?$", re.IGNORECASE)
_GENOME: Final = re.compile(r"^(GRCh3[78]|hg19|hg38|GRCm3[89]|mm9|mm10|mm39)[_\-]+(?=.)")
_HUMAN_GENOMES: Final = ("GRCh", "hg")
_BARCODE: Final = re.compile(r"^(?:.*[_\-#:])?[ACGTN]{12,}(?:[_\-.]\w+)*$")
_DATE: Final = re.compile(
    r"^(?:\d{1,2}-(?:Mar|Sept?|Dec)|(?:Mar|Sept?|Dec)-\d{1,2}|\d{4}-(?:03|09|12)-\d\d(?: .*)?)"
    r"(?:[-.]\d+)?$",
    re.IGNORECASE,
)
_OTHER_ENSEMBL: Final = re.compile(r"^ENS(?!G\d|MUSG\d)[A-Z]*\d{6,}", re.IGNORECASE)
_EMPTY: Final = frozenset({"", "nan", "NaN", "None", "NA", "<NA>"})


@dataclass(slots=True)
class Features:
    """What the names of the features say, one entry a feature, "" where there is nothing."""

    symbols: list[str]
    ensembl: list[str]
    genome: list[str]  # "human", "mouse" or "" by the prefix of the name
    versioned: bool = False
    ids_in_names: int = 0
    dates: list[str] = field(default_factory=list)

    def named(self) -> list[str]:
        """Symbols that are not empty."""
        return [symbol for symbol in self.symbols if symbol]


def take_apart(names: Sequence[object], ensembl: Sequence[object] | None) -> Features:
    """Split every name into genome prefix, Ensembl ID and symbol.

    Raises
    ------
    ArgumentError
        There is not one Ensembl entry for each name.
    """
    if ensembl is not None and len(ensembl) != len(names):
        msg = f"{len(names)} feature names but {len(ensembl)} Ensembl IDs; there must be one each."
        raise ArgumentError(msg)
    found = Features([], [], [])
    given = [""] * len(names) if ensembl is None else [_text(entry) for entry in ensembl]
    for name, given_id in zip(map(_text, names), given, strict=True):
        genome, name_ = _strip_genome(name)
        symbol, id_, version = _split_id(name_)
        found.ids_in_names += bool(id_)
        if given_id:
            other_genome, bare = _strip_genome(given_id)
            _, column_id, column_version = _split_id(bare)
            id_, version = column_id or id_, version or column_version
            genome = genome or other_genome
        found.symbols.append(symbol)
        found.ensembl.append(id_)
        found.genome.append(genome)
        found.versioned |= version
    found.dates = sorted({s for s in found.symbols if "-" in s and _DATE.match(s)})
    return found


def refuse_no_genes(found: Features) -> None:
    """Stop at names that say by their form that they are not genes.

    Raises
    ------
    GenesError
        There are no features, or their names are integers or cell barcodes.
    """
    symbols = found.named()
    if any(found.ensembl):
        return
    if not symbols:
        n = len(found.symbols)
        what = f"None of the {n} features has a name." if n else "The matrix has no features."
        msg = (
            f"{what} scifn needs gene symbols or Ensembl gene IDs in var_names or in the var "
            "column that gene_symbols= names."
        )
        raise GenesError(msg)
    if all(symbol.isdecimal() for symbol in symbols):
        msg = (
            f"The feature names are integers ({examples(symbols)}): row numbers or Entrez IDs, "
            "not gene names. Name the column of var that holds gene symbols or Ensembl IDs with "
            "gene_symbols=, or check whether the matrix is transposed (adata.T)."
        )
        raise GenesError(msg)
    if sum(len(s) >= 12 and bool(_BARCODE.match(s)) for s in symbols) > len(symbols) / 2:
        msg = (
            f"The feature names look like cell barcodes ({examples(symbols)}): the matrix seems "
            "to be transposed. scifn needs cells as rows and genes as columns; adata.T turns it."
        )
        raise GenesError(msg)


def unrecognized(found: Features, species: str | None) -> GenesError:
    """The error for names of which not one is a known gene."""
    symbols = found.named()
    hint = ""
    if any(map(_OTHER_ENSEMBL.match, symbols)):
        hint = (
            " They look like Ensembl IDs of transcripts or of another species; scifn knows "
            "genes (ENSG) of human and (ENSMUSG) of mouse."
        )
    looked_for = species or "human or mouse"
    msg = (
        f"None of the {len(found.symbols)} feature names is a {looked_for} gene that scifn "
        f"knows; found for example {examples(symbols)}.{hint} Needed are gene symbols or Ensembl "
        "gene IDs: name the column of var that holds them with gene_symbols=, give "
        'species="human" or "mouse", or check whether the matrix is transposed (adata.T).'
    )
    return GenesError(msg)


def examples(names: Sequence[str], n: int = 3) -> str:
    """Show some names, the same ones whatever their order.

    >>> examples(["b", "a", "d", "c"])
    "'a', 'b', 'c', ..."
    """
    shown = sorted(set(names))
    return ", ".join(map(repr, shown[:n])) + (", ..." if len(shown) > n else "")


def ensembl_id(name: str) -> str:
    """Ensembl ID in a name, without its version; "" where there is none.

    >>> ensembl_id("ENSG00000187608.10"), ensembl_id("ISG15")
    ('ENSG00000187608', '')
    """
    return _split_id(name)[1]


def _text(name: object) -> str:
    """Name as stripped text; "" for None, NaN and the like."""
    if isinstance(name, bytes):
        name = name.decode("utf-8", "replace")
    text = name.strip() if isinstance(name, str) else "" if name is None else str(name).strip()
    return "" if text in _EMPTY else text


def _strip_genome(name: str) -> tuple[str, str]:
    """Species by the genome prefix, and the name without it."""
    if name[:2] not in ("GR", "hg", "mm") or not (hit := _GENOME.match(name)):
        return "", name
    return "human" if hit[1].startswith(_HUMAN_GENOMES) else "mouse", name[hit.end() :]


def _split_id(name: str) -> tuple[str, str, bool]:
    """Symbol, Ensembl ID without version, and whether it had one."""
    if "ENS" not in name and "ens" not in name:
        return name, "", False
    if hit := _ID_FIRST.match(name):
        return hit[3] or "", hit[1].upper(), bool(hit[2])
    if hit := _ID_LAST.match(name):
        return hit[1], hit[2].upper(), bool(hit[3])
    return name, "", False
