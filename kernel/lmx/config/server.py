"""The section `server`: where the HTTP server listens, and its limits."""

from collections.abc import Sequence

from attrs import Attribute, frozen

from lmx_hookspecs import option


@frozen(kw_only=True)
class Server:
    """The HTTP server."""

    host: str = option("127.0.0.1", "address to listen on; beyond loopback only with keys, see security", min_length=1)
    port: int = option(1234, "TCP port; 0 takes any free one", ge=0, le=65535)
    workers: int = option(1, "always 1: one kernel owns the machine; scale with nodes")
    timeout_sec: int = option(300, "seconds after which an idle keep-alive connection is closed", ge=1)
    max_body_bytes: int = option(16 * 2**20, "largest request body", ge=2**10, le=2**30)
    max_upload_bytes: int = option(
        512 * 2**20, "bytes of all files together in one form, where it may carry files", ge=2**10, le=2**40
    )
    shutdown_grace_s: float = option(
        30.0, "seconds that running requests get to end when the server stops", ge=0, le=600
    )
    headers_after_s: float = option(
        10.0, "seconds without a first piece after which a stream sends its headers all the same", gt=0, le=600
    )
    sse_heartbeat_interval_sec: int = option(
        30, "seconds of silence after which a stream sends a sign of life", ge=1, restart=False
    )
    websocket_enabled: bool = option(True, "offer WebSockets, such as /v1/chat/stream")
    websocket_max_connections: int = option(128, "WebSockets that are open at once", ge=1, le=10_000)
    websocket_max_requests: int = option(
        8, "requests that run at once on one WebSocket; more are refused", ge=1, le=256, restart=False
    )
    allowed_origins: Sequence[str] = option(
        (), "browser origins that may call, such as https://chat.example.org", restart=False
    )
    allowed_hosts: Sequence[str] = option(
        (), "values of the Host header taken beside loopback names until both keys are set", restart=False
    )

    @workers.validator
    def _one_kernel(self, attribute: "Attribute[int]", value: int) -> None:
        if value != 1:
            raise ValueError("must be 1: one kernel owns the machine; scale with nodes", attribute)
