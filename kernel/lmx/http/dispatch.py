"""From an HTTP request to the handler of its route and back: authenticate, validate, call, answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from attrs import define, field

from lmx.http import bodies, errors, forms, requests
from lmx.http import parameters as query_parameters
from lmx.http.access import Access
from lmx.http.arrival import KEYED, Arrival
from lmx.http.edge import method_of
from lmx.http.inflow import inflow_of
from lmx.http.operations import Operation
from lmx.http.security import ApiKey
from lmx.http.streaming import GuardedChunks, OpenRequest, OpenRequests
from lmx.http.uploads import Uploads
from lmx_hookspecs import JsonResponse, LmxError, Logger, Response, Route, StreamResponse, WebSocketRoute
from lmx_hookspecs.errors import InvalidRequest, NotFound, TooLarge
from lmx_hookspecs.http import UploadedFile

if TYPE_CHECKING:
    import quart

BODY_TIMEOUT_S = 60.0
LARGE_BODY_BYTES = 2**18
"""From here on validation takes long enough to be felt in running streams, and moves to a thread."""
STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Proxies in between must pass each chunk on at once."""


@define(eq=False)
class Dispatcher:
    """Answers the requests of all operations."""

    access: Access
    open_requests: OpenRequests
    log: Logger
    max_body_bytes: int
    headers_after_s: float
    uploads: Uploads
    shapes: errors.Shapes = field(factory=errors.Shapes)

    async def answer(self, operation: Operation, path_params: Mapping[str, str]) -> "quart.Response":
        """Answer the current request."""
        from quart import request

        scope: Any = request.scope
        opened = self.open_requests.enter()
        scope["state"]["stack"].callback(self.open_requests.leave, opened)
        asked = await self._asked(operation.route, scope, path_params)
        return self._http_response(await operation.call(asked), opened, scope)

    async def _asked(
        self, route: Route, scope: Mapping[str, Any], path_params: Mapping[str, str]
    ) -> requests.HttpRequest:
        key = authenticated(self.access, route, scope["state"]["arrival"])
        query = requests.query_of(scope)
        parameters = None if route.query is None else query_parameters.parse(query, route.query)
        body, files = await self._body(route, scope)
        facts = {"parameters": parameters, "body": body.value, "unknown": body.unknown, "files": files}
        return asked_of(scope, key, path_params=path_params, query=query, **facts)

    async def _body(self, route: Route, scope: Mapping[str, Any]) -> tuple[bodies.Body, Sequence[UploadedFile]]:
        content_type = scope["state"]["headers"].get("content-type", "")
        inflow = inflow_of(scope)
        if inflow is not None:
            form = await self.uploads.receive(inflow, content_type, route.max_files, scope["state"]["stack"])
            parse = partial(forms.parse, form.texts, route.body, allow_unknown=route.allow_unknown)
            return await self._parsed(parse, form.text_bytes), form.files
        if route.body is None:
            return bodies.Body(None, {}), ()
        raw = await self._raw_body(whole=scope["state"]["exchange"].body_complete)
        parse = partial(bodies.parse, raw, content_type, route.body, allow_unknown=route.allow_unknown)
        return await self._parsed(parse, len(raw)), ()

    async def _parsed(self, parse: Callable[[], bodies.Body], size: int) -> bodies.Body:
        return parse() if size < LARGE_BODY_BYTES else await asyncio.to_thread(parse)

    async def _raw_body(self, *, whole: bool) -> bytes:
        from quart import request
        from werkzeug.exceptions import RequestEntityTooLarge

        try:
            async with asyncio.timeout(None if whole else BODY_TIMEOUT_S):
                raw: bytes = await request.body
        except RequestEntityTooLarge as error:
            raise too_large(self.max_body_bytes) from error
        except TimeoutError as error:
            raise InvalidRequest(f"the body did not arrive within {BODY_TIMEOUT_S:.0f} s; send it again") from error
        return raw

    def _http_response(self, response: Response, opened: OpenRequest, scope: Any) -> "quart.Response":
        from quart import Response as QuartResponse

        if isinstance(response, JsonResponse):
            raw = json.dumps(response.body, allow_nan=False).encode()
            return QuartResponse(raw, response.status, dict(response.headers), content_type="application/json")
        if isinstance(response, StreamResponse):
            chunks = GuardedChunks(response, opened, self.log)
            scope["state"]["stack"].push_async_callback(chunks.aclose)
            if response.endless:
                self.open_requests.mark_endless(opened)
            scope["state"]["opening"] = partial(self._open, chunks, scope)
            shown = None if scope["method"] == "HEAD" else chunks
            return QuartResponse(shown, response.status, STREAM_HEADERS, content_type=response.content_type)
        return QuartResponse(response.body, response.status, dict(response.headers), content_type=response.content_type)

    async def _open(self, chunks: GuardedChunks, scope: Any, ready: "quart.Response") -> "quart.Response":
        """The response once its head may be sent, or the one that stands in for it."""
        stream = chunks.response
        try:
            if stream.opening is not None:
                await self._opened(stream.opening)
            told = stream.headers() if callable(stream.headers) else stream.headers
            ready.headers.update({**told, "Content-Type": stream.content_type})
        except Exception as error:  # the boundary of a request: its status is not sent yet
            await chunks.aclose()
            return self.error_answer(error, scope)
        return ready

    async def _opened(self, opening: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(self.headers_after_s) as limit:
                await opening()
        except TimeoutError:
            if not limit.expired():
                raise

    async def on_error(self, raised: Exception) -> "quart.Response":
        """The answer to whatever was raised while Quart had the request."""
        from quart import has_request_context, request, websocket

        return self.error_answer(raised, (request if has_request_context() else websocket).scope)

    def error_answer(self, raised: Exception, scope: Any) -> "quart.Response":
        """The answer to whatever was raised before the first byte."""
        from quart import Response as QuartResponse

        error, extra = self._deliberate(raised, scope)
        exchange = scope["state"]["exchange"]
        exchange.error = error.code
        answer = self.shapes.answer(error, scope["path"], exchange.request_id)
        return QuartResponse(answer.body, answer.status, {**answer.headers, **extra})

    def _deliberate(self, raised: Exception, scope: Mapping[str, Any]) -> tuple[LmxError, Mapping[str, str]]:
        from werkzeug.exceptions import HTTPException, MethodNotAllowed

        method, path = method_of(scope), scope["path"]
        error = errors.deliberate(raised)
        if error is not None:
            return error, {}
        if isinstance(raised, HTTPException) and scope["type"] == "websocket":
            return NotFound(f"there is no WebSocket at {path}; GET /openapi.json lists what there is"), {}
        if isinstance(raised, MethodNotAllowed):
            allowed = ", ".join(sorted(raised.valid_methods or ()))
            message = f"{path} does not take {method}; it takes {allowed}"
            return LmxError(message, code="method_not_allowed"), {"Allow": allowed}
        if isinstance(raised, HTTPException) and (raised.code or 500) < 500:
            return _refused(raised.code, method, path), {}
        self.log.error("request_failed", method=method, path=path, exc_info=raised)
        return errors.internal_error(), {}


def authenticated(access: Access, route: Route | WebSocketRoute, arrival: Arrival) -> ApiKey | None:
    """The API key, where the route needs one; raises Unauthorized or Forbidden."""
    if route.auth == "admin":
        access.keys.check_admin(arrival.headers)
    return arrival.api_key() if route.auth in KEYED else None


def asked_of(scope: Mapping[str, Any], key: ApiKey | None, **facts: Any) -> requests.HttpRequest:
    """What the headers of a request say, with what else is known of it; raises InvalidRequest."""
    headers: Mapping[str, str] = scope["state"]["headers"]
    return requests.HttpRequest(
        id=scope["state"]["exchange"].request_id,
        headers=headers,
        key=key.name if key else None,
        client=requests.client_of(headers),
        priority=requests.priority_of(headers, key.ceiling if key else "high"),
        timeout_s=requests.timeout_of(headers),
        lenient=requests.lenient_of(headers),
        **facts,
    )


def too_large(max_body_bytes: int) -> TooLarge:
    """The answer to a body beyond the limit."""
    return TooLarge(f"the body is larger than {max_body_bytes} bytes; send less, or raise server.max_body_bytes")


def _refused(status: int | None, method: str, path: str) -> LmxError:
    if status == 404:
        return NotFound(f"there is nothing at {method} {path}; GET /openapi.json lists what there is")
    return InvalidRequest(f"the request to {method} {path} cannot be read")
