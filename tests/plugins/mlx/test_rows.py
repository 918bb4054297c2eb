from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest

from lmx_hookspecs import TokenPiece
from lmx_mlx.config import MlxConfig
from lmx_mlx.engine import MlxEngine
from lmx_mlx.prefix_cache import PrefixCache
from mlx_support import EOS, engine_of, prompt_of, request_of
from step_engine_support import Log, drain, run


def step_until(engine: MlxEngine, done: Callable[[list[TokenPiece]], bool]) -> list[TokenPiece]:
    """Step until the pieces so far satisfy `done`."""
    pieces: list[TokenPiece] = []
    for _ in range(20_000):  # on a busy machine prompts are read in small chunks
        pieces.extend(engine.step())
        if done(pieces):
            return pieces
    raise AssertionError("20,000 steps did not get there")


def counted(engine: MlxEngine) -> tuple[int, int]:
    details = engine.describe().details
    return details["rows"], details["queued"]


def test_a_row_cancelled_in_the_queue_never_runs(model_folder: Path) -> None:
    engine = engine_of(model_folder, completion_batch_size=1)
    engine.add(1, request_of(prompt_of(10), max_tokens=5))
    engine.add(2, request_of(prompt_of(10), max_tokens=5))
    engine.step()

    engine.cancel(2)

    assert {piece.id for piece in drain(engine)} == {1}


def test_a_row_cancelled_in_prefill_frees_its_place(model_folder: Path) -> None:
    engine = engine_of(model_folder, completion_batch_size=2)
    running = run(engine, [request_of(prompt_of(10), max_tokens=40)])[0].tokens
    engine.add(1, request_of(prompt_of(10), max_tokens=40))
    step_until(engine, bool)
    engine.add(2, request_of(prompt_of(4000), max_tokens=5))
    engine.step()
    engine.step()

    engine.cancel(2)
    engine.add(3, request_of(prompt_of(6), max_tokens=2))
    pieces = drain(engine)

    assert [piece.token for piece in pieces if piece.id == 1][-10:] == running[-10:]
    assert len([piece for piece in pieces if piece.id == 3]) == 2
    assert not [piece for piece in pieces if piece.id == 2]


def test_a_row_cancelled_in_decode_leaves_the_others_as_they_were(engine: MlxEngine) -> None:
    prompts = [prompt_of(20 + n, seed=n) for n in range(3)]
    expected = [result.tokens for result in run(engine, [request_of(prompt, max_tokens=30) for prompt in prompts])]
    for row, prompt in enumerate(prompts):
        engine.add(row, request_of(prompt, max_tokens=30))
    pieces = step_until(engine, lambda pieces: len(pieces) >= 15)

    engine.cancel(1)
    pieces += drain(engine)

    assert [piece.token for piece in pieces if piece.id == 0] == expected[0]
    assert [piece.token for piece in pieces if piece.id == 2] == expected[2]
    assert counted(engine) == (0, 0)


def test_unknown_and_finished_rows_are_ignored(engine: MlxEngine) -> None:
    run(engine, [request_of(prompt_of(5), max_tokens=1)])

    engine.cancel(0)
    engine.cancel(12345)

    assert engine.step() == ()


def test_a_row_number_can_be_used_again_once_it_is_free(engine: MlxEngine) -> None:
    first = run(engine, [request_of(prompt_of(5), max_tokens=3)])
    second = run(engine, [request_of(prompt_of(5), max_tokens=3)])

    assert first[0].tokens == second[0].tokens


def test_a_long_prompt_does_not_stall_running_rows(model_folder: Path) -> None:
    engine = engine_of(model_folder, config=MlxConfig(prefill_budget_ms=1.0))
    for row in range(4):
        engine.add(row, request_of(prompt_of(20, seed=row), max_tokens=3000, logit_bias={EOS: -1000.0}))
    step_until(engine, lambda pieces: len(pieces) > 40)
    engine.add(9, request_of(prompt_of(4000), max_tokens=1))

    steps = [engine.step()]
    while not any(piece.id == 9 for piece in steps[-1]):
        steps.append(engine.step())

    silences = "".join("." if pieces else " " for pieces in steps).split(".")
    assert max(map(len, silences)) <= 4
    assert sum(map(len, steps)) > 40


def test_rows_of_very_different_length_run_in_lanes_of_their_own(model_folder: Path) -> None:
    engine = engine_of(model_folder, config=MlxConfig(lane_padding_ratio=0.5))
    engine.add(1, request_of(prompt_of(20), max_tokens=5000, logit_bias={EOS: -1000.0}))
    engine.add(2, request_of(prompt_of(4000), max_tokens=50, logit_bias={EOS: -1000.0}))

    step_until(engine, lambda pieces: {piece.id for piece in pieces} == {1, 2})

    assert [lane["rows"] for lane in engine.describe().details["lanes"]] == [1, 1]


def test_a_long_prompt_joins_rows_of_like_length_once_it_is_through(model_folder: Path) -> None:
    engine = engine_of(model_folder, config=MlxConfig(lane_padding_ratio=1000.0))
    short, long = prompt_of(20), prompt_of(4000)
    expected = [result.tokens for result in run(engine, [request_of(long, max_tokens=8)])]
    engine = engine_of(model_folder, config=MlxConfig(lane_padding_ratio=1000.0))
    engine.add(1, request_of(short, max_tokens=5000, logit_bias={EOS: -1000.0}))
    step_until(engine, bool)
    engine.add(2, request_of(long, max_tokens=8))

    pieces = step_until(engine, lambda pieces: any(piece.id == 2 for piece in pieces))
    lanes = engine.describe().details["lanes"]
    pieces += step_until(engine, lambda pieces: any(piece.id == 2 and piece.finish_reason for piece in pieces))

    assert [lane["rows"] for lane in lanes] == [2]
    assert [piece.token for piece in pieces if piece.id == 2] == expected[0]


def test_a_failed_step_ends_its_rows_with_an_error_and_the_rest_go_on(model_folder: Path) -> None:
    engine = engine_of(model_folder, config=MlxConfig(lane_padding_ratio=0.0))
    engine.add(1, request_of(prompt_of(20), max_tokens=30))
    engine.add(2, request_of(prompt_of(35), max_tokens=30))
    step_until(engine, lambda pieces: {piece.id for piece in pieces} == {1, 2})
    engine._rows[2].lane.batch._generation.sample = failing  # type: ignore[union-attr]

    pieces = drain(engine)
    after = run(engine, [request_of(prompt_of(5), max_tokens=2)])

    (error,) = [piece for piece in pieces if piece.finish_reason == "error"]
    assert error.id == 2
    assert error.token is None
    assert "the sampler is broken" in str(error.error)
    assert [piece.finish_reason for piece in pieces if piece.id == 1][-1] in ("length", "stop")
    assert len(after[0].tokens) == 2


def test_an_engine_that_fails_step_after_step_gives_up(model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(model_folder)
    monkeypatch.setattr(type(engine.model.network), "__call__", failing)
    for row in range(2):
        engine.add(row, request_of(prompt_of(5)))
        engine.step()
    engine.add(3, request_of(prompt_of(5)))

    with pytest.raises(RuntimeError, match="broken"):
        engine.step()

    assert isinstance(engine.log, Log)
    assert [event for event, _ in engine.log.events] == ["step_failed", "step_failed"]


def test_closing_gives_everything_back(engine: MlxEngine) -> None:
    engine.add(1, request_of(prompt_of(5)))
    engine.step()

    engine.close()

    assert counted(engine) == (0, 0)
    assert engine.step() == ()


def test_describe_says_what_the_engine_is_and_holds(engine: MlxEngine) -> None:
    engine.add(1, request_of(prompt_of(5), max_tokens=5))
    engine.step()

    description = engine.describe()

    assert description.context_length == 8192
    assert description.max_rows == 32
    assert description.memory_bytes > 10_000_000
    assert {"chat", "logprobs", "seed", "batching", "prefix_cache"} <= description.capabilities
    assert description.details["dtypes"] == ["float32"]
    assert description.details["rows"] == 1
    assert description.details["memory"]["resident_bytes"] == pytest.approx(description.memory_bytes, rel=0.2)
    assert description.details["cache"]["entries"] == 0


def failing(*_: Any, **__: Any) -> mx.array:
    raise RuntimeError("the sampler is broken")


def test_a_row_whose_last_piece_was_lost_is_told_so(engine: MlxEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PrefixCache, "put", failing)

    pieces = run(engine, [request_of(prompt_of(80), max_tokens=2)])[0].pieces

    assert [piece.finish_reason for piece in pieces] == [None, "error"]
    assert counted(engine) == (0, 0)
