"""Reads that fit several IFNA genes: a layer that keeps them, whole or shared out in fractions."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scifn import _keys as k
from scifn import _matrix, genesets, tl
from scifn._errors import ScaleError
from scifn._view import read
from scifn.pp import check

IFNA = list(genesets.load("ifn_alpha"))
OTHERS = ["IFNB1", "IFNW1", "S100A8", "S100A9", "LYZ", "PPBP", "HBB", "CD74", "ACTB", "PPIA"]
GENES = [*IFNA, *OTHERS]
AT = {gene: i for i, gene in enumerate(GENES)}
KINDS = {k.PDC: 40, k.MONOCYTE: 300, k.T_NK: 660}


@pytest.fixture(scope="module")
def lane():
    """Producers among the pDC whose reads mostly fit two to four IFNA genes.

    X holds what fits one gene alone, layers["multi"] shares the others out, layers["family"] has
    each once (in IFNA1).
    """
    rng = np.random.default_rng(0)
    types = np.repeat(list(KINDS), list(KINDS.values()))
    unique = np.zeros((types.size, len(GENES)))
    unique[:, AT["ACTB"]] = rng.integers(2000, 6000, types.size)
    unique[:, AT["S100A8"] : AT["CD74"] + 1] = rng.poisson(0.5, (types.size, 6))
    multi, family = unique.copy(), unique.copy()
    makes = np.zeros(types.size, dtype=bool)
    makes[:10] = True
    truth = np.where(makes, 1 + rng.poisson(4, types.size), 0)
    for cell in np.flatnonzero(truth):
        for _ in range(truth[cell]):
            family[cell, AT["IFNA1"]] += 1
            fits = rng.choice(
                len(IFNA), rng.choice([1, 2, 3, 4], p=[0.25, 0.25, 0.25, 0.25]), False
            )
            share = rng.dirichlet(np.ones(fits.size))
            multi[cell, fits] += share
            if fits.size == 1:
                unique[cell, fits] += 1
    # UMI that IFNA2 has in common with a gene outside of the family, as many as the other reads
    for cell in range(40, 44):
        multi[cell, AT["IFNA2"]] += 0.5
        multi[cell, AT["PPIA"]] += 0.5
    # as in files of such layers: few digits, and zeros that are stored
    at = np.flatnonzero((multi > 0) | (rng.uniform(size=multi.shape) < 0.05))
    rows, columns = np.unravel_index(at, multi.shape)
    shared = np.round(multi.ravel()[at], 6).astype(np.float32)
    kept = sparse.csr_matrix((shared, (rows, columns)), multi.shape)
    assert kept.nnz > np.count_nonzero(multi)
    adata = ad.AnnData(sparse.csr_matrix(unique.astype(np.float32)))
    adata.var_names = GENES
    adata.obs_names = [f"c{i}" for i in range(types.size)]
    adata.layers["multi"] = kept
    adata.layers["family"] = sparse.csr_matrix(family.astype(np.float32))
    adata.obs[k.CELL_TYPE] = pd.Categorical(types)
    adata.obs["truth"] = truth
    return adata


def run(adata, **options):
    out = adata.copy()
    tl.production(out, **options)
    return out


def test_unique_counting_loses_what_the_layer_keeps(lane):
    unique, multi, family = run(lane), run(lane, layer="multi"), run(lane, layer="family")
    truth = lane.obs["truth"].to_numpy()
    for kept in (multi, family):
        np.testing.assert_array_equal(kept.obs[k.IFNA_UMI], truth)
    assert unique.obs[k.IFNA_UMI].sum() < 0.5 * truth.sum()
    found = [(one.obs[k.IFNA_EVIDENCE] == "strong").sum() for one in (unique, multi, family)]
    assert found[0] < found[1] == found[2] == (truth >= 2).sum()
    for name in (k.IFNA_EVIDENCE, k.IFNA_P_VALUE, k.IFNA_POSTERIOR):
        # the depth of the cells is that of the layer, half a UMI more in four of them
        if name == k.IFNA_EVIDENCE:
            assert multi.obs[name].tolist() == family.obs[name].tolist()
        else:
            np.testing.assert_allclose(multi.obs[name], family.obs[name], rtol=1e-3)


def test_what_may_be_of_another_gene_is_rounded_down_and_said(lane):
    adata = run(lane, layer="multi")
    half = adata.obs[k.IFNA_UMI].to_numpy()[40:44]
    np.testing.assert_array_equal(half, 0)
    record = adata.uns["scifn"]["production"]
    assert record["fractional"]
    assert record["ifna_rounded_away"] == pytest.approx(2.0, abs=0.01)
    assert "rounded down, which took 2 UMI" in record["notes"]
    unique = lane[:, IFNA].X.sum()
    assert record["ifna_mapping_recovery"] == pytest.approx(unique / lane.obs["truth"].sum())
    assert f"IFNA UMI in layers['multi'], {unique:.0f} of them in X" in record["notes"]


def test_without_a_layer_nothing_is_said_of_recovery(lane):
    record = run(lane).uns["scifn"]["production"]
    assert "ifna_mapping_recovery" not in record
    assert not record["fractional"]
    # the layer holds fewer than the matrix that would be read: no share
    swapped = lane.copy()
    swapped.X, swapped.layers["few"] = lane.layers["family"], lane.X
    record = run(swapped, layer="few").uns["scifn"]["production"]
    assert np.isnan(record["ifna_mapping_recovery"])


def test_one_read_of_two_genes_is_one_and_not_strong(lane):
    one = lane.copy()
    layer = lane.layers["multi"].tolil()
    layer[:, : len(IFNA)] = 0
    layer[0, [AT["IFNA2"], AT["IFNA5"]]] = 0.5
    layer[1, AT["IFNA2"]] = 1.5
    layer[1, AT["IFNA5"]] = 0.5
    one.layers["multi"] = layer.tocsr()
    found = run(one, layer="multi", contamination=0.01, ambient=soup(2e-8)).obs
    assert found[k.IFNA_UMI].tolist()[:3] == [1, 2, 0]
    assert found[k.IFNA_EVIDENCE].tolist()[:3] == ["weak", "strong", "none"]


def soup(share):
    """Counts of empty droplets with this share of IFNA (as near as whole UMI come)."""
    counts = pd.Series(0.0, index=GENES)
    counts["ACTB"], counts["IFNA1"] = 1e9, share * 1e9
    return counts


def test_fractions_are_told_from_corrected_counts_and_from_recovered_ones(lane):
    kind = _matrix.sniff(_matrix.sample_rows(lane.layers["multi"], 512))
    assert (kind.kind, kind.recoverable) == (_matrix.FRACTIONAL, False)
    # halves and thirds are no multiples of a sixth of a UMI
    thirds = sparse.csr_matrix(np.array([[1, 0.5, 1 / 3, 2, 5, 1], [1, 3, 0.5, 0.5, 1, 0]]))
    assert _matrix.sniff(thirds).kind == _matrix.FRACTIONAL
    corrected = lane.X.copy()
    corrected.data = corrected.data * np.random.default_rng(1).uniform(0.8, 0.99, corrected.nnz)
    assert _matrix.sniff(corrected).kind != _matrix.FRACTIONAL
    logs = lane.X.copy()
    logs.data = np.log2(logs.data + 1)  # many ones among its values
    assert _matrix.sniff(logs).kind != _matrix.FRACTIONAL
    bad = lane.copy()
    bad.layers["corrected"] = corrected
    with pytest.raises(ScaleError, match="needs UMI counts"):
        tl.production(bad, layer="corrected")


def test_the_layer_is_read_as_it_is(lane):
    view = read(lane, GENES, layer="multi")
    assert view.is_fractional
    assert not view.is_counts
    np.testing.assert_allclose(view.total, lane.layers["multi"].sum(axis=1).A1, rtol=1e-6)
    np.testing.assert_allclose(view.dense(IFNA), lane.layers["multi"].toarray()[:, : len(IFNA)])
    table = check(lane, layer="multi").set_index("aspect")
    assert table.loc["counts", "status"] == "note"
    assert "layer=" in table.loc["counts", "remedy"]
