"""Talks to a running server, and turns its error answers back into the errors that they stand for."""

import json
import os
import sys
from argparse import ArgumentParser
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from lmx.commands.output import warn
from lmx.commands.own_server import own_server
from lmx.commands.sse import Event, events
from lmx.private_files import PRIVATE_FILE
from lmx.state import running_server
from lmx_hookspecs import CommandContext, LmxError
from lmx_hookspecs.errors import EngineFailed, Unavailable, error_of
from lmx_hookspecs.places import home

if TYPE_CHECKING:
    from httpx import Client, Response

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
ANY_ADDRESS: Mapping[str, str] = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  what a server listens on
KEY_VARIABLES: Mapping[str, str] = {"invalid_api_key": "LMX_API_KEY", "admin_key_required": "LMX_ADMIN_KEY"}
CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 900.0
"""A model may have to be loaded before the first byte comes."""


@frozen(kw_only=True)
class Server:
    """A running server and the keys for it."""

    url: str
    api_key: str | None = field(default=None, repr=False)
    admin_key: str | None = field(default=None, repr=False)
    timeout_s: float = ANSWER_TIMEOUT_S

    def get(self, path: str) -> Any:
        """The JSON answer to a GET; raises LmxError."""
        return self._request("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON answer to a POST; raises LmxError."""
        return self._request("POST", path, json=body)

    def delete(self, path: str) -> Any:
        """The JSON answer to a DELETE; raises LmxError."""
        return self._request("DELETE", path)

    def upload(self, path: str, files: Sequence[tuple[str, Path]], fields: Mapping[str, str]) -> Any:
        """The JSON answer to a form with files; raises LmxError, and OSError where a file cannot be opened."""
        with ExitStack() as opened:
            parts = [("files", (name, opened.enter_context(file.open("rb")))) for name, file in files]
            return self._request("POST", path, data=fields, files=parts)

    def download(self, path: str, file: Path) -> int:
        """Put the answer to a GET into a new file that only its owner can read.

        Raises LmxError, and OSError where it cannot be written.
        """
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)
        with os.fdopen(descriptor, "wb") as written:
            try:
                with self._streamed("GET", path) as response:
                    return sum(written.write(chunk) for chunk in response.iter_bytes())
            except BaseException:
                file.unlink(missing_ok=True)
                raise

    def stream(self, path: str, body: Mapping[str, Any]) -> Generator[Mapping[str, Any]]:
        """The JSON events of a streaming POST, up to `[DONE]`; close the iterator to cancel. Raises LmxError."""
        with self._streamed("POST", path, json=body) as response:
            for event in events(response.iter_bytes()):
                if event.data == "[DONE]":
                    return
                yield _event(event.data)
        raise EngineFailed("the server ended the stream before the answer was complete; its log says why")

    @contextmanager
    def subscribed(self, path: str, after: str | None = None) -> Iterator[Iterator[Event]]:
        """The events of an endless GET, from behind the event `after`, until the server ends it. Raises LmxError."""
        headers = {"Last-Event-ID": after} if after else {}
        with self._streamed("GET", path, headers=headers) as response:
            yield events(response.iter_bytes())

    def is_lmx(self) -> bool:
        """Whether an LMX server answers there; no key is sent to find out."""
        try:
            health = Server(url=self.url, timeout_s=CONNECT_TIMEOUT_S).get("/healthz")
        except LmxError:
            return False
        return isinstance(health, dict) and health.get("status") == "ok" and "version" in health

    def _request(self, method: str, path: str, **options: Any) -> Any:
        with self._reached() as client:
            response = client.request(method, path, **options)
        if response.is_error:
            raise _error(response)
        try:
            return response.json()
        except ValueError:
            raise Unavailable(f"{self.url} does not speak JSON; is that an LMX server?") from None

    @contextmanager
    def _streamed(self, method: str, path: str, **options: Any) -> Iterator["Response"]:
        with self._reached() as client, client.stream(method, path, **options) as response:
            if response.is_error:
                response.read()
                raise _error(response)
            yield response

    @contextmanager
    def _reached(self) -> Iterator["Client"]:
        import httpx

        try:
            address = urlsplit(self.url)
            with httpx.Client(
                base_url=self.url,
                headers=self._headers(),
                timeout=httpx.Timeout(self.timeout_s, connect=CONNECT_TIMEOUT_S),
                trust_env=address.hostname not in LOOPBACK,  # no proxy on the way to this machine
                verify=address.scheme == "https",  # reading certificates takes longer than most answers
            ) as client:
                yield client
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise Unavailable(f"no server answers at {self.url}; `lmx serve` starts one") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:  # ValueError: what cannot be put into bytes
            raise Unavailable(f"the conversation with {self.url} failed: {error}") from error

    def _headers(self) -> dict[bytes, bytes]:
        bearer = f"Bearer {self.api_key}" if self.api_key else None
        keys = {b"Authorization": bearer, b"X-Admin-Key": self.admin_key}
        return {name: key.encode() for name, key in keys.items() if key}


def server_at(context: CommandContext, url: str | None) -> Server:
    """The server at `url`, else the configured one; keys from LMX_API_KEY and LMX_ADMIN_KEY, else its own.

    Where nothing answers at the configured address, it is the server of this LMX_HOME, if that runs at another one.
    """
    api_key, admin_key = os.environ.get("LMX_API_KEY"), os.environ.get("LMX_ADMIN_KEY")
    if url is not None:  # another server must not be sent this one's keys
        return Server(url=url.rstrip("/").removesuffix("/v1"), api_key=api_key, admin_key=admin_key)
    security = context.config("security")
    configured = Server(
        url=configured_url(context.config("server")),
        api_key=api_key or next(iter(security.api_keys), None),
        admin_key=admin_key or security.admin_key,
    )
    return _where_it_runs(configured)


def _where_it_runs(configured: Server) -> Server:
    recorded = running_server(home())
    if recorded is None:
        return configured
    address = urlsplit(recorded)
    running = evolve(configured, url=_own_url(address.hostname or "", address.port or 0))
    if running.url == configured.url or configured.is_lmx() or not running.is_lmx():
        return configured
    return running


def add_server_options(parser: ArgumentParser) -> None:
    """`--url` and `--json`, as every command that asks a server has them."""
    parser.add_argument("--url", help="the server to ask (default: the configured one)")
    parser.add_argument("--json", action="store_true", help="print JSON")


@contextmanager
def some_server(context: CommandContext, url: str | None) -> Iterator[Server]:
    """The server at `url`, the configured one if it runs, else one of one's own for as long as this takes."""
    server = server_at(context, url)
    if url or server.is_lmx():
        yield server
        return
    if sys.stderr.isatty():
        warn(f"no server is running at {server.url}: starting one for as long as this takes")
    models = context.config("models")
    default_model = models.default_model or next(iter(models.auto_load), None)
    with own_server(context.config_dir, default_model) as own_url:
        yield evolve(server, url=own_url)


def configured_url(section: Any) -> str:
    """Where a server with this `server` section is reached from its own machine."""
    return _own_url(section.host, section.port)


def _own_url(host: str, port: int) -> str:
    host = ANY_ADDRESS.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _event(data: str) -> Mapping[str, Any]:
    try:
        event = json.loads(data)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise Unavailable("the server sent an event that is not a JSON object; is that an LMX server?")
    if "error" in event:
        raise _error_in(event) or EngineFailed("the server broke the stream off; its log says why")
    return event


def _error(response: "Response") -> LmxError:
    try:
        known = _error_in(response.json())
    except ValueError:
        known = None
    if known is None:
        return Unavailable(f"{response.request.url} answered {response.status_code}; is that an LMX server?")
    variable = KEY_VARIABLES.get(known.code)
    return error_of(known.code, f"{known.message} (`lmx` takes it from {variable})") if variable else known


def _error_in(body: Any) -> LmxError | None:
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict) or not isinstance(error.get("message"), str):
        return None
    return error_of(str(error.get("code")), error["message"], param=error.get("param"))
