import sys

import pytest

from lmx.plugins import PluginEntry, Status, discover, off_by_default
from lmx.plugins.load import missing_modules
from lmx_hookspecs import Requires
from plugin_folder import PluginFolder, backend, backend_names, load, outcome


def test_what_plugins_offer_is_found_by_hook_in_the_order_of_their_names(folder: PluginFolder) -> None:
    folder.add("zebra", backend("stripes"))
    folder.add("ant", backend("march"))

    registry = load(folder)

    assert [(offer.plugin, offer.spec.name) for offer in registry.specs("lmx_backends")] == [
        ("ant", "march"),
        ("zebra", "stripes"),
    ]
    assert registry.record("ant").hooks == ["lmx_backends"]


def test_a_plugin_without_hooks_is_active_and_offers_nothing(folder: PluginFolder) -> None:
    folder.add("plain")

    registry = load(folder)

    assert registry.record("plain").status is Status.ACTIVE
    assert registry.specs("lmx_surfaces") == []


def test_a_disabled_plugin_is_listed_and_never_imported(folder: PluginFolder) -> None:
    entry = folder.add("loud", "raise SystemExit('imported')")

    record = load(folder, "loud").record("loud")

    assert record.status is Status.DISABLED
    assert entry.module not in sys.modules


def test_a_plugin_that_is_off_by_default_is_told_how_to_be_switched_on(folder: PluginFolder) -> None:
    folder.add("shy", off=True)

    record = load(folder, *off_by_default(folder.entries)).record("shy")

    assert outcome(record) == (Status.DISABLED, "off by default")
    assert record.advice == "plugins.shy.enabled: true switches it on"


def test_a_plugin_that_is_off_by_default_loads_once_it_is_switched_on(folder: PluginFolder) -> None:
    folder.add("shy", off=True)

    record = load(folder).record("shy")

    assert record.status is Status.ACTIVE


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_module_here", "ModuleNotFoundError: No module named 'no_such_module_here'"),
        ("def broken(:", "SyntaxError"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("class Odd(Exception):\n    def __str__(self): return 1 / 0\nraise Odd", "Odd: <exception str() failed>"),
        ("LMX_CONTRACT = 2", "written for contract version 2, this LMX speaks 1"),
        ("@hookimpl\ndef lmx_backend(): return []", "there is no hook lmx_backend: did you mean lmx_backends?"),
        ("def lmx_backends(): return []", "lmx_backends is not marked @hookimpl"),
        ("@hookimpl\ndef lmx_backends(): return None", "lmx_backends returned None: return a list of BackendSpec"),
        ("@hookimpl\ndef lmx_backends(): return ['mlx']", "lmx_backends returned a str in its list"),
        ("@hookimpl\ndef lmx_config(): return 1 / 0", "ZeroDivisionError: division by zero"),
        ("@hookimpl\ndef lmx_jobs():\n    yield from ()\n    raise OSError('late')", "OSError: late"),
    ],
)
def test_a_broken_plugin_is_listed_with_its_reason_and_the_others_go_on(
    folder: PluginFolder, source: str, reason: str
) -> None:
    folder.add("broken", source)
    folder.add("healthy", backend("fine"))

    registry = load(folder)

    status, seen = outcome(registry.record("broken"))
    assert status is Status.FAILED
    assert reason in seen
    assert backend_names(registry) == ["fine"]


def test_a_syntax_error_is_placed_in_the_plugin(folder: PluginFolder) -> None:
    entry = folder.add("broken", "\n\ndef broken(:")

    record = load(folder).record("broken")

    assert outcome(record) == (Status.FAILED, f"SyntaxError: invalid syntax ({entry.module}.py, line 4)")


def test_a_module_that_is_not_there_is_all_the_reason_says(folder: PluginFolder) -> None:
    folder.entries.append(PluginEntry(name="ghost", module="no_such_plugin_module"))

    record = load(folder).record("ghost")

    assert record.reason == "ModuleNotFoundError: No module named 'no_such_plugin_module'"


def test_the_reason_says_where_a_plugin_broke(folder: PluginFolder) -> None:
    entry = folder.add("broken", "\nraise ValueError('no')")

    record = load(folder).record("broken")

    assert (record.reason or "").endswith(f"{entry.module}.py:3)")
    assert record.advice == "mend or upgrade dist-broken 1.0, or switch it off: plugins.broken.enabled: false"


def test_a_keyboard_interrupt_is_the_users_and_passes_through(folder: PluginFolder) -> None:
    folder.add("slow", "raise KeyboardInterrupt")

    with pytest.raises(KeyboardInterrupt):
        load(folder)


def test_a_plugin_that_breaks_in_one_hook_offers_nothing_through_the_others(folder: PluginFolder) -> None:
    folder.add("half", backend("early") + "\n    @hookimpl\n    def lmx_jobs(): raise OSError('late')\n")

    registry = load(folder)

    assert registry.record("half").status is Status.FAILED
    assert registry.specs("lmx_backends") == []


def test_an_entry_point_that_names_an_object_is_refused(folder: PluginFolder) -> None:
    folder.entries.append(PluginEntry(name="object", module="lmx_thing:plugin"))

    record = load(folder).record("object")

    assert outcome(record)[0] is Status.FAILED
    assert "a plugin is a module" in outcome(record)[1]


def test_a_plugin_that_lacks_a_module_is_idle_with_its_pip_line(folder: PluginFolder) -> None:
    folder.add(
        "engine",
        """
        @hookimpl
        def lmx_requires():
            return [Requires(modules=["json", "no_such_engine"], extra="mlx")]

        @hookimpl
        def lmx_backends():
            raise AssertionError("an idle plugin is not asked")
        """,
    )

    record = load(folder).record("engine")

    assert outcome(record) == (Status.IDLE, "cannot find no_such_engine")
    assert record.advice == "pip install 'opta-lmx[mlx]'"
    assert record.hooks == ["lmx_requires", "lmx_backends"]


def test_a_whole_pip_line_is_kept_as_it_is(folder: PluginFolder) -> None:
    folder.add(
        "engine",
        "@hookimpl\ndef lmx_requires(): return [Requires(modules=['no_such'], extra='pip install lmx-x[fast]')]",
    )

    record = load(folder).record("engine")

    assert record.advice == "pip install lmx-x[fast]"


def test_requirements_are_looked_up_without_importing_anything(folder: PluginFolder) -> None:
    package = folder.path / "lazy_giant"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    (package / "core.py").touch()
    wanted = ["lazy_giant.core", "lazy_giant.gone", "gone.core", "json", "os.path", "os.gone"]

    missing = missing_modules(Requires(modules=wanted, extra="x"))

    assert missing == ["lazy_giant.gone", "gone.core", "os.gone"]


def test_configuration_specs_include_idle_plugins_but_not_failed_ones(folder: PluginFolder) -> None:
    section = "import attrs\n@attrs.frozen\nclass Keys:\n    size: int = 1\n"
    hook = "@hookimpl\ndef lmx_config(): return [ConfigSpec(cls=Keys)]\n"
    folder.add("good", section + hook)
    folder.add("bad", section + hook + "@hookimpl\ndef lmx_nonsense(): return []")
    folder.add("idle", section + hook + "@hookimpl\ndef lmx_requires(): return [Requires(modules=['nope'], extra='x')]")
    folder.add("silent")

    specs = discover((), folder.entries).config_specs()

    assert {plugin: [spec.cls.__name__ for spec in offered] for plugin, offered in specs.items()} == {
        "good": ["Keys"],
        "idle": ["Keys"],
        "silent": [],
    }


def test_a_plugin_that_could_not_be_opened_is_withdrawn(folder: PluginFolder) -> None:
    folder.add("ant", backend("march"))
    registry = load(folder)

    registry.fail("ant", "its port is taken")

    assert outcome(registry.record("ant")) == (Status.FAILED, "its port is taken")
    assert registry.specs("lmx_backends") == []


def test_hooks_are_called_once(folder: PluginFolder) -> None:
    folder.add("counted", "calls = []\n@hookimpl\ndef lmx_jobs():\n    calls.append(1)\n    return []")
    registry = load(folder)

    registry.specs("lmx_jobs")
    registry.specs("lmx_jobs")

    assert sys.modules[folder.entries[0].module].calls == [1]
