"""The routes of the OpenAI API."""

from lmx_hookspecs import Route, SurfaceSpec
from lmx_openai.answers import ChatCompletion, Completion
from lmx_openai.chat import create_chat_completion
from lmx_openai.completions import create_completion
from lmx_openai.models import Model, ModelList, get_model, list_models
from lmx_openai.requests import ChatRequest, CompletionRequest

SURFACE = SurfaceSpec(
    name="openai",
    routes=(
        Route(
            method="POST",
            path="/v1/chat/completions",
            handler=create_chat_completion,
            summary="Answer a chat",
            body=ChatRequest,
            answer=ChatCompletion,
            allow_unknown=True,
            streams=True,
        ),
        Route(
            method="POST",
            path="/v1/completions",
            handler=create_completion,
            summary="Continue one or several prompts",
            body=CompletionRequest,
            answer=Completion,
            allow_unknown=True,
            streams=True,
        ),
        Route(
            method="GET",
            path="/v1/models",
            handler=list_models,
            summary="List what can be asked for",
            answer=ModelList,
        ),
        Route(method="GET", path="/v1/models/{id:path}", handler=get_model, summary="Describe one model", answer=Model),
    ),
)
