"""Which plugins are installed: entry points, read without importing anything of theirs."""

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, EntryPoint, entry_points

from attrs import frozen

from lmx_hookspecs.specs import ENTRY_POINT_GROUP

OFF_GROUP = f"{ENTRY_POINT_GROUP}.off"
"""Plugins that stay disabled until `plugins.<name>.enabled: true`."""


@frozen(kw_only=True, order=True)
class PluginEntry:
    """An entry point: the name of a plugin, its module, and the distribution that brings it."""

    name: str
    module: str
    distribution: str = ""
    version: str = ""
    off_by_default: bool = False

    @property
    def owner(self) -> str:
        """Distribution and version, as people read them."""
        return f"{self.distribution} {self.version}".strip() or self.module


def installed() -> Sequence[PluginEntry]:
    """Every plugin of this Python environment, by name."""
    points = entry_points()  # one scan of the environment serves both groups
    on, off = points.select(group=ENTRY_POINT_GROUP), points.select(group=OFF_GROUP)
    owners = {point.dist: _owner(point.dist) for point in (*on, *off)}
    return sorted([_entry(point, owners) for point in on] + [_entry(point, owners, off=True) for point in off])


def installed_names(entries: Iterable[PluginEntry]) -> frozenset[str]:
    """The names that may stand under `plugins` in the configuration."""
    return frozenset(entry.name for entry in entries)


def off_by_default(entries: Iterable[PluginEntry]) -> frozenset[str]:
    """The plugins that configuration must switch on."""
    return frozenset(entry.name for entry in entries if entry.off_by_default)


def _entry(
    point: EntryPoint, owners: Mapping[Distribution | None, tuple[str, str]], *, off: bool = False
) -> PluginEntry:
    distribution, version = owners[point.dist]
    return PluginEntry(
        name=point.name, module=point.value, distribution=distribution, version=version, off_by_default=off
    )


def _owner(distribution: Distribution | None) -> tuple[str, str]:
    if distribution is None:
        return "", ""
    metadata = distribution.metadata  # parsed anew on every access
    return metadata["Name"], metadata["Version"]
