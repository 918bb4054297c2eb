import json
from pathlib import Path

import pytest

from lmx.cli import main
from lmx.keys import KeyStore

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def store(home: Path) -> KeyStore:
    """The file that the commands change; the home above it is not there yet."""
    return KeyStore(home / "home" / "keys.yaml")


def test_a_new_key_is_all_that_standard_output_gets(store: KeyStore, capsys: Captured) -> None:
    status = main(["keys", "create", "laptop", "--priority", "normal"])

    shown = capsys.readouterr()
    (kept,) = store.read()
    assert status == 0
    assert shown.out.startswith("lmx-")
    assert len(shown.out.split()) == 1
    assert "Authorization: Bearer" in shown.err
    assert shown.out.strip() not in shown.err
    assert (kept.name, kept.priority, kept.admin) == ("laptop", "normal", False)


def test_as_json_a_new_key_comes_with_the_header_that_it_is_sent_in(store: KeyStore, capsys: Captured) -> None:
    main(["keys", "create", "boss", "--admin", "--json"])

    made = json.loads(capsys.readouterr().out)
    assert made.pop("key").startswith("lmx-")
    assert made == {
        "name": "boss",
        "admin": True,
        "priority": "high",
        "created": store.read()[0].created,
        "header": "X-Admin-Key: KEY",
    }


def test_the_list_shows_everything_but_the_keys(store: KeyStore, capsys: Captured) -> None:
    secrets = [store.create("laptop", priority="low"), store.create("boss", admin=True)]

    main(["keys", "list"])
    table = capsys.readouterr().out
    main(["keys", "list", "--json"])
    text = capsys.readouterr().out

    rows = [line.split()[:3] for line in table.splitlines()]
    assert rows == [["NAME", "FOR", "PRIORITY"], ["laptop", "/v1", "low"], ["boss", "/admin", "-"]]
    assert [key["name"] for key in json.loads(text)["keys"]] == ["laptop", "boss"]
    assert not any(hidden in table + text for hidden in [*secrets, *(key.sha256 for key in store.read())])


@pytest.mark.usefixtures("store")
def test_without_keys_the_list_says_how_to_make_one(capsys: Captured) -> None:
    status = main(["keys", "list"])

    assert (status, capsys.readouterr().out) == (0, "no keys: `lmx keys create NAME` makes one\n")


def test_who_revokes_the_last_key_is_told_what_that_opens(store: KeyStore, capsys: Captured) -> None:
    for name, admin in (("one", False), ("two", False), ("boss", True)):
        store.create(name, admin=admin)

    told = []
    for name in ("one", "two"):
        assert main(["keys", "revoke", name]) == 0
        told.append(capsys.readouterr())
    main(["keys", "revoke", "boss", "--json"])

    assert "one is revoked" in told[0].out
    assert told[0].err == ""
    assert "/v1 is now open" in told[1].err
    assert json.loads(capsys.readouterr().out)["left"] == 0
    assert list(store.read()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["revoke", "nobody"], "there is no key 'nobody'"),
        (["create", "taken"], "there is a key 'taken' already"),
        (["create", "two words"], "64 letters"),
    ],
)
def test_what_cannot_be_done_is_status_1_and_says_why(
    store: KeyStore, capsys: Captured, words: list[str], told: str
) -> None:
    store.create("taken")

    assert main(["keys", *words]) == 1
    assert told in capsys.readouterr().err


def test_a_file_that_others_can_read_is_made_private_and_that_is_said(store: KeyStore, capsys: Captured) -> None:
    store.create("laptop")
    store.path.chmod(0o644)

    main(["keys", "list"])

    assert "others could read" in capsys.readouterr().err
    assert store.path.stat().st_mode & 0o777 == 0o600
