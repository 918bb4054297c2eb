"""The state of this run, and what the run before it left."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field

from lmx.state import safe_mode
from lmx.state.document import BadState, Document, LoadedModel, encode
from lmx.state.files import STATE, recorded
from lmx.state.keeper import Keeper
from lmx_hookspecs import Health, Logger


@define(eq=False)
class RuntimeState:
    """What runs now; it is kept on disk from `open` on, and nowhere before."""

    previous: Document = field(factory=Document)
    """What the run before this one left; as after a clean stop where nothing is known."""
    unclean: bool = False
    """The run before this one ended without a clean stop."""
    safe_mode: bool = False
    """Nothing is to be loaded by itself."""
    other_pid: int | None = None
    """The server that keeps its state in our folder, so that this one cannot."""
    _keeper: Keeper | None = None
    _now: Document = field(factory=Document)
    _owed: dict[str, LoadedModel] = field(factory=dict)
    _clock: Callable[[], float] = time.time
    _frozen: bool = False

    async def open(self, folder: Path, log: Logger, *, restore: bool = True) -> None:
        """Take over from the run before, and put this start on disk; one server for each folder.

        A folder that another server holds, or that cannot be written, is a warning: this server keeps no state then.
        """
        keeper = Keeper(folder, log, self._encoded)
        await asyncio.to_thread(self._open, keeper, restore)
        if keeper.problem is not None:
            keeper.retry_later()

    def _open(self, keeper: Keeper, restore: bool) -> None:
        folder, log = keeper.folder, keeper.log
        if not _is_free(keeper):
            self.other_pid = keeper.lock.holder() or 0
            advice = "it is not restored after a crash; give this server a folder of its own with LMX_HOME"
            log.warning("state_not_kept", folder=str(folder), kept_by_pid=self.other_pid, advice=advice)
            return
        self._take_over(_read(folder, log, self._clock()), restore=restore)
        keeper.write_now(self._encoded())
        self._keeper = keeper
        if self.safe_mode:
            log.error("safe_mode", reason=safe_mode.REASON)

    def restorable(self) -> Sequence[LoadedModel]:
        """Models to load again, without the quarantined; recorded as loaded until each is loaded or `settled`."""
        return list(self._owed.values())

    def settled(self, model_id: str) -> None:
        """It is not going to be restored any more: the load has failed, say."""
        if self._owed.pop(model_id, None) is not None:
            self._changed()

    def update(self, **sections: Any) -> None:
        """Record what holds now: `loaded_models`, `quarantined`, `downloads`, `active_stack` or `url`, as in Document.

        Returns at once; a thread writes. Without effect once the server is stopping.
        """
        now = evolve(self._now, **sections)
        if self._frozen or now == self._now:
            return
        self._now = now
        for model in now.loaded_models:
            self._owed.pop(model.id, None)
        self._changed()

    def freeze(self) -> None:
        """Record nothing more: what is unloaded from here on is unloaded because the server stops."""
        self._frozen = True

    def mark_clean(self) -> None:
        """The server has stopped as it should: the next one starts afresh, but for downloads, which go on."""
        self.freeze()
        self._owed.clear()
        now = self._now
        self._now = Document(pid=now.pid, active_stack=now.active_stack, downloads=now.downloads)
        self._changed()

    async def flush(self, within_s: float | None = None) -> None:
        """Return once everything is on disk, or the disk has refused it, or `within_s` are over."""
        if self._keeper is not None:
            await self._keeper.flush(within_s)

    async def close(self) -> None:
        """Write what is left, and let another server have the folder."""
        if self._keeper is not None:
            await self._keeper.close()

    def health(self) -> Health:
        """Not ok in safe mode, and while the disk refuses the state."""
        if self.safe_mode:
            return Health(ok=False, detail=safe_mode.REASON)
        if self._keeper is not None and self._keeper.problem is not None:
            folder, problem = self._keeper.folder, self._keeper.problem
            detail = f"cannot be written to {folder}: {problem}; until it can, a crash forgets what is loaded"
            return Health(ok=False, detail=detail)
        return Health(ok=True)

    def describe(self) -> Mapping[str, Any]:
        """For `/admin/stack`."""
        return {
            "folder": str(self._keeper.folder) if self._keeper else None,
            "problem": self._keeper.problem if self._keeper else None,
            "kept_by_pid": self.other_pid,
            "unclean_start": self.unclean,
            "safe_mode": self.safe_mode,
            "to_restore": list(self._owed),
        }

    def _take_over(self, previous: Document | None, *, restore: bool) -> None:
        self.previous = previous or Document()
        self.unclean = not self.previous.clean
        left = self.previous if self.unclean else Document()
        starts = safe_mode.with_unclean_start(left.unclean_starts, self._clock()) if self.unclean else []
        self.safe_mode = safe_mode.is_safe_mode(starts)
        if restore and not self.safe_mode:
            self._owed = {model.id: model for model in left.loaded_models if model.id not in left.quarantined}
        self._now = Document(
            clean=False,
            pid=os.getpid(),
            unclean_starts=starts,
            safe_mode=self.safe_mode,
            quarantined=left.quarantined,
            downloads=self.previous.downloads,
            active_stack=self.previous.active_stack,
        )

    def _encoded(self) -> bytes:
        loaded = [*self._now.loaded_models, *self._owed.values()]
        return encode(evolve(self._now, saved_at=round(self._clock(), 3), loaded_models=loaded))

    def _changed(self) -> None:
        if self._keeper is not None:
            self._keeper.changed()


def _is_free(keeper: Keeper) -> bool:
    try:
        return keeper.lock.take()
    except OSError:  # the folder cannot be written, which the first write reports
        return True


def _read(folder: Path, log: Logger, now: float) -> Document | None:
    """What the last run left; what cannot be read is set aside, so that people can look at it."""
    try:
        return recorded(folder)
    except BadState as error:
        aside = folder / f"{STATE}.corrupt-{now:.0f}"
        log.warning("state_set_aside", file=str(folder / STATE), reason=str(error), moved_to=str(aside))
    try:
        (folder / STATE).rename(aside)
    except OSError as error:
        log.warning("state_not_set_aside", file=str(folder / STATE), reason=error.strerror)
    return None
