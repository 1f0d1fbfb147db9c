"""What is going on, for a person at a terminal and for a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

#: A log gets a line each tenth of a reading, but none sooner than this after the last one, and
#: one at least this often (seconds).
SOONEST: Final = 2.0
LATEST: Final = 30.0


@contextmanager
def stage(text: str) -> Iterator[None]:
    """One stage of the work, on stderr: a bar on a terminal, plain lines in a log."""
    from rich.console import Console

    from scifn import _matrix

    start = time.monotonic()
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        with _matrix.watch(Lines()):
            yield
        _line(f"{text} ({_took(start)})")
        return
    bar = _bar(console)
    watcher = Bar(bar, bar.add_task(_plain(text), total=None, told=""), text)
    with bar, _matrix.watch(watcher):
        yield
    console.print(f"[green]✓[/green] {_plain(text)} [dim]({_took(start)})[/dim]")


def _bar(console: Any) -> Any:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[told]}"),
    )
    return Progress(*columns, console=console, transient=True)


@dataclass
class Pace:
    """How fast a reading goes."""

    start: float = field(default_factory=lambda: time.monotonic())

    def told(self, done: int, total: int, unit: str) -> str:
        """Where a reading is, how fast it goes and how long it will take."""
        took = time.monotonic() - self.start
        said = f"{done:,} of {total:,} {unit}"
        if not done or took <= 0:
            return said
        rate = done / took
        said += f" ({done / total:.0%}), {_rounded(rate)} {unit}/s"
        return said if done >= total else f"{said}, {_span((total - done) / rate)} left"


@dataclass
class Bar:
    """A bar on a terminal."""

    bar: Any
    task: Any
    text: str
    pace: Pace = field(default_factory=Pace)
    noted: set[str] = field(default_factory=set)

    def progress(self, done: int, total: int, unit: str) -> None:
        """Move the bar."""
        if done == 0:
            self.pace = Pace()
        told = self.pace.told(done, total, unit)
        self.bar.update(self.task, completed=done, total=total, told=told)

    def note(self, text: str) -> None:
        """Print above the bar, once."""
        if text in self.noted:
            return
        self.noted.add(text)
        self.bar.console.print(f"note: {_plain(text)}")

    def stage(self, text: str) -> None:
        """Name what is done now; how long it takes is not known."""
        description = f"{_plain(self.text)}: {_plain(text)}"
        self.bar.update(self.task, description=description, total=None, told="")


@dataclass
class Lines:
    """Lines in a log, never many."""

    pace: Pace = field(default_factory=Pace)
    share: float = 0.0
    last: float = field(default_factory=lambda: time.monotonic())
    written: bool = False
    noted: set[str] = field(default_factory=set)

    def progress(self, done: int, total: int, unit: str) -> None:
        """Write a line where enough was done, or enough time went by."""
        if done == 0:
            self.pace, self.share, self.last = Pace(), 0.0, time.monotonic()
            return
        share, waited = done / max(total, 1), time.monotonic() - self.last
        step = share >= self.share + 0.1 or done >= total
        if (step and waited >= SOONEST) or waited >= LATEST or (done >= total and self.written):
            _line(f"  {self.pace.told(done, total, unit)}")
            self.share, self.last, self.written = share, time.monotonic(), True

    def note(self, text: str) -> None:
        """Write a note, once."""
        if text not in self.noted:
            self.noted.add(text)
            note(text)

    def stage(self, text: str) -> None:
        """Write what is done now, where the reading was long enough to be written of."""
        if self.written:
            _line(f"  {text}")


def note(text: str) -> None:
    """Something to know that is no mistake, on stderr."""
    _line(f"note: {text}")


def _line(text: str) -> None:
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _took(start: float) -> str:
    seconds = time.monotonic() - start
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _rounded(rate: float) -> str:
    """A rate with two or three digits that mean something: 18,412.3 -> 18,400."""
    if rate < 100:
        return f"{rate:.3g}"
    unit = 10 ** (len(str(int(rate))) - 3)
    return f"{int(rate) // unit * unit:,}"
