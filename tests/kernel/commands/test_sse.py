from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx.commands.sse import events

STREAM = (
    ': ping\n\ndata: {"a": 1}\n\nevent: x\ndata:two\r\n\r\ndata: first\ndata: second\n\n'
    "data: a\u2028b\u0085ü\n\ndata: [DONE]\n\n"
).encode()
EXPECTED = ['{"a": 1}', "two", "first\nsecond", "a\u2028b\u0085ü", "[DONE]"]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]

    assert list(events(chunks)) == EXPECTED


@pytest.mark.parametrize("stream", [b"", b"\n\n", b": only a comment\n\n", b"data: cut off"])
def test_what_is_no_whole_event_is_left_out(stream: bytes) -> None:
    assert list(events([stream])) == []
