"""Tables as text: a paragraph for each row, a line for each cell."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path

from lmx_documents.readers.decoding import text_of
from lmx_documents.readers.reading import Budget, unreadable
from lmx_hookspecs import ReadText

DELIMITERS = ",;\t|"
SAMPLE_CHARS = 16_384


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """Cells stand behind the name of their column, which the first row gives."""
    text = text_of(path, name, max_chars)
    return table(text, _delimiter(text), name, max_chars)


def table(text: str, delimiter: str, name: str, max_chars: int) -> ReadText:
    """The rows of a table that is written with this delimiter."""
    budget = Budget(name, max_chars)
    rows = csv.reader(StringIO(text, newline=""), delimiter=delimiter)
    paragraphs: list[str] = []
    try:
        columns: Sequence[str] = ()
        for row in rows:
            if not columns and any(cell.strip() for cell in row):
                columns = row
            elif paragraph := "\n".join(_lines(columns, row)):
                budget.take(len(paragraph) + 2)
                paragraphs.append(paragraph)
    except csv.Error as error:
        raise unreadable(name, f"is no table: line {rows.line_num}: {error}") from error
    metadata = {"columns": [*columns][:256], "rows": len(paragraphs)}
    return ReadText(text="\n\n".join(paragraphs) or "\n".join(columns), metadata=metadata)


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
