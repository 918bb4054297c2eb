from typing import Any

import pytest

from lmx_echo import TOKEN_ENGINE
from lmx_echo.byte_tokenizer import END, TURN, ByteTokenizer
from lmx_echo.config import EchoConfig
from lmx_echo.step_engine import EchoStepEngine, last_turn
from lmx_hookspecs import Message, Sampling, TokenPiece, TokenRequest


def engine(**config: Any) -> EchoStepEngine:
    return EchoStepEngine(EchoConfig(**config), TOKEN_ENGINE)


def request(text: str, **fields: Any) -> TokenRequest:
    return TokenRequest(**{"tokens": list(text.encode()), "max_tokens": 100, "sampling": Sampling(), **fields})


def run(steps: EchoStepEngine) -> list[TokenPiece]:
    pieces: list[TokenPiece] = []
    while steps.describe().details["rows"]:
        pieces += steps.step()
    return pieces


def test_a_chat_is_rendered_turn_by_turn() -> None:
    messages = [Message(role="system", content="be brief"), Message(role="user", content="é")]

    tokens = ByteTokenizer().render(messages, (), {})

    assert tokens == [TURN, *b"be brief", TURN, 0xC3, 0xA9]
    assert last_turn(tokens) == [0xC3, 0xA9]


def test_the_detokenizer_holds_back_half_a_character() -> None:
    tokenizer = ByteTokenizer()
    detokenizer = tokenizer.detokenizer()

    texts = [detokenizer.add(token) for token in [*"aé".encode(), 0xE2, 0x82]]

    assert texts == ["a", "", "é", "", ""]
    assert detokenizer.finish() == "\ufffd"


def test_the_tokens_come_back_and_then_the_end() -> None:
    steps = engine()
    steps.add(1, request("ab"))

    assert run(steps) == [
        TokenPiece(id=1, token=ord("a")),
        TokenPiece(id=1, token=ord("b")),
        TokenPiece(id=1, token=END, finish_reason="stop"),
    ]


def test_the_last_token_that_may_be_given_carries_the_reason() -> None:
    steps = engine()
    steps.add(1, request("abc", max_tokens=2))

    assert [(piece.token, piece.finish_reason) for piece in run(steps)] == [(ord("a"), None), (ord("b"), "length")]


def test_log_probabilities_say_that_an_echo_is_certain() -> None:
    steps = engine()
    steps.add(1, request("a", logprobs=1))

    piece = steps.step()[0]

    assert (piece.logprob, piece.top) == (0.0, ((ord("a"), 0.0),))


def test_a_cancelled_row_is_forgotten() -> None:
    steps = engine()
    steps.add(1, request("a"))
    steps.add(2, request("b"))

    steps.cancel(1)
    steps.cancel(99)

    assert {piece.id for piece in run(steps)} == {2}


def test_a_step_waits_only_a_little_for_a_row_that_is_not_due() -> None:
    steps = engine(delay_ms=60_000)
    steps.add(1, request("a"))

    assert steps.step() == []


def test_failures_follow_the_script() -> None:
    failing, crashing = engine(fail_after=1), engine(crash_after=0)
    failing.add(1, request("ab"))
    crashing.add(1, request("ab"))

    pieces = run(failing)

    assert (pieces[-1].finish_reason, pieces[-1].error) == ("error", "the echo was told to fail")
    with pytest.raises(RuntimeError, match="told to crash"):
        crashing.step()
