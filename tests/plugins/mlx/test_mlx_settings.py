from pathlib import Path

import attrs
import pytest

import lmx_mlx
from lmx.config.schema import Models, ModelSettings
from lmx_hookspecs.errors import UnsupportedParameter
from lmx_mlx.settings import HONOURED, OF_THE_KERNEL, Settings
from mlx_support import engine_of, prompt_of, request_of
from step_engine_support import drain


def test_what_is_honoured_is_what_is_read() -> None:
    (spec,) = lmx_mlx.lmx_backends()

    assert spec.settings == HONOURED == {field.name for field in attrs.fields(Settings)} | OF_THE_KERNEL


def test_every_setting_is_one_that_a_configuration_can_have() -> None:
    known = {field.name for cls in (ModelSettings, Models) for field in attrs.fields(cls)}

    assert known >= HONOURED


def test_null_and_the_kernels_own_settings_change_nothing() -> None:
    settings = Settings.of({"mode": None, "completion_batch_size": None, "kv_group_size": None, "keep_alive_sec": 5})

    assert settings == Settings()


def test_a_group_size_alone_is_no_quantisation() -> None:
    settings = Settings.of({"kv_group_size": 64})

    settings.check()
    assert settings.kv_quantization is None
    assert settings.batches


def test_a_number_of_guesses_alone_is_no_speculation() -> None:
    settings = Settings.of({"num_draft_tokens": 5, "prompt_lookup": False})

    settings.check()
    assert settings.drafts is None
    assert settings.batches


def test_batch_sizes_reach_the_generator(model_folder: Path) -> None:
    engine = engine_of(model_folder, completion_batch_size=6, prefill_batch_size=3)

    generator = engine.new_batch()._generator

    assert (generator.completion_batch_size, generator.prefill_batch_size) == (6, 3)
    assert engine.describe().max_rows == 6


@pytest.mark.parametrize("prefill_rows", [1, 3])
def test_so_many_prompts_are_prefilled_together(model_folder: Path, prefill_rows: int) -> None:
    engine = engine_of(model_folder, prefill_batch_size=prefill_rows)
    for row in range(6):
        engine.add(row, request_of(prompt_of(40, seed=row), max_tokens=30))

    firsts = [sum(piece.token is not None for piece in engine.step()) for _ in range(4)]
    drain(engine)

    assert next(count for count in firsts if count) == prefill_rows


def test_a_cache_limit_reaches_mlx(model_folder: Path) -> None:
    import mlx.core as mx

    before = mx.set_cache_limit(0)
    mx.set_cache_limit(before)
    engine_of(model_folder, metal_cache_limit_gb=0.5)

    assert mx.set_cache_limit(before) == 1 << 29


@pytest.mark.parametrize(
    "settings", [{"kv_bits": 4, "mode": "batch"}, {"kv_bits": 5}, {"kv_bits": 8, "kv_group_size": 1}]
)
def test_contradictions_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(UnsupportedParameter):
        Settings.of(settings).check()
