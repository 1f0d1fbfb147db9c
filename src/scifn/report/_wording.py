"""Required wording of outputs that transcripts support weakly, and how weakly.

A sentence with blanks is filled where a number is known; the rest is printed as it stands.
"""

from __future__ import annotations

from typing import Final

RESEARCH: Final = "research stratification; not for clinical decisions"
RESEARCH_ONLY: Final = "Research use only."
SIMULATED: Final = "Simulated data: not patients"

EVIDENCE: Final = (
    "IFNA transcript evidence: none/weak/strong. Zero does not exclude secretion; with n=.. pDC "
    "the 95 % upper bound on detectable producers is ..%"
)
BREG: Final = (
    "Breg-enriched transitional (CD24hiCD38hi-like) B cells; suppressive function not measured"
)
EFFECTOR: Final = "effector-B compartment (plasmablast+plasma+DN2-like)"
RESPONSE: Final = "type I IFN response (ligand not identifiable)"
BALANCE: Final = "type-I-dominant / mixed / type-II-leaning"
CAPACITY: Final = "expression of pathway components"
IL10: Final = "IL10 transcript detected in k of n; not an estimate of competence"
FRACTION: Final = "fraction of profiled PBMC"
IFNGS: Final = "IFNGS-like score, study-calibrated"
SOURCE: Final = "source not resolved; transcript-positive cell types: .."

#: Output asked for, support from transcripts, wording.
TABLE: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "Per-cell IFN-alpha production",
        "very weak in resting tissue, fair in stimulated",
        EVIDENCE,
    ),
    (
        "“Hyperactive” pDC",
        "moderate: activation genes confounded by processing",
        "pDC activation-associated transcripts higher/lower",
    ),
    ("Continuous release", "none (single time point)", "cannot be assessed"),
    ("Regulatory B cells", "moderate with ADT, weak-moderate RNA", BREG),
    (
        "IL-10/IL-35 production",
        "very weak",
        IL10,
    ),
    ("Effector B imbalance", "good for plasmablast, fair for DN2", EFFECTOR),
    ("Response to IFN-alpha rather than beta/omega/kappa", "not separable by ISG", RESPONSE),
    ("Type I rather than type II response", "partial, cell-type dependent", BALANCE),
    ("Sensor pathway activity", "weak", CAPACITY),
    ("STAT1/STAT3 activation", "weak", "STAT1-/STAT3-associated transcripts"),
    (
        "L1 as trigger",
        "weak, correlational",
        "young-L1 RNA associated with ISG; direction not identifiable; may be downstream of IFN",
    ),
    ("UV/viral trigger", "none without metadata", "requires exposure metadata"),
    ("Rituximab / anti-IFN selection", "hypothesis only", RESEARCH),
    ("Clinical IFNGS status", "surrogate", IFNGS),
    ("Absolute pDC numbers", "no without CBC", FRACTION),
    (
        "pDC as IFN source",
        "weak, contested (Psarras 2020; Billi 2022; yet BDCA2/ILT7 trials)",
        SOURCE,
    ),
)


def filled_source(positive: list[str]) -> str:
    """The sentence on the source of interferon, its blank filled.

    >>> filled_source([])
    'source not resolved; transcript-positive cell types: none'
    """
    return SOURCE.replace("..", ", ".join(positive) or "none")
