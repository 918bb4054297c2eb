import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from attrs import define

from lmx.cli import main
from lmx.commands.chat import _safe
from serving import Server, served

pytestmark = pytest.mark.usefixtures("home")

ConfigDir = Callable[..., Path]
Pipe = Callable[[bytes], None]
PATIENCE_S = 20


@pytest.fixture(autouse=True)
def nothing_is_piped_in(pipe_in: Pipe) -> None:
    pipe_in(b"")


def chat(server: Server, *words: str) -> int:
    return main(["chat", "--model", "echo", "--url", server.url, *words])


@pytest.mark.parametrize("options", [(), ("--no-stream",)])
def test_a_question_is_answered_with_and_without_streaming(
    echo_server: Server, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status = chat(echo_server, "Grüße an alle", *options)

    assert status == 0
    assert capsys.readouterr().out == "Grüße an alle\n"


def test_json_is_the_whole_answer_of_the_api(echo_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    chat(echo_server, "hello", "--json")

    answer = json.loads(capsys.readouterr().out)
    assert answer["choices"][0]["message"]["content"] == "hello"
    assert answer["usage"]["completion_tokens"] > 0


def test_what_is_piped_in_is_the_question(
    echo_server: Server, pipe_in: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe_in(b"from a pipe\n")

    chat(echo_server)

    assert capsys.readouterr().out == "from a pipe\n"


def test_a_dash_reads_the_question_from_standard_input(
    echo_server: Server, pipe_in: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe_in(b"the text")

    chat(echo_server, "-")

    assert capsys.readouterr().out == "the text\n"


def test_with_a_message_standard_input_is_left_alone(echo_server: Server, tmp_path: Path) -> None:
    reading, writing = os.pipe()  # nobody ever writes into it, nor closes it
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "lmx", "chat", "--model", "echo", "--url", echo_server.url, "hi"],
            stdin=reading,
            capture_output=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )
    finally:
        os.close(reading)
        os.close(writing)

    assert (ended.returncode, ended.stdout) == (0, b"hi\n")


def test_without_a_message_it_says_what_to_do(echo_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    status = chat(echo_server)

    assert status == 1
    assert "there is nothing to say: give a message" in capsys.readouterr().err


@pytest.mark.parametrize(("piped", "words"), [(b"\xff", ()), (b"", (os.fsdecode(b"\xff"),))])
def test_a_message_that_is_not_text_is_refused(
    echo_server: Server, pipe_in: Pipe, capsys: pytest.CaptureFixture[str], piped: bytes, words: tuple[str, ...]
) -> None:
    pipe_in(piped)

    status = chat(echo_server, *words)

    assert status == 1
    assert "the message is not UTF-8 text" in capsys.readouterr().err


def test_an_answer_that_was_cut_is_marked(echo_server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    chat(echo_server, "one two three", "--max-tokens", "1")

    written = capsys.readouterr()
    assert written.out.strip() == "one"
    assert "the answer was cut at the token limit" in written.err


def test_an_unknown_model_is_refused_with_what_there_is(
    echo_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["chat", "--url", echo_server.url, "--model", "nope", "hello"])

    error = capsys.readouterr().err
    assert status == 1
    assert "there is no model 'nope'; there are: " in error
    assert "echo-tokens" in error


def test_a_refused_parameter_is_explained_by_the_server(
    echo_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    status = chat(echo_server, "hello", "--temperature", "3")

    assert status == 1
    assert "temperature" in capsys.readouterr().err


def test_a_url_where_nobody_answers_is_a_clear_error(closed_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["chat", "--url", f"http://127.0.0.1:{closed_port}", "hello"])

    assert status == 1
    assert capsys.readouterr().err == (
        f"lmx: no server answers at http://127.0.0.1:{closed_port}; `lmx serve` starts one\n"
    )


def test_without_a_server_it_starts_one_and_stops_it(config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]) -> None:
    folder = config_dir(plugins={"echo": {"enabled": True}}, security={"api_keys": ["of its own"]})
    before = psutil.Process().children()

    status = main(["--config-dir", str(folder), "chat", "--model", "echo", "hello"])

    assert status == 0
    assert capsys.readouterr().out == "hello\n"
    assert psutil.Process().children() == before


def test_a_server_that_cannot_start_says_why(config_dir: ConfigDir, capsys: pytest.CaptureFixture[str]) -> None:
    folder = config_dir(scheduling={"policy": "unheard-of"})

    status = main(["--config-dir", str(folder), "chat", "hello"])

    assert status == 1
    assert re.search("the server did not start: .*unheard-of", capsys.readouterr().err)


def test_an_answer_does_not_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)

    assert _safe("a\x1b[31mb\r\tc\nd\x9be\u2028") == "a[31mb\tc\nde\u2028"


@define
class Terminal:
    """The screen and keyboard of a `lmx chat` that runs."""

    process: "subprocess.Popen[bytes]"
    descriptor: int
    screen: str = ""

    def type(self, keys: str) -> None:
        os.write(self.descriptor, keys.encode())

    def wait_for(self, text: str) -> None:
        """Until that text appears; what stands before it is forgotten."""
        while text not in self.screen:
            readable, _, _ = select.select([self.descriptor], [], [], PATIENCE_S)
            assert readable, f"{text!r} did not appear; there is: {self.screen!r}"
            self.screen += os.read(self.descriptor, 4096).decode()
        self.screen = self.screen.partition(text)[2]


@contextmanager
def at_a_terminal(folder: Path, *words: str) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "lmx", "chat", *words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "dumb"},
        cwd=folder,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_a_conversation_goes_on_until_ctrl_d(echo_server: Server, tmp_path: Path) -> None:
    with at_a_terminal(tmp_path, "--model", "echo", "--url", echo_server.url) as terminal:
        terminal.wait_for("Ctrl-C stops an answer")
        terminal.wait_for("> ")
        terminal.type("hello there\n")
        terminal.wait_for("hello there")  # the keyboard's echo
        terminal.wait_for("hello there")  # the answer
        terminal.wait_for("> ")
        terminal.type("/clear\n")
        terminal.wait_for("> ")
        terminal.type("/what\n")
        terminal.wait_for("/exit or Ctrl-D ends it")
        terminal.wait_for("> ")
        terminal.type("\x04")

        assert terminal.process.wait(20) == 0


def test_ctrl_c_stops_the_answer_and_not_the_conversation(tmp_path: Path) -> None:
    slow = {"plugins": {"echo": {"enabled": True, "tokens_per_second": 4.0}}}
    question = " ".join(["again"] * 1000)
    with (
        served(tmp_path, slow) as server,
        at_a_terminal(tmp_path, "--model", "echo", "--url", server.url, "--system", "x") as terminal,
    ):
        terminal.wait_for("> ")
        terminal.type(f"{question[:100]}\n")
        terminal.wait_for("\n")
        terminal.wait_for("again again")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("[stopped]")
        terminal.wait_for("> ")
        terminal.type("/exit\n")

        assert terminal.process.wait(20) == 0
