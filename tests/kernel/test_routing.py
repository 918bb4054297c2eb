from pathlib import Path

import pytest

from kernel_support import Log, ScriptedEngine, backend, info, lifecycle
from lmx.presets import PresetLibrary
from lmx.routing import Router
from lmx_hookspecs import ModelInfo
from lmx_hookspecs.errors import ModelNotFound, Unavailable


async def router(*models: object, **options: object) -> Router:
    life = lifecycle(ScriptedEngine(), *models)  # type: ignore[arg-type]
    return Router(life.catalogue, life, **options)  # type: ignore[arg-type]


async def library(folder: Path, **models: str) -> PresetLibrary:
    """Presets of these names and models, each behind the alias `code`."""
    for name, model in models.items():
        alias = "" if model == "auto" else "routing_alias: code\n"
        (folder / f"{name}.yaml").write_text(f"name: {name}\nmodel: {model}\n{alias}")
    presets = PresetLibrary(folder, log=Log())
    await presets.reload()
    return presets


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


async def test_a_default_that_no_request_may_load_leaves_it_to_a_loaded_model() -> None:
    life = lifecycle(ScriptedEngine(), info("a"), info("b"), jit_load=False)
    routing = Router(life.catalogue, life, default_model="b")
    nothing_loaded = await routing.resolve("auto")
    await life.load("a")

    assert nothing_loaded == ["b"]
    assert await routing.resolve("auto") == ["a"]


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


EMBEDS, RERANKS = frozenset({"embed"}), frozenset({"rerank"})
BOTH = backend(capabilities=frozenset({"chat", "embed"}))


def embedder(model_id: str, **facts: object) -> ModelInfo:
    return info(model_id, capabilities=EMBEDS, **facts)


async def test_auto_for_embeddings_is_a_model_that_does_nothing_else_whatever_is_loaded() -> None:
    life = lifecycle(
        ScriptedEngine(),
        info("a-chat", builtin=True),
        embedder("other"),
        embedder("own", builtin=True),
        backends=[BOTH],
    )
    routing = Router(life.catalogue, life)
    before = await routing.resolve("auto", EMBEDS)
    await life.load("other")
    await life.load("a-chat")

    assert before == await routing.resolve("auto", EMBEDS) == ["own"]
    assert await routing.resolve("auto") == ["a-chat"]


async def test_auto_for_embeddings_is_the_configured_default_where_that_embeds() -> None:
    life = lifecycle(ScriptedEngine(), info("chat"), embedder("a"), embedder("b"), backends=[BOTH])

    assert await Router(life.catalogue, life, default_model="b").resolve("auto", EMBEDS) == ["b"]
    assert await Router(life.catalogue, life, default_model="chat").resolve("auto", EMBEDS) == ["a"]
    assert await Router(life.catalogue, life, default_model="gone").resolve("auto", EMBEDS) == ["a"]


async def test_auto_for_embeddings_is_a_loaded_model_where_no_request_may_load_one() -> None:
    life = lifecycle(ScriptedEngine(), embedder("a"), embedder("b"), backends=[BOTH], jit_load=False)
    routing = Router(life.catalogue, life)
    await life.load("b")

    assert await routing.resolve("auto", EMBEDS) == ["b"]


async def test_auto_for_embeddings_says_what_the_engine_of_the_one_that_is_here_wants() -> None:
    life = lifecycle(ScriptedEngine(), embedder("a", format="alien"), info("chat", capabilities=frozenset({"chat"})))
    routing = Router(life.catalogue, life)

    with pytest.raises(Unavailable, match="opens alien models") as refused:
        await routing.resolve("auto", EMBEDS)
    with pytest.raises(ModelNotFound, match="no model for rerank"):
        await routing.resolve("auto", frozenset({"rerank"}))

    assert refused.value.code == "no_engine"


async def test_auto_for_reranking_is_a_loaded_model_and_of_these_a_pinned_one() -> None:
    models = [info(name, capabilities=RERANKS) for name in "abcd"]
    life = lifecycle(ScriptedEngine(), *models, backends=[backend(capabilities=RERANKS)])
    routing = Router(life.catalogue, life)
    found = [await routing.resolve("auto", RERANKS)]
    for name in "dc":
        await life.load(name)
        found.append(await routing.resolve("auto", RERANKS))
    await life.pin("d", pinned=True)

    assert [*found, await routing.resolve("auto", RERANKS)] == [["a"], ["d"], ["c"], ["d"]]


async def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ModelNotFound):
        await (await router(info("a"))).resolve("b")


async def test_an_id_counts_before_an_alias_of_the_same_name_whether_loaded_or_not() -> None:
    routing = await router(info("a"), info("b"), aliases={"a": ["b"]})
    before = await routing.resolve("a")
    await routing.models.load("a")

    assert before == await routing.resolve("a") == ["a"]


async def test_a_preset_is_its_model_its_alias_or_auto(tmp_path: Path) -> None:
    presets = await library(tmp_path, direct="b", behind="chat", any="auto")
    routing = await router(info("a"), info("b"), aliases={"chat": ["gone", "a"]}, default_model="a", presets=presets)

    assert await routing.resolve("preset:direct") == ["b"]
    assert await routing.resolve("preset:behind") == ["a"]
    assert await routing.resolve("preset:any") == ["a"]


async def test_an_unknown_preset_and_one_whose_model_is_not_here_are_refused_by_name(tmp_path: Path) -> None:
    routing = await router(info("a"), presets=await library(tmp_path, lost="gone"))

    with pytest.raises(ModelNotFound, match="'preset:nope'"):
        await routing.resolve("preset:nope")
    with pytest.raises(ModelNotFound, match=r"preset 'lost': .*'gone'"):
        await routing.resolve("preset:lost")


async def test_an_alias_has_the_stacks_model_first_then_the_configured_then_those_of_presets(tmp_path: Path) -> None:
    presets = await library(tmp_path, one="b", two="d", three="d")
    routing = await router(
        info("a"), aliases={"code": ["a", "b"]}, presets=presets, roles=lambda: {"code": "c", "talk": "a"}
    )

    assert routing.aliases() == {"code": ["c", "a", "b", "d"], "talk": ["a"]}


async def test_presets_that_are_read_again_change_the_aliases(tmp_path: Path) -> None:
    presets = await library(tmp_path, one="b")
    routing = await router(info("a"), info("b"), presets=presets)
    before = await routing.resolve("code")
    (tmp_path / "one.yaml").unlink()
    await presets.reload()

    assert before == ["b"]
    with pytest.raises(ModelNotFound):
        await routing.resolve("code")


async def test_other_aliases_and_another_default_count_at_once() -> None:
    routing = await router(info("a"), info("b"), aliases={"old": ["a"]}, default_model="a")

    routing.reconfigure({"new": ["b"]}, "b")

    assert (await routing.resolve("new"), await routing.resolve("auto")) == (["b"], ["b"])
    assert (routing.aliases(), routing.default_model()) == ({"new": ["b"]}, "b")


async def test_a_model_on_its_way_here_is_asked_for_again_later() -> None:
    models = lifecycle(ScriptedEngine(), downloading=lambda: {"org/big"})
    router = Router(models.catalogue, models)

    with pytest.raises(Unavailable) as refused:
        await router.resolve("org/big")

    assert (refused.value.code, refused.value.param) == ("model_loading", "model")
    assert refused.value.retry_after_s
