"""Plugin `admin`: the operator's API, below `/admin`."""

from collections.abc import Sequence

from lmx_hookspecs import Route, SurfaceSpec, hookimpl


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """The surface `admin`; every route needs the admin key, and none is shed: they are how one frees memory."""
    return [SurfaceSpec(name="admin", late_routes=_routes)]


def _routes() -> Sequence[Route]:
    from lmx_admin.routes import ROUTES

    return ROUTES
