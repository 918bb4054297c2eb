"""PDF files that hold text; scans do not."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pypdf import PdfReader
from pypdf.errors import DependencyError, FileNotDecryptedError

from lmx_documents.readers.reading import Budget, unreadable
from lmx_hookspecs import ReadText

BEGINNING = b"%PDF-"
SEARCHED_BYTES = 1024
FACTS = {"/Title": "title", "/Author": "author", "/Subject": "subject", "/Keywords": "keywords"}
MOST_PAGES = 50_000


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """The text of all pages; `page_starts` in the metadata tells where each begins, in characters."""
    with path.open("rb") as file:
        if BEGINNING not in file.read(SEARCHED_BYTES):
            raise unreadable(name, "is no PDF file: check that it is one")
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # it warns of each flaw of a file, by the thousands
    with PdfReader(path) as reader:
        _unlock(reader, name)
        return _text(reader, name, max_chars)


def _unlock(reader: PdfReader, name: str) -> None:
    """Open what is encrypted with an empty password, as viewers do."""
    if not reader.is_encrypted:
        return
    try:
        opened = bool(reader.decrypt(""))
    except (DependencyError, NotImplementedError, FileNotDecryptedError):
        opened = False
    if not opened:
        raise unreadable(name, "is encrypted: remove its password")


def _text(reader: PdfReader, name: str, max_chars: int) -> ReadText:
    budget = Budget(name, max_chars)
    pages = len(reader.pages)
    if pages > MOST_PAGES:
        raise unreadable(name, f"says that it has {pages} pages: split it")
    texts, starts, damaged = [], [], []
    for number in range(pages):
        text = _page(reader, number)
        if text is None:
            damaged.append(number + 1)
        starts.append(budget.taken)
        texts.append(f"{text or ''}\n\n")
        budget.take(len(texts[-1]))
    whole = "".join(texts).rstrip()
    if damaged and (len(damaged) == pages or not whole):
        raise unreadable(name, f"is damaged: none of its {pages} pages can be read")
    if not whole:
        raise unreadable(name, "has no text; if it was scanned, run text recognition (OCR) first")
    facts = _facts(reader)
    metadata = {**facts, "pages": pages, "page_starts": starts} | ({"unreadable_pages": damaged} if damaged else {})
    return ReadText(text=whole, title=facts.get("title", ""), metadata=metadata)


def _page(reader: PdfReader, number: int) -> str | None:
    """The text of a page; None where it is damaged."""
    try:
        return reader.pages[number].extract_text().strip()
    except Exception:  # pypdf raises whatever a damaged page leads to; the others may be sound
        return None


def _facts(reader: PdfReader) -> Mapping[str, Any]:
    """What the file says of itself, as far as that can be read."""
    try:
        said: Mapping[str, Any] = reader.metadata or {}
        known = {name: str(said[key]).strip() for key, name in FACTS.items() if key in said}
    except Exception:  # as above
        return {}
    return {name: value[:1000] for name, value in known.items() if value}
