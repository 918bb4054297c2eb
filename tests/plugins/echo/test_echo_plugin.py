from types import SimpleNamespace
from typing import Any

import pytest

import lmx_echo
from lmx_echo.config import EchoConfig, config_for
from lmx_hookspecs import ModelInfo, WorkerContext
from lmx_hookspecs.errors import ConfigError, EngineFailed


def context(**config: Any) -> WorkerContext:
    return SimpleNamespace(config=EchoConfig(**config), log=None)


def model(**settings: Any) -> ModelInfo:
    return ModelInfo(id="echo", format="echo", settings={"echo": settings} if settings else {})


def test_there_is_a_model_for_every_backend() -> None:
    (source_spec,) = lmx_echo.lmx_model_sources()
    source = source_spec.open(context(context_length=50))  # type: ignore[arg-type]

    formats = {name for spec in lmx_echo.lmx_backends() for name in spec.formats}

    assert {found.format for found in source.models()} == formats
    assert [found.context_length for found in source.models()] == [50] * 3
    assert source.find("echo-tokens") in source.models()
    assert source.find("nothing") is None


def test_each_way_an_engine_can_run_is_offered_once() -> None:
    assert [(spec.name, spec.level, spec.isolation) for spec in lmx_echo.lmx_backends()] == [
        ("echo", "text", "inline"),
        ("echo-process", "text", "process"),
        ("echo-tokens", "tokens", "process"),
    ]


def test_every_backend_loads() -> None:
    for spec in lmx_echo.lmx_backends():
        engine = spec.load(context(context_length=77), model())

        assert engine.describe().context_length == 77
        assert engine.describe().capabilities == spec.capabilities


def test_settings_of_a_model_win_over_the_plugins() -> None:
    config = config_for(context(reply="all", delay_ms=5.0), model(reply="one"))

    assert (config.reply, config.delay_ms) == ("one", 5.0)


def test_an_unknown_setting_of_a_model_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"'echo' do not fit.*replay"):
        config_for(context(), model(replay="x"))


def test_a_load_fails_where_the_script_says_so() -> None:
    for spec in lmx_echo.lmx_backends():
        with pytest.raises(EngineFailed, match="told to fail"):
            spec.load(context(fail_load="error"), model())


@pytest.mark.parametrize("misbehaviour", [{"crash_after": 0}, {"fail_load": "crash"}, {"fail_load": "hang"}])
def test_an_inline_echo_refuses_what_only_a_process_survives(misbehaviour: dict[str, Any]) -> None:
    inline = lmx_echo.lmx_backends()[0]

    with pytest.raises(ConfigError, match="echo-process"):
        inline.load(context(**misbehaviour), model())
