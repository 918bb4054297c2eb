from pathlib import Path

import pytest

from lmx_hookspecs import ModelInfo
from static_support import write_model


@pytest.fixture
def model(tmp_path: Path) -> ModelInfo:
    return write_model(tmp_path)
