import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lmx_hookspecs import TokenPiece
from lmx_hookspecs.errors import ContextLengthExceeded
from lmx_hookspecs.rows import MOST_OVERTAKES
from lmx_mlx.config import MlxConfig
from lmx_mlx.engine import MlxEngine
from lmx_mlx.kv_budget import GB
from mlx_support import EOS, SHAPE, engine_of, prompt_of, request_of, write_model
from step_engine_support import Log, drain, result_of, run

POSITION_BYTES = 512
"""Two layers with keys and values of two heads, sixteen numbers each, four bytes a number."""
ENDLESS: Mapping[str, Any] = {"logit_bias": {EOS: -1000.0}}


def engine_with_room(folder: Path, positions: int, **options: Any) -> MlxEngine:
    return engine_of(folder, kv_budget_gb=(positions * POSITION_BYTES + 0.5) / GB, **options)


def details_of(engine: MlxEngine) -> Mapping[str, Any]:
    return engine.describe().details


def begun(pieces: list[TokenPiece]) -> list[int]:
    """Rows in the order of their first tokens."""
    return list(dict.fromkeys(piece.id for piece in pieces))


def test_rows_wait_for_room_and_are_served_in_order(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 1024)
    prompts = [prompt_of(300, seed=seed) for seed in range(5)]
    expected = [result.tokens for result in run(engine, [request_of(prompt, max_tokens=20) for prompt in prompts])]
    engine = engine_with_room(model_folder, 1024)
    for row, prompt in enumerate(prompts):
        engine.add(row, request_of(prompt, max_tokens=20))

    pieces = list(engine.step())
    details = details_of(engine)
    pieces += drain(engine)

    assert (details["rows"], details["queued"], details["kv_waiting"]) == (2, 3, 3)
    assert details["kv_reserved_bytes"] == details["kv_budget_bytes"] == 1024 * POSITION_BYTES
    assert begun(pieces) == [0, 1, 2, 3, 4]
    assert [[piece.token for piece in pieces if piece.id == row] for row in range(5)] == expected
    assert details_of(engine)["kv_reserved_bytes"] == 0


def test_32_rows_of_512_tokens_run_at_once_by_default(engine: MlxEngine) -> None:
    for row in range(33):
        engine.add(row, request_of(prompt_of(480, seed=row), max_tokens=32))

    engine.step()

    details = details_of(engine)
    assert (details["rows"], details["queued"], details["kv_waiting"]) == (32, 1, 0)
    assert details["kv_reserved_bytes"] == details["kv_budget_bytes"]


def test_small_rows_do_not_starve_a_large_one(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 2048)
    large = 2
    for row in range(30):
        prompt = prompt_of(1900 if row == large else 20, seed=row)
        engine.add(row, request_of(prompt, max_tokens=100 if row == 0 else 10, **ENDLESS))

    pieces = drain(engine)

    before = begun(pieces)[: begun(pieces).index(large)]
    assert before == [row for row in range(large + MOST_OVERTAKES + 1) if row != large]
    assert sorted(begun(pieces)) == list(range(30))


def test_a_row_that_does_not_fit_alone_is_refused(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 512)

    with pytest.raises(ContextLengthExceeded, match="kv_budget_gb"):
        engine.add(1, request_of(prompt_of(500), max_tokens=100))

    assert details_of(engine)["queued"] == 0
    assert len(run(engine, [request_of(prompt_of(500), max_tokens=12, **ENDLESS)])[0].tokens) == 12


def test_a_row_that_waits_for_room_can_be_cancelled(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 512)
    for row in range(3):
        engine.add(row, request_of(prompt_of(300, seed=row), max_tokens=10))
    engine.step()

    engine.cancel(1)

    assert begun(drain(engine)) == [0, 2]


def test_a_cancelled_row_makes_room(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 512)
    engine.add(0, request_of(prompt_of(300), max_tokens=200, **ENDLESS))
    engine.add(1, request_of(prompt_of(300, seed=2), max_tokens=5))
    while not engine.step():
        pass

    engine.cancel(0)

    assert begun(drain(engine)) == [1]


@pytest.mark.parametrize(
    "sampling",
    [{}, {"temperature": 0.8, "seed": 3, "top_p": 0.9}, {"repetition_penalty": 1.1, "frequency_penalty": 0.2}],
)
def test_rows_that_outgrow_the_budget_take_turns_and_say_the_same(model_folder: Path, sampling: dict[str, Any]) -> None:
    requests = [request_of(prompt_of(250, seed=seed), max_tokens=290, **ENDLESS, **sampling) for seed in range(3)]
    expected = run(engine_of(model_folder), requests)
    engine = engine_with_room(model_folder, 1024)

    results = run(engine, requests)

    assert details_of(engine)["kv_preempted"] > 0
    assert [result.tokens for result in results] == [result.tokens for result in expected]
    assert all(result.finish_reason == "length" and result.cached_tokens == 0 for result in results)


def test_the_oldest_row_is_never_held_up(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 1024)
    for row in range(4):
        engine.add(row, request_of(prompt_of(250, seed=row), max_tokens=290, **ENDLESS))

    pieces = drain(engine)

    ended = [piece.id for piece in pieces if piece.finish_reason]
    assert ended == [0, 1, 2, 3]
    assert len(result_of([piece for piece in pieces if piece.id == 3]).tokens) == 290


def test_a_row_that_waits_again_can_be_cancelled(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 1024)
    for row in range(2):
        engine.add(row, request_of(prompt_of(250, seed=row), max_tokens=290, **ENDLESS))
    while not details_of(engine)["kv_preempted"]:
        engine.step()

    engine.cancel(1)

    assert details_of(engine)["queued"] == 0
    assert begun(drain(engine)) == [0]


def test_an_answer_ends_where_the_budget_does(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 600)

    (result,) = run(engine, [request_of(prompt_of(300), max_tokens=5000, **ENDLESS)])

    assert (len(result.tokens), result.finish_reason) == (300, "length")
    assert details_of(engine)["kv_longest_row"] == 600
    assert isinstance(engine.log, Log)
    assert [event for event, _ in engine.log.events] == ["row_ended_at_kv_budget"]


def test_the_prefix_cache_yields_to_rows(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 2048)
    for seed in range(4):
        run(engine, [request_of(prompt_of(300, seed=seed), max_tokens=5)])
    kept = details_of(engine)["cache"]["entries"]
    for row in range(3):
        engine.add(row, request_of(prompt_of(500, seed=10 + row), max_tokens=12))

    engine.step()

    details = details_of(engine)
    assert (kept, details["rows"], details["cache"]["entries"]) == (4, 3, 1)
    assert details["kv_reserved_bytes"] + details["cache"]["bytes"] <= details["kv_budget_bytes"]


def test_choices_of_one_prompt_wait_for_room_too(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 1024)

    results = run(engine, [request_of(prompt_of(300), max_tokens=10, **ENDLESS) for _ in range(4)])

    assert [len(result.tokens) for result in results] == [10] * 4
    assert len({tuple(result.tokens) for result in results}) == 1


def test_a_long_prompt_stays_in_its_lane_where_joining_others_takes_too_much(model_folder: Path) -> None:
    engine = engine_with_room(model_folder, 7900, config=MlxConfig(lane_padding_ratio=1000.0))
    engine.add(1, request_of(prompt_of(20), max_tokens=5000, **ENDLESS))
    engine.add(2, request_of(prompt_of(4000), max_tokens=8, **ENDLESS))
    pieces: list[TokenPiece] = []

    while not any(piece.id == 2 for piece in pieces):
        pieces.extend(engine.step())

    assert [lane["rows"] for lane in details_of(engine)["lanes"]] == [1, 1]


@pytest.mark.parametrize("seed", [1, 2])
def test_rows_and_prefixes_together_stay_within_the_budget(model_folder: Path, seed: int) -> None:
    draw = random.Random(seed)
    requests = [
        request_of(
            prompt_of(draw.choice([5, 100, 400, 700]), seed=row), max_tokens=draw.choice([5, 60, 300]), **ENDLESS
        )
        for row in range(14)
    ]
    cancelled = set(draw.sample(range(14), 3))
    expected = run(engine_of(model_folder), requests)
    engine = engine_with_room(model_folder, 1500)
    waiting = list(range(14))
    pieces: list[TokenPiece] = []

    while waiting or details_of(engine)["rows"] + details_of(engine)["queued"]:
        if waiting and draw.random() < 0.1:
            row = waiting.pop(0)
            engine.add(row, requests[row])
        if draw.random() < 0.02:
            engine.cancel(draw.choice(sorted(cancelled)))
        pieces.extend(engine.step())
        details = details_of(engine)
        assert details["kv_reserved_bytes"] + details["cache"]["bytes"] <= details["kv_budget_bytes"]

    for row in set(range(14)) - cancelled:
        assert [piece.token for piece in pieces if piece.id == row] == expected[row].tokens


@pytest.mark.parametrize(("bits", "ratio"), [(8, 72 / 256), (4, 40 / 256)])
def test_quantised_caches_reserve_less(tmp_path: Path, bits: int, ratio: float) -> None:
    folder = write_model(tmp_path / "wide", shape={**SHAPE, "head_dim": 64})
    plain, quantised = engine_of(folder, kv_budget_gb=0.004), engine_of(folder, kv_budget_gb=0.004, kv_bits=bits)
    for engine in (plain, quantised):
        engine.add(1, request_of(prompt_of(300), max_tokens=20))
        engine.add(2, request_of(prompt_of(300, seed=2), max_tokens=20))
        engine.step()

    details, before = details_of(quantised), details_of(plain)

    assert details["kv_reserved_bytes"] == before["kv_reserved_bytes"] / 2 * ratio
    assert details["kv_longest_row"] > 3 * before["kv_longest_row"]
    assert (before["rows"], details["rows"], details["queued"], details["kv_waiting"]) == (2, 1, 1, 0)
