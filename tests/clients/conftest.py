from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from serving import Server, served


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with the built-in models, which every client leaves as it found it."""
    with served(tmp_path_factory.mktemp("clients"), {"models": {"auto_load": ["lmx-tiny"]}}) as server:
        server.wait_for("model_ready", model="lmx-tiny")
        yield server


@pytest.fixture
def base_url(server: Server) -> str:
    return f"{server.url}/v1"


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """For clients that would never close their own."""
    with httpx.Client(timeout=60) as client:
        yield client


@pytest.fixture
async def async_http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=60) as client:
        yield client
