from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmx.commands.sse import Event, events

STREAM = (
    ': ping\n\ndata: {"a": 1}\n\nevent: x\ndata:two\r\n\r\ndata: first\ndata: second\n\n'
    "data: a\u2028b\u0085ü\n\ndata: [DONE]\n\n"
).encode()
EXPECTED = ['{"a": 1}', "two", "first\nsecond", "a\u2028b\u0085ü", "[DONE]"]


@given(cuts=st.lists(st.integers(0, len(STREAM)), max_size=20).map(sorted))
def test_events_are_the_same_however_the_bytes_are_cut(cuts: list[int]) -> None:
    edges = [0, *cuts, len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]

    assert [event.data for event in events(chunks)] == EXPECTED


@pytest.mark.parametrize("stream", [b"", b"\n\n", b": only a comment\n\n", b"data: cut off"])
def test_what_is_no_whole_event_is_left_out(stream: bytes) -> None:
    assert list(events([stream])) == []


def test_an_event_carries_its_type_and_the_last_id() -> None:
    stream = b"retry: 3000\n\nid: 7\nevent: model_loaded\ndata: {}\n\ndata: later\n\n"

    assert list(events([stream])) == [Event("{}", "model_loaded", "7"), Event("later", "message", "7")]
