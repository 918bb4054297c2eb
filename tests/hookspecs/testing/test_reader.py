from pathlib import Path

import pytest

from lmx_hookspecs import ReaderSpec, ReadText
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.testing import check_reader

SAMPLE = b"A text of some words."


def read(path: Path, name: str, max_chars: int) -> ReadText:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is no text", code="unreadable_file") from error
    if len(text) > max_chars:
        raise InvalidRequest(f"{name} is too long", code="file_too_large")
    return ReadText(text=text)


def unbounded(path: Path, name: str, _: int) -> ReadText:
    return read(path, name, 10**9)


def telling(path: Path, _: str, max_chars: int) -> ReadText:
    return read(path, str(path), max_chars)


def crashing(path: Path, name: str, max_chars: int) -> ReadText:
    text = path.read_text("utf-8")
    if len(text) > max_chars:
        raise InvalidRequest(f"{name} is too long", code="file_too_large")
    return ReadText(text=text)


def blind(_: Path, __: str, ___: int) -> ReadText:
    return ReadText(text=" ")


def otherwise(_: Path, name: str, max_chars: int) -> ReadText:
    if max_chars < len(SAMPLE):
        raise InvalidRequest(f"{name} is wrong")
    return ReadText(text=SAMPLE.decode())


def spec(function: object = read, suffix: str = ".txt") -> ReaderSpec:
    return ReaderSpec(name="mine", suffixes=frozenset({suffix} - {""}), read=function)  # type: ignore[arg-type]


def test_a_sound_reader_passes() -> None:
    assert check_reader(spec(), SAMPLE, "a.txt").text == SAMPLE.decode()


@pytest.mark.parametrize(
    ("unsound", "reason"),
    [
        (spec(suffix=""), "claims no suffix"),
        (spec(suffix="txt"), "lower case, with the dot"),
        (spec(suffix=".TXT"), "lower case, with the dot"),
        (spec(blind), "found no text"),
        (spec(unbounded), "reads more than max_chars"),
        (spec(telling), "shows a path"),
        (spec(otherwise), "answers with invalid_value"),
    ],
)
def test_an_unsound_reader_is_found_out(unsound: ReaderSpec, reason: str) -> None:
    with pytest.raises(AssertionError, match=reason):
        check_reader(unsound, SAMPLE, "a.txt")


def test_an_error_that_is_not_deliberate_goes_through() -> None:
    with pytest.raises(UnicodeDecodeError):
        check_reader(spec(crashing), SAMPLE + "é".encode(), "a.txt")
