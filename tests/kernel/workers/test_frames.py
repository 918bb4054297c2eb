import socket
import threading
from collections import deque
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmx.workers.frames import MAX_FRAME_BYTES, Decoder, Encoder, FrameError, FrameSocket
from lmx_hookspecs import EngineDescription

FRAMES: list[list[Any]] = [["beat", 0.5, 3], ["step", [[1, 0, "höllo", 1]]], ["stop"], ["log", "x" * 5000]]


@pytest.fixture
def pair() -> Iterator[tuple[FrameSocket, FrameSocket]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(20.0)
    with ours, theirs:
        yield FrameSocket(ours), FrameSocket(theirs)


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 5_100)))
def test_frames_survive_every_way_of_cutting_the_stream(cuts: list[int]) -> None:
    stream = b"".join(map(Encoder().encode, FRAMES))
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]

    decoder = Decoder()
    found = [frame for start, end in pairwise(edges) for frame in decoder.feed(stream[start:end])]

    assert found == FRAMES


@pytest.mark.parametrize("value", [2**64, "\ud800", object(), float, [[[2**70]]]])
def test_a_value_that_cannot_travel_is_refused_and_the_next_frame_is_whole(value: object) -> None:
    encoder = Encoder()

    with pytest.raises(FrameError, match="cannot be sent"):
        encoder.encode(["generate", 1, value])

    assert list(Decoder().feed(encoder.encode(["stop"]))) == [["stop"]]


def test_values_of_the_contract_travel_as_plain_data() -> None:
    described = EngineDescription(context_length=8, capabilities=frozenset({"chat"}), memory_bytes=1)

    (frame,) = Decoder().feed(Encoder().encode(["ready", described, Path("/models")]))

    assert frame[1]["capabilities"] == ["chat"]
    assert frame[2] == "/models"


def test_collections_travel_as_lists_and_maps_and_other_values_not_at_all() -> None:
    encoder = Encoder()

    (frame,) = Decoder().feed(encoder.encode(["log", deque([1]), {2}, MappingProxyType({"a": 3})]))

    assert frame == ["log", [1], [2], {"a": 3}]
    for _ in range(2):
        with pytest.raises(FrameError, match="a object is not plain data"):
            encoder.encode(["log", object()])


def test_a_frame_too_long_is_refused_on_both_sides() -> None:
    announced = (MAX_FRAME_BYTES + 1).to_bytes(4, "big")

    with pytest.raises(FrameError, match="exceed"):
        Encoder().encode(["log", "x" * (MAX_FRAME_BYTES + 1)])
    with pytest.raises(FrameError, match="announced"):
        list(Decoder().feed(announced))


def test_what_is_not_msgpack_is_an_error() -> None:
    with pytest.raises(FrameError, match="not a frame"):
        list(Decoder().feed(b"\x00\x00\x00\x01\xc1"))


def test_threads_that_send_at_once_do_not_mix_their_frames(pair: tuple[FrameSocket, FrameSocket]) -> None:
    ours, theirs = pair
    text = "x" * 3000

    def send(name: int) -> None:
        for _ in range(50):
            ours.send("log", name, text)

    threads = [threading.Thread(target=send, args=(name,), daemon=True) for name in range(4)]
    for thread in threads:
        thread.start()
    frames = theirs.frames()
    received = [next(frames) for _ in range(200)]
    for thread in threads:
        thread.join(20.0)

    assert sorted(frame[1] for frame in received) == sorted(list(range(4)) * 50)


def test_the_frames_end_when_the_other_side_is_closed() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        FrameSocket(ours).send("stop")
        ours.close()

        received = list(FrameSocket(theirs).frames())

    assert received == [["stop"]]
