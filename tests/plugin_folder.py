"""Real distributions with plugins in them, written into a folder that is put on the import path."""

import importlib
import re
from pathlib import Path
from textwrap import dedent

import pytest
from attrs import define, field

from lmx.plugins import PluginEntry, PluginRecord, Registry, Status, discover

PREAMBLE = "from lmx_hookspecs import *\n"

BACKEND = """
    @hookimpl
    def lmx_backends():
        return [BackendSpec(name={name!r}, level="text", formats=frozenset(), capabilities=frozenset(), load=None)]
"""


def backend(name: str) -> str:
    """Source of a hook that offers one backend of that name."""
    return BACKEND.format(name=name)


@define
class PluginFolder:
    """Each `add` writes a module and the metadata of the distribution that brings it."""

    path: Path
    monkeypatch: pytest.MonkeyPatch
    entries: list[PluginEntry] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.monkeypatch.syspath_prepend(self.path)

    def add(self, name: str, source: str = "", *, distribution: str = "", off: bool = False) -> PluginEntry:
        """Install a plugin; its module name is unique in this run of the tests."""
        distribution = distribution or f"dist-{name}"
        module = re.sub(r"\W", "_", f"{distribution}_{self.path.name}")
        (self.path / f"{module}.py").write_text(PREAMBLE + dedent(source))
        entry = PluginEntry(name=name, module=module, distribution=distribution, version="1.0", off_by_default=off)
        self._write_metadata(entry)
        self.entries.append(entry)
        return entry

    def _write_metadata(self, entry: PluginEntry) -> None:
        folder = self.path / f"{entry.distribution.replace('-', '_')}-{entry.version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {entry.distribution}\nVersion: {entry.version}\n"
        )
        group = "lmx.plugins.off" if entry.off_by_default else "lmx.plugins"
        (folder / "entry_points.txt").write_text(f"[{group}]\n{entry.name} = {entry.module}\n")
        importlib.invalidate_caches()


def load(folder: PluginFolder, *disabled: str) -> Registry:
    """What the plugins in it offer, but for those."""
    return discover(disabled, folder.entries).collect()


def backend_names(registry: Registry) -> list[str]:
    """In their order."""
    return [offer.spec.name for offer in registry.specs("lmx_backends")]


def outcome(record: PluginRecord) -> tuple[Status, str]:
    """What became of a plugin, and why."""
    return record.status, record.reason or ""
