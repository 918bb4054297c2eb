"""About how many tokens a request's prompts have, for where nobody has counted them."""

from collections.abc import Iterator, Sequence

from lmx_hookspecs import EmbeddingRequest, GenerationRequest, RerankRequest

BYTES_PER_TOKEN = 4
"""Of UTF-8, in the vocabularies of this field."""


def tokens(request: GenerationRequest | EmbeddingRequest | RerankRequest) -> int:
    """Token ids are counted, texts are estimated."""
    parts = list(_parts(request))
    counted = sum(len(part) for part in parts if not isinstance(part, str))
    size_bytes = sum(len(part.encode("utf-8", "replace")) for part in parts if isinstance(part, str))
    return counted + -(-size_bytes // BYTES_PER_TOKEN)


def _parts(request: GenerationRequest | EmbeddingRequest | RerankRequest) -> Iterator[str | Sequence[int]]:
    if isinstance(request, RerankRequest):
        yield from (request.query, *request.documents)
    elif isinstance(request, EmbeddingRequest):
        yield from request.inputs
    else:
        yield from request.prompts
        yield from (text for message in request.messages or () for text in _texts(message.content))


def _texts(content: object) -> Iterator[str]:
    """Of a message: the content itself, or its parts of text."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Sequence):
        yield from (text for part in content if isinstance(text := part.get("text"), str))
