"""Options of ``scifn run``: every keyword of :func:`scifn.run`, and how text becomes a value."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from scifn._errors import ArgumentError, InputFileError

DATA = "Data"
CELLS = "Cells"
DONORS = "Donors"
GROUPS = "Groups"


def _option(*names: str, panel: str, text: str) -> Any:
    return typer.Option(*names, rich_help_panel=panel, help=text, show_default=False)


Input = Annotated[
    Path,
    typer.Argument(
        metavar="INPUT", help="A .h5ad, .zarr, 10x .h5 or 10x mtx folder.", show_default=False
    ),
]
Obs = Annotated[
    Path | None,
    _option("--obs", panel=DATA, text="Table (csv, tsv) of the cells; first column: barcodes."),
]
Memory = Annotated[
    str | None,
    _option("--memory", panel=DATA, text="Most that reading the matrix may take: 500MB, 1GB, ..."),
]
Scheduler = Annotated[
    str | None,
    _option("--scheduler", panel=DATA,
            text="Dask cluster that reads the matrix: its address, 'local', or processes here."),
]  # fmt: skip
Layer = Annotated[
    str | None, _option("--layer", panel=DATA, text="Layer to read, or 'raw' or 'X'.")
]
GeneSymbols = Annotated[
    str | None, _option("--gene-symbols", panel=DATA, text="Column of var with the symbols.")
]
Species = Annotated[
    str | None, _option("--species", panel=DATA, text="human or mouse; else it is detected.")
]
Model = Annotated[
    Path | None,
    _option("--model", panel=DATA, text="h5ad of an earlier run, for its reference values."),
]
Sample = Annotated[
    str | None, _option("--sample", panel=CELLS, text="Column of the library (10x lane).")
]
Labels = Annotated[
    str | None, _option("--labels", panel=CELLS, text="Column of your own coarse labels.")
]
Mapping = Annotated[
    list[str] | None,
    _option("--mapping", panel=CELLS,
            text="LABEL=TYPE, repeated; or a csv with two columns."),
]  # fmt: skip
Clusters = Annotated[
    str | None, _option("--clusters", panel=CELLS, text="Column of clusters, or 'leiden'.")
]
Protein = Annotated[
    str | None, _option("--protein", panel=CELLS, text="obsm key with raw ADT counts.")
]
Doublets = Annotated[
    str | None, _option("--doublets", panel=CELLS, text="Column of a doublet caller.")
]
Ambient = Annotated[
    Path | None,
    _option("--ambient", panel=CELLS, text="Empty droplets: the raw matrix, any kind of INPUT."),
]
Contamination = Annotated[
    str | None,
    _option("--contamination", panel=CELLS, text="Share of ambient RNA: a number or a column."),
]
Bulk = Annotated[bool, _option("--bulk", panel=CELLS, text="Rows are bulk samples, not cells.")]
CellType = Annotated[
    str | None,
    _option("--cell-type", panel=DONORS, text="Column of cell types to count by, if not ours."),
]
Visit = Annotated[str | None, _option("--visit", panel=DONORS, text="Column of the visit.")]
Covariates = Annotated[
    list[str] | None,
    _option("--covariates", "--covariate", panel=DONORS, text="Column to adjust for, repeated."),
]
Measurements = Annotated[
    list[str] | None,
    _option("--measurements", panel=DONORS, text="COLUMN or COLUMN=LOD, repeated."),
]
CellsPerUl = Annotated[
    str | None, _option("--cells-per-ul", panel=DONORS, text="Column with cells per microlitre.")
]
Missing = Annotated[
    list[str] | None,
    _option("--missing", panel=DONORS, text="Word that stands for no value, repeated."),
]
Contrasts = Annotated[
    list[str] | None,
    _option("--contrasts", panel=GROUPS, text="Condition to compare, repeated; else all."),
]
Block = Annotated[
    str | None, _option("--block", panel=GROUPS, text="Column within which labels are permuted.")
]
Paired = Annotated[
    str | None, _option("--paired", panel=GROUPS, text="Column that pairs rows of donors.")
]
NPermutations = Annotated[
    int | None, _option("--n-permutations", panel=GROUPS, text="Permutations (10000).")
]
Rng = Annotated[int | None, _option("--rng", "--seed", panel=GROUPS, text="Seed (0).")]
Signature = Annotated[
    str | None, _option("--signature", panel=GROUPS, text="Signature that strata are made by.")
]
MinControls = Annotated[
    int | None, _option("--min-controls", panel=GROUPS, text="Fewest controls for a cut-off (5).")
]

Features = Annotated[
    str | None,
    _option("--features", panel=GROUPS, text="Where LINE-1 are: var, or an obsm key (var)."),
]
Intronic = Annotated[
    str | None,
    _option("--intronic", panel=GROUPS, text="Column with the intronic fraction of each cell."),
]


def keywords(given: dict[str, Any], *, memory: int | None = None) -> dict[str, Any]:
    """Keywords of :func:`scifn.run` from options; what was not given keeps its default there.

    With a limit of ``memory`` (in bytes) files among them are not loaded as a whole.

    >>> keywords({"mapping": ["CD4 T=T/NK"], "covariates": ["sex"], "bulk": False, "block": None})
    {'mapping': {'CD4 T': 'T/NK'}, 'covariates': ('sex',)}
    """
    kept = {name: v for name, v in given.items() if v is not None and v != [] and v is not False}
    for name in ("covariates", "missing", "contrasts"):
        if name in kept:
            kept[name] = tuple(kept[name])
    if "mapping" in kept:
        kept["mapping"] = _mapping(kept["mapping"])
    if "measurements" in kept:
        kept["measurements"] = dict(map(_measurement, kept["measurements"]))
    if "contamination" in kept:
        kept["contamination"] = _number(kept["contamination"])
    if "ambient" in kept:
        kept["ambient"] = _ambient(kept["ambient"], memory)
    if "model" in kept:
        kept["model"] = _model(kept["model"])
    return kept


def detection(word: str) -> float | dict[str, float]:
    """A share, or what it follows from.

    >>> detection("0.5"), detection("copies=20,capture=0.07")
    (0.5, {'copies': 20.0, 'capture': 0.07})
    """
    try:
        if "=" not in word:
            return float(word)
        return {name.strip(): float(x) for name, x in (one.split("=") for one in word.split(","))}
    except ValueError:
        msg = f"--detection {word!r}: a number was needed, or copies=NUMBER,capture=NUMBER."
        raise ArgumentError(msg) from None


def _mapping(words: Sequence[str]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for word in words:
        if "=" in word:
            label, _, kind = word.rpartition("=")
            pairs[label.strip()] = kind.strip()
        elif Path(word).is_file():
            with Path(word).open(encoding="utf-8-sig", newline="") as file:
                pairs |= {row[0]: row[1] for row in csv.reader(file) if len(row) > 1}
        else:
            msg = (
                f"--mapping {word!r}: LABEL=TYPE was needed, or a csv file with these two columns."
            )
            raise ArgumentError(msg)
    return pairs


def _measurement(word: str) -> tuple[str, dict[str, float]]:
    """``serum_ifna=0.5`` -> ``("serum_ifna", {"lod": 0.5})``."""
    name, found, limit = word.rpartition("=")
    if not found:
        return word, {}
    try:
        return name, {"lod": float(limit)}
    except ValueError:
        msg = f"--measurements {word!r}: after '=' the detection limit was needed, a number."
        raise ArgumentError(msg) from None


def _number(word: str) -> float | str:
    try:
        return float(word)
    except ValueError:
        return word


def _ambient(path: Path, memory: int | None) -> Any:
    """The raw matrix, empty droplets included."""
    from scifn.cli._read import Plan, read

    return read(path, plan=Plan(memory))


def _model(path: Path) -> Any:
    """``uns["scifn"]`` of an earlier run's h5ad."""
    from scifn import _keys as k
    from scifn.cli._read import Plan, read

    uns = read(path, plan=Plan(memory=0)).uns  # nothing but uns is of use
    if k.UNS not in uns:
        msg = f"--model {str(path)!r}: no output of scifn in it; give cells.h5ad of an earlier run."
        raise InputFileError(msg)
    return uns[k.UNS]
