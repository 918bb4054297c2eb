"""A Python environment for one plugin: made aside, filled by pip, and used once it speaks what this server speaks."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from attrs import frozen

from lmx.plugins.entries import PluginEntry
from lmx.plugins.environments import environment_of, python_in
from lmx.workers.versions import DISTRIBUTION, VERSIONS, mismatch
from lmx_hookspecs.errors import PluginError

TELL_VERSIONS = "import json; from lmx.workers.versions import VERSIONS; print(json.dumps(dict(VERSIONS)))"


@frozen
class Source:
    """Where a distribution is installed from: what pip is told, and whether its files are to stay where they are."""

    place: str
    """An index has no place: empty, with the version."""
    version: str = ""
    editable: bool = False

    def arguments(self, distribution: str, extra: str) -> list[str]:
        """For `pip install`."""
        name = f"{distribution}[{extra}]" if extra else distribution
        if not self.place:
            return [f"{name}=={self.version}"]
        if self.editable:
            return ["--editable", f"{self.place}[{extra}]" if extra else self.place]
        return [f"{name} @ {self.place}"]


def source_at(path: Path) -> Source:
    """A checkout, or a wheel or source archive; raises PluginError where there is nothing."""
    if not path.exists():
        raise PluginError(f"there is no {path}: --from takes a checkout of {DISTRIBUTION}, or a wheel")
    return Source(path.resolve().as_uri())


def source_of(distribution: str) -> Source:
    """That of the installed distribution, as pip wrote it down (PEP 610); the index where it wrote nothing."""
    installed = metadata.distribution(distribution)
    text = installed.read_text("direct_url.json")
    if text is None:
        return Source("", installed.version)
    told: Mapping[str, Any] = json.loads(text)
    url = str(told["url"])
    if "vcs_info" in told:
        return Source(f"{told['vcs_info']['vcs']}+{url}@{told['vcs_info']['commit_id']}")
    path = Path(unquote(urlsplit(url).path))
    if url.startswith("file:") and not path.exists():
        raise PluginError(f"{distribution} was installed from {path}, which is gone; say where it is with --from PATH")
    editable = bool(told.get("dir_info", {}).get("editable"))
    return Source(str(path), editable=True) if editable else Source(url)


def own_source() -> Source:
    """That of what runs."""
    return source_of(DISTRIBUTION)


def requirements(entry: PluginEntry, own: Source) -> list[str]:
    """What pip is to install for a plugin: this distribution with the plugin's extra, and the plugin's own if other."""
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    needed = own.arguments(DISTRIBUTION, entry.name if entry.name in extras else "")
    if entry.distribution in ("", DISTRIBUTION):
        return needed
    return [*needed, *source_of(entry.distribution).arguments(entry.distribution, "")]


def install(entry: PluginEntry, own: Source, python: Path | None = None) -> Path:
    """Make the plugin's environment anew and return its interpreter; one that was there stays if this fails.

    `python` is the interpreter to make it with; ours by default. Raises PluginError.
    """
    environment, arguments = environment_of(entry.name), requirements(entry, own)
    aside = environment.with_name(f".{entry.name}.before")
    try:
        environment.parent.mkdir(parents=True, exist_ok=True)
        _put_aside(environment, aside)
        try:
            _fill(environment, arguments, python)
        except BaseException:  # an interrupt too must not leave half an environment where the server finds it
            shutil.rmtree(environment, ignore_errors=True)
            if aside.exists():
                aside.rename(environment)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise PluginError(f"{environment} cannot be made: {error.strerror or error}") from error
    return python_in(environment)


def _put_aside(environment: Path, aside: Path) -> None:
    """What is aside already was left by an installation that was killed: it is the good one."""
    if aside.exists():
        shutil.rmtree(environment, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            environment.rename(aside)


def _fill(environment: Path, arguments: Sequence[str], python: Path | None) -> None:
    _run("making the environment failed", str(python or sys.executable), "-m", "venv", str(environment))
    interpreter = str(python_in(environment))
    _run("pip could not install it", interpreter, "-m", "pip", "install", "--disable-pip-version-check", *arguments)
    reason = mismatch(VERSIONS, _versions(interpreter), environment.name)
    if reason is not None:
        raise PluginError(f"what was installed does not fit this server, and is removed again: {reason}")


def _versions(interpreter: str) -> Mapping[str, Any]:
    done = subprocess.run([interpreter, "-P", "-c", TELL_VERSIONS], capture_output=True, text=True, check=False)
    versions: Mapping[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return versions


def _run(complaint: str, *command: str) -> None:
    """With its output on ours: installing takes minutes, and pip says best what went wrong."""
    try:
        done = subprocess.run(command, check=False, stdout=sys.stderr)
    except OSError as error:
        raise PluginError(f"{complaint}: {command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        raise PluginError(f"{complaint}; its last lines say why")
