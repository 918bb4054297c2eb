from textwrap import dedent
from types import ModuleType

import pytest

from lmx_hookspecs import Requires, specs
from lmx_hookspecs.errors import PluginError
from lmx_hookspecs.implementations import HOOKS, call_hook, hooks_of, pip_line


def module(source: str) -> ModuleType:
    made = ModuleType("made")
    exec(f"from lmx_hookspecs import *\nfrom attrs import make_class\n{dedent(source)}", vars(made))  # noqa: S102  our own text
    return made


def test_the_table_holds_every_hook_in_the_order_of_the_specifications() -> None:
    assert list(HOOKS) == [name for name in vars(specs) if name.startswith("lmx_")]
    assert all(isinstance(cls, type) for cls in HOOKS.values())


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("lmx_backends = []", "lmx_backends is a list: a hook is a function marked @hookimpl"),
        ("def lmx_backends(): return []", "lmx_backends is not marked @hookimpl"),
        ("@hookimpl\ndef lmx_backnds(): return []", "there is no hook lmx_backnds: did you mean lmx_backends?"),
        ("@hookimpl\ndef start(): return []", "there is no hook start"),
        ("@hookimpl\ndef lmx_backends(config): return []", "lmx_backends asks for config: hooks take no arguments"),
        ("@hookimpl\nasync def lmx_backends(): return []", "lmx_backends is async"),
        ("@hookimpl\nasync def lmx_backends(): yield 1", "lmx_backends is async"),
        ("@hookimpl(wrapper=True)\ndef lmx_backends(): return (yield)", "lmx_backends is a hook wrapper"),
        (
            "@hookimpl\ndef lmx_jobs(): return []\n@hookimpl(specname='lmx_jobs')\ndef more(): return []",
            "more: lmx_jobs is implemented twice",
        ),
        ("LMX_CONTRACT = 99", "written for contract version 99, this LMX speaks 1"),
    ],
)
def test_a_hook_that_could_never_be_called_is_refused(source: str, reason: str) -> None:
    plugin = module(source)

    with pytest.raises(PluginError) as caught:
        hooks_of(plugin)

    assert caught.value.message.startswith(reason)


def test_what_is_no_hook_is_left_alone() -> None:
    plugin = module("import lmx_hookspecs\nlmx_version = 3\ndef lmx_helper(x): return x\nLMX_CONTRACT = 1")

    assert hooks_of(plugin) == {}


def test_optional_arguments_are_not_asked_for() -> None:
    plugin = module("@hookimpl\ndef lmx_jobs(names=(), *rest, **more): return []")

    assert call_hook("lmx_jobs", hooks_of(plugin)["lmx_jobs"]) == ()


@pytest.mark.parametrize(
    ("hook", "source", "reason"),
    [
        ("lmx_guards", "return None", "lmx_guards returned None: return a list of GuardSpec"),
        ("lmx_guards", "return 'breaker'", "lmx_guards returned a str: return a list of GuardSpec"),
        ("lmx_guards", "return {'a': 1}", "lmx_guards returned a dict: return a list of GuardSpec"),
        ("lmx_guards", "return GuardSpec(name='a', open=None)", "lmx_guards returned a GuardSpec: return a list"),
        ("lmx_guards", "return [1]", "lmx_guards returned an int in its list: only GuardSpec belongs there"),
        ("lmx_guards", "return [GuardSpec(name='', open=None)]", "lmx_guards returned a GuardSpec without a name"),
        ("lmx_guards", "return [GuardSpec(name=7, open=None)]", "lmx_guards returned a GuardSpec without a name"),
        ("lmx_guards", "return [GuardSpec(name='a', open=None)] * 2", "lmx_guards returned 2 specs named 'a'"),
        (
            "lmx_config",
            "return [ConfigSpec(cls=int)]",
            "lmx_config returned <class 'int'>: a section is an attrs class",
        ),
        ("lmx_config", "return [ConfigSpec(cls=make_class('Keys', ['size']))]", "Keys has no default for size"),
        (
            "lmx_config",
            "return [ConfigSpec(cls=make_class('K', [])) for _ in 'ab']",
            "lmx_config returned 2 specs named 'plugins.<name>'",
        ),
    ],
)
def test_a_wrong_answer_of_a_hook_is_refused(hook: str, source: str, reason: str) -> None:
    function = hooks_of(module(f"@hookimpl\ndef {hook}():\n    {source}"))[hook]

    with pytest.raises(PluginError) as caught:
        call_hook(hook, function)

    assert caught.value.message.startswith(reason)


def test_a_section_of_its_own_may_have_keys_that_somebody_chooses() -> None:
    source = """
        from collections.abc import Mapping
        Entry = make_class("Entry", ["url"])

        @hookimpl
        def lmx_config():
            return [ConfigSpec(section="boxes", cls=Mapping[str, Entry])]

        @hookimpl
        def lmx_guards():
            return []
    """
    plugin = module(source)

    (spec,) = call_hook("lmx_config", hooks_of(plugin)["lmx_config"])

    assert spec.entry is plugin.Entry


@pytest.mark.parametrize(
    "section", ["None, cls=Mapping[str, K]", "'s', cls=Mapping[int, K]", "'s', cls=Mapping[str, int]"]
)
def test_other_mappings_are_no_sections(section: str) -> None:
    source = f"""
        from collections.abc import Mapping
        K = make_class("K", [])

        @hookimpl
        def lmx_config():
            return [ConfigSpec(section={section})]
    """
    function = hooks_of(module(source))["lmx_config"]

    with pytest.raises(PluginError, match="a section is an attrs class"):
        call_hook("lmx_config", function)


def test_a_generator_is_run_to_its_end() -> None:
    function = hooks_of(module("@hookimpl\ndef lmx_guards():\n    yield GuardSpec(name='a', open=None)"))["lmx_guards"]

    offered = call_hook("lmx_guards", function)

    assert [spec.name for spec in offered] == ["a"]


def test_an_extra_becomes_a_pip_line_and_a_pip_line_stays_one() -> None:
    assert pip_line(Requires(modules=[], extra="rag")) == "pip install 'opta-lmx[rag]'"
    assert pip_line(Requires(modules=[], extra="pip install lmx-x")) == "pip install lmx-x"
