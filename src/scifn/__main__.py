"""``python -m scifn`` is the program."""

from __future__ import annotations

from scifn.cli import main

main()
