"""Tables as text: a paragraph for each row, a line for each cell."""

import csv
import re
from collections.abc import Iterator, Sequence
from io import StringIO
from itertools import chain, islice
from pathlib import Path

from lmx_documents.readers.decoding import text_of
from lmx_documents.readers.reading import Budget
from lmx_hookspecs import ReadText

DELIMITERS = ",;\t|"
SAMPLE_CHARS = 16_384
SAMPLE_ROWS = 21
YEAR = re.compile(r"(?:19|20)\d\d")
"""A number that may well be the name of a column."""


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """Cells stand behind the name of their column, which the first row gives if it looks like names."""
    text = text_of(path, name, max_chars)
    return table(text, _delimiter(text), name, max_chars)


def table(text: str, delimiter: str, name: str, max_chars: int) -> ReadText:
    """The rows of a table that is written with this delimiter."""
    csv.field_size_limit(len(text) + 1)  # of this process: what a file may hold is checked by now
    filled = (row for row in csv.reader(StringIO(text, newline=""), delimiter=delimiter) if any(map(str.strip, row)))
    first = [*islice(filled, SAMPLE_ROWS)]
    columns = first.pop(0) if first and _names_columns(first[0], first[1:]) else ()
    budget = Budget(name, max_chars)
    paragraphs: list[str] = []
    for row in chain(first, filled):
        paragraph = "\n".join(_lines(columns, row))
        budget.take(len(paragraph) + 2)
        paragraphs.append(paragraph)
    metadata = {"columns": [*columns][:256], "rows": len(paragraphs)}
    return ReadText(text="\n\n".join(paragraphs) or "\n".join(columns), metadata=metadata)


def _names_columns(row: Sequence[str], others: Sequence[Sequence[str]]) -> bool:
    """Whether a first row tells what is in the others: unless it has numbers itself where all of them have numbers."""
    if not others:
        return not any(map(_is_number, row))
    numeric = [place for place in range(len(row)) if _is_numeric(place, others)]
    if any(row[place].strip() and not _is_number(row[place]) for place in numeric):
        return True
    years = all(YEAR.fullmatch(other[place].strip()) for place in numeric for other in others if place < len(other))
    return not any(_is_number(row[place]) and (years or not YEAR.fullmatch(row[place].strip())) for place in numeric)


def _is_numeric(place: int, rows: Sequence[Sequence[str]]) -> bool:
    """Whether there are numbers there and nothing else."""
    cells = [row[place] for row in rows if place < len(row) and row[place].strip()]
    return bool(cells) and all(map(_is_number, cells))


def _is_number(cell: str) -> bool:
    """A number, amount, date or time: digits and signs without a letter."""
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


def _lines(columns: Sequence[str], row: Sequence[str]) -> Iterator[str]:
    for index, cell in enumerate(row):
        if value := cell.strip():
            column = columns[index].strip() if index < len(columns) else ""
            yield f"{column or f'column {index + 1}'}: {value}"


def _delimiter(text: str) -> str:
    """The delimiter that the first lines have most of, and all of them the same number, if there is one."""
    lines = [line for line in text[:SAMPLE_CHARS].split("\n")[:20] if line]
    counts = {delimiter: {line.count(delimiter) for line in lines} for delimiter in DELIMITERS}
    regular = [delimiter for delimiter, found in counts.items() if len(found) == 1 and found != {0}]
    first = lines[0] if lines else ""
    return max(regular or DELIMITERS, key=first.count)
