"""Quart's side of a connection, with an inflow for what may be larger than memory."""

from typing import TYPE_CHECKING, Any

from quart.asgi import ASGIHTTPConnection

from lmx.http.inflow import inflow_of

if TYPE_CHECKING:
    from quart import Request


class Connection(ASGIHTTPConnection):
    """Quart's, which gives forms for routes that take files to an Inflow: `scope["state"]["inflow"]`."""

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
