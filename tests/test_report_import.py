"""``scifn.report`` is a function whichever way one came to it."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "how",
    [
        "import scifn",
        "import scifn.report",
        "from scifn.report import report; import scifn",
        "from scifn.report._format import number; import scifn",
    ],
)
def test_report_can_be_called(how):
    code = f"{how}; import inspect; print(*inspect.signature(scifn.report).parameters)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["adata", "path", "title"]
