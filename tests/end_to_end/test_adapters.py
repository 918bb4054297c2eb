"""Adapters and draft models as a client and an operator meet them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving import Server, served


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("adapters")
    (folder / "french").mkdir()
    adapters = {"french": str(folder / "french"), "gone": str(folder / "gone")}
    settings = {"echo-tokens": {"adapters": adapters}, "echo-process": {"draft_model": "echo"}}
    config = {"plugins": {"echo": {"enabled": True}}, "models": {"settings": settings}}
    with served(folder, config) as started:
        yield started


def chat(server: Server, model: str) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "a"}]}
    with server.client() as client:
        answer = client.post("/v1/chat/completions", json=body)
    return answer.status_code, answer.json()


def test_a_model_with_an_adapter_is_listed_beside_its_base(server: Server) -> None:
    with server.client() as client:
        listed = {model["id"]: model["lmx"] for model in client.get("/v1/models").json()["data"]}
        shown = client.get("/admin/models/echo-tokens:french").json()
    command = [sys.executable, "-m", "lmx", "models", "list", "--json", "--url", server.url]
    on_command_line = subprocess.run(command, capture_output=True, check=True, env=os.environ).stdout

    assert {"echo-tokens", "echo-tokens:french", "echo-tokens:gone"} <= listed.keys()
    assert listed["echo-tokens:french"]["backend"] == "echo-tokens"
    assert shown["adapter"].endswith("/french")
    assert shown["details"]["base"] == "echo-tokens"
    assert "echo-tokens:french" in [model["id"] for model in json.loads(on_command_line)["models"]]


@pytest.mark.parametrize(
    ("model", "status", "code", "words"),
    [
        ("echo-tokens", 200, None, ""),
        ("echo-tokens:french", 400, "unsupported_parameter", "does not honour adapters"),
        ("echo-tokens:german", 404, "model_not_found", "did you mean"),
        ("echo-process", 400, "unsupported_parameter", "does not honour draft_model"),
    ],
)
def test_an_engine_that_knows_nothing_of_them_refuses_them_by_name(
    server: Server, model: str, status: int, code: str | None, words: str
) -> None:
    answered, body = chat(server, model)

    assert answered == status, body
    assert body.get("error", {}).get("code") == code
    assert words in body.get("error", {}).get("message", "")


def test_a_missing_adapter_is_told_to_operators_where_the_models_are_listed(server: Server) -> None:
    with server.client() as client:
        models = {model["id"]: model for model in client.get("/admin/models").json()["models"]}
        public = {model["id"]: model for model in client.get("/v1/models").json()["data"]}

    assert "there is no " in models["echo-tokens:gone"]["reason"]
    assert "mend models.settings.echo-tokens.adapters.gone" in models["echo-tokens:gone"]["reason"]
    assert public["echo-tokens:gone"]["lmx"]["reason"] is None


def test_an_adapter_is_taken_out_of_the_configuration_not_deleted(server: Server, tmp_path: Path) -> None:
    with server.client() as client:
        answer = client.delete("/admin/models/echo-tokens:french")

    assert answer.status_code == 409
    assert "take models.settings.echo-tokens.adapters.french out" in answer.json()["error"]["message"]
    assert not list(tmp_path.iterdir())
