import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from lmx.cli import main
from serving import Server

pytestmark = pytest.mark.usefixtures("home")


@contextmanager
def following(server: Server, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """`lmx events` in a process of its own, ended at the end."""
    command = [sys.executable, "-m", "lmx", "events", "--json", *words, "--url", server.url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def test_events_are_printed_from_where_one_left_off(echo_server: Server) -> None:
    main(["load", "echo", "--url", echo_server.url])
    main(["unload", "echo", "--url", echo_server.url])

    with following(echo_server, "--types", "model_loaded,model_unloaded", "--after", "1") as process:
        lines = iter(process.stdout or ())
        missed, loaded = json.loads(next(lines)), json.loads(next(lines))
        unloaded = json.loads(next(lines))

    assert missed["type"] == "missed"
    assert [loaded["type"], unloaded["type"]] == ["model_loaded", "model_unloaded"]
    assert int(unloaded["id"]) > int(loaded["id"]) > 1
    assert loaded["data"]["model_id"] == unloaded["data"]["model_id"]


def test_a_server_that_is_not_there_is_an_error_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    status = main(["events", "--url", "http://127.0.0.1:9"])

    assert status == 1
    assert "no server answers" in capsys.readouterr().err


class OneEventAtTheThirdTime(BaseHTTPRequestHandler):
    """A server that ends two streams before anything happened, as one does that stops, and then tells of an event."""

    def __init__(self, asked: list[str], *connection: object) -> None:
        self.asked = asked
        super().__init__(*connection)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        if len(self.asked) == 3:
            self.wfile.write(b"id: 1\nevent: model_loaded\ndata: {}\n\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_a_connection_that_breaks_before_the_first_event_is_made_again() -> None:
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(OneEventAtTheThirdTime, asked)) as http:
        serving = Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()

        command = [sys.executable, "-m", "lmx", "events", "--json", "--url", f"http://127.0.0.1:{http.server_port}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            first = json.loads((process.stdout or sys.stdin).readline())
            process.terminate()
        http.shutdown()
        serving.join(20)

    assert first["type"] == "model_loaded"
    assert len(asked) >= 3
