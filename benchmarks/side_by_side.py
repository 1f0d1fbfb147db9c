"""Time and memory of scifn beside the least that is possible, and beside scanpy and pyucell.

All contenders run in turn in one process, on simulated cells in memory (benchmarks/_large.py).
The limit is a compiled loop that reads all values and all indices once, in one thread, and adds
them up in vectors: nothing that looks at every value can be faster. Ratios are medians of the
ratios within a round. That scifn computes what its peers compute is checked first. Peers that are
not installed are named and left out.

Run: ``python benchmarks/side_by_side.py --cells 500000 --rounds 5 [--peer-rounds 1]
[--file FILE.h5ad] [--only PART ...] [--json FILE]``
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import _large
import _timing as t
import anndata as ad
import numpy as np
import pandas as pd
from scipy import sparse, stats

import scifn
from scifn import _matrix, _run, _view, genesets

SETS = 15
SMALL = 5_000
#: Cells of the slice on which agreement is checked, and of the one that warms a process up.
CHECKED, WARM = 3_000, 20_000
#: Cells from which targets of large data hold: below them, what is paid once is most of it.
LARGE = 500_000
SCIFN = {"donor": "donor", "condition": "condition", "reference": "control"}
LIMIT, PANEL, RUN = "limit", "panel read, cells not called", "run"
#: Of a run: cells are called while others are being read.
PASS, REST = "pass, cells called in it", "what follows the pass"
SEURAT, RANK, MATCHED = "score seurat", "score rank", "score matched"
SCANPY, UCELL = "scanpy score_genes", "pyucell, one job"
#: What follows the pass and is timed apart: where it stands, and its name.
STEPS = {
    _run._annotate.Asked: "cells written", _run._production: "production",
    _run._capacity: "capacity", _run._response: "response", _run._donors: "donors",
    _run._imbalance: "imbalance", _run._crosstalk: "crosstalk", _run._stratify: "stratify",
    _run._profiles: "profiles",
}  # fmt: skip


# --- data ---------------------------------------------------------------------------
def load(path: Path) -> ad.AnnData:
    """Read a file; row ends become as wide as anndata would have made them in memory."""
    adata = ad.read_h5ad(path)
    if adata.X.nnz < 2**31:
        adata.X.indptr = adata.X.indptr.astype(np.int32)
    return adata


def bare(adata: ad.AnnData, matrix: Any = None) -> ad.AnnData:
    """The same cells and matrix without what an earlier call has written; nothing is copied."""
    obs = adata.obs[[name for name in adata.obs if not str(name).startswith("scifn_")]]
    return ad.AnnData(adata.X if matrix is None else matrix, obs.copy(), adata.var)


def logs(adata: ad.AnnData) -> ad.AnnData:
    """log1p CP10k for the peer that wants it; the places are shared with the counts."""
    counts = adata.X
    total = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    data = counts.data.copy()
    for start in range(0, counts.shape[0], 50_000):
        stop = min(start + 50_000, counts.shape[0])
        a, b = int(counts.indptr[start]), int(counts.indptr[stop])
        factor = np.repeat(1e4 / total[start:stop], np.diff(counts.indptr[start : stop + 1]))
        data[a:b] = np.log1p(data[a:b] * factor)
    matrix = sparse.csr_matrix((data, counts.indices, counts.indptr), counts.shape, copy=False)
    log = bare(adata, matrix)
    log.uns["log1p"] = {"base": None}
    return log


def gene_sets(adata: ad.AnnData) -> dict[str, list[str]]:
    """Fifteen of scifn's sets, their genes as the features are called."""
    there = set(adata.var_names)
    sets = {n: [g for g in genesets.load(n) if g in there] for n in genesets.available()}
    return dict([(n, genes) for n, genes in sets.items() if len(genes) >= 5][:SETS])


# --- contenders -----------------------------------------------------------------------
def read_pass(adata: ad.AnnData) -> Any:
    return _view.read(adata, _run._genes)


#: Seconds of each call of scifn.run, without what makes a fresh object for it.
CALLS: list[float] = []


def run(adata: ad.AnnData) -> ad.AnnData:
    fresh = bare(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        scifn.run(fresh, **SCIFN)
        CALLS.append(time.perf_counter() - start)
    return fresh


def score(adata: ad.AnnData, sets: Mapping[str, list[str]], method: str) -> pd.DataFrame:
    fresh = bare(adata)
    scifn.tl.score(fresh, sets, method=method)
    return fresh.obs[[f"scifn_{name}" for name in sets]]


def by_scanpy(log: ad.AnnData, sets: Mapping[str, list[str]]) -> pd.DataFrame:
    import scanpy as sc

    fresh = bare(log)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, genes in sets.items():
            sc.tl.score_genes(fresh, genes, score_name=name, random_state=0)
    return fresh.obs[list(sets)]


def by_pyucell(adata: ad.AnnData, sets: Mapping[str, list[str]]) -> pd.DataFrame:
    import pyucell

    fresh = bare(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pyucell.compute_ucell_scores(fresh, signatures=dict(sets), suffix="", n_jobs=1)
    return fresh.obs[list(sets)]


def contenders(adata: ad.AnnData, log: ad.AnnData | None) -> dict[str, Callable[[], Any]]:
    """By name, in the order in which they take their turns."""
    sets, threads = gene_sets(adata), _matrix.n_processors()
    found: dict[str, Callable[[], Any]] = {
        LIMIT: lambda: t.read_by(adata.X, 1),
        f"limit, {threads} threads": lambda: t.read_by(adata.X, threads),
        "limit, added in order": lambda: t.read_by(adata.X, 1, t.add_in_order),
        PANEL: lambda: read_pass(adata),
        RUN: lambda: run(adata),
        MATCHED: lambda: score(adata, sets, "matched"),
        SEURAT: lambda: score(adata, sets, "seurat"),
        RANK: lambda: score(adata, sets, "rank"),
    }
    if log is not None:
        found[SCANPY] = lambda: by_scanpy(log, sets)
    if t.has("pyucell"):
        found[UCELL] = lambda: by_pyucell(adata, sets)
    return found


# --- the sheet --------------------------------------------------------------------------
class Lines:
    """Figures as they are printed and kept."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []

    def start(self, title: str) -> None:
        self.part = title
        print(f"\n{title}", flush=True)

    def row(
        self, what: str, value: float, unit: str, target: str = "", met: bool | None = None,
        *, cpu: float | None = None,
    ) -> None:  # fmt: skip
        """One figure, the target beside it, and the time of all processors."""
        mark = {True: "met", False: "MISSED", None: ""}[met]
        text = f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
        beside = "" if cpu is None else f"processors {cpu:.3g} s"
        line = f"  {what:<58} {text:>9} {unit:<10} {target:<12} {mark:<7} {beside}"
        print(line.rstrip(), flush=True)
        self.rows.append(
            {"part": self.part, "what": what, "value": float(f"{value:.6g}"), "unit": unit,
             "target": target, "met": None if met is None else bool(met)}
        )  # fmt: skip
        if cpu is not None:
            self.rows[-1]["cpu"] = round(float(cpu), 3)


# --- parts -----------------------------------------------------------------------------
def agreement(sheet: Lines, adata: ad.AnnData) -> None:
    """What is timed must be the same thing."""
    # logarithms in double precision: genes of nearly the same mean change bins with rounding
    counts = adata.X[:CHECKED].astype(np.float64)
    few = ad.AnnData(counts, adata.obs[:CHECKED].copy(), adata.var)
    sets, log = gene_sets(few), logs(few)
    sheet.start(f"Agreement, {CHECKED:,} cells, {len(sets)} sets: largest difference")
    view = read_pass(few)
    genes = [g for g in view.genes if g in few.var_names]
    plain = np.asarray(few[:, genes].X.todense(), dtype=np.float64)
    _close(sheet, "panel genes, scipy", view.dense(genes), plain)
    _close(sheet, "totals, scipy", view.total, np.asarray(few.X.sum(axis=1)).ravel())
    if t.has("scanpy"):
        theirs = by_scanpy(log, sets).to_numpy()
        _close(sheet, "score seurat, scanpy score_genes", score(log, sets, "seurat"), theirs)
        ours = score(few, sets, "matched").to_numpy()
        least = min(stats.pearsonr(a, b)[0] for a, b in zip(ours.T, theirs.T, strict=True))
        sheet.row("score matched, scanpy: lowest correlation", least, "", ">= 0.9", least >= 0.9)
    if t.has("pyucell"):
        theirs = by_pyucell(few, sets).to_numpy()
        _close(sheet, "score rank, pyucell", score(few, sets, "rank"), theirs)


def _close(sheet: Lines, what: str, ours: Any, theirs: Any) -> None:
    gap = float(np.abs(np.asarray(ours, float) - np.asarray(theirs, float)).max())
    sheet.row(what, gap, "", "<= 1e-05", gap <= 1e-5)


def timed(sheet: Lines, adata: ad.AnnData, rounds: int, peer_rounds: int, asked: list[str]) -> None:
    """Every contender in turn."""
    log = logs(adata) if t.has("scanpy") and "scanpy" in asked else None
    found = contenders(adata, log)
    if "pyucell" not in asked:
        found.pop(UCELL, None)
    for name in PEERS:
        if not t.has(name) or name not in asked:
            print(f"  {name} is {'not asked for' if t.has(name) else 'not installed'}: left out")
    warm = ad.AnnData(adata.X[:WARM].copy(), adata.obs[:WARM].copy(), adata.var)
    for call in contenders(warm, None if log is None else logs(warm[:500].copy())).values():
        call()
    steps = Steps()
    CALLS.clear()
    with steps.watched():
        peers = {name: call for name, call in found.items() if name in (SCANPY, UCELL)}
        ours = {name: call for name, call in found.items() if name not in peers}
        together = min(rounds, peer_rounds) if peers else 0
        taken = t.turns({**ours, **peers}, together)
        more = t.turns(ours, rounds - together)
    for name, clocks in more.items():
        for clock, values in clocks.items():
            taken[name][clock] += values
    _times(sheet, taken)
    _ratios(sheet, taken, steps, adata.n_obs)


def _times(sheet: Lines, taken: Mapping[str, Mapping[str, list[float]]]) -> None:
    sheet.start("Seconds by the clock, median (processors beside)")
    for name, clocks in taken.items():
        wall, cpu = (float(np.median(clocks[clock])) for clock in ("wall", "cpu"))
        sheet.row(name, wall, "s", cpu=cpu)
        sheet.rows[-1]["rounds"] = [round(value, 3) for value in clocks["wall"]]


def _ratios(sheet: Lines, taken: Mapping[str, Any], steps: Steps, n_cells: int) -> None:
    limit = taken[LIMIT]
    sheet.start("Times the limit (all values and indices read once, one thread)")
    for name, clocks in taken.items():
        value = t.ratio(clocks, limit)
        if name != LIMIT:
            sheet.row(name, value, "x")
        if name == PANEL:
            times = zip(steps.seconds[PASS], limit["wall"], strict=True)
            value = float(np.median([a / b for a, b in times]))
            target, met = ("<= 12", value <= 12) if n_cells >= LARGE else ("", None)
            sheet.row(PASS, value, "x", target, met)
    sheet.start("Times the limit, time of all processors")
    for name, clocks in taken.items():
        if name != LIMIT:
            sheet.row(name, t.ratio(clocks, limit, "cpu"), "x")
    sheet.start("A run (all but the report) by its parts")
    read = steps.seconds[PASS]
    after = [run - pass_ for run, pass_ in zip(CALLS, read, strict=True)]
    for name, seconds in steps.seconds.items():
        sheet.row(name, float(np.median(seconds)), "s")
    sheet.row(REST, float(np.median(after)), "s")
    value = float(np.median([a / b for a, b in zip(after, read, strict=True)]))
    target, met = ("<= 1", value <= 1) if n_cells >= LARGE else ("", None)
    sheet.row(f"{REST}, over the pass", value, "x", target, met)
    limits = float(np.median([a / b for a, b in zip(after, limit["wall"], strict=True)]))
    sheet.row(f"{REST}, times the limit", limits, "x")
    sheet.row("microseconds a cell after the pass", 1e6 * float(np.median(after)) / n_cells, "us")
    alone = taken[PANEL]["wall"]
    beyond = float(np.median([(a - b) / b for a, b in zip(CALLS, alone, strict=True)]))
    sheet.row("all but reading the panel, over reading it", beyond, "x")
    sheet.start("Times as fast as a peer")
    if SCANPY in taken:
        least = 15 if n_cells >= LARGE else 8 if n_cells >= 100_000 else 0
        value = t.ratio(taken[SCANPY], taken[MATCHED])
        sheet.row(f"{MATCHED} : {SCANPY}", value, "x", f">= {least}" if least else "",
                  value >= least if least else None)  # fmt: skip
        sheet.row(f"{SEURAT} : {SCANPY}", t.ratio(taken[SCANPY], taken[SEURAT]), "x")
    if UCELL in taken:
        value = t.ratio(taken[UCELL], taken[RANK])
        sheet.row(f"{RANK} : {UCELL}", value, "x", ">= 30", value >= 30)


class Steps:
    """Seconds of the pass and of each step, of every run that is watched."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self._depth = 0

    def _clocked(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def clocked(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                self.seconds.setdefault(name, []).append(time.perf_counter() - start)

        return clocked

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Clock the parts of :func:`scifn.run` while this is open."""
        real = [(place, "apply" if isinstance(place, type) else "_apply") for place in STEPS]
        calls = [getattr(place, name) for place, name in real]
        # the pass of a run only, not that which is timed by itself
        view, read = _run._view, _view.read
        stand_in = type("View", (), {"__getattr__": lambda _, name: getattr(view, name)})()
        stand_in.read = self._clocked(PASS, read)
        _run._view = stand_in
        for (place, name), call in zip(real, calls, strict=True):
            setattr(place, name, self._clocked(STEPS[place], call))
        try:
            yield
        finally:
            _run._view = view
            for (place, name), call in zip(real, calls, strict=True):
                setattr(place, name, call)


# --- donors ---------------------------------------------------------------------------------
def statistics(sheet: Lines, adata: ad.AnnData) -> None:
    """What follows the donor table: it must not be what a user waits for."""
    done = run(adata)
    n_donors = done.obs["donor"].nunique()
    tl, reference = scifn.tl, SCIFN["reference"]
    calls = {
        "imbalance, 10,000 permutations": lambda: tl.imbalance(
            done, reference=reference, overwrite=True
        ),
        "crosstalk": lambda: tl.crosstalk(done, overwrite=True),
        "stratify": lambda: tl.stratify(done, reference=reference, overwrite=True),
        "profiles": lambda: tl.profiles(done, overwrite=True),
    }
    sheet.start(f"Statistics and report, {n_donors} donors")
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")
        for name, call in calls.items():
            wall, cpu = t.clocks(call)
            sheet.row(name, wall, "s", cpu=cpu)
        page = Path(folder) / "report.html"
        wall, cpu = t.clocks(lambda: scifn.report(done, page))
        sheet.row("report", wall, "s", "< 60", wall < 60, cpu=cpu)
        size = page.stat().st_size / 1e6
        sheet.row("report, size of the page", size, "MB", "< 30", size < 30)


# --- fresh processes -------------------------------------------------------------------
HERE = Path(__file__).resolve()


def memory(sheet: Lines, path: Path, n_cells: int) -> None:
    """What each contender adds to a process that holds the data."""
    sheet.start("Memory added to a fresh process that holds the data")
    kept = n_cells * SETS * 8 / t.MB
    names = [PANEL, RUN, MATCHED, SEURAT, RANK]
    names += [name for name, package in ((SCANPY, "scanpy"), (UCELL, "pyucell")) if t.has(package)]
    for name in names:
        found = t.child(HERE, "--child", "memory", "--file", str(path), "--contender", name)
        added = found["added"] / t.MB
        if name in (MATCHED, SEURAT, RANK):
            most = kept + 100
            sheet.row(name, added, "MB", f"<= {most:.0f}", added <= most)
        else:
            sheet.row(name, added, "MB")
    print(f"  (scores of {SETS} sets are {kept:.0f} MB)")


def child_memory(path: Path, name: str) -> dict[str, float]:
    adata = load(path)
    needs_logs = name == SCANPY
    warm = ad.AnnData(adata.X[:WARM].copy(), adata.obs[:WARM].copy(), adata.var)
    if needs_logs:
        warm = ad.AnnData(adata.X[:500].copy(), adata.obs[:500].copy(), adata.var)
    contenders(warm, logs(warm) if needs_logs else None)[name]()
    del warm
    given = logs(adata) if needs_logs else None
    call = contenders(adata, given)[name]
    t.forget_peak()
    before = t.resident()
    call()
    return {"added": t.peak() - before, "before": before}


FIRST = {
    RUN: run,
    MATCHED: lambda adata: score(adata, gene_sets(adata), "matched"),
    RANK: lambda adata: score(adata, gene_sets(adata), "rank"),
}


def first_calls(sheet: Lines, path: Path) -> None:
    """What a user waits for the compiler; nothing with few cells."""
    sheet.start(f"First call in a fresh process, {WARM:,} cells")
    for name in FIRST:
        with tempfile.TemporaryDirectory() as cache:
            empty = _first(path, name, WARM, cache)
            full = _first(path, name, WARM, cache)
        # a compiler is busy with one processor: its own time is not that of a busy machine
        wait = empty["first_cpu"] - empty["second_cpu"]
        _both(sheet, f"{name}: first call, nothing compiled yet", empty, "first")
        _both(sheet, f"{name}: second call", empty, "second")
        sheet.row(f"{name}: compiling, time of the processor", wait, "s", "<= 10", wait <= 10)
        _both(sheet, f"{name}: first call, compiled before", full, "first")
    sheet.start(f"Few cells ({SMALL:,}), fresh process")
    for name in FIRST:
        with tempfile.TemporaryDirectory() as cache:
            empty = _first(path, name, SMALL, cache)
            full = _first(path, name, SMALL, cache)
        _both(sheet, f"{name}: first call, nothing compiled yet", empty, "first")
        _both(sheet, f"{name}: first call, compiled before", full, "first")
        sheet.row(f"{name}: functions compiled", empty["compiled"], "", "0", not empty["compiled"])


def _both(sheet: Lines, what: str, found: dict[str, float], which: str) -> None:
    sheet.row(what, found[which], "s", cpu=found[f"{which}_cpu"])


def _first(path: Path, name: str, n_cells: int, cache: str) -> dict[str, float]:
    return t.child(
        HERE, "--child", "first", "--file", str(path), "--contender", name, "--cells", str(n_cells),
        NUMBA_CACHE_DIR=cache,
    )  # fmt: skip


def child_first(path: Path, name: str, n_cells: int) -> dict[str, float]:
    import h5py

    with h5py.File(path) as file:
        ends = file["X/indptr"][: n_cells + 1]
        values, columns = file["X/data"][: ends[-1]], file["X/indices"][: ends[-1]]
        obs, var = (ad.io.read_elem(file[part]) for part in ("obs", "var"))
    matrix = sparse.csr_matrix((values, columns, ends), (n_cells, len(var)))
    # donors of the first cells alone are few: dealt out anew
    obs = obs.iloc[:n_cells].copy()
    obs["donor"] = pd.Categorical([f"D{i % 40}" for i in range(n_cells)])
    obs["condition"] = pd.Categorical(
        ["patient" if i % 40 < 20 else "control" for i in range(n_cells)]
    )
    adata = ad.AnnData(matrix, obs, var)
    (first, cpu), (second, cpu_second) = (t.clocks(lambda: FIRST[name](adata)) for _ in range(2))
    return {
        "first": first, "first_cpu": cpu, "second": second, "second_cpu": cpu_second,
        "compiled": t.n_compiled("scifn"),
    }  # fmt: skip


# --- the program -------------------------------------------------------------------------
PEERS = ("scanpy", "pyucell")
PARTS = ("agreement", "time", "donors", "memory", "first")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peer-rounds", type=int, default=1, help="rounds of scanpy and pyucell")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--file", type=Path, help="a file of benchmarks/_large.py, if there is one")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--json", type=Path, help="write every figure; other sizes and parts stay")
    parser.add_argument("--child", choices=("memory", "first"), help=argparse.SUPPRESS)
    parser.add_argument("--contender", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child == "memory":
        print(json.dumps(child_memory(options.file, options.contender)))
        return
    if options.child == "first":
        print(json.dumps(child_first(options.file, options.contender, options.cells)))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = options.file
        if path is None:
            path = Path(folder) / "cells.h5ad"
            print(f"making {options.cells:,} cells", file=sys.stderr)
            _large.write_h5ad(_large.Simulated(options.cells), path)
        sheet = measure(path, options)
    if options.json:
        store(options.json, options.cells, options.only, sheet)


def measure(path: Path, options: argparse.Namespace) -> Lines:
    """All parts that are asked for; each row knows its part."""
    sheet = Lines()
    print(f"{options.cells:,} cells")
    if "first" in options.only:
        first_calls(sheet, path)
        _mark(sheet, "first")
    if "memory" in options.only:
        memory(sheet, path, options.cells)
        _mark(sheet, "memory")
    if {"agreement", "time", "donors"} & {*options.only}:
        adata = load(path)
        print(f"{adata.X.nnz:,} values, {adata.X.nnz / adata.n_obs:,.0f} a cell")
    if "agreement" in options.only:
        agreement(sheet, adata)
        _mark(sheet, "agreement")
    if "time" in options.only:
        timed(sheet, adata, options.rounds, options.peer_rounds, options.peers)
        _mark(sheet, "time")
    if "donors" in options.only:
        statistics(sheet, adata)
        _mark(sheet, "donors")
    return sheet


def _mark(sheet: Lines, run: str) -> None:
    for row in sheet.rows:
        row.setdefault("run", run)


def store(path: Path, n_cells: int, parts: list[str], sheet: Lines) -> None:
    """Put the figures of this size beside those of others."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    stored |= t.machine()
    stored.setdefault("sizes", {})
    kept = stored["sizes"].get(str(n_cells), [])
    rows = [row for row in kept if row["run"] not in parts] + sheet.rows
    stored["sizes"][str(n_cells)] = sorted(rows, key=lambda row: PARTS.index(row["run"]))
    stored["sizes"] = dict(sorted(stored["sizes"].items(), key=lambda item: int(item[0])))
    path.write_text(json.dumps(stored, indent=1, allow_nan=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
