import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from http_support import USAGE, ScriptedGeneration
from lmx_hookspecs import Piece, ToolCallDelta
from lmx_openai.chunks import ChatShape, ChunkEncoder, CompletionShape, Shape, event
from lmx_openai.gather import Identity

ME = Identity("chatcmpl-1", 1_700_000_000)
MODEL = 'a "model"'


def encoder(shape: Shape, *, choices: int = 1, usage: bool = False) -> ChunkEncoder:
    return ChunkEncoder(ME, shape, ScriptedGeneration([], MODEL), choices, usage, [])


def events(raw: bytes) -> Sequence[Any]:
    assert raw.endswith(b"\n\n")
    return [json.loads(part.removeprefix(b"data: ")) for part in raw.split(b"\n\n")[:-1]]


ANY_TEXT = st.text(st.characters(exclude_categories=()), min_size=1)
"""Line breaks of all kinds, control characters and lone surrogates included."""


@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4), usage=st.booleans())
def test_any_text_survives_the_way_through_a_chat_chunk(texts: list[str], usage: bool) -> None:
    chunks = encoder(ChatShape(), usage=usage)

    raw = b"".join(chunks.piece(Piece(text=text)) for text in texts)

    assert [chunk["choices"][0]["delta"]["content"] for chunk in events(raw)] == ["", *texts]


@given(texts=st.lists(ANY_TEXT, min_size=1, max_size=4))
def test_any_text_survives_the_way_through_a_completion_chunk(texts: list[str]) -> None:
    chunks = encoder(CompletionShape())

    raw = b"".join(chunks.piece(Piece(text=text)) for text in texts)

    assert [chunk["choices"][0]["text"] for chunk in events(raw)] == texts


def test_the_model_that_takes_over_before_the_first_piece_is_the_one_that_is_named() -> None:
    generation = ScriptedGeneration([], MODEL)
    chunks = ChunkEncoder(ME, ChatShape(), generation, 1, False, [])
    generation.model = "another"

    raw = chunks.piece(Piece(text="a")) + chunks.piece(Piece(text="b"))

    assert [chunk["model"] for chunk in events(raw)] == ["another"] * 3


def test_a_chunk_from_the_template_is_a_chunk_built_in_full() -> None:
    chunks = encoder(ChatShape(), choices=2, usage=True)
    chunks.piece(Piece(index=0, text="first"))

    quick = chunks.piece(Piece(index=1, text='"quoted"\n'))

    assert quick == event(
        {
            **ME.head("chat.completion.chunk", MODEL),
            "choices": [{"index": 1, "delta": {"content": '"quoted"\n'}, "logprobs": None, "finish_reason": None}],
            "usage": None,
        }
    )


@pytest.mark.parametrize("shape", [ChatShape(), CompletionShape()])
def test_a_piece_without_text_is_no_chunk(shape: Shape) -> None:
    chunks = encoder(shape)
    chunks.piece(Piece(text="first"))

    assert chunks.piece(Piece(tokens=1)) == b""


def test_text_and_end_may_come_in_one_piece() -> None:
    chunks = encoder(CompletionShape())

    raw = chunks.piece(Piece(text="all", finish_reason="length", usage=USAGE))

    assert [(chunk["choices"][0]["text"], chunk["choices"][0]["finish_reason"]) for chunk in events(raw)] == [
        ("all", None),
        ("", "length"),
    ]
    assert chunks.end() == b"data: [DONE]\n\n"


def test_what_a_piece_brings_of_one_call_is_one_delta() -> None:
    head = ToolCallDelta(index=0, id="call_1", name="f")
    piece = Piece(
        tool_calls=[head, ToolCallDelta(index=0, arguments="{"), ToolCallDelta(index=1, id="call_2", name="g")]
    )

    _, chunk = events(encoder(ChatShape()).piece(piece))

    assert chunk["choices"][0]["delta"]["tool_calls"] == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{"}},
        {"index": 1, "id": "call_2", "type": "function", "function": {"name": "g", "arguments": ""}},
    ]
