"""Execute every notebook in this folder; fails where a cell fails.

The executed copies go to notebooks/_executed; the committed ones stay without outputs.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
from nbclient import NotebookClient

if TYPE_CHECKING:
    from nbformat import NotebookNode

FOLDER = Path(__file__).parent
EXECUTED = FOLDER / "_executed"


def without_picture(notebook: NotebookNode) -> list[str]:
    """Cells that call a plot and show none."""
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code"
        and cell.source.startswith("scifn.pl.")
        and not any("image/png" in output.get("data", {}) for output in cell.outputs)
    ]


def warned(notebook: NotebookNode) -> list[str]:
    """What cells wrote beside their output: a reader should meet no warning."""
    return [
        output.text
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.get("name") == "stderr"
    ]


def main() -> int:
    """Execute all, or those named on the command line."""
    paths = [Path(name) for name in sys.argv[1:]] or sorted(FOLDER.glob("*.ipynb"))
    EXECUTED.mkdir(exist_ok=True)
    os.environ.pop("MPLBACKEND", None)  # the kernel's own, which puts figures into the notebook
    for path in paths:
        start = time.monotonic()
        notebook = nbformat.read(path, as_version=4)
        resources = {"metadata": {"path": str(EXECUTED)}}
        NotebookClient(notebook, timeout=900, kernel_name="python3", resources=resources).execute()
        nbformat.write(notebook, EXECUTED / path.name)
        if lost := without_picture(notebook):
            print(f"{path.name}: no picture from {lost}", file=sys.stderr)
            return 1
        if said := warned(notebook):
            print(f"{path.name}: {''.join(said)}", file=sys.stderr)
            return 1
        print(f"{path.name}: {time.monotonic() - start:.0f} s")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
