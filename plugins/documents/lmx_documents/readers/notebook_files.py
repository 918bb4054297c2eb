"""Jupyter notebooks, as Markdown: their text, and their code in fences; what it printed is left out."""

from pathlib import Path
from typing import Any

from lmx_documents.readers.decoding import text_of
from lmx_documents.readers.flattening import parsed
from lmx_documents.readers.hypertext import fenced
from lmx_documents.readers.reading import Budget, unreadable
from lmx_hookspecs import ReadText

OUTPUTS = 20
"""A notebook may be so many times as long as its text; pictures are in it."""


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """The cells in their order."""
    notebook = parsed(text_of(path, name, max_chars * OUTPUTS), name)
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if not isinstance(cells, list):
        raise unreadable(name, "is no notebook: it has no cells")
    language = _language(notebook)
    budget = Budget(name, max_chars)
    parts = [_cell(cell, language) for cell in cells if isinstance(cell, dict)]
    for part in parts:
        budget.take(len(part) + 2)
    return ReadText(
        text="\n\n".join(part for part in parts if part), metadata={"language": language}, chunker="markdown_headers"
    )


def _cell(cell: dict[str, Any], language: str) -> str:
    source = cell.get("source", "")
    text = ("".join(map(str, source)) if isinstance(source, list) else str(source)).strip("\n")
    return fenced(text, language) if text and cell.get("cell_type") == "code" else text


def _language(notebook: dict[str, Any]) -> str:
    info: Any = notebook.get("metadata")
    for key in ("kernelspec", "language"):
        info = info.get(key) if isinstance(info, dict) else None
    return info if isinstance(info, str) and info.isalnum() else "python"
