"""Downloads from a hub on this machine: what is offered, what is asked for in vain, and how a download may end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from fake_hub import FakeHub, fake_hub
from serving import Server, served

TINY = Path(__file__).parents[2] / "plugins/tiny/lmx_tiny/models/lmx-tiny"
FILES = {path.name: path.read_bytes() for path in TINY.iterdir()}
TOTAL = sum(map(len, FILES.values()))
CONFIG = {"models": {"warmup_on_load": False}}
LOAD, CONFIRM, DOWNLOAD = "/admin/models/load", "/admin/models/load/confirm", "/admin/models/download"


@pytest.fixture(scope="module")
def hub() -> Iterator[FakeHub]:
    """A hub with lmx-tiny under other names: one for each way that a download may end."""
    with fake_hub({f"org/{name}": FILES for name in ("offered", "auto", "held", "broken")}) as running:
        yield running


@pytest.fixture(scope="module")
def server(hub: FakeHub, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
    with served(tmp_path_factory.mktemp("acceptance-downloads"), CONFIG, environment=environment) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client() as made:
        yield made


def progress(client: httpx.Client, download_id: str) -> dict[str, Any]:
    told: dict[str, Any] = client.get(f"{DOWNLOAD}/{download_id}/progress").json()
    return told


def started(client: httpx.Client, repo_id: str) -> str:
    download_id: str = client.post(DOWNLOAD, json={"repo_id": repo_id}).json()["download_id"]
    return download_id


def test_a_model_that_is_not_here_is_offered_with_its_size_and_nothing_is_fetched(
    hub: FakeHub, client: httpx.Client
) -> None:
    answer = client.post(LOAD, json={"model_id": "org/offered"})

    offer = answer.json()
    assert answer.status_code == 202
    assert offer["confirmation_token"].startswith("dl-")
    assert len(offer["confirmation_token"]) > 20
    assert (offer["status"], offer["model_id"], offer["confirm_url"]) == ("download_required", "org/offered", CONFIRM)
    assert offer["estimated_size_bytes"] == TOTAL
    assert offer["estimated_size_human"] == f"{TOTAL / 1024**2:.1f} MB"
    assert not any("/org/offered/" in asked.path for asked in hub.asked_for("model.safetensors"))


def test_a_token_that_never_was_is_404_and_may_have_expired(client: httpx.Client) -> None:
    answer = client.post(CONFIRM, json={"confirmation_token": "dl-nobody-made-this"})

    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (404, "token_not_found", "confirmation_token")
    assert "expired" in error["message"]


def test_auto_download_fetches_and_loads_at_once(server: Server, client: httpx.Client) -> None:
    answer = client.post(LOAD, json={"model_id": "org/auto", "auto_download": True})
    download_id = answer.json()["download_id"]
    server.wait_for("model_ready", model="org/auto")

    done = progress(client, download_id)
    assert (answer.status_code, answer.json()["status"], answer.json()["model_id"]) == (202, "downloading", "org/auto")
    assert answer.json()["progress_url"] == f"{DOWNLOAD}/{download_id}/progress"
    assert (done["status"], done["downloaded_bytes"], done["files_completed"]) == ("completed", TOTAL, len(FILES))
    assert done["finished_at"] >= done["started_at"]


@pytest.mark.parametrize(("method", "rest"), [("GET", "/progress"), ("DELETE", ""), ("POST", "/cancel")])
def test_an_unknown_download_is_404(client: httpx.Client, method: str, rest: str) -> None:
    answer = client.request(method, f"{DOWNLOAD}/none{rest}")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "download_not_found")


def test_who_asks_twice_joins_and_a_cancelled_download_stays_cancelled(
    hub: FakeHub, server: Server, client: httpx.Client
) -> None:
    hub.hold_after("model.safetensors", 1_000_000)
    download_id = started(client, "org/held")
    hub.wait_until_held()
    again = client.post(DOWNLOAD, json={"repo_id": "org/held"}).json()
    running = progress(client, download_id)

    cancelled = client.delete(f"{DOWNLOAD}/{download_id}").json()
    twice = client.post(f"{DOWNLOAD}/{download_id}/cancel").json()
    hub.release()

    server.wait_for("download_cancelled", repository="org/held")
    assert again["download_id"] == download_id
    assert (running["status"], running["finished_at"], running["error"]) == ("downloading", None, None)
    assert (cancelled["status"], twice) == ("cancelled", progress(client, download_id))
    assert cancelled["finished_at"] is not None
    assert "org/held" not in {model["repo_id"] for model in client.get("/admin/models/available").json()}


def test_a_download_that_fails_says_why_for_good(hub: FakeHub, server: Server, client: httpx.Client) -> None:
    hub.corrupt("model.safetensors", times=2)
    download_id = started(client, "org/broken")

    server.wait_for("download_failed", repository="org/broken")

    failed = progress(client, download_id)
    assert failed["status"] == "failed"
    assert "checksum" in failed["error"]
    assert failed["finished_at"] is not None
    assert [other["download_id"] for other in client.get("/admin/models/downloads").json()["downloads"]].count(
        download_id
    ) == 1
