from collections.abc import Iterator

import pytest

from serving import Server, served


@pytest.fixture(scope="package")
def tiny_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the built-in model on the real MLX engine, for every test that leaves it as it found it."""
    folder = tmp_path_factory.mktemp("tiny-server")
    with served(folder, {"models": {"auto_load": ["lmx-tiny"]}}) as server:
        server.wait_for("model_ready", model="lmx-tiny")
        yield server
