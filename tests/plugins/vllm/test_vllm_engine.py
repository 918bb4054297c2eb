"""vllm-mlx's engine itself, in the interpreter that has it; see `vllm_engine_runs.py`."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lmx_vllm.environment import worker_environment
from vllm_support import vllm_python

TESTS = Path(__file__).parents[2]
TIME_LIMIT_S = 180.0


def told(story: str) -> dict[str, Any]:
    done = subprocess.run(
        [vllm_python(), str(TESTS / "vllm_engine_runs.py"), story],
        env={**os.environ, **worker_environment()},
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def test_the_engine_keeps_the_contract() -> None:
    assert told("contract") == {"kept": True}


def test_an_abandoned_request_is_aborted_while_it_waits_prefills_or_decodes() -> None:
    result = told("cancelling")

    assert not any(result["holds"].values()), result["holds"]
    assert result["idle"]
    assert "lmx plugins list" in result["after"]


def test_rows_with_other_sampling_in_one_batch_change_nothing() -> None:
    result = told("company")

    assert result["together"] == result["alone"] * 2
    assert len(set(result["alone"])) > 2


def test_a_step_that_raises_fails_what_was_in_it_and_nobody_after() -> None:
    result = told("failing_step")

    assert result["failed"] == [True, True]
    assert "lmx plugins list" in result["after"]
    assert result["fault"] is None


@pytest.mark.parametrize(
    ("story", "reason"), [("dead_loop", "its loop has ended"), ("hopeless_loop", "Engine loop error: boom")]
)
def test_a_loop_beyond_repair_is_the_engines_death(story: str, reason: str) -> None:
    assert reason in told(story)["death"]


def test_code_that_a_model_brings_is_never_run() -> None:
    assert told("foreign_code") == {"code": "no_engine", "ran": False}


def test_the_engine_says_what_it_is_and_what_its_cache_holds() -> None:
    result = told("description")

    assert (result["context_length"], result["max_rows"]) == (2048, 6)
    assert result["watched"]
    assert result["memory_bytes"] > result["details"]["weight_bytes"] > 1_000_000
    first, second = result["cached_tokens"]
    assert first == 0
    assert 128 <= second < result["prompt_tokens"][1]
    assert {name: result["details"]["cache"][name] for name in ("hits", "misses")} == {"hits": 1, "misses": 1}
    assert result["details"]["cache"]["bytes"] > 0
    assert result["details"]["vllm_mlx"].startswith("0.6")
