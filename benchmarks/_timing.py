"""What the scripts about time and memory share: turns, clocks, and processes of their own.

Two contenders are compared by the median of their ratios within a turn, in which they follow each
other in one process: a busy machine slows both down. Memory is what a fresh process adds to its
resident size while one call runs, its code being loaded and warm.
"""

from __future__ import annotations

import gc
import importlib.metadata
import importlib.util
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

PACKAGES = (
    "scifn", "numpy", "scipy", "pandas", "numba", "anndata", "scanpy", "pyucell", "decoupler",
    "h5py", "zarr", "dask",
)  # fmt: skip
MB = 1 << 20


def has(name: str) -> bool:
    """Whether a package can be imported."""
    return importlib.util.find_spec(name) is not None


def machine() -> dict[str, Any]:
    """Versions and processors that figures were measured with; an absent package is named so."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    versions["python"] = platform.python_version()
    return {"versions": versions, "processors": os.cpu_count()}


# --- clocks -----------------------------------------------------------------------
def clocks(call: Callable[[], Any]) -> tuple[float, float]:
    """Seconds by the clock and of all processors, children's too, while ``call`` runs."""
    gc.collect()
    before, start = os.times(), time.perf_counter()
    call()
    wall, after = time.perf_counter() - start, os.times()
    return wall, sum(after[:4]) - sum(before[:4])


def turns(
    contenders: Mapping[str, Callable[[], Any]], rounds: int, once: Sequence[str] = ()
) -> dict[str, dict[str, list[float]]]:
    """Let every contender run in turn, ``rounds`` times (those in ``once`` in the first only)."""
    taken: dict[str, dict[str, list[float]]] = {n: {"wall": [], "cpu": []} for n in contenders}
    for i in range(rounds):
        for name, call in contenders.items():
            if i and name in once:
                continue
            wall, cpu = clocks(call)
            taken[name]["wall"].append(wall)
            taken[name]["cpu"].append(cpu)
            print(f"    round {i + 1}: {name}: {wall:.2f} s", file=sys.stderr, flush=True)
    return taken


def ratio(
    over: Mapping[str, list[float]], under: Mapping[str, list[float]], clock: str = "wall"
) -> float:
    """Median of the ratios within the rounds that both ran in."""
    return float(np.median([a / b for a, b in zip(over[clock], under[clock], strict=False)]))


# --- the limit --------------------------------------------------------------------
@numba.njit(cache=True, nogil=True, fastmath=True)
def read_once(data, indices):  # type: ignore[no-untyped-def]
    """Sum of all values and of all indices: the least that a pass can do."""
    total, places = np.float32(0.0), np.int64(0)
    for i in range(data.size):
        total += data[i]
        places += indices[i]
    return total, places


@numba.njit(cache=True, nogil=True)
def add_in_order(data, indices):  # type: ignore[no-untyped-def]
    """The same as the language writes it: one addition waits for the one before."""
    total, places = 0.0, np.int64(0)
    for i in range(data.size):
        total += data[i]
        places += indices[i]
    return total, places


def read_by(matrix: Any, threads: int, kernel: Any = read_once) -> None:
    """Read ``matrix`` once with so many threads, a part each."""
    from concurrent.futures import ThreadPoolExecutor

    ends = np.linspace(0, matrix.nnz, threads + 1).astype(np.int64)
    parts = [(matrix.data[a:b], matrix.indices[a:b]) for a, b in itertools.pairwise(ends)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda part: kernel(*part), parts))


def n_compiled(package: str) -> int:
    """Functions of ``package`` that were compiled, or loaded as such, in this process."""
    modules = [m for name, m in sys.modules.items() if name.partition(".")[0] == package]
    functions = {id(f): f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
    return sum(len(f.signatures) for f in functions.values())


# --- memory -----------------------------------------------------------------------
def resident() -> int:
    """Bytes that this process holds in memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak() -> int:
    """The most that this process has held since :func:`forget_peak`, or since its start."""
    try:
        with open("/proc/self/status") as file:
            line = next(line for line in file if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    except OSError:  # no such file: not Linux
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def forget_peak() -> None:
    """Begin :func:`peak` anew; needs Linux."""
    Path("/proc/self/clear_refs").write_text("5")


def child(script: Path, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a fresh process of ``script`` prints as JSON on its last line."""
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{script.name} {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


# --- what is kept -------------------------------------------------------------------
def keep(path: Path, part: str, rows: list[dict[str, Any]], *, key: Sequence[str]) -> None:
    """Put rows into a list of the file; those of the same key are replaced."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    stored |= machine()
    new = {tuple(row[name] for name in key) for row in rows}
    old = [r for r in stored.get(part, []) if tuple(r[name] for name in key) not in new]
    stored[part] = sorted(old + rows, key=lambda row: str([row[name] for name in key]))
    path.write_text(json.dumps(stored, indent=1, allow_nan=False) + "\n", encoding="utf-8")
