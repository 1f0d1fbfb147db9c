"""The commands: each reads, calls one function of the package, and writes."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from scifn.cli import _options as o
from scifn.cli._progress import note, stage

app = typer.Typer(
    name="scifn",
    help="Type I interferon, pDC and Breg-like cells in single-cell data. Research use only.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace results that are there.", show_default=False)
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Print where an error happened.", show_default=False)
]
Title = Annotated[
    str | None, typer.Option("--title", help="Heading of the report.", show_default=False)
]
CITATION = (
    "The scifn developers. scifn: type I interferon, plasmacytoid dendritic cells and "
    "regulatory-like B cells in single-cell data. Version {version}. BSD-3-Clause."
)
CITE_TOO = "Please cite the sources of the gene sets and methods that your report lists as well."


def _version(wanted: bool) -> None:
    if wanted:
        from scifn import __version__

        _print(__version__)
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Type I interferon, pDC and Breg-like cells in single-cell data. Research use only."""


@app.command()
def run(
    input: o.Input,
    donor: Annotated[str, typer.Option("--donor", help="Column of the donor.")],
    condition: Annotated[str, typer.Option("--condition", help="Column of the condition.")],
    reference: Annotated[str, typer.Option("--reference", help="Condition to compare with.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")],
    title: Title = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
    obs: o.Obs = None,
    memory: o.Memory = None,
    scheduler: o.Scheduler = None,
    layer: o.Layer = None,
    gene_symbols: o.GeneSymbols = None,
    species: o.Species = None,
    model: o.Model = None,
    sample: o.Sample = None,
    labels: o.Labels = None,
    mapping: o.Mapping = None,
    clusters: o.Clusters = None,
    protein: o.Protein = None,
    doublets: o.Doublets = None,
    ambient: o.Ambient = None,
    contamination: o.Contamination = None,
    bulk: o.Bulk = False,
    cell_type: o.CellType = None,
    visit: o.Visit = None,
    covariates: o.Covariates = None,
    measurements: o.Measurements = None,
    cells_per_ul: o.CellsPerUl = None,
    missing: o.Missing = None,
    contrasts: o.Contrasts = None,
    block: o.Block = None,
    paired: o.Paired = None,
    n_permutations: o.NPermutations = None,
    rng: o.Rng = None,
    signature: o.Signature = None,
    min_controls: o.MinControls = None,
    features: o.Features = None,
    intronic: o.Intronic = None,
) -> None:
    """Do every step that a file supports and write tables and a report."""
    given = dict(locals())
    for name in ("input", "out", "title", "debug", "obs", "memory", "scheduler"):
        del given[name]
    _run_file(input, out, obs=obs, title=title, memory=memory, scheduler=scheduler, given=given)


def _run_file(
    source: Path,
    out: Path,
    *,
    obs: Path | None,
    title: str | None,
    memory: str | None,
    scheduler: str | None,
    given: dict[str, Any],
) -> None:
    from scifn import _matrix
    from scifn.cli import _cluster, _memory
    from scifn.cli._read import Plan, budget, read
    from scifn.cli._write import check_target, fingerprint

    others = (given.get(name) for name in ("model", "ambient"))
    inputs = [path for path in (source, obs, *others) if path is not None]
    check_target(out, inputs=inputs, overwrite=given["overwrite"])
    limit = None if memory is None else _memory.parse(memory)
    _cluster.check(scheduler)
    if scheduler is not None and limit is not None:
        note("--memory is that of this process; workers have limits of their own (--memory-limit).")
    given = o.keywords(given, memory=limit)
    arrays = tuple(str(given[name]) for name in ("protein", "features") if name in given)
    with stage(f"Reading {source}"):
        adata = read(source, obs=obs, plan=Plan(limit, arrays, stay=scheduler is not None))
        if scheduler is not None:
            adata = _cluster.spread(adata, source)
    room = budget(adata, limit)
    described = {
        "input": fingerprint(source),
        "obs": fingerprint(obs) if obs is not None else None,
        "command": sys.argv[1:],
    }
    with _matrix.within(room), ExitStack() as closing:
        if scheduler is not None:
            with stage(_cluster.words(scheduler)):
                closing.enter_context(_cluster.cluster(scheduler, source))
        _analyze(adata, out, title=title, source=described, given=given)


def _analyze(
    adata: Any, out: Path, *, title: str | None, source: dict[str, Any], given: dict[str, Any]
) -> None:
    """Run all steps, write the folder, print the path of the report."""
    import scifn
    from scifn.cli._write import write_folder

    with stage(f"Analyzing {adata.n_obs:,} cells"):
        scifn.run(adata, **given)
    with stage(f"Writing {out}"):
        page = write_folder(
            adata, out, title=title, source=source, overwrite=bool(given.get("overwrite"))
        )
    _print(str(page))


@app.command()
def check(
    input: o.Input,
    donor: Annotated[str | None, typer.Option("--donor", help="Column of the donor.")] = None,
    condition: Annotated[
        str | None, typer.Option("--condition", help="Column of the condition.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="Condition to compare with.")
    ] = None,
    debug: Debug = False,
    obs: o.Obs = None,
    memory: o.Memory = None,
    layer: o.Layer = None,
    gene_symbols: o.GeneSymbols = None,
    species: o.Species = None,
) -> None:
    """Say what a file can tell and what it can't; nothing is written."""
    from scifn import _matrix, pp
    from scifn.cli import _memory
    from scifn.cli._read import Plan, budget, read

    limit = None if memory is None else _memory.parse(memory)
    with stage(f"Reading {input}"):
        adata = read(input, obs=obs, plan=Plan(limit))
    with _matrix.within(budget(adata, limit)), stage(f"Checking {adata.n_obs:,} cells"):
        table = pp.check(
            adata, donor=donor, condition=condition, reference=reference,
            layer=layer, gene_symbols=gene_symbols, species=species,
        )  # fmt: skip
    _print_table(table)


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the results.")] = Path(
        "scifn-demo"
    ),
    title: Title = None,
    overwrite: Overwrite = False,
    debug: Debug = False,
) -> None:
    """Analyze the simulated demo cohort, offline; the last line is the path of the report."""
    from scifn import datasets
    from scifn.cli._write import check_target

    check_target(out, inputs=(), overwrite=overwrite)
    with stage("Simulating the demo cohort (not patients)"):
        adata = datasets.demo()
    given = {"donor": "donor", "condition": "condition", "reference": "control",
             "overwrite": overwrite}  # fmt: skip
    _analyze(
        adata, out, title=title or "Demo cohort: simulated patients and controls",
        source={"input": {"name": "scifn.datasets.demo()"}, "command": sys.argv[1:]}, given=given,
    )  # fmt: skip


@app.command()
def genes(
    name: Annotated[str | None, typer.Argument(help="A set; all sets if none.")] = None,
) -> None:
    """List the gene sets with their sources, or the genes of one."""
    from scifn import genesets

    table = genesets.table()
    if name is None:
        table["reference"] = [
            f"{reference} doi:{doi}" if doi else str(reference)
            for reference, doi in zip(table["reference"], table["doi"], strict=True)
        ]
        table["enabled"] = ["yes" if flag else "no" for flag in table["enabled"]]
        _print_table(table[["name", "n_genes", "status", "enabled", "reference"]])
        return
    found = genesets.load(name, allow_disabled=True)
    row = table.set_index("name").loc[name]
    for field in ("description", "organism", "status", "enabled", "reference", "doi", "note"):
        if str(row[field]):
            sys.stderr.write(f"{field}: {row[field]}\n")
    _print("\n".join(found))


@app.command()
def power(
    n_pdc: Annotated[
        list[int], typer.Option("--n-pdc", help="pDC of one donor; repeat for several.")
    ],
    producer_fraction: Annotated[
        list[float],
        typer.Option("--producer-fraction", help="Share of pDC that make it, 0 to 1; repeat."),
    ],
    detection: Annotated[
        list[str],
        typer.Option(
            "--detection",
            help="Share of producers that show a UMI, 0 to 1; or copies=20,capture=0.07; repeat.",
        ),
    ],
    n_donors: Annotated[
        list[int] | None, typer.Option("--n-donors", help="Donors; repeat.", show_default="1")
    ] = None,
    debug: Debug = False,
) -> None:
    """Say what a number of pDC and donors can detect of IFN-alpha producers."""
    import pandas as pd

    from scifn import get

    table = pd.concat(
        [
            get.power(
                n_pdc=n_pdc,
                producer_fraction=producer_fraction,
                detection=o.detection(word),
                n_donors=n_donors or 1,
            )
            for word in detection
        ],
        ignore_index=True,
    )
    _print_table(table.drop(columns="statement").map(lambda value: f"{value:.4g}"))
    _print("\n".join(dict.fromkeys(table["statement"])))


@app.command()
def cite() -> None:
    """Print how to cite scifn."""
    from scifn import __version__

    _print(f"{CITATION.format(version=__version__)}\n{CITE_TOO}")


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")


def _print_table(table: Any) -> None:
    """A table with lines on a terminal; tab-separated in a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        table.to_csv(sys.stdout, sep="\t", index=False)
        return
    drawn = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for column in table.columns:
        drawn.add_column(str(column))
    colors = {"ok": "green", "note": "yellow", "unusable": "red"}
    for row in table.astype(str).itertuples(index=False):
        drawn.add_row(*(Text(cell, style=colors.get(cell, "")) for cell in row))
    console.print(drawn)
