"""What commands print: tables with rich on a terminal, aligned text elsewhere, JSON on request."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lmx_hookspecs import LmxError

NARROWEST = 24
"""Columns of text that the last column of a table keeps: it is the one that holds sentences."""


class OutputFailed(LmxError):
    """Standard output takes nothing more, because a disk is full for instance."""


def write(text: str = "", end: str = "\n") -> None:
    """One line on standard output; raises OutputFailed."""
    with _reported():
        sys.stdout.write(text + end)


def flush() -> None:
    """Send out what was written so far; raises OutputFailed."""
    with _reported():
        sys.stdout.flush()


@contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:  # the reader has what it wanted
        raise
    except OSError as error:
        raise OutputFailed(f"cannot write the output: {error.strerror or error}") from error


def silence() -> None:
    """Send standard output nowhere, lest the interpreter fail once more when it flushes at exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def warn(text: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"lmx: {text}\n")


def write_json(data: Any) -> None:
    """Indented JSON on standard output; paths and enums as their text."""
    write(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def write_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table: with rich on a terminal, aligned text for everything else."""
    if sys.stdout.isatty():
        _write_rich(columns, rows)
    else:
        _write_plain(columns, rows)


def _write_plain(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [[column.upper() for column in columns], *rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    for line in lines:
        write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _write_rich(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    cells = [list(row) for row in rows]
    used = [place for place in range(len(columns)) if any(row[place] for row in cells)]
    for place in used:
        last = place == used[-1]
        table.add_column(columns[place], overflow="fold", no_wrap=not last, min_width=NARROWEST if last else None)
    for row in cells:
        table.add_row(*(Text(row[place]) for place in used))  # Text: a model id may hold square brackets
    console = Console()
    needed = Console(width=10_000).measure(table).minimum
    console.print(table, width=max(console.width, needed), soft_wrap=needed > console.width)


def size(size_bytes: float) -> str:
    """Bytes for people, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def gb(size_bytes: float) -> str:
    """Memory for people, in GB of 10^9 bytes, as in the whole API."""
    return f"{size_bytes / 1e9:.2f} GB"


def span(seconds: float) -> str:
    """A length of time for people, in its two largest units."""
    whole = max(0, round(seconds))
    for unit_s, unit, part_s, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= unit_s:
            return f"{whole // unit_s} {unit} {whole % unit_s // part_s} {part}"
    return f"{whole} s"
