"""Numbers, p-values and statuses as a reader wants them."""

from __future__ import annotations

import math
from typing import Any, Final

MISSING: Final = "–"


def number(value: Any, digits: int = 3) -> str:
    """A number of ``digits`` significant digits; NaN is a dash.

    >>> number(0.012345), number(-1234567.0), number(float("nan")), number(12.0)
    ('0.0123', '−1,234,567', '–', '12')
    """
    x = _float(value)
    if not math.isfinite(x):
        return MISSING
    if abs(x) >= 1000 or x == int(x):
        shown = f"{x:,.0f}"
    elif abs(x) < 1e-4:
        shown = f"{x:.1e}"
    else:
        places = max(0, digits - 1 - math.floor(math.log10(abs(x))))
        shown = f"{x:.{places}f}"
    return shown.replace("-", "−")


def effect(value: Any) -> str:
    """A difference of means, two decimals.

    >>> effect(-0.456), effect(-0.001), effect(float("nan"))
    ('−0.46', '0.00', '–')
    """
    x = _float(value)
    if not math.isfinite(x):
        return MISSING
    # adding zero turns the -0.0 of rounding into 0.0
    return f"{round(x, 2) + 0.0:.2f}".replace("-", "−")


def count(value: Any) -> str:
    """A whole number with separators of thousands; NaN is a dash.

    >>> count(12345.0), count(0), count(float("nan"))
    ('12,345', '0', '–')
    """
    x = _float(value)
    return f"{x:,.0f}" if math.isfinite(x) else MISSING


def percent(value: Any) -> str:
    """A fraction in percent, two significant digits.

    >>> percent(0.0123), percent(0.26), percent(float("nan")), percent(0.0)
    ('1.2 %', '26 %', '–', '0 %')
    """
    x = _float(value)
    return f"{float(f'{100 * x:.2g}'):.10g} %" if math.isfinite(x) else MISSING


def p_value(value: Any) -> str:
    """A p-value: never "0".

    >>> p_value(0.0123), p_value(0.0004), p_value(0.5), p_value(float("nan"))
    ('0.012', '<0.001', '0.50', '–')
    """
    x = _float(value)
    if not math.isfinite(x):
        return MISSING
    if x < 0.001:
        return "<0.001"
    return f"{x:.3f}" if x < 0.1 else f"{x:.2f}"


def interval(low: Any, high: Any, show: Any = effect) -> str:
    """``0.10 to 0.50``, or a dash where an end is missing.

    >>> interval(-0.1, 0.5), interval(0.1, float("nan"))
    ('−0.10 to 0.50', '–')
    """
    ends = (_float(low), _float(high))
    return f"{show(low)} to {show(high)}" if all(map(math.isfinite, ends)) else MISSING


def words(value: Any) -> str:
    """A status or category in words.

    >>> words("not_measurable"), words("low_b_cells"), words("")
    ('not measurable', 'low B cells', '–')
    """
    return str(value).replace("_b_", "_B_").replace("_", " ").strip() or MISSING


def listed(names: list[str], last: str = "and") -> str:
    """Names as a sentence has them.

    >>> listed(["a", "b", "c"]), listed(["a"]), listed([])
    ('a, b and c', 'a', '')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def plural(n: float, one: str, many: str | None = None) -> str:
    """``1 donor``, ``12 donors``.

    >>> plural(1, "donor"), plural(1200, "cell")
    ('1 donor', '1,200 cells')
    """
    return f"{n:,.0f} {one if n == 1 else many or one + 's'}"


def apart(notes: list[str]) -> tuple[list[str], list[str]]:
    """Parts that all notes share, and what is left of each.

    >>> apart(["paired; 2 left out", "paired"])
    (['paired'], ['2 left out', ''])
    """
    parts = [[part for part in note.split("; ") if part] for note in notes]
    if len(parts) < 2:
        return [], notes
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    return shared, ["; ".join(part for part in some if part not in shared) for some in parts]


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
