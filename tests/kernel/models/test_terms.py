from collections.abc import Mapping
from typing import Any

import pytest

from kernel_support import Engines, backend, info, lifecycle
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import LoadOptions
from lmx_hookspecs.errors import Conflict, InvalidRequest, UnsupportedParameter

HONOURED = frozenset({"kv_bits", "mode", "prefix_cache_enabled", "context_length"})


def honouring(
    *, entry: Mapping[str, Any] | None = None, preset: Mapping[str, Any] | None = None, **facts: Any
) -> tuple[Lifecycle, Engines]:
    engines = Engines()
    models = lifecycle(
        engines,
        info("m", settings={"kv_bits": 2, "x": 1}),
        backends=[backend(settings=HONOURED, **facts)],
        performance_of=lambda _: preset or {},
    )
    models.catalogue.settings = {"m": entry or {}}
    return models, engines


async def settings_of(models: Lifecycle) -> Mapping[str, Any]:
    (resident,) = models.loaded()
    return resident.info.settings


async def test_the_options_of_a_load_beat_its_presets_and_those_its_entry() -> None:
    models, _ = honouring(
        entry={"kv_bits": 8, "mode": "single", "prefix_cache_enabled": True},
        preset={"mode": "batch", "prefix_cache": False},
    )

    status = await models.load("m", LoadOptions(performance={"prefix_cache": True}, context_length=512))

    assert await settings_of(models) == {
        "kv_bits": 8,
        "x": 1,
        "mode": "batch",
        "prefix_cache_enabled": True,
        "context_length": 512,
    }
    assert status.performance == {"mode": "batch", "prefix_cache_enabled": True, "context_length": 512}


@pytest.mark.parametrize("where", ["entry", "preset", "options"])
async def test_what_the_backend_does_not_honour_is_refused_before_anything_is_loaded(where: str) -> None:
    unhonoured = {"completion_batch_size": 4}
    models, engines = honouring(**({where: unhonoured} if where != "options" else {}))

    with pytest.raises(UnsupportedParameter, match="completion_batch_size"):
        await models.load("m", LoadOptions(performance=unhonoured if where == "options" else {}))

    assert engines.by_model == {}
    assert models.ledger.held_bytes == 0


async def test_what_an_entry_says_to_a_plugin_is_that_plugins_to_judge() -> None:
    models, _ = honouring(entry={"echo": {"reply": "hi"}})

    await models.load("m")

    assert (await settings_of(models))["echo"] == {"reply": "hi"}


async def test_a_value_out_of_range_is_refused() -> None:
    models, engines = honouring()

    with pytest.raises(InvalidRequest, match="kv_bits"):
        await models.load("m", LoadOptions(performance={"kv_bits": 3}))

    assert engines.by_model == {}


async def test_a_loaded_model_does_not_change_its_performance_and_says_what_to_do() -> None:
    models, engines = honouring()
    await models.load("m", LoadOptions(performance={"kv_bits": 8}))

    await models.load("m", LoadOptions(performance={"kv_bits": 8}))
    await models.load("m")
    with pytest.raises(Conflict, match="another kv_bits; unload it first"):
        await models.load("m", LoadOptions(performance={"kv_bits": 4}))

    assert len(engines.by_model["m"]) == 1


async def test_a_preset_may_name_the_backend() -> None:
    models = lifecycle(
        Engines(),
        info("m"),
        backends=[backend("better", score=90), backend("named", score=10)],
        performance_of=lambda _: {"backend": "named"},
    )

    status = await models.load("m")

    assert status.backend == "named"
