"""The report: what a file can tell about interferon, pDC and Breg-like cells, on one page.

Tables and figures become one HTML file that needs nothing from outside itself.
"""

from __future__ import annotations

from scifn.report._write import report

__all__ = ["report"]
