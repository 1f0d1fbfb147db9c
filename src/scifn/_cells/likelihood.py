"""Likelihood of a cell's counts under expected expression: negative binomial, by depth.

For UMI ``x`` of gene ``g`` in a cell of depth ``N`` the mean under component ``c``
is ``N * rate[g, c]``. Only the values above zero are touched: the term that
depends on the gene alone is summed once per depth, and depths within two percent
share it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Cells whose depths differ by less than this share a table of weights.
LOG_STEP = 0.02


def log_likelihood(values: Any, depth: Floats, rates: Floats, size: float) -> Floats:
    """Log likelihood of each cell under each component, up to a constant of the cell.

    Parameters
    ----------
    values
        Cells x genes, CSR, UMI.
    depth
        UMI of each cell; cells at zero get zeros.
    rates
        Genes x components, expected share of all UMI, all above zero.
    size
        Size (inverse dispersion) of the negative binomial: small for genes that differ
        between donors, states and chemistries.

    Returns
    -------
    Cells x components.
    """
    out = np.zeros((values.shape[0], rates.shape[1]))
    some = np.flatnonzero(depth > 0)
    bins = np.rint(np.log(depth[some]) / LOG_STEP).astype(np.int64)
    order = np.argsort(bins, kind="stable")
    edges = np.flatnonzero(np.diff(bins[order])) + 1
    for group in np.split(order, edges):
        if group.size == 0:
            continue
        cells = some[group]
        mean = np.exp(bins[group[0]] * LOG_STEP) * rates
        weights = np.log(mean) - np.log(mean + size)
        constant = -size * np.log1p(mean / size).sum(axis=0)
        out[cells] = values[cells] @ weights + constant
    return out


def posterior(log_likelihoods: Floats, priors: Floats) -> Floats:
    """Posterior of each component, from log likelihoods and priors; rows sum to one.

    ``priors`` are one a component, or one a cell and component. What has prior zero gets zero;
    a cell whose priors are all zero gets a row of zeros.
    """
    with np.errstate(divide="ignore"):
        joint = log_likelihoods + np.log(priors)
    best = joint.max(axis=1, keepdims=True)
    joint -= np.where(np.isfinite(best), best, 0.0)
    np.exp(joint, out=joint)
    sums = joint.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(joint, sums, out=joint, where=sums > 0), dtype=np.float64)
