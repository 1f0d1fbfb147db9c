"""From planted donors to an AnnData with its truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scifn import _keys
from scifn._errors import ArgumentError
from scifn.datasets._counts import Cells, draw_cells
from scifn.datasets._draw import CONTROL, PATIENT, Donor, draw_donors
from scifn.datasets._effects import DEFAULT_EFFECTS, Effects, resolve
from scifn.datasets._profiles import Profiles, load

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

MIN_CELLS = 50
SENTENCE = (
    "simulated data: drawn by scifn.datasets from measured expression profiles; "
    "no statement about patients follows from them"
)


def cohort(
    *,
    n_patients: int = 12,
    n_controls: int = 12,
    cells_per_donor: int = 2000,
    effects: Mapping[str, float] | None = None,
    rng: int | np.random.Generator = 0,
) -> AnnData:
    """Simulate PBMC of patients and controls, with the truth that was planted.

    Parameters
    ----------
    n_patients, n_controls
        Number of donors in each condition, at least 1.
    cells_per_donor
        Droplets of each donor, at least 50.
    effects
        What differs, and how the measurement was. None takes ``DEFAULT_EFFECTS``, a lupus-like
        cohort. In a dict, a cell type is the fold of its fraction in patients, and cell types
        that the dict does not name do not differ; each of these names keeps its default unless
        it is given: ``"response"`` (log2 shift of the interferon-stimulated genes in IFN-high
        donors: mean over 14 genes and over the major cell types), ``"ifn_low_patients"`` and
        ``"ifn_high_controls"`` (share of the donors), ``"producer_fraction"`` (share of pDC that
        transcribe IFNA, in patients; 0 in controls), ``"ambient"`` (mean share of the UMI),
        ``"doublets"`` (mean share of the droplets), ``"batch"`` (log SD of a gene between
        batches) and ``"depth"`` (mean UMI of a cell).
        ``{**DEFAULT_EFFECTS, "depth": 5000}`` changes one thing.
    rng
        A seed or a Generator. The same seed gives the same cohort; a Generator moves on.

    Returns
    -------
    AnnData
        X: UMI counts (CSR, float32). The fields set are

        ``obs``: ``donor``, ``condition`` (patient, control), ``batch``, ``sex``, ``age``,
        ``truth_cell_type`` and ``truth_ifn_producer``. A droplet with cells of two types is a
        ``Doublet``; one with two cells of the same type keeps that type. A doublet with a
        producing pDC in it is a producer.

        ``uns["truth"]``: ``donors`` (DataFrame, a row a donor: ``ifn_high``, ``response`` in
        log2, ``depth``, ``ambient``, ``soup_ifna``, ``doublets``, ``producer_fraction``,
        ``n_producers``, mean UMI, and for each cell type ``planted:<type>``, the share among
        single cells that its cells were drawn with, and ``fraction:<type>``, the share of
        droplets that came out), ``effects`` and ``invented``.

        ``uns["scifn_simulated"]``: a sentence that says so.

    Raises
    ------
    ArgumentError
        A number of donors or cells is too small, an effect is unknown or impossible.

    Notes
    -----
    Measured: expression of T, NK and B cells, monocytes, cDC and platelets, at rest and after
    6 h of interferon-beta, from PBMC of eight lupus patients [1]_; pDC from the same with purified
    libraries as prior; the IFNA paralogs and other changes of a producing pDC from purified pDC
    with rhinovirus; CD34+ cells from a CITE-seq reference; memory and atypical against naive B
    cells from two cohorts; fractions from 20 healthy donors.

    INVENTED, from marker knowledge and no data: the profiles of AS-DC, plasmablasts, plasma cells,
    basophils and (on the naive B profile) transitional B cells; CD24, immunoglobulin constant
    genes and the genes of the atypical program in B cells; TLR9; the genes of the Y chromosome
    (all donors of [1]_ are women). The rate of IFNA UMI in a producing
    cell rests on three assumptions. ``uns["truth"]["invented"]`` lists all. Age has no effect, sex
    one on XIST and Y genes only. That a patient's pDC produce (3 %) is for the tests: in resting
    blood there are hardly any, and an interferon response does not say where it came from.

    References
    ----------
    .. [1] Kang HM et al. Nat Biotechnol 2018;36:89, doi:10.1038/nbt.4042

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=2, n_controls=2, cells_per_donor=60, rng=1)
    >>> adata.n_obs
    240
    >>> list(adata.obs["condition"].cat.categories)
    ['patient', 'control']
    """
    generator = _generator(rng)
    _whole(n_patients, "n_patients", 1)
    _whole(n_controls, "n_controls", 1)
    _whole(cells_per_donor, "cells_per_donor", MIN_CELLS)
    profiles = load()
    asked = resolve(effects, profiles)
    donors = draw_donors(profiles, asked, n_patients, n_controls, generator)
    cells = _draw_all(profiles, donors, cells_per_donor)
    return _assemble(profiles, asked, donors, cells)


def demo() -> AnnData:
    """Simulate the cohort of the demonstration: 10 patients and 10 controls, 1,500 cells each.

    All of it is SIMULATED, see :func:`cohort`. With 1,500 cells a donor has about five pDC, so
    that their fraction can be compared between groups, but nothing that needs ten pDC of one donor
    (response or evidence within its pDC) can be computed for most donors, as in most real PBMC
    data. More of the patients' pDC produce (10 %) than in resting blood, so that there is something
    to be found.

    Returns
    -------
    AnnData
        As :func:`cohort` returns it.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.demo()  # doctest: +SKIP
    >>> adata.uns["scifn_simulated"].split(":")[0]  # doctest: +SKIP
    'simulated data'
    """
    return cohort(
        n_patients=10,
        n_controls=10,
        cells_per_donor=1500,
        effects={**DEFAULT_EFFECTS, "producer_fraction": 0.1},
        rng=2026,
    )


def _generator(rng: Any) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    if isinstance(rng, bool) or not isinstance(rng, int | np.integer) or rng < 0:
        msg = f"rng is {rng!r}; pass a whole number of 0 or more, or a numpy Generator."
        raise ArgumentError(msg)
    return np.random.default_rng(int(rng))


def _whole(value: Any, name: str, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        msg = f"{name} is {value!r}; it must be a whole number of at least {least}."
        raise ArgumentError(msg)


def _draw_all(profiles: Profiles, donors: list[Donor], n: int) -> list[Cells]:
    """Cells of every donor; a donor has its own stream, so that threads change nothing."""
    from concurrent.futures import ThreadPoolExecutor
    from os import cpu_count

    with ThreadPoolExecutor(max_workers=min(4, cpu_count() or 1)) as pool:
        return list(pool.map(lambda donor: draw_cells(profiles, donor, n), donors))


def _assemble(
    profiles: Profiles, effects: Effects, donors: list[Donor], cells: list[Cells]
) -> AnnData:
    import pandas as pd
    from anndata import AnnData
    from scipy.sparse import vstack

    counts = vstack([part.counts for part in cells], format="csr")
    return AnnData(
        X=counts,
        obs=_obs(profiles, donors, cells),
        var=pd.DataFrame(index=pd.Index(profiles.genes, dtype=str)),
        uns={
            _keys.SIMULATED: SENTENCE,
            _keys.TRUTH: {
                "donors": _donor_table(profiles, donors, cells),
                "effects": effects.as_dict(),
                "invented": np.array(profiles.invented, dtype=object),
            },
        },
    )


def _obs(profiles: Profiles, donors: list[Donor], cells: list[Cells]) -> pd.DataFrame:
    import pandas as pd

    sizes = [len(part.cell_type) for part in cells]

    def spread(values: list[Any], categories: list[str]) -> pd.Categorical:
        return pd.Categorical(np.repeat(values, sizes), categories=categories)

    present = {*profiles.cell_types, _keys.DOUBLET}
    kinds = [t for t in _keys.CELL_TYPES if t in present]
    names = [
        f"{d.name}_{i:06d}" for d, n in zip(donors, sizes, strict=True) for i in range(1, n + 1)
    ]
    return pd.DataFrame(
        {
            "donor": spread([d.name for d in donors], [d.name for d in donors]),
            "condition": spread([d.condition for d in donors], [PATIENT, CONTROL]),
            "batch": spread([d.batch for d in donors], sorted({d.batch for d in donors})),
            "sex": spread([d.sex for d in donors], ["female", "male"]),
            "age": np.repeat([d.age for d in donors], sizes).astype(np.int64),
            "truth_cell_type": pd.Categorical(
                np.concatenate([part.cell_type for part in cells]), categories=kinds
            ),
            "truth_ifn_producer": np.concatenate([part.producer for part in cells]),
        },
        index=pd.Index(names, dtype=str),
    )


def _donor_table(profiles: Profiles, donors: list[Donor], cells: list[Cells]) -> pd.DataFrame:
    import pandas as pd

    kinds = [t for t in _keys.CELL_TYPES if t in profiles.cell_types]
    of_state = np.array(profiles.cell_types)
    rows = []
    for donor, part in zip(donors, cells, strict=True):
        row: dict[str, Any] = {
            "donor": donor.name,
            "condition": donor.condition,
            "batch": donor.batch,
            "sex": donor.sex,
            "age": donor.age,
            "n_cells": len(part.cell_type),
            "ifn_high": donor.ifn_high,
            "response": donor.response,
            "depth": donor.depth,
            "mean_umi": float(part.counts.sum(dtype=np.float64)) / len(part.cell_type),
            "ambient": part.ambient,
            "soup_ifna": donor.soup_ifna,
            "doublets": donor.doublets,
            "producer_fraction": donor.producer_fraction,
            "n_producers": int(part.producer.sum()),
        }
        for kind in kinds:
            row[f"planted:{_keys.column(kind)}"] = float(donor.shares[of_state == kind].sum())
        for kind in [*kinds, _keys.DOUBLET]:
            row[f"fraction:{_keys.column(kind)}"] = part.fractions.get(kind, 0.0)
        rows.append(row)
    return pd.DataFrame(rows)
