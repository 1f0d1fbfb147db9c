"""How sure a call is: the model's posterior, tempered until it says how often it is right.

A likelihood that multiplies hundreds of genes as if each told its own story is too sure
of itself: genes of one program rise together, and expected rates are off by chemistry and
state. Raising the posterior to a power below one, and keeping a small share for what no
component describes, mends both. Powers and shares were fitted by maximum likelihood on
labelled cells (``benchmarks/make_calibration.py``: lineages on bead-sorted cells, subsets
of B cells on those of childhood lupus with a table made without them). The order of the
types in a cell, and so its call, stays as it is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Power and share of errors between lineages.
LINEAGE: Final = (0.259, 0.016)
#: The same between types of one lineage.
TYPE: Final = (0.381, 0.019)


def tempered(posterior: Floats, power: float, errors: float) -> Floats:
    """Posterior to a power, mixed with equal shares.

    Parameters
    ----------
    posterior
        Cells x classes; rows sum to one, or to zero where nothing is known.
    power
        Below one makes it less sure.
    errors
        Share given to all classes alike.

    Returns
    -------
    Cells x classes; rows of zeros stay so.

    Examples
    --------
    >>> tempered(np.array([[0.9, 0.1], [0.0, 0.0]]), 0.5, 0.0)
    array([[0.75, 0.25],
           [0.  , 0.  ]])
    """
    out = np.asarray(posterior, dtype=np.float64) ** power
    sums = out.sum(axis=1, keepdims=True)
    out = np.divide(out, sums, out=np.zeros_like(out), where=sums > 0)
    return np.asarray((1 - errors) * out + errors / out.shape[1] * (sums > 0))
