"""The routes of Ollama's API."""

from lmx_hookspecs import Route
from lmx_hookspecs.http import Handler, imported_handler
from lmx_ollama.models import ps, running, show, tags, version
from lmx_ollama.requests import ChatBody, EmbedBody, EmbeddingsBody, GenerateBody, ShowBody


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
    _post("/api/chat", imported_handler("lmx_ollama.generation", "chat"), "Answer a chat", ChatBody, streams=True),
    _post(
        "/api/generate",
        imported_handler("lmx_ollama.generation", "generate"),
        "Continue a prompt",
        GenerateBody,
        streams=True,
    ),
    _post("/api/embed", imported_handler("lmx_ollama.embedding", "embed"), "Embed texts", EmbedBody),
    _post("/api/embeddings", imported_handler("lmx_ollama.embedding", "embeddings"), "Embed a text", EmbeddingsBody),
    _post("/api/show", show, "Describe a model", ShowBody, shed=False),
    Route(method="GET", path="/api/tags", handler=tags, summary="List the models", shed=False),
    Route(method="GET", path="/api/ps", handler=ps, summary="List the models that are loaded", shed=False),
    Route(method="GET", path="/api/version", handler=version, summary="The API's version", auth="open", shed=False),
)
