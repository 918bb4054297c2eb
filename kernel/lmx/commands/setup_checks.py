"""What `lmx doctor` looks at in the setup: plugins, models, the port."""

import os
import shutil
import socket
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lmx.assembly import Assembly
from lmx.commands.client import Server, configured_url
from lmx.commands.findings import Finding, fail, ok, warn
from lmx.commands.models import models_on_disk
from lmx.commands.version import installed_version
from lmx.plugins import Status
from lmx_hookspecs import LmxError, ModelState

PRELOADS = (
    (
        "blas",
        "openblas",
        "no OpenBLAS: MLX multiplies matrices about fifteen times slower",
        {"dnf": "openblas", "apt": "libopenblas0-pthread"},
    ),
    (
        "allocator",
        "jemalloc",
        "no jemalloc: with the C library's allocator a single stream is about a quarter slower",
        {"dnf": "jemalloc", "apt": "libjemalloc2"},
    ),
)
"""Subject, part of the library's name, what its absence costs, the package by package manager."""


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
    preloaded = {offer.spec.name: offer.spec.environment().get("LD_PRELOAD", "").split() for offer in offers}
    for subject, library, lacking, packages in PRELOADS:
        found = ((name, path) for name, paths in preloaded.items() for path in paths if library in path)
        name, path = next(found, ("", ""))
        if path:
            yield ok(subject, f"workers of backend {name} use {path}")
        else:
            line = f"dnf install {packages['dnf']}" if shutil.which("dnf") else f"apt install {packages['apt']}"
            yield warn(subject, lacking, f"sudo {line}")


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
