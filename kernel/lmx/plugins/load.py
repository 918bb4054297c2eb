"""Import plugins, call their hooks, and quarantine those that break the contract."""

import importlib
import sys
import traceback
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen

from lmx.plugins.entries import PluginEntry, installed
from lmx.plugins.environments import can_import, problem_with
from lmx_hookspecs import implementations
from lmx_hookspecs.config import ConfigSpec, Requires
from lmx_hookspecs.errors import LmxError, PluginError
from lmx_hookspecs.implementations import HOOKS, HookFunction, call_hook, claimed_name, hooks_of, pip_line

EARLY_HOOKS = ("lmx_config", "lmx_requires")
NAMED_LIKE = MappingProxyType({"lmx_rerankers": "lmx_backends"})
"""Hooks that share their names with another: the kernel makes backends of rerankers."""


class Status(StrEnum):
    """What became of a plugin. A disabled one is never imported; an idle one lacks a module that it requires."""

    ACTIVE = "active"
    DISABLED = "disabled"
    IDLE = "idle"
    FAILED = "failed"


@define(kw_only=True)
class PluginRecord:
    """One installed plugin and what became of it; `advice` says what to do about `reason`."""

    entry: PluginEntry
    status: Status = Status.ACTIVE
    reason: str | None = None
    advice: str | None = None
    functions: Mapping[str, HookFunction] = field(factory=dict)
    offers: dict[str, Sequence[Any]] = field(factory=dict)
    interpreter: Path | None = None
    """What runs its workers and jobs, where that is not what runs us."""

    @property
    def name(self) -> str:
        """The name of its entry point."""
        return self.entry.name

    @property
    def distribution(self) -> str:
        """The distribution that brings it."""
        return self.entry.distribution

    @property
    def version(self) -> str:
        """The version of that distribution."""
        return self.entry.version

    @property
    def hooks(self) -> Sequence[str]:
        """The hooks that it implements, as far as it could be read."""
        return [hook for hook in HOOKS if hook in self.functions]

    def disable(self) -> None:
        """Leave it alone."""
        self.status = Status.DISABLED
        self.reason = "off by default" if self.entry.off_by_default else "switched off in the configuration"
        self.advice = f"plugins.{self.name}.enabled: true switches it on"

    def idle(self, reason: str, advice: str) -> None:
        """It lacks something."""
        self.status, self.reason, self.advice = Status.IDLE, reason, advice

    def fail(self, reason: str) -> None:
        """Take it out of service."""
        self.status, self.reason = Status.FAILED, reason
        self.advice = f"mend or upgrade {self.entry.owner}, or switch it off: plugins.{self.name}.enabled: false"


@frozen
class Offer:
    """A spec and the plugin that offers it."""

    plugin: str
    spec: Any


@define
class Registry:
    """What all plugins offer, by hook, in plugin name order."""

    records: Sequence[PluginRecord]

    def specs(self, hook: str) -> list[Offer]:
        """Every spec that active plugins offer through a hook."""
        return [
            Offer(record.name, spec)
            for record in self.records
            if record.status is Status.ACTIVE
            for spec in record.offers.get(hook, ())
        ]

    def record(self, plugin: str) -> PluginRecord:
        """The record of that plugin; raises KeyError."""
        for record in self.records:
            if record.name == plugin:
                return record
        raise KeyError(plugin)

    def interpreter(self, plugin: str) -> Path | None:
        """What runs the workers of that plugin; None is what runs us."""
        return next((record.interpreter for record in self.records if record.name == plugin), None)

    def fail(self, plugin: str, reason: str) -> None:
        """Take a plugin out of service that could not be opened; what it offers is gone from `specs`."""
        self.record(plugin).fail(reason)


@define
class Loader:
    """The plugins as imported; what they offer beyond configuration is still to be collected."""

    records: Sequence[PluginRecord]

    def config_specs(self) -> Mapping[str, Sequence[ConfigSpec]]:
        """The configuration keys of each plugin that could be read, idle ones included."""
        return {
            record.name: record.offers["lmx_config"]
            for record in self.records
            if record.status in (Status.ACTIVE, Status.IDLE)
        }

    def collect(self) -> Registry:
        """Call the other hooks of every active plugin, once."""
        for record in _active(self.records):
            with _quarantine(record):
                for hook in record.hooks:
                    if hook not in EARLY_HOOKS:
                        record.offers[hook] = call_hook(hook, record.functions[hook])
        _fail_rivals(_active(self.records))
        return Registry(self.records)


def discover(
    disabled: Collection[str] = (),
    entries: Iterable[PluginEntry] | None = None,
    interpreters: Mapping[str, Path] | None = None,
) -> Loader:
    """Import every plugin that is not disabled and ask it for its configuration and its requirements.

    `entries` are what `installed()` returns; give them where they are at hand, since reading them is not free.
    `interpreters` are those of plugins with an environment of their own, where their requirements have to be met.
    """
    found = sorted(installed() if entries is None else entries)
    records = [PluginRecord(entry=entry, interpreter=(interpreters or {}).get(entry.name)) for entry in found]
    for record in records:
        if record.name in disabled:
            record.disable()
    _fail_namesakes(_active(records))
    for record in _active(records):
        with _quarantine(record):
            _read(record)
    _fail_rivals([record for record in records if "lmx_config" in record.offers])
    return Loader(records)


def missing_modules(requires: Requires, interpreter: Path | None = None) -> list[str]:
    """Those of the required modules that could not be imported, here or there; nothing is imported to find out."""
    if interpreter is not None:
        return [module for module in requires.modules if not can_import(interpreter, module)]
    return [module for module in requires.modules if not _importable(module)]


def _active(records: Iterable[PluginRecord]) -> list[PluginRecord]:
    return [record for record in records if record.status is Status.ACTIVE]


def _read(record: PluginRecord) -> None:
    if ":" in record.entry.module:
        raise PluginError(f"its entry point names {record.entry.module}: a plugin is a module, without a colon")
    module = importlib.import_module(record.entry.module)
    record.functions = hooks_of(module)
    for hook in EARLY_HOOKS:
        function = record.functions.get(hook)
        record.offers[hook] = call_hook(hook, function) if function else ()
    needs = record.offers["lmx_requires"]
    lacking = [(missing, need) for need in needs if (missing := missing_modules(need, record.interpreter))]
    problem = record.interpreter and problem_with(record.interpreter)
    names = ", ".join(module for missing, _ in lacking for module in missing)
    if problem:
        record.idle(problem, f"mend workers.interpreters.{record.name}, or `{_install(record)}`")
    elif lacking and record.interpreter is not None:
        record.idle(f"cannot find {names} in the environment of {record.interpreter}", f"`{_install(record)}`")
    elif lacking:
        record.idle(f"cannot find {names}", " && ".join(dict.fromkeys(pip_line(need) for _, need in lacking)))


def _install(record: PluginRecord) -> str:
    return f"lmx plugins install {record.name} --isolated"


@contextmanager
def _quarantine(record: PluginRecord) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a plugin may break in any way, SystemExit included: the others, and we, go on
        record.offers.clear()
        record.fail(error.message if isinstance(error, LmxError) else _reason(error))


def _reason(error: BaseException) -> str:
    """Type, message and place of an error; its text and its traceback are read such that neither can raise again."""
    story = traceback.TracebackException.from_exception(error)
    text = " ".join(f"{type(error).__name__}: {story}".split())
    places = [f"{frame.filename}:{frame.lineno}" for frame in story.stack if not _is_ours(frame.filename)]
    return f"{text} ({places[-1]})" if places else text


def _is_ours(filename: str) -> bool:
    return filename.startswith("<frozen ") or filename in (__file__, importlib.__file__, implementations.__file__)


def _fail_namesakes(records: Iterable[PluginRecord]) -> None:
    claims: dict[str, list[PluginRecord]] = defaultdict(list)
    for record in records:
        claims[record.name].append(record)
    for name, rivals in claims.items():
        if len(rivals) > 1:
            owners = " and ".join(f"{record.entry.owner} ({record.entry.module})" for record in rivals)
            for record in rivals:
                record.fail(f"the plugin name {name!r} is claimed by {owners}: uninstall one of them")


def _fail_rivals(records: Iterable[PluginRecord]) -> None:
    claims: dict[tuple[str, str], list[PluginRecord]] = defaultdict(list)
    for record in records:
        for hook, offered in record.offers.items():
            for spec in offered:
                if name := claimed_name(spec, record.name):
                    claims[NAMED_LIKE.get(hook, hook), name].append(record)
    for (hook, name), rivals in claims.items():
        if len(rivals) > 1:
            owners = " and ".join(f"{record.name} ({record.entry.owner})" for record in rivals)
            for record in rivals:
                record.fail(f"{hook}: the name {name!r} is claimed by {owners}: switch one of them off")


def _importable(module: str) -> bool:
    top, *rest = module.split(".")
    spec = find_spec(top)
    name = top
    for part in rest:  # find_spec would import the parents of a dotted name
        if spec is None or spec.submodule_search_locations is None:
            return module in sys.modules
        name = f"{name}.{part}"
        spec = PathFinder.find_spec(name, list(spec.submodule_search_locations))
    return spec is not None
