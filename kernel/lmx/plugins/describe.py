"""What is known of a plugin, as plain data: for `lmx plugins`, and for `GET /admin/plugins`."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any, get_type_hints

import attrs

from lmx.plugins.load import PluginRecord
from lmx_hookspecs.config import ConfigSpec, Option, options_of
from lmx_hookspecs.implementations import claimed_name, pip_line


def facts(record: PluginRecord) -> dict[str, Any]:
    """What `lmx plugins list --json` says of one plugin."""
    return {
        "name": record.name,
        "status": record.status.value,
        "distribution": record.distribution,
        "version": record.version,
        "hooks": list(record.hooks),
        "reason": record.reason,
        "advice": record.advice,
        "interpreter": str(record.interpreter) if record.interpreter else None,
    }


def details(record: PluginRecord) -> dict[str, Any]:
    """What `lmx plugins info NAME --json` says: the facts, the keys, what each hook offers, and what it requires."""
    offers = record.offers
    return {
        **facts(record),
        "module": record.entry.module,
        "requires": [{"modules": list(need.modules), "pip": pip_line(need)} for need in offers.get("lmx_requires", ())],
        "keys": [key for spec in offers.get("lmx_config", ()) for key in _keys(spec, record.name)],
        "offers": {hook: names for hook in record.hooks if (names := _names(record, hook))},
        "capabilities": {spec.name: sorted(spec.capabilities) for spec in offers.get("lmx_backends", ())},
    }


def _names(record: PluginRecord, hook: str) -> list[str]:
    return [name for spec in record.offers.get(hook, ()) if (name := claimed_name(spec, record.name))]


def _keys(spec: ConfigSpec, plugin: str) -> Iterator[dict[str, Any]]:
    if spec.entry is None:
        yield from _keys_of(spec.cls, spec.cls(), spec.section or f"plugins.{plugin}")
    else:
        yield from _keys_of(spec.entry, None, f"{spec.section}.<name>")


def _keys_of(cls: Any, section: Any, path: str) -> Iterator[dict[str, Any]]:
    """One record per key; a nested section gives its own keys in its place.

    `section` holds the defaults; of an entry that somebody names there is none, since it has keys without one.
    """
    hints, options = get_type_hints(cls), options_of(cls)
    for attribute in attrs.fields(cls):
        name, option = attribute.name, options[attribute.name]
        value = _default(attribute) if section is None else getattr(section, name)
        if attrs.has(type(value)):
            yield from _keys_of(type(value), value, f"{path}.{name}")
            continue
        yield {
            "key": f"{path}.{name}",
            "type": type_name(hints[name]),
            "default": None if option.secret else _plain(value),
            **_bounds(option),
            "secret": option.secret,
            "restart": option.restart,
            "doc": option.doc,
        }


def _default(attribute: "attrs.Attribute[Any]") -> Any:
    """Null too for a key without a default."""
    default: Any = attribute.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class, though typed as a function
        return default.factory()
    return None if default is attrs.NOTHING else default


def type_name(hint: Any) -> str:
    """A type as it is written in code, without the modules that its parts come from."""
    return re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", inspect.formatannotation(hint))


def range_text(key: Mapping[str, Any]) -> str:
    """The allowed range of a key of `details`, for people; empty where anything of its type goes."""
    signs = {"ge": "≥", "gt": ">", "le": "≤", "min_length": "length ≥", "max_length": "length ≤"}
    parts = [f"{sign} {key[bound]}" for bound, sign in signs.items() if bound in key]
    if "choices" in key:
        parts.append("one of " + ", ".join(str(choice) for choice in key["choices"]))
    return ", ".join(parts)


def _bounds(option: Option) -> dict[str, Any]:
    bounds = {name: getattr(option, name) for name in ("ge", "gt", "le", "min_length", "max_length")}
    if option.choices is not None:
        bounds["choices"] = [_plain(choice) for choice in option.choices]
    return {name: value for name, value in bounds.items() if value is not None}


def _plain(value: Any) -> Any:
    """JSON data for a default: nested sections as mappings, everything unusual as its text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if attrs.has(type(value)):
        return {attribute.name: _plain(getattr(value, attribute.name)) for attribute in attrs.fields(type(value))}
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(member) for member in value]
    return str(value)
