import pytest

from lmx_hookspecs import errors


@pytest.mark.parametrize("code", ["model_not_found", "rate_limit_exceeded", "engine_failed", "overloaded"])
def test_an_error_survives_the_way_across_a_process_boundary(code: str) -> None:
    error = errors.error_of(code, "what happened", param="model", retry_after_s=2.0)

    assert (error.code, error.message, error.param, error.retry_after_s) == (code, "what happened", "model", 2.0)
    assert type(error) is not errors.LmxError


def test_an_unknown_code_is_still_an_lmx_error() -> None:
    assert type(errors.error_of("novel", "x")) is errors.LmxError
