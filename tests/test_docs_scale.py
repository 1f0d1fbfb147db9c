"""The page on time and memory shows what the benchmark scripts have stored, and nothing else."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STORED = json.loads((ROOT / "benchmarks" / "results" / "scale.json").read_text(encoding="utf-8"))


def _markdown(header: list[str], rows: list[list[object]]) -> str:
    return "\n".join(" | ".join(map(str, line)) for line in [header, *rows])


@pytest.fixture(scope="module")
def tables() -> dict[str, str]:
    place = ROOT / "docs" / "scale_tables.py"
    spec = importlib.util.spec_from_file_location("scale_tables", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.scale(_markdown)


def test_the_page_includes_every_table(tables: dict[str, str]) -> None:
    page = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
    assert set(re.findall(r"generated/(scale_\w+\.inc\.md)", page)) == set(tables)


def test_every_run_that_was_measured_is_shown(tables: dict[str, str]) -> None:
    for row in STORED["cost"]:
        line = next(x for x in tables["scale_cost.inc.md"].splitlines() if f"{row['cells']:,}" in x)
        assert f"{row['wall']:.0f} s" in line
        assert f"{row['rss_gb']:.2f} GB" in line
    for row in STORED.get("out_of_core", []):
        assert f"{row['file']}" in tables["scale_files.inc.md"]
        assert f"{row['times']:.2f}" in tables["scale_files.inc.md"]


def test_a_missed_target_is_shown_as_missed(tables: dict[str, str]) -> None:
    missed = [row for rows in STORED["sizes"].values() for row in rows if row["met"] is False]
    assert tables["scale_side.inc.md"].count("**missed**") == len(missed)
    large = [row for row in STORED.get("out_of_core", []) if row["cells"] >= 1_000_000]
    missed = [row for row in large if row["times"] > 4]
    missed += [row for row in STORED.get("out_of_core", []) if row["rss_gb"] > 1.5]
    assert tables["scale_files.inc.md"].count("**missed**") == len(missed)


def test_the_picture_is_drawn_from_the_stored_figures() -> None:
    shown = ("cells", "wall", "cpu", "rss_gb", "read_before", "read_after")
    rows = sorted([row[name] for name in shown] for row in STORED["cost"])
    drawn = f"cost {hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]}"
    assert drawn in (ROOT / "docs" / "_static" / "cost.svg").read_text(encoding="utf-8")


def test_no_stored_figure_names_a_place_of_the_machine() -> None:
    assert not re.search(r"\"[^\"]*(/home|/tmp|/work|/root)/", json.dumps(STORED))
