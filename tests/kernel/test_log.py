import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from attrs import frozen

from lmx import log
from lmx_hookspecs.errors import ConfigError


@frozen
class Settings:
    level: str = "INFO"
    format: str = "structured"
    file: str | None = None
    max_file_bytes: int = 1_000_000
    backup_count: int = 1


@pytest.fixture(autouse=True)
def untouched_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in root.handlers:
        if handler not in handlers:
            handler.close()
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


class Screen(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def written(event: str, settings: Settings | None = None, /, **facts: Any) -> dict[str, Any]:
    stream = io.StringIO()
    log.configure(settings or Settings(), stream)
    log.logger("test").warning(event, **facts)
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


def test_a_line_is_json_with_level_logger_and_time() -> None:
    line = written("something", answer=42)

    assert (line["event"], line["answer"], line["level"], line["logger"]) == ("something", 42, "warning", "test")
    assert line["timestamp"]


@pytest.mark.parametrize("name", ["api_key", "admin_key", "Authorization", "X-API-Key"])
def test_secrets_are_redacted(name: str) -> None:
    assert written("x", None, **{name: "s3cret"})[name] == log.REDACTED


def test_a_bearer_token_inside_text_is_redacted() -> None:
    assert "s3cret" not in json.dumps(written("x", headers="Authorization: Bearer s3cret"))


@pytest.mark.parametrize("name", ["prompt_tokens", "author", "keyboard"])
def test_words_that_only_resemble_secrets_are_kept(name: str) -> None:
    assert written("x", None, **{name: "kept"})[name] == "kept"


def test_the_frameworks_lines_look_like_ours() -> None:
    stream = io.StringIO()
    log.configure(Settings(), stream)

    logging.getLogger("quart.app").error("boom %s", "here")

    assert json.loads(stream.getvalue())["event"] == "boom here"


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    log.configure(Settings(format="text"), stream)

    log.logger("test").info("something", answer=42)

    assert "something" in stream.getvalue()
    assert not stream.getvalue().startswith("{")


def test_auto_is_text_on_a_terminal_and_json_elsewhere(tmp_path: Path) -> None:
    screen, path = Screen(), tmp_path / "lmx.log"
    log.configure(Settings(format="auto", file=str(path)), screen)

    log.logger("test").info("something", answer=42)

    assert not screen.getvalue().startswith("{")
    assert json.loads(path.read_text())["event"] == "something"
    assert written("elsewhere", Settings(format="auto"))["event"] == "elsewhere"


@pytest.mark.parametrize("name", ["taken/x.log", "folder", "~no-such-user/x.log", "zero\0byte"])
def test_a_file_that_cannot_be_written_is_an_error_that_names_the_key(tmp_path: Path, name: str) -> None:
    (tmp_path / "taken").write_text("a file, where a folder should be")
    (tmp_path / "folder").mkdir()
    handlers = list(logging.getLogger().handlers)
    file = name if name.startswith("~") else str(tmp_path / name)

    with pytest.raises(ConfigError, match=r"^logging\.file .* cannot be written: "):
        log.configure(Settings(file=file), io.StringIO())

    assert logging.getLogger().handlers == handlers


def test_a_file_gets_the_same_lines(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "lmx.log"

    written("something", Settings(file=str(path)))

    assert json.loads(path.read_text())["event"] == "something"


def test_the_level_can_change_while_the_server_runs() -> None:
    stream = io.StringIO()
    log.configure(Settings(), stream)
    kept = log.logger("test")

    log.reconfigure(Settings(level="DEBUG"))
    kept.debug("now")
    log.reconfigure(Settings(level="ERROR"))
    kept.warning("no more")

    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["now"]
