from collections.abc import Mapping
from typing import Any

import pytest
from attrs import frozen

from http_support import error_of, serving
from lmx.config.schema import Security
from lmx.config.server import Server
from lmx.http.security import Door, Keys, configured_keys, is_loopback
from lmx_hookspecs import JsonResponse, LmxError, Request, Response, Route, option
from lmx_hookspecs.errors import Forbidden, Unauthorized


@frozen(kw_only=True)
class Body:
    n: int = option(ge=1)


async def answer(_: Any, request: Request) -> Response:
    return JsonResponse(body={"key": request.key})


API = Route(method="POST", path="/api", handler=answer, summary="x", body=Body)
ADMIN = Route(method="POST", path="/admin", handler=answer, summary="x", body=Body, auth="admin")
OPEN = Route(method="GET", path="/open", handler=answer, summary="x", auth="open")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "app.localhost"])
def test_loopback_names_and_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.2", "example.org", "localhost.example.org", "", "::"])
def test_everything_else_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize("host", ["localhost:1234", "127.0.0.1", "[::1]:80", "LOCALHOST", "ai.lan:1234", ""])
def test_a_known_host_is_let_in(host: str) -> None:
    Door(allowed_hosts=["AI.lan"]).check("http", {"host": host})


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example:1234", "192.168.1.2:1234", "[::2]"])
def test_an_unknown_host_is_refused_against_dns_rebinding(host: str) -> None:
    with pytest.raises(Forbidden) as caught:
        Door().check("http", {"host": host})

    assert caught.value.code == "host_not_allowed"


def test_beyond_loopback_an_address_is_let_in_but_no_unknown_name() -> None:
    door = Door(loopback=False)

    door.check("http", {"host": "192.168.1.2:1234"})

    with pytest.raises(Forbidden):
        door.check("http", {"host": "evil.example"})


def test_once_both_keys_are_set_any_host_may_ask() -> None:
    Door(check_host=False).check("http", {"host": "ai.example.org"})


def test_a_page_of_the_server_itself_is_let_in() -> None:
    Door().check("http", {"host": "localhost:1234", "origin": "http://localhost:1234"})


@pytest.mark.parametrize(
    "origin", ["http://localhost:3000", "https://evil.example", "null", "", "https://localhost:1234"]
)
def test_a_foreign_page_is_refused(origin: str) -> None:
    with pytest.raises(Forbidden) as caught:
        Door().check("http", {"host": "localhost:1234", "origin": origin})

    assert caught.value.code == "origin_not_allowed"


@pytest.mark.parametrize("listed", ["https://chat.example.org", "*"])
def test_a_listed_page_is_let_in(listed: str) -> None:
    Door(allowed_origins=[listed]).check("http", {"host": "localhost", "origin": "https://chat.example.org"})


@pytest.mark.parametrize(
    "headers", [{"authorization": "Bearer two"}, {"authorization": "bearer  two"}, {"x-api-key": "two"}]
)
def test_a_key_is_known_by_its_place(headers: dict[str, str]) -> None:
    key = configured_keys(Security(api_keys=["one", "two"])).check_api(headers)

    assert key is not None
    assert (key.name, key.ceiling) == ("key-2", "high")


@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer "}, {"authorization": "Basic two"}, {"x-api-key": "TWO"}, {"x-admin-key": "two"}],
)
def test_without_a_known_key_nobody_is_let_in(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized):
        configured_keys(Security(api_keys=["one", "two"])).check_api(headers)


def test_without_keys_everybody_is_let_in() -> None:
    nothing_set = configured_keys(Security())

    assert nothing_set.check_api({}) is None
    nothing_set.check_admin({})


def test_without_keys_nobody_is_let_in_where_keys_are_required() -> None:
    closed = Keys(api_required=True, admin_required=True)

    with pytest.raises(Unauthorized):
        closed.check_api({"authorization": "Bearer "})
    with pytest.raises(Forbidden):
        closed.check_admin({})


def test_of_configured_keys_only_digests_are_kept() -> None:
    kept = configured_keys(Security(api_keys=["one-key"], admin_key="the-boss"))

    assert "one-key" not in repr(kept)
    assert "the-boss" not in repr(kept)


@pytest.mark.parametrize(
    ("security", "status"),
    [
        (Security(), 403),
        (Security(api_keys=["one"]), 403),
        (Security(admin_key="boss"), 403),
        (Security(api_keys=["one"], admin_key="boss"), 200),
    ],
)
async def test_a_rebound_name_is_refused_until_both_keys_are_set(security: Security, status: int) -> None:
    async with serving(OPEN, security=security) as server:
        answer = await server.ask("GET", "/open", headers={"Host": "evil.example"})

    assert answer.status_code == status


KEY = "Schlüssel-à"  # its last byte in UTF-8 is a space in Latin-1


@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
async def test_a_key_beyond_ascii_is_known_by_its_utf8(name: str) -> None:
    sent = f"Bearer {KEY}" if name == "Authorization" else KEY
    headers = [(name.encode(), sent.encode()), (b"X-Admin-Key", "Böss".encode())]

    async with serving(API, ADMIN, security=Security(api_keys=[KEY], admin_key="Böss")) as server:
        api = await server.ask("POST", "/api", json={"n": 1}, headers=headers)
        admin = await server.ask("POST", "/admin", json={"n": 1}, headers=headers)

    assert (api.status_code, api.json()) == (200, {"key": "key-1"})
    assert admin.status_code == 200


async def test_authentication_comes_before_validation() -> None:
    async with serving(API, ADMIN, security=Security(api_keys=["one"], admin_key="boss")) as server:
        no_key = await server.ask("POST", "/api", content=b"{broken")
        no_admin_key = await server.ask("POST", "/admin", content=b"{broken", headers={"x-api-key": "one"})

    assert (no_key.status_code, error_of(no_key)["code"]) == (401, "invalid_api_key")
    assert no_key.headers["www-authenticate"] == "Bearer"
    assert (no_admin_key.status_code, error_of(no_admin_key)["code"]) == (403, "admin_key_required")


async def test_the_right_keys_open_their_routes() -> None:
    async with serving(API, ADMIN, OPEN, security=Security(api_keys=["one"], admin_key="boss")) as server:
        api = await server.ask("POST", "/api", json={"n": 1}, headers={"Authorization": "Bearer one"})
        admin = await server.ask("POST", "/admin", json={"n": 1}, headers={"x-ADMIN-key": "boss"})
        nobody = await server.ask("GET", "/open")

    assert api.json() == {"key": "key-1"}
    assert admin.json() == {"key": None}
    assert nobody.status_code == 200


async def test_health_needs_no_key_and_metrics_only_beyond_loopback() -> None:
    keyed = Security(api_keys=["one"], admin_key="boss")

    async with serving(security=keyed) as loopback, serving(security=keyed, server=Server(host="0.0.0.0")) as wide:
        open_answers = [await loopback.ask("GET", path) for path in ("/healthz", "/readyz", "/metrics")]
        wide_answers = [await wide.ask("GET", path) for path in ("/healthz", "/readyz", "/metrics")]
        scraped = await wide.ask("GET", "/metrics", headers={"X-Admin-Key": "boss"})

    assert [answer.status_code for answer in open_answers] == [200, 200, 200]
    assert [answer.status_code for answer in wide_answers] == [200, 200, 403]
    assert scraped.status_code == 200


async def test_foreign_pages_and_rebound_names_are_refused_everywhere() -> None:
    async with serving(OPEN) as server:
        page = await server.ask("GET", "/open", headers={"Origin": "https://evil.example"})
        rebound = await server.ask("GET", "/healthz", headers={"Host": "evil.example"})
        preflight = await server.ask("OPTIONS", "/open", headers={"Origin": "https://evil.example"})

    assert (page.status_code, error_of(page)["code"]) == (403, "origin_not_allowed")
    assert (rebound.status_code, error_of(rebound)["code"]) == (403, "host_not_allowed")
    assert preflight.status_code == 403
    assert "access-control-allow-origin" not in page.headers


async def test_a_listed_origin_may_read_the_answer_and_asks_first() -> None:
    origin = "https://chat.example.org"
    preflight_headers = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }

    listed = Server(allowed_origins=[origin])
    async with serving(API, server=listed, security=Security(api_keys=["one"])) as server:
        preflight = await server.ask("OPTIONS", "/api", headers=preflight_headers)
        refused = await server.ask("POST", "/api", json={"n": 1}, headers={"Origin": origin})
        same_machine = await server.ask("GET", "/healthz")

    assert preflight.status_code == 204
    assert preflight.headers["access-control-allow-origin"] == origin
    assert preflight.headers["access-control-allow-methods"] == "OPTIONS, POST"
    assert preflight.headers["access-control-allow-headers"] == "authorization"
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == origin
    assert "access-control-allow-origin" not in same_machine.headers


BOTH = Security(api_keys=["k"], admin_key="a")
EITHER: Mapping[str, tuple[Security, Mapping[str, str], str | None]] = {
    "no keys are set": (Security(), {}, None),
    "the API key": (BOTH, {"x-api-key": "k"}, None),
    "the admin key": (BOTH, {"x-admin-key": "a"}, None),
    "neither": (BOTH, {}, "invalid_api_key"),
    "a wrong admin key beside an API key": (BOTH, {"x-admin-key": "b", "x-api-key": "k"}, None),
    "only API keys are set": (Security(api_keys=["k"]), {"x-admin-key": "a"}, "invalid_api_key"),
    "only an admin key is set": (Security(admin_key="a"), {}, "admin_key_required"),
    "only an admin key is set, and sent": (Security(admin_key="a"), {"x-admin-key": "a"}, None),
}


@pytest.mark.parametrize("name", EITHER)
def test_where_either_key_opens_the_one_that_is_set_is_needed(name: str) -> None:
    security, headers, refused = EITHER[name]
    keys = configured_keys(security)

    code = None
    try:
        keys.check_any(headers)
    except LmxError as error:
        code = error.code

    assert code == refused


EITHER_ROUTE = Route(method="POST", path="/either", handler=answer, summary="x", auth="any_key")


async def test_a_route_for_either_key_takes_both_over_http() -> None:
    async with serving(EITHER_ROUTE, security=BOTH) as server:
        refused = await server.ask("POST", "/either")
        keyed = await server.ask("POST", "/either", headers={"Authorization": "Bearer k"})
        admin = await server.ask("POST", "/either", headers={"X-Admin-Key": "a"})

    assert (refused.status_code, error_of(refused)["code"]) == (401, "invalid_api_key")
    assert (keyed.json(), admin.json()) == ({"key": "key-1"}, {"key": None})
