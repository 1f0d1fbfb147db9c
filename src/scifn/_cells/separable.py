"""What the genes of a matrix can tell apart, by the components of the model themselves.

Two components are told apart by counts when their distributions overlap little. The
Bhattacharyya coefficient of two negative binomials of one size has a closed form, and
``sqrt(prior * prior) * coefficient`` bounds the share of cells that the better of them
claims wrongly (Kailath 1967, doi:10.1109/TCOM.1967.1089532). Divided by how frequent a
type is, it says how much of a type would be somebody else.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from scifn._cells.profiles import Components

Floats = NDArray[np.float64]

#: UMI of the cell that is thought of: modest for today's chemistries, so that what it can
#: tell most cells can.
DEPTH: Final = 2_000.0


def overlap(means: Floats, size: float) -> Floats:
    """Bhattacharyya coefficient of each pair of components.

    Parameters
    ----------
    means
        Genes x components, expected UMI.
    size
        Size of the negative binomials.

    Returns
    -------
    Components x components, one on the diagonal.

    Examples
    --------
    >>> overlap(np.array([[1.0, 1.0, 30.0]]), 1.0).round(2)
    array([[1.  , 1.  , 0.42],
           [1.  , 1.  , 0.42],
           [0.42, 0.42, 1.  ]])
    """
    p = means / (means + size)
    root, rest = np.sqrt(p), 0.5 * np.log1p(-p)
    out = np.empty((means.shape[1], means.shape[1]))
    for i in range(out.shape[0]):
        log = rest[:, [i]] + rest - np.log1p(-root[:, [i]] * root)
        out[i] = np.exp(size * log.sum(axis=0))
    return out


def confusion(model: Components, means: Floats, size: float) -> Floats:
    """For each component (rows), the bound of what others (columns) add to it, over its own size.

    ``means`` are the expected UMI of ``model`` at the depth that is judged.
    """
    weight = np.sqrt(model.priors)
    return np.asarray(overlap(means, size) * weight / weight[:, None])
