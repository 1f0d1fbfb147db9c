"""Means of scores per donor and cell type, against pandas."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest

import scifn
from scifn import _keys as k
from scifn._stats.moments import moments, moments_of_each


def _adata() -> ad.AnnData:
    rng = np.random.default_rng(0)
    obs = pd.DataFrame(
        {
            "donor": ["a", "a", "a", "b", "b", "b", "b", "unknown"],
            "condition": "sle",
            k.CELL_TYPE: ["pDC", "pDC", "T/NK", "pDC", "Doublet", "T/NK", "T/NK", "pDC"],
            k.RESPONSE_TYPE1: [1.0, 3.0, 2.0, 5.0, 9.0, np.nan, 4.0, 7.0],
        },
        index=[f"c{i}" for i in range(8)],
    )
    adata = ad.AnnData(obs=obs)
    adata.obsm[k.CAPACITY] = pd.DataFrame({"rlr": rng.normal(size=8)}, index=adata.obs_names)
    return adata


def test_means_and_standard_errors_are_those_of_the_cells_of_a_type():
    adata = _adata()
    scifn.tl.donors(adata, donor="donor", condition="condition")
    found = adata.uns["scifn"][k.TYPE_MEANS].set_index(["donor", "cell_type"])
    assert list(found.index) == [("a", "pDC"), ("a", "T/NK"), ("b", "pDC"), ("b", "T/NK")]
    assert list(found["n_cells"]) == [2, 1, 1, 2]  # no doublet, no cell without a donor
    assert list(found["response_type1"]) == [2.0, 2.0, 5.0, 4.0]
    assert found.loc[("a", "pDC"), "response_type1_se"] == pytest.approx(1.0)
    assert np.isnan(found.loc[("b", "pDC"), "response_type1_se"])
    rlr = adata.obsm[k.CAPACITY]["rlr"]
    assert found.loc[("b", "T/NK"), "rlr"] == pytest.approx(rlr.iloc[5:7].mean())
    assert found.loc[("b", "T/NK"), "rlr_se"] == pytest.approx(rlr.iloc[5:7].sem())


def test_without_scores_there_is_no_table():
    adata = _adata()
    del adata.obs[k.RESPONSE_TYPE1], adata.obsm[k.CAPACITY]
    scifn.tl.donors(adata, donor="donor", condition="condition")
    assert k.TYPE_MEANS not in adata.uns["scifn"]


def test_moments_of_columns_are_those_of_each_column():
    rng = np.random.default_rng(0)
    at = rng.integers(0, 6, 400)  # five groups, and cells of none
    at[at == 3] = 2  # a group without a cell
    columns = [rng.normal(50, 2, 400), rng.normal(0, 1, 400).astype(np.float32), np.full(400, 0.25)]
    columns[1][rng.random(400) < 0.3] = np.nan
    columns[1][at == 4] = np.nan
    found = list(moments_of_each(columns, at, 5))
    for column, each in zip(columns, found, strict=True):
        for got, expected in zip(each, moments(column, at, 5), strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)
    values = pd.Series(columns[1].astype(np.float64)).groupby(at)
    mean, error = found[1].with_error()
    np.testing.assert_allclose(mean, values.mean().reindex(range(5)), rtol=1e-12)
    np.testing.assert_allclose(error, values.sem().reindex(range(5)), rtol=1e-12)
    assert not found[2].squares.any()
