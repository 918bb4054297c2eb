"""Serves the application with Hypercorn's protocols, and ends in time whatever the clients do.

Only the protocol side of Hypercorn 0.18 is used: its own `serve` keeps the connections to itself, and waits at the end
for clients that stopped reading, on Python 3.12 and later for any open stream.
"""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from lmx.http.connections import Connections
from lmx.http.idle import IdleConnections
from lmx.http.streaming import OpenRequests
from lmx_hookspecs.errors import ConfigError

if TYPE_CHECKING:
    from hypercorn.config import Config
    from quart import Quart

    from lmx.config.server import Server

BACKLOG = 1024
STALL_S = 60.0
"""How long a client may take nothing in before its connection is cut."""
ENDING_SHARE = 0.2
MIN_ENDING_S, MAX_ENDING_S = 0.2, 3.0
"""The last part of the grace, a fifth of it within these limits, is for ending what is still open."""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes any free one. Raises ConfigError where the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise ConfigError(f"server.host {host!r} is no address of this machine: {error.strerror}") from error
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_bind(host, port, error) from error
    listener.setblocking(False)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where clients reach the listener: the port is the real one."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _cannot_bind(host: str, port: int, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(f"port {port} on {host} is in use by another program; choose another with --port")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ConfigError(f"port {port} on {host} is reserved for the system; choose one above 1023 with --port")
    return ConfigError(f"cannot listen on {host} port {port}: {error.strerror}; change server.host or server.port")


async def serve(
    app: "Quart",
    listener: socket.socket,
    *,
    server: "Server",
    open_requests: OpenRequests,
    shutdown: asyncio.Event,
    stall_s: float = STALL_S,
) -> None:
    """Serve until `shutdown` is set, then end within `server.shutdown_grace_s`: first the answers, then connections."""
    from hypercorn.asyncio.worker_context import WorkerContext

    context = WorkerContext(None)
    idle = IdleConnections(server.timeout_sec)
    connections = Connections(_handler(app, _hypercorn_config(server), context, idle), stall_s)
    async with AsyncExitStack() as stack:
        await app.startup()
        stack.push_async_callback(app.shutdown)
        # asyncio accepts up to `backlog` connections a time, and logs as often that descriptors have run out.
        accepting = await asyncio.start_server(connections.accept, sock=listener, backlog=1)
        listener.listen(BACKLOG)
        stack.callback(accepting.close)
        await shutdown.wait()
        open_requests.close()
        accepting.close()
        await context.terminated.set()
        idle.close()
        await _end(connections, open_requests, server.shutdown_grace_s)


async def _end(connections: Connections, open_requests: OpenRequests, grace_s: float) -> None:
    """Let answers end by themselves, then end them, then cut what is left."""
    ending_s = min(max(grace_s * ENDING_SHARE, MIN_ENDING_S), MAX_ENDING_S)
    stages: list[tuple[Callable[[], None], float]] = [
        (lambda: None, grace_s - ending_s),
        (open_requests.end_all, ending_s * 0.5),
        (connections.abort, ending_s * 0.25),
        (connections.cancel, ending_s * 0.25),
    ]
    for begin, wait_s in stages:
        begin()
        if await connections.wait(wait_s):
            return


def _handler(app: "Quart", config: "Config", context: Any, idle: IdleConnections) -> Callable[..., Any]:
    from hypercorn.asyncio.tcp_server import TCPServer
    from hypercorn.utils import wrap_app

    class PromptServer(TCPServer):  # type: ignore[misc]  # Hypercorn is not typed
        """Lets go of a connection as soon as its client has: Hypercorn waits for the keep-alive timeout first."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self.idle_task = idle.timer()

        async def _read_data(self) -> None:
            await super()._read_data()
            await self.idle_task.stop()

        async def _idle_timeout(self) -> None:
            await self._initiate_server_close()

        async def _close(self) -> None:
            await self.idle_task.retire()
            await super()._close()

    wrapped = wrap_app(app, config.wsgi_max_body_size, "asgi")

    async def handle(reader: asyncio.StreamReader, writer: Any) -> None:
        await PromptServer(wrapped, asyncio.get_running_loop(), config, context, {}, reader, writer)

    return handle


def _hypercorn_config(server: "Server") -> "Config":
    from hypercorn.config import Config

    config = Config()
    config.errorlog = logging.getLogger("hypercorn.error")
    config.include_server_header = False
    config.websocket_max_message_size = server.max_body_bytes
    config.keep_alive_max_requests = 2**31  # the default closes a connection after 1,000 requests
    return config
