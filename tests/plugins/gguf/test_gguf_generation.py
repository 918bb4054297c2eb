"""The engine on random models: batches, prompts in chunks, prefixes, cancels, room, failures."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field

pytest.importorskip("llama_cpp", reason="the extra gguf is not installed")

from gguf_support import EOS, TINY, VOCAB_SIZE, engine_of, prompt_of, request_of, same_up_to_ties, write_llama
from lmx_gguf.config import GgufConfig
from lmx_gguf.llama_context import DecodeError
from lmx_hookspecs import Capability, Sampling, TokenRequest
from lmx_hookspecs.errors import ContextLengthExceeded, InvalidRequest
from lmx_hookspecs.testing import check_step_engine
from step_engine_support import Log, drain, run


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("models") / "random.gguf")


@pytest.fixture
def engine(path: Path) -> Iterator[Any]:
    engine = engine_of(path)
    yield engine
    engine.close()


def test_the_engine_keeps_the_contract_on_the_built_in_model() -> None:
    engine = engine_of(TINY)
    check_step_engine(engine)
    assert engine.describe().capabilities >= {Capability.CHAT, Capability.BATCHING, Capability.PREFIX_CACHE}
    engine.close()


def test_the_engine_keeps_the_contract_one_row_at_a_time(path: Path) -> None:
    engine = engine_of(path, mode="single", prefix_cache_enabled=False)
    check_step_engine(engine)
    assert engine.describe().max_rows == 1
    assert not engine.describe().capabilities & {Capability.BATCHING, Capability.PREFIX_CACHE}
    engine.close()


def test_rows_of_a_batch_say_what_they_say_alone(path: Path, engine: Any) -> None:
    requests = [request_of(prompt_of(length, seed=length), max_tokens=24) for length in (3, 40, 7, 300, 90)]

    together = run(engine, requests)

    for request, result in zip(requests, together, strict=True):
        alone = engine_of(path, prefix_cache_enabled=False)
        assert run(alone, [request])[0].tokens == result.tokens
        alone.close()


def test_rows_come_and_go_while_others_run(engine: Any) -> None:
    requests = {row: request_of(prompt_of(20, seed=row), max_tokens=5 + 3 * row) for row in range(6)}
    alone = {row: run(engine, [request])[0].tokens for row, request in requests.items()}
    pieces = []

    for row, request in requests.items():
        engine.add(row, request)
        pieces += [*engine.step(), *engine.step()]
    pieces += drain(engine)

    assert {row: [piece.token for piece in pieces if piece.id == row] for row in requests} == alone


def test_a_long_prompt_lets_the_others_go_on(path: Path) -> None:
    engine = engine_of(path, config=GgufConfig(threads=1, prefill_budget_ms=0.001))
    engine.add(1, request_of(prompt_of(10), max_tokens=400))
    while not engine.step():
        pass
    engine.add(2, request_of(prompt_of(1500, seed=2), max_tokens=2))

    of_the_first = 0
    while True:
        ids = [piece.id for piece in engine.step()]
        if 2 in ids:
            break
        assert ids == [1]
        of_the_first += 1

    assert of_the_first > 10
    engine.close()


def test_chunks_of_a_prompt_change_nothing(path: Path, engine: Any) -> None:
    small = engine_of(path, config=GgufConfig(threads=1, batch_tokens=160, idle_prefill_budget_ms=0.001))
    request = request_of(prompt_of(500), max_tokens=12)

    assert run(small, [request])[0].tokens == run(engine, [request])[0].tokens
    small.close()


def test_a_prompt_that_begins_like_an_earlier_row_goes_on_from_there(engine: Any) -> None:
    shared = prompt_of(200)
    cold = run(engine, [request_of([*shared, 5, 6, 7], max_tokens=8)])[0]

    warm = run(engine, [request_of([*shared, 9, 8], max_tokens=8)])[0]
    again = run(engine, [request_of([*shared, 5, 6, 7], max_tokens=8)])[0]

    assert (cold.cached_tokens, warm.cached_tokens, again.cached_tokens) == (0, 200, 202)
    assert again.tokens == cold.tokens
    details = engine.describe().details["cache"]
    assert (details["hits"], details["misses"]) == (2, 1)
    assert details["bytes"] > 0


def test_an_answer_is_part_of_the_prefix_of_the_next_turn(engine: Any) -> None:
    first = run(engine, [request_of(prompt_of(80), max_tokens=20)])[0]
    turn = [*prompt_of(80), *first.tokens, *prompt_of(10, seed=4)]

    second = run(engine, [request_of(turn, max_tokens=4)])[0]

    assert second.cached_tokens == 80 + 19  # nobody has computed the last token of an answer


def test_choices_of_one_request_share_one_prefill(engine: Any) -> None:
    request = request_of(prompt_of(400), max_tokens=6, temperature=1.0, seed=1)

    results = run(engine, [request, request, request])

    assert [result.cached_tokens for result in results] == [0, 399, 399]
    assert results[0].tokens == results[1].tokens == results[2].tokens
    assert engine.places.sequences.cells.used < 500


def test_prefixes_stay_within_their_bounds(path: Path) -> None:
    engine = engine_of(path, config=GgufConfig(threads=1, prefix_cache_rows=2, prefix_cache_min_tokens=64))
    for seed in range(4):
        run(engine, [request_of(prompt_of(100, seed=seed), max_tokens=2)])

    details = engine.describe().details["cache"]

    assert (details["entries"], details["evictions"]) == (2, 2)
    assert engine.places.sequences.cells.used == 2 * 101
    engine.close()


def test_prefixes_stay_within_their_bytes(path: Path) -> None:
    engine = engine_of(path, config=GgufConfig(threads=1, prefix_cache_bytes=256 * 150, prefix_cache_min_tokens=64))
    per_token = engine.places.budget.bytes_per_token
    for seed in range(4):
        run(engine, [request_of(prompt_of(100, seed=seed), max_tokens=2)])

    assert per_token == 256
    assert engine.describe().details["cache"]["bytes"] == 101 * per_token
    engine.close()


def test_a_cancelled_row_leaves_nothing_but_its_prefix(engine: Any) -> None:
    engine.add(1, request_of(prompt_of(100), max_tokens=100))
    engine.step()
    engine.step()
    engine.cancel(1)
    engine.cancel(1)

    assert engine.step() == ()
    assert engine.places.rows == []
    assert run(engine, [request_of(prompt_of(100), max_tokens=2)])[0].cached_tokens == 99


def test_rows_wait_for_room_and_give_way_and_say_the_same(path: Path, engine: Any) -> None:
    requests = [request_of(prompt_of(300, seed=row), max_tokens=400, logprobs=2) for row in range(6)]
    roomy = [run(engine, [request])[0] for request in requests]
    tight = engine_of(path, kv_budget_gb=256 * 1536 / 1e9)

    results = run(tight, requests)

    details = tight.describe().details
    assert details["kv_cells"] == 1536
    assert details["kv_preempted"] > 0
    # What is computed again comes from sums in another order, over keys and values in 16 bits.
    assert all(same_up_to_ties(one, other, 0.05) for one, other in zip(results, roomy, strict=True))
    assert sum(one.tokens == other.tokens for one, other in zip(results, roomy, strict=True)) >= 4
    tight.close()


def test_a_prompt_that_can_never_fit_is_refused_with_the_arithmetic(path: Path) -> None:
    engine = engine_of(path, kv_budget_gb=256 * 512 / 1e9)

    with pytest.raises(ContextLengthExceeded, match="room for 512 tokens"):
        engine.add(1, request_of(prompt_of(400), max_tokens=400))

    assert len(run(engine, [request_of(prompt_of(400), max_tokens=100)])[0].tokens) == 100
    engine.close()


@pytest.mark.parametrize(
    ("tokens", "sampling"),
    [([], {}), ([VOCAB_SIZE], {}), ([-1], {}), ([5], {"logit_bias": {VOCAB_SIZE: 1.0}}), ([5] * 8192, {})],
)
def test_what_llama_cpp_would_fail_on_is_refused_before(engine: Any, tokens: list[int], sampling: Any) -> None:
    with pytest.raises(InvalidRequest):
        engine.add(1, TokenRequest(tokens=tokens, max_tokens=4, sampling=Sampling(**sampling)))

    assert engine.step() == ()


def test_an_end_of_sequence_ends_the_row(engine: Any) -> None:
    result = run(engine, [request_of(prompt_of(10), logit_bias={EOS: 100.0})])[0]

    assert (result.tokens, result.finish_reason) == ([EOS], "stop")


def test_a_failed_step_ends_its_rows_and_no_others(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.add(1, request_of(prompt_of(100)))
    decode = type(engine.context).decode

    def fail_once(context: Any, _: Any) -> None:
        monkeypatch.setattr(type(context), "decode", decode)
        raise DecodeError("the computation failed")

    monkeypatch.setattr(type(engine.context), "decode", fail_once)
    (piece,) = engine.step()

    assert (piece.finish_reason, "computation failed" in str(piece.error)) == ("error", True)
    assert engine.places.sequences.cells.used == 0
    assert len(run(engine, [request_of(prompt_of(100))])[0].tokens) == 16


def test_what_llama_cpp_says_goes_to_the_log_at_debug(path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    log = Log()

    engine_of(path, log=log).close()

    assert any(event == "llama_cpp" and facts["line"] for event, facts in log.events)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_caches_take_less_and_still_answer(tmp_path: Path, bits: int) -> None:
    wide = write_llama(tmp_path / "wide.gguf", head=32)
    plain, quantised = engine_of(wide), engine_of(wide, kv_bits=bits)

    result = run(quantised, [request_of(prompt_of(300)), request_of(prompt_of(300))])

    budgets = [engine.describe().details["kv_budget_bytes"] for engine in (plain, quantised)]
    assert budgets[1] / budgets[0] == {8: 34 / 64, 4: 18 / 64}[bits]
    assert [len(row.tokens) for row in result] == [16, 16]
    plain.close()
    quantised.close()


@define
class EveryOther:
    """Allows even ids and odd ids in turn, no end."""

    told: list[int] = field(factory=list)

    def allowed(self) -> bytes | None:
        return bytes([0b01010101 if len(self.told) % 2 else 0b10101010]) * (VOCAB_SIZE // 16)

    def accept(self, token: int) -> None:
        self.told.append(token)

    failure: str | None = None


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("prompt_lookup", [False, True])
def test_a_mask_says_which_tokens_may_come(path: Path, temperature: float, prompt_lookup: bool) -> None:
    engine = engine_of(path, prompt_lookup=prompt_lookup)
    mask = EveryOther()
    request = evolve(request_of(prompt_of(6) * 5, max_tokens=30, temperature=temperature), mask=mask)

    free, tokens = run(engine, [request_of(prompt_of(6) * 5), request])

    assert mask.told == tokens.tokens
    assert [token % 2 for token in tokens.tokens] == [1, 0] * 15
    assert max(tokens.tokens) < VOCAB_SIZE // 2
    assert len(free.tokens) == 16
    engine.close()


def test_a_row_that_ends_at_the_budget_is_in_the_log(path: Path) -> None:
    log = Log()
    engine = engine_of(path, log=log, kv_budget_gb=256 * 512 / 1e9)

    result = run(engine, [request_of(prompt_of(100), max_tokens=2000)])[0]

    assert (len(result.tokens), result.finish_reason) == (412, "length")
    assert [facts["tokens"] for event, facts in log.events if event == "row_ended_at_kv_budget"] == [512]
    engine.close()
