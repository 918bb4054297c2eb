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
CLEARING = "clear_thinking_20251015"
ALL: tuple[object, ...] = ("all", {"type": "all"})
LENIENT = "leave it out, or send the header X-LMX-Lenient: 1 to have it dropped"


@frozen
class Unsupported:
    """Refuses, or for a lenient client writes down, what has no meaning here."""

    lenient: bool
    warnings: list[str]

    def check(self, given: Mapping[str, object], known: frozenset[str], place: str = "") -> None:
        """The fields of an object beyond those known; raises UnsupportedParameter."""
        for name in sorted(given.keys() - known):
            if name == "thread" and continues(given[name]):
                raise UnsupportedParameter(
                    "'thread' continues a conversation that is not kept here; send all its messages", param="thread"
                )
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


def continues(thread: object) -> bool:
    """Whether the messages are only the newest ones: without the others, which nobody has, there is no answer."""
    return isinstance(thread, Mapping) and thread.get("type") == "continue"


def is_neutral(name: str, value: object) -> bool:
    """Whether leaving the field out changes nothing."""
    if name == "context_management":
        return value is None or _clears_nothing(value)
    return name in WITHOUT_EFFECT or value in EMPTY or (name in NEUTRAL and value == NEUTRAL[name])


def _clears_nothing(management: object) -> bool:
    """Whether the thoughts of all turns are to be kept, and nothing else is asked for: so does Claude Code."""
    edits = management.get("edits", []) if isinstance(management, Mapping) else None
    return (
        isinstance(management, Mapping)
        and management.keys() <= {"edits"}
        and isinstance(edits, list)
        and all(isinstance(it, Mapping) and it.get("type") == CLEARING and it.get("keep") in ALL for it in edits)
    )
