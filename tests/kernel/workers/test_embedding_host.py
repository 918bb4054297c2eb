"""The host of token-level engines, with engines whose vectors are written down."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from attrs import define, field, frozen

from lmx.workers import vectors
from lmx_echo.byte_tokenizer import ByteTokenizer
from lmx_hookspecs import Capability, EmbeddingRequest, EngineDescription, GenerationRequest, LmxError
from lmx_hookspecs.errors import EngineFailed, InvalidRequest, PluginError, UnsupportedParameter
from token_host_support import ANSWER_LIMIT_S, Kernel, ScriptedSteps, hosted, script

Vectors = Sequence[Sequence[float]]


@frozen
class SlowTokenizer(ByteTokenizer):
    """One that has to wait for the text "slow"."""

    wait: Callable[[], None] = lambda: None

    def encode(self, text: str) -> list[int]:
        if text == "slow":
            self.wait()
        return super().encode(text)


EMBEDS = frozenset({Capability.EMBED})


@define(eq=False)
class Silent(ScriptedSteps):
    """An engine that says what it is told to, and has no method `embed`."""

    capabilities: frozenset[str] = EMBEDS
    details: dict[str, Any] = field(factory=dict)

    def describe(self) -> EngineDescription:
        return EngineDescription(
            context_length=100, capabilities=self.capabilities, memory_bytes=0, details=self.details
        )


@define(eq=False)
class Embedding(Silent):
    """An engine that embeds."""

    made: Callable[[Sequence[Sequence[int]]], Vectors] = lambda inputs: [[float(len(one)), 1.0] for one in inputs]
    batches: list[int] = field(factory=list)

    def embed(self, inputs: Sequence[Sequence[int]]) -> Vectors:
        self.batches.append(len(inputs))
        return self.made(inputs)


def ask(kernel: Kernel, *inputs: Any, request_id: int = 1, **fields: Any) -> tuple[dict[int, list[float]], Any]:
    """The vectors by the place of their input, and the result."""
    kernel.send("embed", request_id, EmbeddingRequest(model="m", inputs=inputs, **fields))
    got: dict[int, list[float]] = {}
    while len(got) < len(inputs):
        got |= {place: list(vectors.from_wire(sent)) for place, sent in kernel.receive("vectors")}
    return got, kernel.receive("result")


def test_vectors_come_with_the_places_of_their_inputs_and_then_the_count() -> None:
    with hosted(Embedding(script(""))) as kernel:
        got, result = ask(kernel, "four", "a", [1, 2])

    assert got == {0: [4.0, 1.0], 1: [1.0, 1.0], 2: [2.0, 1.0]}
    assert result == {"prompt_tokens": 7, "model": ""}


@pytest.mark.parametrize(
    ("engine", "fields", "error", "words"),
    [
        (Silent(script(""), capabilities=frozenset()), {}, UnsupportedParameter, "'m' cannot embed"),
        (Embedding(script(""), capabilities=frozenset()), {}, UnsupportedParameter, "'m' cannot embed"),
        (Silent(script("")), {}, PluginError, "has no method `embed`; mend the plugin"),
        (Embedding(script("")), {"dimensions": 1}, UnsupportedParameter, "dimensions is not supported"),
        (Embedding(script(""), made=lambda _: [[1.0]] * 9), {}, EngineFailed, "9 vectors for 1 inputs"),
        (Embedding(script(""), made=lambda _: [[float("nan")]]), {}, EngineFailed, "finite numbers"),
        (Embedding(script(""), made=lambda _: 1 / 0), {}, EngineFailed, "gave up: ZeroDivisionError"),  # type: ignore[arg-type,return-value]
        (
            Embedding(script(""), details={"matryoshka": True}),
            {"dimensions": 3},
            InvalidRequest,
            "vectors have 2; ask for fewer",
        ),
    ],
)
def test_what_goes_wrong_fails_that_request_and_the_host_goes_on(
    engine: Any, fields: dict[str, Any], error: type[LmxError], words: str
) -> None:
    with hosted(engine) as kernel:
        with pytest.raises(error, match=words):
            ask(kernel, "a", **fields)

        assert kernel.call("describe")["memory_bytes"] == 0


def test_shorter_vectors_are_made_of_the_first_components() -> None:
    engine = Embedding(script(""), made=lambda inputs: [[3.0, 4.0, 5.0] for _ in inputs], details={"matryoshka": True})

    with hosted(engine) as kernel:
        got, _ = ask(kernel, "a", dimensions=2)

    assert got[0] == pytest.approx([0.6, 0.8])


def test_what_is_cancelled_between_two_batches_is_not_embedded_further() -> None:
    first, may_go_on = threading.Event(), threading.Event()

    def wait(inputs: Sequence[Sequence[int]]) -> Vectors:
        first.set()
        assert may_go_on.wait(ANSWER_LIMIT_S)
        return [[1.0] for _ in inputs]

    engine = Embedding(script(""), made=wait)
    with hosted(engine) as kernel:
        kernel.send("embed", 1, EmbeddingRequest(model="m", inputs=["a"] * 1000))
        assert first.wait(ANSWER_LIMIT_S)
        kernel.send("cancel", 1)
        may_go_on.set()
        kernel.receive("vectors")  # of the batch that was under way
        got, _ = ask(kernel, "b", request_id=2)

    assert got == {0: [1.0]}
    assert engine.batches == [vectors.VECTORS_A_FRAME, 1]


def test_what_is_cancelled_before_it_is_prepared_never_reaches_the_engine() -> None:
    encoding, may_go_on = threading.Event(), threading.Event()

    def slowly() -> None:
        encoding.set()
        assert may_go_on.wait(ANSWER_LIMIT_S)

    engine = Embedding(script(""), tokenizer=SlowTokenizer(wait=slowly))
    with hosted(engine) as kernel:
        for request_id, text in ((1, "slow"), (2, "waiting")):
            kernel.send("embed", request_id, EmbeddingRequest(model="m", inputs=[text]))
        assert encoding.wait(ANSWER_LIMIT_S)
        kernel.send("cancel", 1)  # while it is being prepared
        kernel.send("cancel", 2)  # while it waits to be
        may_go_on.set()
        got, _ = ask(kernel, "next", request_id=3)

    assert got == {0: [4.0, 1.0]}
    assert engine.batches == [1]


def test_rows_go_on_between_the_batches() -> None:
    rows_meanwhile: list[int] = []

    def note(inputs: Sequence[Sequence[int]]) -> Vectors:
        rows_meanwhile.append(len(engine.rows))
        return [[1.0] for _ in inputs]

    engine = Embedding(script("a" * 40), capabilities=EMBEDS | {Capability.COMPLETION}, made=note)
    frames: list[str] = []
    with hosted(engine) as kernel:
        kernel.send("generate", 1, GenerationRequest(model="m", prompts=["hi"]))
        kernel.send("embed", 2, EmbeddingRequest(model="m", inputs=["x"] * 640))
        while "result" not in frames:
            frames.append(next(kernel.frames)[0])

    between = frames[frames.index("vectors") : -1]
    assert rows_meanwhile == [1] * 10
    assert between.count("step") >= 9
