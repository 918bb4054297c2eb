"""From a configuration folder to validated configuration and collected plugins: the first half of every start."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import frozen

from lmx.config import Config, Flag, read
from lmx.config.reload import Sources, anything
from lmx.plugins import Registry, discover, installed, installed_names, interpreters, off_by_default


@frozen
class Assembly:
    """What a server, or a command that asks about one, is built from."""

    config: Config
    registry: Registry
    sources: Sources
    """With which a reload reads the configuration again."""


def assemble(
    config_dir: Path | None = None,
    flags: Mapping[str, Flag] | None = None,
    accept: Callable[[Config], None] = anything,
    environment: Mapping[str, str] | None = None,
) -> Assembly:
    """Merge the files, import the enabled plugins, validate everything, and collect what they offer.

    Raises ConfigError with every problem. `flags` are dotted keys such as `server.port`; `accept` has the last word on
    a valid configuration, now and at each reload. The environment is this process's unless another is given.
    """
    environment = dict(os.environ if environment is None else environment)
    raw = read(config_dir, environment, flags)
    entries = installed()
    off = off_by_default(entries)
    loader = discover(raw.disabled_plugins(off), entries, interpreters(raw.interpreters, installed_names(entries)))
    sources = Sources(
        flags=flags or {},
        environment=environment,
        plugin_specs=loader.config_specs(),
        installed=installed_names(entries),
        off_by_default=off,
        accept=accept,
    )
    return Assembly(sources.resolved(raw), loader.collect(), sources)
