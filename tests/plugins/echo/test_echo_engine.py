from typing import Any

import pytest

from lmx_echo import ANY_ENGINE
from lmx_echo.config import EchoConfig
from lmx_echo.engine import EchoEngine
from lmx_echo.words import words
from lmx_hookspecs import GenerationRequest, Message, Piece
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest


def chat(*texts: str, **fields: Any) -> GenerationRequest:
    return GenerationRequest(model="echo", messages=[Message(role="user", content=text) for text in texts], **fields)


async def answer(request: GenerationRequest, **config: Any) -> list[Piece]:
    _begun, *pieces = [piece async for piece in EchoEngine(EchoConfig(**config), ANY_ENGINE).generate(request)]
    return pieces


def text(pieces: list[Piece], index: int = 0) -> str:
    return "".join(piece.text for piece in pieces if piece.index == index)


@pytest.mark.parametrize("said", ["", " ", "one", " one  two\n", "a\tb c "])
def test_words_joined_are_the_text(said: str) -> None:
    assert "".join(words(said)) == said


async def test_the_last_user_message_comes_back_word_by_word() -> None:
    pieces = await answer(chat("hello", "how are you"))

    assert [piece.text for piece in pieces] == ["how", " are", " you", ""]
    assert pieces[-1].finish_reason == "stop"


async def test_content_parts_of_text_are_read_and_others_refused() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    image = [{"type": "image_url", "image_url": {}}]

    pieces = await answer(GenerationRequest(model="echo", messages=[Message(role="user", content=parts)]))

    assert text(pieces) == "one two"
    with pytest.raises(InvalidRequest, match="reads text only"):
        await answer(GenerationRequest(model="echo", messages=[Message(role="user", content=image)]))


async def test_a_configured_reply_answers_everything() -> None:
    assert text(await answer(chat("hello"), reply="so what")) == "so what"


async def test_usage_counts_what_was_said_and_answered() -> None:
    usage = (await answer(chat("one two", "three"), reply="a b c d"))[-1].usage

    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (3, 4)


async def test_the_tokens_of_the_prompt_are_told_before_anything_is_said() -> None:
    pieces = EchoEngine(EchoConfig(delay_ms=60_000), ANY_ENGINE).generate(chat("one two", "three"))

    begun = await anext(pieces)

    assert begun == Piece(prompt_tokens=3)


async def test_max_tokens_end_an_answer() -> None:
    pieces = await answer(chat("one two three"), reply=None)
    shortened = await answer(chat("one two three", max_tokens=2))

    assert (text(pieces), pieces[-1].finish_reason) == ("one two three", "stop")
    assert (text(shortened), shortened[-1].finish_reason) == ("one two", "length")


async def test_the_context_ends_an_answer_too() -> None:
    pieces = await answer(chat("one two", num_ctx=5), reply="a b c d e", context_length=100)

    assert (text(pieces), pieces[-1].finish_reason) == ("a b c", "length")


async def test_a_prompt_that_fills_the_context_is_refused() -> None:
    with pytest.raises(ContextLengthExceeded, match="3 tokens and the context 3"):
        await answer(chat("one two three"), context_length=3)


async def test_a_stop_string_ends_an_answer() -> None:
    pieces = await answer(chat("one two three", stop=["x", "wo"]))

    assert (text(pieces), pieces[-1].finish_reason) == ("one t", "stop")


async def test_choices_of_several_prompts_are_numbered_through() -> None:
    pieces = await answer(GenerationRequest(model="echo", prompts=["a b", "c"], n=2))

    assert [text(pieces, index) for index in range(4)] == ["a b", "a b", "c", "c"]
    assert [piece.index for piece in pieces if piece.finish_reason] == [0, 1, 2, 3]
    assert pieces[-1].usage is not None
    assert (pieces[-1].usage.prompt_tokens, pieces[-1].usage.completion_tokens) == (3, 6)


async def test_token_ids_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="echo-tokens"):
        await answer(GenerationRequest(model="echo", prompts=[[1, 2]]))


async def test_an_answer_fails_where_the_script_says_so() -> None:
    pieces = EchoEngine(EchoConfig(fail_after=1), ANY_ENGINE).generate(chat("one two"))

    _begun, first = await anext(pieces), await anext(pieces)

    assert first.text == "one"
    with pytest.raises(RuntimeError, match="told to fail"):
        await anext(pieces)
