import os
from pathlib import Path

import pytest

from lmx.private_files import FileLock, replace_private
from lmx_hookspecs.errors import ConfigError
from lmx_hookspecs.places import home


def test_home_is_where_lmx_home_says_and_is_not_made_by_asking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_HOME", str(tmp_path / "home"))
    named = home()
    monkeypatch.delenv("LMX_HOME")

    assert named == tmp_path / "home"
    assert not named.exists()
    assert home() == Path.home() / ".lmx"


def test_a_home_of_nobody_is_an_error_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LMX_HOME", "~no-such-user/lmx")

    with pytest.raises(ConfigError, match="LMX_HOME"):
        home()


def test_what_is_written_is_private_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "home" / "file"
    replace_private(path, b"one")
    left_over = path.with_name(".file.new")
    left_over.write_bytes(b"of a write that was cut off")
    left_over.chmod(0o644)

    replace_private(path, b"two")

    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    (path / "inside").mkdir(parents=True)

    with pytest.raises(OSError, match="directory"):
        replace_private(path, b"new")

    assert list(tmp_path.iterdir()) == [path]


def test_a_lock_has_one_holder_until_it_lets_go(tmp_path: Path) -> None:
    mine, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    taken = [mine.take(), mine.take(), other.take()]
    holder = other.holder()

    mine.release()

    assert taken == [True, True, False]
    assert holder == os.getpid()
    assert other.take()
    other.release()
