"""JSON lines: a paragraph for each line."""

from pathlib import Path

from lmx_documents.readers.decoding import text_of
from lmx_documents.readers.flattening import paragraph, parsed
from lmx_documents.readers.reading import Budget
from lmx_hookspecs import ReadText


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """Nested values are flattened."""
    budget = Budget(name, max_chars)
    lines = enumerate(text_of(path, name, max_chars).split("\n"), 1)
    values = (parsed(line, name, f" in line {number}") for number, line in lines if line.strip())
    parts = [paragraph(value, budget) for value in values]
    return ReadText(text="\n\n".join(part for part in parts if part), metadata={"rows": len(parts)})
