"""The WebSocket /v1/chat/stream: several chats at once on one connection."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen

from lmx_hookspecs import Context, Generation, Piece, UploadedFile, Usage, Validated, WebSocket
from lmx_hookspecs.errors import Busy, Conflict, InvalidRequest, NotFound
from lmx_hookspecs.generation import Priority
from lmx_openai.frames import ChatFrames, cancelled, frame, whole
from lmx_openai.gather import gather
from lmx_openai.requests import ChatRequest
from lmx_openai.translate import chat_generation
from lmx_openai.unknown import check_unknown

LARGE_MESSAGE = 2**18
"""Characters from which on validation takes long enough to be felt in running streams, and moves to a thread."""
MAX_ID = 128
KINDS = "chat.request, chat.cancel or ping"


@frozen(kw_only=True)
class Asked:
    """One chat of a connection, as the contract's Request, so that it is translated like one over HTTP."""

    id: str
    body: ChatRequest
    unknown: Mapping[str, Any]
    path_params: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    key: str | None
    client: str | None
    priority: Priority
    timeout_s: float | None
    lenient: bool
    parameters: None = None
    files: Sequence[UploadedFile] = ()


def asked_of(socket: WebSocket, request_id: str, body: Validated) -> Asked:
    """What a frame asks for, and what the opening request said of who asks."""
    return Asked(
        id=request_id,
        body=body.value,
        unknown=body.unknown,
        path_params=socket.path_params,
        query=socket.query,
        headers=socket.headers,
        key=socket.key,
        client=socket.client,
        priority=socket.priority,
        timeout_s=socket.timeout_s,
        lenient=socket.lenient,
    )


@define
class Heard:
    """What a generation has said so far of its cost, for an answer that is cut short."""

    generation: Generation | None = None
    """None until a model has it."""
    completion_tokens: int = 0

    def add(self, piece: Piece) -> None:
        """Take in a piece."""
        self.completion_tokens += piece.tokens

    def usage(self) -> Usage | None:
        """None where no prompt was begun."""
        prompt_tokens = self.generation.prompt_tokens if self.generation else 0
        if not (prompt_tokens or self.completion_tokens):
            return None
        return Usage(prompt_tokens=prompt_tokens, completion_tokens=self.completion_tokens)


async def serve_chat_stream(ctx: Context, socket: WebSocket) -> None:
    """Answer until the client is gone, has been silent for `server.timeout_sec`, or the server stops."""
    server = ctx.services.config.section("server")
    chats = Chats(ctx, socket, server.websocket_max_requests)
    try:
        await chats.listen(server.timeout_sec)
        await chats.finish()
    finally:
        await chats.cancel_all()


@define(eq=False)
class Chats:
    """The chats of one connection."""

    _ctx: Context
    _socket: WebSocket
    _max_running: int
    _running: "dict[str, asyncio.Task[None]]" = field(factory=dict)
    _cancelled: set[str] = field(factory=set)

    async def listen(self, idle_s: float) -> None:
        """Take in frames; returns when there are no more, or none came for so long while nothing ran."""
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    message = await self._socket.receive()
            except TimeoutError:
                if not self._running:
                    await self._socket.close(reason=f"nothing was asked for {idle_s:g} s")
                    return
                continue
            if message is None:
                return
            await self._take(message)

    async def finish(self) -> None:
        """Return once nothing runs any more."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def cancel_all(self) -> None:
        """End whatever runs, without a word."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _take(self, message: str | bytes) -> None:
        request_id = None
        try:
            told = await self._decoded(message)
            kind = told.pop("type", None)
            request_id = _id_of(told)
            if kind == "chat.request":
                await self._begin(request_id or f"chatcmpl-{secrets.token_urlsafe(16)}", told)
            elif kind == "chat.cancel":
                self._cancel(request_id)
            elif kind == "ping":
                await self._socket.send(frame("pong", request_id))
            else:
                raise InvalidRequest(f"there is no frame of type {kind!r:.128}; send {KINDS}", param="type")
        except Exception as error:  # the boundary of a frame: whatever is wrong with it, the others go on
            await self._socket.send(frame("chat.error", request_id, error=self._socket.explain(error)))

    async def _decoded(self, message: str | bytes) -> dict[str, Any]:
        if isinstance(message, bytes):
            raise InvalidRequest("the frame is binary; send JSON as text")
        if len(message) < LARGE_MESSAGE:
            return self._socket.decode(message)
        return await asyncio.to_thread(self._socket.decode, message)

    async def _begin(self, request_id: str, told: Mapping[str, Any]) -> None:
        if request_id in self._running:
            raise Conflict(
                f"the request {request_id!r} is still running; choose another request_id", param="request_id"
            )
        if len(self._running) >= self._max_running:
            raise Busy(
                f"{self._max_running} requests run on this connection, the most that server.websocket_max_requests "
                "allows; wait for one to end"
            )
        body = self._socket.validate(told, ChatRequest, allow_unknown=True)
        await self._socket.admit()
        asked = asked_of(self._socket, request_id, body)
        await self._socket.send(frame("chat.accepted", request_id))
        self._running[request_id] = asyncio.create_task(self._answer(asked))
        await asyncio.sleep(0)  # a task that is cancelled before it has begun says nothing

    def _cancel(self, request_id: str | None) -> None:
        if request_id is None:
            raise InvalidRequest("request_id is required: the request to cancel", param="request_id")
        task = self._running.get(request_id)
        if task is None:
            raise NotFound(f"no request {request_id!r} is running on this connection", param="request_id")
        self._cancelled.add(request_id)
        task.cancel()

    async def _answer(self, asked: Asked) -> None:
        heard = Heard()
        try:
            await self._generate(asked, heard)
        except asyncio.CancelledError:
            if asked.id not in self._cancelled:
                raise
            await self._socket.send(cancelled(asked.id, heard.usage()))
        except Exception as error:  # the boundary of a request: the others of the connection go on
            await self._socket.send(frame("chat.error", asked.id, error=self._socket.explain(error)))
        finally:
            self._running.pop(asked.id, None)
            self._cancelled.discard(asked.id)

    async def _generate(self, asked: Asked, heard: Heard) -> None:
        warnings = check_unknown(asked)
        wanted = chat_generation(asked, stream=asked.body.stream is not False)
        generation = heard.generation = await self._ctx.services.generate(wanted)
        if wanted.stream:
            frames = ChatFrames(asked.id, generation, wanted.choices, warnings)
            await self._stream(generation, frames, heard)
        else:
            choices, usage = await gather(generation, wanted.choices, heard.add)
            for told in whole(asked.id, generation, choices, usage, warnings, logprobs=wanted.logprobs is not None):
                await self._socket.send(told)

    async def _stream(self, generation: Generation, frames: ChatFrames, heard: Heard) -> None:
        try:
            async for piece in generation:
                heard.add(piece)
                for told in frames.of(piece):
                    await self._socket.send(told)
        finally:
            await generation.aclose()
        await self._socket.send(frames.last())


def _id_of(told: dict[str, Any]) -> str | None:
    """The client's own id, taken out of the frame."""
    request_id = told.pop("request_id", None)
    if request_id is None:
        return None
    if not isinstance(request_id, str) or not 0 < len(request_id) <= MAX_ID or not request_id.isprintable():
        raise InvalidRequest(f"request_id must be a text of 1 to {MAX_ID} printable characters", param="request_id")
    if not request_id.isascii():
        raise InvalidRequest("request_id must be ASCII", param="request_id")
    return request_id
