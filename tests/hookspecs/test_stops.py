from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx_hookspecs.stops import StopScanner, StopStrings

CHARS = st.text(alphabet="abc", max_size=12)
STOPS = st.lists(st.text(alphabet="abc", min_size=1, max_size=4), min_size=1, max_size=4)


def scan(stops: Sequence[str], chunks: Sequence[str]) -> tuple[str, str | None]:
    strings = StopStrings.compile(stops)
    assert strings is not None
    scanner = StopScanner(strings)
    out = ""
    for chunk in chunks:
        out += scanner.feed(chunk)
        if scanner.hit:
            return out, scanner.found
    return out + scanner.finish(), None


def searched(stops: Sequence[str], text: str) -> tuple[str, str | None]:
    """The same by trying every place: the first at which a stop string is complete, the longest of those there."""
    for end in range(len(text) + 1):
        ending = [stop for stop in stops if text[:end].endswith(stop)]
        if ending:
            found = max(ending, key=len)
            return text[: end - len(found)], found
    return text, None


@settings(deadline=None)
@given(stops=STOPS, chunks=st.lists(CHARS, max_size=8))
def test_every_split_of_a_text_gives_what_comes_before_the_first_stop_string(
    stops: list[str], chunks: list[str]
) -> None:
    assert scan(stops, chunks) == searched(stops, "".join(chunks))


@settings(deadline=None)
@given(stops=STOPS, text=CHARS)
def test_no_more_is_held_back_than_could_become_a_stop_string(stops: list[str], text: str) -> None:
    strings = StopStrings.compile(stops)
    assert strings is not None
    scanner = StopScanner(strings)

    given_out = "".join(map(scanner.feed, text)) if not searched(stops, text)[1] else ""

    if not searched(stops, text)[1]:
        suffixes = [text[start:] for start in range(len(text) + 1)]
        held = next(suffix for suffix in suffixes if any(stop.startswith(suffix) for stop in stops))
        assert given_out + held == text


@pytest.mark.parametrize(
    ("stops", "chunks", "expected"),
    [
        (["STOP"], ["one S", "TO", "P two"], "one "),
        (["\n\n", "\n"], ["a", "\n", "\nb"], "a"),
        (["abcd", "bc"], ["xabcd"], "xa"),
        (["ß€"], ["a ß", "€ b"], "a "),
    ],
)
def test_a_stop_string_may_straddle_tokens(stops: list[str], chunks: list[str], expected: str) -> None:
    said, found = scan(stops, chunks)

    assert said == expected
    assert found in stops


def test_what_only_looked_like_a_stop_string_is_given_out_in_the_end() -> None:
    assert scan(["STOP"], ["full ST", "O"]) == ("full STO", None)


def test_without_stop_strings_there_is_nothing_to_look_for() -> None:
    assert StopStrings.compile(["", ""]) is None
