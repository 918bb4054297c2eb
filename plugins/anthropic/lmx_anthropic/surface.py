"""The routes of the Messages API."""

from lmx_anthropic import PATH
from lmx_anthropic.answers import CountAnswer, MessageAnswer
from lmx_anthropic.requests import CountRequest, MessagesRequest
from lmx_hookspecs import Route
from lmx_hookspecs.http import imported_handler

ROUTES = (
    Route(
        method="POST",
        path=PATH,
        handler=imported_handler("lmx_anthropic.messages", "create_message"),
        summary="Answer a chat, in Anthropic's shape",
        body=MessagesRequest,
        answer=MessageAnswer,
        allow_unknown=True,
        streams=True,
    ),
    Route(
        method="POST",
        path=f"{PATH}/count_tokens",
        handler=imported_handler("lmx_anthropic.messages", "count_tokens"),
        summary="Count the tokens of a chat, and answer nothing",
        body=CountRequest,
        answer=CountAnswer,
        allow_unknown=True,
    ),
)
