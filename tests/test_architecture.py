"""The house stands as docs/contributing.md draws it, and the interface is what is promised.

Nothing here looks at numbers: these tests keep imports pointing down, names in one place, and
signatures, docstrings and `__all__` true.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING

import pytest

import scifn

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "scifn"
FILES = sorted(SOURCE.rglob("*.py"))

#: Part of the package -> floor. A part imports only what stands below it, or on its own floor.
FLOOR = {
    "_errors": 0, "_keys": 0, "_docs": 0,
    "_matrix": 1, "genesets": 1,
    "_cells": 2, "_stats": 2, "_donors": 2, "_view": 2,
    "_slots": 2, "_reference": 2, "_soup": 2, "datasets": 2,
    "pp": 3, "tl": 3, "get": 3, "pl": 3,
    "_run": 4, "report": 4,
    "cli": 5, "__main__": 5,
}  # fmt: skip
#: What one part may know of the others, where that is narrower than its floor.
ONLY = {
    "datasets": {"genesets", "_keys", "_errors", "_docs"},
    "pl": {"get", "_keys", "_errors", "_docs", "_slots", "genesets"},
}
#: Where a public name of the package itself is defined.
LAZY = {"run": "_run", "report": "report"}
HEAVY = ("scanpy", "anndata", "numba", "matplotlib", "pandas", "sklearn")
MODULES = ("pp", "tl", "get", "pl", "genesets", "datasets")


def part(path: Path) -> str:
    """Part of the package that a file belongs to: `tl/_annotate.py` -> `tl`."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, by its full name."""
    package = ["scifn", *path.relative_to(SOURCE).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            name = ".".join([*base, *([node.module] if node.module else [])])
            if name == "scifn":  # from scifn import tl
                yield from (f"scifn.{alias.name}" for alias in node.names)
            else:
                yield name


def parts_imported(path: Path) -> set[str]:
    """Parts of scifn that a file imports, without its own."""
    names = {name.split(".")[1] for name in imports(path) if name.startswith("scifn.")}
    return {LAZY.get(name, name) for name in names} - {"__version__", part(path)}


def strings(tree: ast.AST) -> Iterator[ast.Constant]:
    """String literals of a module that are not docstrings."""
    docs = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node


def public_functions() -> dict[str, FunctionType]:
    """`tl.annotate` -> the function, for every name in every `__all__`."""
    found = {}
    for name in MODULES:
        module = importlib.import_module(f"scifn.{name}")
        found |= {f"{name}.{key}": getattr(module, key) for key in module.__all__}
    # by the module that defines it: scifn.report is a (callable) module once someone imported it
    found |= {name: getattr(importlib.import_module(scifn._FUNCTIONS[name]), name) for name in LAZY}
    return {name: value for name, value in found.items() if isinstance(value, FunctionType)}


#: Parameters that are promised and may be absent until then: (function, parameter).
LATER: set[tuple[str, str]] = set()


def contract() -> dict[str, tuple[bool, inspect.Signature]]:
    """`tl.annotate` -> (must it exist already, its signature), from contract.txt."""
    lines = (ROOT / "tests" / "contract.txt").read_text(encoding="utf-8").splitlines()
    promised = {}
    for line in lines:
        match = re.fullmatch(r"(later )?([\w.]+)\((.*)\)", line)
        if match is None:
            assert not line or line.startswith("#"), f"not understood: {line}"
            continue
        later, name, text = match.groups()
        text = text.replace(", M", ", layer=None, gene_symbols=None, species=None")
        LATER.update((name, key) for key in re.findall(r"(\w+)\?", text))
        text = text.replace("?", "")
        promised[name] = (not later, inspect.signature(eval(f"lambda {text}: None")))
    return promised


FUNCTIONS = public_functions()
CONTRACT = contract()
INSIDE = [path for path in FILES if part(path) != "__init__"]  # it names every part, lazily
EACH_FILE = pytest.mark.parametrize("path", INSIDE, ids=lambda p: str(p.relative_to(SOURCE)))
ALL_FUNCTIONS = pytest.mark.parametrize("name", sorted(FUNCTIONS))


def test_every_part_has_a_floor():
    assert {part(path) for path in FILES} - {"__init__"} <= set(FLOOR)


@EACH_FILE
def test_imports_never_point_upwards(path):
    here = part(path)
    used = parts_imported(path)
    assert used <= set(FLOOR), f"unknown parts: {used - set(FLOOR)}"
    above = {name for name in used if FLOOR[name] > FLOOR[here]}
    assert not above, f"{here} stands below {above}"
    assert used <= ONLY.get(here, used), f"{here} must not know {used - ONLY[here]}"
    if here != "cli":
        assert "report" not in used, "the report is known by nothing but the program"


def test_parts_do_not_import_each_other_in_a_circle():
    edges: dict[str, set[str]] = {}
    for path in INSIDE:
        edges.setdefault(part(path), set()).update(parts_imported(path))
    while edges:  # take away what imports nothing that is left; a circle is what can't be taken
        free = {name for name, used in edges.items() if not used & set(edges)}
        assert free, f"circle among {sorted(edges)}"
        edges = {name: used for name, used in edges.items() if name not in free}


@pytest.mark.parametrize("here", ["_cells", "_stats", "_donors", "_matrix"])
def test_models_and_statistics_see_arrays_and_tables_only(here):
    allowed = {"_matrix": {"anndata"}}.get(here, set())  # its backed matrices are a storage kind
    banned = {"anndata", "scanpy", "mudata", "matplotlib"} - allowed
    for path in FILES:
        if part(path) == here:
            roots = {name.split(".")[0] for name in imports(path)}
            assert not roots & banned, f"{path.relative_to(SOURCE)} imports {roots & banned}"


def test_importing_scifn_loads_nothing_heavy():
    command = [sys.executable, "-X", "importtime", "-c", "import scifn"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in ran.stderr.splitlines()}
    assert "scifn" in loaded
    assert not loaded & set(HEAVY)
    assert ran.stdout == ""


@pytest.mark.parametrize("name", MODULES)
def test_all_is_true(name):
    module = importlib.import_module(f"scifn.{name}")
    assert len(module.__all__) == len(set(module.__all__))
    # tl, pp, get and pl import nothing but what they offer; the others use inner helpers as well
    homes = (f"scifn.{name}.",) if name in ("pp", "tl", "get", "pl") else ()
    own = {
        key
        for key, value in vars(module).items()
        if isinstance(value, FunctionType)
        and not key.startswith("_")
        and (value.__module__ == module.__name__ or value.__module__.startswith(homes))
    }
    offered = {key for key in module.__all__ if isinstance(getattr(module, key), FunctionType)}
    assert own <= offered
    assert all(getattr(module, key).__module__.startswith(module.__name__) for key in offered)


def test_the_package_offers_its_parts():
    assert set(scifn.__all__) == {"__version__", *MODULES, *LAZY}
    assert set(scifn.__all__) <= set(dir(scifn))
    for name in scifn.__all__:
        assert getattr(scifn, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        scifn.nothing  # noqa: B018


def test_every_promised_function_exists():
    assert {name for name, (now, _) in CONTRACT.items() if now} - set(FUNCTIONS) == set()
    assert set(FUNCTIONS) - set(CONTRACT) - {"run"} == set(), "not in contract.txt"


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"run"}))  # run: below, with the steps
def test_signature_is_the_promised_one(name):
    have, want = inspect.signature(FUNCTIONS[name]).parameters, CONTRACT[name][1].parameters
    assert {k: (p.kind, p.default) for k, p in have.items()} == {
        k: (p.kind, p.default) for k, p in want.items() if k in have or (name, k) not in LATER
    }


def test_run_takes_every_keyword_of_the_steps():
    steps = ("annotate", "production", "capacity", "response", "donors", "imbalance", "stratify",
             "retroelements", "crosstalk")  # fmt: skip
    wanted = {
        key for step in steps for key in CONTRACT[f"tl.{step}"][1].parameters if key != "adata"
    } - {key for _, key in LATER}
    have = inspect.signature(FUNCTIONS["run"]).parameters
    assert wanted - set(have) == set()
    required = {k for k, p in have.items() if p.default is p.empty}
    assert required == {"adata", "donor", "condition", "reference"}


@ALL_FUNCTIONS
def test_adata_comes_first_and_the_rest_by_keyword(name):
    parameters = list(inspect.signature(FUNCTIONS[name]).parameters.values())
    positional = [p.name for p in parameters if p.kind is not p.KEYWORD_ONLY]
    module = name.partition(".")[0]
    if module in ("pp", "tl", "get", "pl", "run", "report") and name != "get.power":
        extra = {"report": ["path"], "tl.score": ["sets"]}.get(name, [])
        assert positional == ["adata", *extra]
    else:
        assert positional == [p for p in ("name",) if name == "genesets.load"]


@ALL_FUNCTIONS
def test_docstring_is_complete(name):
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    sections = set(re.findall(r"^(\S[\w ]+)\n-+$", text, flags=re.MULTILINE))
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    needed = {"Examples"}
    needed |= {"Parameters"} if parameters else set()
    needed |= {"Sets the following fields"} if name.startswith("tl.") else set()
    needed |= {"Returns"} if not name.startswith("tl.") and name != "run" else set()
    needed |= {"Raises"} if parameters else set()
    assert needed - sections == set()
    assert ">>> " in text, "the example must run"
    missing = [p for p in parameters if not re.search(rf"^(\w+, )*{p}(, \w+)*( :.*)?$", text, re.M)]
    assert not missing, f"parameters without a text: {missing}"


@ALL_FUNCTIONS
def test_one_function_one_return_type(name):
    annotation = inspect.signature(FUNCTIONS[name]).return_annotation
    assert annotation is not inspect.Signature.empty
    writes = name.startswith("tl.") or name == "run"
    assert (annotation in (None, "None")) == writes


@EACH_FILE
def test_names_of_columns_stand_in_keys_only(path):
    if part(path) in ("_keys", "_docs"):  # where names stand, and the texts that explain them
        return
    spelled = {
        f"line {node.lineno}: {node.value[:60]!r}"
        for node in strings(ast.parse(path.read_text(encoding="utf-8")))
        if re.search(r"scifn_[a-z0-9]", node.value)
    }
    assert not spelled, "use _keys"


def test_no_assert_checks_user_input():
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
        assert not lines, f"{path.relative_to(SOURCE)}: assert in lines {lines}"


def test_tools_have_the_same_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    pins = project["project"]["optional-dependencies"]["lint"]
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    ruff = next(pin for pin in pins if pin.startswith("ruff=="))
    assert set(re.findall(r"ruff==[\d.]+", hooks)) == {ruff}
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"version: {scifn.__version__}\n" in citation
