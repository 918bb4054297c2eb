"""HTTP to one node: pooled connections, answers that come at once or as a stream, and no waiting for ever."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define, field

from lmx_hookspecs import LmxError
from lmx_remote.failures import NONSENSE, failed, from_event, from_status, from_transport, unreachable
from lmx_remote.sse import EventReader, EventTooLarge

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")
DONE = b"[DONE]"
EVENT_STREAM = "text/event-stream"
LARGEST_ANSWER_BYTES = 128 * 2**20
LARGEST_LOOK_BYTES = 4 * 2**20
READ_AT_ONCE_BYTES = 2**18
"""A larger answer is read in a thread."""
DRAIN_S = 0.2
"""How long a connection is kept for the end of a stream behind `[DONE]`: one that was read to its end is used again."""
LAST_BYTES_S = 0.01
"""How long the answer waits for that: mostly the end comes together with `[DONE]`."""
SPARE_CONNECTIONS = 4
"""For looks at the node while all its places are taken."""


def base_url(url: str) -> str:
    """Without the `/v1` that some write and others do not."""
    return url.rstrip("/").removesuffix("/v1").rstrip("/")


@define(eq=False, kw_only=True)
class Link:
    """The way to a node; it opens when it is first used."""

    node: str
    url: str
    key: str | None = field(default=None, repr=False)
    connect_s: float = 5.0
    silence_s: float = 60.0
    """After so many seconds without a byte a request counts as failed."""
    connections: int = 64
    _client: "httpx.AsyncClient | None" = field(default=None, init=False)
    _parting: "set[asyncio.Task[None]]" = field(factory=set, init=False)
    """Streams whose last bytes are still to come."""

    async def look(self, path: str, limit_s: float) -> tuple[int, bytes]:
        """Status and body of the answer to a GET; raises LmxError without one."""
        try:
            async with asyncio.timeout(limit_s):
                async with self._open("GET", path) as response:
                    return response.status_code, await self._whole(response, LARGEST_LOOK_BYTES)
        except TimeoutError:
            raise unreachable(self.node, f"did not answer within {limit_s:g} s") from None

    async def post(
        self,
        path: str,
        body: Mapping[str, Any],
        headers: Mapping[str, str],
        limit_s: float | None,
        read: Callable[[Mapping[str, Any]], T],
    ) -> T:
        """What `read` makes of the JSON object that answers, within `limit_s` altogether; raises LmxError."""
        try:
            async with asyncio.timeout(limit_s):
                async with self._answer(path, body, headers) as response:
                    return await self._read(await self._whole(response), read)
        except TimeoutError:
            raise unreachable(self.node, f"did not answer within {limit_s:g} s") from None

    async def stream(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        """The objects of a stream as they come; closing it ends the request at the node. Raises LmxError."""
        async with AsyncExitStack() as stack:
            response = await stack.enter_async_context(self._answer(path, body, headers))
            if not response.headers.get("content-type", "").startswith(EVENT_STREAM):
                yield await self._read(await self._whole(response), _as_it_is)  # all at once, whatever it was asked for
                return
            chunks = response.aiter_bytes()
            async with aclosing(self._events(chunks)) as events:
                async for data in events:
                    yield self.object_of(data)
            await self._let_go(stack.pop_all(), chunks)

    async def close(self) -> None:
        """Give the connections back."""
        client, self._client = self._client, None
        parting = list(self._parting)
        for task in parting:
            task.cancel()
        if parting:
            await asyncio.wait(parting)
        if client is not None:
            await client.aclose()

    @asynccontextmanager
    async def _answer(
        self, path: str, body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> AsyncIterator["httpx.Response"]:
        async with self._open("POST", path, json=body, headers=headers) as response:
            if response.status_code != 200:
                answer = await self._whole(response)
                raise from_status(self.node, response.status_code, response.headers, answer)
            yield response

    @asynccontextmanager
    async def _open(self, method: str, path: str, **options: Any) -> AsyncIterator["httpx.Response"]:
        import httpx

        try:
            async with self._connected().stream(method, f"{self.url}{path}", **options) as response:
                yield response
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise from_transport(self.node, error) from error

    def _connected(self) -> "httpx.AsyncClient":
        if self._client is None:
            import httpx

            most = self.connections + SPARE_CONNECTIONS
            self._client = httpx.AsyncClient(
                timeout=httpx.Timeout(self.silence_s, connect=self.connect_s),
                limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
                headers={"Authorization": f"Bearer {self.key}"} if self.key else None,
                trust_env=False,  # nodes are neighbours: no proxy stands between
            )
        return self._client

    async def _whole(self, response: "httpx.Response", most_bytes: int = LARGEST_ANSWER_BYTES) -> bytes:
        parts = bytearray()
        async for part in response.aiter_bytes():
            parts += part
            if len(parts) > most_bytes:
                raise failed(self.node, "sent more than can be an answer")
        return bytes(parts)

    async def _let_go(self, stack: AsyncExitStack, chunks: AsyncIterator[bytes]) -> None:
        """End a stream of which all was said; nobody has to wait for last bytes that are not here yet."""
        task = asyncio.create_task(_drain(stack, chunks), name=f"drain {self.node}")
        self._parting.add(task)
        task.add_done_callback(self._parting.discard)
        await asyncio.wait([task], timeout=LAST_BYTES_S)

    async def _events(self, chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """The data of each event until `[DONE]`, or the end."""
        reader = EventReader()
        async for chunk in chunks:
            try:
                for data in reader.feed(chunk):
                    if data.strip() == DONE:
                        return
                    yield data
            except EventTooLarge:
                raise failed(self.node, "sent an event that is too large") from None

    async def _read(self, data: bytes, read: Callable[[Mapping[str, Any]], T]) -> T:
        """What `read` makes of an answer; others go on while that takes long."""
        if len(data) <= READ_AT_ONCE_BYTES:
            return read(self.object_of(data))
        return await asyncio.to_thread(lambda: read(self.object_of(data)))

    def object_of(self, data: bytes) -> Mapping[str, Any]:
        """The JSON object that the node has sent; raises LmxError for anything else, and for one that is an error."""
        try:
            answer = json.loads(data, object_hook=_as_it_is if len(data) > READ_AT_ONCE_BYTES else None)
        except NONSENSE as error:
            raise failed(self.node, "sent something that is no JSON", f"{type(error).__name__}: {error}") from None
        if not isinstance(answer, dict):
            raise failed(self.node, "sent something that is no JSON object")
        if answer.get("error"):
            raise from_event(self.node, answer["error"])
        return answer


def _as_it_is(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """For the parser, which otherwise holds the interpreter, and so the event loop, from the first byte to the last."""
    return value


async def _drain(stack: AsyncExitStack, chunks: AsyncIterator[bytes]) -> None:
    """Read to the end, so that the connection can be used again; where that does not come, it is closed instead."""
    with suppress(LmxError, TimeoutError):
        async with stack, asyncio.timeout(DRAIN_S):
            async for _ in chunks:
                continue
