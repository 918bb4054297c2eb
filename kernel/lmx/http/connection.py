"""Quart's side of a connection, with an inflow for what may be larger than memory, and heads that wait."""

from typing import TYPE_CHECKING, Any

from quart.asgi import ASGIHTTPConnection

from lmx.http.inflow import inflow_of

if TYPE_CHECKING:
    from quart import Request
    from quart.typing import ResponseTypes


class Connection(ASGIHTTPConnection):
    """Quart's, with two additions of ours that `scope["state"]` may hold.

    `inflow`, which gets the forms of routes that take files. `opening`, which is awaited once the response is ready
    to be sent, and gives what is sent.
    """

    async def handle_messages(self, request: "Request", receive: Any) -> None:
        """Take in the body until the client goes away."""
        inflow = inflow_of(self.scope)
        if inflow is None:
            await super().handle_messages(request, receive)
            return
        while (message := await receive())["type"] != "http.disconnect":
            await inflow.put(message.get("body", b""))
            if not message.get("more_body", False):
                inflow.end()

    async def _send_response(self, send: Any, response: "ResponseTypes") -> None:
        state: Any = self.scope["state"]
        opening = state.pop("opening", None)  # it holds the scope
        await super()._send_response(send, response if opening is None else await opening(response))
