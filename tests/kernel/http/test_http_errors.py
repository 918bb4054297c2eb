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
    error_of,
)


@pytest.mark.parametrize(
    ("told_s", "field"), [(0.2, "1"), (7.1, "8"), (-1.0, "1"), (float("inf"), "86400"), (float("nan"), None)]
)
def test_whatever_an_error_says_of_when_to_come_back_is_told_within_reason(told_s: float, field: str | None) -> None:
    told = errors.headers(Busy("full", retry_after_s=told_s))

    assert told.get("Retry-After") == field


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


@pytest.mark.parametrize(
    ("code", "field"),
    [
        ("rate_limit_exceeded", "5"),
        ("overloaded", "30"),
        ("model_loading", "5"),
        ("model_draining", "5"),
        ("model_quarantined", "60"),
        ("no_engine", "300"),
    ],
)
def test_whoever_is_turned_away_is_told_when_to_come_back(code: str, field: str) -> None:
    assert errors.headers(error_of(code, "x"))["Retry-After"] == field


def test_every_503_has_a_time() -> None:
    unavailable = [kind for kind in errors.KINDS.values() if kind.status == 503]

    assert all(kind.retry_after_s for kind in unavailable)


@pytest.mark.parametrize("cls", [InvalidRequest, NotFound, EngineFailed, InsufficientMemory, LmxError])
def test_an_error_that_time_does_not_mend_promises_none(cls: type[LmxError]) -> None:
    assert "Retry-After" not in errors.headers(cls("x"))


def test_a_lone_surrogate_in_a_message_can_still_be_sent() -> None:
    assert b"\\udc00" in errors.body(InvalidRequest("\udc00"))


def test_an_error_may_bring_header_fields_of_its_own() -> None:
    fields = errors.headers(Busy("later", retry_after_s=2, headers={"X-Left": "0"}))

    assert fields == {"Content-Type": "application/json", "Retry-After": "2", "X-Left": "0"}
