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
    names = ("interferon", "interferon_lanes", "_lanes", "_shared")
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
