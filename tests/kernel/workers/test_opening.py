import pytest

from lmx.workers.frames import VERSIONS
from lmx.workers.opening import check_versions
from lmx_hookspecs.errors import EngineFailed


def test_a_kernel_of_the_same_versions_is_served() -> None:
    check_versions(dict(VERSIONS))


def test_a_kernel_of_another_version_is_refused_with_both() -> None:
    with pytest.raises(EngineFailed, match=r"'frames': 1.*'frames': 0.*install one version"):
        check_versions({**VERSIONS, "frames": 0})
