from collections.abc import Sequence

import pytest

from kernel_support import Listed, Log, backend, info
from lmx.models.catalogue import Catalogue
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import InvalidRequest, ModelNotFound, Unavailable


async def test_of_two_sources_that_know_an_id_the_first_wins() -> None:
    catalogue = Catalogue(
        {"one": Listed([info("a", source="one")]), "two": Listed([info("a", source="two"), info("b")])}, []
    )

    models = await catalogue.models()

    assert [(model.id, model.source) for model in models] == [("a", "one"), ("b", "")]
    assert (await catalogue.find("a")).source == "one"


async def test_settings_of_the_entry_beat_those_of_the_source_and_the_defaults() -> None:
    source = Listed([info("a", settings={"mode": "single", "x": 1})])
    catalogue = Catalogue({"s": source}, [], settings={"a": {"x": 2}}, defaults={"mode": "batch", "y": 3})

    found = await catalogue.find("a")

    assert found.settings == {"mode": "single", "x": 2, "y": 3}


async def test_an_unknown_id_is_answered_with_the_nearest_known_one() -> None:
    catalogue = Catalogue({"s": Listed([info("lmx-tiny")])}, [])

    with pytest.raises(ModelNotFound, match="did you mean 'lmx-tiny'"):
        await catalogue.find("lmx-tine")


def test_the_best_scored_backend_opens_a_model_unless_its_settings_name_another() -> None:
    catalogue = Catalogue({}, [backend("good", score=60), backend("better", score=70)])

    chosen = catalogue.backend_for(info("a"))
    named = catalogue.backend_for(info("a", settings={"backend": "good"}))

    assert (chosen.spec.name, named.spec.name) == ("better", "good")


def test_of_two_backends_with_one_score_the_last_by_name_opens_a_model() -> None:
    catalogue = Catalogue({}, [backend("b"), backend("c"), backend("a")])

    assert catalogue.backend_for(info("a")).spec.name == "c"


def test_a_named_backend_that_opens_other_formats_says_which() -> None:
    other = backend("other", formats=frozenset({"gguf", "ggml"}))
    catalogue = Catalogue({}, [backend("able"), other])

    with pytest.raises(Unavailable, match="'m' is made-up, and its backend 'other' opens ggml, gguf only"):
        catalogue.backend_for(info("m", settings={"backend": "other"}))


def test_a_model_without_a_backend_says_which_extra_would_bring_one() -> None:
    catalogue = Catalogue({}, [], hints={"mlx": "pip install 'opta-lmx[mlx]'"})

    with pytest.raises(Unavailable, match=r"opta-lmx\[mlx\]") as caught:
        catalogue.backend_for(info("a"))

    assert caught.value.code == "no_engine"


async def test_a_model_that_brings_code_is_refused_with_the_line_that_opens_it_without() -> None:
    source = Listed([info("coded", details={"remote_code": True})])

    with pytest.raises(InvalidRequest, match=r"models\.settings\.coded\.ignore_remote_code: true"):
        await Catalogue({"s": source}, []).find("coded")

    opened = await Catalogue({"s": source}, [], settings={"coded": {"ignore_remote_code": True}}).find("coded")
    assert opened.id == "coded"


class Broken:
    """A source that fails whatever it is asked."""

    def models(self) -> Sequence[ModelInfo]:
        raise OSError("the disk is gone")

    def find(self, model_id: str) -> ModelInfo | None:
        raise OSError(f"the disk is gone, and {model_id} with it")


async def test_a_source_that_breaks_hides_its_own_models_only() -> None:
    log = Log()
    catalogue = Catalogue({"broken": Broken(), "good": Listed([info("a")])}, [], log=log)

    assert [model.id for model in await catalogue.models()] == ["a"]
    assert (await catalogue.find("a")).id == "a"
    assert {facts["plugin"] for facts in log.named("model_source_failed")} == {"broken"}


async def test_a_very_long_id_is_refused_without_being_repeated() -> None:
    with pytest.raises(ModelNotFound) as caught:
        await Catalogue({"s": Listed([info("a")])}, []).find("x" * 1_000_000)

    assert len(caught.value.message) < 200
