"""Plain text, and whatever else turns out to be text."""

from pathlib import Path

from lmx_documents.readers.decoding import text_of
from lmx_documents.readers.languages import language_of
from lmx_hookspecs import ReadText


def read(path: Path, name: str, max_chars: int) -> ReadText:
    """The text as it is."""
    return of_text(text_of(path, name, max_chars), name)


def of_text(text: str, name: str) -> ReadText:
    """Names such as `Makefile` tell a language as suffixes do."""
    language = language_of(name)
    return ReadText(text=text, chunker="code" if language else "fixed", language=language)
