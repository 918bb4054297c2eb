"""POST /v1/responses."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lmx_hookspecs import Context, JsonResponse, Request, Response, StreamResponse
from lmx_hookspecs.ownership import owner_of
from lmx_hookspecs.wording import own_words
from lmx_responses import NAME
from lmx_responses.conversation import messages_of
from lmx_responses.desk import Desk
from lmx_responses.feed import Reader
from lmx_responses.items import input_items
from lmx_responses.objects import with_warnings
from lmx_responses.run import Run
from lmx_responses.searching import Answer, generate_with_search
from lmx_responses.tools import toolbox
from lmx_responses.translate import NAMES, check_body, generation_request
from lmx_responses.unknown import check_unsupported

if TYPE_CHECKING:
    from lmx_responses.requests import ResponseRequest

HEADER_SAFE = "!#$&'()*+,/:;=?@[]^`{|}~ "
"""What stands in a header as it is, beside letters, digits and `_.-`; the rest of a model's name is percent-encoded."""
REFUSED_WITHIN_S = 1.0
"""So long a response in the background is waited for, so that what is refused at once is refused with its status."""
Admit = Callable[[], Awaitable[Answer]]


async def create_response(ctx: Context, request: Request) -> Response:
    """Answer as a whole, as a stream, or at once and in the background."""
    desk: Desk = ctx.part(NAME)
    body: ResponseRequest = request.body
    warnings = check_unsupported(request)
    check_body(body)
    owner = owner_of(request.key)
    given = await desk.resolved(owner, input_items(body.input, desk.new_id))
    earlier = await desk.history(owner, body.previous_response_id)
    box = toolbox(body.tools or (), body.tool_choice)
    wanted = generation_request(request, messages_of(body.instructions, earlier, given), box)
    admit = partial(generate_with_search, ctx, desk.config, wanted, box, body.max_tool_calls)
    run = desk.new_run(request, [*earlier, *given], warnings)
    if body.background:
        return await _in_background(ctx, desk, run, admit, stream=bool(body.stream))
    with own_words(NAMES):
        generation = await admit()
    try:
        await desk.begin_to_keep(run)
    except BaseException:
        await generation.aclose()
        raise
    return _stream(ctx, desk, run, generation) if body.stream else await _whole(desk, run, generation)


async def _whole(desk: Desk, run: Run, generation: Answer) -> Response:
    await run.drive(partial(_already, generation))
    if run.failure is not None:
        await desk.forget(run)
        raise run.failure
    return JsonResponse(body=run.recorder.snapshot(), headers=_served_by(generation))


def _stream(ctx: Context, desk: Desk, run: Run, generation: Answer) -> Response:
    """Opens with the first piece; until then a failure has a status of its own."""
    refused = False

    async def opening() -> None:
        nonlocal refused
        await run.begun.wait()
        if run.failure is not None and not run.has_pieces:
            refused = True
            raise run.failure

    async def close() -> None:
        await run.stop()
        if refused:
            await desk.forget(run)

    run.start(partial(_already, generation))
    return stream_of(ctx, run, headers=partial(_served_by, generation), opening=opening, on_close=close)


async def _in_background(ctx: Context, desk: Desk, run: Run, admit: Admit, *, stream: bool) -> Response:
    await desk.begin_to_keep(run)
    desk.make_in_background(run, admit)
    try:
        async with asyncio.timeout(REFUSED_WITHIN_S):
            await run.admitted.wait()
    except TimeoutError:
        pass  # it waits for its turn, and the client does not
    if run.failure is not None and not run.is_admitted:
        await desk.delete(run.owner, run.id)
        raise run.failure
    return stream_of(ctx, run) if stream else JsonResponse(body=with_warnings(run.recorder.snapshot(), run.warnings))


def stream_of(
    ctx: Context,
    run: Run,
    after: int = -1,
    *,
    headers: Callable[[], dict[str, str]] = dict,
    opening: Callable[[], Awaitable[None]] | None = None,
    on_close: Callable[[], Awaitable[None]] | None = None,
) -> StreamResponse:
    """The events that come after that one."""

    def failure(error: Any) -> bytes:
        return run.recorder.interruption(error["error"])

    if run.feed is None:
        raise TypeError("a response without a feed cannot be streamed")
    heartbeat_s = ctx.services.config.section("server").sse_heartbeat_interval_sec
    reader = Reader(run.feed, heartbeat_s, after + 1, on_close)
    return StreamResponse(chunks=reader, headers=headers, opening=opening, failure=failure)


def _served_by(generation: Answer) -> dict[str, str]:
    return {"X-LMX-Served-By": quote(generation.served_by, safe=HEADER_SAFE)}


async def _already(generation: Answer) -> Answer:
    return generation
