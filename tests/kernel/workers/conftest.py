import signal
from collections.abc import Iterator
from types import FrameType

import psutil
import pytest

TEST_LIMIT_S = 90
"""What no test comes near, on however busy a machine: one that waits for what never comes fails, and is named."""


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = set(psutil.Process().children(recursive=True))
    yield
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.fixture(autouse=True)
def no_test_waits_for_ever(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("slow"):
        yield
        return
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(TEST_LIMIT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def give_up(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  the signature of a signal handler
    raise TimeoutError(f"the test has taken {TEST_LIMIT_S} s")
