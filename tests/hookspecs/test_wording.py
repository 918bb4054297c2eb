import pytest

from lmx_hookspecs.errors import Busy, ContextLengthExceeded, UnsupportedParameter
from lmx_hookspecs.wording import own_words

NAMES = {"max_tokens": "max_output_tokens", "messages": "input"}


def test_an_error_names_the_field_as_the_surface_does() -> None:
    with pytest.raises(UnsupportedParameter, match="'max_output_tokens' is not supported") as caught, own_words(NAMES):
        raise UnsupportedParameter("'max_tokens' is not supported", param="max_tokens")

    assert (caught.value.param, caught.value.code) == ("max_output_tokens", "unsupported_parameter")


def test_a_name_that_is_a_word_like_others_stays_in_the_message() -> None:
    with pytest.raises(ContextLengthExceeded, match=r"^leave out old messages$") as caught, own_words(NAMES):
        raise ContextLengthExceeded("leave out old messages", param="messages")

    assert caught.value.param == "input"


def test_what_else_an_error_says_stays() -> None:
    with pytest.raises(Busy, match=r"^the queue is full$") as caught, own_words(NAMES):
        raise Busy("the queue is full", retry_after_s=3)

    assert (caught.value.param, caught.value.retry_after_s) == (None, 3)
