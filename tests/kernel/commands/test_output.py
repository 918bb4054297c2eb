import io
import json
import sys
from pathlib import Path

import pytest

from lmx.commands.output import size, write_json, write_table


class Terminal(io.StringIO):
    """Says that it is one."""

    def isatty(self) -> bool:
        return True


def test_without_a_terminal_a_table_is_aligned_text(capsys: pytest.CaptureFixture[str]) -> None:
    write_table(("name", "state"), [("a", "ready"), ("longer", "-")])

    assert capsys.readouterr().out == "NAME    STATE\na       ready\nlonger  -\n"


def test_on_a_terminal_square_brackets_are_text(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)

    write_table(("name",), [("model[bold]x",)])

    assert "model[bold]x" in terminal.getvalue()


def test_paths_become_text_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    write_json({"path": Path("/a/ü")})

    text = capsys.readouterr().out
    assert json.loads(text) == {"path": "/a/ü"}
    assert "ü" in text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (8 * 1024**2, "8.0 MiB"), (3 * 1024**5, "3072.0 TiB")],
)
def test_sizes_have_a_unit(size_bytes: int, text: str) -> None:
    assert size(size_bytes) == text
