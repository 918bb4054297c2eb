"""Presets over a real socket, with the echo: a token of it is a word."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from serving import Server, served

PRESETS = {
    "short.yaml": "name: short\nmodel: echo\nparameters: {max_tokens: 2}\nrouting_alias: quick\n",
    "stopped.yaml": "name: stopped\nmodel: quick\nparameters: {stop: three}\nsystem_prompt: You are brief indeed.\n",
    "penalised.yaml": "name: penalised\nmodel: echo\nparameters: {repetition_penalty: 1.2}\n",
    "json.yaml": "name: json\nmodel: echo\nparameters: {max_tokens: 2, response_format: {type: json_object}}\n",
    "bad.yaml": "name: bad\nmodel: echo\nparameters: {temperature: 3}\n",
}
CONFIG = {"plugins": {"echo": {"enabled": True}}, "routing": {"aliases": {"quick": ["gone"]}}}
TEXT = "one two three four"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("presets")
    presets = folder / "config.d" / "presets"
    presets.mkdir(parents=True)
    for name, text in PRESETS.items():
        (presets / name).write_text(text)
    with served(folder, CONFIG) as running:
        yield running


def chat(server: Server, model: str, *, system: str | None = None, **fields: Any) -> httpx.Response:
    opening = [] if system is None else [{"role": "system", "content": system}]
    messages = [*opening, {"role": "user", "content": TEXT}]
    with server.client() as client:
        return client.post("/v1/chat/completions", json={"model": model, "messages": messages, **fields})


def said(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 200, answer.text
    choice: Mapping[str, Any] = answer.json()["choices"][0]
    return choice["message"]["content"], choice["finish_reason"]


def test_a_preset_brings_its_model_and_what_the_request_leaves_open(server: Server) -> None:
    answer = chat(server, "preset:short")

    assert said(answer) == ("one two", "length")
    assert answer.json()["model"] == "echo"


def test_a_value_of_the_request_wins_also_where_it_is_the_default(server: Server) -> None:
    assert said(chat(server, "preset:short", max_tokens=3)) == ("one two three", "length")
    assert said(chat(server, "preset:stopped"))[0] == "one two "
    assert said(chat(server, "preset:stopped", stop=[]))[0] == TEXT
    assert said(chat(server, "preset:json", response_format={"type": "text"}))[0] == "one two"


def test_a_preset_asks_for_no_more_than_the_model_can_do(server: Server) -> None:
    refused = chat(server, "preset:penalised")

    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert refused.json()["error"]["param"] == "repetition_penalty"


def test_a_format_that_a_preset_asks_for_is_checked_where_the_engine_draws_without_masks(server: Server) -> None:
    (warning,) = chat(server, "preset:json").json()["warnings"]

    assert "the answer is no JSON" in warning


def test_the_system_prompt_comes_first_unless_the_request_has_one(server: Server) -> None:
    with_prompt = chat(server, "preset:stopped").json()["usage"]["prompt_tokens"]
    with_own = chat(server, "preset:stopped", system="Mine.").json()["usage"]["prompt_tokens"]

    assert (with_prompt, with_own) == (4 + 4, 1 + 4)


def test_a_completion_says_that_it_cannot_use_the_system_prompt(server: Server) -> None:
    with server.client() as client:
        answer = client.post("/v1/completions", json={"model": "preset:stopped", "prompt": TEXT})

    assert answer.json()["choices"][0]["text"] == "one two "
    assert "system_prompt of preset:stopped" in answer.json()["warnings"][0]


def test_an_unknown_preset_is_404_and_the_nearest_is_named(server: Server) -> None:
    answer = chat(server, "preset:shrot")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    assert "'preset:shrot', did you mean 'preset:short'?" in answer.json()["error"]["message"]


def test_presets_and_their_aliases_are_listed_after_the_models(server: Server) -> None:
    with server.client() as client:
        listed = {model["id"]: model["lmx"] for model in client.get("/v1/models").json()["data"]}
        one = client.get("/v1/models/preset:stopped").json()

    kinds = [facts["kind"] for facts in listed.values()]
    assert kinds == sorted(kinds, key=["model", "preset", "alias"].index)
    assert {"preset:short", "preset:stopped", "preset:json", "quick"} < set(listed)
    assert listed["quick"]["models"] == one["lmx"]["models"] == ["echo"]
    assert said(chat(server, "quick"))[0] == TEXT


def test_a_file_that_is_no_preset_is_told_with_its_line(server: Server) -> None:
    line = server.wait_for("preset_skipped", file="bad.yaml")

    assert "bad.yaml:3: parameters.temperature: must be between 0 and 2" in line["reason"]
    assert chat(server, "preset:bad").status_code == 404


def test_a_reload_counts_the_presets_and_brings_their_aliases(tmp_path: Path) -> None:
    presets = tmp_path / "config.d" / "presets"

    with served(tmp_path, CONFIG) as server, server.client() as client:
        before = chat(server, "late").status_code
        presets.mkdir()
        (presets / "late.yaml").write_text("name: late\nmodel: echo\nrouting_alias: late\n")
        reloaded = client.post("/admin/presets/reload").json()
        after = said(chat(server, "late"))

    assert (before, after[0]) == (404, TEXT)
    assert (reloaded["success"], reloaded["presets_loaded"]) == (True, 1)


def test_a_preset_may_load_its_model_at_start_with_its_own_settings(tmp_path: Path) -> None:
    presets = tmp_path / "config.d" / "presets"
    presets.mkdir(parents=True)
    text = "name: first\nmodel: echo\nauto_load: yes\nperformance: {max_concurrent: 3, keep_alive_sec: 0}\n"
    (presets / "first.yaml").write_text(text)

    with served(tmp_path, CONFIG) as server, server.client() as client:
        server.wait_for("model_ready", model="echo")
        performance = client.get("/admin/models/echo/performance").json()["performance"]

    assert performance["max_concurrent_requests"] == 3


STACKS = {
    "duo": {"description": "two", "roles": {"chat": "echo", "quick": "echo-process"}},
    "broken": {"roles": {"chat": "echo", "code": "echo-tokens"}},
}
BROKEN_TOKENS = {"models": {"settings": {"echo-tokens": {"echo": {"fail_load": "error"}}}}}


def test_a_stack_points_its_roles_at_its_models(tmp_path: Path) -> None:
    with served(tmp_path, {**CONFIG, "stack_presets": STACKS}) as server, server.client() as client:
        activated = client.post("/admin/stack/activate", json={"name": "duo"})
        answers = {role: chat(server, role).json()["model"] for role in ("chat", "quick")}
        stack = client.get("/admin/stack").json()

    assert activated.status_code == 200, activated.text
    assert answers == {"chat": "echo", "quick": "echo-process"}
    assert (stack["active_stack"], stack["loaded_models"]) == ("duo", ["echo", "echo-process"])
    assert stack["roles"]["quick"]["preferences"] == ["echo-process", "gone"]


def test_a_stack_whose_models_do_not_all_load_changes_nothing(tmp_path: Path) -> None:
    config = {**CONFIG, **BROKEN_TOKENS, "stack_presets": STACKS}

    with served(tmp_path, config) as server, server.client() as client:
        refused = client.post("/admin/stack/activate", json={"name": "broken"})
        stack = client.get("/admin/stack").json()

    assert refused.status_code == 502, refused.text
    assert (stack["active_stack"], stack["loaded_models"]) == (None, [])
    assert "chat" not in stack["roles"]


def test_the_predictor_counts_requests_also_for_models_that_are_not_loaded(tmp_path: Path) -> None:
    config = {**CONFIG, "models": {"preload_predicted": True}}

    with served(tmp_path, config) as server, server.client() as client:
        for model in ("echo", "echo-process", "echo", "echo-process", "echo"):
            said(chat(server, model))
        client.post("/admin/models/load", json={"model_id": "echo-process", "keep_alive_sec": 0.1})
        server.wait_for("model_unloaded", model="echo-process")
        facts = client.get("/admin/predictor").json()
        said(chat(server, "echo"))
        server.wait_for("preloading", model="echo-process")

    assert (facts["total_accesses"], facts["unique_models"], facts["transition_count"]) == (5, 2, 4)
    assert (facts["top_models"][0], facts["predicted_next"]) == (["echo", 3], "echo-process")
