"""The arithmetic of benchmarks/interferon.py: bins, errors, lanes, thinning. Not its figures."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import SimpleNamespace

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scifn import _keys as k

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

pytest.importorskip("pyucell")


@pytest.fixture
def scripts(monkeypatch):
    """The modules of the script, which stand beside it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    names = ("interferon", "interferon_capacity", "interferon_lanes", "_lanes", "_shared")
    return SimpleNamespace(**{name.strip("_"): importlib.import_module(name) for name in names})


def test_reliability_by_hand(scripts):
    cells = pd.DataFrame({
        k.IFNA_POSTERIOR: [0.0, 0.004, 0.3, 0.4, 0.999, 1.0],
        "producer": [False, False, False, True, True, True],
    })  # fmt: skip
    table = scripts.interferon_lanes.bins(cells)
    assert table.index.tolist() == ["0 to 0.01", "0.2 to 0.5", "0.99 to 1"]
    assert table["n"].tolist() == [2, 2, 2]
    np.testing.assert_allclose(table["posterior"], [0.002, 0.35, 0.9995])
    assert table["right"].tolist() == [0, 0.5, 1]
    error = scripts.interferon_lanes.error(table)
    assert error == pytest.approx((0.002 + 0.15 + 0.0005) / 3)
    assert np.isnan(scripts.interferon_lanes.error(table.iloc[:0]))


def test_a_lane_holds_what_it_is_said_to(scripts):
    rng = np.random.default_rng(0)
    made = scripts.lanes.Producers({k.PDC: 1.0}, 10.0, 1.0)
    lanes = [scripts.lanes.lane(rng, made) for _ in range(8)]
    umi = np.concatenate([np.asarray(one[:, scripts.lanes.IFNA].X.sum(axis=1)) for one in lanes])
    truth = np.concatenate([one.obs["producer"].to_numpy() for one in lanes])
    kinds = np.concatenate([one.obs[k.CELL_TYPE].astype(str) for one in lanes])
    assert lanes[0].n_obs == sum(scripts.lanes.CELLS.values()) == 8000
    assert (truth == (kinds == k.PDC)).all()
    # 200 producers of mean 10 and variance 10 + 10^2, wider by depth
    assert umi[truth].mean() == pytest.approx(10, abs=2.5)
    # soup: 3e-6 of 13 % of 4,900 UMI
    total = np.concatenate([np.asarray(one.X.sum(axis=1)) for one in lanes])[~truth]
    assert umi[~truth].mean() == pytest.approx(3e-6 * 4 / 31 * total.mean(), rel=0.25)


def test_thinning_keeps_a_share_and_the_rest_as_it_is(scripts):
    counts = sparse.csr_matrix(np.random.default_rng(1).poisson(3, (200, 50)).astype(np.float32))
    adata = ad.AnnData(counts, obs=pd.DataFrame(index=[f"c{i}" for i in range(200)]))
    adata.obs["x"] = 1
    thin = scripts.interferon.thinned(adata, 0.25, seed=0)
    assert thin.X.sum() == pytest.approx(0.25 * counts.sum(), rel=0.03)
    assert (thin.X.toarray() <= counts.toarray()).all()
    assert (counts != adata.X).nnz == 0
    assert thin.obs.equals(adata.obs)


def test_missing_decoupler_is_said(scripts, monkeypatch, capsys):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "decoupler":
            raise ImportError("No module named 'decoupler'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    scripts.interferon.ulm_reason.cache_clear()
    sheet = scripts.shared.Sheet()
    scripts.interferon.note_peers(sheet)
    scripts.interferon.ulm_reason.cache_clear()
    assert "decoupler ULM is left out: No module named" in capsys.readouterr().out


def test_a_shift_draws_the_program_again_in_shifted_cells_alone(scripts):
    genes = pd.Index(["ISG15", "MX1", "ACTB"])
    resting = sparse.csr_matrix(np.full((4000, 3), 2.0, dtype=np.float32))
    shifted = np.arange(4000) < 2000
    rng = np.random.default_rng(0)
    found = scripts.interferon_capacity._shift_program(resting, genes, shifted, 10, rng).toarray()
    assert (found[~shifted] == 2).all()
    assert (found[:, 2] == 2).all()
    np.testing.assert_allclose(found[shifted][:, :2].mean(axis=0), 20, rtol=0.02)
    assert (resting.data == 2).all()


def test_a_regression_among_controls_carries_their_slope_far_outside(scripts):
    obs = pd.DataFrame({k.RESPONSE_TYPE1: [*np.linspace(-1, 1, 40), 30.0, 30.0]})
    obs[k.CELL_TYPE] = k.MONOCYTE
    adata = ad.AnnData(obs=obs.set_axis([f"c{i}" for i in range(42)]))
    stim = np.arange(42) >= 40
    scores = np.where(stim, 0.5, 0.1 * obs[k.RESPONSE_TYPE1].to_numpy())
    assert scripts.interferon_capacity._regressed(adata, scores, stim) == pytest.approx(0.5 - 3.0)


def test_the_gene_that_moves_most_is_told_by_its_fold(scripts):
    genes = ["PLD4", "RNASET2", "ACTB", "ISG15"]
    counts = np.zeros((60, 4), dtype=np.float32)
    counts[:, 2], counts[:, 1], counts[:, 0] = 1000, 4, 1
    stim = np.arange(60) >= 30
    counts[stim, 0], counts[stim, 3] = 5, 500  # the program itself is no part of the depth
    obs = pd.DataFrame({k.CELL_TYPE: [k.MONOCYTE] * 60}, index=[f"c{i}" for i in range(60)])
    adata = ad.AnnData(sparse.csr_matrix(counts), obs, pd.DataFrame(index=genes))
    gene, fold = scripts.interferon_capacity._moves_most(adata, ["PLD4", "RNASET2"], stim)
    assert gene == "PLD4"
    assert fold == pytest.approx(5 * 1005 / 1009)
