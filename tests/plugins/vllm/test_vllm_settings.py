from lmx_vllm.config import VllmConfig
from lmx_vllm.settings import HONOURED, Settings, keeps_prefixes, scheduler_arguments


def test_rows_are_the_sequences_of_its_scheduler() -> None:
    arguments = scheduler_arguments(
        VllmConfig(), Settings.of({"completion_batch_size": 12, "prefill_batch_size": 3, "backend": "vllm"})
    )

    assert (arguments["max_num_seqs"], arguments["completion_batch_size"], arguments["prefill_batch_size"]) == (
        12,
        12,
        3,
    )


def test_no_more_prompts_are_prefilled_than_rows_may_run() -> None:
    arguments = scheduler_arguments(VllmConfig(), Settings.of({"completion_batch_size": 2}))

    assert arguments["prefill_batch_size"] == 2


def test_mode_single_runs_one_row_at_a_time() -> None:
    arguments = scheduler_arguments(VllmConfig(), Settings.of({"mode": "single", "completion_batch_size": 12}))

    assert (arguments["max_num_seqs"], arguments["completion_batch_size"]) == (1, 1)


def test_the_prefix_cache_is_switched_off_by_the_model_or_by_its_size() -> None:
    assert keeps_prefixes(VllmConfig(), Settings())
    assert not keeps_prefixes(VllmConfig(), Settings.of({"prefix_cache_enabled": False}))
    assert not keeps_prefixes(VllmConfig(cache_memory_mb=0), Settings())
    assert not scheduler_arguments(VllmConfig(cache_memory_mb=0), Settings())["enable_prefix_cache"]


def test_keys_reach_the_scheduler_under_the_names_they_have() -> None:
    config = VllmConfig(
        cache_memory_mb=64, kv_cache_quantization=True, kv_cache_quantization_bits=4, prefill_step_size=128
    )

    arguments = scheduler_arguments(config, Settings())

    assert arguments["cache_memory_mb"] == 64
    assert arguments["kv_cache_quantization"] is True
    assert arguments["kv_cache_quantization_bits"] == 4
    assert arguments["prefill_step_size"] == 128


def test_each_setting_it_claims_is_one_it_reads() -> None:
    assert {name for name in HONOURED if hasattr(Settings(), name)} == HONOURED
