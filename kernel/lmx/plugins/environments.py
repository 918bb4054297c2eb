"""Plugins whose workers have a Python environment of their own, because what they need does not go with the rest."""

import os
from collections.abc import Iterable, Mapping
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from lmx_hookspecs.places import home

FOLDER = "environments"
PACKAGES = ("lib/python3*/site-packages", "lib64/python3*/site-packages", "lib/python3*/dist-packages")


def environment_of(plugin: str) -> Path:
    """Where `lmx plugins install NAME --isolated` makes the environment of a plugin: `$LMX_HOME/environments/NAME`."""
    return home() / FOLDER / plugin


def python_in(environment: Path) -> Path:
    """Its interpreter."""
    return environment / "bin" / "python"


def made() -> list[str]:
    """The plugins that have an environment in its place."""
    folder = home() / FOLDER
    there = folder.iterdir() if folder.is_dir() else ()
    return sorted(environment.name for environment in there if python_in(environment).exists())


def interpreters(configured: Any, plugins: Iterable[str]) -> dict[str, Path]:
    """By plugin, for those that have one of their own: as configured, else that of the environment made for it.

    `configured` is `workers.interpreters` as it was written, perhaps not yet validated.
    """
    named = configured if isinstance(configured, Mapping) else {}
    places = {plugin: python_in(environment_of(plugin)) for plugin in plugins}
    found = {plugin: python for plugin, python in places.items() if python.exists()}
    return {**found, **{plugin: _expanded(python) for plugin, python in named.items() if isinstance(python, str)}}


def problem_with(interpreter: Path) -> str | None:
    """Why it cannot be run."""
    if not interpreter.is_file():
        return f"there is no {interpreter}"
    return None if os.access(interpreter, os.X_OK) else f"{interpreter} cannot be executed"


def can_import(interpreter: Path, module: str) -> bool:
    """Whether that module lies in the interpreter's environment; neither is run to find out."""
    path = [str(folder) for pattern in PACKAGES for folder in interpreter.parent.parent.glob(pattern)]
    name = ""
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return False
        path = list(spec.submodule_search_locations or ())
    return True


def _expanded(written: str) -> Path:
    return Path(os.path.expanduser(written))  # noqa: PTH111  Path.expanduser raises for a home that nobody has
