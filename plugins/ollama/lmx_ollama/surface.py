"""The routes of Ollama's API."""

from importlib import import_module

from lmx_hookspecs import Context, Request, Response, Route
from lmx_hookspecs.http import Handler
from lmx_ollama.models import ps, running, show, tags, version
from lmx_ollama.requests import ChatBody, EmbedBody, EmbeddingsBody, GenerateBody, ShowBody


def _handler(module: str, name: str) -> Handler:
    """A handler whose module is imported by the first request."""

    async def handle(ctx: Context, request: Request) -> Response:
        response: Response = await getattr(import_module(module), name)(ctx, request)
        return response

    return handle


def _post(path: str, handler: Handler, summary: str, body: type, **facts: bool) -> Route:
    return Route(method="POST", path=path, handler=handler, summary=summary, body=body, allow_unknown=True, **facts)  # type: ignore[arg-type]  # every fact here is a flag


ROUTES = (
    Route(
        method="GET",
        path="/",
        handler=running,
        summary="Whether Ollama is running",
        auth="open",
        shed=False,
        content_type="text/plain",
    ),
    _post("/api/chat", _handler("lmx_ollama.generation", "chat"), "Answer a chat", ChatBody, streams=True),
    _post(
        "/api/generate", _handler("lmx_ollama.generation", "generate"), "Continue a prompt", GenerateBody, streams=True
    ),
    _post("/api/embed", _handler("lmx_ollama.embedding", "embed"), "Embed texts", EmbedBody),
    _post("/api/embeddings", _handler("lmx_ollama.embedding", "embeddings"), "Embed a text", EmbeddingsBody),
    _post("/api/show", show, "Describe a model", ShowBody, shed=False),
    Route(method="GET", path="/api/tags", handler=tags, summary="List the models", shed=False),
    Route(method="GET", path="/api/ps", handler=ps, summary="List the models that are loaded", shed=False),
    Route(method="GET", path="/api/version", handler=version, summary="The API's version", auth="open", shed=False),
)
