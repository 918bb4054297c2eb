"""HTML pages."""

import re
from pathlib import Path

from lmx_documents.readers.decoding import decoded
from lmx_documents.readers.hypertext import convert
from lmx_documents.readers.reading import Budget, bytes_of
from lmx_hookspecs import ReadText

CHARSET = re.compile(rb"(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})")
DECLARED_IN = 1024
"""Bytes at the beginning of which a page must declare its encoding (HTML, 4.2.5.4)."""
EMPTY = re.compile(r"<(title|script|style|iframe|noscript|template|object|select|button|pre|nav|h[1-6])\b([^<>]*)/>")
"""In XHTML any element may be empty; HTML reads the tag as one that opens."""
MARKUP = 8
"""A page may be so many times as long as its text, and no longer."""


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """The text of a page, without scripts, styles and navigation."""
    data = bytes_of(path, name, max_chars * MARKUP)
    return page(data, name, Budget(name, max_chars))


def page(data: bytes, name: str, budget: Budget) -> ReadText:
    """One page of those that share a budget."""
    declared = CHARSET.search(data, 0, DECLARED_IN)
    html = decoded(data, name, declared[1].decode() if declared else "")
    if "http://www.w3.org/1999/xhtml" in html[:DECLARED_IN]:
        html = EMPTY.sub(r"<\1\2></\1>", html)
    converter = convert(html, budget)
    text = converter.text.strip("\n")
    return ReadText(
        text=text, title=converter.title or _first_header(text), metadata=converter.facts, chunker="markdown_headers"
    )


def _first_header(text: str) -> str:
    line = text.partition("\n")[0]
    return line.removeprefix("# ") if line.startswith("# ") else ""
