"""Who may ask: API keys, the admin key, and what keeps other people's web pages out."""

import hmac
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING

from attrs import field, frozen

from lmx_hookspecs.errors import Forbidden, Unauthorized
from lmx_hookspecs.generation import Priority

if TYPE_CHECKING:
    from lmx.config.schema import Security
    from lmx.keys import StoredKey

ANY_ORIGIN = "*"


@frozen
class ApiKey:
    """A key for /v1, as it is kept."""

    name: str
    digest: bytes
    ceiling: Priority = "high"
    """The highest priority that its requests get."""


@frozen
class Keys:
    """The keys in force; every comparison takes the same time, whatever it finds."""

    api: Sequence[ApiKey] = ()
    admin: Sequence[bytes] = ()
    """Digests."""
    api_required: bool = False
    """Closed while no key is set; otherwise open then."""
    admin_required: bool = False

    def check_api(self, headers: Mapping[str, str]) -> ApiKey | None:
        """The key that was sent; None while none is needed. Raises Unauthorized."""
        if not (self.api or self.api_required):
            return None
        sent = digest(_sent_bytes(_sent_key(headers)))
        matches = [key for key in self.api if hmac.compare_digest(sent, key.digest)]
        if not matches:
            raise Unauthorized(
                "the API key is missing or unknown; send one of security.api_keys, or one that `lmx keys create` made, "
                "as 'Authorization: Bearer KEY'"
            )
        return matches[0]

    def check_admin(self, headers: Mapping[str, str]) -> None:
        """Raises Forbidden unless an admin key was sent, or none is needed."""
        if not (self.admin or self.admin_required):
            return
        sent = digest(_sent_bytes(headers.get("x-admin-key", "")))
        matches = [key for key in self.admin if hmac.compare_digest(sent, key)]
        if not matches:
            raise Forbidden(
                "the admin key is missing or wrong; send security.admin_key, or one that `lmx keys create --admin` "
                "made, in the header X-Admin-Key"
            )

    def check_any(self, headers: Mapping[str, str]) -> ApiKey | None:
        """As `check_api`, with the admin key taken in its place; needed once keys of either kind are set."""
        if not (self.admin or self.admin_required):
            return self.check_api(headers)
        try:
            self.check_admin(headers)
        except Forbidden:
            if not (self.api or self.api_required):
                raise
            return self.check_api(headers)
        return None


def configured_keys(security: "Security") -> Keys:
    """The keys of the configuration, named by their place in it."""
    return Keys(
        api=[ApiKey(f"key-{place}", _digest(key)) for place, key in enumerate(security.api_keys, start=1)],
        admin=[] if security.admin_key is None else [_digest(security.admin_key)],
    )


def stored_keys(stored: "Sequence[StoredKey]") -> Keys:
    """The keys that `lmx keys` made."""
    return Keys(
        api=[ApiKey(key.name, bytes.fromhex(key.sha256), key.priority) for key in stored if not key.admin],
        admin=[bytes.fromhex(key.sha256) for key in stored if key.admin],
    )


def digest(key: bytes) -> bytes:
    """What is kept of a key."""
    return sha256(key).digest()


def _digest(configured: str) -> bytes:
    return digest(configured.encode("utf-8", "surrogatepass"))


def _sent_bytes(key: str) -> bytes:
    """The bytes of the header, which were read as Latin-1; clients send keys in UTF-8."""
    return key.encode("latin-1")


def _sent_key(headers: Mapping[str, str]) -> str:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    # Of spaces only those of HTTP are cut off: as Latin-1, a character of a key may end in what Unicode calls a space.
    return token.strip(" \t") if scheme.lower() == "bearer" else headers.get("x-api-key", "")


@frozen
class Door:
    """Refuses browsers that other sites have sent: by `Origin`, and against DNS rebinding by `Host`."""

    allowed_origins: Sequence[str] = ()
    allowed_hosts: Sequence[str] = ()
    check_host: bool = True
    """False while both kinds of keys are set: a page of another site knows neither."""
    loopback: bool = True
    """Bound to loopback only. Beyond it an address as `Host` is let in: rebinding needs a name."""
    _hosts: frozenset[str] = field(init=False)

    @_hosts.default
    def _lower_hosts(self) -> frozenset[str]:
        return frozenset(host.lower() for host in self.allowed_hosts)

    def check(self, scheme: str, headers: Mapping[str, str]) -> None:
        """Raises Forbidden."""
        host = headers.get("host", "")
        if self.check_host and host and not self._known_host(host):
            raise Forbidden(
                f"the host {host!r} is not this machine's; add it to server.allowed_hosts, or set both "
                "security.api_keys and security.admin_key",
                code="host_not_allowed",
            )
        origin = headers.get("origin")
        if origin is not None and not self.allows_origin(origin) and origin.lower() != f"{scheme}://{host}".lower():
            raise Forbidden(
                f"pages from {origin!r} may not use this server; add the origin to server.allowed_origins",
                code="origin_not_allowed",
            )

    def allows_origin(self, origin: str) -> bool:
        """Whether the configuration lists the origin."""
        return origin in self.allowed_origins or ANY_ORIGIN in self.allowed_origins

    def _known_host(self, host: str) -> bool:
        name = _without_port(host).lower()
        if name in self._hosts or host.lower() in self._hosts or is_loopback(name):
            return True
        return not self.loopback and _is_address(name)


@lru_cache(maxsize=64)
def is_loopback(host: str) -> bool:
    """Whether a name or address can only mean this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    return _is_address(host) and ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _without_port(host: str) -> str:
    """`[::1]:80` → `::1`, `localhost:80` → `localhost`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
