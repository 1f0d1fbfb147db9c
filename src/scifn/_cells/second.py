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
from scifn._cells import identity
from scifn._cells.likelihood import log_likelihood
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
        Cells x genes (``model.genes``), CSR, UMI.
    depth
        UMI of each cell over all genes.
    model
        Components; ambient RNA comes into every mean.
    whole
        As in :func:`scifn._cells.identity.type_posterior`.

    Returns
    -------
    For each cell the odds of the likeliest second cell, its frequency and that of doublets in them.
    """
    rates = identity.expected(model)
    if not whole:
        rates = rates / rates.sum(axis=0)
        depth = np.asarray(values.sum(axis=1), dtype=np.float64).ravel()
    alone = rates[:, model.types.index(k.PDC)]
    odds = np.full(values.shape[0], -np.inf)
    for name in PARTNERS:
        at = model.names.index(name)
        more = np.flatnonzero(rates[:, at] > alone)
        means = [(1 - share) * alone[more] + share * rates[more, at] for share in SHARES]
        found = log_likelihood(
            values[:, more], depth, np.stack([alone[more], *means], axis=1), identity.SIZE
        )
        mixed = np.logaddexp.reduce(found[:, 1:], axis=1) - np.log(len(SHARES))
        prior = np.log(DOUBLET_RATE * model.priors[at])
        odds = np.maximum(odds, mixed - found[:, 0] + prior)
    return odds
