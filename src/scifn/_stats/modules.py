"""Interferon modules of blood, and whether they are active in the order that is known.

In lupus M1.2 becomes active first, then M3.4, then M5.12 (Chiche 2014, Arthritis Rheumatol
66:1583).
A donor with the last and without the first is more likely an artefact, or another disease, than
interferon of type I.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import pandas as pd

from scifn._stats.stratify import stratify

#: In the order of activation.
MODULES: Final = ("mod_M1_2", "mod_M3_4", "mod_M5_12")


def activation(
    expression: pd.DataFrame,
    *,
    genes: Mapping[str, Sequence[str]],
    reference: str,
    min_controls: int = 5,
) -> dict[str, str]:
    """How many donors have each module active, and who has them out of order.

    Parameters
    ----------
    expression
        ``donor, condition`` and a column a gene, log2; a row a donor x condition.
    genes
        Measured genes of each module; none if its coverage is too low.
    reference, min_controls
        As :func:`scifn._stats.stratify` takes them. A module is active in a donor whose share of
        raised genes is high.

    Returns
    -------
    ``modules``, how many donors outside the reference have each active (and one or more), and
    ``order_of_activation``, a sentence.
    """
    active = {}
    for name in MODULES:
        if genes.get(name):
            table, _ = stratify(
                expression, genes=genes[name], signature=name, reference=reference,
                min_controls=min_controls,
            )  # fmt: skip
            active[name] = table["stratum"].where(table["stratum"] != "not_computable")
    patients = expression["condition"].astype(str) != reference
    found = pd.DataFrame(active, index=expression.index)[patients].dropna()
    if found.empty or not active:
        return {"modules": "", "order_of_activation": "not judged: no module could be computed"}
    high = found == "high"
    told = [f"{_short(str(name))} in {high[name].sum()}" for name in high]
    told.append(f"any in {high.any(axis=1).sum()} of {len(high)} donors outside the reference")
    return {"modules": ", ".join(told), "order_of_activation": _order(found, expression["donor"])}


def _order(found: pd.DataFrame, donors: pd.Series) -> str:
    first, last = MODULES[0], MODULES[-1]
    if first not in found or last not in found:
        return "not judged: the first or the last module is not measured"
    odd = (found[last] == "high") & (found[first] == "low")
    if not odd.any():
        return "as known: no donor has M5.12 active and M1.2 inactive"
    names = ", ".join(map(str, donors[odd.index[odd]]))
    return f"M5.12 active without M1.2, which is suspicious: {names}"


def _short(name: str) -> str:
    """``mod_M5_12`` -> ``M5.12``."""
    return name.removeprefix("mod_").replace("_", ".")
