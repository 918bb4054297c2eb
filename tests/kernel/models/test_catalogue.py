import pytest

from kernel_support import Listed, backend, info
from lmx.models.catalogue import Catalogue
from lmx_hookspecs.errors import InvalidRequest, ModelNotFound, Unavailable


async def test_of_two_sources_that_know_an_id_the_first_wins() -> None:
    catalogue = Catalogue([Listed([info("a", source="one")]), Listed([info("a", source="two"), info("b")])], [])

    models = await catalogue.models()

    assert [(model.id, model.source) for model in models] == [("a", "one"), ("b", "")]
    assert (await catalogue.find("a")).source == "one"


async def test_settings_of_the_entry_beat_those_of_the_source_and_the_defaults() -> None:
    source = Listed([info("a", settings={"mode": "single", "x": 1})])
    catalogue = Catalogue([source], [], settings={"a": {"x": 2}}, defaults={"mode": "batch", "y": 3})

    found = await catalogue.find("a")

    assert found.settings == {"mode": "single", "x": 2, "y": 3}


async def test_an_unknown_id_is_answered_with_the_nearest_known_one() -> None:
    catalogue = Catalogue([Listed([info("lmx-tiny")])], [])

    with pytest.raises(ModelNotFound, match="did you mean 'lmx-tiny'"):
        await catalogue.find("lmx-tine")


def test_the_best_scored_backend_opens_a_model_unless_its_settings_name_another() -> None:
    catalogue = Catalogue([], [backend("good", score=60), backend("better", score=70)])

    chosen = catalogue.backend_for(info("a"))
    named = catalogue.backend_for(info("a", settings={"backend": "good"}))

    assert (chosen.spec.name, named.spec.name) == ("better", "good")


def test_a_model_without_a_backend_says_which_extra_would_bring_one() -> None:
    catalogue = Catalogue([], [], hints={"mlx": "pip install 'opta-lmx[mlx]'"})

    with pytest.raises(Unavailable, match=r"opta-lmx\[mlx\]") as caught:
        catalogue.backend_for(info("a"))

    assert caught.value.code == "no_engine"


async def test_a_model_that_brings_code_is_refused_with_the_line_that_opens_it_without() -> None:
    source = Listed([info("coded", details={"remote_code": True})])

    with pytest.raises(InvalidRequest, match=r"models\.settings\.coded\.ignore_remote_code: true"):
        await Catalogue([source], []).find("coded")

    opened = await Catalogue([source], [], settings={"coded": {"ignore_remote_code": True}}).find("coded")
    assert opened.id == "coded"
