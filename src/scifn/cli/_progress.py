"""What is going on, for a person at a terminal and for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stage(text: str) -> Iterator[None]:
    """One stage of the work, on stderr: a spinner on a terminal, a plain line in a log."""
    from rich.console import Console

    start = time.monotonic()
    console = Console(stderr=True, highlight=False)
    if console.is_terminal:
        with console.status(f"{_plain(text)} ..."):
            yield
        console.print(f"[green]✓[/green] {_plain(text)} [dim]({_took(start)})[/dim]")
        return
    yield
    sys.stderr.write(f"{text} ({_took(start)})\n")
    sys.stderr.flush()


def note(text: str) -> None:
    """Something to know that is no mistake, on stderr."""
    sys.stderr.write(f"note: {text}\n")


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _took(start: float) -> str:
    seconds = time.monotonic() - start
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"
