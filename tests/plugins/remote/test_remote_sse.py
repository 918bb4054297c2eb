import pytest

from lmx_remote.sse import LARGEST_EVENT_BYTES, LINE_BYTES, EventReader, EventTooLarge

EVENTS = 'data: {"a":"\u2028\x85"}\r\n\r\n: ping\n\nevent: x\ndata:one\ndata: two\n\ndata: [DONE]\n\n'.encode()


def feed(reader: EventReader, chunk: bytes, times: int) -> None:
    for _ in range(times):
        list(reader.feed(chunk))


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


@pytest.mark.parametrize("line", [b"data:\n", b"data: x\n", b": nothing\ndata:\n"])
def test_an_event_of_very_many_lines_is_too_large_however_short_they_are(line: bytes) -> None:
    reader = EventReader()
    lines = line * 1000

    with pytest.raises(EventTooLarge):
        feed(reader, lines, times=1 + LARGEST_EVENT_BYTES // (1000 * LINE_BYTES))


def test_a_line_without_an_end_is_too_large() -> None:
    reader = EventReader()

    with pytest.raises(EventTooLarge):
        feed(reader, b"x" * 4096, times=1 + LARGEST_EVENT_BYTES // 4096)


def test_events_that_have_been_given_count_no_more() -> None:
    reader = EventReader()
    event = b"data: " + b"x" * (LARGEST_EVENT_BYTES // 2) + b"\n\n"

    given = [len(data) for _ in range(4) for data in reader.feed(event)]

    assert given == [LARGEST_EVENT_BYTES // 2] * 4
