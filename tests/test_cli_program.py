"""The program from outside: what it prints, its exit status, and that mistakes write nothing."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import typer

import scifn
from scifn._errors import DesignError
from scifn.cli import app, main

COMMANDS = {"run", "check", "demo", "genes", "power", "cite"}
ARGS = ("--donor", "donor", "--condition", "condition", "--reference", "control")


@pytest.fixture
def h5ad(tmp_path):
    rng = np.random.default_rng(0)
    genes = ["IFNA1", "IFNA2", "MX1", "ISG15", "CD19", "LILRA4", "CD3E", "LYZ"]
    obs = pd.DataFrame(
        {"donor": ["a", "b"] * 20, "condition": ["control", "sle"] * 20},
        index=[f"c{i}" for i in range(40)],
    )
    counts = sp.csr_matrix(rng.poisson(1.0, (40, 8)).astype("float32"))
    path = tmp_path / "in.h5ad"
    ad.AnnData(counts, obs=obs, var=pd.DataFrame(index=genes)).write_h5ad(path)
    return path


def program(*args):
    """Exit status of the program, called in this process."""
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in args])
    return left.value.code or 0


def listing(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def options_of(command):
    found = typer.main.get_command(app).commands[command]
    return {name for p in found.params for name in (*p.opts, *p.secondary_opts)}


def test_commands_are_the_promised_ones():
    assert set(typer.main.get_command(app).commands) == COMMANDS


def test_every_keyword_of_run_is_an_option():
    keywords = set(inspect.signature(scifn.run).parameters) - {"adata"}
    wanted = {f"--{name.replace('_', '-')}" for name in keywords}
    assert wanted - options_of("run") == set()


def test_every_keyword_of_check_is_an_option():
    keywords = set(inspect.signature(scifn.pp.check).parameters) - {"adata"}
    assert {f"--{name.replace('_', '-')}" for name in keywords} - options_of("check") == set()


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from scifn.cli import app, main\n"
        "try: main(['run', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'numpy', 'pandas', 'anndata', 'scanpy', 'matplotlib', 'numba', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"
    assert "--donor" in re.sub(r"\x1b\[[\d;]*m", "", ran.stdout)


def test_module_is_the_program():
    ran = subprocess.run(
        [sys.executable, "-m", "scifn", "--version"], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == scifn.__version__


def test_genes_lists_sets_and_one_set(capsys):
    assert program("genes") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["name", "n_genes", "status", "enabled", "reference"]
    assert len(lines) == len(scifn.genesets.table()) + 1
    assert program("genes", "ifngs4_like") == 0
    said = capsys.readouterr()
    assert said.out.split() == ["IFI27", "IFI44", "IFI44L", "RSAD2"]
    assert "reference:" in said.err
    assert program("genes", "no_such_set") == 2
    assert "no gene set 'no_such_set'" in capsys.readouterr().err


def test_cite(capsys):
    assert program("cite") == 0
    assert scifn.__version__ in capsys.readouterr().out


def test_check_prints_a_table_and_writes_nothing(h5ad, tmp_path, capsys):
    before = listing(tmp_path)
    assert program("check", h5ad, "--donor", "donor") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["aspect", "found", "status", "remedy"]
    assert len(lines) > 3
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("{tmp}/none.h5ad", *ARGS), "no such file or folder"),
        (("{tmp}/text.h5ad", *ARGS), "it holds text"),
        (("{tmp}/empty.h5ad", *ARGS), "holds no cells"),
        (("{tmp}/in.h5ad", "--donor", "nobody", *ARGS[2:]), "nobody"),
        (("{tmp}/in.h5ad", *ARGS[:2], "--condition", "nothing", *ARGS[4:]), "nothing"),
        (("{tmp}/in.h5ad", *ARGS[:4], "--reference", "nowhere"), "nowhere"),
        (("{tmp}/in.h5ad", *ARGS, "--layer", "no_layer"), "no_layer"),
        (("{tmp}/in.h5ad", *ARGS, "--mapping", "no_pair"), "LABEL=TYPE was needed"),
        (("{tmp}/in.h5ad", *ARGS, "--obs", "{tmp}/none.csv"), "no such file"),
        (("{tmp}/in.h5ad", *ARGS, "--species", "zebrafish"), "zebrafish"),
    ],
)
def test_a_mistake_is_one_message_and_nothing_is_written(h5ad, tmp_path, capsys, words, said):
    (tmp_path / "text.h5ad").write_text("donor,condition\n")
    ad.AnnData(np.zeros((0, 3), dtype="float32")).write_h5ad(tmp_path / "empty.h5ad")
    before = listing(tmp_path)
    args = [word.format(tmp=tmp_path) for word in words]
    assert program("run", *args, "-o", tmp_path / "out") == 2
    captured = capsys.readouterr()
    messages = [line for line in captured.err.splitlines() if line.startswith("scifn: ")]
    assert len(messages) == 1
    assert said in messages[0]
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert listing(tmp_path) == before


def test_missing_options_are_a_mistake(h5ad, tmp_path, capsys):
    assert program("run", h5ad) == 2
    assert "--donor" in capsys.readouterr().err
    assert program("nonsense") == 2
    assert listing(tmp_path) == ["in.h5ad"]


def test_existing_folder_is_refused_before_work(h5ad, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(scifn, "run", pytest.fail, raising=False)
    (tmp_path / "out").mkdir()
    assert program("run", h5ad, *ARGS, "-o", tmp_path / "out") == 2
    assert "is there already. --overwrite replaces it" in capsys.readouterr().err
    assert program("demo", "-o", tmp_path / "out") == 2
    assert listing(tmp_path) == ["in.h5ad", "out"]


def test_a_fault_of_ours_is_owned(h5ad, tmp_path, capsys, monkeypatch):
    def fail(_adata, **_keywords):
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(scifn, "run", fail, raising=False)
    assert program("run", h5ad, *ARGS, "-o", tmp_path / "out") == 1
    said = capsys.readouterr().err
    assert "this is a fault of scifn, not of your data: ZeroDivisionError: oh" in said
    assert "Please report it" in said
    assert "Traceback" not in said
    assert program("run", h5ad, *ARGS, "-o", tmp_path / "out", "--debug") == 1
    assert "Traceback" in capsys.readouterr().err
    assert listing(tmp_path) == ["in.h5ad"]


def test_an_interruption_leaves_nothing(h5ad, tmp_path, capsys, monkeypatch):
    def stop(_adata, **_keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(scifn, "run", stop, raising=False)
    assert program("run", h5ad, *ARGS, "-o", tmp_path / "out") == 130
    assert listing(tmp_path) == ["in.h5ad"]


def test_keywords_reach_run(h5ad, tmp_path, capsys, monkeypatch):
    seen = {}

    def note(adata, **given):
        seen.update(given)
        adata.uns["scifn"] = {}

    monkeypatch.setattr(scifn, "run", note, raising=False)
    args = ("--covariate", "sex", "--covariates", "age", "--seed", "3", "--paired", "donor",
            "--missing", "unknown")  # fmt: skip
    assert program("run", h5ad, *ARGS, "-o", tmp_path / "out", *args) == 0
    assert seen == {
        "donor": "donor", "condition": "condition", "reference": "control",
        "covariates": ("sex", "age"), "rng": 3, "paired": "donor", "missing": ("unknown",),
    }  # fmt: skip
    captured = capsys.readouterr()
    assert captured.out.strip() == str(tmp_path / "out" / "report.html")
    assert re.search(r"^Reading .*in\.h5ad \(\d", captured.err, re.M)  # plain lines in a log


def test_design_errors_are_the_users(h5ad, tmp_path, capsys, monkeypatch):
    def refuse(_adata, **_keywords):
        raise DesignError("batch and condition are the same")

    monkeypatch.setattr(scifn, "run", refuse, raising=False)
    assert program("run", h5ad, *ARGS, "-o", tmp_path / "out") == 2
    assert capsys.readouterr().err.splitlines()[-1] == "scifn: batch and condition are the same"
