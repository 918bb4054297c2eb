"""What `lmx doctor` looks at in `$LMX_HOME`: what the last server left, and the keys."""

import time
from collections.abc import Iterator
from datetime import datetime

from lmx.commands.findings import Finding, fail, ok, warn
from lmx.keys import FILE, KeyStore
from lmx.state import BadState, Document, is_running, next_start_is_safe_mode, recorded
from lmx_hookspecs.errors import ConfigError
from lmx_hookspecs.places import home

LOAD_BY_HAND = "load models by hand (`lmx load MODEL`); a clean stop of the server ends safe mode"


def state() -> Iterator[Finding]:
    """How the last server ended, and what the next one makes of it."""
    try:
        document = recorded(home())
    except BadState as error:
        yield warn("state", f"state.json {error}", "nothing: the next start sets it aside, and restores no models")
        return
    if document is None:
        yield ok("state", "no server has run with this folder yet")
    else:
        yield _running(document) if is_running(document) else _ended(document)


def _running(document: Document) -> Finding:
    if document.safe_mode:
        return warn(
            "state", f"the server at {document.url} runs in safe mode: it loaded nothing by itself", LOAD_BY_HAND
        )
    return ok("state", f"a server runs at {document.url} (pid {document.pid})")


def _ended(document: Document) -> Finding:
    if document.clean:
        return ok("state", "the last server stopped cleanly")
    when = datetime.fromtimestamp(document.saved_at).astimezone().isoformat(" ", "seconds")
    seen = f"the last server (pid {document.pid}, last heard of {when}) ended without a clean stop"
    if next_start_is_safe_mode(document, time.time()):
        return warn("state", f"{seen}, as those before it: a start now is one in safe mode", LOAD_BY_HAND)
    models = ", ".join(model.id for model in document.loaded_models)
    return warn("state", seen, f"its log says why; the next start loads again: {models or 'nothing'}")


def keys() -> Iterator[Finding]:
    """Whether the key file can be used."""
    store = KeyStore(home() / FILE)
    try:
        stored = store.read()
    except ConfigError as error:
        yield fail("keys", error.message, "mend it, or take it away and make new keys with `lmx keys create`")
        return
    if store.is_readable_by_others():
        yield warn("keys", f"others can read {store.path}", f"chmod 600 {store.path}")
        return
    admin = sum(key.admin for key in stored)
    yield ok("keys", f"{len(stored) - admin} for /v1 and {admin} for /admin in {store.path}")
