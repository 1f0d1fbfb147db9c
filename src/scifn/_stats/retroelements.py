"""LINE-1 of donors beside their response: association across donors, of each cell type.

Direction is never claimed: LINE-1 RNA falls when the interferon receptor is blocked, so that it
may follow the response as well as cause it. Old LINE-1, which no one holds to raise interferon,
stand beside as a negative control: what moves them is leakage of nuclear RNA.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._stats._words import counted
from scifn._stats.adjust import by_family
from scifn._stats.ols import basis, leftover
from scifn._stats.partial import MIN_DONORS, Partial, partial_spearman

FloatArray = NDArray[np.float64]

#: What LINE-1 are measured by: the score, and the negative control.
RATIO, CONTROL = "l1_young_ratio", "l1_old_cpm"
#: Machinery whose response-adjusted expression is looked at.
MODULES: Final = ("rlr_resid", "cgas_sting_resid")
#: Adjusted p below which an association is worded as one.
LEVEL: Final = 0.05
#: Donors with any UMI that IFNB1 needs.
MIN_SEEN: Final = 5
_IFNB1: Final = "IFNB1"
WORDING: Final = (
    "young-L1 RNA associated with ISG; direction not identifiable; may be downstream of IFN"
)
_DIRECTION: Final = "association, direction of effect not identifiable"
LEAKAGE: Final = (
    "no intronic fraction was given (intronic=): leakage of nuclear RNA cannot be excluded"
)
_CONTROL: Final = (
    "negative control: old LINE-1 by themselves; an association here is a sign of leakage, and "
    "doubt about that of the young"
)
_EXPLORATORY: Final = "exploratory; p_adj is over the rows of this measure"
_PAIR: Final = ["donor", "condition"]


def residual(l1: pd.DataFrame, donors: pd.DataFrame) -> tuple[FloatArray, dict[str, str]]:
    """Restriction score less what the response of its lineage explains, and the lines that did.

    Within each cell type a straight line over the donors; NaN with fewer than ten of them.
    """
    out, lines = np.full(len(l1), np.nan), {}
    score = l1["l1_restriction"].to_numpy(dtype=np.float64)
    response = _response(l1, donors)
    for kind, at in l1.groupby("cell_type", sort=False).indices.items():
        use = at[np.isfinite(score[at]) & np.isfinite(response[at])]
        if len(set(l1["donor"].iloc[use])) < MIN_DONORS or np.ptp(response[use]) <= 0:
            continue
        slope, start = np.polyfit(response[use], score[use], 1)
        out[use] = score[use] - start - slope * response[use]
        lines[str(kind)] = f"{start:.6g} + {slope:.6g} x response"
    return out, lines


def l1_association(
    l1: pd.DataFrame,
    donors: pd.DataFrame,
    means: pd.DataFrame | None,
    sums: pd.DataFrame | None,
) -> pd.DataFrame:
    """Partial rank correlations of LINE-1 with response, machinery and IFNB1, by cell type.

    Parameters
    ----------
    l1
        Table of LINE-1, a row a donor x condition x cell type.
    donors
        Donor table, a row a donor x condition (visits together).
    means
        Means of scores per donor, condition, visit and cell type; None where there are none.
    sums
        Pseudobulk; None where there is none.

    Returns
    -------
    Columns of :data:`scifn._keys.L1_ASSOCIATION_COLUMNS`. Adjusted for condition and, where the
    intronic fraction is known, for that. Below ten donors the numbers are NaN and the statement
    says why. ``p_adj`` is Benjamini and Hochberg's over all rows of the young, and over those of
    the control apart.
    """
    rows = []
    for kind in [t for t in k.CELL_TYPES if (l1["cell_type"] == t).any()]:
        part = l1[l1["cell_type"] == kind].reset_index(drop=True)
        name = f"{k.RESPONSE_OF}{k.column(k.LINEAGE_OF[kind])}"
        response = _response(part, donors)
        rows.append(_row(part, kind, name, response, RATIO))
        for module in MODULES:
            values = _mean_of(part, means, module)
            if values is not None:
                rows.append(_row(part, kind, module, values, RATIO))
        made = _made(part, sums)
        if made is not None:
            rows.append(_row(part, kind, _IFNB1, made, RATIO, at_least=MIN_SEEN))
        rows.append(_row(part, kind, name, response, CONTROL))
    return _adjusted(pd.DataFrame(rows, columns=list(k.L1_ASSOCIATION_COLUMNS)))


def _adjusted(table: pd.DataFrame) -> pd.DataFrame:
    """Adjust p over the rows of each measure; what is below 0.05 then is called associated."""
    table = table.assign(p_adj=by_family(table["p_value"], table["measure"].tolist()))
    found = (table["measure"] == RATIO) & (table["p_adj"] < LEVEL)
    claim = [
        WORDING if name.startswith(k.RESPONSE_OF) else f"associated with {name}"
        for name in table["readout"]
    ]
    table["statement"] = [
        f"{said}; {rest}" if yes else rest
        for said, rest, yes in zip(claim, table["statement"], found, strict=True)
    ]
    return table


def _response(part: pd.DataFrame, donors: pd.DataFrame) -> FloatArray:
    """Response of the lineage of each row's cell type in its donor."""
    out = np.full(len(part), np.nan)
    at = donors.set_index([donors[c].astype(str) for c in _PAIR])
    lineage = part["cell_type"].map(lambda kind: k.column(k.LINEAGE_OF[str(kind)]))
    for name in lineage.unique():
        column = f"{k.RESPONSE_OF}{name}"
        if column in donors:
            mine = (lineage == name).to_numpy()
            keys = pd.MultiIndex.from_frame(part.loc[mine, _PAIR].astype(str))
            out[mine] = at[column].reindex(keys).to_numpy(dtype=np.float64)
    return out


def _mean_of(part: pd.DataFrame, means: pd.DataFrame | None, name: str) -> FloatArray | None:
    """Mean of a score over the cells of each row, visits together."""
    if means is None or name not in means:
        return None
    mine = means[means["cell_type"].isin(part["cell_type"]) & np.isfinite(means[name])]
    weighted = mine.assign(x=mine[name] * mine["n_cells"])
    total = weighted.groupby(_PAIR)[["x", "n_cells"]].sum()
    at = total.reindex(pd.MultiIndex.from_frame(part[_PAIR].astype(str)))
    return np.asarray(at["x"] / at["n_cells"], dtype=np.float64)


def _made(part: pd.DataFrame, sums: pd.DataFrame | None) -> FloatArray | None:
    """IFNB1 UMI per million of each row, visits together."""
    column = None if sums is None else next((c for c in sums if str(c).upper() == _IFNB1), None)
    if sums is None or column is None:
        return None
    mine = sums[sums["cell_type"].isin(part["cell_type"])]
    total = mine.groupby(_PAIR)[["total_umi", column]].sum()
    at = total.reindex(pd.MultiIndex.from_frame(part[_PAIR].astype(str)))
    return np.asarray(1e6 * at[column] / at["total_umi"], dtype=np.float64)


def _row(
    part: pd.DataFrame,
    kind: str,
    name: str,
    values: FloatArray,
    measure: str,
    *,
    at_least: int = 0,
) -> dict[str, object]:
    x = part[measure].to_numpy(dtype=np.float64)
    intronic = part["intronic"].to_numpy(dtype=np.float64)
    adjusts = bool(np.isfinite(intronic).any())
    use = np.isfinite(x) & np.isfinite(values) & (np.isfinite(intronic) | ~np.array(adjusts))
    who, condition = ([str(value) for value in part[c][use]] for c in _PAIR)
    n, seen = len(set(who)), part["donor"][use & (values > 0)].nunique()
    found = Partial(n, 0, *[float("nan")] * 4)
    if n >= MIN_DONORS and seen >= at_least:
        covariates = intronic[use, None] if adjusts else None
        found = partial_spearman(
            x[use], values[use], conditions=condition, covariates=covariates, donors=who
        )
    adjusted = ["condition"] if len(set(condition)) > 1 else []
    adjusted += ["intronic fraction"] if adjusts and _varies(intronic[use]) else []
    few = ""
    if seen < at_least:
        few = f"{name} detected in {counted(seen, 'donor')}, {at_least} needed"
    return {
        "readout": name,
        "cell_type": kind,
        "n_donors": n,
        "rho": found.rho,
        "ci_low": found.ci_low,
        "ci_high": found.ci_high,
        "p_value": found.p_value,
        "adjusted_for": ", ".join(adjusted),
        "statement": "; ".join(_said(found, part, measure, name, few, adjusts=adjusts)),
        "measure": measure,
    }


def _varies(values: FloatArray) -> bool:
    if len(values) < 2:
        return False
    rest = leftover(values, basis(np.ones((len(values), 1))))
    return bool(rest @ rest > 0)


def _said(
    found: Partial, part: pd.DataFrame, measure: str, name: str, few: str, *, adjusts: bool
) -> list[str]:
    said = []
    if np.isnan(found.rho):
        why = [few] if few else []
        if found.n < MIN_DONORS:
            have = f"{counted(found.n, 'donor')} {'has' if found.n == 1 else 'have'} both"
            why.append(f"{have}, {MIN_DONORS} needed")
            why += sorted({str(note) for note in part["note"]} - {""})
        said.append(
            f"{'; '.join(why) or 'one of the two does not vary beside the other'}: no correlation"
        )
    if not adjusts:
        said.append(LEAKAGE)
    if measure == CONTROL:
        said.append(_CONTROL)
    return [*said, _DIRECTION, _EXPLORATORY]
