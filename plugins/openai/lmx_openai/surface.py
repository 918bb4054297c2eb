"""The routes of the OpenAI API."""

from lmx_hookspecs import Route
from lmx_hookspecs.http import imported_handler
from lmx_openai.answers import ChatCompletion, Completion, EmbeddingList, RerankAnswer
from lmx_openai.models import Model, ModelList, get_model, list_models
from lmx_openai.requests import ChatRequest, CompletionRequest, EmbeddingsRequest, RerankingRequest

ROUTES = (
    Route(
        method="POST",
        path="/v1/chat/completions",
        handler=imported_handler("lmx_openai.chat", "create_chat_completion"),
        summary="Answer a chat",
        body=ChatRequest,
        answer=ChatCompletion,
        allow_unknown=True,
        streams=True,
    ),
    Route(
        method="POST",
        path="/v1/completions",
        handler=imported_handler("lmx_openai.completions", "create_completion"),
        summary="Continue one or several prompts",
        body=CompletionRequest,
        answer=Completion,
        allow_unknown=True,
        streams=True,
    ),
    Route(
        method="POST",
        path="/v1/embeddings",
        handler=imported_handler("lmx_openai.embeddings", "create_embeddings"),
        summary="Embed texts",
        body=EmbeddingsRequest,
        answer=EmbeddingList,
        allow_unknown=True,
    ),
    *(
        Route(
            method="POST",
            path=path,
            handler=imported_handler("lmx_openai.rerank", "create_reranking"),
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
