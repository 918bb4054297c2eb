"""One preset file: what it may hold, read and checked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from attrs import Attribute, frozen

from lmx.config.merge import Value, origins, plain
from lmx.config.yaml import BadYaml, parse
from lmx.models.performance import PARAM, honoured_part, model_settings
from lmx.names import AUTO, PRESET
from lmx.structure import Problem, StructureError, structure
from lmx_hookspecs import Preset, option
from lmx_hookspecs.errors import InvalidRequest
from lmx_hookspecs.generation import ContextPolicy

LONGEST_NAME = 128
LONGEST_MODEL = 1024
MAX_STOPS = 4
FORMATS = ("text", "json_object", "json_schema")
WORDS = {"yes": True, "on": True, "no": False, "off": False}
"""Booleans of YAML 1.1, which the presets of the earlier system are written in."""
SWITCHES = ("prefix_cache", "prefix_cache_enabled", "ignore_remote_code", "pinned")
"""Performance settings that are booleans."""


class BadPreset(Exception):
    """The file is no preset; the message says where and why."""


@frozen(kw_only=True)
class Parameters:
    """Request fields, with the ranges that requests have."""

    temperature: float | None = option(None, ge=0, le=2)
    top_p: float | None = option(None, ge=0, le=1)
    top_k: int | None = option(None, ge=0)
    min_p: float | None = option(None, ge=0, le=1)
    repetition_penalty: float | None = option(None, gt=0, le=2)
    presence_penalty: float | None = option(None, ge=-2, le=2)
    frequency_penalty: float | None = option(None, ge=-2, le=2)
    seed: int | None = None
    max_tokens: int | None = option(None, ge=1)
    stop: str | Sequence[str] | None = option(None)
    response_format: Mapping[str, Any] | None = option(None)
    num_ctx: int | None = option(None, ge=512, le=131072)
    context_policy: ContextPolicy | None = None

    @stop.validator
    def _stops(self, attribute: "Attribute[Any]", value: str | Sequence[str] | None) -> None:
        stops = () if value is None else (value,) if isinstance(value, str) else value
        if len(stops) > MAX_STOPS or not all(stops):
            raise ValueError(f"must be a text that is not empty, or up to {MAX_STOPS} of them", attribute)

    @response_format.validator
    def _format(self, attribute: "Attribute[Any]", value: Mapping[str, Any] | None) -> None:
        if value is not None and value.get("type") not in FORMATS:
            raise ValueError(f"must have a type: one of {', '.join(FORMATS)}", attribute)

    def given(self) -> dict[str, Any]:
        """Those that are set, `stop` as a list."""
        values = attrs.asdict(self, filter=lambda _, value: value is not None)
        stop = values.get("stop")
        return {**values, "stop": [stop] if isinstance(stop, str) else list(stop)} if stop else values


@frozen(kw_only=True)
class PresetFile:
    """The keys of a preset file."""

    name: str = option(min_length=1, max_length=LONGEST_NAME)
    model: str = option(min_length=1, max_length=LONGEST_MODEL)
    description: str = ""
    parameters: Parameters = Parameters()
    system_prompt: str | None = None
    routing_alias: str | None = option(None, min_length=1, max_length=LONGEST_MODEL)
    auto_load: bool = option(False)
    performance: Mapping[str, Any] = option(factory=dict)
    chat_template: str | None = None

    @name.validator
    def _name(self, attribute: "Attribute[Any]", value: str) -> None:
        if "/" in value or not value.isprintable() or any(map(str.isspace, value)):
            raise ValueError("must have neither white space nor slashes nor control characters", attribute)

    @model.validator
    def _model(self, attribute: "Attribute[Any]", value: str) -> None:
        if value.startswith(PRESET):
            raise ValueError("must be a model or an alias, not another preset", attribute)

    @routing_alias.validator
    def _alias(self, attribute: "Attribute[Any]", value: str | None) -> None:
        if value == AUTO or (value or "").startswith(PRESET):
            raise ValueError(f"must be neither {AUTO} nor a preset", attribute)
        if value is not None and self.model == AUTO:
            raise ValueError(f"needs a model of its own, not {AUTO}", attribute)

    @auto_load.validator
    def _auto_load(self, attribute: "Attribute[Any]", value: bool) -> None:
        if value and self.model == AUTO:
            raise ValueError(f"needs a model of its own, not {AUTO}", attribute)


def read_preset(file: Path) -> tuple[Preset, list[str]]:
    """The preset in `file`, and what was left out of it; raises BadPreset with every problem."""
    written = _parsed(file)
    data = _without_nulls(plain(written))
    notes: list[str] = []
    try:
        preset = structure(data, PresetFile)
        settings, notes = honoured_part(preset.performance)
        performance = model_settings(settings)
    except StructureError as error:
        raise BadPreset("; ".join(_located(problem, written) for problem in error.problems)) from None
    except InvalidRequest as error:
        path = ("performance", *(error.param or "").removeprefix(f"{PARAM}.").split("."))
        raise BadPreset(_located(Problem(path, error.message), written)) from None
    own = {name: getattr(preset, name) for name in attrs.fields_dict(PresetFile)}
    own |= {"parameters": preset.parameters.given(), "performance": performance}
    return Preset(**own, file=file), notes


def _parsed(file: Path) -> Value:
    try:
        text = file.read_bytes().decode("utf-8-sig")
        value = parse(text, lambda line: f"{file}:{line}")
    except OSError as error:
        raise BadPreset(f"{file}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise BadPreset(f"{file}:{line}: is not UTF-8; save the file as UTF-8") from None
    except BadYaml as error:
        raise BadPreset("; ".join(f"{file}:{line}: {message}" for line, message in error.problems)) from None
    if not isinstance(value.data, dict):
        raise BadPreset(f"{value.origin}: must hold keys such as `name:` and `model:`")
    return value


def _without_nulls(data: Mapping[str, Any]) -> dict[str, Any]:
    """Null is not set; the words that YAML 1.1 has for booleans are some where a boolean belongs."""
    given = {key: value for key, value in data.items() if value is not None}
    _spell_out(given, ("auto_load",))
    if isinstance(given.get("performance"), dict):
        given["performance"] = dict(given["performance"])
        _spell_out(given["performance"], SWITCHES)
    return given


def _spell_out(data: dict[str, Any], names: Sequence[str]) -> None:
    for name in names:
        if isinstance(data.get(name), str):
            data[name] = WORDS.get(data[name].lower(), data[name])


def _located(problem: Problem, written: Value) -> str:
    """The problem behind the place where its value, or what should hold it, was written."""
    places = origins(written)
    ends = range(len(problem.path), -1, -1)
    origin = next(places[problem.path[:end]] for end in ends if problem.path[:end] in places)
    quotes = problem.message.startswith("must be a string, got ") and not problem.message.endswith(("list", "mapping"))
    return f"{origin}: {problem.where}: {problem.message}{'; write it in quotes' if quotes else ''}"
