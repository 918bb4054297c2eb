from pathlib import Path

import pytest

from lmx.downloads.space import free_bytes, require_space
from lmx_hookspecs import RemoteFile, RemoteModel
from lmx_hookspecs.errors import InsufficientStorage

GB = 10**9
REMOTE = RemoteModel(
    repo_id="org/name",
    commit="c" * 40,
    files=[RemoteFile(path="model.safetensors", size_bytes=12 * GB)],
    destination=Path("/models"),
    present_bytes=2 * GB,
)


def test_a_tenth_more_than_what_is_missing_has_to_be_free() -> None:
    require_space(REMOTE, free=11 * GB, promised=0)
    require_space(REMOTE, free=14 * GB, promised=3 * GB)

    with pytest.raises(InsufficientStorage) as caught:
        require_space(REMOTE, free=13 * GB, promised=3 * GB)

    for number in ("12.00 GB", "2.00 GB", "11.00 GB", "13.00 GB are free at /models", "3.00 GB"):
        assert number in caught.value.message


def test_the_disk_of_a_folder_that_is_not_there_yet_is_that_of_its_parent(tmp_path: Path) -> None:
    assert free_bytes(tmp_path / "not" / "there") > 0
    assert free_bytes(Path("not/there/either")) > 0
