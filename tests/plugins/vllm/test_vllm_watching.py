"""What vllm-mlx does not tell: a loop that only fails, and how its prefix cache fares."""

import logging

from lmx_vllm.cache_facts import cache_facts
from lmx_vllm.loop_errors import LOOP_LOGGER, LoopErrors, watched_loop

LOGGER = logging.getLogger(LOOP_LOGGER)


def test_errors_that_come_again_and_again_are_a_verdict() -> None:
    now_s = [0.0]
    errors = LoopErrors(lambda: now_s[0])

    with watched_loop(errors):
        for number in range(5):
            assert errors.verdict is None
            now_s[0] = number * 0.1
            LOGGER.error("Engine loop error: %s\nTraceback", "boom")

    assert errors.verdict == "Engine loop error: boom"


def test_errors_from_time_to_time_are_none() -> None:
    now_s = [0.0]
    errors = LoopErrors(lambda: now_s[0])

    with watched_loop(errors):
        for number in range(20):
            now_s[0] = number * 10.0
            LOGGER.error("Engine loop error: boom")

    assert errors.verdict is None


def test_nobody_listens_after_the_end() -> None:
    errors = LoopErrors()

    with watched_loop(errors):
        pass

    assert errors not in LOGGER.handlers


def test_the_cache_has_the_names_that_all_engines_use() -> None:
    stats = {"hits": 2, "misses": 3, "current_memory_mb": 1.5, "entry_count": 4, "evictions": 1, "hit_rate": 0.4}

    facts = cache_facts(stats, "miss_short_prefix")

    assert facts is not None
    assert {name: facts[name] for name in ("hits", "misses", "bytes", "entries", "evictions")} == {
        "hits": 2,
        "misses": 3,
        "bytes": 1572864,
        "entries": 4,
        "evictions": 1,
    }
    assert "128 tokens" in facts["last_miss"]
    assert cache_facts(None, None) is None
