"""From what was written to validated sections, with every problem at once."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from lmx.config.files import RawConfig
from lmx.config.merge import Path, Value, find, origins, plain
from lmx.config.schema import SECTIONS, ModelSettings
from lmx.config.show import leaves, masked
from lmx.config.twins import contradictions
from lmx.structure import Problem, StructureError, did_you_mean, structure
from lmx_hookspecs import ConfigSpec, options_of
from lmx_hookspecs.errors import ConfigError, NotFound

PLUGINS = "plugins"
SWITCH = "enabled"


@frozen(kw_only=True)
class Config:
    """The configuration in force."""

    raw: RawConfig
    sections: Mapping[str, Any]
    """Top-level sections, the kernel's and those that plugins declared."""
    plugins: Mapping[str, Any]
    """Sections under `plugins`, of plugins that are imported and have one."""
    enabled: Mapping[str, bool]
    """Every installed plugin, and whether it is switched on."""
    homes: Mapping[str, Path]
    """Where the section of each such plugin stands."""
    annexes: Mapping[str, Sequence[str]] = field(factory=dict)
    """The top-level sections that a plugin has beside it."""

    def section(self, name: str) -> Any:
        """A top-level section, or `plugins.<name>`; raises NotFound."""
        if name.startswith(f"{PLUGINS}."):
            return self.plugin(name.removeprefix(f"{PLUGINS}."))
        if name not in self.sections:
            raise NotFound(f"there is no configuration section '{name}'{did_you_mean(name, self.sections)}")
        return self.sections[name]

    def plugin(self, name: str) -> Any:
        """What a plugin is handed: its section wherever it stands, or None for one without keys."""
        home = self.homes.get(name)
        if home is None:
            return None
        return self.plugins[name] if home[0] == PLUGINS else self.sections[str(home[0])]

    def plain(self) -> dict[str, Any]:
        """Every key with its value as plain data, secrets masked."""
        switched = {name: {SWITCH: on, **masked(self.plugins.get(name))} for name, on in self.enabled.items()}
        return {**{name: masked(section) for name, section in self.sections.items()}, PLUGINS: switched}

    def origins(self) -> dict[str, str]:
        """Where each key of `plain` was set, by its dotted path: `file:line`, a variable, a flag, or `default`."""
        return {".".join(path): self._origin(path) for path, _ in leaves(self.plain())}

    def _origin(self, path: Path) -> str:
        value = find(self.raw.root, path)
        section_without_keys = value is not None and value.data is None and len(path) == 1
        return "default" if value is None or section_without_keys else value.origin


def resolve(
    raw: RawConfig,
    plugin_specs: Mapping[str, Sequence[ConfigSpec]],
    installed: Collection[str],
    off_by_default: Collection[str] = (),
) -> Config:
    """Validate every section.

    `plugin_specs` holds the imported plugins, also those without keys; installed ones that are missing from it are
    disabled or failed, and their sections are left alone. Raises ConfigError with every problem, a line each.
    """
    instances, problems = _validate(raw.root, plugin_specs, installed)
    if problems:
        written = origins(raw.root)
        raise ConfigError("\n".join(_located(problem, written) for problem in problems))
    disabled, ordered = raw.disabled_plugins(off_by_default), _ordered(plugin_specs)
    return Config(
        raw=raw,
        sections={str(path[0]): instance for path, instance in instances.items() if path[0] != PLUGINS},
        plugins={str(path[1]): instance for path, instance in instances.items() if path[0] == PLUGINS},
        enabled={name: name not in disabled for name in sorted(installed)},
        homes={name: _home(name, specs[0]) for name, specs in ordered.items()},
        annexes={name: [spec.section for spec in specs[1:] if spec.section] for name, specs in ordered.items()},
    )


def complaints(
    root: Value, plugin_specs: Mapping[str, Sequence[ConfigSpec]], installed: Collection[str]
) -> Sequence[Problem]:
    """Everything that `resolve` would refuse."""
    return _validate(root, plugin_specs, installed)[1]


def _validate(
    root: Value, plugin_specs: Mapping[str, Sequence[ConfigSpec]], installed: Collection[str]
) -> tuple[Mapping[Path, Any], list[Problem]]:
    problems = contradictions(root)
    classes: dict[Path, Any] = {(name,): cls for name, cls in SECTIONS.items()}
    classes |= _plugin_classes(plugin_specs, problems)
    instances = {path: _section(root, path, cls, problems) for path, cls in classes.items()}
    problems += _unknown_sections(root, classes, plugin_specs, installed)
    problems += _switch_problems(root, plugin_specs, installed)
    problems += _interpreter_problems(root, installed)
    problems += _model_settings_problems(root, classes, installed)
    return instances, problems


def _ordered(plugin_specs: Mapping[str, Sequence[ConfigSpec]]) -> dict[str, list[ConfigSpec]]:
    """Of plugins with keys: a plugin's own place first; else its first top-level section."""
    with_keys = {name: specs for name, specs in plugin_specs.items() if specs}
    return {name: sorted(specs, key=lambda spec: spec.section is not None) for name, specs in with_keys.items()}


def _home(name: str, spec: ConfigSpec) -> Path:
    return (PLUGINS, name) if spec.section is None else (spec.section,)


@frozen
class _NoKeys:
    """The section of a plugin that has none, or keeps its keys elsewhere."""


def _plugin_classes(plugin_specs: Mapping[str, Sequence[ConfigSpec]], problems: list[Problem]) -> dict[Path, type]:
    classes: dict[Path, type] = {}
    for name, specs in plugin_specs.items():
        for spec in specs:
            home = _home(name, spec)
            if home in classes or home[0] in SECTIONS or home == (PLUGINS,):
                problems.append(Problem(home, f"plugin '{name}' declares this section, which is taken: switch it off"))
            classes[home] = spec.cls
        classes.setdefault((PLUGINS, name), _NoKeys)
    return classes


def _section(root: Value, path: Path, cls: Any, problems: list[Problem]) -> Any:
    value = find(root, path)
    data = {} if value is None or value.data is None else plain(value)
    if path[0] == PLUGINS and isinstance(data, dict):
        data = {key: item for key, item in data.items() if key != SWITCH}
    try:
        return structure(data, cls)
    except StructureError as error:
        problems += _placed(error, path)
        return None


def _placed(error: StructureError, path: Path) -> list[Problem]:
    return [Problem((*path, *problem.path), _hinted(problem.message)) for problem in error.problems]


def _hinted(message: str) -> str:
    """YAML reads 123 as a number and true as a boolean, wherever text was meant."""
    scalar = message.startswith("must be a string, got ") and not message.endswith(("list", "mapping", "null"))
    return f"{message}; write it in quotes" if scalar else message


def _unknown_sections(
    root: Value, classes: Iterable[Path], plugin_specs: Collection[str], installed: Collection[str]
) -> Iterable[Problem]:
    """A section named like a plugin that is disabled or failed may well be its own."""
    known = {str(path[0]) for path in classes} | {PLUGINS}
    for name in root.data:
        if name in known or (name in installed and name not in plugin_specs):
            continue
        if name in installed:
            yield Problem((name,), f"unknown section; the keys of a plugin stand under {PLUGINS}.{name}")
        else:
            yield Problem((name,), f"unknown section{did_you_mean(name, known)}")


def _switch_problems(root: Value, plugin_specs: Collection[str], installed: Collection[str]) -> Iterable[Problem]:
    section = find(root, (PLUGINS,))
    if section is None or section.data is None:
        return
    if not isinstance(section.data, dict):
        yield Problem((PLUGINS,), "must hold one mapping for each plugin")
        return
    for name, value in section.data.items():
        switch = find(value, (SWITCH,))
        if switch is not None and type(switch.data) is not bool:
            yield Problem((PLUGINS, name, SWITCH), "must be true or false")
        elif name not in installed and value.data is not None and (switch is None or switch.data):
            hint = did_you_mean(name, installed)
            yield Problem(
                (PLUGINS, name), f"no such plugin is installed{hint or '; install it, or set enabled: false'}"
            )
        elif name not in plugin_specs and value.data is not None and not isinstance(value.data, dict):
            yield Problem((PLUGINS, name), "must be a mapping")


def _interpreter_problems(root: Value, installed: Collection[str]) -> Iterable[Problem]:
    section = find(root, ("workers", "interpreters"))
    for name in section.data if section is not None and isinstance(section.data, dict) else ():
        if name not in installed:
            hint = did_you_mean(name, installed) or "; `lmx plugins list` shows which there are"
            yield Problem(("workers", "interpreters", name), f"no such plugin is installed{hint}")


def _model_settings_problems(root: Value, classes: Mapping[Path, Any], installed: Collection[str]) -> Iterable[Problem]:
    """An entry holds keys of ModelSettings, and mappings with the keys of plugins under their names."""
    section = find(root, ("models", "settings"))
    entries = plain(section) if section is not None and isinstance(section.data, dict) else {}
    for model, entry in entries.items():
        parts = entry if isinstance(entry, dict) else {}
        own = {key: value for key, value in parts.items() if key not in installed}
        yield from _misfits(own, ModelSettings, ("models", "settings", model))
        for plugin in parts.keys() - own.keys():
            cls = classes.get((PLUGINS, plugin))
            if cls is not None:
                place = ("models", "settings", model, plugin)
                yield from _misfits(parts[plugin], cls, place)
                yield from _secrets(parts[plugin], cls, place)


def _secrets(data: Any, cls: type, path: Path) -> Iterable[Problem]:
    """Nobody masks them here."""
    for name, option in options_of(cls).items():
        if option.secret and isinstance(data, dict) and name in data:
            yield Problem((*path, name), f"a secret stands under {PLUGINS}.{path[-1]} only")


def _misfits(data: Any, cls: type, path: Path) -> list[Problem]:
    problems: list[Problem] = []
    try:
        structure(data, cls)
    except StructureError as error:
        problems = _placed(error, path)
    return problems


def _located(problem: Problem, written: Mapping[Path, str]) -> str:
    """The problem behind the place where its value, or what should hold it, was written."""
    ends = range(len(problem.path), 0, -1)
    origin = next((written[problem.path[:end]] for end in ends if problem.path[:end] in written), None)
    text = f"{problem.where}: {problem.message}"
    return text if origin is None else f"{origin}: {text}"
