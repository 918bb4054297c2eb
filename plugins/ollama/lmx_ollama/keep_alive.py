"""`keep_alive`: how long a model stays loaded after a request."""

import re
from math import isfinite, nan

from attrs import frozen

from lmx_hookspecs import Context, LoadOptions, ModelState
from lmx_hookspecs.errors import Conflict, InvalidRequest, ModelNotFound

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
DURATION = re.compile(r"([+-]?)((?:\d+(?:\.\d+)?(?:ns|us|µs|ms|s|m|h))+)")
PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
FOREVER = 0.0
"""As LoadOptions have it."""
SOON_S = 1.0
"""For a model that others still use."""


@frozen
class KeepAlive:
    """Seconds, None where the client says nothing; 0 unloads, and negative ones are for ever."""

    seconds: float | None

    @property
    def unloads(self) -> bool:
        """Whether the model is to go once it has answered."""
        return self.seconds == 0

    def options(self) -> LoadOptions:
        """For a load; the configured time where it says nothing, or the model is to go anyway."""
        if self.seconds is None or self.unloads:
            return LoadOptions()
        return LoadOptions(keep_alive_s=FOREVER if self.seconds < 0 else self.seconds)


def keep_alive_of(value: float | str | None) -> KeepAlive:
    """Raises InvalidRequest for what is no duration."""
    if value is None or value == "":
        return KeepAlive(None)
    if isinstance(value, str):
        return KeepAlive(_seconds(value))
    return KeepAlive(float(value))


async def apply(ctx: Context, name: str, keep_alive: KeepAlive) -> None:
    """Make it hold for the model that answered, where that is loaded."""
    if keep_alive.seconds is None:
        return
    try:
        model = (await ctx.services.routing.resolve(name))[0]
        status = await ctx.services.models.get(model)
        if status.state is not ModelState.READY or status.pinned:
            return
        if keep_alive.unloads and status.in_flight == 0:
            await ctx.services.models.unload(model)
        else:
            options = LoadOptions(keep_alive_s=SOON_S) if keep_alive.unloads else keep_alive.options()
            await ctx.services.models.load(model, options)
    except ModelNotFound:
        return  # it was unloaded in the meantime: nothing is left to keep


async def refuse_pinned(ctx: Context, model: str) -> None:
    """Raises Conflict for a model that an administrator has pinned: an API key does not undo that."""
    if (await ctx.services.models.get(model)).pinned:
        raise Conflict(f"model {model!r} is pinned; have it unpinned with DELETE /admin/models/{model}/pin first")


def _seconds(text: str) -> float:
    try:
        seconds = float(int(text))
    except (ValueError, OverflowError):
        seconds = _of_units(text.strip())
    if not isfinite(seconds):
        raise InvalidRequest(
            f'keep_alive {text!r:.64} is no duration; send seconds, or a text such as "5m" or "1h30m"',
            param="keep_alive",
        )
    return seconds


def _of_units(text: str) -> float:
    """NaN for what is no duration."""
    whole = DURATION.fullmatch(text)
    if whole is None:
        return nan
    seconds = sum(float(number) * UNITS[unit] for number, unit in PART.findall(whole.group(2)))
    return -seconds if whole.group(1) == "-" else seconds
