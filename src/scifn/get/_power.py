"""What a design can detect, before or after the cells are sequenced."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from scifn import _keys as k
from scifn._errors import ArgumentError
from scifn._stats import bounds
from scifn._stats import power as model_

if TYPE_CHECKING:
    import pandas as pd


def power(
    *,
    n_pdc: int | Sequence[int],
    producer_fraction: float | Sequence[float],
    detection: float | Sequence[float] | Mapping[str, float],
    n_donors: int | Sequence[int] = 1,
) -> pd.DataFrame:
    """Probability of seeing producers of IFN-alpha transcripts, and how many cells it takes.

    A pDC is seen positive with probability ``producer_fraction * detection``; the rest follows
    from the number of pDC and donors. What was not seen is not excluded: ``upper95`` is the bound
    on detectable producers if none of a donor's pDC is positive.

    Parameters
    ----------
    n_pdc
        pDC of one donor. Here and below one value or several; there is a row for each
        combination.
    producer_fraction
        Share of pDC that transcribe IFN-alpha, 0 to 1 (1 to 3 % in stimulated, less in resting
        blood).
    detection
        Probability that a producer shows at least one UMI, 0 to 1. Or what it follows from:
        ``{"copies": 20, "capture": 0.07}``, transcripts in a producer and the probability that
        one of them becomes a UMI (capture 0.05 to 0.15 with 10x v2 and v3, times mapping, times
        saturation); with ``"burst_size"``, the copies are negative binomial of that size.
    n_donors
        Donors with that many pDC each.

    Returns
    -------
    A row a combination: ``n_pdc``, ``producer_fraction``, ``detection``, ``n_donors`` as given;
    ``p_cell``, probability that one pDC is seen positive; ``p_donor``, that one or more of the
    donor's are; ``p_any_donor``, that it is so in one donor or more; ``expected_donors``, the
    number of donors in which it is; ``n_pdc_needed``, pDC of one donor for 95 %;
    ``n_donors_needed``, donors with ``n_pdc`` each for 95 % (infinite where nothing can be seen);
    ``upper95``; and ``statement``, a sentence.

    Raises
    ------
    scifn._errors.ArgumentError
        A share is not between 0 and 1, or a number is not whole or below 1 (pDC: 0).

    References
    ----------
    Few pDC produce at a time: Wimmers F et al. Nat Commun 2018, 9:3317; Van Eyndhoven LC et al.
    Front Immunol 2021, 12:672729. The bound is that of Clopper & Pearson 1934,
    doi:10.1093/biomet/26.4.404.

    Examples
    --------
    >>> import scifn
    >>> table = scifn.get.power(n_pdc=[30, 100, 300], producer_fraction=0.01, detection=0.5)
    >>> table["p_donor"].round(2).tolist()
    [0.14, 0.39, 0.78]
    >>> int(table["n_pdc_needed"][0])
    598
    >>> deep = {"copies": 20, "capture": 0.07}
    >>> table = scifn.get.power(n_pdc=100, producer_fraction=0.01, detection=deep)
    >>> table["detection"].round(2).tolist()
    [0.77]
    """
    import pandas as pd

    given = (
        _numbers(n_pdc, "n_pdc", least=0),
        _shares(producer_fraction, "producer_fraction"),
        _detection(detection),
        _numbers(n_donors, "n_donors", least=1),
    )
    n, fraction, seen, donors = np.array(list(product(*given)), dtype=np.float64).T
    cell = fraction * seen
    donor = model_.at_least_one(cell, n)
    columns = (
        n.astype(np.int64),
        fraction,
        seen,
        donors.astype(np.int64),
        cell,
        donor,
        model_.at_least_one(donor, donors),
        donor * donors,
        model_.needed(cell),
        model_.needed(donor),
        bounds.zero_bound(n),
    )
    table = pd.DataFrame(dict(zip(k.POWER_COLUMNS[:-1], columns, strict=True)))
    table[k.POWER_COLUMNS[-1]] = [_statement(row) for row in table.itertuples(index=False)]
    return table


def _statement(row: Any) -> str:
    if row.n_pdc == 0:
        return "Without a pDC nothing can be seen, and nothing excluded."
    seen = (
        f"With {row.n_pdc:,} pDC, positive cells are seen in {100 * row.p_donor:.0f} % of "
        f"donors if {row.producer_fraction:.3g} of the pDC are producers and {row.detection:.3g} "
        "of these are detected."
    )
    if np.isinf(row.n_pdc_needed):
        need = " No number of pDC would show a positive cell."
    else:
        need = f" It takes {row.n_pdc_needed:,.0f} pDC for 95 %."
    bound = (
        " If none is seen, that does not exclude secretion: the 95 % upper bound on detectable "
        f"producers is {100 * row.upper95:.1f} %."
    )
    return seen + need + bound


def _detection(given: Any) -> list[float]:
    """Probability of detection as given, or from copies and capture."""
    if not isinstance(given, Mapping):
        return _shares(given, "detection")
    known = ("copies", "capture", "burst_size")
    if not {"copies", "capture"} <= set(given) <= set(known):
        msg = (
            f"detection={dict(given)!r}: a share is needed, or 'copies' and 'capture' (and "
            "'burst_size')."
        )
        raise ArgumentError(msg)
    copies, sizes = (_floats(given.get(name, np.inf), name) for name in ("copies", "burst_size"))
    if not all(0 <= m < np.inf for m in copies) or not all(size > 0 for size in sizes):
        raise ArgumentError("detection: 'copies' must be 0 or more, 'burst_size' above 0.")
    capture = _shares(given["capture"], "capture")
    return [
        float(model_.cell_detection(m, q, burst_size=size))
        for m, q, size in product(copies, capture, sizes)
    ]


def _shares(given: Any, name: str) -> list[float]:
    values = _floats(given, name)
    wrong = [value for value in values if not 0 <= value <= 1]
    if wrong:
        raise ArgumentError(f"{name}={wrong[0]:g}: a share is needed, from 0 to 1.")
    return values


def _numbers(given: Any, name: str, *, least: int) -> list[float]:
    values = _floats(given, name)
    wrong = [value for value in values if not (value >= least and value == np.floor(value))]
    if wrong or any(np.isinf(values)):
        shown = wrong[0] if wrong else np.inf
        raise ArgumentError(f"{name}={shown:g}: a whole number is needed, {least} or more.")
    return values


def _floats(given: Any, name: str) -> list[float]:
    """One number or several, as a list."""
    try:
        if isinstance(given, str | bool):
            raise TypeError
        values = np.asarray(given, dtype=np.float64)
        if values.ndim > 1 or values.size == 0:
            raise ValueError
    except (TypeError, ValueError):
        msg = f"{name}={given!r}: a number is needed, or a list of numbers."
        raise ArgumentError(msg) from None
    return [float(value) for value in values.reshape(-1)]
