"""Every name that scifn writes: slots, columns, categories, tables.

Nothing else in the package spells one of these names out.
"""

from __future__ import annotations

from typing import Final

UNS: Final = "scifn"
PREFIX: Final = "scifn_"

# --- obs and obsm -----------------------------------------------------------
CELL_TYPE: Final = "scifn_cell_type"
LINEAGE: Final = "scifn_lineage"
CONFIDENCE: Final = "scifn_confidence"
PDC_CALL: Final = "scifn_pdc_call"
PDC_SCORE: Final = "scifn_pdc_score"
BREG_KIND: Final = "scifn_breg_kind"
BREG_SCORE: Final = "scifn_breg_score"
BREG_EVIDENCE: Final = "scifn_breg_evidence"
IL10_UMI: Final = "scifn_il10_umi"
TYPE_POSTERIOR: Final = "scifn_type_posterior"  # obsm
PROTEIN: Final = "scifn_protein"  # obsm

IFNA_UMI: Final = "scifn_ifna_umi"
IFNA_BACKGROUND: Final = "scifn_ifna_background"
IFNA_P_VALUE: Final = "scifn_ifna_p_value"
IFNA_P_ADJ: Final = "scifn_ifna_p_adj"
IFNA_POSTERIOR: Final = "scifn_ifna_posterior"
IFNA_EVIDENCE: Final = "scifn_ifna_evidence"
IFNB1_UMI: Final = "scifn_ifnb1_umi"
IFNK_UMI: Final = "scifn_ifnk_umi"
IFN1_OTHER_UMI: Final = "scifn_ifn1_other_umi"
IFNL_UMI: Final = "scifn_ifnl_umi"
LIGAND_EVIDENCE: Final = "scifn_ligand_evidence"  # obsm

CAPACITY: Final = "scifn_capacity"  # obsm

RESPONSE_TYPE1: Final = "scifn_response_type1"
RESPONSE_TYPE2: Final = "scifn_response_type2_leaning"
RESPONSE_BALANCE: Final = "scifn_response_balance"

# --- categories -------------------------------------------------------------
PDC: Final = "pDC"
ASDC: Final = "AS-DC"
CDC: Final = "cDC"
DC_UNRESOLVED: Final = "DC unresolved"
MONOCYTE: Final = "Monocyte"
T_NK: Final = "T/NK"
B_TRANSITIONAL: Final = "B transitional"
B_NAIVE: Final = "B naive"
B_MEMORY: Final = "B memory"
B_ATYPICAL: Final = "B atypical"
B_UNRESOLVED: Final = "B unresolved"
PLASMABLAST: Final = "Plasmablast"
PLASMA: Final = "Plasma"
HSPC: Final = "HSPC"
BASO_MAST: Final = "Basophil/Mast"
PLATELET: Final = "Platelet"
ERYTHROCYTE: Final = "Erythrocyte"
DOUBLET: Final = "Doublet"
OTHER: Final = "Other"
UNASSIGNED: Final = "Unassigned"
KERATINOCYTE: Final = "Keratinocyte"
FIBROBLAST: Final = "Fibroblast"
ENDOTHELIUM: Final = "Endothelium"
EPITHELIUM: Final = "Epithelium"

#: Cell type -> lineage. The order is the order of tables and plots.
LINEAGE_OF: Final[dict[str, str]] = {
    PDC: "DC",
    ASDC: "DC",
    CDC: "DC",
    DC_UNRESOLVED: "DC",
    MONOCYTE: "Mono",
    T_NK: "T/NK",
    B_TRANSITIONAL: "B",
    B_NAIVE: "B",
    B_MEMORY: "B",
    B_ATYPICAL: "B",
    B_UNRESOLVED: "B",
    PLASMABLAST: "B",
    PLASMA: "B",
    HSPC: "Other",
    BASO_MAST: "Other",
    PLATELET: "Other",
    ERYTHROCYTE: "Other",
    KERATINOCYTE: "Other",
    FIBROBLAST: "Other",
    ENDOTHELIUM: "Other",
    EPITHELIUM: "Other",
    DOUBLET: "Unassigned",
    OTHER: "Other",
    UNASSIGNED: "Unassigned",
}
CELL_TYPES: Final[tuple[str, ...]] = tuple(LINEAGE_OF)
LINEAGES: Final = ("B", "DC", "Mono", "T/NK", "Other", "Unassigned")
#: Not part of a donor's denominator (n_total).
NOT_COUNTED: Final = (PLATELET, ERYTHROCYTE, DOUBLET, UNASSIGNED)

PDC_CALLS: Final = ("pDC", "pDC_ambiguous", "AS-DC", "pDC_doublet", "not_pDC", "NA")
BREG_KINDS: Final = ("transitional_like", "b10_like", "none", "NA")
BREG_EVIDENCES: Final = ("none", "transcript", "protein")
EVIDENCES: Final = ("none", "weak", "strong", "not_measurable")
STRATA: Final = ("high", "low", "indeterminate", "not_computable")
#: Types that are known to be able to make interferon: tested together, and named first.
CANDIDATE_PRODUCERS: Final = (
    PDC, ASDC, DC_UNRESOLVED, CDC, MONOCYTE,
    KERATINOCYTE, FIBROBLAST, ENDOTHELIUM, EPITHELIUM,
)  # fmt: skip
#: Ligands whose transcripts are tested: name in columns -> name in tables. IFNA leads.
LIGANDS: Final[dict[str, str]] = {
    "ifna": "IFNA", "ifnb1": "IFNB1", "ifnk": "IFNK", "ifn1_other": "IFNW1/IFNE", "ifnl": "IFNL",
    "il10": "IL10",
}  # fmt: skip
CAPACITY_MODULES: Final = ("tlr79", "tlr3", "rlr", "cgas_sting", "brakes")

# --- tables in uns["scifn"] --------------------------------------------------
COVERAGE: Final = "coverage"
DONORS: Final = "donors"
PSEUDOBULK: Final = "pseudobulk"
TYPE_MEANS: Final = "type_means"
IMBALANCE: Final = "imbalance"
STRATA_TABLE: Final = "strata"
BOUNDS: Final = "bounds"
GATES: Final = "gates"
L1: Final = "l1"
L1_ASSOCIATION: Final = "l1_association"
CROSSTALK: Final = "crosstalk"
SERUM: Final = "serum"
PROFILES: Final = "profiles"

COVERAGE_COLUMNS: Final = ("set", "reference", "n_genes", "n_found", "missing", "status")
SCORE: Final = "score"
SCORE_SETS: Final = "sets"
SCORE_BINS: Final = "bins"
SCORE_COLUMNS: Final = (
    "column", "set", "method", "status", "reason", "n_genes", "n_found", "up", "down",
    "controls_up", "controls_down", "bins", "scale", "normalized", "seed",
)  # fmt: skip
POWER_COLUMNS: Final = (
    "n_pdc", "producer_fraction", "detection", "n_donors", "p_cell", "p_donor", "p_any_donor",
    "expected_donors", "n_pdc_needed", "n_donors_needed", "upper95", "statement",
)  # fmt: skip
BOUNDS_COLUMNS: Final = (
    "donor", "condition", "cell_type", "ligand", "n_cells", "n_weak", "n_strong",
    "rate", "upper95", "pooled", "statement",
)  # fmt: skip
GATES_COLUMNS: Final = (
    "population", "protein", "side", "scale", "threshold", "umi", "method",
    "n_positive", "of", "percent", "note",
)  # fmt: skip
#: Columns of the donor table with the response begin so; what stands for the controls' composition.
RESPONSE_OF: Final = "response_type1:"
STANDARDIZED: Final = "standardized"
#: Readouts of the donor table that are tested between groups; the primary family.
READOUTS: Final = (
    "logit_pdc", "logit_breg_of_b", "lr_breg_effector", "lr_pdc_breg", "ilr_1", "ilr_2",
)  # fmt: skip
#: Row of the imbalance table that tests ilr_1 and ilr_2 together.
JOINT: Final = "ilr_joint"
PRIMARY_FAMILY: Final = ("logit_pdc", "logit_breg_of_b", "lr_breg_effector", "lr_pdc_breg")
DONOR_COUNTS: Final = (
    "n_cells", "n_total", "n_pdc", "n_asdc", "n_b", "n_breg_like",
    "n_plasmablast", "n_plasma", "n_b_atypical", "n_b_effector",
)  # fmt: skip
IMBALANCE_COLUMNS: Final = (
    "readout", "family", "group", "reference", "design", "n_group", "n_reference",
    "mean_group", "mean_reference", "effect", "ci_low", "ci_high", "odds_ratio",
    "statistic", "df", "p_value", "p_permutation", "p_attainable", "p_adj",
    "hedges_g", "cliffs_delta", "loo_low", "loo_high", "concordance", "status", "note",
    "cliffs_low", "cliffs_high",
)  # fmt: skip
STRATA_COLUMNS: Final = (
    "donor", "condition", "signature", "score", "cutoff", "cutoff_low", "cutoff_high",
    "stratum", "n_genes", "stability",
)  # fmt: skip
L1_COLUMNS: Final = (
    "donor", "condition", "cell_type", "l1_young_umi", "l1_old_umi", "l1_young_cpm",
    "l1_young_ratio", "status",
    "n_cells", "l1_young_broad_umi", "l1_old_cpm", "intronic", "l1_restriction_chromatin",
    "l1_restriction_isg", "l1_restriction_resid", "note",
)  # fmt: skip
#: Columns of an association between donors, after those that say which.
_ASSOCIATION: Final = ("n_donors", "rho", "ci_low", "ci_high", "p_value")
L1_ASSOCIATION_COLUMNS: Final = (
    "readout", "cell_type", *_ASSOCIATION, "adjusted_for", "statement", "measure", "p_adj",
)  # fmt: skip
CROSSTALK_COLUMNS: Final = ("pair", *_ASSOCIATION, "adjusted_for", "statement", "p_adj")
SERUM_COLUMNS: Final = (
    "measurement", "readout", "among", "n_donors", "n_censored", "rho", "ci_low", "ci_high",
    "p_value", "adjusted_for", "statement",
)  # fmt: skip
SERUM_CLASS: Final = "serum_class"
#: Serum beside stratum; "response" is that of the stratum.
SERUM_CLASSES: Final = (
    "both_high", "both_low", "serum_high_response_low", "serum_low_response_high",
    "indeterminate", "not_computable",
)  # fmt: skip
PROFILES_COLUMNS: Final = (
    "donor", "condition", "stratum", "response_balance", "leading_cell_type", "ligand_evidence",
    "capacity_leading", "l1_status", "pdc_z", "breg_z", "leading_evidence", "statement",
)  # fmt: skip

# --- parameter records in uns["scifn"] ---------------------------------------
VERSION: Final = "version"
INPUT: Final = "input"
TRUTH: Final = "truth"  # uns["truth"], of simulated cohorts only
SIMULATED: Final = "scifn_simulated"  # uns: the sentence that says so


def owned() -> frozenset[str]:
    """Every column of obs and key of obsm that the steps write; a user's score has another name.

    >>> "scifn_cell_type" in owned(), "scifn_my_set" in owned()
    (True, False)
    """
    every = {
        value
        for name, value in globals().items()
        if name.isupper() and name != "PREFIX" and isinstance(value, str)
    }
    modules = {f"{CAPACITY}_{module}{end}" for module in CAPACITY_MODULES for end in ("", "_resid")}
    return frozenset({name for name in every if name.startswith(PREFIX)} | modules)


def column(name: str) -> str:
    """Name of a table column that holds a cell type or lineage.

    h5ad and zarr forbid "/" in the names of columns, so "T/NK" is stored as "T_NK".

    >>> column("T/NK")
    'T_NK'
    """
    return name.replace("/", "_")
