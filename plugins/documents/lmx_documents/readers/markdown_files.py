"""Markdown, with what its front matter says."""

import re
from collections.abc import Mapping
from itertools import islice
from pathlib import Path

from lmx_documents.chunkers.headers import front_matter_end, headers_of
from lmx_documents.readers.decoding import text_of
from lmx_hookspecs import ReadText

ENTRY = re.compile(r"^([A-Za-z][\w-]{0,63})[ \t]*[:=][ \t]*+(\S[^\n]{0,500})$", re.MULTILINE)
MOST_ENTRIES = 64


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """The text as it is."""
    return of_text(text_of(path, name, max_chars), name)


def of_text(text: str, _: str) -> ReadText:
    """The title is that of the front matter, else the first header of level one."""
    facts = front_matter(text)
    first = next((header.title for header in islice(headers_of(text), 1) if header.level == 1), "")
    return ReadText(text=text, title=facts.get("title", first), metadata=facts, chunker="markdown_headers")


def front_matter(text: str) -> Mapping[str, str]:
    """The lines `key: value` of the front matter; nested values are left out."""
    entries = islice(ENTRY.finditer(text, 0, front_matter_end(text)), MOST_ENTRIES)
    return {entry[1]: value for entry in entries if (value := entry[2].strip().strip("\"'"))}
