import pytest

from lmx_admin.wire import human_size


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (-1, "unknown"),
        (0, "unknown"),
        (1, "1.0 B"),
        (1023, "1023.0 B"),
        (1536, "1.5 KB"),
        (5 * 2**20, "5.0 MB"),
        (4_294_967_296, "4.0 GB"),
        (2**50, "1024.0 TB"),
    ],
)
def test_sizes_are_told_in_steps_of_1024(size_bytes: int, text: str) -> None:
    assert human_size(size_bytes) == text
