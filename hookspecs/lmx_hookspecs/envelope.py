"""What a request says of where it comes from and how it is to be treated, whatever it asks for."""

from collections.abc import Mapping
from typing import Any, Protocol

from lmx_hookspecs.generation import Priority


class Envelope(Protocol):
    """What requests and WebSockets have in common; of a WebSocket, it is that of its opening request."""

    @property
    def id(self) -> str:
        """The `X-Request-ID` of the answer."""

    @property
    def path_params(self) -> Mapping[str, str]:
        """Values of the `{name}` and `{name:path}` parts of the route's path, decoded."""

    @property
    def query(self) -> Mapping[str, str]:
        """Query parameters; the last of a repeated one."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Request headers, names in lower case."""

    @property
    def key(self) -> str | None:
        """Name of the API key that was used; None where none is required."""

    @property
    def client(self) -> str | None:
        """The client's own label: `X-Client-ID`."""

    @property
    def priority(self) -> Priority:
        """`X-Priority`, lowered to what the key allows."""

    @property
    def timeout_s(self) -> float | None:
        """`X-Timeout` in seconds; of a WebSocket, for each request that comes over it."""

    @property
    def lenient(self) -> bool:
        """True with the header `X-LMX-Lenient: 1`."""


def envelope_fields(envelope: Envelope) -> dict[str, Any]:
    """The same as fields of a GenerationRequest, an EmbeddingRequest or a RerankRequest."""
    return {
        "request_id": envelope.id,
        "priority": envelope.priority,
        "key": envelope.key,
        "client": envelope.client,
        "timeout_s": envelope.timeout_s,
        "lenient": envelope.lenient,
    }
