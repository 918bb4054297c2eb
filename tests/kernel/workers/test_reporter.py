import socket
from collections.abc import Iterator
from fractions import Fraction

import pytest

from lmx.workers.frames import FrameSocket
from lmx.workers.reporter import Reporter
from lmx.workers.threads import start_thread


@pytest.fixture
def pair() -> Iterator[tuple[FrameSocket, FrameSocket]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(20.0)
    with ours, theirs:
        yield FrameSocket(ours), FrameSocket(theirs)


def test_what_was_not_sent_yet_is_replaced_by_what_is_newer(pair: tuple[FrameSocket, FrameSocket]) -> None:
    worker, kernel = pair
    report = Reporter(worker)

    report(0.25, "first", files=1)
    report(0.5, "second", files=2)
    report.flush()
    report.flush()
    worker.send("end")

    frames = kernel.frames()
    assert [next(frames), next(frames)] == [["progress", 0.5, "second", {"files": 2}], ["end"]]


def test_the_first_report_and_the_latest_are_sent_unasked(pair: tuple[FrameSocket, FrameSocket]) -> None:
    worker, kernel = pair
    report = Reporter(worker)
    start_thread("progress", report.run)
    frames = kernel.frames()

    report(0.25)
    first = next(frames)
    for step in range(100):
        report(step / 100)
    report(1.0, "done")

    assert first == ["progress", 0.25, "", {}]
    assert next(frame for frame in frames if frame[1] == 1.0) == ["progress", 1.0, "done", {}]


def test_a_report_travels_whatever_numbers_and_names_it_holds(pair: tuple[FrameSocket, FrameSocket]) -> None:
    worker, kernel = pair
    report = Reporter(worker)

    report(7, "file \udcff", half=Fraction(1, 2), on=True, speed=float("inf"))  # type: ignore[arg-type]
    report.flush()
    report(float("nan"))
    report.flush()

    frames = kernel.frames()
    assert next(frames) == ["progress", 1.0, r"file \udcff", {"half": 0.5, "on": 1}]
    assert next(frames) == ["progress", 0.0, "", {}]
