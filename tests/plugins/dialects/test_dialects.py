import pytest

from dialect_samples import SAMPLES, spec
from lmx_dialects.catalogue import DIALECTS
from lmx_hookspecs.testing import check_dialect


@pytest.mark.parametrize("name", [dialect.name for dialect in DIALECTS])
def test_every_dialect_keeps_the_contract(name: str) -> None:
    check_dialect(spec(name), SAMPLES[name])
