"""Messages about how rows are held: in memory, in a file that is mapped, read when needed."""

from __future__ import annotations

from compiler.report.diagnostics import Text, message
from compiler.report.messages.wording import list_words
from compiler.report.source import Span


def _digits(clauses: str) -> str:
    """A spec of the digits with these clauses."""
    source = 'source sklearn("digits")'
    return f"data digits {{\n    {source}\n    {clauses}\n    split in_order, train=90%\n}}\n"


@message("W1720", bad=_digits("hold streamed"), good=_digits("hold memory"))
def not_held_so(span: Span | None, way: str, source: str, ways: tuple[str, ...]) -> Text:
    """Rows of a source can be held in some ways only. Images can be `streamed`: each is decoded by
    a worker whenever a batch needs it. Data that a package brings, text and packed archives are
    read into `memory`, and so is whatever has windows.

    Without `hold`, rows are in memory where they take half of what is free at most.
    """
    return Text(
        f"rows of `{source}` cannot be {way}",
        label="they are held in memory" if len(ways) == 1 else f"{list_words(ways)} are known",
        help="leave `hold` out: it follows from the size of the data",
    )


@message("W1725")
def not_in_memory(span: Span | None, way: str, reason: str) -> Text:
    """Rows that are `mapped` or `streamed` are read batch by batch. What needs all of them at once
    can have them in memory only: a condition `where` on images, a train on several data sets, an
    optimizer that solves for its parameters.
    """
    return Text(
        f"rows that are {way} cannot be read here",
        label=reason,
        help="hold the rows in memory: `hold memory` in the data item",
    )


@message("W1722")
def row_unreadable(span: Span | None, row: int, path: str, reason: str) -> Text:
    """A row could not be read while a net was trained: its file is cut short, is no longer what it
    was, or has been taken away. What finished epochs left is kept, and the same command goes on
    from there once the file is whole again.

    `weft check --data` reads every row before. Rows are counted from 0, in the order of the source.
    """
    return Text(
        f"row {row:,} cannot be read: {path}",
        label=reason or "it cannot be decoded",
        help="mend the file, or take it out of the data",
    )


@message("W1723")
def reader_ended(span: Span | None, reason: str) -> Text:
    """One of the processes that read rows for a training ended from outside. Most often the system
    ran out of memory, or out of the shared memory (`/dev/shm`) through which rows come: containers
    have little of it (`--shm-size`). What finished epochs left is kept.
    """
    return Text(
        "a process that reads rows was ended",
        label=reason,
        help="give it more memory, `/dev/shm` in a container, or write a smaller `batch`",
    )


@message("W1724")
def disk_full(span: Span | None, reason: str) -> Text:
    """No room is left on the disk. What is written there is written whole or not at all: the
    checkpoint of the last finished epoch is kept, and the same command goes on from there.
    """
    return Text(
        "the disk is full",
        label=reason,
        help="make room, or give another folder with `-o`",
    )
