"""What is in an AnnData and what it can tell, before anything is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scifn import _donors, _slots, _view
from scifn._cells import annotate
from scifn._docs import shared
from scifn._errors import ScifnError
from scifn.genesets import _coverage, _sets

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

OK, NOTE, UNUSABLE = "ok", "note", "unusable"
#: Question -> gene set whose coverage answers whether it can be asked.
QUESTIONS = {
    "pDC": "pdc_identity_core",
    "B cells": "b_pan",
    "transitional B (Breg-like)": "b_transitional",
    "IFNA transcripts (evidence)": "ifn_alpha",
    "TLR7/9 (capacity)": "cap_tlr79",
    "RIG-I/MDA5 (capacity)": "cap_rlr",
    "cGAS-STING (capacity)": "cap_cgas_sting",
    "response, type-I-dominant": "isg_sc_pan",
    "response, type-II-leaning": "isg_type2_leaning",
}
OTHER_FEATURES = "features (genes) of a whole-transcriptome matrix; nothing else can replace them"
MIN_DONORS = 4


@shared
def check(
    adata: AnnData,
    *,
    donor: str | None = None,
    condition: str | None = None,
    reference: str | None = None,
    layer: str | None = None,
    gene_symbols: str | None = None,
    species: str | None = None,
) -> pd.DataFrame:
    """Say what an object holds and which questions it can answer; writes nothing.

    Parameters
    ----------
    %(adata)s
    donor, condition, reference
        As :func:`scifn.tl.donors` and :func:`scifn.tl.imbalance` take them.
    %(matrix)s

    Returns
    -------
    Columns aspect, found, status (ok, note, unusable) and remedy.

    Raises
    ------
    scifn._errors.ArgumentError
        It is no AnnData, or holds no cells.
    scifn._errors.MissingKeyError
        A column or layer that was named is not there.

    Examples
    --------
    >>> import scifn
    >>> adata = scifn.datasets.cohort(n_patients=1, n_controls=1, cells_per_donor=200, rng=1)
    >>> table = scifn.pp.check(adata, donor="donor", condition="condition", reference="control")
    >>> table.loc[table["aspect"] == "scale", "found"].item()
    'counts'
    """
    import pandas as pd

    _view.check_object(adata)
    for name, argument in ((donor, "donor"), (condition, "condition")):
        if name is not None:
            _slots.column(adata, name, argument)
    rows = [("cells x features", f"{adata.n_obs:,} x {adata.n_vars:,}", OK, "")]
    try:
        view = _view.read(adata, _genes, layer=layer, gene_symbols=gene_symbols, species=species)
        rows += _matrix_rows(view) + _question_rows(view)
    except KeyError:
        raise
    except ScifnError as error:
        rows.append(("matrix", str(error), UNUSABLE, "see the message"))
    rows += _donor_rows(adata, donor, condition, reference)
    return pd.DataFrame(rows, columns=["aspect", "found", "status", "remedy"])


def _genes(species: str) -> list[str]:
    return sorted({*_sets.panel(species), *annotate.panel_genes(species)})


def _matrix_rows(view: _view.PanelView) -> list[tuple[str, str, str, str]]:
    record = view.record
    counts = {
        "as stored": (OK, ""),
        "recovered": (
            NOTE,
            "none needed; raw counts in layers['counts'] would be read as they are",
        ),
        "with fractions": (
            NOTE,
            "whole UMI counts in layers['counts'] for every other step; as it is for "
            "scifn.tl.production(layer=)",
        ),
    }.get(record["counts"], (UNUSABLE, _view.REMEDY))
    target = record["target_sum"]
    scale = record["scale"] + ("" if np.isnan(target) else f", target sum {target:g}")
    depth = np.percentile(view.total, [5, 50, 95])
    rows = [
        ("matrix", f"{record['matrix']} ({record['storage']})", OK, ""),
        ("scale", scale, OK if view.is_counts else NOTE, ""),
        ("counts", record["counts"], *counts),
        ("identifiers", record["identifiers"], OK, ""),
        ("species", record["species"], *_species(record["species"])),
        ("UMI a cell", "5 %, median, 95 %: " + ", ".join(f"{x:,.0f}" for x in depth), OK, ""),
    ]
    if view.n_features < 5_000:
        text = f"{view.n_features:,} genes: a panel or a subset"
        rows.append(
            ("transcriptome", text, NOTE, "give the matrix with all genes where there is one")
        )
    rows += [("note", text, NOTE, "") for text in record["notes"].splitlines()]
    return rows


def _species(name: str) -> tuple[str, str]:
    return (OK, "") if name == "human" else (NOTE, "mouse is experimental")


def _question_rows(view: _view.PanelView) -> list[tuple[str, str, str, str]]:
    rows = []
    for question, name in QUESTIONS.items():
        genes = _sets.for_species(name, view.species)
        found = view.found(genes)
        status = _coverage.status_of(len(found), len(genes))
        missing = [gene for gene in genes if gene not in view]
        text = f"{len(found)} of {len(genes)} genes"
        if missing and len(found):
            text += f" (without {', '.join(missing[:6])}{', ...' if len(missing) > 6 else ''})"
        if status in {"insufficient", "absent"}:
            rows.append((question, f"{text}: not measurable", UNUSABLE, f"needs {OTHER_FEATURES}"))
        elif name == "ifn_alpha" and not view.is_counts:
            rows.append((question, f"{text}, but no counts", UNUSABLE, _view.REMEDY))
        else:
            rows.append((question, text, OK if status == "ok" else NOTE, ""))
    return rows


def _donor_rows(
    adata: AnnData, donor: str | None, condition: str | None, reference: str | None
) -> list[tuple[str, str, str, str]]:
    if donor is None or condition is None:
        return []
    import pandas as pd

    donors = _donors.read_labels(adata.obs[donor], _donors.MISSING)
    conditions = _donors.read_labels(adata.obs[condition], _donors.MISSING)
    keep = donors.present & conditions.present
    rows = []
    if not keep.all():
        text = f"{int((~keep).sum()):,} of {adata.n_obs:,} cells have no donor or condition"
        rows.append(("cells without donor", text, NOTE, "they are left out of donor statistics"))
    pairs = pd.DataFrame({"donor": donors.codes[keep], "condition": conditions.codes[keep]})
    pairs = pairs.drop_duplicates()
    sizes = pairs.groupby("condition").size()
    text = ", ".join(
        f"{conditions.levels[int(code)]}: {n}"
        for code, n in zip(sizes.index.to_numpy(), sizes, strict=True)
    )
    few = sizes.min() < MIN_DONORS if len(sizes) else True
    remedy = f"at least {MIN_DONORS} donors in each arm for a test" if few else ""
    rows.append(("donors a condition", text, NOTE if few else OK, remedy))
    both = int((pairs.groupby("donor").size() > 1).sum())
    if both:
        text = f"{both} donors stand in several conditions: they are compared with themselves"
        rows.append(("design", text, NOTE, ""))
    if reference is not None and str(reference) not in conditions.levels:
        there = ", ".join(map(str, conditions.levels))
        text = f"{reference!r} is no value of {condition!r}"
        rows.append(("reference", text, UNUSABLE, f"values: {there}"))
    return rows
