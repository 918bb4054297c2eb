"""From a configuration folder to validated configuration and collected plugins: the first half of every start."""

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from lmx.config import Config, Flag, read, resolve
from lmx.plugins import Registry, discover, installed, installed_names, off_by_default


@frozen
class Assembly:
    """What a server, or a command that asks about one, is built from."""

    config: Config
    registry: Registry


def assemble(config_dir: Path | None = None, flags: Mapping[str, Flag] | None = None) -> Assembly:
    """Merge the files, import the enabled plugins, validate everything, and collect what they offer.

    Raises ConfigError with every problem. `flags` are dotted keys such as `server.port`.
    """
    raw = read(config_dir, os.environ, flags or {})
    entries = installed()
    off = off_by_default(entries)
    loader = discover(raw.disabled_plugins(off), entries)
    config = resolve(raw, loader.config_specs(), installed_names(entries), off)
    return Assembly(config, loader.collect())
