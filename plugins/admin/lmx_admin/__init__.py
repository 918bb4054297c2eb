"""Plugin `admin`: the operator's API, below `/admin`."""

from collections.abc import Sequence

from lmx_hookspecs import Context, Health, HealthCheck, Route, SurfaceSpec, hookimpl


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """The surface `admin`; every route needs the admin key, and none is shed: they are how one frees memory."""
    return [SurfaceSpec(name="admin", late_routes=_routes)]


@hookimpl
def lmx_health_checks() -> Sequence[HealthCheck]:
    """The chip's temperature. A sample takes a second, so an answer is kept for some."""
    return [HealthCheck(name="admin.thermal", check=_check_thermal, timeout_s=5.0, keep_s=10.0)]


def _routes() -> Sequence[Route]:
    from lmx_admin.routes import ROUTES

    return ROUTES


async def _check_thermal(_: Context) -> Health:
    from lmx_admin.thermal import check

    return await check()
