from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

from lmx_hookspecs import TokenRequest
from lmx_mlx.engine import MlxEngine
from lmx_mlx.kv_budget import GB
from mlx_support import EOS, VOCAB_SIZE, engine_of, prompt_of, request_of
from step_engine_support import run

PATH = [5, 300, 7, 511, 9, 100, 11, 12]
POSITION_BYTES = 512


@define
class PathMask:
    """Allows one token after the other, then the end; `free` allows anything at all these places."""

    path: Sequence[int]
    free: frozenset[int] = frozenset()
    told: list[int] = field(factory=list)
    failure: str | None = None

    def allowed(self) -> bytes | None:
        place = len(self.told)
        if place in self.free:
            return None
        token = self.path[place] if place < len(self.path) else EOS
        bits = bytearray((VOCAB_SIZE + 7) // 8)
        bits[token // 8] |= 1 << (token % 8)
        return bytes(bits)

    def accept(self, token: int) -> None:
        self.told.append(token)


def masked(mask: PathMask, *, seed: int = 1, prompt: int = 20, **sampling: Any) -> TokenRequest:
    return evolve(request_of(prompt_of(prompt, seed=seed), max_tokens=40, **sampling), mask=mask)


@pytest.fixture(params=["batch", "single", "prompt_lookup", "draft_model"])
def any_engine(request: pytest.FixtureRequest, model_folder: Path) -> MlxEngine:
    if request.param == "draft_model":
        return engine_of(model_folder, draft=model_folder)
    if request.param == "prompt_lookup":
        return engine_of(model_folder, prompt_lookup=True)
    return engine_of(model_folder, mode=request.param)


def test_a_row_follows_its_mask_to_the_end(any_engine: MlxEngine) -> None:
    mask = PathMask(PATH)

    (result,) = run(any_engine, [masked(mask)])

    assert result.tokens == [*PATH, EOS]
    assert result.finish_reason == "stop"
    assert mask.told[: len(PATH)] == PATH


def test_a_mask_holds_whatever_draws(any_engine: MlxEngine) -> None:
    sampling: dict[str, Any] = {"temperature": 1.5, "top_p": 0.5, "top_k": 3, "min_p": 0.2, "repetition_penalty": 1.3}

    (result,) = run(any_engine, [masked(PathMask(PATH), **sampling)])

    assert result.tokens == [*PATH, EOS]


def test_rows_beside_a_masked_one_are_as_they_are_alone(engine: MlxEngine) -> None:
    plain = [request_of(prompt_of(20, seed=seed), max_tokens=40) for seed in (2, 3)]
    alone = [result.tokens for result in run(engine, plain)]

    first, other, *together = run(engine, [masked(PathMask(PATH)), masked(PathMask(PATH[::-1]), seed=4), *plain])

    assert first.tokens == [*PATH, EOS]
    assert other.tokens == [*PATH[::-1], EOS]
    assert [result.tokens for result in together] == alone


def test_where_the_mask_allows_everything_the_model_draws_what_it_would(engine: MlxEngine) -> None:
    (plain,) = run(engine, [request_of(prompt_of(20), max_tokens=3)])

    (result,) = run(engine, [masked(PathMask([0, 0, 0, *PATH], free=frozenset({0, 1, 2})))])

    assert result.tokens[:3] == plain.tokens
    assert result.tokens[3:] == [*PATH, EOS]


def test_log_probabilities_are_those_of_what_was_allowed(engine: MlxEngine) -> None:
    (result,) = run(engine, [evolve(masked(PathMask(PATH)), logprobs=2)])

    assert [piece.logprob for piece in result.pieces[: len(PATH)]] == [0.0] * len(PATH)


def test_a_row_that_is_taken_out_and_put_back_tells_its_mask_each_token_once(model_folder: Path) -> None:
    path = [3 + place % 500 for place in range(288)]
    engine = engine_of(model_folder, kv_budget_gb=(1024 * POSITION_BYTES + 0.5) / GB)
    masks = [PathMask(path), PathMask(path), PathMask(path)]
    requests = [evolve(masked(mask, seed=seed, prompt=250), max_tokens=290) for seed, mask in enumerate(masks)]

    results = run(engine, requests)

    assert engine.describe().details["kv_preempted"] > 0
    assert [result.tokens for result in results] == [[*path, EOS]] * 3
    assert [mask.told[: len(path)] for mask in masks] == [path] * 3
