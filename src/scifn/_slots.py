"""Reading and writing of our slots in an AnnData: the guard, the store, the coverage table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scifn import _keys as k
from scifn._errors import ArgumentError, MissingKeyError, OverwriteError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


def store(adata: AnnData) -> dict[str, Any]:
    """``adata.uns["scifn"]``, made if it is not there; carries our version."""
    from scifn import __version__

    slot = adata.uns.setdefault(k.UNS, {})
    slot[k.VERSION] = __version__
    found: dict[str, Any] = slot
    return found


def guard(
    adata: AnnData,
    *,
    obs: Iterable[str] = (),
    obsm: Iterable[str] = (),
    tables: Iterable[str] = (),
    overwrite: bool,
) -> None:
    """Refuse to write over output that is there already, naming it.

    Raises
    ------
    OverwriteError
        If any of the columns or tables is there and ``overwrite`` is False.
    """
    if overwrite:
        return
    ours = adata.uns.get(k.UNS, {})
    there = [f"obs[{name!r}]" for name in obs if name in adata.obs]
    there += [f"obsm[{name!r}]" for name in obsm if name in adata.obsm]
    there += [f"uns['{k.UNS}'][{name!r}]" for name in tables if name in ours]
    if there:
        msg = (
            f"{', '.join(there)} already there, from an earlier call. Give overwrite=True to "
            "replace them, or work on a copy (adata.copy())."
        )
        raise OverwriteError(msg)


def table(
    adata: AnnData, key: str, call: str, *, genes: Iterable[str] | None = None
) -> pd.DataFrame:
    """A table that an earlier step wrote; ``call`` is that step, for the message.

    ``genes`` are those that are wanted of a packed table, in whatever case; None takes all.

    Raises
    ------
    MissingKeyError
        If the table is not there.
    """
    ours = adata.uns.get(k.UNS, {})
    if key not in ours:
        msg = f"uns['{k.UNS}'][{key!r}] is not there: call {call} first."
        raise MissingKeyError(msg)
    stored = ours[key]
    if isinstance(stored, Mapping):
        return _unpacked(stored, genes)
    found: pd.DataFrame = stored.reset_index(drop=True)
    return found


#: Parts of a packed table.
_ROWS, _GENES, _UMI = "rows", "genes", "umi"


def packed(rows: pd.DataFrame, genes: Iterable[str], umi: NDArray[np.float64]) -> dict[str, Any]:
    """A table with a column a gene as files like it: its gene columns are one array.

    A file keeps each column of a DataFrame apart, so that one of a thousand columns takes seconds
    to write.

    Parameters
    ----------
    rows
        Columns that name the rows.
    genes, umi
        What the other columns are named after, and their values.
    """
    names = np.array([k.column(gene) for gene in genes], dtype=object)
    return {_ROWS: rows, _GENES: names, _UMI: umi}


def _unpacked(stored: Mapping[str, Any], wanted: Iterable[str] | None) -> pd.DataFrame:
    import pandas as pd

    rows: pd.DataFrame = stored[_ROWS].reset_index(drop=True)
    genes = [str(name) for name in stored[_GENES]]
    umi = np.asarray(stored[_UMI], dtype=np.float64)
    if wanted is not None:  # all genes of many donors take long to copy
        names = {name.upper() for name in wanted}
        at = [i for i, name in enumerate(genes) if name.upper() in names]
        genes, umi = [genes[i] for i in at], umi[:, at]
    return pd.concat([rows, pd.DataFrame(umi, columns=genes)], axis=1)


def pseudobulk(adata: AnnData, genes: Iterable[str] | None = None) -> pd.DataFrame | None:
    """Sums of donors and cell types, of all genes or some; None where there are none."""
    there = k.PSEUDOBULK in adata.uns.get(k.UNS, {})
    return table(adata, k.PSEUDOBULK, "scifn.tl.donors", genes=genes) if there else None


def need_obs(adata: AnnData, column: str, call: str) -> None:
    """Refuse when a column of an earlier step is missing, naming that step."""
    if column not in adata.obs:
        msg = f"obs[{column!r}] is not there: call {call} first."
        raise MissingKeyError(msg)


def column(adata: AnnData, name: str, argument: str) -> pd.Series:
    """A column of obs that the user named.

    Raises
    ------
    ArgumentError
        If the name is no string.
    MissingKeyError
        If there is no such column; the message lists those that are there.
    """
    if not isinstance(name, str):
        raise ArgumentError(f"{argument}={name!r}: needed: the name of one column of obs.")
    if name not in adata.obs:
        there = ", ".join(map(str, adata.obs.columns[:30])) or "none at all"
        msg = f"{argument}={name!r}: obs has no such column. It has: {there}."
        raise MissingKeyError(msg)
    found: pd.Series = adata.obs[name]
    return found


def words(values: pd.Series) -> pd.Series:
    """Values as text, missing ones as "nan" whatever pandas is installed."""
    return values.astype(object).where(values.notna().to_numpy(), "nan").map(str)


def coded(values: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Code of each value, and the values as text (:func:`words`) in order of appearance."""
    import pandas as pd

    codes, found = pd.factorize(values, use_na_sentinel=False)
    again, names = pd.factorize(np.asarray(words(pd.Series(found)), dtype=object))
    return np.asarray(again[codes], dtype=np.int64), [str(name) for name in names]


def levels(values: pd.Series) -> set[str]:
    """Values that occur, as text (:func:`words`).

    >>> import pandas as pd
    >>> sorted(levels(pd.Series(pd.Categorical(["a", None], categories=["b", "a"]))))
    ['a', 'nan']
    """
    if not hasattr(values, "cat"):
        return {*coded(values)[1]}
    codes, names = values.array.codes, words(values.cat.categories.to_series())
    there = np.bincount(codes.astype(np.int64) + 1, minlength=len(names) + 1) > 0
    return {name for name, used in zip(["nan", *names], there, strict=True) if used}


def joined(first: pd.Series, second: pd.Series, between: str) -> pd.Categorical:
    """Texts of two columns put together: a text a pair and not one a cell."""
    import pandas as pd

    (one, ones), (other, others) = coded(first), coded(second)
    codes, pairs = pd.factorize(one * len(others) + other)
    parts = [divmod(int(pair), len(others)) for pair in pairs]
    texts = np.array([f"{ones[i]}{between}{others[j]}" for i, j in parts], dtype=object)
    again, names = pd.factorize(texts)
    return pd.Categorical.from_codes(again[codes], categories=pd.Index(names))


def add_coverage(adata: AnnData, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put rows into the coverage table; a set that was there is replaced."""
    import pandas as pd

    slot = store(adata)
    new = pd.DataFrame(list(rows), columns=list(k.COVERAGE_COLUMNS))
    if k.COVERAGE in slot:
        old = slot[k.COVERAGE]
        new = pd.concat([old[~old["set"].isin(new["set"])], new], ignore_index=True)
    slot[k.COVERAGE] = new.sort_values("set", ignore_index=True)


def keep_scores(adata: AnnData, fresh: AnnData) -> None:
    """Take the record and coverage of :func:`scifn.tl.score` over into a fresh result."""
    ours = adata.uns.get(k.UNS, {})
    if k.SCORE not in ours:
        return
    store(fresh)[k.SCORE] = ours[k.SCORE]
    names = {str(name) for name in ours[k.SCORE][k.SCORE_SETS]["set"]}
    mine = {f"{name}{end}{arm}" for name in names for end in ("", " (score)") for arm in _ARMS}
    rows = ours[k.COVERAGE][ours[k.COVERAGE]["set"].astype(str).isin(sorted(mine))]
    new = set(store(fresh)[k.COVERAGE]["set"]) if k.COVERAGE in store(fresh) else set()
    add_coverage(fresh, rows[~rows["set"].isin(new)].to_dict("records"))


_ARMS = ("", ":up", ":down")
#: What was computed from the output of a step, directly or not.
_ACROSS = (k.L1_ASSOCIATION, k.CROSSTALK, k.SERUM, k.PROFILES)
_AFTER = {
    "annotate": (
        k.DONORS, k.PSEUDOBULK, k.TYPE_MEANS, k.BOUNDS, k.IMBALANCE, k.STRATA_TABLE, k.L1, *_ACROSS,
    ),
    "production": (k.DONORS, k.BOUNDS, k.IMBALANCE, k.PROFILES),
    "capacity": (k.TYPE_MEANS, k.PROFILES),
    "response": (k.DONORS, k.TYPE_MEANS, k.IMBALANCE, *_ACROSS),
    "donors": (k.IMBALANCE, k.STRATA_TABLE, k.L1, *_ACROSS),
    "stratify": (k.PROFILES,),
    "retroelements": (k.PROFILES,),
}  # fmt: skip
#: Scores of cells that were held against cells of the same type.
_BY_TYPE_OBS = (
    k.IFNA_UMI, k.IFNA_BACKGROUND, k.IFNA_P_VALUE, k.IFNA_P_ADJ, k.IFNA_POSTERIOR, k.IFNA_EVIDENCE,
    k.IFNB1_UMI, k.IFNK_UMI, k.IFN1_OTHER_UMI, k.IFNL_UMI,
    k.RESPONSE_TYPE1, k.RESPONSE_TYPE2, k.RESPONSE_BALANCE,
)  # fmt: skip


def outdate(adata: AnnData, step: str) -> None:
    """Drop what was computed from the output of ``step``, which has been replaced.

    A table of donors made from cell types that are there no longer would be compared, and
    reported beside the new ones, without a word.
    """
    slot = adata.uns[k.UNS]
    for name in _AFTER.get(step, ()):
        slot.pop(name, None)
        slot.pop(f"{name}_parameters", None)
    if step == "annotate":
        for column in _BY_TYPE_OBS:
            if column in adata.obs:
                del adata.obs[column]
        for name in (k.CAPACITY, k.LIGAND_EVIDENCE):
            if name in adata.obsm:
                del adata.obsm[name]
        for record in ("production", "capacity", "response"):
            slot.pop(record, None)
