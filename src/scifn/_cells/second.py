"""Whether a pDC holds a second cell, by all genes that the second cell has more of.

The doublets of the model (:mod:`scifn._cells.profiles`) are equal halves that must show two genes
each; a second cell of few transcripts may show one or none of the short list. Here the share of the
second cell is free, and every identity gene counts that it has more of than a pDC. Genes that pDC
have more of say nothing: pDC lose some of theirs when they are activated.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._cells import mixture
from scifn._cells.likelihood import Tables, log_likelihood
from scifn._cells.profiles import DOUBLET_RATE, Components

Floats = NDArray[np.float64]

#: Second cells that are looked for: what most of blood is made of.
PARTNERS: Final = (
    "T CD4", "T CD8", "NK", "Monocyte CD14", "Monocyte CD16", "B naive", "B memory",
)  # fmt: skip
#: Shares of the UMI that the second cell may have, equally likely.
SHARES: Final = (0.2, 0.35, 0.5, 0.65)


def second_cell(values: Any, depth: Floats, model: Components, *, whole: bool) -> Floats:
    """Log odds of a pDC with a second cell against a pDC alone.

    Parameters
    ----------
    values
        Cells x genes (``model.genes``; columns beyond them are left out), CSR, UMI.
    depth
        UMI of each cell over all genes.
    model
        Components; ambient RNA comes into every mean.
    whole
        As in :func:`scifn._cells.mixture.type_posterior`.

    Returns
    -------
    For each cell the odds of the likeliest second cell, its frequency and that of doublets in them.
    """
    values = values[:, : len(model.genes)]
    rates, depth = mixture.expected(model, whole=whole), _depth(values, depth, whole=whole)
    odds = np.full(values.shape[0], -np.inf)
    for name in PARTNERS:
        means, more = _mixtures(model, rates, name)
        at = np.flatnonzero(more)
        found = log_likelihood(values[:, at], depth, means[at], mixture.SIZE)
        odds = np.maximum(odds, _odds(found, model, name))
    return odds


class Tabled:
    """:func:`second_cell` of runs of many cells, with tables that are made once."""

    def __init__(self, model: Components, *, whole: bool) -> None:
        self._model, self._whole, self._tables = model, whole, None
        if k.PDC not in model.types:
            return
        rates = mixture.expected(model, whole=whole)
        pairs = [_mixtures(model, rates, name) for name in PARTNERS]
        means = np.concatenate([found for found, _ in pairs], axis=1)
        used = np.repeat(np.stack([more for _, more in pairs], axis=1), 1 + len(SHARES), axis=1)
        self._tables = Tables(means, mixture.SIZE, used)

    def odds(self, values: Any, depth: Floats) -> Floats:
        """As :func:`second_cell`."""
        if self._tables is None:
            return np.full(values.shape[0], -np.inf)
        values = values[:, : len(self._model.genes)]
        depth = _depth(values, depth, whole=self._whole)
        found = self._tables(values, depth).reshape(len(depth), len(PARTNERS), -1)
        each = [_odds(found[:, i], self._model, name) for i, name in enumerate(PARTNERS)]
        return np.asarray(np.max(each, axis=0))


def _depth(values: Any, depth: Floats, *, whole: bool) -> Floats:
    """What expected rates are shares of: all UMI of a cell, or those of identity genes."""
    return depth if whole else np.asarray(values.sum(axis=1), dtype=np.float64).ravel()


def _mixtures(model: Components, rates: Floats, name: str) -> tuple[Floats, NDArray[np.bool_]]:
    """Rates of a pDC, alone and with each share of ``name``, and the genes which that has more."""
    alone, other = rates[:, model.types.index(k.PDC)], rates[:, model.names.index(name)]
    means = [alone, *((1 - share) * alone + share * other for share in SHARES)]
    return np.stack(means, axis=1), other > alone


def _odds(found: Floats, model: Components, name: str) -> Floats:
    """Log odds from the likelihoods of :func:`_mixtures`."""
    mixed = np.logaddexp.reduce(found[:, 1:], axis=1) - np.log(len(SHARES))
    prior = np.log(DOUBLET_RATE * model.priors[model.names.index(name)])
    return np.asarray(mixed - found[:, 0] + prior)
