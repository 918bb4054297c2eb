"""Presets, benchmarks, quantising and sessions, as an operator asks for them over a real socket."""

import json
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import pytest

from serving import Server, polled, served

SESSIONS = {
    name: {
        "title": title,
        "model": model,
        "tags": [tag],
        "created": f"2026-01-0{day}T10:00:00Z",
        "messages": [{"role": "user", "content": text}],
    }
    for day, (name, title, model, tag, text) in enumerate(
        [
            ("tides", "Tides", "org/small", "sea", "why is there ebb"),
            ("moon", "The moon", "org/big", "sky", "what moves the tides"),
            ("lists", "Lists", "org/big", "sea", "sort this"),
        ],
        start=1,
    )
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("acceptance-operations")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    sessions = folder / "sessions"
    sessions.mkdir()
    for name, data in SESSIONS.items():
        (sessions / f"{name}.json").write_text(json.dumps(data))
    plugins = {"echo": {"enabled": True, "tokens_per_second": 200}, "sessions": {"directory": str(sessions)}}
    with served(folder, {"plugins": plugins}) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


def ids(client: httpx.Client, query: str = "") -> list[str]:
    return [session["id"] for session in client.get(f"/admin/sessions{query}").json()["sessions"]]


def test_presets_are_listed_and_shown_once_their_folder_has_any(folder: Path, client: httpx.Client) -> None:
    empty = client.get("/admin/presets").json()
    presets = folder / "config.d" / "presets"
    presets.mkdir()
    text = "name: code\nmodel: echo\ndescription: for code\nparameters: {temperature: 0.1}\nsystem_prompt: Be brief.\n"
    (presets / "code.yaml").write_text(text)
    (presets / "nameless.yaml").write_text("model: echo\n")
    client.post("/admin/presets/reload")

    listed = client.get("/admin/presets").json()
    one = client.get("/admin/presets/code").json()
    unknown = client.get("/admin/presets/none")

    assert empty == {"presets": [], "count": 0, "skipped": {}}
    assert (listed["count"], listed["presets"], list(listed["skipped"])) == (1, [one], ["nameless.yaml"])
    assert (one["name"], one["model"], one["description"]) == ("code", "echo", "for code")
    assert (one["parameters"]["temperature"], one["system_prompt"]) == (0.1, "Be brief.")
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


def test_a_benchmark_tells_the_means_of_its_runs(client: httpx.Client) -> None:
    asked = {"model_id": "echo", "prompt": "one two three four five", "runs": 2, "max_tokens": 4}

    answer = client.post("/admin/benchmark", json=asked).json()

    runs = answer["results"]
    assert [run["run"] for run in runs] == [1, 2]
    assert [run["tokens_generated"] for run in runs] == [4, 4]
    for mean, fact in {
        "avg_tokens_per_second": "tokens_per_second",
        "avg_decode_tokens_per_second": "decode_tokens_per_second",
        "avg_time_to_first_token_ms": "time_to_first_token_ms",
        "avg_total_time_ms": "total_time_ms",
    }.items():
        assert answer[mean] == pytest.approx(fmean(run[fact] for run in runs), abs=0.01)


@pytest.mark.parametrize(
    ("asked", "status", "param"),
    [
        ({"model_id": "none"}, 404, "model_id"),
        ({"model_id": "echo", "runs": 10}, 400, "runs"),
        ({"model_id": "echo", "runs": 0}, 400, "runs"),
        ({"model_id": "echo", "max_tokens": 0}, 400, "max_tokens"),
        ({}, 400, "model_id"),
    ],
)
def test_a_benchmark_that_cannot_be_is_refused(
    client: httpx.Client, asked: dict[str, Any], status: int, param: str
) -> None:
    answer = client.post("/admin/benchmark", json=asked)

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)


@pytest.mark.parametrize(
    ("asked", "status", "param"),
    [
        ({"bits": 3}, 400, "bits"),
        ({"group_size": 48}, 400, "group_size"),
        ({"mode": "symmetric"}, 400, "mode"),
        ({"source_model": "none"}, 404, "source_model"),
        ({"output_path": "/tmp/elsewhere"}, 400, "output_path"),
        ({"output_path": "x" * 250}, 400, "output_path"),
    ],
)
def test_a_quantise_job_that_cannot_be_is_refused(
    tiny_server: Server, asked: dict[str, Any], status: int, param: str
) -> None:
    with tiny_server.client() as client:
        answer = client.post("/admin/quantize", json={"source_model": "lmx-tiny", **asked})
        unknown = client.get("/admin/quantize/none")

    assert (answer.status_code, answer.json()["error"]["param"]) == (status, param)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "job_not_found")


def test_what_was_quantised_here_can_be_deleted_here_and_its_source_not_meanwhile(tiny_server: Server) -> None:
    asked = {"source_model": "lmx-tiny", "group_size": 32, "bits": 8, "output_path": "tiny-mine"}
    with tiny_server.client() as client:
        first = client.post("/admin/quantize", json=asked).json()
        done = polled(lambda: client.get(f"/admin/quantize/{first['job_id']}"), lambda job: job["status"] != "running")
        inside = client.post("/admin/quantize", json={**asked, "output_path": "tiny-mine/inside"})
        second = client.post("/admin/quantize", json={**asked, "output_path": "tiny-other"}).json()
        source = client.delete("/admin/models/lmx-tiny")
        cancelled = client.post(f"/admin/quantize/{second['job_id']}/cancel").json()
        listed = client.get("/admin/quantize").json()["jobs"]
        here = polled(
            lambda: client.get("/admin/models/available"),
            lambda models: "tiny-mine" in {model["repo_id"] for model in models},
        )
        deleted = client.delete("/admin/models/tiny-mine")
        gone = client.get("/admin/models/tiny-mine")

    output, available = Path(done["output_path"]), {model["repo_id"]: model for model in here}
    assert (done["status"], done["error"]) == ("completed", None)
    assert available["tiny-mine"]["local_path"] == str(output)
    assert (inside.status_code, inside.json()["error"]["param"]) == (400, "output_path")
    assert "is inside the model at" in inside.json()["error"]["message"]
    assert [job["job_id"] for job in listed[:2]] == [second["job_id"], first["job_id"]]
    assert (source.status_code, source.json()["error"]["code"]) == (409, "model_in_use")
    assert f"wait for job {second['job_id']}" in source.json()["error"]["message"]
    assert (cancelled["status"], "tiny-other" in available) == ("cancelled", False)
    assert (deleted.status_code, deleted.json()["freed_bytes"]) == (200, done["output_size_bytes"])
    assert (gone.status_code, output.exists()) == (404, False)


def test_sessions_are_paged_filtered_and_searched(client: httpx.Client) -> None:
    page = client.get("/admin/sessions?limit=1&offset=1").json()
    found = client.get("/admin/sessions/search?q=tides").json()
    one = client.get("/admin/sessions/tides").json()

    assert ids(client) == ["lists", "moon", "tides"]
    assert ([session["id"] for session in page["sessions"]], page["total"]) == (["moon"], 3)
    assert ids(client, "?model=BIG") == ["lists", "moon"]
    assert ids(client, "?tag=sea&since=2026-01-02") == ["lists"]
    assert [session["id"] for session in found] == ["tides", "moon"]
    assert [message["content"] for message in one["messages"]] == ["why is there ebb"]


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("session_id", ["none", "..%2Fconfig.d%2F50-test", "%2e%2e%2Fsecret", "..%5Csecret", "a%00b"])
def test_an_id_that_leads_out_of_the_sessions_is_404(
    folder: Path, client: httpx.Client, method: str, session_id: str
) -> None:
    (folder / "secret.json").write_text("{}")

    answer = client.request(method, f"/admin/sessions/{session_id}")

    assert answer.status_code == 404
    assert (folder / "secret.json").exists()
    assert (folder / "config.d" / "50-test.yaml").exists()
