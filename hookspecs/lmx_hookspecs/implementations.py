"""What a plugin module implements: its hooks are found, called, and held to what `specs.py` says they return."""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType, ModuleType
from typing import Any, get_args, get_origin, get_type_hints

import attrs

from lmx_hookspecs import specs
from lmx_hookspecs.config import ConfigSpec, Requires
from lmx_hookspecs.errors import PluginError

HookFunction = Callable[[], Iterable[Any]]

SPEC_MARK = f"{specs.PROJECT}_spec"
IMPL_MARK = f"{specs.PROJECT}_impl"


def _returned_class(hook: Callable[..., Any]) -> type:
    (cls,) = get_args(get_type_hints(hook)["return"])
    return cls  # type: ignore[no-any-return]


HOOKS: Mapping[str, type] = MappingProxyType(
    {name: _returned_class(value) for name, value in vars(specs).items() if hasattr(value, SPEC_MARK)}
)
"""Every hook, in the order of `specs.py`, and the class of what it returns."""


def hooks_of(module: ModuleType) -> Mapping[str, HookFunction]:
    """The hooks that a module implements; raises PluginError for one that could never be called."""
    _check_contract(module)
    functions = {name: value for name, value in vars(module).items() if name in HOOKS or _marks(value) is not None}
    found: dict[str, HookFunction] = {}
    for name, function in functions.items():
        hook = _hook_name(name, function)
        if hook in found:
            raise PluginError(f"{name}: {hook} is implemented twice: return everything from one function")
        found[hook] = function
    return found


def call_hook(hook: str, function: HookFunction) -> Sequence[Any]:
    """What an implementation returns, as a tuple of specs; raises PluginError where that is not what it should be."""
    cls = HOOKS[hook]
    returned = function()
    if not isinstance(returned, Iterable) or isinstance(returned, str | bytes | Mapping):
        raise PluginError(f"{hook} returned {_article(returned)}: return a list of {cls.__name__}")
    offered = tuple(returned)  # a generator raises here, under the eyes of the caller
    for spec in offered:
        if not isinstance(spec, cls):
            raise PluginError(f"{hook} returned {_article(spec)} in its list: only {cls.__name__} belongs there")
        _check_spec(hook, spec)
    _check_names(hook, [name for spec in offered if (name := claimed_name(spec))])
    return offered


def claimed_name(spec: Any, plugin: str = "<name>") -> str | None:
    """The name that no other spec of the same hook may have; None for specs that have none."""
    if isinstance(spec, ConfigSpec):
        return spec.section or f"plugins.{plugin}"
    return getattr(spec, "name", None)


def pip_line(requires: Requires) -> str:
    """The command that brings what is required."""
    return requires.extra if " " in requires.extra else f"pip install 'opta-lmx[{requires.extra}]'"


def _check_contract(module: ModuleType) -> None:
    written_for = getattr(module, "LMX_CONTRACT", specs.CONTRACT_VERSION)
    if written_for != specs.CONTRACT_VERSION:
        raise PluginError(
            f"written for contract version {written_for}, this LMX speaks {specs.CONTRACT_VERSION}: "
            "install a version of the plugin, or of LMX, that matches"
        )


def _marks(value: Any) -> Mapping[str, Any] | None:
    return getattr(value, IMPL_MARK, None) if inspect.isfunction(value) else None


def _hook_name(name: str, function: Any) -> str:
    """The hook that a function implements, once everything about it is in order."""
    marks = _marks(function)
    if not inspect.isfunction(function):
        raise PluginError(f"{name} is {_article(function)}: a hook is a function marked @hookimpl")
    if marks is None:
        raise PluginError(f"{name} is not marked @hookimpl")
    hook = marks.get("specname") or name
    if hook not in HOOKS:
        close = get_close_matches(hook, HOOKS, n=1)
        raise PluginError(f"there is no hook {hook}" + (f": did you mean {close[0]}?" if close else ""))
    if marks.get("wrapper") or marks.get("hookwrapper"):
        raise PluginError(f"{name} is a hook wrapper: hooks of LMX are not wrapped, return specs instead")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginError(f"{name} is async: hooks are called once at start-up and only return specs")
    if missing := _required_parameters(function):
        raise PluginError(f"{name} asks for {', '.join(missing)}: hooks take no arguments")
    return hook


def _required_parameters(function: Callable[..., Any]) -> list[str]:
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty and parameter.kind not in optional
    ]


def _check_spec(hook: str, spec: Any) -> None:
    if hasattr(spec, "name") and not (isinstance(spec.name, str) and spec.name):
        raise PluginError(f"{hook} returned a {type(spec).__name__} without a name: give it one")
    if isinstance(spec, ConfigSpec):
        _check_section(spec)


def _check_section(spec: ConfigSpec) -> None:
    if spec.section is not None and not (isinstance(spec.section, str) and spec.section):
        raise PluginError(f"lmx_config returned the section {spec.section!r}: it is a name, or None")
    if _is_mapping(spec.cls) and spec.section is not None:
        return
    if not attrs.has(spec.cls):
        raise PluginError(f"lmx_config returned {spec.cls!r}: a section is an attrs class")
    bare = [attribute.name for attribute in attrs.fields(spec.cls) if attribute.default is attrs.NOTHING]
    if bare:
        raise PluginError(f"{spec.cls.__name__} has no default for {', '.join(bare)}: every key needs one")


def _is_mapping(cls: Any) -> bool:
    """Whether it is a Mapping from names to an attrs class."""
    names, entry = (*get_args(cls), None, None)[:2]
    return get_origin(cls) is Mapping and names is str and isinstance(entry, type) and attrs.has(entry)


def _check_names(hook: str, names: Sequence[str]) -> None:
    for name, count in Counter(names).items():
        if count > 1:
            raise PluginError(f"{hook} returned {count} specs named {name!r}: names are unique")


def _article(value: Any) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
