"""The errors that may cross the boundary between kernel and plugins.

    LmxError                        root: printed as `lmx: …`, answered in the OpenAI shape
    ├── InvalidRequest              400 invalid_value, invalid_input; `param` names the field; of retrieval
    │   │                               dimension_mismatch, invalid_vector, invalid_filter, invalid_snapshot,
    │   │                               empty_content, unreadable_file, unsupported_file; 413 file_too_large
    │   ├── UnsupportedParameter    400 unsupported_parameter
    │   └── ContextLengthExceeded   400 context_length_exceeded
    ├── Unauthorized                401 invalid_api_key
    ├── Forbidden                   403 admin_key_required, origin_not_allowed, host_not_allowed, hub_forbidden
    ├── NotFound                    404 not_found; also of downloads, jobs, tokens, stacks, collections, documents
    │   └── ModelNotFound           404 model_not_found
    ├── Conflict                    409 conflict, model_in_use, collection_exists or collection_changed, …
    ├── TooLarge                    413 request_too_large
    ├── Busy                        429 rate_limit_exceeded, with `retry_after_s`
    ├── EngineFailed                502 engine_failed, node_failed, helper_node_unavailable
    ├── Unavailable                 503 model_loading, model_draining, model_quarantined, no_engine, overloaded,
    │                                   circuit_open, hub_unreachable, no_downloader, embedding_unavailable,
    │                                   reranking_unavailable, retrieval_unavailable
    ├── TimedOut                    504 timeout
    ├── InsufficientMemory          507 insufficient_memory
    ├── InsufficientStorage         507 insufficient_storage
    ├── ConfigError                 never over HTTP at start; every problem with its file and line
    └── PluginError                 a plugin breaks the contract

The kernel holds the one table from `code` to HTTP status. A message is lower case, says what happened, then what to do.
"""

from collections.abc import Mapping


class LmxError(Exception):
    """A deliberate error: `code` is stable and machine-readable, `param` names the request field at fault.

    `detail` is what operators read in place of the message, where API clients may not be told everything; `headers`
    are header fields that the answer carries.
    """

    default_code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.param = param
        self.retry_after_s = retry_after_s
        self.detail = detail
        self.headers = headers or {}

    @property
    def kind(self) -> str:
        """The default code of the nearest class of this module: what kind of error it is, whatever its code."""
        ours = _family(LmxError)
        return next(cls.default_code for cls in type(self).__mro__ if cls in ours and cls.__module__ == __name__)


class InvalidRequest(LmxError):
    """The request itself is wrong; sending it again changes nothing."""

    default_code = "invalid_value"


class UnsupportedParameter(InvalidRequest):
    """The chosen backend cannot honour a field that the client set."""

    default_code = "unsupported_parameter"


class ContextLengthExceeded(InvalidRequest):
    """The prompt has more tokens than the model's context."""

    default_code = "context_length_exceeded"


class Unauthorized(LmxError):
    """An API key is missing or unknown."""

    default_code = "invalid_api_key"


class Forbidden(LmxError):
    """The admin key is missing or wrong, or the browser's origin or host is not allowed."""

    default_code = "admin_key_required"


class NotFound(LmxError):
    """There is nothing under that name or path."""

    default_code = "not_found"


class ModelNotFound(NotFound):
    """No model has that id."""

    default_code = "model_not_found"


class Conflict(LmxError):
    """The thing is in use, or already exists."""

    default_code = "conflict"


class TooLarge(LmxError):
    """The request body exceeds `server.max_body_bytes`, or an uploaded file `server.max_upload_bytes`."""

    default_code = "request_too_large"


class Busy(LmxError):
    """The queue is full, or the request waited too long in it."""

    default_code = "rate_limit_exceeded"


class EngineFailed(LmxError):
    """The engine died, or gave up, on this request."""

    default_code = "engine_failed"


class Unavailable(LmxError):
    """It cannot be served now; `retry_after_s` says when to come back."""

    default_code = "model_loading"


class TimedOut(LmxError):
    """The request's deadline passed."""

    default_code = "timeout"


class InsufficientMemory(LmxError):
    """The model does not fit; the message holds the arithmetic."""

    default_code = "insufficient_memory"


class InsufficientStorage(LmxError):
    """A download, or an upload, does not fit on the disk; the message holds the arithmetic."""

    default_code = "insufficient_storage"


class ConfigError(LmxError):
    """The configuration cannot be used."""

    default_code = "invalid_config"


class PluginError(LmxError):
    """A plugin breaks the contract or does not exist."""

    default_code = "plugin_error"


def error_of(
    code: str,
    message: str,
    *,
    kind: str | None = None,
    param: str | None = None,
    retry_after_s: float | None = None,
    detail: str | None = None,
) -> LmxError:
    """The error that `code` stands for, as it was before it crossed a process boundary; `kind` is its own `kind`."""
    by_code = {cls.default_code: cls for cls in _family(LmxError)}
    cls = by_code.get(kind or code) or (Unavailable if code in UNAVAILABLE_CODES else LmxError)
    return cls(message, code=code, param=param, retry_after_s=retry_after_s, detail=detail)


UNAVAILABLE_CODES = frozenset(
    {
        "model_loading",
        "model_draining",
        "model_quarantined",
        "no_engine",
        "overloaded",
        "circuit_open",
        "hub_unreachable",
        "no_downloader",
    }
)


def _family(cls: type[LmxError]) -> list[type[LmxError]]:
    return [cls, *(member for child in cls.__subclasses__() for member in _family(child))]
