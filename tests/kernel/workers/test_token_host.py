"""The host of token-level engines, with an engine whose steps are written down."""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from attrs import define, field

from lmx.workers import wire
from lmx.workers.activity import Activity
from lmx.workers.frames import Decoder, Encoder, FrameSocket
from lmx.workers.token_host import TokenHost
from lmx_echo.byte_tokenizer import END, ByteTokenizer
from lmx_hookspecs import (
    EngineDescription,
    GenerationRequest,
    Piece,
    Sampling,
    StepEngine,
    TokenLogprob,
    TokenPiece,
    TokenRequest,
)
from lmx_hookspecs.errors import EngineFailed, InvalidRequest
from worker_support import reasons, usage_of

Script = Sequence[dict[str, Any]]
"""The pieces of every row, in order, without their id."""


@define(eq=False)
class ScriptedSteps:
    """A StepEngine that gives each row the same pieces, one a step."""

    script: Script
    refuse: Callable[[TokenRequest], None] = lambda _: None
    tokenizer: ByteTokenizer = field(factory=ByteTokenizer)
    requests: list[TokenRequest] = field(factory=list)
    cancelled: list[int] = field(factory=list)
    closed: bool = False
    rows: dict[int, int] = field(factory=dict)

    def add(self, row: int, request: TokenRequest) -> None:
        self.refuse(request)
        self.requests.append(request)
        self.rows[row] = 0

    def cancel(self, row: int) -> None:
        self.cancelled.append(row)
        self.rows.pop(row, None)

    def step(self) -> Sequence[TokenPiece]:
        pieces = [TokenPiece(id=row, **self.script[at]) for row, at in self.rows.items()]
        self.rows = {piece.id: self.rows[piece.id] + 1 for piece in pieces if not piece.finish_reason}
        return pieces

    def describe(self) -> EngineDescription:
        return EngineDescription(context_length=100, capabilities=frozenset(), memory_bytes=0)

    def close(self) -> None:
        self.closed = True


@define(eq=False)
class Kernel:
    """The other end of the socket pair."""

    host: TokenHost
    frames: Iterator[Any]

    def generate(self, **fields: Any) -> list[Piece]:
        request = GenerationRequest(model="m", **{"prompts": ["hi"], **fields})
        self.send("generate", 1, request)
        pieces: list[Piece] = []
        while not pieces or pieces[-1].usage is None:
            pieces += map(wire.piece_from_wire, self.receive("step"))
        return pieces

    def call(self, method: str) -> Any:
        self.send("call", -1, method, [])
        return self.receive("result")

    def send(self, *frame: Any) -> None:
        (arrived,) = Decoder().feed(Encoder().encode(frame))
        self.host.receive(arrived)

    def receive(self, kind: str) -> Any:
        """What the next frame holds; raises the error of a `failed` one."""
        frame = next(self.frames)
        if frame[0] == "failed":
            raise wire.error_from_wire(frame[2])
        assert frame[0] == kind
        return frame[-1]


@contextmanager
def hosted(engine: StepEngine) -> Iterator[Kernel]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host = TokenHost(lambda: engine, FrameSocket(theirs), Activity())
        host.load()
        main_thread = threading.Thread(target=host.run)
        main_thread.start()
        try:
            yield Kernel(host, FrameSocket(ours).frames())
        finally:
            host.stop()
            main_thread.join(10)


def script(text: str | bytes, *, logprob: float | None = None, **last: Any) -> Script:
    """One piece a byte, then the end."""
    data = text.encode() if isinstance(text, str) else text
    return [*({"token": byte, "logprob": logprob} for byte in data), last or {"token": END, "finish_reason": "stop"}]


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
    assert pieces[-1].finish_reason == "stop"
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


def test_a_row_that_the_engine_gives_up_fails_the_request_and_frees_its_other_rows() -> None:
    engine = ScriptedSteps([{"finish_reason": "error", "error": "no more blocks"}])
    with hosted(engine) as kernel:
        with pytest.raises(EngineFailed, match="no more blocks"):
            kernel.generate(n=2)

        assert kernel.call("describe")["context_length"] == 100
    assert not engine.rows


def test_a_refusal_of_the_engine_fails_the_request_and_frees_its_other_rows() -> None:
    def refuse(request: TokenRequest) -> None:
        if request.sampling.seed == 8:
            raise InvalidRequest("no eights", param="seed")

    engine = ScriptedSteps(script("a"), refuse)
    with hosted(engine) as kernel:
        with pytest.raises(InvalidRequest, match="no eights"):
            kernel.generate(n=2, sampling=Sampling(seed=7))

        assert usage_of(kernel.generate()).completion_tokens == 1
    assert engine.cancelled == [0]


def test_text_that_cannot_travel_fails_its_request_only() -> None:
    class Surrogates(ByteTokenizer):
        def decode(self, tokens: Sequence[int]) -> str:  # noqa: ARG002  the interface
            return "\ud800"

    engine = ScriptedSteps(script("a"))
    engine.tokenizer = Surrogates()
    with hosted(engine) as kernel:
        with pytest.raises(EngineFailed, match="cannot be sent"):
            kernel.generate(prompts=[[97]], echo=True)

        assert usage_of(kernel.generate()).completion_tokens == 1


def test_a_cancelled_request_is_forgotten_in_whatever_stage_it_is() -> None:
    engine = ScriptedSteps([{"token": 97}] * 1_000_000)
    with hosted(engine) as kernel:
        kernel.send("generate", 1, GenerationRequest(model="m", prompts=["hi"]))
        kernel.receive("step")
        kernel.send("cancel", 1)
        kernel.send("cancel", 1)
        kernel.send("call", -1, "describe", [])
        while next(kernel.frames)[0] != "result":
            pass

        assert engine.cancelled == [0]
        assert not engine.rows


def test_a_template_that_breaks_fails_its_request_only(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(ByteTokenizer):
        def encode(self, text: str) -> list[int]:
            return [1 // len(text)]

    engine = ScriptedSteps(script("a"))
    engine.tokenizer = Broken()
    with hosted(engine) as kernel:
        with pytest.raises(EngineFailed, match="could not be prepared: ZeroDivisionError"):
            kernel.generate(prompts=[""])

        assert usage_of(kernel.generate()).completion_tokens == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_unknown_method_is_an_error_of_the_call() -> None:
    with hosted(ScriptedSteps(script("a"))) as kernel, pytest.raises(EngineFailed, match="AttributeError"):
        kernel.call("no_such_method")


def test_stopping_closes_the_engine() -> None:
    engine = ScriptedSteps(script("a"))

    with hosted(engine):
        pass

    assert engine.closed
