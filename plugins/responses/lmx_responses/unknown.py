"""What a request asks for that no response here can have: harmless ones pass, the rest is refused or reported."""

from collections.abc import Iterator

from lmx_hookspecs import Request
from lmx_hookspecs.unsupported import EMPTY, dropped
from lmx_responses.requests import ResponseRequest

WITHOUT_EFFECT = frozenset({"prompt_cache_options", "prompt_cache_retention"})
"""Accepted with any value: they describe the request, not the answer."""
LOGPROBS = "message.output_text.logprobs"
RESULTS = "file_search_call.results"
INCLUDABLE = frozenset(
    {
        LOGPROBS,
        RESULTS,
        "code_interpreter_call.outputs",
        "computer_call_output.output.image_url",
        "message.input_image.image_url",
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "web_search_call.results",
    }
)
"""All but the first two concern items that never occur here, or reasoning, which is told in clear."""
NO_SUMMARY = "reasoning.summary was dropped: reasoning is not summarised; the items of type reasoning have its text"


def check_unsupported(request: Request) -> list[str]:
    """Warnings about what is dropped for a lenient client; raises UnsupportedParameter for anybody else."""
    told = dropped(_unsupported(request), lenient=request.lenient)
    return [*told, NO_SUMMARY] if _wants_summary(request.body) else told


def _unsupported(request: Request) -> Iterator[str]:
    body: ResponseRequest = request.body
    for name, value in request.unknown.items():
        if name not in WITHOUT_EFFECT and value not in EMPTY:
            yield name
    for place, name in enumerate(body.include or ()):
        if name not in INCLUDABLE:
            yield f"include[{place}]"
    if body.text is not None and body.text.verbosity not in (None, "medium"):
        yield "text.verbosity"


def _wants_summary(body: ResponseRequest) -> bool:
    asked = body.reasoning
    return asked is not None and (asked.summary or asked.generate_summary) is not None
