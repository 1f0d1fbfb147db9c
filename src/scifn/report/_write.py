"""Tables and figures -> one HTML file, written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from scifn import _keys as k
from scifn._errors import ArgumentError, InputFileError, MissingKeyError
from scifn.report import (
    _methods,
    _sections,
    _sections_axis,
    _sections_cells,
    _sections_donors,
    _sections_interferon,
    _sections_profiles,
)
from scifn.report import _wording as w
from scifn.report._brief import brief, not_told
from scifn.report._material import gather

if TYPE_CHECKING:
    from anndata import AnnData

TITLE = "Interferon, pDC and Breg-like cells"


def report(adata: AnnData, path: str | Path, *, title: str | None = None) -> Path:
    """Write all that the tables of ``adata`` say into one self-contained HTML file.

    Nothing is computed: a table that is missing is named with the call that makes it, so that
    a report of a single step, or of none, is as valid as one of :func:`scifn.run`.

    Parameters
    ----------
    adata
        With the output of any of the steps. Only obs, obsm and uns are read.
    path
        The file to write, replaced if it is there. Its folder must exist.
    title
        Heading of the report.

    Returns
    -------
    Path of the file that was written.

    Raises
    ------
    scifn._errors.ArgumentError
        If ``adata`` is not an AnnData.
    scifn._errors.MissingKeyError
        If no step has been run on it.
    scifn._errors.InputFileError
        If the folder of ``path`` is not there, or ``path`` is a folder.

    Examples
    --------
    >>> import anndata, tempfile, scifn
    >>> adata = anndata.AnnData(shape=(3, 0), uns={"scifn": {"version": "0.1.0"}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     scifn.report(adata, f"{folder}/report.html").name
    'report.html'
    """
    if not hasattr(adata, "obs") or not hasattr(adata, "uns"):
        raise ArgumentError(f"an AnnData was needed, a {type(adata).__name__} was given.")
    if k.UNS not in adata.uns:
        raise MissingKeyError(
            f"uns['{k.UNS}'] is not there: call scifn.run(adata, ...), or any step, first."
        )
    target = Path(path)
    if target.is_dir():
        raise InputFileError(f"path={str(path)!r} is a folder; give the name of a file in it.")
    if not target.parent.is_dir():
        raise InputFileError(f"path={str(path)!r}: the folder {target.parent} is not there.")
    _write_whole(target, render(adata, title=title))
    return target


def render(adata: AnnData, *, title: str | None = None) -> str:
    """The page as text."""
    import jinja2

    from scifn import __version__

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("scifn.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    m = gather(adata)
    of_cells = [] if m.bulk else [
        _sections_cells.cells(m),
        _sections_interferon.interferon(m),
        _sections_interferon.response(m),
    ]  # fmt: skip
    of_groups = [] if m.bulk else [
        _sections_donors.imbalance(m),
        *_sections_axis.sections(m),
        _sections_profiles.profiles(m),
    ]  # fmt: skip
    sections = [
        _sections.file(m),
        *of_cells,
        _sections_donors.donors(m),
        *of_groups,
        _methods.methods(m),
        _methods.provenance(m),
    ]
    return environment.get_template("report.html.j2").render(
        title=title or TITLE,
        version=str(m.store.get(k.VERSION, __version__)),
        written=_methods.now(),
        simulated=w.SIMULATED if m.simulated else "",
        research_only=w.RESEARCH_ONLY,
        brief=brief(m),
        not_told=not_told(m),
        sections=sections,
    )


def _write_whole(target: Path, text: str) -> None:
    """Write beside the target and rename, so that no half of a page is ever there."""
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        # mkstemp makes files that only their owner can read; a report is made to be shared
        Path(name).chmod(0o644)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
