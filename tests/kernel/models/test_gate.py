import pytest

from kernel_support import Listed, ScriptedEngine, info, lifecycle
from lmx.models.catalogue import Catalogue
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import Conflict, InvalidRequest, ModelNotFound
from lmx_hookspecs.model_files import check_model_id


class Files(Listed):
    """A source that deletes, and knows what could be no id."""

    def find(self, model_id: str) -> ModelInfo | None:
        check_model_id(model_id)
        return super().find(model_id)

    def delete(self, model_id: str) -> int:
        self.infos = [model for model in self.infos if model.id != model_id]
        return 42


async def test_deleting_gives_the_bytes_that_were_freed() -> None:
    models = lifecycle(ScriptedEngine())
    models.catalogue.sources = {"files": Files([info("a"), info("b")])}

    assert await models.delete("a") == 42
    assert [status.info.id for status in await models.list()] == ["b"]


async def test_what_is_being_downloaded_is_not_deleted() -> None:
    models = lifecycle(ScriptedEngine(), downloading=lambda: {"m"})

    with pytest.raises(Conflict, match="cancel the download") as caught:
        await models.delete("m")

    assert (caught.value.code, caught.value.param) == ("model_in_use", "model_id")


@pytest.mark.parametrize("model_id", ["../x", "a/../../x", "/etc/passwd"])
async def test_what_leads_out_of_the_folders_is_no_id(model_id: str) -> None:
    catalogue = Catalogue({"files": Files([info("a")])}, [])

    with pytest.raises(InvalidRequest) as caught:
        await catalogue.delete(model_id)

    assert caught.value.param == "model_id"


async def test_a_source_that_cannot_delete_says_so() -> None:
    with pytest.raises(Conflict, match="remove its files by hand"):
        await lifecycle(ScriptedEngine()).delete("m")


async def test_what_does_not_exist_cannot_be_deleted() -> None:
    with pytest.raises(ModelNotFound, match="did you mean 'm'") as caught:
        await lifecycle(ScriptedEngine(), info("m"), info("other")).delete("mm")

    assert caught.value.param == "model_id"


async def test_a_quarantined_model_can_be_deleted_and_with_it_its_quarantine() -> None:
    models = lifecycle(ScriptedEngine())
    models.catalogue.sources = {"files": Files([info("a")])}
    models.quarantine("a", "kept dying")

    await models.delete("a")

    assert models.quarantined() == {}
