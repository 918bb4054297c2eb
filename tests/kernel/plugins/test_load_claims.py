"""Names that two plugins claim."""

from lmx.plugins import Status, discover
from plugin_folder import PluginFolder, backend, backend_names, load, outcome


def test_a_plugin_name_claimed_twice_fails_both_and_names_both(folder: PluginFolder) -> None:
    folder.add("twin", backend("a"), distribution="first")
    folder.add("twin", backend("b"), distribution="second")

    registry = load(folder)

    assert [record.status for record in registry.records] == [Status.FAILED, Status.FAILED]
    for record in registry.records:
        assert "first 1.0" in (record.reason or "")
        assert "second 1.0" in (record.reason or "")
    assert backend_names(registry) == []


def test_a_disabled_name_is_not_fought_over(folder: PluginFolder) -> None:
    folder.add("twin", distribution="first")
    folder.add("twin", distribution="second")

    registry = load(folder, "twin")

    assert {record.status for record in registry.records} == {Status.DISABLED}


def test_a_spec_name_claimed_twice_fails_both_plugins_and_names_both(folder: PluginFolder) -> None:
    folder.add("ant", backend("same"))
    folder.add("bee", backend("same"))
    folder.add("cat", backend("other"))

    registry = load(folder)

    reason = (
        "lmx_backends: the name 'same' is claimed by ant (dist-ant 1.0) and bee (dist-bee 1.0): switch one of them off"
    )
    assert outcome(registry.record("ant")) == (Status.FAILED, reason)
    assert outcome(registry.record("bee")) == (Status.FAILED, reason)
    assert backend_names(registry) == ["other"]


def test_a_reranker_may_not_have_the_name_of_a_backend(folder: PluginFolder) -> None:
    folder.add("ant", backend("same"))
    reranker = "[RerankerSpec(name='same', formats=frozenset({'mine'}), load=None)]"
    folder.add("bee", f"@hookimpl\ndef lmx_rerankers(): return {reranker}\n")

    registry = load(folder)

    assert {record.status for record in registry.records} == {Status.FAILED}
    assert "the name 'same' is claimed by ant" in (registry.record("bee").reason or "")


def test_specs_of_different_hooks_may_share_a_name(folder: PluginFolder) -> None:
    folder.add(
        "ant",
        backend("ant")
        + "\n    @hookimpl\n    def lmx_model_sources(): return [ModelSourceSpec(name='ant', open=None)]\n",
    )

    record = load(folder).record("ant")

    assert outcome(record) == (Status.ACTIVE, "")


def test_a_configuration_section_claimed_twice_fails_both_before_anything_is_validated(folder: PluginFolder) -> None:
    source = (
        "import attrs\n@hookimpl\ndef lmx_config(): return [ConfigSpec(cls=attrs.make_class('K', []), section='rag')]"
    )
    folder.add("ant", source)
    folder.add("bee", source)

    loader = discover((), folder.entries)

    assert loader.config_specs() == {}
    assert [record.status for record in loader.records] == [Status.FAILED, Status.FAILED]
