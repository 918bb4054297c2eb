"""Where the configuration comes from: a folder of YAML files, the environment, flags."""

from collections.abc import Collection, Mapping
from functools import reduce
from pathlib import Path
from typing import Any

from attrs import frozen

from lmx.config.merge import Value, find, merge, nested, plain, wrap
from lmx.config.twins import joined
from lmx.config.yaml import BadYaml, parse, parse_inline
from lmx_hookspecs.errors import ConfigError

NOTHING = Value({}, "default")
PREFIX = "LMX_"
SEARCHED = (Path("config.d"), Path("~/.config/lmx/config.d"), Path("/etc/lmx/config.d"))


OTHER_VARIABLES = frozenset({"LMX_CONFIG_DIR", "LMX_HOME", "LMX_API_KEY", "LMX_ADMIN_KEY"})
"""Variables of ours that are no keys."""


@frozen
class Flag:
    """The value of a command-line flag, with the name that an error about it should say: `Flag("--port", 8080)`."""

    name: str
    value: Any


@frozen
class RawConfig:
    """Everything that was written, merged and not yet validated; `directory` is None where no folder was found."""

    directory: Path | None
    root: Value

    def disabled_plugins(self, off_by_default: Collection[str] = ()) -> frozenset[str]:
        """Plugins with `enabled: false`, and those off by default without `enabled: true`."""
        section = find(self.root, ("plugins",))
        named = section.data if section is not None and isinstance(section.data, dict) else {}
        off = {name for name in named if self.plugin_switch(name) is False}
        return frozenset(off | {name for name in off_by_default if self.plugin_switch(name) is not True})

    @property
    def interpreters(self) -> Any:
        """`workers.interpreters` as written; None where it is not."""
        value = find(self.root, ("workers", "interpreters"))
        return None if value is None else plain(value)

    def plugin_switch(self, name: str) -> Any:
        """`plugins.<name>.enabled` as written; None where it is not."""
        value = find(self.root, ("plugins", name, "enabled"))
        return None if value is None else value.data


def read(config_dir: Path | None, environment: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> RawConfig:
    """Files in name order, then the environment, then flags; later wins.

    `flags` maps dotted keys such as `server.port` to values, or to Flags that know their names. Raises ConfigError
    with every problem.
    """
    problems: list[str] = []
    directory = find_directory(config_dir, environment)
    files = [_read_file(file, problems) for file in (_files(directory) if directory else ())]
    variables = [
        _read_variable(name, environment[name], problems)
        for name in sorted(environment)
        if name.startswith(PREFIX) and "__" in name
    ]
    if problems:
        raise ConfigError("\n".join(problems))
    given = [_flag(key, value) for key, value in (flags or {}).items()]
    layers = [joined(reduce(merge, layer, NOTHING)) for layer in (files, variables, given)]
    return RawConfig(directory, reduce(merge, layers))


def find_directory(config_dir: Path | None, environment: Mapping[str, str]) -> Path | None:
    """The folder that is used, alone: the one asked for, or the first of the usual ones that exists."""
    asked = {"--config-dir": config_dir, "LMX_CONFIG_DIR": environment.get("LMX_CONFIG_DIR")}
    for origin, path in asked.items():
        if path:
            directory = expanded(Path(path))
            if not directory.is_dir():
                raise ConfigError(f"{origin}: there is no folder {directory}; create it, or leave {origin} out")
            return directory
    folders = map(expanded, SEARCHED)
    return next((folder for folder in folders if folder.is_dir()), None)


def passed_over(environment: Mapping[str, str]) -> list[str]:
    """A line for each variable that looks like a key of ours and is not read, since `__` is what separates names."""
    lines = []
    for name in sorted(environment):
        words = name.removeprefix(PREFIX).split("_", 1)
        if name.startswith(PREFIX) and "__" not in name and name not in OTHER_VARIABLES:
            hint = f"; did you mean {PREFIX}{'__'.join(words)}?" if len(words) == 2 else ""
            lines.append(f"the variable {name} is not read{hint}")
    return lines


def expanded(path: Path) -> Path:
    """The path with `~` expanded, or as it is where nobody's home is meant: then nothing lies there."""
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def _flag(key: str, given: Any) -> Value:
    flag = given if isinstance(given, Flag) else Flag("command line", given)
    return nested(tuple(key.split(".")), wrap(flag.value, flag.name))


def _files(directory: Path) -> list[Path]:
    try:
        found = sorted(directory.iterdir(), key=lambda file: file.name)
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be listed: {error.strerror}") from None
    return [file for file in found if file.suffix in (".yaml", ".yml") and not file.name.startswith(".")]


def _read_file(file: Path, problems: list[str]) -> Value:
    nothing = Value({}, str(file))
    try:
        text = file.read_bytes().decode("utf-8-sig")
        value = parse(text, lambda line: f"{file}:{line}")
    except OSError as error:
        problems.append(f"{file}: cannot be read: {error.strerror}")
        return nothing
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(f"{file}:{line}: is not UTF-8; save the file as UTF-8")
        return nothing
    except BadYaml as error:
        problems += [f"{file}:{line}: {message}" for line, message in error.problems]
        return nothing
    if value.data is None:
        return nothing
    if not isinstance(value.data, dict):
        problems.append(f"{value.origin}: must hold sections such as `server:`, each with its keys")
        return nothing
    return value


def _read_variable(name: str, text: str, problems: list[str]) -> Value:
    path = tuple(name.removeprefix(PREFIX).lower().split("__"))
    if not all(path):
        problems.append(f"{name}: names no key; write {PREFIX}SECTION__KEY")
        return Value({}, name)
    try:
        return nested(path, parse_inline(text, name))
    except BadYaml as error:
        problems += [f"{name}: {message}" for _, message in error.problems]
        return Value({}, name)
