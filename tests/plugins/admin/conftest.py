from collections.abc import AsyncIterator

import pytest

import lmx_admin
from admin_support import StandIns
from http_support import Served, serving


@pytest.fixture
def services() -> StandIns:
    return StandIns()


@pytest.fixture
async def server(services: StandIns) -> AsyncIterator[Served]:
    """The admin API over those services, on a socket."""
    async with serving(surfaces=lmx_admin.lmx_surfaces(), services=services) as running:
        yield running
