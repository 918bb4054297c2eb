"""Keys that `lmx keys` makes: `$LMX_HOME/keys.yaml` holds their SHA-256, and nobody holds the keys but who got them."""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from lmx.private_files import PRIVATE_FILE, FileLock, replace_private
from lmx_hookspecs import option
from lmx_hookspecs.errors import ConfigError, Conflict, InvalidRequest, NotFound
from lmx_hookspecs.generation import Priority

if TYPE_CHECKING:
    from attrs import Attribute

    from lmx.structure import Problem

FILE = "keys.yaml"
PREFIX = "lmx-"
SECRET_BYTES = 32
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
PLACE = re.compile(r"key-[0-9]+")
"""What a key of `security.api_keys` is called."""
DIGEST = re.compile(r"[0-9a-f]{64}")
FOR_OTHERS = 0o077
HEADER = "# Written by `lmx keys`. Only the SHA-256 of the keys stand here: the keys themselves are kept nowhere.\n"


@frozen(kw_only=True)
class StoredKey:
    """What is kept of a key."""

    name: str = option(doc="who uses it")
    sha256: str = option(doc="of the key, as 64 hexadecimal digits", secret=True)
    created: str = option("", "when, as ISO 8601")
    priority: Priority = option("high", "the highest priority that its requests may ask for")
    admin: bool = option(False, "opens /admin, and not /v1")

    @name.validator
    def _is_name(self, attribute: "Attribute[Any]", value: str) -> None:
        if not NAME.fullmatch(value) or PLACE.fullmatch(value):
            raise ValueError(
                "must be up to 64 letters, digits, dots, dashes and underscores; key-1 and so on stand for those of "
                "security.api_keys",
                attribute,
            )

    @sha256.validator
    def _is_digest(self, attribute: "Attribute[Any]", value: str) -> None:
        if not DIGEST.fullmatch(value):
            raise ValueError("must be 64 hexadecimal digits in lower case", attribute)


@frozen(kw_only=True)
class KeyFile:
    """The file."""

    keys: Sequence[StoredKey] = option((), "one entry for each key")

    @keys.validator
    def _no_name_twice(self, attribute: "Attribute[Any]", value: Sequence[StoredKey]) -> None:
        names = [key.name for key in value]
        if len(set(names)) < len(names):
            raise ValueError("must not hold one name twice", attribute)


@define(eq=False)
class KeyStore:
    """Reads and changes the file; all of it blocks on the disk."""

    path: Path
    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    def read(self) -> Sequence[StoredKey]:
        """Every key, none where there is no file; raises ConfigError with file and line."""
        try:
            raw = self.path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return ()
        except OSError as error:
            raise ConfigError(f"{self.path}: cannot be read: {error.strerror}; mend its permissions") from None
        return _parsed(raw, self.path)

    def create(self, name: str, *, priority: Priority = "high", admin: bool = False) -> str:
        """A new key, which is shown only now; raises Conflict where the name is taken, InvalidRequest for no name."""
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        created = self.clock().isoformat(timespec="seconds")
        digest = sha256(secret.encode()).hexdigest()
        try:
            key = StoredKey(name=name, sha256=digest, created=created, priority=priority, admin=admin)
        except ValueError as error:
            raise InvalidRequest(f"the name of a key {error.args[0]}", param="name") from None
        with self._changing():
            known = self.read()
            if any(other.name == name for other in known):
                raise Conflict(f"there is a key {name!r} already; choose another name, or revoke that one first")
            self._write([*known, key])
        return secret

    def revoke(self, name: str) -> StoredKey:
        """Take a key out of force; raises NotFound."""
        with self._changing():
            known = self.read()
            kept = [key for key in known if key.name != name]
            if len(kept) == len(known):
                raise NotFound(f"there is no key {name!r}; `lmx keys list` lists them")
            self._write(kept)
        return next(key for key in known if key.name == name)

    def is_readable_by_others(self) -> bool:
        """Whether anybody but the owner has rights in the file."""
        try:
            return bool(self.path.stat().st_mode & FOR_OTHERS)
        except OSError:
            return False

    def make_private(self) -> bool:
        """Take from others what rights they have in the file; whether they had any. Raises ConfigError."""
        if not self.is_readable_by_others():
            return False
        try:
            self.path.chmod(PRIVATE_FILE)
        except OSError as error:
            reason = error.strerror
            raise ConfigError(f"{self.path}: others can read it, and cannot be kept out: {reason}") from None
        return True

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Nobody else changes the file meanwhile; raises ConfigError where it cannot be written."""
        lock = FileLock(self.path.with_suffix(".lock"))
        try:
            lock.take(wait=True)
            yield
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"{self.path}: cannot be written: {reason}; mend its permissions or make room") from None
        finally:
            lock.release()

    def _write(self, keys: Sequence[StoredKey]) -> None:
        from lmx.config.show import as_yaml
        from lmx.structure import unstructure

        text = HEADER + as_yaml(unstructure(KeyFile(keys=keys)))
        replace_private(self.path, text.encode())


def _parsed(raw: bytes, path: Path) -> Sequence[StoredKey]:
    from lmx.config.merge import origins, plain
    from lmx.config.yaml import BadYaml, parse
    from lmx.structure import StructureError, structure

    try:
        value = parse(raw.decode("utf-8-sig"), lambda line: f"{path}:{line}")
    except UnicodeDecodeError:
        raise ConfigError(f"{path}:1: is not UTF-8") from None
    except BadYaml as error:
        raise ConfigError("\n".join(f"{path}:{line}: {message}" for line, message in error.problems)) from None
    try:
        return structure(plain(value) or {}, KeyFile).keys
    except StructureError as error:
        written = origins(value)
        raise ConfigError("\n".join(_located(problem, written) for problem in error.problems)) from None


def _located(problem: "Problem", written: "Mapping[tuple[str | int, ...], str]") -> str:
    """The problem behind the place where its value, or what should hold it, was written."""
    ends = range(len(problem.path), -1, -1)
    origin = next(written[problem.path[:end]] for end in ends if problem.path[:end] in written)
    return f"{origin}: {problem.where or 'the file'}: {problem.message}"
