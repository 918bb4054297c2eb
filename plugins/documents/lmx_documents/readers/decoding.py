"""From bytes to text, in whatever encoding it is."""

import codecs
import re
from pathlib import Path

from lmx_documents.readers.reading import bytes_of, unreadable

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
BINARY_BEGINNINGS = (
    b"%PDF-",
    b"PK\x03\x04",
    b"\x89PNG",
    b"\xff\xd8\xff",  # JPEG
    b"\x1f\x8b",  # gzip
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"(\xb5/\xfd",  # Zstandard
    b"\xd0\xcf\x11\xe0",  # Office before 2007
    b"SQLite format 3\x00",
    b"\x7fELF",
    b"\xca\xfe\xba\xbe",  # Java classes
    b"\x00asm",
)
CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\f\r\b\x1b") + b"\x7f"
MOST_CONTROL = 0.01
"""Of the characters of a text; of binary data it is about ten times as many."""
SAMPLE_BYTES = 65_536
NEWLINES = re.compile("\r\n?")


def text_of(path: Path, name: str, max_chars: int, declared: str = "") -> str:
    """The text of a file, its lines ended as on Unix; raises InvalidRequest for one that holds something else."""
    return decoded(bytes_of(path, name, max_chars), name, declared)


def decoded(data: bytes, name: str, declared: str = "") -> str:
    """By the byte order mark; else UTF-8; else the encoding that the file declares; else what it looks like."""
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return _with_newlines(_decode(data[len(mark) :], encoding, name))
    _check_text(data, name)
    try:
        return _with_newlines(data.decode())
    except UnicodeDecodeError:
        return _with_newlines(_decode(data, declared or _guess(data, name), name))


def _check_text(data: bytes, name: str) -> None:
    sample = data[:SAMPLE_BYTES]
    control = len(sample) - len(sample.translate(None, CONTROL))
    if data.startswith(BINARY_BEGINNINGS) or control > MOST_CONTROL * len(sample):
        raise unreadable(name, "is binary: give it the suffix of what it is, or send its text")


def _guess(data: bytes, name: str) -> str:
    from charset_normalizer import from_bytes

    strange = next(at for at, byte in enumerate(data) if byte > 127)
    start = max(0, strange - SAMPLE_BYTES // 2)
    best = from_bytes(data[start : start + SAMPLE_BYTES]).best()
    if best is None:
        raise unreadable(name, "is in no known encoding: save it as UTF-8")
    return best.encoding


def _decode(data: bytes, encoding: str, name: str) -> str:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise unreadable(name, f"is damaged, or not in the encoding {encoding}: save it as UTF-8") from error


def _with_newlines(text: str) -> str:
    return NEWLINES.sub("\n", text) if "\r" in text else text
