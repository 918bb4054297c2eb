from typing import Any

import pytest
from attrs import evolve

from kernel_support import backend, info
from lmx.models.performance import honoured_part, model_settings, refuse_unhonoured
from lmx_hookspecs.errors import InvalidRequest, UnsupportedParameter


def test_the_earlier_systems_nested_names_become_ours() -> None:
    performance = {
        "kv_bits": 8,
        "kv_group_size": 64,
        "prefix_cache": True,
        "scheduler": {"max_num_seqs": 128, "prefill_batch_size": 4, "completion_batch_size": 16},
        "memory_estimate_gb": 200,
    }

    assert model_settings(performance) == {
        "kv_bits": 8,
        "kv_group_size": 64,
        "prefix_cache_enabled": True,
        "max_concurrent_requests": 128,
        "prefill_batch_size": 4,
        "completion_batch_size": 16,
        "memory_estimate_gb": 200.0,
    }


def test_our_own_flat_names_pass() -> None:
    performance = {"mode": "single", "context_length": 4096, "keep_alive_sec": 0, "pinned": False}

    assert model_settings(performance) == performance


def test_null_is_not_set_at_any_depth() -> None:
    performance = {"kv_bits": None, "speculative": None, "scheduler": {"cache_memory_percent": None}}

    assert model_settings(performance) == {}


def test_a_draft_that_is_not_named_asks_for_nothing() -> None:
    assert model_settings({"speculative": {"draft_model": None, "num_tokens": 5}}) == {}
    assert model_settings({"speculative_num_tokens": 5}) == {}


@pytest.mark.parametrize(
    "performance",
    [
        {"speculative": {"draft_model": "small", "num_tokens": 5}},
        {"speculative_model": "small", "speculative_num_tokens": 5},
        {"draft_model": "small", "num_draft_tokens": 5},
    ],
)
def test_the_earlier_systems_names_of_a_draft_become_ours(performance: dict[str, Any]) -> None:
    assert model_settings(performance) == {"draft_model": "small", "num_draft_tokens": 5}


def test_adapters_make_models_of_their_own_and_are_no_setting_of_a_load() -> None:
    with pytest.raises(InvalidRequest, match="adapters is no performance setting"):
        model_settings({"adapters": {"french": "/adapters/french"}})


def test_of_two_bounds_on_concurrency_both_hold() -> None:
    assert model_settings({"max_concurrent": 4, "scheduler": {"max_num_seqs": 256}}) == {"max_concurrent_requests": 4}


def test_two_names_of_one_setting_must_agree() -> None:
    agreed = model_settings({"prefix_cache": True, "prefix_cache_enabled": True})

    assert agreed == {"prefix_cache_enabled": True}
    with pytest.raises(InvalidRequest, match="differ"):
        model_settings({"prefix_cache": True, "prefix_cache_enabled": False})


@pytest.mark.parametrize(
    ("performance", "param", "words"),
    [
        ({"kv_bit": 4}, "performance_overrides.kv_bit", "did you mean 'kv_bits'"),
        ({"kv_bits": 3}, "performance_overrides.kv_bits", "4, 8"),
        ({"num_draft_tokens": 17}, "performance_overrides.num_draft_tokens", "between 1 and 16"),
        (
            {"speculative": {"draft_model": "d", "num_tokens": 0}},
            "performance_overrides.speculative.num_tokens",
            "between 1 and 16",
        ),
        ({"prefix_cache": "yes"}, "performance_overrides.prefix_cache", "true or false"),
        ({"scheduler": {"max_num_seqs": 0}}, "performance_overrides.scheduler.max_num_seqs", "between 1 and 1024"),
        ({"scheduler": {"max_seqs": 1}}, "performance_overrides.scheduler.max_seqs", "did you mean"),
        ({"scheduler": 3}, "performance_overrides.scheduler", "mapping"),
        ({"zzz": 1}, "performance_overrides.zzz", "known are"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused_by_the_name_that_was_written(
    performance: dict[str, Any], param: str, words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words) as caught:
        model_settings(performance)

    assert (caught.value.param, caught.value.code) == (param, "invalid_value")


@pytest.mark.parametrize(
    ("performance", "param"),
    [
        ({"scheduler": {"cache_memory_percent": 0.2}}, "performance_overrides.scheduler.cache_memory_percent"),
        ({"cache_memory_percent": 0.2}, "performance_overrides.cache_memory_percent"),
    ],
)
def test_what_nothing_honours_is_refused_with_the_reason(performance: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedParameter, match="not supported") as caught:
        model_settings(performance)

    assert caught.value.param == param


def test_a_setting_that_the_backend_does_not_honour_is_refused_with_those_that_it_does() -> None:
    spec = backend("plain", settings=frozenset({"mode"})).spec

    with pytest.raises(UnsupportedParameter, match=r"'plain' of model 'm' does not honour kv_bits: .* mode") as caught:
        refuse_unhonoured(["mode", "pinned", "kv_bits"], spec, info("m"))

    assert caught.value.param == "performance_overrides.kv_bits"


def test_what_the_kernel_honours_needs_no_backend() -> None:
    refuse_unhonoured(["pinned", "keep_alive_sec", "max_concurrent_requests"], backend().spec, info("m"))


def test_an_earlier_file_loses_what_nothing_honours_and_says_so() -> None:
    performance = {"kv_bits": 8, "scheduler": {"max_num_seqs": 64, "cache_memory_percent": 0.2}}

    settings, notes = honoured_part(performance)

    assert model_settings(settings) == {"kv_bits": 8, "max_concurrent_requests": 64}
    assert len(notes) == 1
    assert "performance.scheduler.cache_memory_percent" in notes[0]


def test_the_worker_host_honours_dialect_and_reasoning_for_engines_of_tokens_alone() -> None:
    tokens, text = (evolve(backend().spec, level=level) for level in ("tokens", "text"))

    refuse_unhonoured(["dialect", "reasoning"], tokens, info("m"))
    with pytest.raises(UnsupportedParameter, match="does not honour dialect, reasoning"):
        refuse_unhonoured(["dialect", "reasoning"], text, info("m"))
