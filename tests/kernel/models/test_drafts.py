from pathlib import Path
from typing import Any

import pytest

from kernel_support import GB, Engines, backend, info, lifecycle
from lmx.models.lifecycle import Lifecycle
from lmx_hookspecs import LoadOptions, MemoryNeed, ModelInfo
from lmx_hookspecs.errors import Conflict, InvalidRequest, ModelNotFound, UnsupportedParameter

LARGE = info("large", path=Path("/models/large"))
SMALL = info("small", path=Path("/models/small"))
SETTINGS = frozenset({"draft_model", "num_draft_tokens", "kv_bits"})


def drafting(*models: ModelInfo, draft_model: str = "small", **facts: Any) -> Lifecycle:
    lives = lifecycle(Engines(), LARGE, *models, backends=[backend(settings=SETTINGS, **facts)])
    lives.catalogue.settings = {"large": {"draft_model": draft_model}}
    return lives


async def test_the_engine_is_handed_the_weights_of_the_draft_model() -> None:
    models = drafting(SMALL)

    status = await models.load("large")

    assert status.info.draft == SMALL.path


async def test_a_load_may_name_the_draft_model_by_the_earlier_systems_name() -> None:
    models = lifecycle(Engines(), LARGE, SMALL, backends=[backend(settings=SETTINGS)])

    status = await models.load("large", LoadOptions(performance={"speculative": {"draft_model": "small"}}))

    assert (status.info.draft, status.performance) == (SMALL.path, {"draft_model": "small"})


async def test_a_draft_model_that_is_not_here_is_named_with_what_asked_for_it() -> None:
    with pytest.raises(ModelNotFound, match="the draft_model of 'large': there is no model 'small'") as configured:
        await drafting().load("large")
    with pytest.raises(ModelNotFound) as asked:
        await drafting(SMALL).load("large", LoadOptions(performance={"draft_model": "tiny"}))

    assert (configured.value.param, asked.value.param) == ("model", "performance_overrides.draft_model")


@pytest.mark.parametrize(
    ("draft", "words"),
    [
        (info("small", path=Path("/small"), format="gguf"), "name one of the same format"),
        (info("small"), "its files are not here"),
        (info("small", path=LARGE.path), "they are the same model"),
    ],
)
async def test_a_model_that_cannot_draft_for_another_is_refused_with_the_reason(draft: ModelInfo, words: str) -> None:
    with pytest.raises(InvalidRequest, match=f"'small' cannot draft for 'large': .*{words}"):
        await drafting(draft).load("large")


async def test_an_adapter_does_not_draft() -> None:
    models = drafting(SMALL, draft_model="small:french")
    models.catalogue.settings = {**models.catalogue.settings, "small": {"adapters": {"french": "/french"}}}

    with pytest.raises(InvalidRequest, match="drafts are made without; name 'small'"):
        await models.load("large")


async def test_a_backend_that_does_not_draft_refuses_it_by_name() -> None:
    models = lifecycle(Engines(), LARGE, SMALL)
    models.catalogue.settings = {"large": {"draft_model": "small"}}

    with pytest.raises(UnsupportedParameter, match="does not honour draft_model"):
        await models.load("large")


async def test_the_memory_of_the_draft_model_is_reserved_with_its_kv_caches() -> None:
    needs = {
        "large": MemoryNeed(weight_bytes=4 * GB, kv_bytes_per_token=1000),
        "small": MemoryNeed(weight_bytes=GB, kv_bytes_per_token=100),
    }
    models = drafting(SMALL, memory_need=lambda model: needs[model.id])

    await models.load("large")

    (resident,) = models.loaded()
    estimate = resident.estimate
    assert estimate is not None
    assert estimate.draft_bytes == GB
    assert estimate.kv_bytes == 4 * 4096 * (1000 + 100)
    assert estimate.total_bytes == int(5 * GB * 1.15) + estimate.kv_bytes + estimate.worker_bytes
    assert "draft model 1.0 GB x 1.15" in str(estimate)


async def test_a_draft_model_is_not_deleted_while_it_drafts() -> None:
    models = drafting(SMALL)
    await models.load("large")

    with pytest.raises(Conflict, match="'small' is used by large; unload that"):
        await models.delete("small")
