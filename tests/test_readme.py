"""The example that newcomers copy from the README runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_example_runs(tmp_path, monkeypatch, capsys):
    import matplotlib.pyplot as plt

    import scifn

    # fewer cells of fewer donors than newcomers get: what runs is the example, not the simulation
    small = scifn.datasets.cohort(n_patients=6, n_controls=6, cells_per_donor=300, rng=0)
    monkeypatch.setattr(scifn.datasets, "demo", lambda: small)
    examples = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)
    assert len(examples) == 1
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(examples[0], "README.md", "exec"), names)
    plt.close("all")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "simulated" in page.lower()
    assert "research use only" in page.lower()
    assert "logit_pdc" in capsys.readouterr().out


def test_links_lead_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target


def test_commands_are_those_of_the_makefile():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"^make (\w+)", README, flags=re.MULTILINE)
    assert commands == ["demo", "test"]
    assert all(re.search(rf"^{name}:", makefile, flags=re.MULTILINE) for name in commands)
