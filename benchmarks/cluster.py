"""What a Dask cluster costs beside one process on the same machine, and 100 million cells on paper.

In turn, in each round: the pass over a file in this process, the same pass by workers of a local
cluster (one thread each) that were warmed up, and ``scifn.run`` both ways. That both give the same
is checked first. Ratios are medians of the ratios within a round, of wall time and of the time of
all processors; a busy machine slows both ways down. The estimate for 100 million cells is plain
arithmetic on the rate of one worker and the bytes of the panel that were measured here.

Run: ``python benchmarks/cluster.py FILE.h5ad [--workers 2] [--rounds 3] [--no-run] [--json FILE]``
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any

import _timing as t
import anndata as ad
import numpy as np
import pandas as pd
from dask.distributed import Client

import scifn
from scifn import _run, _view
from scifn._matrix import _files
from scifn.cli import _cluster, _open

CELLS = 100_000_000
#: Bytes of a value and its place in the file, as 10x counts are mostly stored.
VALUE_BYTES = 8
SCIFN = {"donor": "donor", "condition": "condition", "reference": "control"}


def opened(path: Path, *, lazy: bool) -> ad.AnnData:
    """The cells of a file whose matrix stays there, or is a dask array."""
    adata = _open.lazily(_files.open_store(path))
    return _cluster.spread(adata, path) if lazy else adata


def read(adata: ad.AnnData) -> Any:
    """The panel of a run; cells are not called."""
    return _view.read(adata, _run._genes)


def run(adata: ad.AnnData) -> ad.AnnData:
    """A run of a fresh object."""
    scifn.run(adata, **SCIFN, n_permutations=1_000, overwrite=True)
    return adata


def clocked(client: Client, call: Any) -> tuple[float, float]:
    """Wall time and time of all processors, the workers' too."""
    before = sum(client.run(time.process_time).values()) + time.process_time()
    start = time.perf_counter()
    call()
    wall = time.perf_counter() - start
    return wall, sum(client.run(time.process_time).values()) + time.process_time() - before


def compare(client: Client, alone: Any, together: Any, rounds: int) -> dict[str, Any]:
    """Median seconds of both, and median ratio, by both clocks."""
    found = []
    for i in range(rounds):
        order = (alone, together) if i % 2 == 0 else (together, alone)
        times = {call: clocked(client, call) for call in order}
        found.append([*times[alone], *times[together]])
    wall, cpu, wall_many, cpu_many = np.array(found).T
    return {
        "seconds": float(np.median(wall)), "cluster seconds": float(np.median(wall_many)),
        "ratio": float(np.median(wall_many / wall)),
        "ratio of processor time": float(np.median(cpu_many / cpu)),
        "ratios": [round(float(ratio), 3) for ratio in wall_many / wall],
    }  # fmt: skip


def same(one: Any, other: Any) -> None:
    """Stop if two passes differ in a single bit."""
    for name in ("total", "n_genes"):
        if not np.array_equal(getattr(one, name), getattr(other, name)):
            raise SystemExit(f"the cluster gives another {name}")
    if not np.array_equal(one.sums([one.genes]), other.sums([other.genes])):
        raise SystemExit("the cluster gives another panel")


def panel_bytes(view: Any) -> float:
    """Bytes a cell of what is kept of the panel once a run has called the cells."""
    needed = _run._after_identity(view.species)
    held = view.values.only(np.array([gene in needed for gene in view.genes]))
    size = sum(
        array.nbytes
        for piece in held.pieces
        for array in (piece.data, piece.columns, piece.indptr, piece.large, piece.marks)
    )
    return float(size + view.total.nbytes + view.n_genes.nbytes) / view.n_cells


def estimate(rate: float, values: float, panel: float, obs: float) -> dict[str, Any]:
    """100 million cells: what is read, what is kept, and how long the pass takes."""
    read = CELLS * values * VALUE_BYTES
    hours = {n: CELLS / rate / n / 3600 for n in (1, 8, 32, 128)}
    return {
        "cells": CELLS,
        "terabytes read": read / 1e12,
        "panel, GB": CELLS * panel / 1e9,
        "columns of the cells, GB": CELLS * obs / 1e9,
        "cells a second and worker": rate,
        "megabytes a second and worker": rate * values * VALUE_BYTES / 1e6,
        "hours by workers": {str(n): hour for n, hour in hours.items()},
    }


def main() -> None:
    """Measure, print, and write what was found."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("file", type=Path)
    words.add_argument("--workers", type=int, default=2)
    words.add_argument("--rounds", type=int, default=3)
    words.add_argument("--no-run", action="store_true")
    words.add_argument("--json", type=Path)
    asked = words.parse_args()
    warnings.simplefilter("ignore")
    alone, lazy = opened(asked.file, lazy=False), opened(asked.file, lazy=True)
    values = _open.values_of(alone.X) / alone.n_obs
    with _cluster.processes(asked.workers) as client, client.as_current():
        one = read(alone)
        same(one, read(lazy))
        print(f"{alone.n_obs:,} cells, {values:,.0f} values each, {asked.workers} workers")
        table = {"pass": compare(client, lambda: read(alone), lambda: read(lazy), asked.rounds)}
        rate = alone.n_obs / table["pass"]["cluster seconds"] / asked.workers
        done = ad.AnnData(obs=lazy.obs)
        if not asked.no_run:
            table["run"] = compare(
                client,
                lambda: run(opened(asked.file, lazy=False)),
                lambda: run(opened(asked.file, lazy=True)),
                asked.rounds,
            )
            done = run(opened(asked.file, lazy=True))
    frames = [done.obs, *(frame for frame in done.obsm.values() if isinstance(frame, pd.DataFrame))]
    obs = sum(float(frame.memory_usage(index=True).sum()) for frame in frames) / done.n_obs
    found = {
        "cells": int(alone.n_obs), "values a cell": values, "workers": asked.workers,
        "overhead": table, "100 million cells": estimate(rate, values, panel_bytes(one), obs),
        **t.machine(),
    }  # fmt: skip
    print(json.dumps({key: found[key] for key in ("overhead", "100 million cells")}, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
