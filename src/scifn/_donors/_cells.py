"""Sums over the cells of each row of the donor table."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._donors._labels import IntArray, looked_up
from scifn._donors._types import B_CELLS, codes_of
from scifn._stats.bounds import upper_bound

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def per_row(rows: IntArray, mask: BoolArray, n_rows: int) -> FloatArray:
    """How many cells of each row are in the mask, (n_rows,)."""
    return np.bincount(rows[mask & (rows >= 0)], minlength=n_rows).astype(np.float64)


def by_type(rows: IntArray, types: IntArray, n_rows: int) -> FloatArray:
    """How many cells of each type are in each row, (n_rows, n_types)."""
    n = len(k.CELL_TYPES)
    used = rows >= 0
    found = np.bincount(rows[used] * n + types[used], minlength=n_rows * n)
    return found.reshape(n_rows, n).astype(np.float64)


def counts_of(
    obs: pd.DataFrame,
    rows: IntArray,
    types: IntArray,
    n_rows: int,
    can: Mapping[str, bool],
    *,
    own: bool,
) -> pd.DataFrame:
    """Counts by cell type, NaN where a type could not be told.

    ``own`` says that the types are the user's labels: then the calls that the identity step left
    in obs do not decide whether pDC are measurable, but Breg-like cells are still its calls where
    it made any, for a label "transitional" is a coarser thing.
    """
    each = by_type(rows, types, n_rows)

    def count(*names: str) -> FloatArray:
        return np.asarray(each[:, codes_of(names)].sum(axis=1))

    def seen(n: FloatArray, name: str) -> FloatArray:
        return n if can[name] else np.full(n_rows, np.nan)

    total = each.sum(axis=1) - count(*k.NOT_COUNTED)
    pdc = seen(count(k.PDC), k.PDC)
    if not own and k.PDC_CALL in obs:
        judged = per_row(rows, _not_na(obs[k.PDC_CALL]), n_rows)
        pdc = np.where(judged > 0, pdc, np.nan)
    n_b = seen(count(*B_CELLS), "B")
    breg, modality = _breg(obs, rows, types, n_rows, can, own=own)
    effector = {
        "n_plasmablast": seen(count(k.PLASMABLAST), k.PLASMABLAST),
        "n_plasma": seen(count(k.PLASMA), k.PLASMA),
        "n_b_atypical": seen(count(k.B_ATYPICAL), k.B_ATYPICAL),
    }
    parts = np.column_stack(list(effector.values()))
    known = ~np.isnan(parts).all(axis=1)
    return pd.DataFrame(
        {
            "n_cells": each.sum(axis=1).astype(np.int64),
            "n_total": total.astype(np.int64),
            "n_pdc": pdc,
            "n_asdc": seen(count(k.ASDC), k.ASDC),
            "n_b": n_b,
            "n_breg_like": np.where(np.isnan(n_b), np.nan, breg),
            "breg_modality": modality,
            **effector,
            "n_b_effector": np.where(known, np.nansum(parts, axis=1), np.nan),
        }
    )


def _not_na(calls: pd.Series) -> BoolArray:
    """Cells on which a call was made at all."""
    return np.asarray(calls.notna().to_numpy() & (looked_up(calls, {"NA": 1}, 0) == 0))


def _breg(
    obs: pd.DataFrame,
    rows: IntArray,
    types: IntArray,
    n_rows: int,
    can: Mapping[str, bool],
    *,
    own: bool,
) -> tuple[FloatArray, list[str]]:
    """Breg-like cells a row, and what told them: protein, rna, labels or none."""
    is_b = np.isin(types, codes_of(B_CELLS))
    if k.BREG_KIND in obs:
        judged = is_b & _not_na(obs[k.BREG_KIND])
        if (judged & (rows >= 0)).any():
            like = judged & (looked_up(obs[k.BREG_KIND], {"transitional_like": 1}, 0) == 1)
            protein = np.zeros(len(rows), dtype=np.bool_)
            if k.BREG_EVIDENCE in obs:
                protein = looked_up(obs[k.BREG_EVIDENCE], {"protein": 1}, 0) == 1
            by_protein = per_row(rows, is_b & protein, n_rows) > 0
            # A row whose B cells were all beyond judgement has no count, not a count of 0;
            # a row without B cells has 0.
            known = (per_row(rows, judged, n_rows) > 0) | (per_row(rows, is_b, n_rows) == 0)
            n = np.where(known, per_row(rows, like, n_rows), np.nan)
            words = np.where(known, np.where(by_protein, "protein", "rna"), "none")
            return n, [str(w) for w in words]
    if own and can[k.B_TRANSITIONAL]:
        return per_row(rows, types == codes_of((k.B_TRANSITIONAL,))[0], n_rows), ["labels"] * n_rows
    return np.full(n_rows, np.nan), ["none"] * n_rows


def ifna_of(
    obs: pd.DataFrame, rows: IntArray, types: IntArray, n_rows: int, can: Mapping[str, bool]
) -> dict[str, NDArray[np.float64]]:
    """IFNA-positive pDC, and the one-sided 95 % upper bound of their share.

    Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404. The bound is of transcript-positive
    pDC: zero positives do not exclude secretion.
    """
    if k.IFNA_EVIDENCE not in obs or not can[k.PDC]:
        return {}
    call = looked_up(obs[k.IFNA_EVIDENCE], {"none": 0, "weak": 1, "strong": 1}, -1)
    pdc = (types == codes_of((k.PDC,))[0]) & (call >= 0)
    if not (call >= 0).any():
        return {}
    n = per_row(rows, pdc, n_rows)
    positive = per_row(rows, pdc & (call == 1), n_rows)
    return {
        "pdc_ifna_positive": np.where(n > 0, positive, np.nan),
        "pdc_ifna_upper95": upper_bound(positive, n),
    }
