import asyncio
from pathlib import Path
from typing import Any

import pytest

import lmx_mlx
import lmx_tiny
from lmx.models.estimate import estimated
from lmx_hookspecs.errors import ContextLengthExceeded
from lmx_mlx.kv_budget import GB, STEP, KvBudget
from mlx_support import engine_of, info_of
from step_engine_support import Log

TINY = Path(lmx_tiny.__file__).parent / "models" / "lmx-tiny"


def budget_of(*, tokens: int, bytes_per_token: float = 1000.0, context_length: int = 8192) -> KvBudget:
    total_bytes = int(tokens * bytes_per_token)
    return KvBudget(total_bytes=total_bytes, bytes_per_token=bytes_per_token, context_length=context_length)


@pytest.mark.parametrize(
    "settings",
    [{}, {"context_length": 1000}, {"kv_bits": 8}, {"kv_budget_gb": 0.25}, {"kv_bits": 4, "kv_budget_gb": 1}],
)
def test_the_engine_has_what_the_kernel_reserves(settings: dict[str, Any]) -> None:
    info = info_of(TINY, **{"context_length": 8192, **settings})
    (spec,) = lmx_mlx.lmx_backends()

    reserved = asyncio.run(estimated(spec, info, Log()))
    details = engine_of(TINY, **settings).describe().details

    assert details["kv_budget_bytes"] == reserved.kv_bytes
    assert details["kv_reserved_bytes"] == 0


def test_the_default_holds_four_rows_of_4096_tokens_or_32_of_512() -> None:
    budget = KvBudget.of(None, bytes_per_token=512.0, context_length=131_072)

    assert budget.total_bytes == 4 * 4096 * 512
    assert 4 * budget.positions(4096) == 32 * budget.positions(512) == budget.capacity


def test_rows_take_what_the_arrays_grow_to() -> None:
    budget = budget_of(tokens=10_000)

    assert [budget.positions(tokens) for tokens in (1, STEP, STEP + 1, 4000)] == [STEP, STEP, 2 * STEP, 4096]


def test_no_row_takes_more_than_the_context_or_the_budget() -> None:
    assert budget_of(tokens=10_000, context_length=100).positions(10) == 100
    assert budget_of(tokens=1000).positions(999) == 1000
    assert budget_of(tokens=1000).longest_row == 1000


@pytest.mark.parametrize(("prompt_tokens", "max_tokens"), [(1000, 1), (800, 8000), (990, 11)])
def test_what_does_not_fit_alone_is_refused_with_the_arithmetic(prompt_tokens: int, max_tokens: int) -> None:
    budget = budget_of(tokens=1000, bytes_per_token=2_000_000.0)
    budget.check(700, 300)
    budget.check(1000 - STEP, 8000)

    with pytest.raises(ContextLengthExceeded, match=r"kv_budget_gb") as refused:
        budget.check(prompt_tokens, max_tokens)

    answer = min(max_tokens, STEP)
    needed = (prompt_tokens + answer) * 2_000_000 / GB
    assert f"{prompt_tokens} tokens of prompt and {answer} of answer" in refused.value.message
    assert f"{needed:.3g} GB" in refused.value.message
    assert "2 GB, room for 1000 tokens" in refused.value.message


def test_an_answer_that_may_be_longer_than_the_budget_is_not_refused() -> None:
    budget_of(tokens=1000).check(500, 8192 - 500)


def test_a_prompt_that_the_context_holds_is_not_refused_where_the_budget_holds_the_context() -> None:
    budget_of(tokens=8192).check(8191, 1)
    budget_of(tokens=8192).check(8000, 8192)


def test_states_that_do_not_grow_need_no_budget() -> None:
    budget = KvBudget.of(None, bytes_per_token=0.0, context_length=8192)

    budget.check(8000, 192)

    assert budget.longest_row == 8192
    assert budget.size_bytes(32 * 8192) == 0
    assert budget.left_bytes(32 * 8192) > 1 << 60
