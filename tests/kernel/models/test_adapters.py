from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kernel_support import GB, Engines, Listed, backend, info, lifecycle
from lmx.models.adapters import size_bytes
from lmx.models.catalogue import Catalogue
from lmx.models.lifecycle import Lifecycle
from lmx.structure import StructureError, structure
from lmx_hookspecs import MemoryNeed, ModelInfo, ModelState
from lmx_hookspecs.errors import Conflict, InvalidRequest, ModelNotFound, UnsupportedParameter

HOME = Path.home()
Entries = Mapping[str, Mapping[str, Any]]


def adapter_file(folder: Path, name: str = "french.safetensors", size: int = 10) -> Path:
    file = folder / name
    file.write_bytes(bytes(size))
    return file


def catalogue(entries: Entries, *models: ModelInfo) -> Catalogue:
    return Catalogue({"s": Listed(models or (info("base"),))}, [backend()], settings=entries)


def adapting(entries: Entries, *models: ModelInfo, **facts: Any) -> tuple[Lifecycle, Engines]:
    engines = Engines()
    able = backend(settings=frozenset({"adapters", "kv_bits"}), **facts)
    lives = lifecycle(engines, *(models or (info("base"),)), backends=[able])
    lives.catalogue.settings = entries
    return lives, engines


async def test_an_adapter_makes_a_model_of_its_own_beside_its_base() -> None:
    base = info("base", path=Path("/models/base"), builtin=True, details={"quantization": "4 bits"})
    models = catalogue({"base": {"adapters": {"french": "~/adapters/french"}}}, base)

    listed = await models.models()
    found = await models.find("base:french")

    assert [model.id for model in listed] == ["base", "base:french"]
    assert found == listed[1]
    assert (found.path, found.adapter) == (base.path, HOME / "adapters/french")
    assert found.details == {"quantization": "4 bits", "base": "base", "adapter": "french"}
    assert not found.builtin
    assert listed[0].adapter is None


async def test_a_model_with_an_adapter_inherits_the_settings_of_its_base() -> None:
    entries: Entries = {
        "base": {"adapters": {"french": "/french"}, "kv_bits": 8, "mode": "single", "fallback": ["other"]},
        "base:french": {"mode": "batch"},
    }
    models = catalogue(entries, info("base", settings={"x": 1}))

    found = await models.find("base:french")

    assert found.settings == {"x": 1, "kv_bits": 8, "mode": "batch", "fallback": ["other"]}
    assert models.entry("base:french")["fallback"] == ["other"]


@pytest.mark.parametrize("model_id", ["org/repo:Q4_K_M", "org/repo:Q8_0"])
async def test_an_id_with_a_colon_is_a_model_unless_an_adapter_has_that_name(model_id: str) -> None:
    models = catalogue({"org/repo:Q4_K_M": {"adapters": {"french": "/french"}}}, info(model_id))

    assert (await models.find(model_id)).adapter is None


async def test_an_adapter_may_sit_on_a_model_with_a_colon_in_its_id() -> None:
    models = catalogue({"org/repo:Q4_K_M": {"adapters": {"french": "/french"}}}, info("org/repo:Q4_K_M"))

    assert (await models.find("org/repo:Q4_K_M:french")).adapter == Path("/french")
    with pytest.raises(ModelNotFound):
        await models.find("org/repo:french")


async def test_an_adapter_without_its_base_says_which_model_is_missing() -> None:
    models = catalogue({"gone": {"adapters": {"french": "/french"}}})

    assert [model.id for model in await models.models()] == ["base"]
    with pytest.raises(ModelNotFound, match="an adapter on 'gone', which is not here"):
        await models.find("gone:french")


@pytest.mark.parametrize("name", ["", "a:b", "a/b", "a b", "a\n"])
def test_the_name_of_an_adapter_can_stand_behind_a_colon(name: str) -> None:
    from lmx.config.schema import ModelSettings

    with pytest.raises(StructureError, match="names without"):
        structure({"adapters": {name: "/french"}}, ModelSettings)


async def test_the_engine_is_handed_the_adapter(tmp_path: Path) -> None:
    file = adapter_file(tmp_path)
    models, engines = adapting({"base": {"adapters": {"french": str(file)}}})

    status = await models.load("base:french")

    assert status.info.adapter == file
    assert list(engines.by_model) == ["base:french"]


async def test_an_adapter_whose_files_are_missing_is_listed_with_the_reason_and_refused(tmp_path: Path) -> None:
    models, engines = adapting({"base": {"adapters": {"french": str(tmp_path / "gone")}}})

    with pytest.raises(ModelNotFound, match=r"mend models\.settings\.base\.adapters\.french") as caught:
        await models.load("base:french")
    status = await models.get("base:french")

    assert str(tmp_path) not in caught.value.message
    assert str(tmp_path / "gone") in (caught.value.detail or "")
    assert (status.state, engines.by_model) == (ModelState.ON_DISK, {})
    assert str(tmp_path / "gone") in (status.reason or "")
    assert [one.reason for one in await models.list()] == [None, status.reason]


async def test_a_backend_that_applies_no_adapters_refuses_them_and_still_loads_the_base(tmp_path: Path) -> None:
    models = lifecycle(Engines(), info("base"))
    models.catalogue.settings = {"base": {"adapters": {"french": str(adapter_file(tmp_path))}}}

    with pytest.raises(UnsupportedParameter, match="does not honour adapters"):
        await models.load("base:french")

    assert (await models.load("base")).state is ModelState.READY


async def test_the_memory_of_the_adapter_is_reserved(tmp_path: Path) -> None:
    def need(_info: ModelInfo) -> MemoryNeed:
        return MemoryNeed(weight_bytes=GB)

    adapter_file(tmp_path, "adapters.safetensors", size=1_000_000)
    adapter_file(tmp_path, "adapter_config.json", size=5_000)
    models, _ = adapting({"base": {"adapters": {"french": str(tmp_path)}}}, memory_need=need)

    await models.load("base:french")

    (resident,) = models.loaded()
    assert resident.estimate is not None
    assert resident.estimate.adapter_bytes == size_bytes(tmp_path) == 1_000_000
    assert "adapter 0.001 GB x 1.15" in str(resident.estimate)


async def test_a_base_is_not_deleted_under_a_loaded_adapter(tmp_path: Path) -> None:
    models, _ = adapting({"base": {"adapters": {"french": str(adapter_file(tmp_path))}}})
    await models.load("base:french")

    with pytest.raises(Conflict, match="'base' is used by base:french; unload that") as caught:
        await models.delete("base")

    assert caught.value.code == "model_in_use"


async def test_a_model_with_an_adapter_is_taken_out_of_the_configuration_not_deleted() -> None:
    models, _ = adapting({"base": {"adapters": {"french": "/french"}}})

    with pytest.raises(Conflict, match=r"take models\.settings\.base\.adapters\.french out"):
        await models.delete("base:french")


@pytest.mark.parametrize("path", ["~nobody-of-that-name/french", "x" * 5000, "a\0b"])
async def test_a_path_that_could_never_be_one_spoils_no_listing(path: str) -> None:
    models, _ = adapting({"base": {"adapters": {"french": path}}})

    assert [status.info.id for status in await models.list()] == ["base", "base:french"]
    with pytest.raises(ModelNotFound, match="mend"):
        await models.load("base:french")


def test_an_adapter_that_vanishes_while_it_is_measured_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read; mend their permissions") as caught:
        size_bytes(tmp_path / "gone")

    assert str(tmp_path) not in caught.value.message
