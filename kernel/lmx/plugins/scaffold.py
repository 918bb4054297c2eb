"""Start a new plugin: the template that ships with LMX, with its names replaced."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from lmx.plugins.entries import installed
from lmx_hookspecs.errors import Conflict, PluginError

PLACEHOLDERS = ("my_plugin", "my-plugin")
"""How the template spells its name where an identifier is needed, and where a distribution is named."""

VALID_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
JUNK = ("__pycache__", ".pytest_cache", ".ruff_cache", ".mypy_cache")


def generate(name: str, parent: Path) -> Path:
    """Write the distribution `lmx-<name>` into a new folder of `parent` and return that folder.

    Raises PluginError for a name that cannot be one, Conflict where the name or the folder is taken.
    """
    _check_name(name)
    dashed = name.replace("_", "-")
    target = parent / f"lmx-{dashed}"
    template = template_folder()
    try:
        target.mkdir(parents=True)
        for source in _files(template):
            path = target / _renamed(str(source.relative_to(template)), name, dashed)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_renamed(source.read_text("utf-8"), name, dashed), "utf-8")
    except FileExistsError:
        raise Conflict(f"{target} exists already: choose another --directory, or remove it") from None
    except OSError as error:
        raise PluginError(f"{target} cannot be written: {error.strerror}; choose another --directory") from error
    return target


def template_folder() -> Path:
    """The template inside the wheel, or at the project's root in an editable install."""
    package = Path(__file__).parents[1]
    for folder in (package / "_shipped" / "plugin-template", package.parents[1] / "plugin-template"):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise PluginError("the plugin template is missing from this installation: install opta-lmx again")


def _check_name(name: str) -> None:
    if not VALID_NAME.fullmatch(name):
        raise PluginError(f"{name!r} cannot name a plugin: use lower-case letters, digits and single underscores")
    taken = [entry for entry in installed() if entry.name == name]
    if taken:
        raise Conflict(f"a plugin {name!r} is installed already, from {taken[0].owner}: choose another name")
    if find_spec(f"lmx_{name}"):
        raise Conflict(f"a package lmx_{name} is installed already: choose another name")


def _files(template: Path) -> Iterator[Path]:
    for path in sorted(template.rglob("*")):
        if path.is_file() and not set(path.relative_to(template).parts) & set(JUNK):
            yield path


def _renamed(text: str, name: str, dashed: str) -> str:
    identifier, label = PLACEHOLDERS
    return text.replace(identifier, name).replace(label, dashed)
