import pytest

from lmx.workers import recipe
from lmx_echo.config import EchoConfig
from lmx_hookspecs import Capability
from lmx_hookspecs.errors import ConfigError, PluginError


def test_a_backend_is_found_by_the_names_of_its_plugin_and_its_own() -> None:
    assert recipe.backend("echo", "echo-tokens").level == "tokens"


def test_configuration_becomes_an_instance_of_the_plugins_class() -> None:
    assert recipe.configuration("echo", {"delay_ms": 5}) == EchoConfig(delay_ms=5)


def test_a_plugin_without_configuration_has_none() -> None:
    assert recipe.configuration("tiny", {}) is None


def test_a_plugin_that_is_not_installed_is_named() -> None:
    with pytest.raises(PluginError, match="'nowhere' is not installed"):
        recipe.backend("nowhere", "x")


def test_a_backend_that_the_plugin_does_not_offer_is_named() -> None:
    with pytest.raises(PluginError, match="offers no backend 'x'"):
        recipe.backend("echo", "x")


def test_configuration_that_does_not_hold_names_the_key() -> None:
    with pytest.raises(ConfigError, match="delay_ms"):
        recipe.configuration("echo", {"delay_ms": -1})


def test_a_job_that_the_plugin_does_not_offer_is_named() -> None:
    with pytest.raises(PluginError, match="offers no job 'x'"):
        recipe.job("echo", "x")


def test_a_reranker_is_found_as_the_backend_that_it_becomes() -> None:
    spec = recipe.backend("rerank", "rerank")

    assert (spec.level, spec.isolation) == ("text", "process")
    assert spec.capabilities == frozenset({Capability.RERANK})
    assert "cross-encoder" in spec.formats
