import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

import pytest
from attrs import define, field

from fake_hub import FakeHub, fake_hub
from lmx.cli import main
from lmx.commands import pull
from lmx.commands.client import some_server
from lmx.commands.context import Context
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


def test_a_model_that_is_on_its_way_is_not_loaded_yet(server: Server, hub: FakeHub, capsys: Output) -> None:
    hub.hold_after("model.safetensors", 1000)
    with server.client() as client:
        client.post("/admin/models/download", json={"repo_id": "org/tiny"})

    status = main(["load", "org/tiny", "--url", server.url])
    hub.release()

    assert status == 1
    assert "org/tiny is being downloaded" in capsys.readouterr().out


@define
class Interrupted:
    """A server during whose answer somebody presses Ctrl-C."""

    joined: bool
    deleted: list[str] = field(factory=list)

    def post(self, _path: str, _body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"download_id": "d", "joined": self.joined}

    def get(self, _path: str) -> NoReturn:
        raise KeyboardInterrupt

    def delete(self, path: str) -> None:
        self.deleted.append(path)


@pytest.mark.parametrize(("joined", "words"), [(True, "the download goes on"), (False, "what has come is kept")])
def test_ctrl_c_cancels_only_a_download_that_it_started(
    monkeypatch: pytest.MonkeyPatch, capsys: Output, joined: bool, words: str
) -> None:
    interrupted = Interrupted(joined)
    monkeypatch.setattr(pull, "some_server", lambda *_: nullcontext(interrupted))

    status = main(["pull", "org/tiny"])

    assert status == 130
    assert words in capsys.readouterr().err
    assert interrupted.deleted == ([] if joined else ["/admin/models/download/d"])


def test_without_a_server_nothing_but_what_is_asked_for_is_loaded(
    config_dir: Callable[..., Path], hub: FakeHub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    presets = tmp_path / "presets"
    presets.mkdir()
    (presets / "p.yaml").write_text("name: p\nmodel: echo\nauto_load: true\n")
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    folder = config_dir(
        plugins={"echo": {"enabled": True}},
        models={"auto_load": ["echo-process"]},
        presets={"directory": str(presets)},
    )
    context = Context(config_dir=folder)

    with some_server(context, None) as own:
        ready = own.get("/readyz")
        states = {model["id"]: model["state"] for model in own.get("/admin/models")["models"]}
        default = own.get("/admin/config")["config"]["models"]["default_model"]

    assert ready["status"] == "ready"
    assert (states["echo"], states["echo-process"], default) == ("on_disk", "on_disk", "echo-process")
