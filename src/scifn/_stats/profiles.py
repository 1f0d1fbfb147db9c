"""One interferon profile a donor: what its response, balance, machinery and cells stand out by.

Everything is held against the controls of the same study and comes with its own uncertainty. The
parts stay apart: nothing here adds evidence of production, capacity and response up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats.controls import Range, against
from scifn._stats.cutoff import outliers
from scifn._stats.folds import log2_fold
from scifn._stats.leading import NOT_MEASURABLE, Told, leading_evidence
from scifn._stats.profile_steps import l1, ligands
from scifn._stats.profile_words import statements
from scifn._stats.type_grid import Grid, grid

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Share of further controls that would be called beyond the range, over all looks of a kind.
LEVEL = 0.05
#: Mean residual (SD of control cells) below which a module is not called raised, whatever its z.
MIN_RESIDUAL = 0.25
#: Log2 by which the receptor's genes must exceed those of the controls.
MIN_RECEPTOR = 0.5
_RESPONSE, _BALANCE, _BRAKES = "response_type1", "response_balance", "brakes"
#: Standard errors of 95 %.
_Z = 1.959964


@dataclass(frozen=True)
class Tables:
    """What earlier steps left; None where a step was not done or could not say anything."""

    #: A row a donor x condition (visits together).
    donors: pd.DataFrame
    reference: str
    means: pd.DataFrame | None = None
    strata: pd.DataFrame | None = None
    bounds: pd.DataFrame | None = None
    #: ``donor, condition`` and log2 expression of the receptor's genes.
    receptors: pd.DataFrame | None = None
    l1: pd.DataFrame | None = None


def profiles(tables: Tables) -> pd.DataFrame:
    """Put the profile of each donor together.

    Returns
    -------
    Columns of ``_keys.PROFILES_COLUMNS``, then the numbers behind them.
    """
    donors = tables.donors.reset_index(drop=True)
    keys = list(zip(donors["donor"].astype(str), donors["condition"].astype(str), strict=True))
    control = np.array([c == tables.reference for _, c in keys], dtype=np.bool_)
    cells = None if tables.means is None else grid(tables.means, keys, control)
    stratum = _strata(tables.strata, keys)
    usual = _usual(cells, control)
    out = donors[["donor", "condition"]].astype(str)
    out = pd.concat([out, stratum], axis=1)
    out = pd.concat([out, _balance(cells, control, usual)], axis=1)
    out["leading_cell_type"], response_z = _leading_types(cells, control, usual)
    out["response_z"] = response_z
    seen = ligands(tables.bounds, keys, control)
    out["ligand_evidence"] = seen.text
    capacity = _capacity(cells, control)
    out = pd.concat([out, capacity.table], axis=1)
    receptor_z, receptor = _receptors(tables.receptors, keys, control)
    out["receptor_z"] = receptor_z
    out["l1_status"], out["l1_z"] = l1(tables.l1, keys, control, LEVEL)
    for name, readout in (("pdc", "logit_pdc"), ("breg", "logit_breg_of_b")):
        out = pd.concat([out, _placed(donors, readout, name, control)], axis=1)
    steps = {"ligand": seen.told, "sensor": capacity.told, "receptor": receptor}
    found = leading_evidence(out["stratum"].tolist(), steps)
    for name, told in steps.items():
        out[name] = told.words()
    out["leading_evidence"] = found
    out["statement"] = statements(out)
    rest = [name for name in out if name not in k.PROFILES_COLUMNS]
    return out[[*k.PROFILES_COLUMNS, *rest]]


def _strata(strata: pd.DataFrame | None, keys: list[tuple[str, str]]) -> pd.DataFrame:
    """Stratum, score and cut-off of each donor."""
    numbers = ("score", "cutoff", "cutoff_low", "cutoff_high", "stability")
    if strata is None:
        nothing = {name: np.full(len(keys), np.nan) for name in numbers}
        return pd.DataFrame({"stratum": [k.STRATA[-1]] * len(keys)} | nothing)
    by = strata.set_index(["donor", "condition"])
    rows = by.reindex(pd.MultiIndex.from_tuples(keys)).reset_index(drop=True)
    words_ = [k.STRATA[-1] if not isinstance(x, str) else x for x in rows["stratum"]]
    return pd.DataFrame({"stratum": words_} | {n: rows[n].astype(np.float64) for n in numbers})


def _usual(cells: Grid | None, control: BoolArray) -> BoolArray:
    """Controls whose response does not stand out from that of the others."""
    usual = control.copy()
    if cells is not None and cells.has(_RESPONSE):
        response, _ = log2_fold(*cells.standardized(_RESPONSE))
        known = np.flatnonzero(control & np.isfinite(response))
        usual[known[outliers(response[known])]] = False
    return usual


def _balance(cells: Grid | None, control: BoolArray, usual: BoolArray) -> pd.DataFrame:
    """Type I against type II leaning, at the composition of the controls."""
    n = len(control)
    if cells is None or not cells.has(_BALANCE):
        nothing = np.full(n, np.nan)
        return pd.DataFrame(
            {"response_balance": nothing, "balance_low": nothing, "balance_high": nothing,
             "balance_z": nothing, "balance_kind": [NOT_MEASURABLE] * n}
        )  # fmt: skip
    value, se = cells.standardized(_BALANCE)
    place = against(value, control, usual)
    limit = place.beyond(LEVEL / 2) * place.unit
    middle = value - place.z * place.unit
    low, high = value - _Z * se, value + _Z * se
    kind = np.select(
        [~np.isfinite(place.z), low > middle + limit, high < middle - limit],
        [NOT_MEASURABLE, "type-I-dominant", "type-II-leaning"],
        "mixed",
    )
    return pd.DataFrame(
        {"response_balance": value, "balance_low": low, "balance_high": high,
         "balance_z": place.z, "balance_kind": [str(x) for x in kind]}
    )  # fmt: skip


def _leading_types(
    cells: Grid | None, control: BoolArray, usual: BoolArray
) -> tuple[list[str], FloatArray]:
    """Cell types with the strongest response of each donor, and the z of its whole response."""
    n = len(control)
    if cells is None or not cells.has(_RESPONSE):
        return [NOT_MEASURABLE] * n, np.full(n, np.nan)
    whole = against(log2_fold(*cells.standardized(_RESPONSE))[0], control, usual).z
    y, se = log2_fold(*cells.of(_RESPONSE))
    places = [against(column, control, usual) for column in y.T]
    place = Range(*(np.column_stack(columns) for columns in zip(*places, strict=True)))
    z = place.z
    looks = np.isfinite(z).sum(axis=1).astype(np.float64)
    limits = _limits(place, looks)
    se = np.nan_to_num(se)
    told = []
    for i in range(n):
        judged = np.flatnonzero(np.isfinite(z[i]))
        if not judged.size:
            told.append(NOT_MEASURABLE)
            continue
        high = judged[z[i, judged] > limits[i, judged]]
        high = high[np.argsort(-y[i, high], kind="stable")]
        told.append(", ".join(cells.types[j] for j in _tied(high, y[i], se[i])) or "none")
    return told, whole


def _tied(order: NDArray[np.intp], y: FloatArray, se: FloatArray) -> list[int]:
    """The first of some types, and those that cannot be told from it; ``se`` is 0 if unknown."""
    kept: list[int] = []
    for j in order:
        first = kept[0] if kept else int(j)
        gap = float(np.hypot(se[first], se[j]))
        if y[first] - y[j] <= _Z * gap:
            kept.append(int(j))
    return kept


@dataclass(frozen=True)
class _Capacity:
    table: pd.DataFrame
    told: Told


def _capacity(cells: Grid | None, control: BoolArray) -> _Capacity:
    """Modules whose response-adjusted residual is beyond the controls' in some lineage."""
    n = len(control)
    modules = [] if cells is None else [m for m in k.CAPACITY_MODULES if cells.has(f"{m}_resid")]
    columns: dict[str, FloatArray | list[str]] = {}
    found: list[tuple[str, FloatArray, FloatArray, Range]] = []
    for module in k.CAPACITY_MODULES:
        columns[f"{module}_z"] = np.full(n, np.nan)
        if cells is None or module not in modules:
            continue
        columns[f"{module}_z"] = against(cells.standardized(f"{module}_resid")[0], control).z
        sign = -1.0 if module == _BRAKES else 1.0
        for lineage, (value, se) in cells.by_lineage(f"{module}_resid").items():
            place = against(sign * value, control)
            what = f"{module} {'lowered ' if sign < 0 else ''}in {lineage}"
            found.append((what, sign * value, se, place))
    looks = np.sum([np.isfinite(place.z) for *_, place in found], axis=0, initial=0) + np.zeros(n)
    best: list[tuple[float, str]] = [(0.0, "none")] * n
    for what, value, se, place in found:
        # also at the lower end of what so few cells can tell
        sure = value - _Z * se >= MIN_RESIDUAL
        for i in np.flatnonzero((place.z > _limits(place, looks)) & sure):
            best[i] = max(best[i], (float(value[i]), what))
    leading = [what if looks[i] else NOT_MEASURABLE for i, (_, what) in enumerate(best)]
    told = Told(met=np.array([value > 0 for value, _ in best]), measured=looks > 0)
    table = pd.DataFrame({"capacity_leading": leading} | columns)
    table["capacity_residual"] = [value if value > 0 else np.nan for value, _ in best]
    return _Capacity(table, told)


def _limits(place: Range, looks: FloatArray) -> FloatArray:
    """Limit of each donor when it is looked at so many times."""
    limit = np.full(place.z.shape, np.nan)
    for m in np.unique(looks[looks > 0]):
        at = looks == m
        limit[at] = place.beyond(LEVEL / m)[at]
    return limit


def _receptors(
    expression: pd.DataFrame | None, keys: list[tuple[str, str]], control: BoolArray
) -> tuple[FloatArray, Told]:
    """IFNAR1 and IFNAR2 beyond the range of the controls, at their composition."""
    nothing = np.full(len(keys), np.nan)
    if expression is None:
        return nothing, Told.unknown(len(keys))
    genes = [name for name in expression if name not in ("donor", "condition")]
    by = expression.set_index(["donor", "condition"])[genes]
    y = by.reindex(pd.MultiIndex.from_tuples(keys)).to_numpy(dtype=np.float64).mean(axis=1)
    place = against(y, control)
    raised = place.z * place.unit
    met = (place.z > place.beyond(LEVEL)) & (raised >= MIN_RECEPTOR)
    return place.z, Told(met=met, measured=np.isfinite(place.z))


def _placed(donors: pd.DataFrame, readout: str, name: str, control: BoolArray) -> pd.DataFrame:
    """z of a readout against the controls with the interval that its counting error leaves."""
    value = donors[readout].to_numpy(dtype=np.float64)
    se = donors[f"{readout}_se"].to_numpy(dtype=np.float64)
    place = against(value, control)
    return pd.DataFrame(
        {
            f"{name}_z": place.z,
            f"{name}_z_low": place.z - _Z * se / place.unit,
            f"{name}_z_high": place.z + _Z * se / place.unit,
        }
    )
