"""What becomes of responses when the server dies, and of reasoning that a model writes."""

from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from dialect_samples import HERMES_BERLIN
from serving import Server, eventually, served

SLOW = {
    "plugins": {"echo": {"enabled": True}},
    "models": {"settings": {"echo-tokens": {"echo": {"tokens_per_second": 1.0}}}},
}


def openai(server: Server) -> Any:
    return OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=0)


def test_a_killed_server_leaves_its_running_response_failed_and_the_others_as_they_were(tmp_path: Path) -> None:
    with served(tmp_path, SLOW) as server:
        client = openai(server)
        done = client.responses.create(model="lmx-tiny", input="Hi", max_output_tokens=2)
        running = client.responses.create(model="echo-tokens", input="A" * 300, background=True)
        eventually(lambda: client.responses.retrieve(running.id).status == "in_progress", 60)
        server.process.kill()
        server.process.wait()

    with served(tmp_path, SLOW) as server:
        client = openai(server)
        after, kept = client.responses.retrieve(running.id), client.responses.retrieve(done.id)
        goes_on = client.responses.create(
            model="lmx-tiny", input="More", previous_response_id=done.id, max_output_tokens=2
        )
        server.wait_for("responses_interrupted", count=1)

    assert after.status == "failed"
    assert "stopped before" in after.error.message
    assert kept == done
    assert goes_on.previous_response_id == done.id


def test_a_damaged_database_is_set_aside_and_the_server_goes_on(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "responses.db").write_bytes(b"not a database" * 1000)

    with served(tmp_path) as server:
        client = openai(server)
        made = client.responses.create(model="lmx-tiny", input="Hi", max_output_tokens=2)
        found = client.responses.retrieve(made.id)
        server.wait_for("responses_set_aside")

    assert found == made
    assert (home / "responses.db.damaged").exists()


def test_reasoning_text_and_call_are_items_of_their_own(tmp_path: Path) -> None:
    thought = f"<think>\nParis, so I call.\n</think>\n\nLet me look.\n{HERMES_BERLIN}"
    echo = {"reply": thought, "chat_template": "tools enable_thinking <tool_call></think>"}
    config = {"plugins": {"echo": {"enabled": True}}, "models": {"settings": {"echo-tokens": {"echo": echo}}}}
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    asked: dict[str, Any] = {
        "model": "echo-tokens",
        "input": "Weather?",
        "tools": [{"type": "function", "name": "get_weather", "parameters": parameters, "strict": False}],
    }
    with served(tmp_path, config) as server:
        client = openai(server)
        whole = client.responses.create(**asked)
        with client.responses.stream(**asked) as stream:
            told = "".join(event.delta for event in stream if event.type == "response.reasoning_text.delta")
            final = stream.get_final_response()
        stack = httpx.get(f"{server.url}/admin/stack").json()

    assert [item.type for item in whole.output] == ["reasoning", "message", "function_call"]
    assert whole.output[0].content[0].text == final.output[0].content[0].text == told == "Paris, so I call."
    assert (whole.output_text, whole.output[2].name) == ("Let me look.", "get_weather")
    assert whole.usage.output_tokens_details.reasoning_tokens > 0
    assert stack["surfaces"]["responses.responses"] == {"background": 0, "replayable": 0, "replay_bytes": 0}
