import pytest

from kernel_support import ScriptedEngine, info, lifecycle
from lmx.routing import Router
from lmx_hookspecs.errors import ModelNotFound


async def router(*models: object, **options: object) -> Router:
    life = lifecycle(ScriptedEngine(), *models)  # type: ignore[arg-type]
    return Router(life.catalogue, life, **options)  # type: ignore[arg-type]


async def test_an_exact_id_is_itself() -> None:
    routing = await router(info("a"), info("b"))

    assert await routing.resolve("b") == ["b"]


async def test_an_alias_lists_its_loaded_models_first_and_leaves_out_those_that_are_not_here() -> None:
    routing = await router(info("a"), info("b"), aliases={"code": ["a", "gone", "b"]})
    await routing.models.load("b")

    assert await routing.resolve("code") == ["b", "a"]


async def test_an_alias_of_nothing_that_is_here_says_so() -> None:
    routing = await router(info("a"), aliases={"code": ["gone"]})

    with pytest.raises(ModelNotFound, match="gone"):
        await routing.resolve("code")


async def test_auto_is_the_configured_default() -> None:
    routing = await router(info("a"), info("b"), default_model="b")

    assert await routing.resolve("auto") == ["b"]


async def test_auto_is_else_a_loaded_model() -> None:
    routing = await router(info("a"), info("b"))
    await routing.models.load("b")

    assert await routing.resolve("auto") == ["b"]


async def test_auto_is_else_the_built_in_model_rather_than_one_of_unknown_size() -> None:
    routing = await router(info("a-giant"), info("small", builtin=True))

    assert await routing.resolve("auto") == ["small"]


async def test_auto_without_any_servable_model_says_what_to_do() -> None:
    routing = await router(info("a", format="alien"))

    with pytest.raises(ModelNotFound, match="lmx plugins list"):
        await routing.resolve("auto")


async def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ModelNotFound):
        await (await router(info("a"))).resolve("b")


async def test_an_id_counts_before_an_alias_of_the_same_name_whether_loaded_or_not() -> None:
    routing = await router(info("a"), info("b"), aliases={"a": ["b"]})
    before = await routing.resolve("a")
    await routing.models.load("a")

    assert before == await routing.resolve("a") == ["a"]
