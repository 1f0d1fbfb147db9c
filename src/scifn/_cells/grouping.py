"""What a user brings to identity: labels, clusters, doublet flags, samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scifn import _keys as k
from scifn import _slots
from scifn._errors import ArgumentError

#: More pDC than unsorted blood holds.
PDC_ALARM: Final = 0.015
#: Types that a label of a whole lineage lets a cell be, beside those of the lineage.
ALWAYS: Final = (k.DOUBLET,)
#: Cell types that the model holds no component of.
TISSUE: Final = (k.KERATINOCYTE, k.FIBROBLAST, k.ENDOTHELIUM, k.EPITHELIUM)


def allowed(
    labels: pd.Series | None, mapping: Mapping[str, str] | None
) -> dict[str, NDArray[np.bool_]] | None:
    """For each cell type the cells whose label lets them be it; None without labels."""
    if labels is None:
        if mapping:
            raise ArgumentError("mapping= places labels: give the column of labels with labels=.")
        return None
    mapping = _mapping(mapping)
    codes_, names = _slots.coded(labels)
    strange = [label for label in mapping if label not in set(names)]
    if strange:
        there = ", ".join(map(repr, names[:20]))
        msg = f"mapping= places {', '.join(map(repr, strange))}, but the labels are {there}."
        raise ArgumentError(msg)
    known = {name: name for name in (*k.CELL_TYPES, *k.LINEAGES)}
    places = {label: mapping.get(label, known.get(label, "")) for label in names}
    for label, place in {**mapping, **places}.items():
        if place and place not in known:
            msg = (
                f"mapping[{label!r}] = {place!r} is no cell type or lineage. Cell types: "
                f"{', '.join(k.CELL_TYPES)}. Lineages: {', '.join(k.LINEAGES)}."
            )
            raise ArgumentError(msg)
    out = {}
    for name in k.CELL_TYPES:
        lets = _lets(name) | {"": True}
        out[name] = np.array([lets[places[label]] for label in names], dtype=bool)[codes_]
    return out


def _mapping(mapping: Mapping[str, str] | None) -> dict[str, str]:
    if mapping is None:
        return {}
    if not isinstance(mapping, Mapping):
        msg = f"mapping= is {mapping!r}; needed: a dict of {{label: cell type or lineage}}."
        raise ArgumentError(msg)
    return {str(label): str(place) for label, place in mapping.items()}


def unplaced(labels: pd.Series, mapping: Mapping[str, str] | None) -> str:
    """A sentence on labels that bind nothing, or that no component stands for; "" if all bind."""
    places = {label: _mapping(mapping).get(label, label) for label in _slots.coded(labels)[1]}
    known = {*k.CELL_TYPES, *k.LINEAGES}
    free = sorted(label for label, place in places.items() if place not in known)
    tissue = sorted(label for label, place in places.items() if place in TISSUE)
    text = []
    if free:
        listed = ", ".join(map(repr, free[:10])) + (" and others" if len(free) > 10 else "")
        text.append(
            f"labels without a place bind nothing: {listed}; give mapping={{label: cell type or "
            "lineage}"
        )
    if tissue:
        text.append(
            f"{', '.join(map(repr, tissue))}: the model holds blood cells only, so that cells with "
            "these labels stay Unassigned"
        )
    return "\n".join(text)


def _lets(name: str) -> dict[str, bool]:
    """For each place (type or lineage) whether a cell there may be ``name``."""
    out = {place: name == place or name in ALWAYS for place in k.CELL_TYPES}
    for lineage in k.LINEAGES:
        # a lineage that is no call at all binds nothing
        free = lineage in {"Unassigned"}
        out[lineage] = free or k.LINEAGE_OF[name] == lineage or name in ALWAYS
    # "unresolved" labels bind to their lineage
    for unresolved in (k.B_UNRESOLVED, k.DC_UNRESOLVED):
        out[unresolved] = k.LINEAGE_OF[name] == k.LINEAGE_OF[unresolved] or name in ALWAYS
    out[k.UNASSIGNED] = True
    return out


def disagreement(labels: pd.Series, called: Any, mapping: Mapping[str, str] | None) -> pd.DataFrame:
    """Cells per label and call, with whether the two agree (label, cell_type, n_cells, status).

    ``called`` is what the transcripts say without the labels.

    The status is "agrees", "differs", or "no place" of a label that is neither a cell type or
    lineage nor in the mapping: it has bound nothing.
    """
    codes_, names = _slots.coded(labels)
    of, found_kinds = pd.factorize(called)
    kinds = [str(kind) for kind in found_kinds]
    found = np.bincount(codes_ * len(kinds) + of, minlength=len(names) * len(kinds))
    rows = [
        (label, kind, int(found[i * len(kinds) + j]))
        for i, label in enumerate(names)
        for j, kind in enumerate(kinds)
        if found[i * len(kinds) + j]
    ]
    counts = pd.DataFrame(sorted(rows), columns=["label", "cell_type", "n_cells"])
    places = {label: _mapping(mapping).get(label, label) for label in counts["label"]}
    known = {*k.CELL_TYPES, *k.LINEAGES}
    counts["status"] = [
        "no place"
        if places[label] not in known
        else "agrees"
        if places[label] in {kind, k.LINEAGE_OF[kind]}
        else "differs"
        for label, kind in zip(counts["label"], counts["cell_type"], strict=True)
    ]
    return counts


def codes(values: pd.Series) -> NDArray[np.int64]:
    """Integer code of each value; missing ones form a cluster of their own."""
    return np.asarray(pd.factorize(values, use_na_sentinel=False)[0], dtype=np.int64)


def flags(values: pd.Series | None) -> NDArray[np.bool_] | None:
    """Cells that a doublet caller flagged: booleans, 0/1, or the word doublet."""
    if values is None:
        return None
    if pd.api.types.is_bool_dtype(values):
        return values.fillna(False).to_numpy(dtype=bool)
    if pd.api.types.is_numeric_dtype(values):
        if not values.dropna().isin([0, 1]).all():
            msg = (
                f"doublets={values.name!r} holds numbers other than 0 and 1; give the calls "
                "(boolean, or 'doublet'), not the scores."
            )
            raise ArgumentError(msg)
        return (values == 1).to_numpy()
    words = values.astype(str).str.lower()
    if (
        not words.isin(["doublet", "true", "multiplet"]).any()
        and not words.isin(["singlet", "false"]).any()
    ):
        shown = ", ".join(map(repr, words.unique()[:3]))
        msg = f"doublets={values.name!r} holds {shown}; needed: booleans, or 'doublet'/'singlet'."
        raise ArgumentError(msg)
    return words.isin(["doublet", "true", "multiplet"]).to_numpy()


def pdc_alarms(calls: pd.Categorical, samples: pd.Series | None) -> str:
    """Samples with more pDC than unsorted blood holds, as sentences."""
    at, names = np.zeros(len(calls), dtype=np.int64), ["all cells"]
    if samples is not None:
        at, names = _slots.coded(samples)
    n = np.bincount(at, minlength=len(names))
    share = np.bincount(at[np.asarray(calls == k.PDC)], minlength=len(names)) / np.maximum(n, 1)
    return "\n".join(
        f"{name}: {value:.1%} of cells are called pDC; unsorted blood holds less than "
        f"{PDC_ALARM:.1%} (a sorted or enriched sample, or an error)"
        for name, value in sorted(zip(names, share, strict=True))
        if value > PDC_ALARM
    )
