"""Settings of the plots are undone, and nothing else is."""

from __future__ import annotations

import matplotlib as mpl
import pytest

from scifn.pl import _style


def test_own_settings_are_undone_even_after_an_error():
    before = dict(mpl.rcParams)
    with pytest.raises(ValueError, match="inside"), _style.style():  # noqa: PT012
        assert mpl.rcParams["legend.frameon"] is False
        raise ValueError("inside")
    assert dict(mpl.rcParams) == before


def test_what_a_notebook_switches_on_inside_stays():
    """The first figure of a notebook makes matplotlib interactive; later ones must show too."""
    with mpl.rc_context({"interactive": False}):
        with _style.style():
            mpl.rcParams["interactive"] = True
        assert mpl.rcParams["interactive"] is True
