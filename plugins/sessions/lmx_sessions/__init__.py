"""Plugin `sessions`: the conversations that Opta's command line keeps, below `/admin/sessions`."""

from collections.abc import Sequence

from lmx_hookspecs import ConfigSpec, Route, SurfaceSpec, hookimpl
from lmx_sessions.config import SessionsConfig


@hookimpl
def lmx_config() -> Sequence[ConfigSpec]:
    """The folder that is read."""
    return [ConfigSpec(cls=SessionsConfig)]


@hookimpl
def lmx_surfaces() -> Sequence[SurfaceSpec]:
    """The surface `sessions`; every route needs the admin key."""
    return [SurfaceSpec(name="sessions", late_routes=_routes)]


def _routes() -> Sequence[Route]:
    from lmx_sessions.routes import ROUTES

    return ROUTES
