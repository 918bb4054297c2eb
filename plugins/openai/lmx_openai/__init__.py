"""Plugin `openai`: the OpenAI API: chat completions, completions, embeddings, rerank, models; chats on a WebSocket."""

from collections.abc import Sequence

from lmx_hookspecs import Context, Route, SurfaceSpec, WebSocket, WebSocketRoute, hookimpl


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """One surface with all routes."""
    chats = WebSocketRoute(
        path="/v1/chat/stream", handler=_serve_chat_stream, summary="Answer chats, several at once on one connection"
    )
    return [SurfaceSpec(name="openai", late_routes=_routes, websockets=[chats])]


def _routes() -> Sequence[Route]:
    from lmx_openai.surface import ROUTES

    return ROUTES


async def _serve_chat_stream(ctx: Context, socket: WebSocket) -> None:
    from lmx_openai.chat_stream import serve_chat_stream

    await serve_chat_stream(ctx, socket)
