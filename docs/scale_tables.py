"""Tables of the page on time and memory, from what the benchmark scripts have stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

STORED = Path(__file__).parents[1] / "benchmarks" / "results" / "scale.json"
#: Parts of benchmarks/side_by_side.py that are shown, and columns of sizes.
MARKS = {True: "met", False: "**missed**", None: ""}
Rows = list[list[Any]]


def scale(markdown: Callable[[list[str], Rows], str]) -> dict[str, str]:
    """Name of a part of the page -> its table."""
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    return {
        "scale_cost.inc.md": markdown(*_cost(stored)) + "\n\n" + _fitted(stored),
        "scale_files.inc.md": markdown(*_files(stored)),
        "scale_side.inc.md": _side_by_side(stored, markdown),
        "scale_versions.inc.md": _versions(stored),
    }


def _cost(stored: dict[str, Any]) -> tuple[list[str], Rows]:
    rows = [
        [f"{r['cells']:,}", f"{r['size_gb']:.3g} GB", f"{r['wall']:.0f} s", f"{r['cpu']:.0f} s",
         f"{(r['read_before'] + r['read_after']) / 2:.1f} s", f"{r['rss_gb']:.2f} GB",
         *(f"{r['stages'].get(name, 0):.0f} s" for name in ("Reading", "Analyzing", "Writing"))]
        for r in sorted(stored.get("cost", []), key=lambda row: row["cells"])
    ]  # fmt: skip
    head = ["cells", "file", "time", "processors", "reading alone", "most memory",
            "opening", "analysis", "tables and report"]  # fmt: skip
    return head, rows


def _fitted(stored: dict[str, Any]) -> str:
    """What is paid once and what a cell costs: from the smallest and the largest file."""
    rows = sorted(stored.get("cost", []), key=lambda row: row["cells"])
    small, large = rows[0], rows[-1]
    more = large["cells"] - small["cells"]
    seconds, memory = (large[c] - small[c] for c in ("cpu", "rss_gb"))
    once = small["cpu"] - seconds / more * small["cells"]
    held = small["rss_gb"] - memory / more * small["cells"]
    return (
        f"Between the smallest and the largest file a cell more costs {1e6 * seconds / more:.0f} "
        f"microseconds of processor time and {1e9 * memory / more:,.0f} bytes; "
        f"{once:.0f} seconds of processor time and {held:.2f} GB are paid once."
    )


def _files(stored: dict[str, Any]) -> tuple[list[str], Rows]:
    rows = []
    for r in sorted(stored.get("out_of_core", []), key=lambda row: (row["cells"], row["file"])):
        times = f"{r['times']:.2f}"
        if r["cells"] >= 1_000_000:
            times += f" ({MARKS[r['times'] <= 4]}: 4)"
        rows.append(
            [f"{r['cells']:,}", r["file"], f"{r['size_gb']:.3g} GB", r["memory"],
             f"{r['wall']:.0f} s", f"{r['read_before']:.0f} s, {r['read_after']:.0f} s", times,
             f"{r['rss_gb']:.2f} GB ({MARKS[r['rss_gb'] <= 1.5]}: 1.5)"]
        )  # fmt: skip
    head = ["cells", "file", "size", "`--memory`", "time", "reading alone, before and after",
            "time over both readings", "most memory"]  # fmt: skip
    return head, rows


def _side_by_side(stored: dict[str, Any], markdown: Callable[[list[str], Rows], str]) -> str:
    """A table a part, a column a size."""
    sizes = sorted(stored["sizes"], key=int)
    parts: dict[str, dict[str, dict[str, str]]] = {}
    for size in sizes:
        for row in stored["sizes"][size]:
            what = parts.setdefault(_part(row["part"]), {}).setdefault(row["what"], {})
            what[size] = _value(row)
    out = []
    for part, lines in parts.items():
        shown = [size for size in sizes if any(size in found for found in lines.values())]
        head = [part, *(f"{int(size):,} cells" for size in shown)]
        rows = [[what, *(found.get(size, "") for size in shown)] for what, found in lines.items()]
        out.append(markdown(head, rows))
    return "\n\n".join(out)


def _part(name: str) -> str:
    """Title without the number of cells, which differs by column."""
    return name.partition(",")[0] if name.startswith(("Agreement", "First", "Few")) else name


def _value(row: dict[str, Any]) -> str:
    value, unit = row["value"], row["unit"]
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    mark = f" ({MARKS[row['met']]}: {row['target']})" if row["target"] else ""
    beside = f" [{row['cpu']:.3g}]" if "cpu" in row else ""
    return f"{text}{' ' + unit if unit else ''}{beside}{mark}"


def _versions(stored: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in stored["versions"].items())
    return f"{stored['processors']} processors. Versions: {versions}."
