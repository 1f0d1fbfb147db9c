"""Where donors with nearly the same value stand beside each other: always the same places."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Columns on either side of the middle that donors of one score are spread over.
_PLACES: Final = 8
#: More donors than this stand as a swarm, as wide as it must be; fewer in five columns.
MANY: Final = 40
#: Part of the range in which marks would touch.
_TOUCH: Final = 1 / 45


def beside(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places from -1 to 1 of the donors of one group.

    >>> beside(np.array([3.0, 1.0, 2.0])).tolist()
    [-1.0, 0.0, 1.0]
    """
    if len(values) > MANY:
        return spread(values, _TOUCH * (float(np.ptp(values)) or 1.0))
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    # neighbors in value sit apart
    return np.array([0.0, 1.0, -1.0, 0.5, -0.5])[rank % 5]


def spread(values: NDArray[np.float64], near: float) -> NDArray[np.float64]:
    """Places from -1 to 1 at which values that are ``near`` each other stand side by side.

    >>> spread(np.array([0.0, 5.0, 0.1]), 1.0).tolist()
    [0.0, 0.0, 0.125]
    """
    out = np.zeros(len(values))
    places = sorted(range(-_PLACES, _PLACES + 1), key=lambda i: (abs(i), -i))
    last: dict[int, float] = {}
    for i in np.argsort(values, kind="stable"):
        # the first free place from the middle; if none is, the one that was taken longest ago
        free = [p for p in places if values[i] - last.get(p, -np.inf) >= near]
        at = free[0] if free else min(places, key=lambda p: last[p])
        last[at] = float(values[i])
        out[i] = at / _PLACES
    return out
