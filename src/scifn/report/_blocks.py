"""What a section of the report is made of; the template draws each kind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Text:
    """A paragraph, with a word in front where it has a subject."""

    text: str
    head: str = ""
    kind: str = "text"


@dataclass(frozen=True)
class Note:
    """A statement that must not be overlooked: a limit, a status, required wording."""

    text: str
    kind: str = "note"


@dataclass(frozen=True)
class Absent:
    """A table that is not there, and the call that makes it."""

    text: str
    kind: str = "absent"


@dataclass(frozen=True)
class Items:
    """A list of statements."""

    items: Sequence[str]
    kind: str = "items"


@dataclass(frozen=True)
class Figure:
    """A drawing as a data URI."""

    uri: str
    caption: str
    alt: str
    width: int
    kind: str = "figure"


@dataclass(frozen=True)
class Table:
    """A table of finished texts; ``left`` are the columns that hold words."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: frozenset[int] = frozenset({0})
    kind: str = "table"


@dataclass(frozen=True)
class Facts:
    """Names and values, one under the other."""

    facts: Sequence[tuple[str, str]]
    kind: str = "facts"


@dataclass(frozen=True)
class Details:
    """Blocks that are folded away under a line."""

    head: str
    blocks: Sequence[Text | Facts]


@dataclass(frozen=True)
class Pages:
    """What is folded away, one under the other; ``many`` scroll on a screen.

    On paper each starts a page, unless there are many: then they follow each other.
    """

    name: str
    pages: Sequence[Details]
    many: bool
    kind: str = "pages"


Block = Text | Note | Absent | Items | Figure | Table | Facts | Pages


@dataclass(frozen=True)
class Section:
    """One numbered section."""

    anchor: str
    title: str
    blocks: list[Block] = field(default_factory=list)
