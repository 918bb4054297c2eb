"""A reader must say what is wrong with a file, keep to its bounds, and never name the file by its path."""

from pathlib import Path
from tempfile import TemporaryDirectory

from lmx_hookspecs.documents import ReaderSpec, ReadText
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.testing.expectation import expect

CODES = ("unreadable_file", "file_too_large")
PATH_NAME = "lmx-check-reader"


def check_reader(spec: ReaderSpec, data: bytes, name: str) -> ReadText:
    """Read a sample, then with too small a bound, then damaged in several ways; returns what the sample says."""
    expect(bool(spec.suffixes or spec.media_types), f"reader {spec.name} claims no suffix and no media type")
    for suffix in spec.suffixes:
        expect(suffix.startswith(".") and suffix == suffix.lower(), f"suffix {suffix!r}: lower case, with the dot")
    with TemporaryDirectory(prefix=PATH_NAME) as folder:
        file = Path(folder) / f"{PATH_NAME}{Path(name).suffix}"
        file.write_bytes(data)
        read = spec.read(file, name, 1_000_000)
        expect(bool(read.text.strip()), f"reader {spec.name} found no text in the sample")
        expect(_refused(spec, file, name, len(read.text) - 1) == "file_too_large", "reads more than max_chars")
        for damaged in (data[: len(data) // 2], data[::-1], b"\x00\xff" + data[2:], bytes(range(256)) * 8):
            file.write_bytes(damaged)
            _refused(spec, file, name, 1_000_000)
    return read


def _refused(spec: ReaderSpec, file: Path, name: str, max_chars: int) -> str | None:
    """The code of the error, if there is one; any other than InvalidRequest goes through."""
    try:
        spec.read(file, name, max_chars)
    except InvalidRequest as error:
        expect(error.code in CODES, f"reader {spec.name} answers with {error.code}, which is none of {CODES}")
        expect(PATH_NAME not in error.message, f"the message shows a path: {error.message}")
        return error.code
    return None
