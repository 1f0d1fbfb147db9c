"""What the documentation lists is what a run writes; notebooks are committed without outputs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

import scifn
from scifn import _keys as k

ROOT = Path(__file__).resolve().parents[1]
TEXTS = tomllib.loads((ROOT / "docs" / "columns.toml").read_text(encoding="utf-8"))
COVARIATES = ["age"]
#: A measurement of the donors, and what the donor table makes of it.
SERUM = ["ifna_serum", "ifna_serum_censored"]


@pytest.fixture(scope="module")
def done():
    adata = scifn.datasets.cohort(n_patients=3, n_controls=3, cells_per_donor=300, rng=1)
    adata.obs[SERUM[0]] = [float(len(name)) for name in adata.obs["donor"].astype(str)]
    before = set(adata.obs)
    scifn.run(
        adata, donor="donor", condition="condition", reference="control", covariates=COVARIATES,
        measurements={SERUM[0]: {"lod": 1.0}},
    )  # fmt: skip
    scifn.tl.retroelements(adata)  # a run does so where there are elements among the features
    return adata, before


def test_every_column_of_a_cell_is_explained(done):
    adata, before = done
    for slot, found in (("obs", set(adata.obs) - before), ("obsm", set(adata.obsm))):
        explained = {getattr(k, name) for name in TEXTS[slot]}
        assert found - explained == set()
        assert found, "the run wrote nothing"


@pytest.mark.parametrize("table", sorted(set(TEXTS["tables"]) & set(scifn.get.__all__)))
def test_every_column_of_a_table_is_explained(done, table):
    explained = {*TEXTS["tables"][table], *COVARIATES, *SERUM}
    columns = [str(name) for name in getattr(scifn.get, table)(done[0]).columns]
    if table == "pseudobulk":
        columns = columns[: len(TEXTS["tables"][table]) - 1]  # behind them, a column a gene
    named = {name.removesuffix("_se") for name in columns}
    named = {"response_type1:<lineage>" if ":" in name else name for name in named}
    assert named - explained == set()


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda p: p.name)
def test_notebooks_are_committed_without_outputs(path):
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
