"""Writes the pages that state facts of the package: columns, tables, gene sets, the API.

Names come from the package and texts from columns.toml; the build fails where one of them lacks
the other, so that no column stays unexplained.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

from scale_tables import scale

from scifn import _keys, genesets

TEXTS = tomllib.loads((Path(__file__).parent / "columns.toml").read_text(encoding="utf-8"))
MODULES = {
    "pp": "Checking the input",
    "tl": "Analysis",
    "get": "Reading results",
    "pl": "Plots",
    "genesets": "Gene sets",
    "datasets": "Simulated cohorts",
}
TABLES = {
    "donors": (),  # covariates and readouts depend on the call: the texts are the list
    "pseudobulk": (),  # and here the genes
    "type_means": (),  # and here the modules
    "imbalance": _keys.IMBALANCE_COLUMNS,
    "bounds": _keys.BOUNDS_COLUMNS,
    "strata": _keys.STRATA_COLUMNS,
    "serum": _keys.SERUM_COLUMNS,
    "crosstalk": _keys.CROSSTALK_COLUMNS,
    "l1": _keys.L1_COLUMNS,
    "l1_association": _keys.L1_ASSOCIATION_COLUMNS,
    "profiles": (),  # and the numbers behind the columns of the contract
    "coverage": _keys.COVERAGE_COLUMNS,
    "gates": _keys.GATES_COLUMNS,
}


def everything(folder: Path) -> None:
    """Write all generated pages into an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in {
        "cells.inc.md": cells(),
        "types.inc.md": types(),
        "tables.inc.md": tables(),
        "genesets.inc.md": gene_sets(),
        "identity.inc.md": figures("identity"),
        "interferon.inc.md": figures("interferon"),
        "donors.inc.md": figures("donors"),
        **scale(markdown),
        "errors.rst": "Errors\n======\n\n.. automodule:: scifn._errors\n   :members:\n",
        "top.rst": api("scifn", "The whole job", ["run", "report"]),
        **{f"{name}.rst": api(f"scifn.{name}", title) for name, title in MODULES.items()},
    }.items():
        (folder / name).write_text(text, encoding="utf-8")


def figures(name: str) -> str:
    """Figures of a benchmark, as its script wrote them."""
    path = Path(__file__).parents[1] / "benchmarks" / "results" / f"{name}.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    parts: dict[str, list[list[Any]]] = {}
    for row in stored["figures"]:
        met = {True: "met", False: "**missed**", None: ""}[row["met"]]
        values = [_number(row.get(name, "")) for name in ("value", "shipped")]
        parts.setdefault(row["part"], []).append([row["what"], *values, row["target"], met])
    header = ["what", "found", "shipped table", "target", ""]
    if not any(row.get("shipped", "") != "" for row in stored["figures"]):
        header.remove("shipped table")
        parts = {name: [[*row[:2], *row[3:]] for row in rows] for name, rows in parts.items()}
    versions = ", ".join(f"{name} {version}" for name, version in stored["versions"].items())
    tables = [f"### {part}\n\n{markdown(header, rows)}" for part, rows in parts.items()]
    return "\n\n".join([*tables, f"Versions: {versions}."])


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def markdown(header: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )


def same(names: set[str], texts: set[str], where: str) -> None:
    """Fail the build where a name has no text, or a text no name."""
    if names != texts:
        msg = f"{where}: no text for {sorted(names - texts)}, no name for {sorted(texts - names)}"
        raise ValueError(msg)


def cells() -> str:
    """Columns of obs and obsm, and keys of uns."""
    names = {
        name
        for name, value in vars(_keys).items()
        if isinstance(value, str) and value.startswith(_keys.PREFIX) and name != "PREFIX"
    }
    slots = ("obs", "obsm", "uns")
    same(names, {name for slot in slots for name in TEXTS[slot]}, "columns of cells")
    rows = [
        [
            f'`{slot}["{getattr(_keys, name)}"]`',
            f"`{step if '.' in step else f'tl.{step}'}`",
            kind,
            text,
        ]
        for slot in slots
        for name, (step, kind, text) in TEXTS[slot].items()
    ]
    return markdown(["where", "from", "kind", "meaning"], rows)


def types() -> str:
    """Cell types and their lineages."""
    rows = [
        [name, lineage, "no" if name in _keys.NOT_COUNTED else "yes"]
        for name, lineage in _keys.LINEAGE_OF.items()
    ]
    return markdown(["cell type", "lineage", "counts in `n_total`"], rows)


def tables() -> str:
    """Columns of the tables in uns."""
    parts = []
    same(set(TABLES), set(TEXTS["tables"]), "tables")
    for table, columns in TABLES.items():
        texts = dict(TEXTS["tables"][table])
        intro = texts.pop("_")
        same(set(columns) or set(texts), set(texts), f"table {table}")
        rows = [[f"`{name}`", texts[name]] for name in columns or texts]
        parts += [f"### {table}", intro, markdown(["column", "meaning"], rows)]
    return "\n\n".join(parts)


def gene_sets() -> str:
    """Every gene set with its source, a short section each."""
    parts = []
    for row in genesets.table().to_dict("records"):
        state = row["status"] if row["enabled"] else f"{row['status']}, **disabled**"
        doi = f"[{row['doi']}](https://doi.org/{row['doi']})" if row["doi"] else ""
        source = " ".join(filter(None, [row["reference"], doi]))
        parts += [
            f"### {row['name']}",
            f"{row['description']} *{row['organism']}, {row['n_genes']} genes, {state}.*",
            f"Source: {source}" if source else "",
            f"Note: {row['note']}" if row["note"] else "",
            "`" + " ".join(row["genes"].split(";")) + "`",
        ]
    return "\n\n".join(filter(None, parts))


def api(module: str, title: str, names: list[str] | None = None) -> str:
    """A page that lists the public names of a module; autosummary writes a page for each."""
    names = names or import_module(module).__all__
    lines = [title, "=" * len(title), "", f".. currentmodule:: {module}", ""]
    if module != "scifn":
        lines += [f".. automodule:: {module}", "   :no-members:", ""]
    lines += [".. autosummary::", "   :toctree: api", "   :nosignatures:", ""]
    return "\n".join([*lines, *(f"   {name}" for name in names), ""])
