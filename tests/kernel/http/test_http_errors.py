import pytest

from lmx.http import errors
from lmx_hookspecs import LmxError
from lmx_hookspecs.errors import (
    Busy,
    Conflict,
    ContextLengthExceeded,
    EngineFailed,
    Forbidden,
    InsufficientMemory,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    TimedOut,
    TooLarge,
    Unauthorized,
    Unavailable,
    UnsupportedParameter,
)

STATUSES = {
    InvalidRequest: 400,
    UnsupportedParameter: 400,
    ContextLengthExceeded: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotFound: 404,
    ModelNotFound: 404,
    Conflict: 409,
    TooLarge: 413,
    Busy: 429,
    LmxError: 500,
    EngineFailed: 502,
    Unavailable: 503,
    TimedOut: 504,
    InsufficientMemory: 507,
}


@pytest.mark.parametrize("cls", STATUSES)
def test_each_error_class_has_its_status(cls: type[LmxError]) -> None:
    assert errors.kind_of(cls("x")).status == STATUSES[cls]


def test_a_code_that_only_a_plugin_knows_is_answered_like_its_class() -> None:
    assert errors.kind_of(NotFound("x", code="collection_not_found")).status == 404


def test_an_error_has_the_openai_shape() -> None:
    shape = errors.shape(InvalidRequest("n: must be at least 1", param="n"))

    assert shape == {
        "error": {
            "message": "n: must be at least 1",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_value",
        }
    }


@pytest.mark.parametrize(("retry_after_s", "field"), [(0.0, "1"), (0.2, "1"), (2.1, "3"), (30, "30")])
def test_retry_after_is_whole_seconds_and_at_least_one(retry_after_s: float, field: str) -> None:
    assert errors.headers(Busy("x", retry_after_s=retry_after_s))["Retry-After"] == field


def test_an_error_without_a_time_promises_none() -> None:
    assert "Retry-After" not in errors.headers(Busy("x"))


def test_a_lone_surrogate_in_a_message_can_still_be_sent() -> None:
    assert b"\\udc00" in errors.body(InvalidRequest("\udc00"))
