"""What launchd and systemd have in common: a file that describes the service, and programs that act on it."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from attrs import frozen

from lmx.service.definition import Definition
from lmx.service.system import Finished, Step, System
from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import ConfigError, NotFound


class ServiceFailed(LmxError):
    """The service manager refuses, or does not answer."""


@frozen(kw_only=True)
class State:
    """What is known of a service now."""

    installed: bool
    enabled: bool = False
    """It starts with the user's next session."""
    running: bool = False
    pid: int | None = None
    since: float | None = None
    """Unix time in seconds."""


class Manager(Protocol):
    """A service manager and one service of it."""

    @property
    def system(self) -> System:
        """The machine."""

    @property
    def kind(self) -> str:
        """`launchd` or `systemd`."""

    @property
    def file(self) -> Path:
        """The file that describes the service."""

    def text(self, definition: Definition) -> str:
        """What stands in it."""

    def folders(self, definition: Definition) -> Sequence[Path]:
        """Those that must be there before it starts."""

    def probe(self) -> Step:
        """Tells whether the manager can be reached."""

    def explained(self, failure: Finished) -> str:
        """What to do where it cannot."""

    def before_install(self) -> Sequence[Step]:
        """What is done before the file is written."""

    def after_install(self) -> Sequence[Step]:
        """What is done with the file in its place."""

    def before_removal(self) -> Sequence[Step]:
        """What stops the service."""

    def after_removal(self) -> Sequence[Step]:
        """What is done once the file is gone."""

    def state(self) -> State:
        """What is known of the service."""

    def hints(self, definition: Definition) -> Sequence[str]:
        """What the user may want to know or do next."""


def planned_start(manager: Manager) -> list[Step]:
    """What `install` runs, before and after it writes the file."""
    return [*manager.before_install(), *manager.after_install()]


def planned_removal(manager: Manager) -> list[Step]:
    """What `uninstall` runs, before and after it removes the file."""
    return [*manager.before_removal(), *manager.after_removal()]


def install(manager: Manager, definition: Definition) -> None:
    """Write the file and start the service, anew where it runs; raises ConfigError and ServiceFailed."""
    text = manager.text(definition)
    reach(manager)
    run(manager, manager.before_install())
    for folder in manager.folders(definition):
        _make(folder)
    _write(manager.file, text)
    run(manager, manager.after_install())


def uninstall(manager: Manager) -> None:
    """Stop the service and remove its file; raises NotFound and ServiceFailed."""
    if not manager.file.exists():
        raise NotFound(f"no such service is installed: there is no {manager.file}")
    reach(manager)
    run(manager, manager.before_removal())
    manager.file.unlink()
    run(manager, manager.after_removal())


def reach(manager: Manager) -> None:
    """Raises ServiceFailed with what to do where the service manager does not answer."""
    answer = manager.system.run(manager.probe().words)
    if answer.status != 0:
        raise ServiceFailed(f"{manager.explained(answer)} ({answer.output or f'status {answer.status}'})")


def run(manager: Manager, steps: Iterable[Step]) -> None:
    """Run each to the end that it must have; raises ServiceFailed with what it printed."""
    for step in steps:
        done = _tried(manager.system, step)
        if step.succeeds is not None and (done.status == 0) is not step.succeeds:
            said = done.output or f"it ended with status {done.status}"
            raise ServiceFailed(f"`{' '.join(step.words)}` failed: {said}")


def _tried(system: System, step: Step) -> Finished:
    done = system.run(step.words)
    for _ in range(step.tries - 1):
        if step.succeeds is None or (done.status == 0) is step.succeeds:
            break
        system.pause()
        done = system.run(step.words)
    return done


def _make(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}") from None


def _write(file: Path, text: str) -> None:
    """At once or not at all; others must not be able to write it, or launchd refuses it."""
    draft = file.with_name(f".{file.name}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.chmod(0o644)
        draft.replace(file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None
