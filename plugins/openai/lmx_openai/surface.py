"""The routes of the OpenAI API."""

from importlib import import_module

from lmx_hookspecs import Context, Request, Response, Route
from lmx_hookspecs.http import Handler
from lmx_openai.answers import ChatCompletion, Completion, EmbeddingList, RerankAnswer
from lmx_openai.models import Model, ModelList, get_model, list_models
from lmx_openai.requests import ChatRequest, CompletionRequest, EmbeddingsRequest, RerankingRequest


def _handler(module: str, name: str) -> Handler:
    """A handler whose module is imported by the first request: listing the plugins must not pay for it."""

    async def handle(ctx: Context, request: Request) -> Response:
        response: Response = await getattr(import_module(module), name)(ctx, request)
        return response

    return handle


ROUTES = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        handler=_handler("lmx_openai.chat", "create_chat_completion"),
        summary="Answer a chat",
        body=ChatRequest,
        answer=ChatCompletion,
        allow_unknown=True,
        streams=True,
    ),
    Route(
        method="POST",
        path="/v1/completions",
        handler=_handler("lmx_openai.completions", "create_completion"),
        summary="Continue one or several prompts",
        body=CompletionRequest,
        answer=Completion,
        allow_unknown=True,
        streams=True,
    ),
    Route(
        method="POST",
        path="/v1/embeddings",
        handler=_handler("lmx_openai.embeddings", "create_embeddings"),
        summary="Embed texts",
        body=EmbeddingsRequest,
        answer=EmbeddingList,
        allow_unknown=True,
    ),
    *(
        Route(
            method="POST",
            path=path,
            handler=_handler("lmx_openai.rerank", "create_reranking"),
            summary="Order documents by their relevance to a query",
            body=RerankingRequest,
            answer=RerankAnswer,
            allow_unknown=True,
        )
        for path in ("/v1/rerank", "/rerank")
    ),
    Route(
        method="GET",
        path="/v1/models",
        handler=list_models,
        summary="List what can be asked for",
        answer=ModelList,
        shed=False,
    ),
    Route(
        method="GET",
        path="/v1/models/{id:path}",
        handler=get_model,
        summary="Describe one model",
        answer=Model,
        shed=False,
    ),
)
