from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

import pytest
from attrs import define, field

from lmx.workers.trimming import TrimTimer
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import (
    GenerationRequest,
    Sampling,
    TokenRequest,
)
from lmx_hookspecs.errors import EngineFailed, InvalidRequest
from token_host_support import ANSWER_LIMIT_S, ScriptedSteps, hosted, script
from worker_support import usage_of


@define(eq=False)
class TrimmableSteps(ScriptedSteps):
    """Notes how many rows there were at each trim."""

    trims: SimpleQueue[int] = field(factory=SimpleQueue)

    def trim(self) -> None:
        self.trims.put(len(self.rows))


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


def test_an_answer_that_its_reader_cannot_read_fails_alone(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(ByteTokenizer):
        def detokenizer(self) -> Any:
            return self

        def add(self, token: int) -> str:
            if token == ord("x"):
                raise ValueError("no x")
            return chr(token)

        def finish(self) -> str:
            return ""

    engine = ScriptedSteps([{"token": ord("x")}, {"token": ord("y")}])
    engine.tokenizer = Broken()
    with hosted(engine) as kernel:
        with pytest.raises(EngineFailed, match="could not be read: ValueError: no x"):
            kernel.generate()

        assert kernel.call("describe")["context_length"] == 100
    assert "Traceback" in capsys.readouterr().err


def test_stopping_closes_the_engine() -> None:
    engine = ScriptedSteps(script("a"))

    with hosted(engine):
        pass

    assert engine.closed


def test_an_idle_engine_is_trimmed_once_after_it_was_loaded_and_after_each_stretch_of_work() -> None:
    engine = TrimmableSteps(script("abc"))

    with hosted(engine, TrimTimer(0.0)) as kernel:
        trims = [engine.trims.get(timeout=ANSWER_LIMIT_S)]
        for _ in range(2):
            kernel.generate()
            trims.append(engine.trims.get(timeout=ANSWER_LIMIT_S))
        kernel.call("describe")

    assert trims == [0, 0, 0]
    assert engine.trims.empty()


def test_an_engine_that_keeps_nothing_for_reuse_need_not_trim() -> None:
    engine = ScriptedSteps(script("abc"))

    with hosted(engine, TrimTimer(0.0)) as kernel:
        kernel.generate()

        assert kernel.call("describe")["context_length"] == 100
