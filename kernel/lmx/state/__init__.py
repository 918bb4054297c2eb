"""Runtime state: what runs now, on disk at every moment, so that a restart brings back what was there.

state = RuntimeState()
await state.open(home(), log)
state.update(loaded_models=[LoadedModel(id="org/model")])
state.mark_clean()
await state.close()
"""

from lmx.state.document import BadState, Document, LoadedModel
from lmx.state.files import is_running, next_start_is_safe_mode, recorded, running_server
from lmx.state.runtime import RuntimeState

__all__ = [
    "BadState",
    "Document",
    "LoadedModel",
    "RuntimeState",
    "is_running",
    "next_start_is_safe_mode",
    "recorded",
    "running_server",
]
