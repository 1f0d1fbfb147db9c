"""Time and memory of the program on files that are larger than its memory.

``scifn run FILE --memory 1GB`` is started as a user starts it; what is measured is the time from
start to exit and the most that the process held in memory, as the system tells it when a process
has ended. Before and after it all values and all indices of the file are read once, by the file's
own arrays and without doing anything with them: a run is held against both readings together.
With ``--cost`` files of several sizes are made (or found in the folder) and run one by one, and
``--plot`` draws what is stored.

Run: ``python benchmarks/out_of_core.py --files FILE ... [--memory 1GB] [--json FILE]``
``python benchmarks/out_of_core.py --cost FOLDER [--sizes 20000 ...] --json FILE``
``python benchmarks/out_of_core.py --plot --json FILE``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import _large
import _timing as t
import numpy as np

SIZES = (20_000, 100_000, 500_000, 1_200_000)
#: Values that the pure reading takes at once.
STEP = 8_000_000
MOST_RSS, MOST_TIMES = 1.5, 4.0
#: Cells from which the time of a run is held against that of reading: fewer take their start.
MANY = 1_000_000
PICTURE = Path(__file__).resolve().parents[1] / "docs" / "_static" / "cost.svg"
#: "Reading c.h5ad (1.2 s)", "Analyzing 20,000 cells (1.5 min)"
STAGE = re.compile(r"^(\w+) .*\((?:(\d+):)?([\d.]+) (s|min)\)$")


# --- reading and nothing else ---------------------------------------------------------
def read_only(path: Path) -> float:
    """Seconds to read all values and indices of X once."""
    start = time.perf_counter()
    if path.suffix == ".zarr":
        import zarr

        group = zarr.open_group(path, mode="r")["X"]
        _forward(group["data"]), _forward(group["indices"])
    else:
        import h5py

        with h5py.File(path) as file:
            _forward(file["X/data"]), _forward(file["X/indices"])
    return time.perf_counter() - start


def _forward(array: Any) -> None:
    chunk = array.chunks[0] if array.chunks else STEP
    step = chunk * max(1, STEP // chunk)
    for start in range(0, array.shape[0], step):
        np.asarray(array[start : start + step])


def shape_of(path: Path) -> tuple[int, int]:
    """Cells and values."""
    if path.suffix == ".zarr":
        import zarr

        group = zarr.open_group(path, mode="r")["X"]
        return int(group.attrs["shape"][0]), int(group["data"].shape[0])
    import h5py

    with h5py.File(path) as file:
        return int(file["X"].attrs["shape"][0]), int(file["X/data"].shape[0])


def kind_of(path: Path) -> str:
    """How the values are stored, in words."""
    if path.suffix == ".zarr":
        return "zarr v3"
    import h5py

    with h5py.File(path) as file:
        compression = file["X/data"].compression
    return f"h5ad, {compression}" if compression else "h5ad"


# --- the program ------------------------------------------------------------------------
def program(path: Path, memory: str) -> dict[str, Any]:
    """Run ``scifn run`` to its end; seconds, processors, the most memory, stages."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as log:
        command = [
            sys.executable, "-m", "scifn", "run", str(path), "--donor", "donor",
            "--condition", "condition", "--reference", "control", "-o", f"{folder}/out",
        ]  # fmt: skip
        command += ["--memory", memory] if memory else []
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read().replace(str(path), path.name).replace(folder, "")
        if process.returncode:
            raise RuntimeError(f"{path.name}: exit {process.returncode}\n{text[-2000:]}")
        report = Path(f"{folder}/out/report.html").stat().st_size
    return {
        "wall": round(wall, 2),
        "cpu": round(used.ru_utime + used.ru_stime, 2),
        "rss_gb": round(used.ru_maxrss * 1024 / 1e9, 3),
        "report_mb": round(report / 1e6, 2),
        "stages": _stages(text),
        "log": [line for line in text.splitlines() if line.strip()][-40:],
    }


def _stages(text: str) -> dict[str, float]:
    """Seconds of each stage, as the program's log says."""
    found = {}
    for line in text.splitlines():
        match = STAGE.match(line.strip())
        if match:
            seconds = float(match[3]) * (60 if match[4] == "min" else 1)
            found[match[1]] = round(seconds, 1)
    return found


def measured(path: Path, memory: str) -> dict[str, Any]:
    """A run, between two pure readings of the same file."""
    before = read_only(path)
    row = program(path, memory)
    after = read_only(path)
    n_cells, n_values = shape_of(path)
    row |= {
        "file": kind_of(path), "cells": n_cells, "values": n_values, "memory": memory,
        "size_gb": round(_size(path) / 1e9, 2), "read_before": round(before, 2),
        "read_after": round(after, 2), "times": round(row["wall"] / (before + after), 2),
    }  # fmt: skip
    show(row)
    return row


def _size(path: Path) -> int:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())


def show(row: dict[str, Any]) -> None:
    """Print a run beside its targets."""
    mark = {True: "met", False: "MISSED"}
    timed = f"<= {MOST_TIMES:g}  {mark[row['times'] <= MOST_TIMES]}"
    timed = timed if row["cells"] >= MANY else ""
    print(
        f"{row['file']}, {row['cells']:,} cells, {row['size_gb']} GB, --memory {row['memory']}\n"
        f"  time                        {row['wall']:8.1f} s   (processors {row['cpu']:.1f} s)\n"
        f"  reading alone, before/after {row['read_before']:8.1f} s   {row['read_after']:.1f} s\n"
        f"  time over both readings     {row['times']:8.2f}     {timed}\n"
        f"  most memory, whole process  {row['rss_gb']:8.2f} GB  <= {MOST_RSS:g}  "
        f"{mark[row['rss_gb'] <= MOST_RSS]}\n"
        f"  stages                      {row['stages']}",
        flush=True,
    )


# --- cost against size --------------------------------------------------------------------
def cost(folder: Path, sizes: list[int], memory: str) -> list[dict[str, Any]]:
    """Run files of several sizes, all with the same donors."""
    rows = []
    for n_cells in sizes:
        path = folder / f"c{n_cells // 1000}k.h5ad"
        if not path.exists():
            _large.write_h5ad(_large.Simulated(n_cells), path)
        rows.append(measured(path, memory))
    return rows


def drawn_from(stored: dict[str, Any]) -> str:
    """Which figures a picture shows: a test holds this against the file of the figures."""
    shown = ("cells", "wall", "cpu", "rss_gb", "read_before", "read_after")
    rows = sorted([row[name] for name in shown] for row in stored["cost"])
    return f"cost {hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]}"


def plot(stored: dict[str, Any], path: Path) -> None:
    """Time and memory against cells, both axes logarithmic, with a line of slope one."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from scifn.pl import _style

    rows = sorted(stored["cost"], key=lambda row: row["cells"])
    cells = np.array([row["cells"] for row in rows])
    mpl.rcParams["svg.hashsalt"] = "scifn"
    with _style.style(), _style.offscreen():
        figure = Figure(figsize=(7.4, 3.6), layout="constrained")
        for ax, (column, label, unit) in zip(
            figure.subplots(1, 2),
            [("wall", "Time, start to exit", "s"), ("rss_gb", "Most memory, whole process", "GB")],
            strict=True,
        ):
            values = np.array([row[column] for row in rows])
            ax.plot(cells, values, "o-", color="#0072B2", ms=5, lw=1.2, zorder=3)
            ax.plot(cells, values[-1] * cells / cells[-1], ls=(0, (4, 2)), lw=0.9, zorder=1,
                    color=_style.MUTED, label="slope one")  # fmt: skip
            if column == "wall":
                reading = [(row["read_before"] + row["read_after"]) / 2 for row in rows]
                ax.plot(cells, reading, "s-", ms=3.5, lw=0.9, color="#D55E00",
                        label="reading the file once")  # fmt: skip
                ax.lines[0].set_label("scifn run")
                busy = [row["cpu"] for row in rows]
                ax.plot(cells, busy, "^-", ms=3.5, lw=0.9, color="#009E73",
                        label="time of all processors")  # fmt: skip
            else:
                ax.axhline(MOST_RSS, color="#D55E00", lw=0.9, label=f"{MOST_RSS} GB")
                ax.lines[0].set_label("scifn run --memory 1GB")
            ax.set_xscale("log")
            ax.set_yscale("log")
            _axis(ax, cells, values, unit)
            ax.set_title(label)
            ax.set_xlabel("Cells")
            ax.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.2), ncols=2, columnspacing=1.4)
        told = {"Date": None, "Description": drawn_from(stored)}
        figure.savefig(path, format=path.suffix[1:], metadata=told)


def _axis(ax: Any, cells: np.ndarray, values: np.ndarray, unit: str) -> None:
    """Ticks at the sizes that were run, and plain numbers."""
    from matplotlib.ticker import NullFormatter

    names = [f"{n // 1000}k" if n < 1e6 else f"{n / 1e6:g}M" for n in cells]
    ax.set_xticks(cells, names)
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g} {unit}")
    ax.yaxis.set_minor_formatter(NullFormatter())
    if unit == "GB":
        ax.set_yticks([0.1, 0.2, 0.5, 1, 2, 5])
        ax.set_ylim(min(0.1, values.min() / 2), max(2.5, 1.3 * values.max()))
    ax.grid(color=_grid(), lw=0.5)


def _grid() -> str:
    from scifn.pl import _style

    return _style.RULE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", nargs="+", type=Path, help="h5ad files and zarr stores")
    parser.add_argument("--cost", type=Path, metavar="FOLDER", help="run all sizes")
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES))
    parser.add_argument("--memory", default="1GB")
    parser.add_argument("--plot", action="store_true", help=f"draw {PICTURE.name} of the docs")
    parser.add_argument("--json", type=Path, help="where figures are kept; other parts stay")
    options = parser.parse_args()
    if options.files:
        rows = [measured(path, options.memory) for path in options.files]
        if options.json:
            t.keep(options.json, "out_of_core", rows, key=("file", "cells", "memory"))
    if options.cost:
        rows = cost(options.cost, options.sizes, options.memory)
        if options.json:
            t.keep(options.json, "cost", rows, key=("file", "cells", "memory"))
    if options.plot:
        if not options.json:
            parser.error("--plot draws what --json holds: name the file")
        plot(json.loads(options.json.read_text(encoding="utf-8")), PICTURE)
        print(PICTURE)


if __name__ == "__main__":
    main()
