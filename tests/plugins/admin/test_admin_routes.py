import re
import subprocess
import sys

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import lmx_admin
from admin_support import StandIns
from http_support import Served, error_of, serving
from lmx.config.schema import Security
from lmx_admin.routes import ROUTES
from lmx_hookspecs import Route
from lmx_hookspecs.testing import check_plugin

STREAMS = {"/admin/events"}


def path_of(route: Route) -> str:
    return re.sub(r"\{[a-z_:]+\}", "x", route.path)


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_admin)

    assert [spec.name for spec in offers["lmx_surfaces"]] == ["admin"]


def test_no_route_is_shed() -> None:
    assert {(route.auth, route.shed) for route in ROUTES} == {("admin", False)}


def test_calling_the_hook_imports_no_route() -> None:
    code = (
        "import sys, lmx_admin; lmx_admin.lmx_surfaces(); print([m for m in sys.modules if m.startswith('lmx_admin.')])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("sent", [{}, {"X-Admin-Key": "wrong"}, {"Authorization": "Bearer secret"}])
async def test_every_route_needs_the_admin_key_before_it_looks_at_anything_else(sent: dict[str, str]) -> None:
    async with serving(
        surfaces=lmx_admin.lmx_surfaces(), services=StandIns(), security=Security(admin_key="secret")
    ) as server:
        answers = [await server.ask(route.method, path_of(route), headers=sent, content=b"{broken") for route in ROUTES]

    assert {answer.status_code for answer in answers} == {403}
    assert {error_of(answer)["code"] for answer in answers} == {"admin_key_required"}


async def test_with_the_key_every_route_gets_as_far_as_its_service() -> None:
    asked = [route for route in ROUTES if route.path not in STREAMS]
    async with serving(
        surfaces=lmx_admin.lmx_surfaces(), services=StandIns(), security=Security(admin_key="secret")
    ) as server:
        answers = {
            f"{route.method} {route.path}": await server.ask(
                route.method, path_of(route), headers={"x-admin-key": "secret"}
            )
            for route in asked
        }

    refused = {path: answer.text for path, answer in answers.items() if answer.status_code in {403, 405, 500}}
    assert not refused


@pytest.mark.parametrize("route", [route for route in ROUTES if route.body is not None], ids=lambda route: route.path)
async def test_an_unknown_field_is_named(server: Served, route: Route) -> None:
    answer = await server.ask(route.method, path_of(route), json={"nonsense": 1})

    assert answer.status_code == 400
    assert "nonsense: unknown key" in error_of(answer)["message"]


async def test_every_route_is_documented_with_its_answer_and_its_errors(server: Served) -> None:
    described = (await server.ask("GET", "/openapi.json")).json()

    OpenAPIV31SpecValidator(described).validate()
    for route in ROUTES:
        operation = described["paths"][re.sub(":path", "", route.path)][route.method.lower()]
        answers = {status: answer for status, answer in operation["responses"].items() if status != "default"}
        assert operation["summary"]
        assert operation["security"] == [{"admin_key": []}]
        assert operation["responses"]["default"] == {"$ref": "#/components/responses/Error"}
        assert all(kind["schema"] for answer in answers.values() for kind in answer["content"].values()), route.path


async def test_the_offer_of_a_download_is_documented(server: Served) -> None:
    paths = (await server.ask("GET", "/openapi.json")).json()["paths"]

    load = paths["/admin/models/load"]["post"]["responses"]
    assert load["202"]["content"]["application/json"]["schema"] == {
        "anyOf": [
            {"$ref": "#/components/schemas/DownloadRequired"},
            {"$ref": "#/components/schemas/DownloadStarted"},
        ]
    }
    assert set(paths["/admin/models/load/confirm"]["post"]["responses"]) == {"202", "default"}
    assert set(paths["/admin/metrics"]["get"]["responses"]["200"]["content"]) == {"text/plain"}


async def test_plugins_are_listed_with_their_number(server: Served) -> None:
    answer = (await server.ask("GET", "/admin/plugins")).json()

    assert answer == {"plugins": [{"name": "admin", "status": "active"}], "count": 1}
