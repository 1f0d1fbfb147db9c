"""Checks the gene lists that users bring themselves."""

from __future__ import annotations

from collections.abc import Iterable

from scifn._errors import ArgumentError

__all__ = ["clean_list"]


def clean_list(genes: Iterable[object], name: str) -> tuple[list[str], list[str]]:
    """Strip and deduplicate a user's gene list.

    Parameters
    ----------
    genes
        Gene names in any iterable but a single string.
    name
        What to call the list in messages.

    Returns
    -------
    The genes in their first order, and notes on what was changed.

    Raises
    ------
    ArgumentError
        The list is a string or a dict, is empty, or holds None, NaN or empty names.

    Examples
    --------
    >>> clean_list([" ISG15", "MX1", "ISG15"], "mine")[0]
    ['ISG15', 'MX1']
    """
    if isinstance(genes, str | bytes):
        msg = (
            f"The gene set {name!r} is one string ({_short(genes)}), not a list of genes. "
            f"Give a list, such as {{{name!r}: ['ISG15', 'MX1']}}."
        )
        raise ArgumentError(msg)
    if isinstance(genes, dict) or not isinstance(genes, Iterable):
        msg = f"The gene set {name!r} is a {type(genes).__name__}; needed is a list of gene names."
        raise ArgumentError(msg)
    found = list(genes)
    if not found:
        msg = f"The gene set {name!r} is empty. Give at least one gene."
        raise ArgumentError(msg)
    bad = [i for i, gene in enumerate(found) if not isinstance(gene, str) or not gene.strip()]
    if bad:
        shown = ", ".join(f"{found[i]!r} at position {i}" for i in bad[:3])
        msg = (
            f"The gene set {name!r} holds {len(bad)} entries that are not gene names ({shown}). "
            "Take them out; every entry must be a non-empty string."
        )
        raise ArgumentError(msg)
    stripped = [str(gene).strip() for gene in found]
    unique = list(dict.fromkeys(stripped))
    notes = []
    if stripped != found:
        notes.append(f"Gene set {name!r}: spaces around names were taken off.")
    if len(unique) < len(stripped):
        twice = sorted({gene for gene in unique if stripped.count(gene) > 1})
        notes.append(f"Gene set {name!r}: named more than once, counted once: {', '.join(twice)}.")
    return unique, notes


def _short(text: str | bytes) -> str:
    shown = repr(text)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."
