"""``scifn.report`` is a function whichever way one came to it."""

from __future__ import annotations

import json
import subprocess
import sys

WAYS = [
    "import scifn",
    "import scifn.report",
    "from scifn.report import report; import scifn",
    "from scifn.report._format import number; import scifn",
]
#: Each way in turn, as if nothing of scifn had been imported before; what it needs is kept.
CODE = """
import inspect, json, sys
seen = []
for way in json.loads(sys.argv[1]):
    for name in [name for name in sys.modules if name.split(".")[0] == "scifn"]:
        del sys.modules[name]
    names = {}
    exec(way, names)
    seen.append([*inspect.signature(names["scifn"].report).parameters])
print(json.dumps(seen))
"""


def test_report_can_be_called():
    command = [sys.executable, "-c", CODE, json.dumps(WAYS)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    found = dict(zip(WAYS, json.loads(ran.stdout), strict=True))
    assert found == {way: ["adata", "path", "title"] for way in WAYS}
