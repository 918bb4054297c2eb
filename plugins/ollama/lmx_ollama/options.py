"""`options`: sampling and limits under Ollama's names."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen

from lmx_hookspecs import unsupported
from lmx_hookspecs.errors import InvalidRequest

RANGES: Mapping[str, tuple[str, type, float, float]] = {
    "temperature": ("temperature", float, 0, 2),
    "top_p": ("top_p", float, 0, 1),
    "top_k": ("top_k", int, 0, 2**31),
    "min_p": ("min_p", float, 0, 1),
    "repeat_penalty": ("repetition_penalty", float, 0.01, 2),
    "presence_penalty": ("presence_penalty", float, -2, 2),
    "frequency_penalty": ("frequency_penalty", float, -2, 2),
    "seed": ("seed", int, -(2**63), 2**63 - 1),
}
"""Ollama's name: the field of Sampling, its type, and its range."""
HARDWARE = frozenset(
    {
        "f16_kv",
        "low_vram",
        "main_gpu",
        "num_batch",
        "num_gpu",
        "num_keep",
        "num_thread",
        "numa",
        "use_mlock",
        "use_mmap",
    }
)
"""Accepted without effect: they say how llama.cpp is to work, not what the answer is."""
NEUTRAL: Mapping[str, Any] = {
    "mirostat": 0,
    "mirostat_eta": 0.1,
    "mirostat_tau": 5,
    "penalize_newline": True,
    "tfs_z": 1,
    "typical_p": 1,
}
"""The value with which an option asks for nothing special."""
MAX_STOPS = 64
MAX_LAST_N = 2**31
PENALTIES: Mapping[str, float] = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
"""What looks back, and what it is where it changes nothing."""
MAX_TOKENS = 2**31
"""More than any context has; what is above the context is what is left of it."""
UNLIMITED = (-1, -2)
"""As `num_predict`: what is left of the context."""


@frozen(kw_only=True)
class Options:
    """What a request's `options` ask for."""

    sampling: Mapping[str, Any] = field(factory=dict)
    max_tokens: int | None = None
    num_ctx: int | None = None
    stop: Sequence[str] = ()
    warnings: Sequence[str] = ()


def options_of(given: Mapping[str, Any] | None, *, lenient: bool) -> Options:
    """Raises InvalidRequest for a value that cannot be meant, UnsupportedParameter for an option nobody honours."""
    options = {name: value for name, value in (given or {}).items() if value is not None}
    sampling = {RANGES[name][0]: _number(name, value) for name, value in options.items() if name in RANGES}
    last_n, far_off = _looking_back(options.pop("repeat_last_n", None), sampling)
    return Options(
        sampling={**sampling, **last_n},
        max_tokens=_max_tokens(options.get("num_predict")),
        num_ctx=_num_ctx(options.get("num_ctx")),
        stop=_stops(options.get("stop")),
        warnings=dropped({f"options.{name}": value for name, value in {**options, **far_off}.items()}, lenient=lenient),
    )


def dropped(unknown: Mapping[str, Any], *, lenient: bool) -> Sequence[str]:
    """Warnings about what is dropped for a lenient client; raises UnsupportedParameter for anybody else."""
    refused = (name for name, value in unknown.items() if not _is_harmless(name, value))
    return unsupported.dropped(refused, lenient=lenient)


def _is_harmless(name: str, value: Any) -> bool:
    option = name.removeprefix("options.")
    known = option in RANGES or option in HARDWARE or option in ("num_predict", "num_ctx", "stop")
    return known or value in unsupported.EMPTY or (option in NEUTRAL and value == NEUTRAL[option])


def _number(name: str, value: Any) -> float:
    _, kind, low, high = RANGES[name]
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not right or (kind is int and value != int(value)) or not low <= value <= high:
        what = "a whole number" if kind is int else "a number"
        raise InvalidRequest(f"options.{name} must be {what} between {low:g} and {high:g}", param=f"options.{name}")
    return int(value) if kind is int else float(value)


def _looking_back(last_n: Any, sampling: Mapping[str, float]) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """How far penalties look back, as penalties of our own, or as an option that is not honoured.

    Ours look at the whole context, which is -1; 0 switches them off, and without any there is nothing to look for.
    """
    if last_n is None:
        return {}, {}
    if not -1 <= _whole("repeat_last_n", last_n) <= MAX_LAST_N:
        raise InvalidRequest(
            "options.repeat_last_n must be 0 for no penalties, -1 for all tokens, or a number of tokens",
            param="options.repeat_last_n",
        )
    if last_n == 0:
        return PENALTIES, {}
    neutral = all(sampling.get(name, value) == value for name, value in PENALTIES.items())
    return {}, {} if neutral or last_n == -1 else {"repeat_last_n": last_n}


def _whole(name: str, value: Any) -> int:
    if type(value) is not int:
        raise InvalidRequest(f"options.{name} must be a whole number", param=f"options.{name}")
    return value


def _max_tokens(value: Any) -> int | None:
    if value is None or _whole("num_predict", value) in UNLIMITED:
        return None
    if value < 1:
        raise InvalidRequest(
            "options.num_predict must be at least 1, or -1 for what is left of the context", param="options.num_predict"
        )
    return min(int(value), MAX_TOKENS)


def _num_ctx(value: Any) -> int | None:
    if value is None:
        return None
    if not 1 <= _whole("num_ctx", value) <= 2**31:
        raise InvalidRequest("options.num_ctx must be at least 1", param="options.num_ctx")
    return int(value)


def _stops(value: Any) -> Sequence[str]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > MAX_STOPS or not all(isinstance(one, str) and one for one in stops):
        raise InvalidRequest(f"options.stop must be up to {MAX_STOPS} non-empty texts", param="options.stop")
    return tuple(stops)
