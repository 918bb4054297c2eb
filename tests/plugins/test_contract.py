from importlib import import_module

import pytest

from lmx.plugins import PluginEntry, installed
from lmx_hookspecs.testing import (
    FakeContext,
    check_embedding_engine,
    check_embedding_step_engine,
    check_model_source,
    check_plugin,
    check_scheduler,
    check_step_engine,
    check_text_engine,
)

BUILT_IN = [entry for entry in installed() if entry.distribution == "opta-lmx"]


@pytest.mark.parametrize("entry", BUILT_IN, ids=lambda entry: entry.name)
def test_every_built_in_plugin_keeps_the_contract(entry: PluginEntry) -> None:
    offers = check_plugin(import_module(entry.module))

    assert any(offers.values())


@pytest.mark.parametrize("module", ["lmx_fifo", "lmx_priority"])
def test_each_built_in_scheduler_keeps_the_contract(module: str) -> None:
    offers = check_plugin(import_module(module))
    (config,), (spec,) = offers["lmx_config"], offers["lmx_schedulers"]

    scheduler = spec.open(FakeContext(config=config.cls()))

    check_scheduler(scheduler)


def test_the_scripted_engines_and_their_models_keep_the_contract() -> None:
    offers = check_plugin(import_module("lmx_echo"))
    (config,), (source_spec,) = offers["lmx_config"], offers["lmx_model_sources"]
    context = FakeContext(config=config.cls())

    source = source_spec.open(context)

    check_model_source(source)
    backends = {kind: spec for spec in offers["lmx_backends"] for kind in spec.formats}
    for model in source.models():
        spec = backends[model.format]
        if spec.level == "text":
            check_text_engine(spec, model, context.config)
            check_embedding_engine(spec, model, context.config)
        else:
            check_step_engine(spec.load(context, model))
            check_embedding_step_engine(spec.load(context, model))
