import pytest

from lmx_hookspecs import LoadOptions
from lmx_hookspecs.errors import InvalidRequest
from lmx_ollama.keep_alive import keep_alive_of


@pytest.mark.parametrize(
    ("sent", "seconds"),
    [
        (None, None),
        ("", None),
        (0, 0),
        ("0", 0),
        ("0s", 0),
        (-1, -1),
        ("-1", -1),
        ("-1m", -60),
        (90, 90),
        (1.5, 1.5),
        ("5m", 300),
        ("1h30m", 5400),
        ("500ms", 0.5),
    ],
)
def test_a_duration_is_read_as_ollama_reads_it(sent: float | str | None, seconds: float | None) -> None:
    assert keep_alive_of(sent).seconds == seconds


@pytest.mark.parametrize("sent", ["a while", "5 m", "m5", "1h 30m", "nan", "inf", "9" * 400, "9" * 400 + "h"])
def test_what_is_no_duration_is_refused(sent: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        keep_alive_of(sent)

    assert refused.value.param == "keep_alive"


def test_a_negative_one_keeps_the_model_for_ever_and_none_leaves_the_configured_time() -> None:
    assert keep_alive_of(-1).options() == LoadOptions(keep_alive_s=0)
    assert keep_alive_of("5m").options() == LoadOptions(keep_alive_s=300)
    assert keep_alive_of(None).options() == keep_alive_of(0).options() == LoadOptions()
