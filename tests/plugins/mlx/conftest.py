"""The model is written once, and one engine serves the tests that do not change it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lmx_mlx.engine import MlxEngine
from mlx_support import engine_of, write_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("mlx") / "random-llama")


@pytest.fixture
def engine(model_folder: Path) -> Iterator[MlxEngine]:
    engine = engine_of(model_folder)
    yield engine
    engine.close()
