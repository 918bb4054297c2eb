import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
