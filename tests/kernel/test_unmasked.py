import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from attrs import evolve

from lmx.unmasked import in_words, unmasked_of
from lmx_constrain.judging import judge_for
from lmx_hookspecs import GenerationRequest, Message, Piece, ToolCallDelta, Usage
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
GOOD, BAD = '{"a": 1}', '{"a": "one"}'
REQUEST = GenerationRequest(
    model="m",
    messages=[Message(role="system", content="be kind"), Message(role="user", content="a?")],
    response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}},
    stream=True,
)


class Engine:
    """Gives one answer after the other, and keeps what it was asked."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)
        self.asked: list[GenerationRequest] = []

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
        self.asked.append(request)
        text = self.answers.pop(0)
        usage = Usage(prompt_tokens=10, completion_tokens=5)
        yield Piece(text=text[:3], tokens=1)
        yield Piece(text=text[3:], tokens=4, finish_reason="stop", usage=usage)


async def answered(engine: Engine, request: GenerationRequest = REQUEST) -> tuple[Piece, list[str]]:
    unmasked = await unmasked_of(request, [judge_for])
    warnings: list[str] = []
    (piece,) = [piece async for piece in unmasked.answer(request, engine.generate, warnings)]
    return piece, warnings


async def test_the_schema_is_asked_for_in_words_behind_the_other_instructions() -> None:
    engine = Engine(GOOD)

    piece, warnings = await answered(engine)

    (asked,) = engine.asked
    roles = [message.role for message in asked.messages or ()]
    assert roles == ["system", "system", "user"]
    assert json.dumps(SCHEMA) in str((asked.messages or ())[1].content)
    assert asked.response_format is None
    assert piece.text == GOOD
    assert warnings == ["the model draws without masks: it was asked for JSON in words, and its answer was checked"]


async def test_a_code_fence_around_the_answer_is_taken_off() -> None:
    piece, _ = await answered(Engine(f"```json\n{GOOD}\n```"))

    assert piece.text == GOOD


async def test_a_wrong_answer_is_shown_to_the_model_once_with_what_is_wrong() -> None:
    engine = Engine(BAD, GOOD)

    piece, warnings = await answered(engine)

    assert piece.text == GOOD
    assert piece.usage == Usage(prompt_tokens=20, completion_tokens=10)
    *_, wrong, complaint = engine.asked[1].messages or ()
    assert wrong == Message(role="assistant", content=BAD)
    assert "$.a" in str(complaint.content)
    assert warnings == [
        "the model draws without masks: its answer was wrong, was asked for once more, and is right now"
    ]


async def test_an_answer_that_is_wrong_twice_is_given_with_a_warning() -> None:
    engine = Engine("no idea", BAD)

    piece, (warning,) = await answered(engine)

    assert piece.text == BAD
    assert "is still wrong" in warning
    assert len(engine.asked) == 2


async def test_a_call_of_a_tool_is_as_good_as_json() -> None:
    class Calling(Engine):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
            self.asked.append(request)
            calls = [ToolCallDelta(index=0, id="c", name="f", arguments="{}")]
            yield Piece(tool_calls=calls, finish_reason="tool_calls", usage=Usage(prompt_tokens=1, completion_tokens=1))

    engine = Calling()

    piece, _ = await answered(engine)

    assert piece.tool_calls[0].name == "f"
    assert len(engine.asked) == 1


async def test_where_it_cannot_be_asked_again_the_first_answer_is_given() -> None:
    class Once(Engine):
        async def generate(self, request: GenerationRequest) -> AsyncGenerator[Piece, None]:
            if len(self.asked) == 1:
                raise ContextLengthExceeded("too long")
            async for piece in super().generate(request):
                yield piece

    piece, (warning,) = await answered(Once(BAD))

    assert piece.text == BAD
    assert "could not be asked for once more (too long)" in warning


async def test_white_space_without_end_costs_nothing() -> None:
    piece, _ = await answered(Engine("```json" + "\n" * 200_000, GOOD))

    assert piece.text == GOOD


async def test_json_object_is_checked_too() -> None:
    piece, (warning,) = await answered(Engine("[1]", "{}"), evolve(REQUEST, response_format={"type": "json_object"}))

    assert piece.text == "{}"
    assert "is right now" in warning


@pytest.mark.parametrize(
    "request_",
    [
        evolve(REQUEST, response_format=None),
        evolve(REQUEST, n=2),
        evolve(REQUEST, messages=None, prompts=["a"]),
        evolve(REQUEST, response_format=None, regex="a+"),
    ],
)
def test_only_json_of_one_choice_of_a_chat_can_be_asked_for_in_words(request_: GenerationRequest) -> None:
    assert not in_words(request_, [judge_for])


def test_without_a_judge_nothing_is_promised() -> None:
    assert not in_words(REQUEST, [])
    assert in_words(REQUEST, [judge_for])


@pytest.mark.parametrize("schema", [{"type": "frob"}, {"type": "object", "properties": 3}])
async def test_a_schema_that_is_none_is_refused_at_once(schema: Any) -> None:
    told = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    with pytest.raises(InvalidRequest, match="cannot be used"):
        await unmasked_of(evolve(REQUEST, response_format=told), [judge_for])
