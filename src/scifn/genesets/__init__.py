"""Gene sets with their sources: what scifn knows about genes, as data.

Every set is one TOML file in ``data/`` with its description, reference and
status, so that a reader can check a list without reading code, and a new set
needs no code at all.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

from scifn._errors import ArgumentError
from scifn.genesets._sets import all_sets

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["available", "load", "table"]


def load(name: str, *, allow_disabled: bool = False) -> list[str]:
    """Genes of one set, in the order of its source.

    Parameters
    ----------
    name
        Name of the set, as :func:`available` lists it.
    allow_disabled
        Return a set that ships disabled (its list is unverified, or it is
        patented) instead of refusing it.

    Returns
    -------
    Approved gene symbols (for ``l1_young_subfamilies`` names of repeats).

    Raises
    ------
    ArgumentError
        There is no set of that name, or it is disabled.

    Examples
    --------
    >>> from scifn import genesets
    >>> genesets.load("ifngs4_like")
    ['IFI27', 'IFI44', 'IFI44L', 'RSAD2']
    >>> len(genesets.load("ifn_alpha"))
    13
    """
    sets = all_sets()
    if not isinstance(name, str) or name not in sets:
        raise ArgumentError(_unknown(name, sorted(sets)))
    found = sets[name]
    if not found.enabled and not allow_disabled:
        msg = (
            f"The gene set {name!r} is disabled: {found.disabled_because} "
            f"To have its genes all the same: load({name!r}, allow_disabled=True)."
        )
        raise ArgumentError(msg)
    return list(found.genes)


def available(*, organism: str | None = None, include_disabled: bool = False) -> list[str]:
    """Names of the gene sets, in alphabetical order.

    Parameters
    ----------
    organism
        ``"human"`` or ``"mouse"``; all sets if None.
    include_disabled
        List the sets that ship disabled as well.

    Returns
    -------
    Names that :func:`load` takes.

    Raises
    ------
    ArgumentError
        ``organism`` is neither human nor mouse.

    Examples
    --------
    >>> from scifn import genesets
    >>> "ifn_alpha" in genesets.available()
    True
    >>> "janssen10_like" in genesets.available()
    False
    """
    if organism not in (None, "human", "mouse"):
        msg = f'organism={organism!r}: there are gene sets for "human" and "mouse".'
        raise ArgumentError(msg)
    return [
        name
        for name, found in sorted(all_sets().items())
        if (found.enabled or include_disabled) and organism in (None, found.organism)
    ]


def table() -> pd.DataFrame:
    """Every gene set with its source, a row a set, the disabled ones too.

    Returns
    -------
    Columns ``name``, ``organism``, ``n_genes``, ``genes`` (joined by ";"),
    ``status`` (verified: seen in a source; recalled; expert: curated by the
    authors; uncertain), ``enabled``, ``description``, ``reference``, ``doi``
    and ``note``.

    Examples
    --------
    >>> from scifn import genesets
    >>> sets = genesets.table().set_index("name")
    >>> sets.loc["ifngs4_like", "status"], sets.loc["ifngs4_like", "doi"]
    ('verified', '10.1002/jcph.2055')
    """
    import pandas as pd

    rows = [
        {
            "name": found.name,
            "organism": found.organism,
            "n_genes": len(found.genes),
            "genes": ";".join(found.genes),
            "status": found.status,
            "enabled": found.enabled,
            "description": found.description,
            "reference": found.reference,
            "doi": found.doi,
            "note": " ".join(part for part in (found.disabled_because, found.note) if part),
        }
        for _, found in sorted(all_sets().items())
    ]
    return pd.DataFrame(rows)


def _unknown(name: object, names: list[str]) -> str:
    """Say that there is no such set, and which may be meant."""
    if not isinstance(name, str):
        return f"The name of a gene set is a string, such as 'ifn_alpha'; found {name!r}."
    wanted = name.strip().lower()
    folded = {known.lower(): known for known in names}
    near = [folded[hit] for hit in get_close_matches(wanted, list(folded), n=3, cutoff=0.5)]
    if wanted.startswith("clin_"):  # the clinical analogues end in "_like" here
        stem = wanted.removeprefix("clin_")
        near = [known for known in names if known.startswith(stem)] or near
    hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
    return f"There is no gene set {name!r}.{hint} scifn.genesets.available() lists all."
