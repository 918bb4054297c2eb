from typing import Any

import pytest
from attrs import evolve

from admin_support import StandIns
from http_support import Served, error_of
from lmx_hookspecs import DownloadRequest, DownloadState, LoadOptions
from lmx_hookspecs.errors import InsufficientStorage

START = "/admin/models/download"


async def test_a_download_is_started_with_what_was_asked_for(server: Served, services: StandIns) -> None:
    asked = {
        "repo_id": "org/new",
        "revision": "v2",
        "allow_patterns": ["*.json"],
        "ignore_patterns": ["*.bin"],
        "load": True,
    }

    answer = await server.ask("POST", START, json=asked)

    assert answer.json() == {
        "download_id": "d1",
        "repo_id": "org/new",
        "estimated_size_bytes": 3072,
        "status": "downloading",
        "joined": False,
    }
    assert services.downloads.asked == [
        (
            DownloadRequest(repo_id="org/new", revision="v2", allow_patterns=("*.json",), ignore_patterns=("*.bin",)),
            LoadOptions(),
        )
    ]


async def test_a_download_is_not_loaded_unless_that_was_asked_for(server: Served, services: StandIns) -> None:
    await server.ask("POST", START, json={"repo_id": "org/new"})

    assert services.downloads.asked == [(DownloadRequest(repo_id="org/new"), None)]


async def test_who_asks_for_one_in_progress_is_told_so(server: Served) -> None:
    first = await server.ask("POST", START, json={"repo_id": "org/new"})

    again = await server.ask("POST", START, json={"repo_id": "org/new"})

    assert again.json() == {**first.json(), "joined": True}


async def test_progress_is_told_in_bytes(server: Served) -> None:
    await server.ask("POST", START, json={"repo_id": "org/new"})

    answer = (await server.ask("GET", "/admin/models/download/d1/progress")).json()

    assert answer == {
        "download_id": "d1",
        "repo_id": "org/new",
        "revision": None,
        "status": "downloading",
        "progress_percent": 50.0,
        "downloaded_bytes": 1536,
        "total_bytes": 3072,
        "files_completed": 1,
        "files_total": 2,
        "error": None,
        "started_at": 0.0,
        "finished_at": None,
        "loads": False,
    }


@pytest.mark.parametrize(
    ("facts", "percent"),
    [
        ({"downloaded_bytes": 0, "total_bytes": 0}, 0.0),
        ({"downloaded_bytes": 9999}, 100.0),
        ({"state": DownloadState.COMPLETED, "downloaded_bytes": 0, "total_bytes": 0}, 100.0),
        ({"state": DownloadState.FAILED, "downloaded_bytes": 1024}, 33.3),
    ],
)
async def test_a_share_is_told_however_it_ends(
    server: Served, services: StandIns, facts: dict[str, Any], percent: float
) -> None:
    await server.ask("POST", START, json={"repo_id": "org/new"})
    services.downloads.statuses["d1"] = evolve(services.downloads.get("d1"), **facts)

    answer = (await server.ask("GET", "/admin/models/download/d1/progress")).json()

    assert answer["status"] == facts.get("state", "downloading")
    assert answer["progress_percent"] == percent


async def test_downloads_are_listed(server: Served) -> None:
    await server.ask("POST", START, json={"repo_id": "org/new"})

    answer = (await server.ask("GET", "/admin/models/downloads")).json()

    assert (answer["count"], answer["downloads"][0]["download_id"]) == (1, "d1")


@pytest.mark.parametrize(
    ("method", "path"), [("DELETE", "/admin/models/download/d1"), ("POST", "/admin/models/download/d1/cancel")]
)
async def test_a_download_is_cancelled(server: Served, method: str, path: str) -> None:
    await server.ask("POST", START, json={"repo_id": "org/new"})

    answer = (await server.ask(method, path)).json()

    assert (answer["download_id"], answer["status"]) == ("d1", "cancelled")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/models/download/none/progress"),
        ("DELETE", "/admin/models/download/none"),
        ("POST", "/admin/models/download/none/cancel"),
    ],
)
async def test_an_unknown_download_is_not_found(server: Served, method: str, path: str) -> None:
    answer = await server.ask(method, path)

    assert (answer.status_code, error_of(answer)["code"]) == (404, "download_not_found")


async def test_a_disk_without_room_is_told(server: Served, services: StandIns) -> None:
    services.downloads.failure = InsufficientStorage("9 GB are needed, 3 GB are free", param="model")

    answer = await server.ask("POST", START, json={"repo_id": "org/new"})

    assert (answer.status_code, error_of(answer)["code"], error_of(answer)["param"]) == (
        507,
        "insufficient_storage",
        "repo_id",
    )
