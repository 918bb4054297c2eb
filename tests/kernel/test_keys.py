import threading
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import pytest

from lmx.keys import KeyStore
from lmx_hookspecs.errors import ConfigError, Conflict, InvalidRequest, NotFound

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> KeyStore:
    return KeyStore(tmp_path / "home" / "keys.yaml", lambda: NOW)


def test_a_key_is_made_once_and_only_its_digest_is_kept(store: KeyStore) -> None:
    secret = store.create("laptop", priority="normal")

    (kept,) = store.read()
    text = store.path.read_text()
    assert secret.startswith("lmx-")
    assert len(secret) == len("lmx-") + 43
    assert (kept.name, kept.priority, kept.admin, kept.created) == (
        "laptop",
        "normal",
        False,
        "2026-01-02T03:04:05+00:00",
    )
    assert kept.sha256 == sha256(secret.encode()).hexdigest()
    assert secret.removeprefix("lmx-") not in text
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_two_keys_are_never_the_same(store: KeyStore) -> None:
    assert store.create("one") != store.create("two")


def test_a_name_is_taken_until_its_key_is_revoked(store: KeyStore) -> None:
    store.create("laptop")

    with pytest.raises(Conflict, match="laptop"):
        store.create("laptop", admin=True)
    store.revoke("laptop")
    store.create("laptop", admin=True)

    assert [(key.name, key.admin) for key in store.read()] == [("laptop", True)]


def test_what_is_not_there_cannot_be_revoked(store: KeyStore) -> None:
    with pytest.raises(NotFound, match="lmx keys list"):
        store.revoke("nobody")


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "-dash", "key-1", "ümlaut", "line\nbreak"])
def test_a_name_is_fit_for_logs_and_no_place_in_the_configuration(store: KeyStore, name: str) -> None:
    with pytest.raises(InvalidRequest, match="64 letters"):
        store.create(name)

    assert not store.path.exists()


def test_without_a_file_there_are_no_keys(store: KeyStore) -> None:
    assert list(store.read()) == []
    assert not store.make_private()
    assert not store.path.parent.exists()


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("keys: [", 1, ""),
        ("keys:\n  - name: x\n    sha256: s3cret-pasted-here\n", 3, "must be 64 hexadecimal digits"),
        ("keys:\n  - name: x\n    secret: 1\n", 3, "unknown key"),
        ("keys:\n  - name: two words\n    sha256: x\n", 2, "keys[0].name"),
        ("- name: x\n", 1, "must be a mapping"),
    ],
)
def test_a_broken_file_is_an_error_with_its_line_that_repeats_no_key(
    store: KeyStore, text: str, line: int, told: str
) -> None:
    store.path.parent.mkdir()
    store.path.write_text(text)

    with pytest.raises(ConfigError) as caught:
        store.read()

    assert f"{store.path}:{line}: " in caught.value.message
    assert told in caught.value.message
    assert "s3cret" not in caught.value.message


def test_a_broken_file_is_not_written_over(store: KeyStore) -> None:
    store.path.parent.mkdir()
    store.path.write_text("keys: [")

    with pytest.raises(ConfigError):
        store.create("laptop")

    assert store.path.read_text() == "keys: ["


def test_others_lose_their_rights_in_the_file(store: KeyStore) -> None:
    store.create("laptop")
    store.path.chmod(0o644)

    had = [store.make_private(), store.make_private()]

    assert had == [True, False]
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="cannot be written"):
        KeyStore(tmp_path / "file" / "keys.yaml").create("laptop")


def test_keys_that_are_made_at_the_same_time_are_all_kept(store: KeyStore) -> None:
    makers = [
        threading.Thread(target=KeyStore(store.path).create, args=[f"laptop-{number}"], daemon=True)
        for number in range(8)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(20)

    assert len(store.read()) == 8
