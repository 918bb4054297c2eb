"""Fields that have no meaning here: harmless ones pass, the rest is refused, or dropped with a warning."""

from collections.abc import Mapping

from attrs import frozen

from lmx_hookspecs import Request
from lmx_hookspecs.errors import UnsupportedParameter

WITHOUT_EFFECT = frozenset(
    {
        "cache_control",
        "diagnostics",
        "inference_geo",
        "metadata",
        "service_tier",
        "user_profile_id",
        "workspace_id",
    }
)
"""Accepted with any value: they describe the request, not the answer. Prefixes are cached without being asked."""
NEUTRAL: Mapping[str, object] = {"speed": "standard"}
EMPTY: tuple[object, ...] = (None, False, "", [], {})
LENIENT = "leave it out, or send the header X-LMX-Lenient: 1 to have it dropped"


@frozen
class Unsupported:
    """Refuses, or for a lenient client writes down, what has no meaning here."""

    lenient: bool
    warnings: list[str]

    def check(self, given: Mapping[str, object], known: frozenset[str], place: str = "") -> None:
        """The fields of an object beyond those known; raises UnsupportedParameter."""
        for name in sorted(given.keys() - known):
            if not is_neutral(name, given[name]):
                self.drop(f"{place}.{name}" if place else name)

    def drop(self, where: str) -> None:
        """It stays without effect; raises UnsupportedParameter."""
        if not self.lenient:
            raise UnsupportedParameter(f"{where!r} is not supported; {LENIENT}", param=where)
        self.warnings.append(f"{where} was dropped: it is not supported")


def unsupported(request: Request) -> Unsupported:
    """What a request is checked with, its unknown top-level fields already; raises UnsupportedParameter."""
    found = Unsupported(request.lenient, [])
    found.check(request.unknown, frozenset())
    return found


def is_neutral(name: str, value: object) -> bool:
    """Whether leaving the field out changes nothing."""
    return name in WITHOUT_EFFECT or value in EMPTY or (name in NEUTRAL and value == NEUTRAL[name])
