import pytest

from lmx.workers.opening import check_versions
from lmx.workers.versions import VERSIONS, mismatch
from lmx_hookspecs.errors import Unavailable


def test_a_kernel_of_the_same_versions_is_served() -> None:
    check_versions(dict(VERSIONS))


def test_a_kernel_of_another_version_is_refused_with_both_and_what_to_do() -> None:
    expected = r"another version of opta-lmx .* \(frames 3 instead of 0\).*install the same version in both"

    with pytest.raises(Unavailable, match=expected) as caught:
        check_versions({**VERSIONS, "frames": 0})

    assert caught.value.code == "no_engine"


def test_the_minor_version_of_the_distribution_counts_and_one_that_tells_none_is_older() -> None:
    with pytest.raises(Unavailable, match=r"\(opta-lmx \S+ instead of 9\.9\)"):
        check_versions({**VERSIONS, "opta-lmx": "9.9"})

    assert "opta-lmx of no version instead of" in str(mismatch(VERSIONS, {"contract": 1, "frames": 1}))
