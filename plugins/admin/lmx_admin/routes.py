"""The routes of `/admin`."""

from functools import partial

from lmx_admin import models, server
from lmx_admin.bodies import LoadAnswer, ModelsAnswer, ModelToLoad, ModelToUnload, UnloadAnswer
from lmx_hookspecs import Route

_get = partial(Route, method="GET", auth="admin", shed=False)
_post = partial(Route, method="POST", auth="admin", shed=False)

ROUTES = (
    _get(path="/admin/models", handler=models.listing, summary="Every model and its state", answer=ModelsAnswer),
    _get(path="/admin/models/{id:path}", handler=models.one, summary="Everything that is known of one model"),
    _post(
        path="/admin/models/load",
        handler=models.load,
        summary="Load a model; answers once it is ready",
        body=ModelToLoad,
        answer=LoadAnswer,
    ),
    _post(
        path="/admin/models/unload",
        handler=models.unload,
        summary="Let a model's requests finish, then stop its worker",
        body=ModelToUnload,
        answer=UnloadAnswer,
    ),
    _get(path="/admin/plugins", handler=server.plugins, summary="Every installed plugin and its status"),
    _get(path="/admin/stack", handler=server.stack, summary="Queues, caches, workers: what everything says of itself"),
    _get(path="/admin/status", handler=server.status, summary="Uptime, loaded models, memory and requests"),
    _get(path="/admin/health", handler=server.health, summary="Memory and health checks; always answers 200"),
)
