"""The keys and the door in force, which both change while the server runs."""

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING

from attrs import define, evolve, field

from lmx.http.security import Door, Keys, configured_keys, is_loopback, stored_keys
from lmx_hookspecs import Logger
from lmx_hookspecs.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from lmx.config.schema import Security
    from lmx.config.server import Server
    from lmx.keys import KeyStore, StoredKey

LOOK_EVERY_S = 1.0
Stamp = tuple[int, int, int] | None
"""Tells one version of a file from another; None where there is none."""


@define(eq=False)
class KeyFileWatch:
    """The keys of the file, read again when it changes; while it cannot be read, the last ones that could stay."""

    store: "KeyStore"
    log: Logger
    clock: Callable[[], float] = monotonic
    keys: "Sequence[StoredKey]" = ()
    _stamp: Stamp = None
    _looked_at: float = 0.0

    def read_first(self) -> None:
        """Read at the start, in this thread; raises ConfigError."""
        self._stamp, self._looked_at = self._look(), self.clock()
        if self.store.make_private():
            self.log.warning("keys_were_readable", file=str(self.store.path), advice="now they are not; nothing to do")
        self.keys = self.store.read()

    async def refresh(self) -> bool:
        """Whether there are other keys now than before; looks at the file once a second at most."""
        now = self.clock()
        if now - self._looked_at < LOOK_EVERY_S:
            return False
        self._looked_at = now
        stamp = self._look()
        if stamp == self._stamp:
            return False
        changed = await self._read_again(gone=stamp is None)
        self._stamp = stamp  # not before: a client that goes away while we read cancels this, and the next one reads
        return changed

    async def _read_again(self, *, gone: bool) -> bool:
        advice = "the keys that were read before stay in force; `lmx doctor` looks at the file"
        if gone:
            self.log.error("keys_not_read", file=str(self.store.path), reason="the file is gone", advice=advice)
            return False
        try:
            keys = await asyncio.to_thread(self.store.read)
        except ConfigError as error:
            self.log.error("keys_not_read", reason=error.message, advice=advice)
            return False
        self.keys = keys
        self.log.info("keys_read", file=str(self.store.path), names=[key.name for key in keys])
        return True

    def _look(self) -> Stamp:
        try:
            seen = self.store.path.stat()
        except OSError:
            return None
        return seen.st_mtime_ns, seen.st_ino, seen.st_size


@define(eq=False)
class Access:
    """What every request is asked before anybody else looks at it."""

    _server: "Server"
    _configured: Keys
    _file: KeyFileWatch | None = None
    keys: Keys = field(init=False, factory=Keys)
    door: Door = field(init=False, factory=Door)

    def __attrs_post_init__(self) -> None:
        self._renew()
        if not is_loopback(self._server.host):  # what was locked when others could reach it does not open later on
            self.keys = evolve(self.keys, api_required=bool(self.keys.api), admin_required=bool(self.keys.admin))

    async def refresh(self) -> None:
        """Take over what has changed in the key file; cheap, for every request."""
        if self._file is not None and await self._file.refresh():
            self._renew()

    def reconfigure(self, security: "Security") -> None:
        """Take over the section `security`."""
        self._configured = configured_keys(security)
        self._renew()

    def reconfigure_server(self, server: "Server") -> None:
        """Take over what can change of the section `server`: the allowed origins and hosts."""
        self._server = server
        self._renew()

    def _renew(self) -> None:
        stored = stored_keys(self._file.keys if self._file else ())
        api, admin = [*self._configured.api, *stored.api], [*self._configured.admin, *stored.admin]
        self.keys = evolve(self.keys, api=api, admin=admin)
        self.door = Door(
            self._server.allowed_origins,
            self._server.allowed_hosts,
            check_host=not (api and admin),
            loopback=is_loopback(self._server.host),
        )


def access_of(server: "Server", security: "Security", file: KeyFileWatch | None = None) -> Access:
    """The keys of the configuration and of the file, and the door that they stand at."""
    return Access(server, configured_keys(security), file)


def watched_keys(folder: "Path", log: Logger) -> KeyFileWatch:
    """The file of keys in that folder, read for the first time; raises ConfigError."""
    from lmx.keys import FILE, KeyStore

    watch = KeyFileWatch(KeyStore(folder / FILE), log)
    watch.read_first()
    return watch
