from typing import Any

from lmx import prompt_size
from lmx_hookspecs import EmbeddingRequest, GenerationRequest, Message, RerankRequest


def test_texts_of_every_kind_of_request_are_estimated_and_token_ids_counted() -> None:
    parts: list[dict[str, Any]] = [{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {}}]
    messages = [
        Message(role="system", content="abcd"),
        Message(role="user", content=parts),
        Message(role="assistant"),
    ]

    sizes = [
        prompt_size.tokens(GenerationRequest(model="m", messages=messages)),
        prompt_size.tokens(GenerationRequest(model="m", prompts=["abcde", [1, 2, 3]])),
        prompt_size.tokens(EmbeddingRequest(model="m", inputs=["abcd", [1]])),
        prompt_size.tokens(RerankRequest(model="m", query="abcd", documents=["abcd", "ab"])),
    ]

    assert sizes == [2, 5, 2, 3]


def test_what_is_written_in_other_scripts_counts_by_its_bytes() -> None:
    assert prompt_size.tokens(EmbeddingRequest(model="m", inputs=["\u65e5\u672c\ud800"])) == 2
