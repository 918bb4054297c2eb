"""Read the configuration again while the server runs: `plan` says what would change, `apply` does it.

plan = await asyncio.to_thread(reload.plan, config, sources, parts)
reload.apply(plan, parts)
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import attrs
from attrs import define, evolve, field, frozen

from lmx.config.files import RawConfig, read
from lmx.config.merge import Path, Value, find, plain
from lmx.config.resolve import PLUGINS, SWITCH, Config, resolve
from lmx_hookspecs import ConfigSpec, Option, options_of
from lmx_hookspecs.errors import ConfigError
from lmx_hookspecs.reloading import Reconfigurable, ReloadReport, SectionReconfigurable

Part = Callable[[Any], None]
"""Takes over a section; one that raises has changed nothing."""


def anything(_: Config) -> None:
    """Accepts every valid configuration."""


@frozen(kw_only=True)
class Sources:
    """What a configuration is made from, the same at every reload as at the start."""

    flags: Mapping[str, Any]
    environment: Mapping[str, str] = field(repr=False)
    plugin_specs: Mapping[str, Sequence[ConfigSpec]]
    """Of the plugins that were imported at the start."""
    installed: frozenset[str]
    off_by_default: frozenset[str] = frozenset()
    accept: Callable[[Config], None] = anything
    """Raises ConfigError for a valid configuration that a start would refuse all the same."""

    def resolved(self, raw: RawConfig) -> Config:
        """The validated configuration; raises ConfigError with every problem."""
        config = resolve(raw, self.plugin_specs, self.installed, self.off_by_default)
        self.accept(config)
        return config

    def read_again(self, config: Config) -> Config:
        """What is written now, in the folder that `config` came from; raises ConfigError with every problem."""
        folder = config.raw.directory
        if folder is not None and not folder.is_dir():
            raise ConfigError(f"the configuration folder {folder} is gone; put it back, then reload again")
        return self.resolved(read(folder, self.environment, self.flags))


@frozen(kw_only=True)
class Plan:
    """What a reload changes."""

    before: Config
    config: Config
    """In force once the plan is applied: what may change as it is written now, all else as before."""
    sections: Sequence[str]
    """Those with a change, named as `Config.section` takes them."""
    report: ReloadReport

    def event(self) -> Mapping[str, Any]:
        """The data of the event `config_reloaded`."""
        return {
            **attrs.asdict(self.report),
            "routing_aliases": {name: list(models) for name, models in self.config.section("routing").aliases.items()},
            "memory_threshold": self.config.section("memory").max_memory_percent,
            "log_level": self.config.section("logging").level,
        }


def plan(config: Config, sources: Sources, parts: Collection[str]) -> Plan:
    """Read and validate everything again, without changing anything; blocks on the disk.

    `parts` names the sections that somebody takes over: keys of others wait for a restart, whatever their option says.
    Raises ConfigError with every problem.
    """
    written = sources.read_again(config)
    outcome = _Outcome(parts)
    merged = evolve(
        config,
        sections={name: outcome.section((name,), old, written.sections[name]) for name, old in config.sections.items()},
        plugins={
            name: outcome.section((PLUGINS, name), old, written.plugins[name]) for name, old in config.plugins.items()
        },
    )
    outcome.waiting += _switched(config, written)
    outcome.waiting += _asleep(config, written, sources)
    after = evolve(merged, raw=_with_what_waits(written.raw, config.raw.root, outcome.waiting))
    _accept(sources, after)
    return Plan(
        before=config,
        config=after,
        sections=list(dict.fromkeys(outcome.touched)),
        report=ReloadReport(changed=_dotted(outcome.changed), needs_restart=_dotted(outcome.waiting)),
    )


def apply(plan: Plan, parts: Mapping[str, Sequence[Part]]) -> None:
    """Hand every changed section to its parts; where one refuses, the earlier ones get their old section back.

    Raises ConfigError that names the section.
    """
    with ExitStack() as undo:
        for name in plan.sections:
            for take_over in parts[name]:
                try:
                    take_over(plan.config.section(name))
                except Exception as error:  # a part may be a plugin's, which may break in any way: nothing changes then
                    raise ConfigError(f"{name} could not take its new keys, so nothing has changed: {error}") from error
                undo.callback(take_over, plan.before.section(name))
        undo.pop_all()


def parts_of_plugins(config: Config, opened: Mapping[str, Iterable[Any]]) -> dict[str, Sequence[Part]]:
    """The opened objects of each plugin that can be reconfigured, by the names of the plugin's sections."""
    parts: dict[str, Sequence[Part]] = {}
    for plugin, objects in opened.items():
        if plugin in config.homes:
            home, made = ".".join(map(str, config.homes[plugin])), list(objects)
            parts[home] = [each.reconfigure for each in made if isinstance(each, Reconfigurable)]
            parts |= {name: _takers(name, made) for name in config.annexes.get(plugin, ())}
    return {name: able for name, able in parts.items() if able}


def _takers(section: str, opened: Iterable[Any]) -> Sequence[Part]:
    return [partial(each.reconfigure_section, section) for each in opened if isinstance(each, SectionReconfigurable)]


@define
class _Outcome:
    """Sorts what is written differently by whether it may change now."""

    parts: Collection[str]
    changed: list[Path] = field(factory=list)
    waiting: list[Path] = field(factory=list)
    touched: list[str] = field(factory=list)

    def section(self, path: Path, old: Any, new: Any) -> Any:
        """The section as it is after the reload."""
        if old == new:
            return old
        name = ".".join(map(str, path))
        so_far = len(self.changed)
        try:
            taken = self._record(path, old, new, name in self.parts)
        except (ValueError, TypeError) as error:  # a validator that looks at several keys
            reason = error.args[0] if error.args else error
            raise ConfigError(f"{name}: what can change now does not fit what waits for a restart: {reason}") from None
        if len(self.changed) > so_far:
            self.touched.append(name)
        return taken

    def _record(self, path: Path, old: Any, new: Any, live: bool) -> Any:
        if isinstance(new, Mapping):
            return self._names(path, old, new, live)
        fields = {
            name: self._field((*path, name), getattr(old, name), getattr(new, name), live, option)
            for name, option in options_of(type(new)).items()
        }
        return evolve(old, **fields)

    def _names(self, path: Path, old: Mapping[str, Any], new: Mapping[str, Any], live: bool) -> Mapping[str, Any]:
        """A section whose keys are names that somebody chose: each entry changes as a whole."""
        entries = {
            name: self._leaf((*path, name), old.get(name), new.get(name), live and _may_change(new.get(name, entry)))
            for name, entry in {**new, **old}.items()
        }
        return {name: entry for name, entry in entries.items() if entry is not None}

    def _field(self, path: Path, old: Any, new: Any, live: bool, option: Option) -> Any:
        nested = attrs.has(type(new)) and type(new) is type(old)
        return self._record(path, old, new, live) if nested else self._leaf(path, old, new, live and not option.restart)

    def _leaf(self, path: Path, old: Any, new: Any, live: bool) -> Any:
        if old == new:
            return old
        (self.changed if live else self.waiting).append(path)
        return new if live else old


def _may_change(entry: Any) -> bool:
    return not any(option.restart for option in options_of(type(entry)).values())


def _switched(config: Config, written: Config) -> list[Path]:
    return [(PLUGINS, name, SWITCH) for name, on in written.enabled.items() if on is not config.enabled[name]]


def _asleep(config: Config, written: Config, sources: Sources) -> Iterator[Path]:
    """Keys of plugins that were not imported, which nobody can validate before they are."""
    for name in sources.installed - sources.plugin_specs.keys():
        for place in ((PLUGINS, name), (name,)):
            if place[0] not in config.sections:
                yield from _differences(place, _keys(config.raw.root, place), _keys(written.raw.root, place))


def _keys(root: Value, place: Path) -> Mapping[str, Any]:
    section = find(root, place)
    data = plain(section) if section is not None else None
    return {name: value for name, value in data.items() if name != SWITCH} if isinstance(data, dict) else {}


def _differences(place: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Path]:
    for name in {**old, **new}:
        if name not in old or name not in new or old[name] != new[name]:
            yield (*place, name)


def _with_what_waits(written: RawConfig, old: Value, waiting: Iterable[Path]) -> RawConfig:
    """What is written, but for the keys that wait: those as they were, so that origins tell of what is in force."""
    root = written.root
    for path in waiting:
        root = _replaced(root, path, find(old, path))
    return evolve(written, root=root)


def _replaced(root: Value, path: Path, value: Value | None) -> Value:
    if not path:
        return root if value is None else value
    first, *rest = path
    below = root.data if isinstance(root.data, dict) else {}
    if value is None and first not in below:
        return root
    if value is None and not rest:
        return evolve(root, data={key: item for key, item in below.items() if key != first})
    child = below.get(first, Value({}, root.origin if value is None else value.origin))
    return evolve(root, data={**below, first: _replaced(child, tuple(rest), value)})


def _accept(sources: Sources, after: Config) -> None:
    try:
        sources.accept(after)
    except ConfigError as error:
        raise ConfigError(f"{error.message} (some keys stay as they are until a restart)") from None


def _dotted(paths: Iterable[Path]) -> list[str]:
    return sorted({".".join(map(str, path)) for path in paths})
