"""What `lmx doctor` looks at in the setup: plugins, models, the port."""

import os
import shutil
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from lmx.assembly import Assembly
from lmx.commands.client import Server, configured_url
from lmx.commands.findings import Finding, fail, ok, warn
from lmx.commands.models import models_on_disk
from lmx.commands.version import installed_version
from lmx.plugins import Status
from lmx_hookspecs import LmxError, ModelState
from lmx_hookspecs.preloads import ALLOCATORS, can_be_preloaded, find_jemalloc, find_openblas


@frozen(kw_only=True)
class Preload:
    """A library that workers are given in place of a slow part of MLX's Linux wheel for the CPU."""

    subject: str
    names: Sequence[str]
    """Parts of the names of libraries that do as well; the one to install comes first."""
    find: Callable[[], Path | None]
    lacking: str
    apt: str
    dnf: str


PRELOADS = (
    Preload(
        subject="blas",
        names=("openblas",),
        find=find_openblas,
        lacking="no OpenBLAS: MLX multiplies matrices about fifteen times slower",
        apt="libopenblas0-pthread",
        dnf="openblas",
    ),
    Preload(
        subject="allocator",
        names=ALLOCATORS,
        find=find_jemalloc,
        lacking="no jemalloc: with the C library's allocator a single stream is about a quarter slower",
        apt="libjemalloc2",
        dnf="jemalloc",
    ),
)


def plugins(assembly: Assembly) -> Iterator[Finding]:
    """How many are active, and each that is not and should be."""
    counts = Counter(record.status.value for record in assembly.registry.records)
    yield ok("plugins", ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none")
    for record in assembly.registry.records:
        if record.status is Status.FAILED:
            yield fail(f"plugin {record.name}", record.reason or "failed", record.advice or "")
        elif record.status is Status.IDLE:
            yield warn(f"plugin {record.name}", record.reason or "idle", record.advice or "")


def preloads(assembly: Assembly) -> Iterator[Finding]:
    """What the workers are given in place of the slow parts of MLX's Linux wheel for the CPU."""
    offers = assembly.registry.specs("lmx_backends")
    if installed_version("mlx-cpu") is None or not offers:
        return
    environments = {offer.spec.name: offer.spec.environment() for offer in offers}
    for preload in PRELOADS:
        yield _preloaded(preload, {name: it.get("LD_PRELOAD", "").split() for name, it in environments.items()})


def _preloaded(preload: Preload, paths_of: Mapping[str, Sequence[str]]) -> Finding:
    for backend, paths in paths_of.items():
        for path in paths:
            if any(name in path for name in preload.names):
                return ok(preload.subject, f"workers of backend {backend} use {path}")
    found = preload.find()
    if found is not None and can_be_preloaded(found):
        return ok(preload.subject, f"{found} is there, and no active backend takes it")
    if found is not None:
        return warn(preload.subject, f"no program starts with {found}", "install one that is built for this machine")
    line = f"dnf install {preload.dnf}" if shutil.which("dnf") else f"apt install {preload.apt}"
    return warn(preload.subject, preload.lacking, f"sudo {line}")


def folders(assembly: Assembly) -> Iterator[Finding]:
    """The configured model folders."""
    for named in assembly.config.section("models").directories:
        path = Path(named).expanduser()
        if not path.is_dir():
            yield fail("model folder", f"{path} does not exist", "create it, or mend models.directories")
        elif not os.access(path, os.R_OK | os.X_OK):
            yield fail("model folder", f"{path} cannot be read", "mend its permissions")
        else:
            yield ok("model folder", str(path))


def models(assembly: Assembly) -> Iterator[Finding]:
    """What the sources find, and whether an engine opens it."""
    try:
        known = models_on_disk(assembly)
    except LmxError as error:
        yield fail("models", error.message, "mend the configuration")
        return
    sources = Counter(status.info.source for status in known)
    usable = [status for status in known if status.state is not ModelState.NO_ENGINE]
    by_source = ", ".join(f"{count} from {source}" for source, count in sorted(sources.items()))
    seen = f"{len(known)} found ({by_source}), {len(usable)} with an engine" if known else "none found"
    if usable:
        yield ok("models", seen)
    elif known:
        yield fail("models", seen, "`lmx models list` says what each of them needs")
    else:
        yield fail("models", seen, "add a folder with models to models.directories")


def port(assembly: Assembly) -> Iterator[Finding]:
    """Whether the port is free, or LMX's already."""
    section = assembly.config.section("server")
    server = Server(url=configured_url(section))
    problem = _cannot_listen(section.host, section.port)
    if server.is_lmx():
        yield ok("port", f"LMX answers at {server.url}")
    elif problem:
        yield fail("port", f"{section.host}:{section.port}: {problem}", "end what uses it, or set server.port")
    else:
        yield ok("port", f"{section.host}:{section.port} is free")


def _cannot_listen(host: str, number: int) -> str | None:
    try:
        with socket.create_server((host, number), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return None
    except OSError as error:
        return error.strerror or str(error)
