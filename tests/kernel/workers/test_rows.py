from lmx_echo.byte_tokenizer import END
from lmx_hookspecs import (
    TokenLogprob,
)
from token_host_support import Script, ScriptedSteps, hosted, script
from worker_support import reasons, usage_of


def test_tokens_become_text_and_the_end_is_not_part_of_it() -> None:
    with hosted(ScriptedSteps(script("abc"))) as kernel:
        pieces = kernel.generate()

    assert [(piece.text, piece.tokens) for piece in pieces] == [("a", 1), ("b", 1), ("c", 1), ("", 0)]
    assert pieces[-1].finish_reason == "stop"


def test_usage_counts_tokens_and_tells_prefill_from_decode() -> None:
    with hosted(ScriptedSteps(script("abc"))) as kernel:
        usage = usage_of(kernel.generate(n=2))

    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 6)
    assert usage.prefill_s > 0
    assert usage.decode_s > 0


def test_cached_tokens_count_once_for_each_prompt() -> None:
    steps: Script = [{"token": 97, "cached_tokens": 2}, {"token": END, "finish_reason": "stop"}]
    with hosted(ScriptedSteps(steps)) as kernel:
        usage = usage_of(kernel.generate(prompts=["hi", "hey"], n=2))

    assert (usage.prompt_tokens, usage.cached_tokens) == (5, 4)


def test_the_last_token_of_a_length_limit_is_part_of_the_text() -> None:
    with hosted(ScriptedSteps(script("ab", token=99, finish_reason="length"))) as kernel:
        pieces = kernel.generate()

    assert "".join(piece.text for piece in pieces) == "abc"
    assert pieces[-1].finish_reason == "length"
    assert usage_of(pieces).completion_tokens == 3


def test_a_character_of_several_tokens_comes_whole() -> None:
    with hosted(ScriptedSteps(script("aß€😀"))) as kernel:
        pieces = kernel.generate()

    assert [(piece.text, piece.tokens) for piece in pieces] == [("a", 1), ("ß", 2), ("€", 3), ("😀", 4), ("", 0)]


def test_a_character_that_never_ends_is_replaced() -> None:
    with hosted(ScriptedSteps(script("a€".encode()[:-1]))) as kernel:
        pieces = kernel.generate()

    assert [piece.text for piece in pieces] == ["a", "\ufffd"]
    assert usage_of(pieces).completion_tokens == 3


def test_a_stop_string_ends_the_row_in_the_engine_too() -> None:
    engine = ScriptedSteps(script("one STOP two"))
    with hosted(engine) as kernel:
        pieces = kernel.generate(stop=["STOP"])

    assert "".join(piece.text for piece in pieces) == "one "
    assert (pieces[-1].finish_reason, pieces[-1].stop) == ("stop", "STOP")
    assert usage_of(pieces).completion_tokens == len("one STOP")
    assert engine.cancelled == [0]


def test_a_stop_string_that_stays_incomplete_is_text() -> None:
    engine = ScriptedSteps(script("one STO"))
    with hosted(engine) as kernel:
        pieces = kernel.generate(stop=["STOP"])

    assert "".join(piece.text for piece in pieces) == "one STO"
    assert engine.cancelled == []


def test_choices_end_on_their_own_and_the_last_piece_carries_usage() -> None:
    with hosted(ScriptedSteps(script("ab"))) as kernel:
        pieces = kernel.generate(n=3)

    assert reasons(pieces) == dict.fromkeys(range(3), "stop")
    assert [piece.usage is not None for piece in pieces].count(True) == 1


def test_logprobs_come_with_the_text_of_their_tokens() -> None:
    with hosted(ScriptedSteps(script("a€", logprob=-0.5))) as kernel:
        pieces = kernel.generate(logprobs=0)

    assert [[logprob.token_bytes for logprob in piece.logprobs] for piece in pieces] == [
        [b"a"],
        [b"\xe2", b"\x82", b"\xac"],
        [],
    ]
    assert pieces[0].logprobs[0] == TokenLogprob("a", b"a", -0.5)


def test_tokens_of_a_stop_string_have_no_logprobs() -> None:
    with hosted(ScriptedSteps(script("ab STOP", logprob=-0.5))) as kernel:
        pieces = kernel.generate(logprobs=0, stop=["STOP"])

    assert "".join(logprob.token for piece in pieces for logprob in piece.logprobs) == "ab "


def test_alternatives_are_limited_to_what_was_asked_and_minus_infinity_is_a_number() -> None:
    steps = [{"token": 97, "logprob": -0.5, "top": ((97, -0.5), (98, -float("inf")), (99, -2.0))}]
    with hosted(ScriptedSteps([*steps, *script("")])) as kernel:
        pieces = kernel.generate(logprobs=2)

    assert list(pieces[0].logprobs[0].top) == [TokenLogprob("a", b"a", -0.5), TokenLogprob("b", b"b", -9999.0)]


def test_echo_gives_the_prompt_before_the_first_token() -> None:
    with hosted(ScriptedSteps(script("!"))) as kernel:
        pieces = kernel.generate(echo=True)

    assert [(piece.text, piece.tokens) for piece in pieces] == [("hi", 0), ("!", 1), ("", 0)]
