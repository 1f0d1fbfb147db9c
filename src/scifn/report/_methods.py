"""How each number was made, with its sources, and what made them: the last two sections."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from scifn import _keys as k
from scifn import genesets
from scifn.report import _format as f
from scifn.report import _wording as w
from scifn.report._blocks import Absent, Block, Facts, Items, Note, Section, Table, Text

if TYPE_CHECKING:
    from scifn.report._material import Material

#: Table without which the statement is not printed ("": always), subject, statement.
_STEPS: Final = (
    (
        "input",
        "Input",
        "One matrix is chosen and read once: counts where there are counts, or counts "
        "recovered exactly from a log-normalized matrix; scaled or corrected values never. "
        "Features are resolved by Ensembl ID, then approved symbol, alias and previous symbol; "
        "features of one gene are summed. A set with under half of its genes, or under three, is "
        "refused as a score.",
    ),
    (
        "cells",
        "Identity",
        "A mixture of negative binomials over identity genes; a type is called where these "
        "features can tell it. Confidence is the share of such calls that is right, as fitted to "
        "labelled cells. Markers that interferon itself induces (IRF7, BST2, LY6E, CD38 ...) "
        "carry no weight in any call. pDC are told from AS-DC (Villani 2017, "
        "doi:10.1126/science.aah4573), plasma cells, progenitors, basophils and doublets by "
        "markers of the others. Breg-like cells are CD24hiCD38hi-like transitional B cells "
        "(phenotype: Menon 2016, doi:10.1016/j.immuni.2016.02.012; no phenotype uniquely "
        "identifies IL-10 producers: Glass 2022, PMC9107325).",
    ),
    (
        "evidence",
        "Evidence",
        "UMIs of the 13 IFNA genes are summed and tested against the background that "
        "ambient RNA explains, with Benjamini-Hochberg adjustment in a sample; weak is one UMI, "
        "strong two or more. Where none was found, the one-sided exact 95 % upper bound is printed "
        "(Clopper and Pearson 1934, doi:10.1093/biomet/26.4.404).",
    ),
    (
        "capacity",
        "Capacity",
        "Expression of five sets of pathway components relative to the reference cells "
        "of the same type. Many of these genes are interferon-induced themselves, so each is "
        "computed again from the genes of the set that interferon is not known to move, over the "
        "UMIs that are of no such gene.",
    ),
    (
        "response",
        "Response",
        "Expression of interferon-stimulated genes relative to the reference cells of "
        "the same type: baselines differ between types. Responses to interferon-gamma are largely "
        "a subset of the type I program (Waddell 2010, PLoS One 5:e9753), so that type II is at "
        "most a leaning; measured interferon activity does not explain the signature in most "
        "patients with SLE (Gomez-Banuelos 2024, PMC11148857).",
    ),
    (
        "donors",
        "Donors",
        "Cells are counted per donor, condition and visit. Fractions are compared as "
        "logits and log-ratios with half a cell added to each count. Testing cells instead of "
        "donors rejects a true null far too often (Squair 2021, Nat Commun 12:5692; Zimmerman "
        "2021, Nat Commun 12:738).",
    ),
    (
        "imbalance",
        "Imbalance",
        "Least squares on the donors’ values with the named covariates; p from "
        "permutation of donor labels (all of them where there are few), within blocks where these "
        "were given, by sign flips where the design is paired. What is permuted is each donor’s "
        "log-ratio held to the other donors’ as far as its counts are few (Aitchison 1980, "
        "doi:10.1093/biomet/67.2.261), or the differences of pairs; effects and intervals are of "
        "the log-ratios as they are. Both balances are tested "
        "together as well (ilr_joint, Hotelling’s T2 by the same permutation). Adjusted p are "
        "Benjamini and Hochberg’s within the four primary log-ratios, the joint test, the balance "
        "ilr_1 and the responses; that of ilr_1 is never below that of ilr_joint, which contains "
        "it. The interval of Cliff’s delta is Newcombe’s (2006, doi:10.1002/sim.2324). Logits of "
        "proportions as in propeller (Phipson 2022, doi:10.1093/bioinformatics/btac582). Groups "
        "of fewer than four donors get effects and intervals, not significance.",
    ),
    (
        "strata",
        "Strata",
        "The score of a published signature on the summed expression of a donor’s cells, put "
        "together at the controls’ composition; the cut-off is the upper limit of the 95 % "
        "prediction interval of this study’s controls, and a donor within the cut-off’s own 90 % "
        "interval is indeterminate.",
    ),
    (
        k.SERUM,
        "Serum",
        "Spearman correlation of the measurement with the response of cells, values at or below "
        "the detection limit tied at the lowest rank; p is that of donors exchanged with others of "
        "the same condition, and not adjusted. Raised is above the limit of this study’s controls, "
        "with values below the detection limit as such (Tobin 1958, doi:10.2307/1907382), or above "
        "the detection limit where controls are too few. Concordance only.",
    ),
    (
        k.CROSSTALK,
        "Associations",
        "Partial Spearman correlations between donors: residuals on condition and covariates, "
        "ranked within each condition (Kendall 1942, doi:10.1093/biomet/32.3-4.277; interval of "
        "Bonett and Wright 2000, doi:10.1007/BF02294183); at least ten donors, each once. p is "
        "that of donors exchanged with others of the same conditions, the adjusted p Benjamini and "
        "Hochberg’s over the pairs. The axis is that of Menon 2016, "
        "doi:10.1016/j.immuni.2016.02.012.",
    ),
    (
        k.L1,
        "LINE-1",
        "Counts of transposable elements are read as other tools made them, one level of "
        "them. The log2 of young against old LINE-1 is less moved by leakage of nuclear RNA than "
        "their amount. They were found with interferon in kidney and salivary gland (Mavragani "
        "2016, doi:10.1002/art.39795), in blood in dermatomyositis and not in lupus (Kuriyama "
        "2021, doi:10.1038/s41598-021-02522-6), and one family fell under a blocked receptor. "
        "Associations are partial Spearman correlations; their p is that of donors exchanged with "
        "others of the same conditions, the adjusted p Benjamini and Hochberg’s over the rows of a "
        "measure.",
    ),
    (
        "",
        "Source",
        "pDC of patients with established SLE make little interferon ex vivo, and "
        "keratinocytes make some (Psarras 2020, doi:10.1038/s41467-020-19918-z; Billi 2022, Sci "
        "Transl Med 14:eabn2263), while drugs against pDC work in cutaneous lupus (Karnell 2021, "
        "doi:10.1126/scitranslmed.abf8442). scifn assigns a patient’s interferon to no cell type "
        "by default.",
    ),
)
_PACKAGES: Final = (
    "scifn", "anndata", "scanpy", "numpy", "scipy", "pandas", "numba", "matplotlib", "jinja2",
)  # fmt: skip


def methods(m: Material) -> Section:
    """Methods with references, and the required wording."""
    there = {
        "input": bool(m.input),
        "response": m.has_response,
        "": True,
        **{name: name in m.store for name in (k.SERUM, k.CROSSTALK, k.L1)},
        **{
            name: getattr(m, name) is not None
            for name in ("cells", "evidence", "capacity", "donors", "imbalance", "strata")
        },
    }
    blocks: list[Block] = [Text(text, head) for step, head, text in _STEPS if there[step]]
    blocks.append(_references(m))
    blocks.append(
        Table(
            "What transcripts support, and the wording used here.",
            ["Output that is asked for", "Support from transcripts", "Wording"],
            [[part.replace(w.FRACTION, m.fraction) for part in row] for row in w.TABLE],
            frozenset({0, 1, 2}),
        )
    )
    blocks.append(Note(f"{w.RESEARCH_ONLY} Any grouping of donors is {w.RESEARCH}."))
    return Section("methods", "Methods, references and wording", blocks)


def _references(m: Material) -> Block:
    """Source of each gene set that was looked for."""
    if m.coverage is None:
        return Absent("No gene set was used, so that none is cited.")
    known = genesets.table().set_index("name")
    rows = []
    for name in sorted(map(str, m.coverage["set"])):
        if name not in known.index:
            reference = m.coverage.loc[m.coverage["set"] == name, "reference"].iloc[0]
            rows.append([name, f.MISSING, str(reference) or f.MISSING, "of the user"])
            continue
        entry = known.loc[name]
        doi = str(entry["doi"])
        source = str(entry["reference"]) + (f" doi:{doi}" if doi else "")
        rows.append([name, f.count(entry["n_genes"]), source, str(entry["status"])])
    return Table("Gene sets with their sources. Verified: seen in the source; recalled: not "
                 "re-checked; expert: curated by the authors.",
                 ["Set", "Genes", "Source", "Status"], rows, frozenset({0, 2, 3}))  # fmt: skip


def provenance(m: Material) -> Section:
    """Versions, parameters, input and time."""
    facts = [("scifn", str(m.store.get(k.VERSION, "not run"))), ("Written", now())]
    facts += [("Python", f"{platform.python_version()} on {platform.system()}")]
    facts += [(name, number) for name, number in versions().items() if name != "scifn"]
    blocks: list[Block] = [Facts(facts)]
    if m.simulated:
        blocks.append(Note(f"{w.SIMULATED}."))
        said = [f"{name}: {value}" for name, value in m.truth.items() if isinstance(value, str)]
        blocks += [Items(said)] if said else []
    rows = [
        [step, name, shown]
        for step, record in m.store.items()
        if isinstance(record, Mapping)
        for name, value in record.items()
        if (shown := brief_value(value))
    ]
    if rows:
        blocks.append(Table("Parameters and stored reference values of each step; long values are "
                            "shortened here, whole in uns[\"scifn\"].",
                            ["Step", "Name", "Value"], rows, frozenset({0, 1, 2})))  # fmt: skip
    return Section("provenance", "Provenance", blocks)


def now() -> str:
    """Time of writing, UTC; SOURCE_DATE_EPOCH makes it reproducible."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    moment = datetime.fromtimestamp(int(epoch), UTC) if epoch.isdigit() else datetime.now(UTC)
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def versions() -> dict[str, str]:
    """Versions of the packages that the numbers depend on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
            if name == "scifn":
                found[name] = str(getattr(sys.modules[name], "__version__", found[name]))
    return found


def brief_value(value: Any) -> str:
    """A parameter in one line; arrays and tables by their shape.

    >>> brief_value([1, 2]), brief_value(np.zeros(3000)), brief_value(None)
    ('1, 2', 'array of shape 3000', '')
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        text = ", ".join(f"{name}: {brief_value(part)}" for name, part in value.items())
    elif isinstance(value, np.ndarray) or hasattr(value, "iloc"):
        if value.size <= 12 and value.ndim == 1:
            text = ", ".join(map(str, value.tolist()))
        else:
            return f"array of shape {' x '.join(map(str, value.shape))}"
    elif isinstance(value, list | tuple):
        text = ", ".join(map(str, value))
    elif isinstance(value, float | np.floating):
        text = f"{value:.6g}"
    else:
        text = str(value)
    return text if len(text) <= 220 else f"{text[:200]} … ({len(text):,} characters)"
