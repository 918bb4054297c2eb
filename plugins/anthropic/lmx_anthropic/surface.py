"""The routes of the Messages API."""

from importlib import import_module

from lmx_anthropic import PATH
from lmx_anthropic.answers import CountAnswer, MessageAnswer
from lmx_anthropic.requests import CountRequest, MessagesRequest
from lmx_hookspecs import Context, Request, Response, Route
from lmx_hookspecs.http import Handler


def _handler(name: str) -> Handler:
    """A handler whose module is imported by the first request: listing the plugins must not pay for it."""

    async def handle(ctx: Context, request: Request) -> Response:
        response: Response = await getattr(import_module("lmx_anthropic.messages"), name)(ctx, request)
        return response

    return handle


ROUTES = (
    Route(
        method="POST",
        path=PATH,
        handler=_handler("create_message"),
        summary="Answer a chat, in Anthropic's shape",
        body=MessagesRequest,
        answer=MessageAnswer,
        allow_unknown=True,
        streams=True,
    ),
    Route(
        method="POST",
        path=f"{PATH}/count_tokens",
        handler=_handler("count_tokens"),
        summary="Count the tokens of a chat, and answer nothing",
        body=CountRequest,
        answer=CountAnswer,
        allow_unknown=True,
    ),
)
