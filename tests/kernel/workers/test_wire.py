from pathlib import Path
from typing import Any

import pytest

from lmx.workers import wire
from lmx.workers.frames import Decoder, Encoder
from lmx_hookspecs import (
    EngineDescription,
    GenerationRequest,
    Message,
    ModelInfo,
    Piece,
    Sampling,
    TokenLogprob,
    ToolCallDelta,
    Usage,
)
from lmx_hookspecs.errors import InvalidRequest


def sent(value: Any) -> Any:
    (frame,) = Decoder().feed(Encoder().encode(["x", value]))
    return frame[1]


def test_a_request_arrives_as_it_was() -> None:
    request = GenerationRequest(
        model="m",
        messages=[Message(role="user", content=[{"type": "text", "text": "hi"}]), Message(role="assistant", name="a")],
        stop=["\n"],
        sampling=Sampling(logit_bias={5: -100.0}, seed=3),
        tools=[{"type": "function"}],
        chat_template_kwargs={"enable_thinking": False},
    )

    arrived = wire.request_from_wire(sent(request))

    assert arrived.messages is not None
    assert [message.role for message in arrived.messages] == ["user", "assistant"]
    assert arrived.messages[0].content == [{"type": "text", "text": "hi"}]
    assert arrived.sampling == request.sampling
    assert (arrived.stop, arrived.tools, arrived.chat_template_kwargs) == (
        request.stop,
        request.tools,
        request.chat_template_kwargs,
    )


def test_prompts_of_text_and_of_tokens_arrive() -> None:
    arrived = wire.request_from_wire(sent(GenerationRequest(model="m", prompts=("a", (1, 2)))))

    assert arrived.messages is None
    assert arrived.prompts == ["a", [1, 2]]


@pytest.mark.parametrize(
    "piece",
    [
        Piece(index=3, text="hello", tokens=2),
        Piece(text="", finish_reason="stop", stop="END"),
        Piece(text="", finish_reason="length", usage=Usage(prompt_tokens=1, completion_tokens=2, decode_s=0.5)),
        Piece(
            reasoning="hm",
            tool_calls=(ToolCallDelta(index=0, name="f"),),
            logprobs=(TokenLogprob("a", b"a", -1.0, (TokenLogprob("b", b"b", -2.0),)),),
        ),
    ],
)
def test_a_piece_arrives_as_it_was(piece: Piece) -> None:
    wired = sent(wire.piece_to_wire(7, piece))

    assert wired[0] == 7
    assert wire.piece_from_wire(wired) == piece


def test_a_plain_piece_takes_four_values() -> None:
    assert wire.piece_to_wire(7, Piece(text="a", tokens=1)) == (7, 0, "a", 1)


@pytest.mark.parametrize("path", [Path("/models/a"), None])
def test_a_model_arrives_as_it_was(path: Path | None) -> None:
    model = ModelInfo(id="a", format="gguf", path=path, adapter=path, draft=path, settings={"echo": {"delay_ms": 5}})

    assert wire.model_from_wire(sent(model)) == model


def test_a_description_arrives_as_it_was() -> None:
    described = EngineDescription(
        context_length=8, capabilities=frozenset({"chat"}), memory_bytes=1, details={"device": "cpu"}
    )

    assert wire.description_from_wire(sent(described)) == described


def test_an_error_arrives_as_it_was_raised() -> None:
    raised = InvalidRequest("no", param="stop", retry_after_s=2.0, detail="no, because")
    arrived = wire.error_from_wire(sent(wire.error_to_wire(raised)))

    assert type(arrived) is InvalidRequest
    assert vars(arrived) == vars(raised)
