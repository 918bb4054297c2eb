"""`lmx config`, run as a user runs it."""

import json
from pathlib import Path

import pytest

from lmx.cli import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LMX_CONFIG_DIR", raising=False)
    config = tmp_path / "config.d"
    config.mkdir()
    return config


def test_show_prints_yaml_with_secrets_masked(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "00.yaml").write_text("server: {port: 0}\nsecurity: {admin_key: hush}", encoding="utf-8")

    status = main(["config", "show"])

    out = capsys.readouterr().out
    assert status == 0
    assert "server:\n  host: 127.0.0.1\n  port: 0\n" in out
    assert "admin_key: '********'" in out
    assert "hush" not in out


def test_show_tells_the_origin_of_every_key(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "00.yaml").write_text("server:\n  port: 0\n", encoding="utf-8")
    monkeypatch.setenv("LMX_LOGGING__LEVEL", "DEBUG")

    main(["config", "show", "--origin"])
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    main(["config", "show", "--origin", "--json"])
    records = json.loads(capsys.readouterr().out)

    assert ["server.port", "0", "config.d/00.yaml:2"] in table
    assert ["logging.level", "DEBUG", "LMX_LOGGING__LEVEL"] in table
    assert ["plugins.echo.enabled", "false", "default"] in table
    assert {"key": "server.host", "value": "127.0.0.1", "origin": "default"} in records


def test_show_prints_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["--config-dir", str(folder), "config", "show", "--json"])

    assert json.loads(capsys.readouterr().out)["server"]["port"] == 1234


def test_check_names_the_folder_and_is_content(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "00.yaml").write_text("server: {port: 0}", encoding="utf-8")

    status = main(["config", "check"])

    assert status == 0
    assert capsys.readouterr().out.splitlines() == [f"folder: {folder.resolve()}", "OK"]


def test_check_lists_every_problem_and_fails(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "00.yaml").write_text("server:\n  prot: 0\nplugins: {fifo: {max_wait: 1}}\n", encoding="utf-8")

    status = main(["config", "check"])

    assert status == 1
    assert capsys.readouterr().err.splitlines() == [
        "lmx: config.d/00.yaml:2: server.prot: unknown key, did you mean 'port'?",
        "lmx: config.d/00.yaml:3: plugins.fifo.max_wait: unknown key, did you mean 'max_wait_s'?",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("rag: {store: hibrid}", "10.yaml:1: rag.store: no plugin offers a store 'hibrid', did you mean 'hybrid'?"),
        ("rag:\n  store: foo", "10.yaml:2: rag.store: no plugin offers a store 'foo' (there are: hybrid)"),
    ],
)
def test_check_names_a_store_that_nobody_offers(
    folder: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    pytest.importorskip("tantivy")
    (folder / "10.yaml").write_text(text)

    status = main(["config", "check"])

    assert status == 1
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["rag: {store: foo, enabled: false}", "plugins: {hybrid: {enabled: false}}", "rag: {store: hybrid}"]
)
def test_check_takes_a_store_that_is_off_or_not_needed(folder: Path, text: str) -> None:
    (folder / "10.yaml").write_text(text)

    assert main(["config", "check"]) == 0


def test_check_refuses_a_folder_that_does_not_exist(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["--config-dir", str(folder / "nowhere"), "config", "check"])

    assert status == 1
    assert f"--config-dir: there is no folder {folder}/nowhere" in capsys.readouterr().err


def test_import_accounts_for_every_key_and_the_result_passes_the_check(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = folder.parent / "old.yaml"
    old.write_text(
        "server: {port: 0, websocket_enabled: no, sse_events_enabled: no}\nmodels: {semaphore_timeout_sec: 45}",
        encoding="utf-8",
    )

    status = main(["config", "import", str(old), "--output", "new", "--json"])
    account = json.loads(capsys.readouterr().out)
    checked = main(["--config-dir", "new", "config", "check"])

    assert (status, checked) == (0, 0)
    assert account["files"] == [
        "new/00-server.yaml",
        "new/20-plugins.yaml",
        "new/90-imported-later.yaml",
    ]
    assert {record["key"]: (record["fate"], record["to"]) for record in account["keys"]} == {
        "server.port": ("kept", "server.port"),
        "server.websocket_enabled": ("kept", "server.websocket_enabled"),
        "server.sse_events_enabled": ("dropped", ""),
        "models.semaphore_timeout_sec": ("renamed", "plugins.priority.max_wait_s"),
    }


def test_import_prints_a_table_and_what_to_do_next(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = folder.parent / "old.yaml"
    old.write_text("server: {port: 0}", encoding="utf-8")

    main(["config", "import", str(old)])

    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["server.port", "kept", "server.port"]
    assert lines[-2:] == ["wrote config.d/00-server.yaml", "next: lmx --config-dir config.d config check"]


def test_import_does_not_overwrite(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "00-server.yaml").write_text("server: {port: 7}", encoding="utf-8")
    old = folder.parent / "old.yaml"
    old.write_text("server: {port: 0}", encoding="utf-8")

    refused = main(["config", "import", str(old)])
    forced = main(["config", "import", str(old), "--force"])

    assert (refused, forced) == (1, 0)
    assert "already there: config.d/00-server.yaml" in capsys.readouterr().err
    assert "port: 0" in (folder / "00-server.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "told"),
    [("scheduling: {policy: nope}", "fifo"), ("server: {host: 0.0.0.0}", "security.api_keys")],
)
def test_check_refuses_what_a_start_would_refuse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    (tmp_path / "10.yaml").write_text(text)

    status = main(["config", "check", "--config-dir", str(tmp_path)])

    assert status == 1
    assert told in capsys.readouterr().err
