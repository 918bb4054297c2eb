import asyncio

import lmx_my_plugin
from lmx_hookspecs import GenerationRequest, Message
from lmx_hookspecs.testing import FakeContext, check_model_source, check_plugin, check_text_engine
from lmx_my_plugin.config import Settings
from lmx_my_plugin.engine import ShoutEngine
from lmx_my_plugin.source import OneModel


def answer(text: str, settings: Settings) -> str:
    (model,) = OneModel("my_plugin").models()
    engine = ShoutEngine(settings, model)
    request = GenerationRequest(model=model.id, messages=[Message(role="user", content=text)])

    async def collect() -> str:
        return "".join([piece.text async for piece in engine.generate(request)])

    return asyncio.run(collect())


def test_the_plugin_keeps_the_contract() -> None:
    offers = check_plugin(lmx_my_plugin)

    assert set(offers) == {"lmx_config", "lmx_backends", "lmx_model_sources"}


def test_its_engine_and_its_model_source_keep_the_contract() -> None:
    offers = check_plugin(lmx_my_plugin)
    (backend,), (source_spec,) = offers["lmx_backends"], offers["lmx_model_sources"]

    source = source_spec.open(FakeContext())

    check_model_source(source)
    for model in source.models():
        check_text_engine(backend, model, Settings())


def test_the_last_message_comes_back_in_capitals() -> None:
    assert answer("hello  there", Settings()) == "HELLO THERE!"


def test_the_configuration_says_how_loud_it_is() -> None:
    assert answer("hello", Settings(exclamation_marks=3)) == "HELLO!!!"
