"""JSON: a paragraph for each element of a list, or for each key of an object."""

from pathlib import Path

from lmx_documents.readers.decoding import text_of
from lmx_documents.readers.flattening import paragraph, parsed
from lmx_documents.readers.reading import Budget
from lmx_hookspecs import ReadText


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """Nested values are flattened."""
    value = parsed(text_of(path, name, max_chars), name)
    budget = Budget(name, max_chars)
    if isinstance(value, list):
        parts = [paragraph(element, budget) for element in value]
    elif isinstance(value, dict):
        parts = [paragraph({key: inner}, budget) for key, inner in value.items()]
    else:
        parts = [paragraph(value, budget)]
    title = value.get("title") if isinstance(value, dict) else None
    return ReadText(text="\n\n".join(part for part in parts if part), title=title if isinstance(title, str) else "")
