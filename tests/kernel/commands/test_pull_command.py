import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fake_hub import FakeHub, fake_hub
from lmx.cli import main
from serving import Server, served

pytestmark = pytest.mark.usefixtures("home")
Output = pytest.CaptureFixture[str]
TINY = Path(__file__).parents[3] / "plugins/tiny/lmx_tiny/models/lmx-tiny"


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    files = {file.name: file.read_bytes() for file in TINY.iterdir() if file.is_file()}
    with fake_hub({"org/tiny": files}) as running:
        yield running


@pytest.fixture
def server(tmp_path: Path, hub: FakeHub) -> Iterator[Server]:
    with served(tmp_path / "server", {}, environment={"HF_ENDPOINT": hub.url}) as running:
        yield running


def test_a_model_is_pulled_listed_and_removed(server: Server, capsys: Output) -> None:
    where = ["--url", server.url]

    assert main(["pull", "org/tiny", *where]) == 0
    assert "org/tiny is here" in capsys.readouterr().out
    assert main(["models", "info", "org/tiny", "--json", *where]) == 0
    assert json.loads(capsys.readouterr().out)["source"] == "hub"
    assert main(["rm", "org/tiny", "--yes", *where]) == 0
    assert "org/tiny is deleted" in capsys.readouterr().out
    assert main(["models", "info", "org/tiny", *where]) == 1


def test_a_pulled_model_can_be_loaded_at_once(server: Server, capsys: Output) -> None:
    assert main(["pull", "org/tiny", "--load", "--json", "--url", server.url]) == 0
    done = json.loads(capsys.readouterr().out)
    server.wait_for("model_ready", model="org/tiny")

    assert done["status"] == "completed"
    assert done["downloaded_bytes"] == done["total_bytes"] > 0


def test_what_the_hub_does_not_have_is_status_1(server: Server, capsys: Output) -> None:
    status = main(["pull", "org/nothing", "--url", server.url])

    assert status == 1
    assert "org/nothing" in capsys.readouterr().err


def test_a_loaded_model_is_not_removed(server: Server, capsys: Output) -> None:
    main(["pull", "org/tiny", "--load", "--url", server.url])
    server.wait_for("model_ready", model="org/tiny")

    assert main(["rm", "org/tiny", "-y", "--url", server.url]) == 1
    assert "unload" in capsys.readouterr().err
