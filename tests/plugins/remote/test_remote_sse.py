import pytest

from lmx_remote.sse import LARGEST_EVENT_BYTES, EventReader, EventTooLarge

EVENTS = 'data: {"a":"\u2028\x85"}\r\n\r\n: ping\n\nevent: x\ndata:one\ndata: two\n\ndata: [DONE]\n\n'.encode()


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    reader = EventReader()

    events = [data for start in range(0, len(EVENTS), size) for data in reader.feed(EVENTS[start : start + size])]

    assert events == ['{"a":"\u2028\x85"}'.encode(), b"one\ntwo", b"[DONE]"]


def test_an_event_without_an_end_is_given_up() -> None:
    reader = EventReader()
    line = b"data: " + b"x" * (LARGEST_EVENT_BYTES // 2 + 1) + b"\n"

    assert list(reader.feed(line)) == []
    with pytest.raises(EventTooLarge):
        list(reader.feed(line))
