"""Reloading the configuration: who takes part, and what it did."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from attrs import frozen


@runtime_checkable
class Reconfigurable(Protocol):
    """What a plugin's `open` returns may have this method too: then keys with `restart=False` change at a reload."""

    def reconfigure(self, config: Any) -> None:
        """Take over a validated instance of the plugin's ConfigSpec class at once; whoever raises has changed nothing.

        Only keys with `restart=False` differ from the instance before.
        """


@runtime_checkable
class SectionReconfigurable(Protocol):
    """The same for the sections that a plugin declares beside its first one."""

    def reconfigure_section(self, name: str, section: Any) -> None:
        """Take over the top-level section of that name at once; whoever raises has changed nothing."""


@frozen(kw_only=True)
class ReloadReport:
    """Dotted keys, sorted."""

    changed: Sequence[str] = ()
    """In force now."""
    needs_restart: Sequence[str] = ()
    """Written differently from what is in force, and taken over only at the next start."""
