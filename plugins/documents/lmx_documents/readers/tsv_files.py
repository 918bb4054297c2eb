"""Tables whose cells are separated by tabs."""

from pathlib import Path

from lmx_documents.readers.csv_files import table
from lmx_documents.readers.decoding import text_of
from lmx_hookspecs import ReadText


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """As of CSV."""
    return table(text_of(path, name, max_chars), "\t", name, max_chars)
