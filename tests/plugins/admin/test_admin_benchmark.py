import asyncio
from typing import Any

import pytest

from admin_support import StandIns
from http_support import Served, error_of, until
from lmx_admin.benchmark import Stopwatch
from lmx_hookspecs import Piece, Usage

BENCHMARK = "/admin/benchmark"


async def test_each_run_is_measured_and_the_means_are_told(server: Served) -> None:
    asked = {"model_id": "small", "prompt": "Count.", "max_tokens": 2, "temperature": 0, "runs": 2}

    answer = (await server.ask("POST", BENCHMARK, json=asked)).json()

    assert {key: answer[key] for key in ("model_id", "backend_type", "prompt", "max_tokens", "runs")} == {
        "model_id": "small",
        "backend_type": "mlx",
        "prompt": "Count.",
        "max_tokens": 2,
        "runs": 2,
    }
    assert [(run["run"], run["tokens_generated"], run["cached_tokens"]) for run in answer["results"]] == [
        (1, 2, 1),
        (2, 2, 1),
    ]
    for name in ("tokens_per_second", "time_to_first_token_ms", "total_time_ms"):
        assert answer[f"avg_{name}"] == pytest.approx(sum(run[name] for run in answer["results"]) / 2, abs=0.01)


async def test_it_asks_as_a_chat_would(server: Served, services: StandIns) -> None:
    await server.ask("POST", BENCHMARK, json={"model_id": "small"})

    [request] = services.asked
    assert [message.role for message in request.messages or ()] == ["user"]
    assert (request.max_tokens, request.sampling.temperature, request.stream) == (128, 0.7, True)
    assert services.models.asked[0][0] == "small"  # loaded first, so that no run pays for it
    assert services.generations[0].closed.is_set()


def test_rates_come_from_true_counts_and_the_moments_of_tokens() -> None:
    watch = Stopwatch(10.0)

    for tokens, now_s in ((0, 10.5), (1, 11.0), (4, 12.0), (4, 13.0)):
        watch.saw(Piece(tokens=tokens), now_s)
    watch.saw(Piece(finish_reason="stop", usage=Usage(prompt_tokens=5, completion_tokens=9)), 20.0)
    run = watch.run(1)

    assert (run.tokens_generated, run.time_to_first_token_ms, run.total_time_ms) == (9, 1000.0, 3000.0)
    assert (run.tokens_per_second, run.decode_tokens_per_second) == (3.0, 4.0)


def test_an_answer_in_one_piece_has_no_decode_rate() -> None:
    watch = Stopwatch(10.0)

    watch.saw(Piece(tokens=4), 12.0)
    run = watch.run(1)

    assert (run.tokens_generated, run.tokens_per_second, run.decode_tokens_per_second) == (4, 2.0, None)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "model_id"),
        ({"model_id": "small", "runs": 10}, "runs"),
        ({"model_id": "small", "runs": 0}, "runs"),
        ({"model_id": "small", "max_tokens": 4097}, "max_tokens"),
        ({"model_id": "small", "temperature": 2.1}, "temperature"),
        ({"model_id": "small", "prompt": ""}, "prompt"),
    ],
)
async def test_a_field_out_of_range_is_named(server: Served, body: dict[str, Any], param: str) -> None:
    answer = await server.ask("POST", BENCHMARK, json=body)

    assert (answer.status_code, error_of(answer)["param"]) == (400, param)


async def test_an_unknown_model_is_not_found(server: Served) -> None:
    answer = await server.ask("POST", BENCHMARK, json={"model_id": "none"})

    assert (answer.status_code, error_of(answer)["param"]) == (404, "model_id")


async def test_a_model_that_says_nothing_is_an_error(server: Served, services: StandIns) -> None:
    services.script = lambda _: [Piece(finish_reason="stop", usage=Usage(prompt_tokens=5, completion_tokens=0))]

    answer = await server.ask("POST", BENCHMARK, json={"model_id": "small"})

    assert (answer.status_code, error_of(answer)["code"]) == (502, "engine_failed")


async def test_it_ends_with_the_client(server: Served, services: StandIns) -> None:
    services.script = lambda _: [Piece(text="a", tokens=1), asyncio.Event()]
    asking = asyncio.create_task(server.ask("POST", BENCHMARK, json={"model_id": "small", "runs": 5}))
    await until(lambda: bool(services.generations) and services.generations[0].waiting.is_set())

    asking.cancel()
    await asyncio.wait([asking])
    await services.generations[0].closed.wait()

    assert len(services.generations) == 1
