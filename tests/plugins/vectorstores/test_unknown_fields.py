"""Fields that files and vector stores do not know."""

import json
from typing import Any

import pytest

from http_support import error_of
from vector_store_support import GUIDE, Keeping, filled, keeping

LENIENT = {"X-LMX-Lenient": "1"}
FORM: dict[str, Any] = {"data": {"purpose": "assistants", "folder": "a"}, "files": {"file": GUIDE}}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", {}),
        ("/{store}", {}),
        ("/{store}/search", {"query": "port"}),
        ("/{store}/files", {"file_id": "{file}"}),
        ("/{store}/files/{file}", {"attributes": {}}),
        ("/{store}/file_batches", {"files": [{"file_id": "{file}"}]}),
    ],
)
async def test_an_unknown_field_is_unsupported_and_dropped_for_a_lenient_client(
    path: str, body: dict[str, Any]
) -> None:
    async with keeping() as kept:
        store_id, (file_id, _) = await filled(kept)
        sent = {"json": json.loads(json.dumps({**body, "folder": "a"}).replace("{file}", file_id))}
        check(*await both_ways(kept, "/v1/vector_stores" + path.format(store=store_id, file=file_id), sent))


async def test_the_same_holds_for_the_form_of_an_upload() -> None:
    async with keeping() as kept:
        check(*await both_ways(kept, "/v1/files", FORM))


async def test_an_unknown_field_that_asks_for_nothing_passes() -> None:
    async with keeping() as kept:
        answer = await kept.server.ask("POST", "/v1/vector_stores", json={"name": "docs", "folder": None})

    assert answer.status_code == 200
    assert "warnings" not in answer.json()


async def test_what_is_dropped_stands_beside_the_other_warnings_of_a_search() -> None:
    async with keeping() as kept:
        store_id, _ = await filled(kept)
        body = {"query": "port", "rewrite_query": True, "folder": "a"}
        answer = await kept.server.ask("POST", f"/v1/vector_stores/{store_id}/search", json=body, headers=LENIENT)

    assert [warning.split()[0] for warning in answer.json()["warnings"]] == ["folder", "rewrite_query"]


async def both_ways(kept: Keeping, path: str, sent: dict[str, Any]) -> list[Any]:
    return [await kept.server.ask("POST", path, **sent, headers=headers) for headers in ({}, LENIENT)]


def check(strict: Any, lenient: Any) -> None:
    assert strict.status_code == 400
    assert (error_of(strict)["code"], error_of(strict)["param"]) == ("unsupported_parameter", "folder")
    assert lenient.status_code == 200, lenient.text
    assert lenient.json()["warnings"] == ["folder was dropped: it is not supported"]
